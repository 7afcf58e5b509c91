"""A circuit breaker on a clock of the kit's: the library's own is the machine's, to whole seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """Time as it passes."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def breaker(failures: int, reset_s: float, clock: Clock, breaks: Callable[[BaseException], bool]):
    """One that opens after so many failures in a row, of those that `breaks` is true of, and lets a probe through after
    `reset_s`."""
    import circuitbreaker

    lock = threading.Lock()

    class Breaker(circuitbreaker.CircuitBreaker):
        def __exit__(self, *raised):
            with lock:
                super().__exit__(*raised)
                if self._state == circuitbreaker.STATE_OPEN:
                    self._opened = clock.now()
            return False

        @property
        def open_remaining(self) -> float:
            return self._opened + self._recovery_timeout - clock.now()

    return Breaker(failures, reset_s, lambda _, error: breaks(error))
