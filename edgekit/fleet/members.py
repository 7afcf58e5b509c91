"""The boards of a fleet as a run sees them: who is there, whom it takes, and one talk at a time with each.

A talk is a generator: it yields calls (see board.do) and is sent their answers, so that what a board is to do in turn reads in
turn, however many boards there are.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import queue
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.fleet import board as boards
from edgekit.fleet import join, planning, scheduler, security, settings
from edgekit.fleet.errors import FleetError, FleetLost
from edgekit.fleet.ship import Call

RECONCILE_S = 30.0  # how often it is asked who is there, beside what events say

Talk = Generator[Call, tuple[dict, bytes], dict]


class Refused(FleetError):
    """A board does not do what it was asked; thrown into the talk."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A talk that ended before its end: the board is `gone`, or something failed for this reason."""

    reason: str
    gone: bool


@dataclass
class Member:
    """A board that is there. talk: what goes on with it, None where nothing does; serial: of the call that is awaited.

    artifacts: addresses of what is built there; outbox: keys of the units whose results wait there; finished: those of them
    that it may forget.
    """

    name: str
    greeted: bool = False
    accepted: bool = False
    talk: Talk | None = None
    serial: int = 0
    future: object = None
    artifacts: set[str] = field(default_factory=set)
    outbox: set[str] = field(default_factory=set)
    finished: list[str] = field(default_factory=list)


class Members:
    """Everyone who is there. scope: whose results a board keeps apart from others'. Raises FleetError, FleetLost where the
    scheduler is no fleet's, is another kit's, or does not answer."""

    def __init__(self, address: str, certificates: Path | None, kind: str, scope: str, said: Callable[[str], None]):
        from distributed import Client

        settings.apply()
        secured = security.load(certificates, address)
        try:
            security.require_welcome(address, secured, "client")
            self._client = Client(address, security=secured, set_as_default=False, name="edgekit-run")
        except OSError as error:
            raise FleetLost(f"no scheduler answers at {address} ({error.strerror or error}); start one: edgekit fleet start "
                            f"{address}") from error
        self._kind, self._scope, self._said, self._address = kind, scope, said, address
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._members: dict[str, Member] = {}
        self._idle: dict[str, Member] = {}
        self._over: list[tuple[Member, dict | Broken]] = []
        self._gone: list[str] = []
        self._runtimes: tuple[str, Mapping[str, str]] | None = None  # of the first board that was taken, with its name
        self._serial, self._alone_since, self._own = 0, time.monotonic(), planning.kit()
        try:
            self._require_same_kit()
            self._client.subscribe_topic(scheduler.TOPIC, lambda event: self._events.put(("board", event[1])))
            self._reconcile()
        except BaseException:
            self._client.close()
            raise

    def _require_same_kit(self) -> None:
        theirs = self._client.run_on_scheduler(scheduler.kit)
        if theirs is None:
            raise FleetError(f"{self._address} is a Dask scheduler, but no fleet's: start one with edgekit fleet start")
        if why := different(self._own, theirs):
            raise FleetError(f"the scheduler at {self._address} is another kit's: {why}; bring both to the same version")

    def idle(self) -> list[Member]:
        """The accepted boards that nothing goes on with."""
        return list(self._idle.values())

    def gone(self) -> list[str]:
        """The boards that left since this was asked last."""
        found, self._gone = self._gone, []
        return found

    def alone_s(self) -> float:
        """For how long no accepted board has been there."""
        if self._idle or any(member.accepted for member in self._members.values()):
            self._alone_since = time.monotonic()
        return time.monotonic() - self._alone_since

    def begin(self, member: Member, talk: Talk) -> None:
        """Begin a talk with an idle board; `ended` tells its end."""
        self._idle.pop(member.name)
        self._talk(member, talk)

    def ask(self, talk: Callable[[], Talk], patience_s: float) -> dict:
        """One talk with any board, and with another one where that vanishes. Raises FleetLost where none comes or it fails."""
        while True:
            while not self._idle:
                if self.alone_s() > patience_s:
                    raise FleetLost(f"no board of the kind {self._kind} joined {self._address} within {patience_s:.0f} s; join "
                                    f"one: edgekit fleet join {self._address} --name NAME")
                self.ended(0.5)
            asked = self.idle()[0]
            self.begin(asked, talk())
            answers: dict[str, dict | Broken] = {}
            while asked.name not in answers:
                answers |= {member.name: answer for member, answer in self.ended(0.5)}
            answer = answers[asked.name]
            if not isinstance(answer, Broken):
                return answer
            if not answer.gone:
                raise FleetLost(f"{asked.name}: {answer.reason}")

    def ended(self, timeout_s: float) -> list[tuple[Member, dict | Broken]]:
        """The talks that ended, with their results; waits so long for something to happen at all."""
        if not self._over:
            with contextlib.suppress(queue.Empty):
                self._happened(*self._events.get(timeout=timeout_s))
        with contextlib.suppress(queue.Empty):
            while True:
                self._happened(*self._events.get_nowait())
        if time.monotonic() - self._reconciled > RECONCILE_S:
            self._reconcile()
        found, self._over = self._over, []
        return found

    def close(self) -> None:
        """Leave; no call goes on."""
        self._client.close(timeout=5)

    def _reconcile(self) -> None:
        """Who is there, where an event was missed: before it was listened to, or while the connection was broken."""
        self._reconciled = time.monotonic()
        try:
            there = {one["name"] for one in self._client.scheduler_info(n_workers=-1)["workers"].values()}
        except (OSError, TimeoutError, RuntimeError):  # the connection is broken: boards and calls are lost one by one
            return
        for name in there - self._members.keys():
            self._joined(name)
        for name in self._members.keys() - there:
            self._left(name)

    def _happened(self, kind: str, told) -> None:
        if kind == "answer":
            self._answered(*told)
        elif kind == "fetched":
            self._fetched(*told)
        elif told["event"] == "joined":
            self._joined(told["board"])
        else:
            self._left(told["board"])

    def _joined(self, name: str) -> None:
        if name not in self._members:
            self._members[name] = Member(name)
            self._talk(self._members[name], self._greeting(self._members[name]))

    def _left(self, name: str) -> None:
        member = self._members.pop(name, None)
        if member is None:
            return
        self._idle.pop(name, None)
        self._gone.append(name)
        if member.accepted:
            self._said(f"{name} left")
        if member.future is not None:
            member.future.release()  # nobody wants it any more, so the scheduler gives it to nobody
        member.serial = 0
        if member.talk is not None:
            member.talk.close()
            if member.greeted:
                self._over.append((member, Broken(f"{name} left", gone=True)))

    def _greeting(self, member: Member) -> Talk:
        """The first talk: who are you? A board that is not what it says, or runs another kit, is told of and not taken."""
        about, _ = yield "about", dict(scope=self._scope), b""
        if why := self._unfit(about):
            self._said(f"{member.name} is not taken: {why}")
            return {}
        if self._runtimes is None:
            self._runtimes = member.name, about["runtimes"]
        member.accepted, member.artifacts, member.outbox = True, set(about["artifacts"]), set(about["outbox"])
        self._said(f"{member.name} measures")
        return {}

    def _unfit(self, about: Mapping) -> str:
        if why := different(self._own, about["kit"]):
            return f"it runs another kit ({why}); bring both to the same version"
        if about["kind"] != about["platform"]:
            return f"it says it is {about['kind']}, and its platform is {about['platform']}"
        if about["kind"] != self._kind:
            return f"it is {about['kind']}, and this run measures on {self._kind}"
        if self._runtimes is not None:
            first, known = self._runtimes
            other = [f"{engine} is {about['runtimes'].get(engine)} there and {runtime} on {first}"
                     for engine, runtime in known.items() if about["runtimes"].get(engine) != runtime]
            return "; ".join(other)
        return ""

    def _talk(self, member: Member, talk: Talk) -> None:
        member.talk = talk
        self._step(member, lambda: talk.send(None))

    def _step(self, member: Member, go: Callable[[], Call]) -> None:
        try:
            call, request, data = go()
        except StopIteration as end:
            self._end(member, end.value)
        except (EdgekitError, OSError) as error:
            self._end(member, Broken(str(error), gone=False))
        else:
            self._serial += 1
            serial = member.serial = self._serial
            member.future = self._client.submit(
                boards.do, call, json.dumps(request), data, key=f"edgekit-{call}-{self._client.id}-{serial}", pure=False,
                resources={join.resource(member.name): 1})
            member.future.add_done_callback(lambda future: self._events.put(("answer", (member, serial, future))))

    def _answered(self, member: Member, serial: int, future) -> None:
        if serial != member.serial:
            return  # of a board that left meanwhile
        if future.status == "finished":
            self._fetch(member, serial, future)
        elif future.status == "error":
            error = future.exception()
            member.future, talk = None, member.talk
            self._step(member, lambda: talk.throw(Refused(f"{type(error).__name__}: {_first_line(error)}")))
        else:  # cancelled, and not by us: the scheduler forgot it
            self._left(member.name)

    def _fetch(self, member: Member, serial: int, future) -> None:
        """An answer is brought from the board without waiting for it: where that is gone by now, Dask waits for its return."""
        fetching = asyncio.run_coroutine_threadsafe(self._client.gather(future, asynchronous=True),
                                                    self._client.loop.asyncio_loop)
        fetching.add_done_callback(lambda fetched: self._events.put(("fetched", (member, serial, fetched))))

    def _fetched(self, member: Member, serial: int, fetched: concurrent.futures.Future) -> None:
        if serial != member.serial:
            return  # of a board that left meanwhile
        if fetched.cancelled() or fetched.exception() is not None:
            self._left(member.name)
            return
        text, data = fetched.result()
        member.future, talk, answer = None, member.talk, json.loads(text)
        if "refused" in answer:
            self._step(member, lambda: talk.throw(Refused(answer["refused"])))
        else:
            self._step(member, lambda: talk.send((answer, data)))

    def _end(self, member: Member, result: dict | Broken) -> None:
        member.talk = None
        if member.greeted:
            self._over.append((member, result))
        elif isinstance(result, Broken):
            self._said(f"{member.name} is not taken: {result.reason}")
        member.greeted = True
        if member.accepted:
            self._idle[member.name] = member


def different(own: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """In what two kits differ, in words; "" where they agree. Patch versions of Python are one."""
    def told(kit: Mapping[str, str]) -> dict[str, str]:
        return {**kit, "python": ".".join(kit["python"].split(".")[:2])}

    mine, other = told(own), told(theirs)
    return ", ".join(f"{name} {other.get(name, 'unknown')} there, {mine[name]} here" for name in mine
                     if mine[name] != other.get(name))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["(no message)"])[0]
