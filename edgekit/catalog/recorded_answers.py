"""Answers of a weak and a strong model that others recorded and published, from the folder that EDGEKIT_DATA names.

RouteLLM (Ong et al. 2024, arXiv:2406.18665; repository lm-sys/RouteLLM, Apache-2.0): answers of Mixtral 8x7B and GPT-4 to
GSM8K's test problems and to the questions of MMLU, each marked right or wrong. The files lie there under routellm/evals/; put
them under routellm/ of the folder.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import folder_data
from edgekit.catalog.folder_data import DataError
from edgekit.errors import unknown_name

WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
SETS = {"routellm-gsm8k": "routellm/gsm8k/gsm8k_responses.csv", "routellm-mmlu": "routellm/mmlu/responses"}
WORDS = {"True": 1, "False": 0}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One query: its text, what it is about, its number in its file, and whether the weak and the strong model had it right."""

    item: str
    domain: str
    query: str
    weak: int
    strong: int


def require_known(name: str) -> None:
    """Raise DataError for a set that is not among SETS."""
    if name not in SETS:
        raise DataError(unknown_name("recorded answers", name, SETS))


def absence(name: str) -> str | None:
    """Why a set cannot be read here; None where it can."""
    try:
        _files(name)
    except DataError as error:
        return str(error)
    return None


def content_hash(name: str) -> str:
    """Content address of a set's files. Raises DataError."""
    return store.hash_files(_files(name))


def load(name: str) -> list[Recorded]:
    """The queries of a set in order, each text once. Raises DataError: unknown, not there, or not what it should be."""
    found: dict[str, Recorded] = {}
    for file in _files(name):
        rows = csv.DictReader(io.StringIO(text_files.text_of(file, DataError), newline=""))
        if missing := [one for one in ("prompt", WEAK, STRONG) if one not in (rows.fieldnames or ())]:
            raise DataError(f"{file}: expected the columns prompt, {WEAK} and {STRONG}; {missing[0]} is missing")
        for number, row in enumerate(rows):
            try:
                weak, strong = WORDS[row[WEAK]], WORDS[row[STRONG]]
            except KeyError as error:
                raise DataError(f"{file}, record {number + 1}: expected True or False, got {error}") from error
            if row["prompt"].strip():
                domain = file.stem.removesuffix("_responses").removeprefix("mmlu_")
                found.setdefault(row["prompt"], Recorded(f"{domain}-{number:04d}", domain, row["prompt"], weak, strong))
    if not found:
        raise DataError(f"{name}: expected queries, got none")
    return list(found.values())


def _files(name: str) -> list[Path]:
    require_known(name)
    path = folder_data.path(SETS[name])
    if path.suffix:
        return [path]
    if not (files := sorted(path.glob("mmlu_*.csv"))):
        raise DataError(f"{path}: expected files mmlu_<subject>.csv, got none")
    return files
