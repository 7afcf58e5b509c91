"""Successive halving: which of many variants is the fastest within each of some losses, when time is too short to measure all
of them well.

All are measured a little, the best of them more, and so on (Karnin, Koren and Somekh 2013, "Almost optimal exploration in
multi-armed bandits"; Jamieson and Talwalkar 2016, arXiv:1502.07943). What goes on is decided anew from what was seen, and from
nothing else: a search that was killed goes on with the same decisions, and what was measured can be judged again later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """One evaluation. speed: larger is better. loss, low, high: what it seems to lose, and the interval of that. cost_s: the
    seconds that it took."""

    speed: float
    loss: float
    low: float
    high: float
    cost_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """most_s: the seconds after which an evaluation is ended, a rung each. keep: share of a rung that goes on to the next.
    losses: what may be lost, each with a choice of its own. budget_s: seconds of all evaluations together; the rungs may use
    equal parts of it, and what earlier ones left. Raises ValueError."""

    most_s: tuple[float, ...]
    keep: float
    losses: tuple[float, ...]
    budget_s: float

    def __post_init__(self):
        if not (self.most_s and self.losses and all(most > 0 for most in self.most_s) and 0 < self.keep < 1):
            raise ValueError(f"expected at least one rung of more than 0 s, one loss, and a share between 0 and 1, got {self}")
        if self.budget_s < sum(self.most_s):
            raise ValueError(f"a budget of {self.budget_s:g} s: expected at least one evaluation on each rung, "
                             f"{sum(self.most_s):g} s")


@dataclass(frozen=True, slots=True)
class State:
    """How far a search is. counted: the candidates of each rung reached so far whose evaluations count, the best first from
    the second rung on. ahead: what is to be evaluated next, all on the last of these rungs; none when the search is over.
    unreached: those of each rung for which no time was left. spent_s: of all evaluations that count."""

    counted: tuple[tuple[str, ...], ...]
    ahead: tuple[str, ...]
    unreached: tuple[tuple[str, ...], ...]
    spent_s: float

    @property
    def rung(self) -> int:
        return len(self.counted) - 1


def state(space: Sequence[str], schedule: Schedule, seen: Mapping[tuple[str, int], Seen | None]) -> State:
    """Where a search over `space` stands. The first of the space is what losses are taken against: it goes on to every rung.

    seen: what was seen of (candidate, rung), None for an evaluation that failed, which is taken to have cost all of its time.
    An evaluation begins only where even the longest one would end within its rung's part of the budget, so that the budget
    holds whatever they take. Raises ValueError for a space that names a candidate twice, or none.
    """
    if not space or len(set(space)) != len(space):
        raise ValueError(f"expected a space of candidates, each once, got {list(space)}")
    entrants, spent, counted, unreached = tuple(space), 0.0, [], []
    for rung, most in enumerate(schedule.most_s):
        end = schedule.budget_s * (rung + 1) / len(schedule.most_s)
        held, ahead, known, late = 0.0, [], [], []
        for name in entrants:
            if spent + held + most > end:
                late.append(name)
            elif (name, rung) in seen:
                found = seen[name, rung]
                spent += most if found is None else found.cost_s
                known.append(name)
            else:
                held += most
                ahead.append(name)
        counted.append(tuple(known))
        unreached.append(() if ahead else tuple(late))
        if ahead:
            return State(tuple(counted), tuple(ahead), tuple(unreached), spent)
        if seen.get((space[0], rung)) is None or rung + 1 == len(schedule.most_s):
            break  # without what losses are against nothing can be compared
        going = promoted({name: seen[name, rung] for name in known[1:]}, schedule.keep, schedule.losses)
        if not going:
            break
        entrants = (space[0], *going)
    return State(tuple(counted), (), tuple(unreached), spent)


def promoted(seen: Mapping[str, Seen | None], keep: float, losses: Sequence[float]) -> tuple[str, ...]:
    """Which candidates go on from a rung, the best first, no more than the share `keep` of those that did not fail: in turn for
    each of the losses, of those that are not yet known to lose more (`low` is within it) the fastest that seem to lose less,
    and then the fastest of the others. Of equals, the one whose loss may be smallest, then the first by name."""
    alive = {name: one for name, one in seen.items() if one is not None}
    queues = [sorted((name for name, one in alive.items() if one.low <= loss),
                     key=lambda name, loss=loss: (alive[name].loss > loss, _rank(name, alive[name]))) for loss in losses]
    going: dict[str, None] = {}
    places = math.ceil(keep * len(alive))
    while any(queues) and len(going) < places:
        for queue in queues:
            while queue and queue[0] in going:
                queue.pop(0)
            if queue and len(going) < places:
                going[queue.pop(0)] = None
    return tuple(going)


def chosen(seen: Mapping[str, Seen | None], loss: float) -> str | None:
    """The fastest candidate that is known to lose less than `loss` (its `high` is below it); None where no one is."""
    able = {name: one for name, one in seen.items() if one is not None and one.high < loss}
    return min(able, key=lambda name: _rank(name, able[name]), default=None)


def _rank(name: str, one: Seen) -> tuple:
    return -one.speed, one.high, name


def search(space: Sequence[str], schedule: Schedule, evaluate: Callable[[str, int], Seen | None]) -> tuple[
        State, dict[tuple[str, int], Seen | None]]:
    """Search from the beginning to the end; what was seen on the way. `evaluate` gets a candidate and its rung."""
    seen: dict[tuple[str, int], Seen | None] = {}
    while (now := state(space, schedule, seen)).ahead:
        seen |= {(name, now.rung): evaluate(name, now.rung) for name in now.ahead}
    return now, seen
