"""Data sets that others published and that the kit does not ship: files in the folder that EDGEKIT_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit import text_files
from edgekit.errors import InvalidRequest

VARIABLE = "EDGEKIT_DATA"  # of the environment; a relative folder is taken from the kit's


class DataError(InvalidRequest):
    """A published data set is not in the user's folder; the message says what to set."""


def has(name: str) -> bool:
    """Whether the environment names a folder that holds `name`."""
    return bool(os.environ.get(VARIABLE)) and (text_files.path_of(os.environ[VARIABLE]) / name).exists()


def path(name: str) -> Path:
    """The file or folder `name`, as `wikitext2/test.txt`, in the user's folder. Raises DataError: no folder is named, or it has
    none of that name."""
    if not os.environ.get(VARIABLE):
        raise DataError(f"{name}: expected {VARIABLE} in the environment to name the folder that holds it, got nothing; "
                        f"export {VARIABLE}=FOLDER")
    found = text_files.path_of(os.environ[VARIABLE]) / name
    if not has(name):
        raise DataError(f"{name}: it is not in {VARIABLE} ({found.parent} has no {found.name}); put it there, or let "
                        f"{VARIABLE} name another folder")
    return found
