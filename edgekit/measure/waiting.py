"""How long a job is waited for: hung and slow are two things.

*Hung*: no sign of life for HUNG_S. Signs are the steps that the job reports (see edgekit.progress) and the processor time that
its process uses, so that loading or compiling in a library that reports nothing counts as work, and a deadlock does not. A loop
that spins without end uses processor time: it is not hung but slow. Processor time of children counts too (compilers), but not
of those that multiprocessing started: pollers of energy counters are such, and they beat whatever their parent does.

*Slow*: more than SLOW times what the job's own warm-up foretold, or the same unit took before, and at least LEAST_SLOW_S; or
longer than a unit may take at all.
"""

from __future__ import annotations

import contextlib
import mmap
import time
from dataclasses import dataclass

from edgekit import progress

HUNG_S = 60.0
HUNG_CPU_SHARE = 1 / 300  # of one core: 0.2 s in 60 s; what idle threads that wake up use is less
SLOW = 10
LEAST_SLOW_S = 120.0
LOOKS = 20  # at the processor time in HUNG_S, where no step was reported since the last one


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may take. timeout_s: at all; foretold_s: what it should take, None where nobody knows; memory in bytes."""

    timeout_s: float
    memory_limit_bytes: int | None = None
    foretold_s: float | None = None
    hung_s: float = HUNG_S
    least_slow_s: float = LEAST_SLOW_S


class Watch:
    """Of one job in the process `pid`, from now on."""

    def __init__(self, pid: int, shared: mmap.mmap, limits: Limits):
        self.pid, self.shared, self.limits = pid, shared, limits
        self.began = self.alive = self.looked = time.monotonic()
        self.seen = progress.read(shared)
        self.slow_at, self.foretold = None, limits.foretold_s
        if self.foretold is not None:
            self._expect(self.began, self.foretold)
        self.cpu_s = _cpu_s(pid)

    def verdict(self) -> tuple[str, str] | None:
        """(kind, reason) once the job is to be ended; None while it may go on. To be asked every now and then."""
        now, limits = time.monotonic(), self.limits
        found = progress.read(self.shared)
        if found != self.seen:
            if found[1] and found[1] != self.seen[1]:
                self.foretold = found[1]
                self._expect(now, found[1])
            self.seen, self.alive, self.cpu_s = found, now, None
        elif now - self.looked > limits.hung_s / LOOKS:
            self._look(now)
        if now - self.alive > limits.hung_s:
            return "hung", (f"hung: no sign of life for {limits.hung_s:.0f} s (no step was reported, and hardly any processor "
                            "time was used)")
        if self.slow_at is not None and now > self.slow_at:
            return "slow", (f"slow: stopped after {now - self.began:.0f} s; its warm-up, or the same unit before it, foretold "
                            f"{self.foretold:.1f} s, and {SLOW} times that, at least {limits.least_slow_s:.0f} s, is the "
                            "limit; --retry tries it again")
        if now - self.began > limits.timeout_s:
            return "slow", (f"slow: stopped after {now - self.began:.0f} s, the longest that a unit may take (timeout_s); "
                            "--retry tries it again")
        return None

    def _expect(self, now: float, seconds: float) -> None:
        self.slow_at = now + max(SLOW * seconds, self.limits.least_slow_s)

    def _look(self, now: float) -> None:
        """At the processor time: enough of it since the last sign is a sign."""
        self.looked = now
        used = _cpu_s(self.pid)
        if self.cpu_s is None or used < self.cpu_s:  # a child that is gone takes its time with it
            self.cpu_s = used
        elif used - self.cpu_s >= HUNG_CPU_SHARE * self.limits.hung_s:
            self.alive, self.cpu_s = now, used


def _cpu_s(pid: int) -> float:
    """Processor time that a process and what it started have used, as far as it counts."""
    import psutil

    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(pid)
        times = process.cpu_times()
        # Of children that have ended too, where the system tells.
        total = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if not any("multiprocessing" in word for word in child.cmdline()):
                    times = child.cpu_times()
                    total += times.user + times.system
    return total
