"""Verdicts of rows files, judged once: kept beside the artifacts under a hash of the rows, the claims and the code.

What is kept are texts and their numbers (see text.py), so a report of what was judged before reads no rows.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform as python_platform
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import apart, committed, provenance, store

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("numpy", "pandas", "scipy")  # other versions may round otherwise
FEW = 3  # files that are judged here: a process takes seconds to begin


def cells(rows_path: Path | None, study: str | None, platform: str) -> list[dict]:
    """The claims of a study (None: of all) judged on one rows file (None: on no rows), as text.cells gives them.

    Raises ClaimsError, and StoreError for a damaged rows file.
    """
    kept = _place(rows_path, study, platform)
    try:
        return json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never judged, or cut off in the middle of the writing
        found = _judge(rows_path, study, platform)
    for old in kept.parent.glob(f"{kept.name.split('.')[0]}.*.json"):
        old.unlink(missing_ok=True)
    store.write_atomically(kept, json.dumps(found, ensure_ascii=False))
    return found


def ahead(files: Iterable[tuple[Path, str, str]]) -> None:
    """Judge those of these files (path, study, platform) that never were, some at a time in processes of their own.

    What is wrong with a file is told where its cells are asked for.
    """
    waiting = [[str(path), study, platform] for path, study, platform in files if not _place(path, study, platform).exists()]
    if len(waiting) > FEW and (os.cpu_count() or 1) > 1:
        apart.run("edgekit.claims.judged:judge", waiting)


def judge(path: str, study: str, platform: str) -> None:
    """Judge a file whose cells somebody will ask for."""
    cells(Path(path), study, platform)


def frame(rows_path: Path) -> pd.DataFrame:
    """The rows of a file, with their machines (see provenance.with_machine), which nobody may write into: those of the last
    file stay for whoever asks next. Raises StoreError."""
    return _frame(rows_path, tuple(map(_stamp, _beside(rows_path))))


@functools.lru_cache(maxsize=1)
def _frame(rows_path: Path, _stamps: tuple) -> pd.DataFrame:
    return provenance.with_machine(store.read_frame(rows_path)[0], rows_path)


def _judge(rows_path: Path | None, study: str | None, platform: str) -> list[dict]:
    from edgekit.claims import comparable, text
    from edgekit.claims import judgement as claims

    if rows_path is None:
        return text.cells(claims.judge(claims.load(study), None, platform))
    rows = frame(rows_path)
    refused = comparable.refusal(rows, provenance.read_manifests(rows_path), study)
    return text.cells(claims.judge(claims.load(study), rows, platform, refused))


def _place(rows_path: Path | None, study: str | None, platform: str) -> Path:
    """The file of a judgement: `<what was judged>.<hash of all that decides it>.json`."""
    what = hashlib.blake2b(store.canonical([str(rows_path), study, platform]).encode(), digest_size=6).hexdigest()
    return store.OUTPUT / "artifacts" / "judged" / f"{what}.{hash_of(rows_path, study, platform)}.json"


def hash_of(rows_path: Path | None, *more: str | None, libraries: Iterable[str] = ()) -> str:
    """A hash of all that decides what rows say: their file and what lies beside it, what was published, this code, the
    versions of what computes (and of `libraries`), and `more` words."""
    beside = [] if rows_path is None else _beside(rows_path)
    beside += [rows.path for rows in committed.files()]  # which a quantity may count over
    code = Path(__file__).parents[1]
    versions = [python_platform.python_version(), *map(provenance.installed, (*LIBRARIES, *libraries))]
    digest = hashlib.blake2b(store.canonical([*more, *versions]).encode(), digest_size=12)
    for file in [*beside, *sorted(code.rglob("*.py")), *sorted((store.ROOT / "data/published").iterdir())]:
        digest.update(f"{file.name}\n".encode())
        digest.update(_hash(file, _stamp(file)))
    return digest.hexdigest()


def _beside(rows_path: Path) -> list[Path]:
    return [rows_path, store.plan_path(rows_path), provenance.manifest_path(rows_path)]


def _stamp(file: Path) -> tuple[int, int] | None:
    """What tells that a file was written to since; None for one that is not there."""
    if not file.exists():
        return None
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size


@functools.cache
def _hash(file: Path, stamp: tuple[int, int] | None) -> bytes:
    return b"none" if stamp is None else hashlib.blake2b(file.read_bytes()).digest()
