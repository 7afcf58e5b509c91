"""Where rows come from: the manifest of each run, beside the rows that it wrote."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import store
from edgekit.catalog import engines
from edgekit.store import StoreError

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("edgekit", "torch", "gguf", "lm_eval", "zeus", "numpy", "tokenizers", "papermill")


@dataclass
class Manifest:
    """What a run was: enough to say which machine, code and parameters made its rows. version: of the study, None where a
    run of before did not say."""

    run: str
    study: str
    params: dict
    seed: int
    git_commit: str
    git_dirty: bool
    packages: dict[str, str]
    machine: dict
    platform: str
    memory_bandwidth_byte_per_s: list[float]
    inputs: dict[str, str]
    started: str
    engines: dict[str, dict] = field(default_factory=dict)
    duration_s: float = 0.0
    planned: int = 0
    completed: int = 0
    reused: int = 0
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)
    version: int | None = None
    caveats: list[str] = field(default_factory=list)  # how the board was not as it should be, and that was accepted
    states: dict[str, dict] = field(default_factory=dict)  # how the device stood while a timed unit ran, by its key


def manifest_path(rows_path: Path) -> Path:
    return store.beside(rows_path, "manifest")


def read_manifests(rows_path: Path) -> dict[str, dict]:
    """Manifests of all runs that wrote to a rows file, by run id, oldest first."""
    path = manifest_path(rows_path)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is not JSON ({error}); restore it, or delete it: rows stay readable") from error


def write_manifest(rows_path: Path, *manifests: Manifest) -> None:
    """Add or replace the manifest of each of some runs beside its rows."""
    runs = read_manifests(rows_path) | {manifest.run: dataclasses.asdict(manifest) for manifest in manifests}
    store.write_atomically(manifest_path(rows_path), json.dumps(runs, indent=1, ensure_ascii=False) + "\n")


def with_machine(frame: pd.DataFrame, rows_path: Path) -> pd.DataFrame:
    """A frame of a file's rows with what the manifests say of the machine of each run: `last_level_cache_bytes`, empty where a
    run has no manifest or the machine did not say."""
    caches = {run: facts["machine"].get("cpu", {}).get("last_level_cache_bytes")
              for run, facts in read_manifests(rows_path).items()}
    known = {run: float(size) for run, size in caches.items() if isinstance(size, int)}
    return frame.assign(last_level_cache_bytes=frame.run.map(known)) if len(frame) else frame


def platform_of(rows_path: Path) -> str:
    """The platform that a file's rows were measured on. Raises StoreError without manifests, or for several."""
    found = sorted({facts["platform"] for facts in read_manifests(rows_path).values()})
    if len(found) != 1:
        raise StoreError(f"{manifest_path(rows_path)}: expected the manifests of one platform beside the rows, got "
                         f"{', '.join(found) or 'none'}; copy the file that lies beside them")
    return found[0]


@functools.cache
def installed(package: str) -> str | None:
    """The installed version of a package; None without one. Looked up once a process: it takes reading and parsing a file."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages() -> dict[str, str]:
    """Versions of what can change a number: of every package that brings a runtime the one that is there; "not installed" for
    what is not."""
    found = {}
    for names in [(name,) for name in PACKAGES] + [runtime.packages for runtime in engines.runtimes().values()]:
        versions = {name: version for name in names if (version := installed(name)) is not None}
        found |= versions or {names[0]: "not installed"}
    return found


def git_state() -> tuple[str, bool]:
    """(commit, whether tracked files differ from it); ("not a git checkout", True) for an unpacked archive."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(store.ROOT), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout", True
