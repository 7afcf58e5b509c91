"""Task accuracy through lm-eval, on any engine.

`EngineLM` gives an engine lm-eval's three verbs, so a shipped task and a hub task take the same path. Every item's outcome
is kept: means, intervals and paired differences are computed on read. An answer that cannot be read from the output is
counted apart from a wrong one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lm_eval.api.model import LM, TemplateLM
from lm_eval.api.task import Task
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer

from edgekit import progress
from edgekit.catalog.models import ModelSpec
from edgekit.engines.base import Engine, EngineError

NO_ANSWER = "[no answer]"
MOST_CONTEXT = 2048
# What lm-eval's own models generate at most where a task does not say.
LM_EVAL_TOKENS = 256


class EngineLM(TemplateLM):
    """An engine as an lm-eval model. Prompts are tokenised here, once, and alike for every engine."""

    backend = "causal"

    def __init__(self, engine: Engine, tokenizer: Tokenizer, end: int):
        super().__init__()
        self.engine, self.tokenizer, self.end = engine, tokenizer, end

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text; lm-eval also puts it before a text without context."""
        return self.end

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs) -> list[int]:
        return self.tokenizer.encode(string, add_special_tokens=False).ids

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations, cut before the first of the task's `until` strings."""
        outputs: list[str] = [""] * len(requests)
        by_length: dict[int, list[int]] = {}
        for i, request in enumerate(requests):
            by_length.setdefault(request.args[1].get("max_gen_toks", LM_EVAL_TOKENS), []).append(i)
        for length, chosen in by_length.items():
            prompts = [self.tok_encode(requests[i].args[0]) for i in chosen]
            for i, tokens in zip(chosen, self.engine.generate(prompts, length, {self.end}), strict=True):
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                until = requests[i].args[1].get("until") or []
                for end in [until] if isinstance(until, str) else until:
                    text = text.split(end)[0]
                outputs[i] = text
        return outputs

    def loglikelihood_rolling(self, requests, disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text in nats, in windows of the engine's context, each token predicted once."""
        windows = [[make_disjoint_window(window) for window in get_rolling_token_windows(
            self.tok_encode(request.args[0]), self.prefix_token_id, self.engine.info.context, 1)] for request in requests]
        return [sum(self._continuation(*window)[0] for window in text) for text in windows]

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, **kwargs) -> list[tuple[float, bool]]:
        return [self._continuation(before, after) for _, before, after in requests]

    def _continuation(self, before: Sequence[int], after: Sequence[int]) -> tuple[float, bool]:
        """(sum of log-probabilities in nats, whether greedy decoding gives it) of `after` behind `before`."""
        log_p = log_softmax(self.engine.score([*before, *after][:-1])[len(before) - 1:])
        progress.step()
        picked = log_p[np.arange(len(after)), list(after)]
        return float(picked.sum()), bool((log_p.argmax(-1) == np.asarray(after)).all())


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities in nats, in double precision, over the last axis."""
    logits = logits.astype(np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def tokenizer_of(folder: Path) -> tuple[Tokenizer, int]:
    """The tokenizer of a model folder and the id that ends a text. Raises EngineError if either is missing."""
    import json

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise EngineError(f"no tokenizer.json in {folder}; text tasks need one (token-only measurements do not)")
    end = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("eos_token_id")
    end = end[0] if isinstance(end, list) else end
    if not isinstance(end, int):
        raise EngineError(f"{folder}/config.json: expected eos_token_id to be a token id, got {end!r}")
    return Tokenizer.from_file(str(file)), end


def shared_tokenizer(specs: Sequence[ModelSpec]) -> tuple[Tokenizer, int]:
    """The tokenizer of all of them, and the id that ends a text. Raises EngineError if two differ."""
    first, end = tokenizer_of(specs[0].folder)
    for spec in specs[1:]:
        tokenizer, other_end = tokenizer_of(spec.folder)
        if tokenizer.get_vocab() != first.get_vocab() or other_end != end:
            raise EngineError(f"{spec.name} and {specs[0].name} have different tokenizers: a draft must speak its target's "
                              "tokens")
    return first, end


def run_task(model: LM, config: dict, *, limit: int | None) -> list[dict]:
    """lm-eval's samples of one task, in item order: {doc, resps, filtered_resps, exact_match, …}."""
    from lm_eval.api.task import ConfigurableTask

    return samples_of(model, ConfigurableTask(config=config), limit=limit)


def samples_of(model: LM, task: Task, *, limit: int | None) -> list[dict]:
    """lm-eval's samples of a task (of its first `limit` items), in item order; one an item and filter."""
    from lm_eval import evaluator

    name = task.config.task
    results = evaluator.evaluate(lm=model, task_dict={name: task}, limit=limit, bootstrap_iters=0, log_samples=True)
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])


def measure_accuracy(*, variant: str, engine: str, dtype: str, threads: int, device: str, tasks: list[str],
                     items_per_depth: int) -> dict:
    """A worker's job: the outcome of each item of shipped tasks, for one variant in one engine.

    Returns {"observations": [...], "engine": {...}}, the observations as `answer_tasks` gives them. Raises EngineError if a
    task holds fewer items than asked.
    """
    from edgekit import engines
    from edgekit.compress import variant as variants

    artifact = variants.build(variant)
    artifact.spec.require_weights("accuracy")
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        model = EngineLM(opened, *tokenizer_of(artifact.spec.folder))
        seen = answer_tasks(model, dict.fromkeys(tasks), items_per_depth)
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))


def answer_tasks(model: LM, tasks: Mapping[str, Sequence[int] | None], items_per_depth: int) -> list[dict]:
    """Ask tasks: shipped ones each at the depths named (None: all that it has), the first items of each depth, and those of
    lm-eval (see foreign_tasks.py), whose first `items_per_depth` items are asked, since they have no depths.

    Returns `correct` (0 or 1) for every item, with task_name, domain, mode, depth and item, and for each task and depth
    `unanswered`, the number of items without a readable answer, which are counted as not correct too.
    """
    from edgekit.catalog import tasks as catalog

    if all(map(catalog.is_shipped, tasks)):
        os.environ["HF_DATASETS_OFFLINE"] = "1"  # items are local files; a mistyped path must not become a download
    seen = []
    for name, depths in tasks.items():
        if not catalog.is_shipped(name):
            from edgekit.measure import foreign_tasks

            seen += foreign_tasks.answer(model, name, items_per_depth)
            continue
        task = catalog.load(name)
        config = task.config | {"process_docs": _FirstOfEachDepth(items_per_depth, depths)}
        unanswered: dict[int, int] = {}
        at = dict(task_name=name, domain=task.domain, mode=task.mode)
        for sample in run_task(model, config, limit=None):
            doc = sample["doc"]
            missed = sample["filtered_resps"][0] == NO_ANSWER
            unanswered[doc["depth"]] = unanswered.get(doc["depth"], 0) + missed
            seen.append(dict(metric="correct", value=int(sample["exact_match"]), **at, depth=doc["depth"], item=doc["id"]))
        seen += [dict(metric="unanswered", value=count, **at, depth=depth) for depth, count in unanswered.items()]
    return seen


class _FirstOfEachDepth:
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
