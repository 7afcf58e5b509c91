"""Training texts: what a compressed model is trained on anew. Named sets in data/training, real texts (their part for
calibration, see catalog/real_texts.py), or a .jsonl or .txt file of one's own."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import text_files
from edgekit.building import BuildError
from edgekit.catalog import real_texts, text_sets
from edgekit.errors import unknown_name

if TYPE_CHECKING:
    from edgekit.catalog.prompting import Prompting


@dataclass(frozen=True, slots=True)
class Text:
    """What is given (`prompt`, may be empty) and what is to be written after it, without the end token."""

    prompt: str
    completion: str


def names() -> list[str]:
    """The sets that have a name."""
    return [*text_sets.shipped(text_sets.TRAINING), *real_texts.NAMES]


def require_known(name: str) -> None:
    """Raise BuildError for an unknown set. One of real texts is looked up later."""
    if not text_sets.is_known(text_sets.TRAINING, name):
        raise BuildError(unknown_name("training texts", name, names(),
                                      ", or the path of a .jsonl file whose lines hold prompt and completion, or a .txt file"))


def content_hash(name: str) -> str:
    """Content address of a set. Raises BuildError for an unknown one, DataError where its texts cannot be had."""
    require_known(name)
    return text_sets.content_hash(text_sets.TRAINING, name)


def load(name: str) -> list[Text]:
    """All texts of a set; real ones have no prompts. Raises BuildError for an unknown one, one without texts, or a line that is
    not one; DataError where its texts cannot be had."""
    require_known(name)
    if real_texts.is_named(name):
        return [Text("", one.text) for one in real_texts.load(name, real_texts.CALIBRATION)]
    file = text_sets.file_of(text_sets.TRAINING, name)
    return list(_load(file, file.stat().st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _load(file: Path, changed: int) -> tuple[Text, ...]:
    lines = text_files.json_lines(file, BuildError, ("prompt", "completion"))
    return tuple(text_files.as_records(lines, file, BuildError, Text))


class Rows:
    """Texts as rows of `length` token ids. Row r is a pure function of the seed and r, so a run that was stopped goes on as if
    it had never been.

    A row begins where a text begins, in half of the rows behind an end token, and runs on over text borders, with the end
    token between them. Texts are drawn with replacement.
    """

    def __init__(self, texts: list[Text], prompting: Prompting, *, length: int, seed: int):
        self._texts = [np.array(ids) for ids in prompting.encode_texts([text.prompt + text.completion for text in texts])]
        self._given = [len(prompting.encode(text.prompt)) for text in texts]
        self._end, self._length, self._seed = prompting.end, length, seed

    def __call__(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows first … first + count - 1: token ids and a mask that is true on prompt tokens, both (count, length)."""
        ids = np.empty((count, self._length), np.int64)
        in_prompt = np.zeros((count, self._length), bool)
        for i in range(count):
            rng = np.random.default_rng((self._seed, first + i))
            at = int(rng.random() < 0.5)
            ids[i, :at] = self._end
            while at < self._length:
                drawn = int(rng.integers(len(self._texts)))
                text = self._texts[drawn][:self._length - at]
                ids[i, at:at + len(text)] = text
                in_prompt[i, at:at + min(self._given[drawn], len(text))] = True
                at += len(text)
        return ids, in_prompt
