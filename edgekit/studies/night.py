"""A night: the units of many notebooks without anybody there, the cheapest first, as many as fit.

Rows go to each study's own file as in any run, so whatever ends a night, the next one goes on. Who measures is an `Executor`:
this machine (`Here`), or a fleet.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from edgekit import params, store, studies
from edgekit.catalog import platforms
from edgekit.compress import variant
from edgekit.console import Console, duration, fields
from edgekit.errors import RunFailed
from edgekit.measure import device as devices
from edgekit.studies import history, needs
from edgekit.studies.config import MEASURE
from edgekit.studies.local import Allowed, Local, Outcome, allowed_of, left
from edgekit.studies.order import cheapest_first
from edgekit.studies.runner import Result, Sitting, Unit

BANDWIDTH_S = 0.5
PACED_S = 60.0  # forecasts are corrected by how the night went once so much of it was foretold
UP = "the time is up"


class NightError(RunFailed):
    """A night cannot begin; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The units of a study's Config on a platform. bandwidth: gives the read bandwidth there in bytes/s; content_hash: of a
    chain, what its artifact is addressed by there."""

    study: str
    version: int
    config: object
    units: list[Unit]
    platform: str
    bandwidth: Callable[[], float]
    content_hash: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Task:
    """A unit that waits: its study, its key, and what it may take. seconds: by forecast, None where nothing is known."""

    study: str
    key: str
    unit: Unit
    allowed: Allowed
    seconds: float | None


class Gate(Protocol):
    """What an executor asks before it starts a task."""

    def closed(self, task: Task) -> str | None:
        """Why a task is not to be started now, nor later; None where it may be."""

    def within_s(self) -> float | None:
        """Seconds that are left at all; None without an end."""

    def begins(self, task: Task, where: str) -> None:
        """A task starts on a board, "" for this machine."""


class Executor(Protocol):
    """Who plans and measures."""

    def plan(self, study: str, config) -> Planned:
        """The units of a study. Raises an EdgekitError."""

    def outcomes(self, tasks: Sequence[Task], gate: Gate) -> Iterator[tuple[Task, Outcome]]:
        """Each task once, with how it ended, in the order in which they end."""


class Here:
    """This machine measures, one unit at a time."""

    def __init__(self, local: Local):
        self._local = local

    def plan(self, study: str, config) -> Planned:
        module = studies.module(study)
        units = self._local.fitting(list(module.plan(config)), allowed_of(config))
        self._local.require_ready(config.profile, units, Console(sys.stderr).stays)
        return Planned(study, module.VERSION, config, units, platforms.current().slug, functools.cache(
            lambda: max(devices.memory_bandwidth(seconds=BANDWIDTH_S, on=config.device).byte_per_s)), variant.content_hash)

    def outcomes(self, tasks: Sequence[Task], gate: Gate) -> Iterator[tuple[Task, Outcome]]:
        for number, task in enumerate(tasks, 1):
            if reason := gate.closed(task):
                yield task, left(reason)
                continue
            gate.begins(task, "")
            yield task, self._local.run(task.unit, task.allowed, gate.within_s())
            for copy in needs.passing(task.unit, [other.unit for other in tasks[number:]]):
                variant.forget(copy)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a night may take. ends: until when, in seconds of time.monotonic(), so that who sets the clock moves nothing; None
    without an end. least_free_bytes: of the disk."""

    ends: float | None = None
    least_free_bytes: float = 0.0

    def within_s(self) -> float | None:
        """Seconds that are left, None without an end."""
        return None if self.ends is None else self.ends - time.monotonic()

    def short_of_disk(self) -> str | None:
        """That too little is free where rows and artifacts go; None where enough is."""
        there: Path = next(folder for folder in (store.OUTPUT, *store.OUTPUT.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        return None if free >= self.least_free_bytes else (
            f"{needs.size(free)} are free in {there}, less than the {needs.size(self.least_free_bytes)} that are to stay free")


@dataclass
class Tally:
    """What came of one notebook: result once it is over, None where it measures nothing; left: how many units wait, by
    reason."""

    notebook: str
    planned: int = 0
    result: Result | None = None
    left: Counter = field(default_factory=Counter)

    def add(self, found: Result) -> None:
        """What the notebook's file holds now; new is what was measured by all of its plans."""
        before = self.result
        self.result = found if before is None else replace(found, measured=before.measured + found.measured,
                                                           reused=before.reused)


def run(notebooks: Iterable[str], profile: str, executor: Executor, bounds: Bounds, watch: Watch) -> list[Tally]:
    """Measure what notebooks lack, as far as it fits, and say what came of each. A plan that goes on from its rows is made
    again when they are there, until it asks for nothing new.

    Raises NightError where too little of the disk is free to begin, and else as runner.run_units.
    """
    if short := bounds.short_of_disk():
        raise NightError(f"{short}; make room (artifacts/ may be deleted at any time), or lower --keep-free")
    tallies = {notebook: Tally(notebook) for notebook in notebooks}
    asked = list(tallies)
    while asked:
        plans = {notebook: planned for notebook in asked if (planned := _planned(notebook, profile, executor))}
        whole = _measure(plans, profile, executor, bounds, watch, tallies)
        asked = [notebook for notebook in whole if studies.grows(notebook)]
    return list(tallies.values())


def _measure(plans: Mapping[str, Planned], profile: str, executor: Executor, bounds: Bounds, watch: Watch,
             tallies: Mapping[str, Tally]) -> list[str]:
    """Measure what plans lack, and count it. The notebooks that lacked something and of which nothing waits any more."""
    with contextlib.ExitStack() as stack:
        sittings: dict[str, Sitting] = {}
        tasks: dict[tuple[str, str], Task] = {}
        for notebook, planned in plans.items():
            sitting = Sitting(planned.study, planned.version, planned.config, planned.units, planned.platform,
                              planned.content_hash)
            sittings[notebook] = stack.enter_context(sitting)
            tallies[notebook].planned = len(sitting.keys)
            tasks |= _tasks(notebook, profile, planned, sitting.waiting)
        seeds = [sitting.config.seed for sitting in sittings.values()]
        order = cheapest_first({at: task.unit for at, task in tasks.items()},
                               {at: task.seconds for at, task in tasks.items()}, sum(seeds))
        ahead = [tasks[at] for at, _ in order]
        gate, whole = _Night(ahead, bounds, watch), dict.fromkeys(task.study for task in ahead)
        for task, outcome in executor.outcomes(ahead, gate):
            if outcome.left:
                tallies[task.study].left[outcome.reason] += 1
            else:
                sittings[task.study].keep(task.key, outcome)
            if outcome.left or not (outcome.tried or task.unit.refusal):
                whole.pop(task.study, None)
            gate.ends(task, outcome)
        for notebook, sitting in sittings.items():
            tallies[notebook].add(sitting.result())
    return list(whole)


def _planned(notebook: str, profile: str, executor: Executor) -> Planned | None:
    """None of a notebook that measures nothing: it computes from published numbers, or opens rows that are there."""
    if not studies.measures(notebook):
        return None
    config = params.of_profile(studies.module(notebook).Config, profile, notebook)
    return executor.plan(notebook, config) if config.rows == MEASURE else None


def _tasks(notebook: str, profile: str, planned: Planned, waiting: Mapping[str, Unit]) -> dict[tuple[str, str], Task]:
    took = history.estimate([dict(unit.condition) for unit in waiting.values()],
                            history.sources(notebook, profile, planned.platform), profile, planned.platform, planned.bandwidth)
    return {(notebook, key): Task(notebook, key, unit, allowed_of(planned.config), None if unit.refusal else seconds)
            for (key, unit), seconds in zip(waiting.items(), took.by_unit, strict=True)}


class Watch(Protocol):
    """Who is told of what happens: a line for a person, a line for a log."""

    def begins(self, task: Task, where: str, number: int, total: int, left_s: float | None, within_s: float | None) -> None: ...

    def ends(self, task: Task, outcome: Outcome) -> None: ...


class _Night:
    """The gate of one night: what is ahead, and how forecasts went so far."""

    def __init__(self, tasks: Sequence[Task], bounds: Bounds, watch: Watch):
        self._total, self._begun, self._bounds, self._watch = len(tasks), 0, bounds, watch
        self._foretold = sum(task.seconds for task in tasks if task.seconds is not None)
        self._unknown = Counter(_kind(task) for task in tasks if task.seconds is None and not task.unit.refusal)
        self._short: str | None = None  # too little is free, and that ends the night
        self._past = self._in_truth = 0.0  # seconds of what was measured: by forecast, and as they were
        self._like: dict[tuple, list[float]] = {}  # seconds of units that nobody foretold, by kind

    def closed(self, task: Task) -> str | None:
        self._short = self._short or self._bounds.short_of_disk()
        if self._short:
            return self._short
        within, seconds = self.within_s(), self._seconds(task)
        if within is None or task.unit.refusal:
            return None
        if within <= 0:
            return UP
        if seconds is not None and seconds > within:
            return f"takes about {duration(seconds)}, which is more than was left"
        return None

    def within_s(self) -> float | None:
        return self._bounds.within_s()

    def begins(self, task: Task, where: str) -> None:
        self._begun += 1
        self._watch.begins(task, where, self._begun, self._total, self._left_s(), self.within_s())

    def ends(self, task: Task, outcome: Outcome) -> None:
        if task.seconds is not None:
            self._foretold -= task.seconds
        elif not task.unit.refusal:
            self._unknown[_kind(task)] -= 1
        if outcome.answer is not None:
            if task.seconds is None:
                self._like.setdefault(_kind(task), []).append(outcome.took_s)
            else:
                self._past, self._in_truth = self._past + task.seconds, self._in_truth + outcome.took_s
        self._watch.ends(task, outcome)

    def _pace(self) -> float:
        return self._in_truth / self._past if self._past >= PACED_S else 1.0

    def _seconds(self, task: Task) -> float | None:
        """What a unit should take, by its forecast and how those before it went; else by those of its kind."""
        if task.seconds is not None:
            return task.seconds * self._pace()
        like = self._like.get(_kind(task))
        return statistics.fmean(like) if like else None

    def _left_s(self) -> float | None:
        """Of all that is ahead, on one machine; None where nothing is known of some of it."""
        unknown = {kind: count for kind, count in self._unknown.items() if count}
        if not unknown.keys() <= self._like.keys():
            return None
        return self._foretold * self._pace() + sum(count * statistics.fmean(self._like[kind])
                                                   for kind, count in unknown.items())


def _kind(task: Task) -> tuple:
    return task.study, *(task.unit.condition.get(name) for name in ("task", *history.WHO))


def words(task: Task) -> str:
    """A task in one line."""
    return f"{task.study} {fields(task.unit.condition)}"
