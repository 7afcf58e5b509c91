"""Files that are made from others in this folder, as texts that stand beside them: which are stale, and bringing them up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgekit import store


def stale(files: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Those of `files`, each with what it should hold, that do not hold it."""
    return [(path, text) for path, text in files if not path.exists() or path.read_text(encoding="utf-8") != text]


def write(files: Iterable[tuple[Path, str]]) -> list[Path]:
    """Write the stale ones, all of which are made before the first is written; which ones."""
    made = stale(files)
    for path, text in made:
        store.write_atomically(path, text)
    return [path for path, _ in made]
