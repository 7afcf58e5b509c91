"""Folders that the kit makes: addressed by the hash of what made them, built once, in artifacts/.

A folder counts as built when its `artifact.json` stands and names every file with its size; it is written last, so a
killed or failed build leaves nothing that could be taken for whole, and the next one starts afresh.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edgekit import store
from edgekit.errors import RunFailed


class BuildError(RunFailed):
    """An artifact cannot be built; the message says what is missing."""


def address(made_of: dict) -> str:
    """Content address of an artifact: 16 hex digits of the hash of what made it."""
    return hashlib.blake2b(store.canonical(made_of).encode(), digest_size=8).hexdigest()


def place(made_of: dict) -> Path:
    """The folder that `made_of` addresses, there or not."""
    return store.OUTPUT / "artifacts" / address(made_of)


def build_once(made_of: dict, title: str, needs_bytes: int, build: Callable[[Path], None]) -> Path:
    """The folder of the artifact that `made_of` addresses; `build(folder)` fills it if it is not there and whole.

    `title` names the source in errors; `needs_bytes` is about what it will take on disk. Raises
    BuildError when the disk is too small.
    """
    from filelock import FileLock
    from safetensors import SafetensorError

    folder = place(made_of)
    root, name = folder.parent, folder.name
    root.mkdir(parents=True, exist_ok=True)
    building = root / f".building-{name}"
    with FileLock(str(root / f".{name}.lock")):
        if is_whole(folder):
            return folder
        for leftover in (folder, building):
            if leftover.exists():
                shutil.rmtree(leftover)
        free = shutil.disk_usage(root).free
        needs_bytes = int(needs_bytes * 1.05 + 2e8)
        if free < needs_bytes:
            raise BuildError(f"{made_of['step']} of {title} needs {needs_bytes / 1e9:.1f} GB in {root}, {free / 1e9:.1f} GB "
                             "are free; make room (artifacts/ may be deleted at any time)")
        building.mkdir()
        try:
            build(building)
        except BaseException as error:  # Ctrl-C too: gigabytes of a half-made artifact must not stay
            shutil.rmtree(building)
            if isinstance(error, (OSError, SafetensorError)):
                reason = getattr(error, "strerror", None) or error
                raise BuildError(f"cannot write {building}: {reason}; make room and run the same command again") from error
            raise
        files = {file.name: file.stat().st_size for file in building.iterdir()}
        store.write_atomically(building / "artifact.json",
                               json.dumps({"made_of": made_of, "files": files}, indent=1) + "\n")
        os.replace(building, folder)
    return folder


def remove(made_of: dict) -> None:
    """Delete the artifact that `made_of` addresses, if it stands, so that the next build makes it anew."""
    from filelock import FileLock

    folder = place(made_of)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder.parent / f".{folder.name}.lock")):
        if folder.exists():
            shutil.rmtree(folder)


def is_whole(folder: Path) -> bool:
    """Whether the folder of an artifact holds every file that its record names."""
    record = folder / "artifact.json"
    if not record.is_file():
        return False
    files = json.loads(record.read_text(encoding="utf-8"))["files"]
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items())
