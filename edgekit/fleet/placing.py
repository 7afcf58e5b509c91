"""Which unit a board gets next.

What is timed is compared within a repeat of its study, so such a block stays on one board as long as that is there: boards of a
kind differ. What does not depend on the machine goes to whoever is free. Both in the order of the run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Sequence

LOOKS = 32  # units that are passed over, because what they open is being built elsewhere, before a board waits


class Placing:
    """The units that wait, by their place in the run's order. `blocks`: of each, None where it may go anywhere."""

    def __init__(self, blocks: Sequence[Hashable | None]):
        self._blocks = list(blocks)
        self._loose = [place for place, block in enumerate(blocks) if block is None]
        self._waiting: dict[Hashable, list[int]] = {}
        for place, block in enumerate(blocks):
            if block is not None:
                self._waiting.setdefault(block, []).append(place)
        self._free = [places[0] for places in self._waiting.values()]  # heads of blocks that are nobody's; a heap, as sorted
        self._owned: dict[str, set[Hashable]] = {}
        self.owner: dict[Hashable, str] = {}
        self.left = len(self._blocks)

    def next(self, board: str, ready: Callable[[int], bool]) -> int | None:
        """The first unit that a board may have and that is `ready`; it waits no more. None where there is none."""
        own = min((places[0] for block in self._owned.get(board, ()) if (places := self._waiting[block])
                   and ready(places[0])), default=None)
        found = [place for place in (own, _first(self._free, ready), _first(self._loose, ready)) if place is not None]
        if not found:
            return None
        place = min(found)
        block = self._blocks[place]
        if block is None:
            _remove(self._loose, place)
        else:
            if block not in self.owner:
                _remove(self._free, place)
                self.owner[block] = board
                self._owned.setdefault(board, set()).add(block)
            heapq.heappop(self._waiting[block])
        self.left -= 1
        return place

    def take(self, place: int) -> bool:
        """A unit goes to a board whatever its order, where it waits at all. Its block stays whose it is."""
        block = self._blocks[place]
        heap = self._loose if block is None else self._waiting[block]
        if place not in heap:
            return False
        head = heap[0]
        _remove(heap, place)
        if block is not None and block not in self.owner:
            _remove(self._free, head)
            if heap:
                heapq.heappush(self._free, heap[0])
        self.left -= 1
        return True

    def back(self, place: int) -> None:
        """A unit waits again."""
        block = self._blocks[place]
        if block is None:
            heapq.heappush(self._loose, place)
        else:
            before = self._waiting[block][:1]
            heapq.heappush(self._waiting[block], place)
            if block not in self.owner:
                for head in before:
                    _remove(self._free, head)
                heapq.heappush(self._free, self._waiting[block][0])
        self.left += 1

    def gone(self, board: str) -> None:
        """A board is gone: its blocks are anybody's."""
        for block in self._owned.pop(board, ()):
            del self.owner[block]
            if self._waiting[block]:
                heapq.heappush(self._free, self._waiting[block][0])


def _first(heap: list[int], ready: Callable[[int], bool]) -> int | None:
    """The least of a heap that is ready, among the first LOOKS."""
    if heap and ready(heap[0]):
        return heap[0]
    return next((place for place in heapq.nsmallest(LOOKS, heap)[1:] if ready(place)), None)


def _remove(heap: list[int], place: int) -> None:
    if heap[0] == place:
        heapq.heappop(heap)
    else:
        heap.remove(place)
        heapq.heapify(heap)
