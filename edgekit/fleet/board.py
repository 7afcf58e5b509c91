"""What a board does when it is asked: it says who it is, plans, measures one unit at a time, and passes on what it built.

Dask calls `do` and nothing else: a word of CALLS, JSON, and bytes. The functions that units name are those that measure.
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from pathlib import Path

from edgekit import store
from edgekit.building import is_whole
from edgekit.compress import variant
from edgekit.errors import EdgekitError
from edgekit.fleet import ship, wire
from edgekit.measure.worker import run_job
from edgekit.studies import needs
from edgekit.studies.local import Allowed, Local

PLAN_TIMEOUT_S = 1800.0
# The jobs that a unit may name: nothing else in these modules has such a name, and no unit names anything else
MEASURES = re.compile(r"edgekit\.(measure\.\w+|studies\.\w+\.jobs\w*):measure_\w+")
CALLS = ("about", "plan", "measure", "listing", "read", "write", "finish")

BOARDS: dict[str, Board] = {}  # those that this process is; more than one where a fleet is simulated


def do(call: str, text: str, data: bytes = b"") -> tuple[str, bytes]:
    """One call of the board that this worker is: the answer as JSON, and bytes. A refusal is an answer: {"refused": why}."""
    from distributed import get_worker

    board = BOARDS[get_worker().name]
    try:
        if call not in CALLS:
            raise EdgekitError(f"{call!r} is nothing that a board does: it does {', '.join(CALLS)}")
        request = json.loads(text)
        with board.one:
            answer = getattr(board, call)(request, data) if call == "write" else getattr(board, call)(request)
    except EdgekitError as error:
        return json.dumps({"refused": str(error)}), b""
    return (json.dumps({"read": len(answer)}), answer) if isinstance(answer, bytes) else (json.dumps(answer), b"")


class Board:
    """One board. folder: where it keeps results until the run has them. `measures`: what a unit's function must look like."""

    def __init__(self, name: str, kind: str, folder: Path, measures: re.Pattern = MEASURES):
        self.name, self.kind, self.folder = name, kind, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.one = threading.Lock()  # one thing at a time, also where a call of before the connection broke still runs
        self._local, self._measures = Local(name), measures
        self._copies: set[str] = set()
        self._about: dict | None = None

    def about(self, request: dict) -> dict:
        """Who it is and says it is, what it has built, and the keys of the units whose results wait here."""
        self.close()  # a run begins: free memory is looked at anew, and what was built may be gone
        self._local = Local(self.name)
        self._about = self._about or run_job("edgekit.fleet.planning:about", {}, timeout_s=PLAN_TIMEOUT_S)
        return self._about | dict(
            kind=self.kind, artifacts=ship.here(), outbox=sorted(path.stem for path in self._outbox(request).glob("*.json")))

    def plan(self, request: dict) -> dict:
        """The units of a study (see planning.plan), with what a manifest says of this board. rows: the run's file of them, of a
        study whose plan goes on from there. Raises NotReady where this board is not as the profile's has to be."""
        study, values, environment = request["study"], request["values"], {}
        if request["rows"] is not None:
            output = self.folder / "plan"  # the rows of this board's own runs are of no interest
            store.write_atomically(output / "runs" / values["profile"] / f"{study}.jsonl", request["rows"])
            environment = dict(EDGEKIT_OUTPUT=str(output))
        planned = self.planned(study, values, environment)
        self._local.require_ready(values["profile"], map(wire.unit, planned["units"]), print)
        threads = [unit["condition"]["threads"] for unit in planned["units"]][:1]
        facts = [self._local.facts(count, request["values"]["device"]) for count in threads]
        return planned | dict(facts=[dataclasses.asdict(one) for one in facts])

    def planned(self, study: str, values: dict, environment: dict[str, str]) -> dict:
        """A study's plan, made in a process of its own."""
        return run_job("edgekit.fleet.planning:plan", dict(study=study, values=values), timeout_s=PLAN_TIMEOUT_S,
                       environment=environment)

    def measure(self, request: dict) -> dict:
        """How a unit ended, and what of `built` is here now. Its rows are on this disk before they are told: a call that comes
        twice finds them."""
        self.finish(dict(scope=request["scope"], keys=request["finished"]))
        unit, kept = wire.unit(request["unit"]), self._outbox(request) / f"{request['key']}.json"
        if not self._measures.fullmatch(unit.function):
            raise EdgekitError(f"{unit.function!r} is no job of a study: a board runs {self._measures.pattern}")
        if kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        for copy in self._copies - needs.copies(unit):
            variant.forget(copy)
        self._copies = needs.copies(unit)
        outcome = self._local.run(unit, Allowed(**request["allowed"]), request["within_s"])
        answer = dict(outcome=dataclasses.asdict(outcome),
                      built=[address for address in request["built"] if is_whole(ship.place(address))])
        if outcome.answer is not None:
            store.write_atomically(kept, json.dumps(answer))
        return answer

    def finish(self, request: dict) -> dict:
        """Forget the results of units whose rows the run has."""
        for key in request["keys"]:
            (self._outbox(request) / f"{key}.json").unlink(missing_ok=True)
        return {}

    def _outbox(self, request: dict) -> Path:
        """Where the results of one run's units are kept until it has them."""
        if not re.fullmatch(r"[0-9a-f]+", request["scope"]):
            raise EdgekitError(f"{request['scope']!r} is no scope of a run: expected hex digits")
        return self.folder / "outbox" / request["scope"]

    def listing(self, request: dict) -> dict:
        """The files of an artifact, with bytes and hashes."""
        return ship.listing(request["address"])

    def read(self, request: dict) -> bytes:
        """A piece of a file of an artifact."""
        return ship.read(request["address"], request["file"], request["at"])

    def write(self, request: dict, data: bytes) -> dict:
        """A piece of an artifact that another board built; the last one makes it whole (see ship.Arrival)."""
        return ship.write(request, data)

    def close(self) -> None:
        """End the processes that units shared."""
        self._local.close()
