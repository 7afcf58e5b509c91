"""Evaluation streams by name: the texts on which models are compared token by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog.tasks import TaskError, first_lines
from edgekit.errors import unknown_name


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """One text of a stream, scored from its second token to the end token. `domain`: what it is about."""

    id: str
    domain: str
    text: str


def names() -> list[str]:
    """Shipped streams."""
    return sorted(file.stem for file in (store.ROOT / "data/evaluation").glob("*.jsonl"))


def file_of(name: str) -> Path:
    """The JSON-lines file of a shipped stream, or of a path to one. Raises TaskError for neither."""
    file = store.ROOT / "data/evaluation" / f"{name}.jsonl" if name in names() else text_files.path_of(name)
    if file.suffix != ".jsonl" or not file.is_file():
        raise TaskError(unknown_name("evaluation stream", name, names(),
                                     ", or the path of a .jsonl file whose lines hold id, domain and text"))
    return file


def load(name: str, count: int) -> list[EvaluationText]:
    """The first `count` texts of a stream. Raises TaskError where there are fewer, or a line is not one."""
    return first_lines(file_of(name), count, EvaluationText, "texts")


def stream_hash(name: str) -> str:
    """Content address of a stream's file."""
    return store.hash_files([file_of(name)])
