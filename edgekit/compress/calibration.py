"""Calibration sequences: the tokens that AWQ, GPTQ and importance matrices look at, the same for every method.

A set is named, drawn by seed and cut into sequences of one length, so none is too short and none is dropped for being too
long. `random` is the control: uniform token ids, which tell a method nothing about the language.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.building import BuildError
from edgekit.catalog import prompting, real_texts, text_sets
from edgekit.errors import unknown_name

RANDOM = "random"
NONE = "none"  # a step that can do without a set got none


@dataclass(frozen=True, slots=True)
class Calibration:
    """Which sequences: `name` of a file in data/calibration, of real texts (see catalog/real_texts.py) or `random`, or the
    path of a .jsonl or .txt file of one's own; how many, how long, drawn by which seed."""

    name: str
    samples: int
    length: int
    seed: int

    def __post_init__(self) -> None:
        if self.name != RANDOM and not text_sets.is_known(text_sets.CALIBRATION, self.name):
            raise BuildError(unknown_name("calibration set", self.name, names(),
                                          ", or the path of a .jsonl file whose lines hold text, or of a .txt file"))
        for field in ("samples", "length"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BuildError(f"calibration: expected {field} of at least 1, got {value!r}")

    @property
    def hash(self) -> str:
        """Content address of the set: a changed file is another set."""
        content = "" if self.name == RANDOM else text_sets.content_hash(text_sets.CALIBRATION, self.name)
        return store.condition_key("calibration", 1, {"name": self.name, "samples": self.samples, "length": self.length},
                                   repeat=self.seed, artifact=content, task="", platform="")

    def sequences(self, model: Path, vocabulary: int) -> list[list[int]]:
        """`samples` lists of `length` token ids, in the tokens of the model in the folder `model`.

        Texts are joined, with the model's end token between them, and cut at equal lengths; the seed picks the cuts. Raises
        BuildError where the set has too few tokens, or the model no tokenizer; DataError where its texts
        cannot be had.
        """
        import numpy as np

        rng = np.random.default_rng(self.seed)
        if self.name == RANDOM:
            return rng.integers(0, vocabulary, (self.samples, self.length)).tolist()
        stream = np.asarray(_tokens(model, self.name))
        pieces = len(stream) // self.length
        if pieces < self.samples:
            raise BuildError(f"calibration set {self.name!r} has {len(stream):,} tokens: enough for {pieces} sequences of "
                             f"{self.length}, {self.samples} asked; ask for fewer or shorter ones")
        chosen = rng.choice(pieces, self.samples, replace=False)
        return [stream[i * self.length:(i + 1) * self.length].tolist() for i in chosen]


def names() -> list[str]:
    """The sets that have a name: the shipped ones, real texts, and `random`."""
    return [*text_sets.shipped(text_sets.CALIBRATION), *real_texts.NAMES, RANDOM]


def _tokens(model: Path, name: str) -> list[int]:
    if not (model / "tokenizer.json").is_file():
        raise BuildError(f"no tokenizer.json in {model}: calibration texts need one; use calibration={RANDOM}")
    return [token for ids in prompting.of(model).encode_texts(_texts(name)) for token in ids]


def _texts(name: str) -> list[str]:
    if real_texts.is_named(name):
        return [one.text for one in real_texts.load(name, real_texts.CALIBRATION)]
    file = text_sets.file_of(text_sets.CALIBRATION, name)
    lines = text_files.json_lines(file, BuildError, ["text"])
    text_files.texts_in(lines, file, BuildError, ["text"])
    return [line["text"] for _, line in lines]
