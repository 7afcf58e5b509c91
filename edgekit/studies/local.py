"""This machine as a place where units run: each in a process of its own, or those that may share one in one after another.

What a unit opens is built before it. How a unit ended is an `Outcome`, wherever it ran: here, or on a board of a fleet.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import provenance, store
from edgekit.catalog import boards, platforms
from edgekit.compress import variant
from edgekit.measure import device as devices
from edgekit.measure import readiness
from edgekit.measure.device import DeviceError
from edgekit.measure.monitor import Monitor, Stood
from edgekit.measure.worker import JobFailed, Worker, run_job
from edgekit.store import StoreError
from edgekit.studies import needs

if TYPE_CHECKING:
    from edgekit.studies.runner import Unit

BUILD_TIMEOUT_S = 3600.0
ACCEPT = "EDGEKIT_ACCEPT"  # set in the environment, which notebooks inherit, by --accept


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one unit may take: timeout_s, and the share of the free memory of `device` (cpu, cuda, mps)."""

    timeout_s: float
    memory_share: float
    device: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a manifest says of who measured. board: its name in a fleet, "" of this machine. bandwidth: read, in bytes/s,
    one sample a pass. caveats: in what the board was not as it should be, and that was accepted."""

    board: str
    platform: str
    machine: Mapping
    packages: Mapping[str, str]
    git_commit: str
    git_dirty: bool
    bandwidth: list[float]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a unit ended. answer: what its job gave, None where there is none; `reason` then says why, `expected` whether that is
    no failure, `tried` whether it was started. left: it waits as before, which is no reason to be kept; took_s: wall time, with
    what was built. facts: of who measured or refused it, None of what is left. stood: how the device stood meanwhile,
    of what may be timed."""

    facts: Facts | None
    answer: dict | None = None
    reason: str = ""
    expected: bool = True
    tried: bool = True
    left: bool = False
    took_s: float = 0.0
    stood: Stood | None = None


def left(reason: str) -> Outcome:
    """A unit that was not measured and waits as before."""
    return Outcome(None, reason=reason, left=True)


def allowed_of(config) -> Allowed:
    """What a study's Config lets a unit take."""
    return Allowed(config.timeout_s, config.memory_share, config.device)


class Local:
    """Runs units on this machine, one at a time; a context manager, which ends the processes that units shared. `board`: the
    name of this machine where it is one of a fleet."""

    def __init__(self, board: str = ""):
        self._board = board
        self._shared: dict[int, Worker] = {}
        self._took: dict[str, float] = {}
        self._built: set[str] = set()
        self._memory: dict[tuple[float, str], int] = {}
        self._facts: dict[tuple[int, str], Facts] = {}
        self._caveats: tuple[str, ...] = ()

    def memory_limit_bytes(self, allowed: Allowed) -> int:
        """What one process may take, by what is free when it is first asked for. Raises DeviceError: no such device."""
        at = allowed.memory_share, allowed.device
        if at not in self._memory:
            self._memory[at] = int(allowed.memory_share * devices.free_memory_bytes(allowed.device))
        return self._memory[at]

    def fitting(self, units: list[Unit], allowed: Allowed) -> list[Unit]:
        """The units, those refused that need more memory than one process may take here."""
        free = needs.free_here(allowed.memory_share, devices.total_memory_bytes(allowed.device))
        return needs.fitting(units, self.memory_limit_bytes(allowed), free)

    def require_ready(self, profile: str, units: Iterable[Unit], say: Callable[[str], None]) -> None:
        """Check the board that a profile is made for, before units of it run here; nothing is checked where none of them
        starts, or of a profile for any machine. What is amiss and accepted (ACCEPT) stands in `facts` from now on.

        Raises BoardError and NotReady as readiness.require.
        """
        board = boards.of_profile(profile)
        starts = board is not None and any(unit.refusal is None for unit in units)
        self._caveats = tuple(readiness.require(board, ACCEPT in os.environ, say=say)) if starts else ()

    def facts(self, threads: int, device: str) -> Facts:
        """What a manifest says of this machine; its read bandwidth is measured once for each number of threads and device.

        Raises DeviceError where it cannot be.
        """
        if (threads, device) not in self._facts:
            commit, dirty = provenance.git_state()
            try:
                bandwidth = run_job("edgekit.measure.roofs:bandwidth_samples", dict(threads=threads, device=device),
                                    timeout_s=300)
            except JobFailed as failure:
                raise DeviceError(f"the read bandwidth of this machine, which stands beside its rows, was not measured: "
                                  f"{failure}; run the same command again") from failure
            self._facts[threads, device] = Facts(self._board, platforms.current().slug, devices.describe(),
                                                 provenance.packages(), commit, dirty, bandwidth)
        return replace(self._facts[threads, device], caveats=self._caveats)

    def run(self, unit: Unit, allowed: Allowed, within_s: float | None = None) -> Outcome:
        """How a unit ended, measured here and now. within_s: the time that is left at all, None where there is no end: a unit
        that it cuts is left and not called slow. Raises StoreError where the disk is full."""
        facts = self.facts(unit.condition["threads"], allowed.device)
        if unit.refusal:
            return Outcome(facts, reason=unit.refusal, expected=unit.planned, tried=False)
        began = time.monotonic()
        try:
            self._build(unit, within_s)
            answer, stood = self._watched(unit, allowed, None if within_s is None else within_s - (time.monotonic() - began))
        except JobFailed as failure:
            if failure.kind == "slow" and within_s is not None and time.monotonic() - began >= within_s:
                return left("stopped when the time was up")
            if failure.kind == "disk":  # the next unit would fail as well
                raise StoreError(f"{failure}; what was measured before is kept: free some space, in {tempfile.gettempdir()} "
                                 "too, and run the same command again") from failure
            return Outcome(facts, reason=str(failure), expected=failure.kind == "slow")
        return Outcome(facts, answer, took_s=round(time.monotonic() - began, 3), stood=stood)

    def _build(self, unit: Unit, within_s: float | None) -> None:
        for chain in () if unit.makes else unit.variants:
            if chain not in self._built and variant.is_made(chain):
                run_job("edgekit.compress.variant:build_path", {"text": chain}, timeout_s=_least(BUILD_TIMEOUT_S, within_s))
                self._built.add(chain)

    def _watched(self, unit: Unit, allowed: Allowed, within_s: float | None) -> tuple[dict, Stood | None]:
        """What a unit's job gives, and how the device stood meanwhile, of one that may be timed."""
        if unit.shared:
            return self._answer(unit, allowed, within_s), None
        with Monitor() as monitor:
            answer = self._answer(unit, allowed, within_s)
        return answer, monitor.stood()

    def _answer(self, unit: Unit, allowed: Allowed, within_s: float | None) -> dict:
        """What a unit's job gives. What a unit took foretells what its other repeats take."""
        same, began = store.canonical(dict(unit.condition)), time.monotonic()
        limits = dict(timeout_s=_least(min(allowed.timeout_s, unit.most_s), within_s),
                      memory_limit_bytes=self.memory_limit_bytes(allowed),
                      foretold_s=self._took.get(same))
        answer = self._worker(unit)(unit.function, unit.arguments, **limits)
        self._took[same] = max(time.monotonic() - began, self._took.get(same, 0.0))
        return answer

    def _worker(self, unit: Unit):
        threads = unit.condition["threads"]
        environment = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        if not unit.shared:
            return lambda function, arguments, **limits: run_job(function, arguments, environment=environment, **limits)
        if threads not in self._shared or not self._shared[threads].alive:
            self._end(threads)
            self._shared[threads] = Worker(environment)
        return self._shared[threads].run

    def _end(self, threads: int) -> None:
        if worker := self._shared.pop(threads, None):
            worker.close()

    def close(self) -> None:
        """End the processes that units share."""
        for threads in list(self._shared):
            self._end(threads)

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _least(limit_s: float, within_s: float | None) -> float:
    return limit_s if within_s is None else max(min(limit_s, within_s), 0.0)
