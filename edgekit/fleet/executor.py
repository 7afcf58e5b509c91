"""A fleet as the executor of a night: plans on a board, places units, takes what comes back; members.py has the talk.

A board that vanishes gives its unit back, and one that comes again goes on; a unit with which several boards vanished, or no
board came for, ends as a skip.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from edgekit import store, studies
from edgekit.building import is_whole
from edgekit.fleet import ship, wire
from edgekit.fleet.members import Broken, Member, Members, Refused
from edgekit.fleet.placing import Placing
from edgekit.fleet.ship import Call, ShipError
from edgekit.studies.local import Facts, Outcome, left
from edgekit.studies.night import Gate, Planned, Task

FINISH_S = 10.0
LATE = 2  # where so many boards vanished with a unit, others come before it: it may be why
MOST_LOST = 5  # boards that may vanish with one unit before it is given up


class Fleet:
    """Boards of one kind, as an executor (see studies/night.py). patience_s: how long no board may be there before what waits
    is given up. `kind`: the slug of their platform. `scope`: as scope_of gives it."""

    def __init__(self, address: str, certificates: Path | None, kind: str, scope: str, patience_s: float,
                 said: Callable[[str], None]):
        self.kind, self._patience_s, self._said, self._scope = kind, patience_s, said, scope
        self._members = Members(address, certificates, kind, scope, said)
        self._built: dict[str, list[str]] = {}  # chain -> addresses of what is built for it
        self._facts: dict[str, Facts] = {}  # study -> what the board says of itself that planned it

    def plan(self, study: str, config) -> Planned:
        """The units of a study, as one of the boards plans them. Raises FleetLost without a board, or for what it says."""
        request = dict(study=study, values=dataclasses.asdict(config), rows=_so_far(study, config.profile))
        told = self._members.ask(lambda: _one("plan", request), self._patience_s)
        self._built |= told["built"]
        hashes, facts = told["hashes"], [Facts(**one) for one in told["facts"]]
        if facts:
            self._facts[study] = facts[0]
        return Planned(study, told["version"], config, [wire.unit(unit) for unit in told["units"]], told["platform"],
                       lambda: max(facts[0].bandwidth), hashes.__getitem__)

    def outcomes(self, tasks: Sequence[Task], gate: Gate) -> Iterator[tuple[Task, Outcome]]:
        """Each task once, with how it ended."""
        refused = [task for task in tasks if task.unit.refusal]
        for task in refused:
            yield task, Outcome(self._facts[task.study], reason=task.unit.refusal, expected=task.unit.planned, tried=False)
        yield from _Round(self, [task for task in tasks if not task.unit.refusal], gate).outcomes()

    def opens(self, task: Task) -> list[str]:
        """Addresses of all that a unit opens and that is built, in the order of building."""
        return list(dict.fromkeys(address for chain in task.unit.variants for address in self._built.get(chain, ())))

    def close(self) -> None:
        """Leave the scheduler; its boards stay."""
        self._members.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class _Round:
    """One call of `outcomes`: who has which task, what is being built where, and what is over."""

    def __init__(self, fleet: Fleet, tasks: Sequence[Task], gate: Gate):
        self._fleet, self._tasks, self._gate, self._members = fleet, tasks, gate, fleet._members
        self._opens = [fleet.opens(task) for task in tasks]
        self._placing = Placing([None if task.unit.shared else (task.study, task.unit.repeat) for task in tasks])
        self._has: dict[str, int] = {}  # board -> place of its task
        self._building: dict[str, str] = {}  # address -> the board that builds it
        self._lost: dict[int, int] = {}
        self._places = {task.key: place for place, task in enumerate(tasks)}

    def outcomes(self) -> Iterator[tuple[Task, Outcome]]:
        while self._placing.left or self._has:
            for name in self._members.gone():
                self._placing.gone(name)
            for member in self._members.idle():
                yield from self._give(member)
            if not self._placing.left and not self._has:
                break
            if self._members.alone_s() > self._fleet._patience_s:
                yield from self._give_up()
                return
            for member, answer in self._members.ended(timeout_s=0.5):
                if member.name in self._has:
                    yield from self._took(member, answer)
        self._finish()

    def _finish(self) -> None:
        """Boards forget what the run has; one that is not there now does so at its next unit."""
        asked = [member for member in self._members.idle() if member.finished]
        for member in asked:
            self._members.begin(member, _one("finish", dict(scope=self._fleet._scope, keys=member.finished)))
        until = time.monotonic() + FINISH_S
        while asked and time.monotonic() < until:
            over = [member for member, _ in self._members.ended(0.2)]
            asked = [member for member in asked if member not in over]

    def _ready(self, board: str) -> Callable[[int], bool]:
        return lambda place: all(self._building.get(address, board) == board for address in self._opens[place])

    def _give(self, member: Member) -> Iterator[tuple[Task, Outcome]]:
        while (place := self._next(member)) is not None:
            task = self._tasks[place]
            if reason := self._gate.closed(task):
                yield task, left(reason)
                continue
            self._has[member.name] = place
            for address in self._opens[place]:
                if not is_whole(ship.place(address)):
                    self._building.setdefault(address, member.name)
            self._gate.begins(task, member.name)
            self._members.begin(member, self._measured(member, task, self._opens[place]))
            return

    def _next(self, member: Member) -> int | None:
        """What a board gets: first what it measured already before its connection broke, or a run did."""
        while member.outbox:
            place = self._places.get(member.outbox.pop())
            if place is not None and self._placing.take(place):
                return place
        ready = self._ready(member.name)
        place = self._placing.next(member.name, lambda place: ready(place) and self._lost.get(place, 0) < LATE)
        return self._placing.next(member.name, ready) if place is None else place

    def _measured(self, member: Member, task: Task, opens: Sequence[str]) -> Generator[Call, tuple[dict, bytes], dict]:
        """The talk with a board about one unit: it gets what is built elsewhere, measures, and hands over what it built."""
        for address in opens:
            if address not in member.artifacts and is_whole(ship.place(address)):
                yield from ship.push(address)
                member.artifacts.add(address)
        request = wire.job(task.unit, task.key, task.allowed, self._gate.within_s(), opens)
        forget, member.finished = member.finished, []
        answer, _ = yield "measure", request | dict(scope=self._fleet._scope, finished=forget), b""
        member.artifacts.update(answer["built"])
        for address in answer["built"]:
            if not is_whole(ship.place(address)):
                try:
                    yield from ship.pull(address)
                except (Refused, ShipError) as error:  # it is built again elsewhere; the numbers are here
                    self._fleet._said(f"{member.name}: {error}")
        return answer

    def _took(self, member: Member, answer: dict | Broken) -> Iterator[tuple[Task, Outcome]]:
        place = self._has.pop(member.name)
        task = self._tasks[place]
        self._building = {address: board for address, board in self._building.items() if board != member.name}
        if isinstance(answer, Broken):
            if answer.gone:
                self._lost[place] = self._lost.get(place, 0) + 1
                if self._lost[place] < MOST_LOST:
                    self._placing.back(place)
                    return
            reason = f"{MOST_LOST} boards vanished while they measured it" if answer.gone else f"{member.name}: {answer.reason}"
            yield task, Outcome(self._fleet._facts[task.study], reason=reason, expected=False)
            return
        yield task, wire.outcome(answer["outcome"])
        member.finished.append(task.key)

    def _give_up(self) -> Iterator[tuple[Task, Outcome]]:
        """No board is there: what waits is skipped, and measured by the next run."""
        reason = f"no board of the kind {self._fleet.kind} was there for {self._fleet._patience_s:.0f} s"
        while (place := self._placing.next("", lambda _: True)) is not None:
            task = self._tasks[place]
            yield task, Outcome(self._fleet._facts[task.study], reason=reason, expected=False, tried=False)


def _so_far(study: str, profile: str) -> str | None:
    """The file of rows that a study's plan goes on from; None of one whose plan does not."""
    path = store.runs_folder(profile) / f"{study}.jsonl"
    return None if not studies.grows(study) else path.read_text(encoding="utf-8") if path.exists() else ""


def _one(call: str, request: dict) -> Generator[Call, tuple[dict, bytes], dict]:
    """A talk of one call."""
    answer, _ = yield call, request, b""
    return answer


def scope_of(profile: str) -> str:
    """What boards keep a profile's results under until the run has them: a name made up once for its folder of rows, so that a
    fresh folder gets fresh numbers."""
    path = store.runs_folder(profile) / "fleet.txt"
    if not path.exists():
        store.write_atomically(path, secrets.token_hex(8) + "\n")
    return path.read_text(encoding="utf-8").strip()
