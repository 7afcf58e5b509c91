"""Recorded answers: for each item what was asked, what came, whether it is right, how many tokens, and how sure the model was.

They are asked as accuracy is (quality.py), and kept as one file in an artifact's folder, so that whatever learns from them, or
is exported, reads what was recorded. Sureness is in log-probabilities of the answer's own tokens (nats): their mean, and the
mean of the least likely tenth, which separates right from wrong best in small models; of a task with choices it is the
probability of the chosen one among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgekit import building
from edgekit.measure.recording import FILE, Answer, Recording, read


def measure_answers(**recording) -> dict:
    """A worker's job: the recorded answers of a model (fields of Recording) as observations, by item: correct, prompt and
    answer tokens, and where asked for mean_log_p and worst_log_p. Raises EngineError and TaskError as measure_accuracy does."""
    seen = []
    for one in recorded(Recording(**recording)):
        values = dict(correct=one.score, asked_tokens=one.prompt_tokens, answered_tokens=one.completion_tokens,
                      mean_log_p=one.mean_log_p, worst_log_p=one.worst_log_p)
        seen += [dict(metric=name, value=value, **one.at) for name, value in values.items() if value is not None]
    return dict(observations=[*seen, *_size(recording["variant"])])


def _size(variant: str) -> list[dict]:
    from edgekit.compress import variant as variants
    from edgekit.measure.losses import size_of

    return size_of(variants.build(variant))


def recorded(recording: Recording) -> list[Answer]:
    """The answers of a model to all items of a task; asked now where nobody has yet."""
    folder = building.build_once(recording.made_of(), recording.variant, 0, lambda folder: _ask(recording, folder))
    return read(folder / FILE)


def of_tasks(asked: dict, tasks: Iterable[str]) -> list[Answer]:
    """The answers of a model (fields of Recording but the task) to several tasks."""
    return [one for task in tasks for one in recorded(Recording(task=task, **asked))]


def _ask(recording: Recording, folder: Path) -> None:
    """Only where somebody has to: what asks takes seconds to import."""
    from edgekit.measure import asked

    asked.ask(recording, folder)
