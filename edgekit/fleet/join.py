"""`edgekit fleet join`: this machine as a board of a fleet, until it is stopped. It comes back after whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from edgekit import store
from edgekit.catalog import platforms
from edgekit.fleet import board as boards
from edgekit.fleet import security, settings
from edgekit.fleet.board import Board
from edgekit.fleet.errors import FleetError

AGAIN_S = 2.0  # between attempts to join, doubled up to MOST_S
MOST_S = 30.0


def own_kind(kind: str | None) -> str:
    """The kind of board that this machine is. Raises FleetError where `kind` says another."""
    here = platforms.current()
    if kind is not None and kind != here.slug:
        raise FleetError(f"--kind {kind}: this machine is {here.slug} ({here.name}), as edgekit doctor says; leave --kind "
                         "out, or join from the board that was meant")
    return here.slug


def folder_of(name: str) -> Path:
    """Where a board keeps what its run does not have yet."""
    return store.OUTPUT / "fleet" / name


def resource(name: str) -> str:
    """What only the board of this name has, in Dask's terms."""
    return f"board:{name}"


async def serve(address: str, board: Board, certificates: Path | None, said: Callable[[str], None] = lambda _: None) -> None:
    """Be a board until it is cancelled. Raises FleetError where the scheduler refuses it for good."""
    settings.apply()
    settings.undo_limits()
    secured = security.load(certificates, address)
    boards.BOARDS[board.name] = board
    pause, told = AGAIN_S, ""
    while True:
        try:
            await asyncio.to_thread(security.require_welcome, address, secured, "worker")
            async with worker(address, board, secured) as joined:
                said(f"{board.name} ({board.kind}) is a board of {address}")
                pause, told = AGAIN_S, ""
                await joined.finished()
            said(f"{board.name}: the connection to {address} is gone; joining again")
        except (TimeoutError, OSError, ValueError, RuntimeError) as error:  # nobody there, or the name not free yet
            if isinstance(error, FleetError):
                raise
            if (now := f"{board.name} cannot join {address} yet: {_first_line(error)}") != told:
                said(now)
                told = now
        await asyncio.sleep(pause)
        pause = min(2 * pause, MOST_S)


def worker(address: str, board: Board, secured):
    """Dask's worker of one board: one thread, no nanny, no limit on memory, which belongs to the measurement's process."""
    from distributed import Worker

    return Worker(address, name=board.name, nthreads=1, memory_limit=0, resources={resource(board.name): 1}, security=secured,
                  heartbeat_interval=settings.HEARTBEAT, dashboard=False, local_directory=str(board.folder / "scratch"))


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


def run(address: str, name: str, kind: str | None, certificates: Path | None, said: Callable[[str], None]) -> None:
    """Be a board until Ctrl-C. Raises FleetError: see own_kind and serve; or where another process here has this name."""
    from filelock import FileLock, Timeout

    security.require_name(name)
    board = Board(name, own_kind(kind), folder_of(name))
    try:
        with FileLock(str(folder_of(name) / "lock"), timeout=0), contextlib.closing(board):
            asyncio.run(serve(address, board, certificates, said))
    except Timeout as error:
        raise FleetError(f"{name} is joined already by another process of this machine; stop that one first") from error
