"""Dask's settings in a fleet: nothing of it may disturb what is timed, and nothing is placed but by us."""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping

TTL_S = 60  # a board that was silent for so long is gone
QUIET = {
    "distributed.worker.profile.enabled": False,  # it samples the stack a hundred times a second
    "distributed.admin.system-monitor.interval": "30s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.tick.limit": "1h",
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 1_000_000,  # the run counts them itself, and knows what to say of them
    "distributed.scheduler.worker-ttl": f"{TTL_S}s",
    "distributed.scheduler.events-cleanup-delay": "1m",
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "30s",
}
HEARTBEAT = "5s"
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")


def undo_limits(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take away what Dask's nannies set for the processes that they start: a measurement's threads are those of its unit."""
    for name in LIMITS:
        environment.pop(name, None)


def apply() -> None:
    """Set Dask up for a fleet in this process, before anything of it is started."""
    import dask
    import distributed  # noqa: F401  (brings its defaults, which these replace)

    dask.config.set(QUIET)
    logging.getLogger("distributed").setLevel(logging.WARNING)  # who comes and goes is said in our own words
