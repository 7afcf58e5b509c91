"""Sets of texts by name: those that ship in a folder of data/, the calibration part of real texts (see real_texts.py), and
.jsonl and .txt files of one's own. What texts are for says in which folder the shipped ones lie."""

from __future__ import annotations

from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import real_texts

CALIBRATION, TRAINING, EVALUATION = "calibration", "training", "evaluation"  # folders of data/


def shipped(folder: str) -> list[str]:
    """The sets that ship."""
    return sorted(file.stem for file in (store.ROOT / "data" / folder).glob("*.jsonl"))


def file_of(folder: str, name: str) -> Path:
    """Where the file of a set is, or would be; one of real texts by name has none."""
    own = name.endswith((".jsonl", ".txt"))
    return text_files.path_of(name) if own else store.ROOT / "data" / folder / f"{name}.jsonl"


def is_known(folder: str, name: str) -> bool:
    """Whether there is such a set; real texts by name are looked up when their turn comes."""
    return name in real_texts.NAMES or file_of(folder, name).is_file()


def content_hash(folder: str, name: str) -> str:
    """Content address of a set. Raises DataError where real texts cannot be had."""
    if real_texts.is_named(name):
        return real_texts.content_hash(name, real_texts.CALIBRATION)
    return store.hash_files([file_of(folder, name)])
