"""Verdicts of rows files, judged once: kept beside the artifacts under a hash of the rows, the claims and the code.

What is kept are texts and their numbers (see text.py), so a report of what was judged before reads no rows.
"""

from __future__ import annotations

import hashlib
import json
import platform as python_platform
from pathlib import Path

from edgekit import committed, provenance, store

LIBRARIES = ("numpy", "pandas", "scipy")  # other versions may round otherwise


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


def _judge(rows_path: Path | None, study: str | None, platform: str) -> list[dict]:
    from edgekit.claims import judgement as claims
    from edgekit.claims import text

    frame = store.to_frame([]) if rows_path is None else provenance.with_machine(store.read_frame(rows_path)[0], rows_path)
    return text.cells(claims.judge(claims.load(study), frame, platform))


def _place(rows_path: Path | None, study: str | None, platform: str) -> Path:
    """The file of a judgement: `<what was judged>.<hash of all that decides it>.json`."""
    what = hashlib.blake2b(store.canonical([str(rows_path), study, platform]).encode(), digest_size=6).hexdigest()
    beside = [] if rows_path is None else [rows_path, store.plan_path(rows_path), provenance.manifest_path(rows_path)]
    beside += [rows.path for rows in committed.files()]  # which a quantity may count over
    code = Path(__file__).parents[1]
    digest = hashlib.blake2b(store.canonical([
        study, platform, python_platform.python_version(), *map(provenance.installed, LIBRARIES)]).encode(), digest_size=12)
    for file in [*beside, *sorted(code.rglob("*.py")), *sorted((store.ROOT / "data/published").iterdir())]:
        digest.update(f"{file.name}\n".encode())
        digest.update(hashlib.blake2b(file.read_bytes()).digest() if file.exists() else b"none")
    return store.OUTPUT / "artifacts" / "judged" / f"{what}.{digest.hexdigest()}.json"
