"""Task accuracy on any engine: through lm-eval, a shipped task and a hub task by the same path, or by running programs.

Every item's outcome is kept: means, intervals and paired differences are computed on read. An answer that cannot be read from
the output is counted apart from a wrong one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from edgekit.catalog import chat_template, prompting
from edgekit.engines.base import EngineError
from edgekit.measure import code_tasks, foreign_tasks
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.samples import run_task
from edgekit.measure.scoring import MOST_CONTEXT

NO_ANSWER = "[no answer]"


def measure_accuracy(*, variant: str, engine: str, dtype: str, threads: int, device: str, tasks: list[str],
                     items_per_depth: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: the outcome of each item of tasks that are asked in a prompt form, for one variant in one engine.

    Returns {"observations": [...], "engine": {...}}, the observations as `answer_tasks` gives them. Raises EngineError if a
    task holds fewer items than asked.
    """
    from edgekit import engines
    from edgekit.compress import variant as variants

    artifact = variants.build(variant)
    artifact.spec.require_weights("accuracy")
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        model = EngineLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name), prompt_form)
        seen = answer_tasks(model, dict.fromkeys(tasks), items_per_depth)
        return dict(observations=seen, engine=dataclasses.asdict(opened.info), warnings=model.warnings)


def answer_tasks(model: EngineLM, tasks: Mapping[str, Sequence[int] | None], items_per_depth: int) -> list[dict]:
    """Ask tasks in the model's prompt form: shipped ones each at the depths named (None: all that it has), the first items of
    each depth; of those of lm-eval and of programs (see foreign_tasks.py, code_tasks.py), which have no depths, the first
    `items_per_depth` items.

    Returns `correct` (0 or 1) for every item, with task_name, domain, mode, depth and item, and for each task and depth
    `unanswered`, the number of items without a readable answer, which are counted as not correct too. Of a task with choices
    the likeliest is the answer, so there is always one.
    """
    from edgekit.catalog import tasks as catalog

    if all(map(catalog.is_shipped, tasks)):
        os.environ["HF_DATASETS_OFFLINE"] = "1"  # items are local files; a mistyped path must not become a download
    seen = []
    for name, depths in tasks.items():
        if not catalog.is_shipped(name):
            seen += (code_tasks if catalog.is_code(name) else foreign_tasks).answer(model, name, items_per_depth)
            continue
        task = catalog.load(name)
        config = task.config | {"process_docs": FirstOfEachDepth(items_per_depth, depths)}
        choices = config["output_type"] == "multiple_choice"
        unanswered: dict[int, int] = {}
        at = dict(task_name=name, domain=task.domain, mode=task.mode)
        for sample in run_task(model, config, limit=None, prompt_form=model.prompt_form):
            doc = sample["doc"]
            right = sample["acc" if choices else "exact_match"]
            seen.append(dict(metric="correct", value=int(right), **at, depth=doc["depth"], item=doc["id"]))
            if not choices:
                missed = sample["filtered_resps"][0] == NO_ANSWER
                unanswered[doc["depth"]] = unanswered.get(doc["depth"], 0) + missed
        seen += [dict(metric="unanswered", value=count, **at, depth=depth) for depth, count in unanswered.items()]
    return seen


class FirstOfEachDepth:
    """The first n items of each depth (of some depths): the same items for every model and engine, so that they pair."""

    def __init__(self, count: int, depths: Sequence[int] | None = None):
        self.count, self.depths = count, depths

    def __call__(self, dataset):
        taken: dict[int, int] = {}
        chosen = []
        for i, depth in enumerate(dataset["depth"]):
            if self.depths is not None and depth not in self.depths:
                continue
            taken[depth] = taken.get(depth, 0) + 1
            if taken[depth] <= self.count:
                chosen.append(i)
        if short := [depth for depth, count in taken.items() if count < self.count]:
            raise EngineError(f"items_per_depth: {self.count} asked, depth {short[0]} has {taken[short[0]]}")
        if self.depths is not None and set(self.depths) - set(taken):
            raise EngineError(f"depths: {sorted(set(self.depths) - set(taken))} asked, the task has none of these")
        return dataset.select(chosen)
