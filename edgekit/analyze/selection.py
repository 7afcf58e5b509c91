"""A rule of thumb for choosing a model, run as an algorithm: the smallest first, at its fewest bits, and larger only if needed.

What it measures is counted, and what it ends with is compared with the best of everything that could have been measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model at a precision: its number of weights, bytes of a step, accuracy (0 to 1) and seconds a question."""

    name: str
    parameters: float
    bytes: float
    accuracy: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, None where no candidate is accurate enough; and what was measured on the way, in order."""

    chosen: Candidate | None
    measured: tuple[Candidate, ...]


def in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The tip: the models from the smallest to the largest, each at its fewest bytes; then what is left from the fewest bytes
    on, which is what somebody has to do whom the tip left with nothing."""
    first: dict[float, Candidate] = {}
    for one in candidates:
        if one.parameters not in first or one.bytes < first[one.parameters].bytes:
            first[one.parameters] = one
    tips = [one for _, one in sorted(first.items())]
    return tips + sorted((one for one in candidates if one not in tips), key=lambda one: (one.bytes, one.parameters))


def smallest_first(order: Sequence[Candidate], accuracy: float) -> Choice:
    """The first of candidates, as `in_order` gives them, that reaches `accuracy`."""
    for measured, one in enumerate(order, 1):
        if one.accuracy >= accuracy:
            return Choice(one, tuple(order[:measured]))
    return Choice(None, tuple(order))


def exhaustive(candidates: Sequence[Candidate], accuracy: float) -> Choice:
    """The fastest of all candidates that reach `accuracy`, all of them measured."""
    able = [one for one in candidates if one.accuracy >= accuracy]
    return Choice(min(able, key=lambda one: (one.time_s, -one.accuracy), default=None), tuple(candidates))
