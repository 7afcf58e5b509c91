"""Verdicts of rows files, judged once: kept beside the artifacts under a hash of the rows, the claims and the code.

What is kept are texts and their numbers (see text.py), so a report of what was judged before reads no rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform as python_platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from edgekit import provenance, store

LIBRARIES = ("numpy", "pandas", "scipy")  # other versions may round otherwise
FEW = 3  # files that are judged here: a process takes seconds to begin
MOST = 4  # processes, of which each holds the rows of one file


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
    waiting = sorted((one for one in files if not _place(*one).exists()), key=lambda one: -one[0].stat().st_size)
    count = min(os.cpu_count() or 1, MOST)
    if len(waiting) <= FEW or count < 2:
        return
    code = Path(__file__).parents[2]
    environment = os.environ | {"EDGEKIT_HOME": str(store.ROOT), "EDGEKIT_OUTPUT": str(store.OUTPUT),
                                "PYTHONPATH": os.pathsep.join(filter(None, (str(code), os.environ.get("PYTHONPATH"))))}
    program = "import json, sys\nfrom pathlib import Path\nfrom edgekit.claims import judged\n" \
              "for path, study, platform in json.load(sys.stdin): judged.cells(Path(path), study, platform)"
    running = []
    for number in range(count):
        one = subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        one.stdin.write(json.dumps([[str(path), study, platform] for path, study, platform in waiting[number::count]]))
        one.stdin.close()
        running.append(one)
    for one in running:
        one.wait()


def _judge(rows_path: Path | None, study: str | None, platform: str) -> list[dict]:
    from edgekit.claims import comparable, text
    from edgekit.claims import judgement as claims

    if rows_path is None:
        return text.cells(claims.judge(claims.load(study), None, platform))
    frame = provenance.with_machine(store.read_frame(rows_path)[0], rows_path)
    refused = comparable.refusal(frame, provenance.read_manifests(rows_path), study)
    return text.cells(claims.judge(claims.load(study), frame, platform, refused))


def _place(rows_path: Path | None, study: str | None, platform: str) -> Path:
    """The file of a judgement: `<what was judged>.<hash of all that decides it>.json`."""
    what = hashlib.blake2b(store.canonical([str(rows_path), study, platform]).encode(), digest_size=6).hexdigest()
    beside = [] if rows_path is None else [rows_path, store.plan_path(rows_path), provenance.manifest_path(rows_path)]
    code = Path(__file__).parents[1]
    digest = hashlib.blake2b(store.canonical([
        study, platform, python_platform.python_version(), *map(provenance.installed, LIBRARIES)]).encode(), digest_size=12)
    for file in [*beside, *sorted(code.rglob("*.py")), *sorted((store.ROOT / "data/published").iterdir())]:
        digest.update(f"{file.name}\n".encode())
        digest.update(hashlib.blake2b(file.read_bytes()).digest() if file.exists() else b"none")
    return store.OUTPUT / "artifacts" / "judged" / f"{what}.{digest.hexdigest()}.json"
