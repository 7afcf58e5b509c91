"""What of a joint gain belongs to whom: Shapley's shares over the orders that were measured, and how far gains multiply.

A player's share is the mean, over orders in which players join, of what its joining adds (Shapley 1953, "A value for n-person
games", Contributions to the Theory of Games II, 307-317). In every order what is added sums to what all have over what none
has, so the shares do too, whatever orders are left out. Values are vectors (repeats, or items): shares are then vectors as
well, and their intervals those of a mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.errors import RunFailed

Subset = frozenset[str]


class Unattributable(RunFailed):
    """No order of the players was measured throughout; the message says which sets are missing."""


@dataclass(frozen=True)
class Attribution:
    """shares: of each player, a number a sample. orders: those that were used, of how many `possible`. missing: sets of
    players without a value, for whose sake the other orders were left out."""

    shares: Mapping[str, np.ndarray]
    orders: tuple[tuple[str, ...], ...]
    possible: int
    missing: tuple[tuple[str, ...], ...]

    @property
    def whole(self) -> bool:
        """Whether every order was measured, so that these are Shapley's shares and not those over some orders."""
        return len(self.orders) == self.possible


def attribute(players: Sequence[str], values: Mapping[Subset, Sequence[float]]) -> Attribution:
    """The shares of `players` of values[all] - values[none]; `values`: of every set that was measured, samples in the same
    order. Raises Unattributable."""
    known = {subset: np.asarray(samples, dtype=float) for subset, samples in values.items()}
    every = [frozenset(some) for n in range(len(players) + 1) for some in itertools.combinations(players, n)]
    orders = [order for order in itertools.permutations(players) if all(one in known for one in _joining(order))]
    missing = tuple(tuple(name for name in players if name in one) for one in every if one not in known)
    possible = len(list(itertools.permutations(players)))
    if not orders:
        raise Unattributable("no order was measured throughout; missing: " + "; ".join(map(_told, missing)))
    added = {name: [] for name in players}
    for order in orders:
        sets = _joining(order)
        for name, before, after in zip(order, sets, sets[1:], strict=False):
            added[name].append(known[after] - known[before])
    return Attribution({name: np.mean(steps, axis=0) for name, steps in added.items()}, tuple(orders), possible, missing)


def _joining(order: Sequence[str]) -> list[Subset]:
    """The sets that an order passes through, the empty one first."""
    return [frozenset(order[:n]) for n in range(len(order) + 1)]


def _told(subset: Collection[str]) -> str:
    return " and ".join(subset) or "none"


def together(values: Mapping[Subset, Sequence[float]], first: str, second: str, name: str) -> dict[Subset, Sequence[float]]:
    """The same game with two players as one, called `name`: the sets that have both or neither."""
    pair = {first, second}
    return {(subset - pair) | ({name} if pair <= subset else frozenset()): samples for subset, samples in values.items()
            if pair <= subset or not pair & subset}


def interaction(values: Mapping[Subset, Sequence[float]], base: Subset, players: Collection[str]) -> np.ndarray:
    """What joining together adds beyond the sum of what each adds alone, to those in `base`: zero where the gains, on a log
    scale, multiply. Raises Unattributable."""
    wanted = [base, base | set(players), *(base | {name} for name in players)]
    if absent := [_told(sorted(one)) for one in wanted if one not in values]:
        raise Unattributable("not measured: " + "; ".join(absent))
    none, joint, *alone = (np.asarray(values[one], dtype=float) for one in wanted)
    return joint - none - sum(one - none for one in alone)
