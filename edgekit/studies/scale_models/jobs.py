"""The jobs of the instrument's own study: all that is asked of one model, or of one model rounded, in one process.

A pocket model answers in seconds, less than a process takes to start, so one process asks it everything.
"""

from __future__ import annotations

import dataclasses

from edgekit import engines
from edgekit.catalog import prompting
from edgekit.catalog import tasks as catalog
from edgekit.compress import variant as variants
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.quality import answer_tasks
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.studies.scale_models import jobs_outliers as outliers
from edgekit.studies.scale_models import jobs_prose as prose


def measure_ladder(*, variant: str, engine: str, dtype: str, threads: int, device: str, tasks: list[str],
                   items_per_depth: int, stories: int) -> dict:
    """A worker's job: accuracy on tasks, excess loss on stories, and activation peaks of one model as it is.

    Observations say what they are by `task`: accuracy, prose, activations or size.
    """
    artifact = variants.build(variant)
    artifact.spec.require_weights("accuracy")
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    told = catalog.stories(stories)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        model = EngineLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name))
        texts = [prose.encode_story(model.prompting, story)[0] for story in told]
        seen = _marked("accuracy", answer_tasks(model, dict.fromkeys(tasks), items_per_depth))
        seen += _marked("prose", prose.excess_of_stories(opened, model.prompting, told))
        seen += _marked("activations", outliers.activation_peaks(opened.model, texts))
        seen += _marked("size", [dict(metric="parameters", value=artifact.spec.architecture.parameters)])
        return dict(observations=seen, engine=dataclasses.asdict(opened.info), warnings=model.warnings)


def measure_rounded(*, variant: str, engine: str, dtype: str, threads: int, device: str, bits: list[int], groups: list[int],
                    tasks: dict[str, list[int] | None], items_per_depth: int, stories: int) -> dict:
    """A worker's job: accuracy and excess loss of a model after round-to-nearest, for all bits and groups, on chosen tasks and
    depths. `task` is rounded_accuracy or rounded_prose."""
    told = catalog.stories(stories)
    seen, warnings = [], []
    for group in groups:
        for width in bits:
            artifact = variants.build(f"{variant} > rtn(bits={width}, group={group})")
            artifact.spec.require_weights("accuracy")
            context = min(artifact.spec.architecture.context, MOST_CONTEXT)
            with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
                model = EngineLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name))
                found = _marked("rounded_accuracy", answer_tasks(model, tasks, items_per_depth))
                found += _marked("rounded_prose", prose.excess_of_stories(opened, model.prompting, told))
                warnings += [one for one in model.warnings if one not in warnings]
                seen += [one | dict(bits=width, group=group) for one in found]
                info = dataclasses.asdict(opened.info)
    return dict(observations=seen, engine=info, warnings=warnings)


def _marked(task: str, observations: list[dict]) -> list[dict]:
    return [one | {"task": task} for one in observations]
