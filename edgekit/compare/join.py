"""Which rows of two files ask the same: joined by what was varied, without the platform.

A *cell* is what is compared, one metric at one condition. Its *samples* are told apart by what one number is a sample of (an
item, a block of texts, a repeat). What a machine says of itself in a row, and what came out of an item beside its number, is
neither: two machines may differ there and still have been asked the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgekit.store import Row

PAIRED = ("item", "block")  # what a number is a sample of: the same on both sides
ITEMS = (*PAIRED, "sample", "round")  # and what is drawn or timed anew
SUMMED = ("tokens", "drafted", "judged", "written", "position", "fold")  # of one item: what its number counts
OUTCOMES = ("answered_by", "attempts", "reason")  # of one query: how it went
ANSWER = ("answer", "cut", "spent", "written")  # of an item that is right or wrong: what was answered
MACHINE = ("kernel", "sandbox")  # the machine's own words
EVERY_CORE = "every core"

Cell = tuple[str, tuple]  # metric, and (coordinate, value) pairs in their order


@dataclass(slots=True)
class Samples:
    """The numbers of one cell by what tells them apart, with the runs that they come from and one whole condition."""

    condition: Mapping
    values: dict[tuple, float] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)

    @property
    def over_items(self) -> bool:
        """Whether its samples are items or blocks, which are the same on both sides, and not repeats, which are not."""
        return any(name in self.condition for name in PAIRED)


def cells(rows: Iterable[Row], runs: Mapping[str, Mapping]) -> dict[Cell, Samples]:
    """The measured rows of one file by cell. runs: the manifests of its runs by id."""
    found: dict[Cell, Samples] = {}
    cores = {run: facts["machine"].get("cpu", {}).get("allowed_threads") for run, facts in runs.items()
             if facts["params"].get("threads") == 0}
    for row in rows:
        if row.source != "measured":
            continue
        condition = row.condition
        if condition.get("threads") is not None and condition["threads"] == cores.get(row.run):
            condition = {**condition, "threads": EVERY_CORE}  # that is what was asked for, however many there are
        asked, apart = _names(row.metric, tuple(condition))
        key = row.metric, tuple([(name, condition[name]) for name in asked])
        if (cell := found.get(key)) is None:
            cell = found[key] = Samples(condition)
        cell.values[row.repeat, (apart, tuple([condition[name] for name in apart]))] = row.value
        cell.runs.add(row.run)
    return found


@functools.cache
def _names(metric: str, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the coordinates of a row those that say what was asked, and those that tell the samples of that apart."""
    answer = ANSWER if metric == "correct" else ()
    summed = [name for name in SUMMED if name not in answer] if any(name in names for name in PAIRED) else ()
    without = {*ITEMS, *summed, *answer, *OUTCOMES, *MACHINE}
    return (tuple(sorted(name for name in names if name not in without)),
            tuple(sorted(name for name in names if name in ITEMS or name in summed)))
