"""Evaluation streams by name: the texts on which models are compared token by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import real_texts, text_sets
from edgekit.catalog.tasks import TaskError, first_lines, require_count
from edgekit.errors import unknown_name

PROSE = "prose"  # what a real text is about, for what tells problems and prose apart


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """One text of a stream, scored from its second token to the end token. `domain`: what it is about."""

    id: str
    domain: str
    text: str


def shipped() -> list[str]:
    """Streams of the generated language."""
    return text_sets.shipped(text_sets.EVALUATION)


def names() -> list[str]:
    """Streams that have a name: the shipped ones, and real texts."""
    return [*shipped(), *real_texts.NAMES]


def file_of(name: str) -> Path:
    """The file of a shipped stream, or of a path to one's own. Raises TaskError for neither."""
    file = store.ROOT / "data/evaluation" / f"{name}.jsonl" if name in shipped() else text_files.path_of(name)
    if file.suffix not in (".jsonl", ".txt") or not file.is_file():
        raise TaskError(unknown_name("evaluation stream", name, names(),
                                     ", or the path of a .jsonl file whose lines hold id, domain and text, or of a .txt file"))
    return file


def load(name: str, count: int) -> list[EvaluationText]:
    """The first `count` texts of a stream. Raises TaskError where there are fewer, or a line is not one; DataError where a
    published one cannot be had."""
    if not _is_real(name):
        return first_lines(file_of(name), count, EvaluationText, "texts")
    texts = real_texts.load(name, real_texts.EVALUATION)
    require_count("texts", count, len(texts), name)
    return [EvaluationText(one.id, PROSE, one.text) for one in texts[:count]]


def require_known(name: str, count: int) -> None:
    """Raise TaskError unless `name` is a stream of at least `count` texts; a published one is looked up when its turn comes."""
    if name != real_texts.WIKITEXT:
        load(name, count)


def stream_hash(name: str) -> str:
    """Content address of a stream. Raises as `load` does."""
    return real_texts.content_hash(name, real_texts.EVALUATION) if _is_real(name) else store.hash_files([file_of(name)])


def _is_real(name: str) -> bool:
    """Whether texts are cut out of a longer one. Raises TaskError for a .txt file that is not there."""
    return real_texts.is_named(name) and (name in real_texts.NAMES or bool(file_of(name)))
