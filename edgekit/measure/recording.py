"""What a recorded answer is, and the file that holds those of one model to one task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import chat_template
from edgekit.catalog import tasks as catalog
from edgekit.catalog.prices import Price
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


def as_llmrouterbench(found: Iterable[Answer], price: Price | None = None) -> list[dict]:
    """Recorded answers in the fields of LLMRouterBench (arXiv:2601.07206), so that any router can be tried on them. cost: US
    dollars by a dated price; without one 0, as an answer on one's own device costs nobody a token."""
    return [dict(origin_query=one.query, prompt=one.prompt, prediction=one.prediction, ground_truth=one.ground_truth,
                 score=one.score, prompt_tokens=one.prompt_tokens, completion_tokens=one.completion_tokens,
                 cost=price.usd(one.prompt_tokens, one.completion_tokens) if price else 0.0) for one in found]


def export(found: Iterable[Answer], file: Path, price: Price | None = None) -> None:
    """Write recorded answers into a JSON-lines file, as of `as_llmrouterbench`."""
    lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in as_llmrouterbench(found, price))
    store.write_atomically(file, "".join(lines))
