"""Signs of life: what a measuring process tells the one that waits for it, while it works.

A job reports each step that it has done (a token, a block, a batch, a request, a training step) where it does it, in memory
that both processes share; nothing beats by itself. In a process that nobody waits for these calls do nothing.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

LAYOUT = struct.Struct("<Qd")  # steps done so far; seconds that the rest was foretold to take, 0 for no forecast

_shared: mmap.mmap | None = None
_steps = 0
_forecast = 0.0


def create(path: Path) -> mmap.mmap:
    """The shared memory of a new process, at `path`; made by the process that waits."""
    path.write_bytes(LAYOUT.pack(0, 0.0))
    return _map(path)


def attach(path: Path) -> None:
    """Report to the memory at `path` from now on; called by the process that works."""
    global _shared
    _shared = _map(path)


def reset(shared: mmap.mmap) -> None:
    """Forget what was reported of the job before; by the process that waits, while the other one is idle."""
    shared[:] = LAYOUT.pack(0, 0.0)


def begin() -> None:
    """A new job starts, in the process that works."""
    global _steps, _forecast
    _steps, _forecast = 0, 0.0
    step()


def step() -> None:
    """One step is done."""
    global _steps
    if _shared is not None:
        _steps += 1
        LAYOUT.pack_into(_shared, 0, _steps, _forecast)


def foretell(seconds: float) -> None:
    """What is left of the job should take so long, by what its warm-up took. A later forecast replaces an earlier one."""
    global _forecast
    _forecast = seconds
    step()


def read(shared: mmap.mmap) -> tuple[int, float]:
    """(steps done, seconds foretold at the last forecast or 0) of the process that works."""
    return LAYOUT.unpack_from(shared, 0)


def _map(path: Path) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), LAYOUT.size)
