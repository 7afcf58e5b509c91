"""Artifacts from one machine to another, by what they are addressed by: in pieces, and whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

from edgekit import store
from edgekit.building import is_whole
from edgekit.errors import RunFailed

PIECE_BYTES = 16 << 20
Call = tuple[str, dict, bytes]  # what a board is asked: see board.do


class ShipError(RunFailed):
    """An artifact did not arrive as it was sent; the message names the file."""


def place(address: str) -> Path:
    """The folder of an artifact on this machine, there or not. Raises ShipError for what is no address."""
    if not re.fullmatch(r"[0-9a-f]{16}", address):
        raise ShipError(f"{address!r} is no address of an artifact: expected 16 hex digits")
    return store.OUTPUT / "artifacts" / address


def here() -> list[str]:
    """The addresses of the artifacts that are whole on this machine."""
    folder = store.OUTPUT / "artifacts"
    names = [path.name for path in folder.iterdir() if re.fullmatch(r"[0-9a-f]{16}", path.name)] if folder.is_dir() else []
    return sorted(name for name in names if is_whole(place(name)))


def listing(address: str) -> dict:
    """Name -> [bytes, SHA-256] of the files of an artifact. Raises ShipError where it is not whole here."""
    folder = place(address)
    if not is_whole(folder):
        raise ShipError(f"artifact {address} is not whole on this board")
    return {path.name: [path.stat().st_size, _hash(path)] for path in sorted(folder.iterdir())}


def read(address: str, file: str, at: int) -> bytes:
    """A piece of a file, from a byte on."""
    with open(_inside(place(address), file), "rb") as stream:
        stream.seek(at)
        return stream.read(PIECE_BYTES)


def write(request: dict, data: bytes) -> dict:
    """A piece of a file of `address`, at byte `at`; with `files` (a listing) instead of a file: all of it was sent.

    Raises ShipError where what arrived is not what was sent; it is then thrown away.
    """
    folder = place(request["address"])
    arriving = folder.with_name(f".arriving-{folder.name}")
    if "files" not in request:
        arriving.mkdir(parents=True, exist_ok=True)
        path = _inside(arriving, request["file"])
        with open(path, "r+b" if path.exists() else "wb") as stream:
            stream.seek(request["at"])
            stream.write(data)
        return {}
    for name, (size, digest) in request["files"].items():
        path = _inside(arriving, name)
        if not path.is_file() or path.stat().st_size != size or _hash(path) != digest:
            shutil.rmtree(arriving, ignore_errors=True)
            raise ShipError(f"artifact {folder.name}: {name} did not arrive as it was sent; the next unit sends it again")
    if is_whole(folder):
        shutil.rmtree(arriving)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(arriving, folder)
    return {}


def _inside(folder: Path, file: str) -> Path:
    if Path(file).name != file or file in ("", ".", ".."):
        raise ShipError(f"{file!r} is no name of a file")
    return folder / file


def _hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pieces(size: int) -> Iterator[int]:
    """Where the pieces of a file begin; an empty one has one."""
    yield from range(0, max(size, 1), PIECE_BYTES)


def pull(address: str) -> Generator[Call, tuple[dict, bytes], None]:
    """Bring an artifact here: the calls of the board that has it, each answered before the next."""
    files, _ = yield "listing", dict(address=address), b""
    for name, (size, _) in files.items():
        for at in pieces(size):
            _, data = yield "read", dict(address=address, file=name, at=at), b""
            write(dict(address=address, file=name, at=at), data)
    write(dict(address=address, files=files), b"")


def push(address: str) -> Generator[Call, tuple[dict, bytes], None]:
    """Take an artifact that is here to a board: the calls of that board."""
    files = listing(address)
    for name, (size, _) in files.items():
        for at in pieces(size):
            yield "write", dict(address=address, file=name, at=at), read(address, name, at)
    yield "write", dict(address=address, files=files), b""
