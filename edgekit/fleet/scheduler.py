"""The scheduler that boards join and runs ask: Dask's, which passes calls on and says who comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from distributed.diagnostics.plugin import SchedulerPlugin

from edgekit.fleet import planning, security, settings
from edgekit.fleet.errors import FleetError

TOPIC = "edgekit-fleet"  # events of boards: {"event": joined or left, "board": its name}


class Roll(SchedulerPlugin):
    """Says who joins and who leaves."""

    name = TOPIC

    def __init__(self):
        self._names: dict[str, str] = {}

    def add_worker(self, scheduler, worker: str) -> None:
        self._names[worker] = scheduler.workers[worker].name
        scheduler.log_event(TOPIC, {"event": "joined", "board": self._names[worker]})

    def remove_worker(self, scheduler, worker: str, **_) -> None:
        if name := self._names.pop(worker, None):
            scheduler.log_event(TOPIC, {"event": "left", "board": name})


def kit(dask_scheduler) -> dict | None:
    """Which kit a scheduler runs; None of one that is not a fleet's. Called by Dask on the scheduler."""
    return planning.kit() if TOPIC in dask_scheduler.plugins else None


async def start(address: str, certificates: Path | None, said: Callable[[str], None] = lambda _: None) -> None:
    """Be the scheduler at `address` (tls://0.0.0.0:8786) until it is cancelled. `said`: told the address once it listens.

    Raises FleetError: an address that cannot be listened at, certificates that will not do.
    """
    from distributed import Scheduler

    settings.apply()
    secured = security.load(certificates, address)
    try:
        async with Scheduler(host=address, port=0, security=secured, dashboard=False, dashboard_address=None,
                             http_prefix=None) as scheduler:
            scheduler.add_plugin(Roll())
            said(scheduler.address)
            await scheduler.finished()
    except OSError as error:
        raise FleetError(f"cannot listen at {address}: {error.strerror or error}; name an address of this machine and a free "
                         "port") from error


def run(address: str, certificates: Path | None, said: Callable[[str], None]) -> None:
    """The same, until Ctrl-C."""
    asyncio.run(start(address, certificates, said))
