"""What a recorded answer is, and the file that holds those of one model to one task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit import text_files
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


def write(found: Iterable[Answer], file: Path) -> None:
    """A line an answer."""
    file.write_text("".join(json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in found),
                    encoding="utf-8")


def read(file: Path) -> list[Answer]:
    """The answers of a file. Raises TaskError."""
    lines = text_files.json_lines(file, TaskError, Answer.__slots__)
    return [Answer(**{name: line[name] for name in Answer.__slots__}) for _, line in lines]
