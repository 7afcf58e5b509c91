"""In which order the units of a study run.

Within each repeat they are shuffled, so that drift of the machine is noise and not bias.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.studies import needs

if TYPE_CHECKING:
    from edgekit.studies.runner import Unit


def ordered(waiting: Mapping[str, Unit], seed: int) -> list[tuple[str, Unit]]:
    """Units with their keys in the order of a run: one repeat after the other, in each of them what others use first."""
    shuffled = list(waiting.items())
    random.Random(seed).shuffle(shuffled)
    ordered = sorted(shuffled, key=lambda item: (item[1].repeat, not item[1].first))  # stable: shuffled within each repeat
    # Units that open the same copy come one after the other, where the first of them stands: one copy is there at a time.
    places: dict[str, int] = {}
    at = [min((places.setdefault(copy, place) for copy in needs.copies(unit)), default=place)
          for place, (_, unit) in enumerate(ordered)]
    return [item for _, item in sorted(zip(at, ordered, strict=True), key=lambda pair: pair[0])]
