"""In which order units run.

Units that are compared are shuffled, so that drift of the machine is noise and not bias: within each repeat of a study, or, in
a night, among those of all studies that take about as long.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from edgekit.studies import needs

if TYPE_CHECKING:
    from edgekit.studies.runner import Unit

RATIO = 4  # units whose times differ by less are shuffled among each other
REFUSED, UNKNOWN = -1, 100  # classes of cost: what costs nothing, and what comes after all whose time is known


def ordered(waiting: Mapping[str, Unit], seed: int) -> list[tuple[str, Unit]]:
    """Units with their keys in the order of a run: one repeat after the other, in each of them what others use first."""
    return _by(lambda _, unit: (unit.repeat, not unit.first), waiting, seed)


def cheapest_first(waiting: Mapping[tuple[str, str], Unit], seconds: Mapping[tuple[str, str], float | None],
                   seed: int) -> list[tuple[tuple[str, str], Unit]]:
    """Units of several studies, by (study, key): those that should take least first, whichever study's they are. `seconds`: by
    forecast, None where nothing is known; such units come last, those with the least memory first.

    Costs are classes of RATIO. Within one the order is that of a run. What others use is never later than those that use it.
    """
    own = {at: _cost(unit, seconds[at]) for at, unit in waiting.items()}
    firsts: dict[tuple[str, int], int] = {}
    for at, unit in waiting.items():
        if unit.first:
            place = at[0], unit.repeat
            firsts[place] = max(firsts.get(place, REFUSED), own[at])

    def rank(at: tuple[str, str], unit: Unit) -> tuple:
        after = REFUSED if unit.first or unit.refusal else firsts.get((at[0], unit.repeat), REFUSED)
        return max(own[at], after), unit.repeat, not unit.first

    return _by(rank, waiting, seed)


def _cost(unit: Unit, seconds: float | None) -> int:
    if unit.refusal:
        return REFUSED
    if seconds is not None:
        return int(math.log(max(seconds, 1.0), RATIO))
    need = needs.need_of(unit)
    return UNKNOWN + int(math.log(max(need.nbytes, 1.0), RATIO)) if need else UNKNOWN


def _by(rank: Callable, waiting: Mapping, seed: int) -> list[tuple]:
    shuffled = list(waiting.items())
    random.Random(seed).shuffle(shuffled)
    return _together(sorted(shuffled, key=lambda item: rank(*item)))  # stable: shuffled within each rank


def _together(items: Iterable[tuple]) -> list[tuple]:
    """Units that open the same copy one after the other, where the first of them stands: one copy is there at a time."""
    items, places = list(items), {}
    at = [min((places.setdefault(copy, place) for copy in needs.copies(unit)), default=place)
          for place, (_, unit) in enumerate(items)]
    return [item for _, item in sorted(zip(at, items, strict=True), key=lambda pair: pair[0])]
