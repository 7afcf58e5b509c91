"""Data sets that a user has: files in the folder that the environment variable EDGEKIT_DATA names (docs/reference.md says how
they lie there)."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit import text_files
from edgekit.catalog.lm_eval_tasks import TaskError

VARIABLE = "EDGEKIT_DATA"


def path(name: str) -> Path:
    """The file `name` (`humaneval/HumanEval.jsonl.gz`) of that folder. Raises TaskError where no folder is named, or it lacks
    the file."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise TaskError(f"{name}: set {VARIABLE} to the folder of data sets that holds it")
    file = text_files.path_of(folder) / name
    if not file.is_file():
        raise TaskError(f"{name}: there is no file {file}; put it there, or set {VARIABLE} to the folder that holds it")
    return file


def has(name: str) -> bool:
    """Whether a folder is named, and holds the file `name`."""
    try:
        path(name)
    except TaskError:
        return False
    return True
