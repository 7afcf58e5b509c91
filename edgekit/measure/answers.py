"""Recorded answers: for each item what was asked, what came, whether it is right, how many tokens, and how sure the model was.

They are asked as accuracy is (quality.py), and kept as one file in an artifact's folder, so that whatever learns from them, or
is exported, reads what was recorded. Sureness is in log-probabilities of the answer's own tokens (nats): their mean, and the
mean of the least likely tenth, which separates right from wrong best in small models; of a task with choices it is the
probability of the chosen one among them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit import building, text_files
from edgekit.catalog import chat_template
from edgekit.catalog import tasks as catalog
from edgekit.catalog.tasks import TaskError

FILE, VERSION = "answers.jsonl", 1


@dataclass(frozen=True, slots=True)
class Recording:
    """What one model was asked of a task, and how. variant: in the engine's format; runtime: which code that is
    (engines.runtime)."""

    variant: str
    engine: str
    dtype: str
    threads: int
    device: str
    task: str
    items_per_depth: int
    prompt_form: str = chat_template.PLAIN
    confidence: bool = True

    def made_of(self) -> dict:
        """What addresses the recorded file."""
        from edgekit import engines
        from edgekit.compress import variant as variants

        return dict(step="answers", version=VERSION, **dataclasses.asdict(self), content=variants.content_hash(self.variant),
                    runtime=engines.runtime(self.engine), hash=catalog.content_hash(self.task))


@dataclass(frozen=True, slots=True)
class Answer:
    """One item. query: what the user asks, as text; prompt: what the model was given. depth: None where the task has none.
    score: 1 or 0. mean_log_p, worst_log_p: in nats a token, None where they were not asked for or no token came."""

    task_name: str
    domain: str
    mode: str
    item: str
    depth: int | None
    query: str
    prompt: str
    prediction: str
    ground_truth: str
    score: int
    prompt_tokens: int
    completion_tokens: int
    mean_log_p: float | None
    worst_log_p: float | None

    @property
    def at(self) -> dict:
        """Its coordinates in rows."""
        depth = {} if self.depth is None else dict(depth=self.depth)
        return dict(task_name=self.task_name, domain=self.domain, mode=self.mode, **depth, item=self.item)


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


def read(file: Path) -> list[Answer]:
    """The answers of a file. Raises TaskError."""
    lines = text_files.json_lines(file, TaskError, Answer.__slots__)
    return [Answer(**{name: line[name] for name in Answer.__slots__}) for _, line in lines]


def _ask(recording: Recording, folder: Path) -> None:
    """Only where somebody has to: what asks takes seconds to import."""
    from edgekit.measure import asked

    asked.ask(recording, folder)
