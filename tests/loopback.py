"""A fleet on this machine: a scheduler and boards as processes of their own, each with an output folder of its own, and a run
that asks them. Boards may be killed, stopped and started again.

As a program it is one of those processes; a board then also runs the jobs of tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
JOBS = re.compile(r"edgekit\.(measure|studies)\.[\w.]+:[a-z]\w*|jobs:\w+")


@dataclasses.dataclass
class Loopback:
    """A scheduler that runs, and the boards that were started: name -> process."""

    folder: Path
    address: str
    scheduler: subprocess.Popen
    boards: dict[str, subprocess.Popen] = dataclasses.field(default_factory=dict)

    def start(self, name: str, *options: str, prefix: tuple[str, ...] = ()) -> None:
        """A board joins, or comes again with the same folder."""
        self.boards[name] = _process(self.folder / name, [*prefix], "board", self.address, name, *options)

    def kill(self, name: str) -> None:
        """As a power cut does it: at once, without a word."""
        self.boards[name].send_signal(signal.SIGKILL)
        self.boards[name].wait()

    def joined(self, name: str, times: int = 1) -> None:
        """Wait until a board has joined so often."""
        deadline = time.monotonic() + 120
        while self.log(name).count("is a board of") < times:
            assert time.monotonic() < deadline and self.boards[name].poll() is None, self.log(name)
            time.sleep(0.05)

    def log(self, name: str) -> str:
        return (self.folder / name / "log.txt").read_text()


def _process(folder: Path, prefix: list[str], *arguments: str) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"EDGEKIT_OUTPUT": str(folder), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
                                "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen([*prefix, sys.executable, str(HERE / "loopback.py"), *arguments], stdout=log,
                                stderr=subprocess.STDOUT, env=environment, start_new_session=True)


@contextlib.contextmanager
def loopback(folder: Path, boards=(), certificates: Path | None = None, host: str = "127.0.0.1"):
    """A fleet with these boards; all of it ends with the block."""
    scheme = "tls" if certificates else "tcp"
    scheduler = _process(folder / "scheduler", [], "scheduler", f"{scheme}://{host}:0", *filter(None, [
        certificates and str(certificates)]))
    fleet = Loopback(folder, "", scheduler)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(rf"{scheme}://\S+", fleet.log("scheduler"))):
            if scheduler.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(fleet.log("scheduler"))
            time.sleep(0.05)
        fleet.address = found[0]
        for name in boards:
            fleet.start(name)
        yield fleet
    finally:
        for process in (*fleet.boards.values(), scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main(what: str, address: str, *rest: str) -> None:
    import pytest
    import toy_nights

    from edgekit import store
    from edgekit.catalog import platforms
    from edgekit.fleet import join, planning, scheduler, settings
    from edgekit.fleet.board import Board

    class Toy(Board):
        """A board that knows the toy study, and may say what is not so."""

        def about(self, request: dict) -> dict:
            self._about = dict(kit=planning.kit(), platform=platforms.current().slug, runtimes={})
            found = super().about(request)
            return found | {"kit": found["kit"] | {name: told[name] for name in ("edgekit", "code") if name in told}}

        def planned(self, study: str, values: dict, environment: dict[str, str]) -> dict:
            if study not in toy_nights.STUDIES:
                return super().planned(study, values, environment)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(store, "OUTPUT", Path(environment.get("EDGEKIT_OUTPUT", store.OUTPUT)))
                return planning.plan(study, values)

    toy_nights.register()

    def say(text: str) -> None:
        print(text, flush=True)

    if ttl := os.environ.get("TOY_TTL"):
        settings.QUIET["distributed.scheduler.worker-ttl"] = ttl
        settings.HEARTBEAT = "500ms"
    if what == "scheduler":
        scheduler.run(address, Path(rest[0]) if rest else None, say)
        return
    name, *options = rest
    told = dict(option.split("=") for option in options)
    board = Toy(name, told.get("kind") or join.own_kind(None), join.folder_of(name), JOBS)
    asyncio.run(join.serve(address, board, Path(told["certificates"]) if "certificates" in told else None, say))


if __name__ == "__main__":
    main(*sys.argv[1:])
