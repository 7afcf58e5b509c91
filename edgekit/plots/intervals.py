"""Axes that follow the marks, and arrows where an interval goes on outside of its panel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.path import Path

from edgekit.analyze import stats

# Open arrow heads, whose tip is the point: no mark of a series looks like them
ARROWS = {("x", "low"): Path([(0.7, 1), (0, 0), (0.7, -1)]), ("x", "high"): Path([(-0.7, 1), (0, 0), (-0.7, -1)]),
          ("y", "low"): Path([(1, 0.7), (0, 0), (-1, 0.7)]), ("y", "high"): Path([(1, -0.7), (0, 0), (-1, -0.7)])}
AGAIN = "Arrows at an edge: the interval goes on."


def by_marks(ax: Axes, marks: Iterable[float], ends: Iterable[float] = (), *, along: str = "y", beyond: float = 0.25,
             least: float | None = None) -> None:
    """Limits of an axis by the marks on it (finite numbers, in its unit): ends of intervals widen it by at most `beyond` of the
    marks' span to either side, so that one noisy interval does not flatten the others.

    least: the lower limit where it is known (0 for lengths of bars). The axis has its scale already.
    """
    log = (ax.get_xscale() if along == "x" else ax.get_yscale()) == "log"
    seen, wide = (_places(values, log) for values in (marks, ends))
    low, high = (float(seen.min()), float(seen.max())) if least is None else (least, max(float(seen.max()), least))
    span = high - low or (0.5 if log else abs(high) or 1.0)
    reach = beyond * span
    if wide.size:
        low, high = max(low - reach, min(low, wide.min())), min(high + reach, max(high, wide.max()))
    limits = (low - 0.06 * span if least is None else least), high + 0.06 * span
    (ax.set_xlim if along == "x" else ax.set_ylim)(*(10.0**end if log else end for end in limits))


def _places(values: Iterable[float], log: bool) -> np.ndarray:
    places = np.asarray(list(values), dtype=float)
    places = places[np.isfinite(places) & ((places > 0) if log else True)]
    return np.log10(places) if log else places


def mark_clipped(ax: Axes) -> None:
    """An arrow at the panel's edge for every interval that goes on outside, in the interval's colour. Called last: it reads
    the limits that the panel has by then."""
    for along, place, (low, high), colour in list(_intervals(ax)):
        least, most = sorted(ax.get_xlim() if along == "x" else ax.get_ylim())
        for side, edge, outside in (("low", least, low < least), ("high", most, high > most)):
            if outside and low < most and high > least:
                at = ([edge], [place]) if along == "x" else ([place], [edge])
                ax.plot(*at, marker=ARROWS[along, side], color=colour, markersize=7, fillstyle="none", markeredgewidth=1.2,
                        clip_on=False, linestyle="none", gid="clipped",
                        scalex=False, scaley=False, zorder=4)


def words(line, column: str) -> str:
    """A value of a table's line with its interval, in the words of tables and verdicts."""
    return stats.told(*(getattr(line, name) for name in stats.with_ends(column)))


def beside(ax: Axes, texts: list[str]) -> None:
    """A text to the right of each line of a panel whose lines stand at 0, 1, 2 and so on."""
    right = ax.twinx()
    right.set(ylim=ax.get_ylim())
    right.set_yticks(range(len(texts)), texts, fontsize=7.5)
    right.tick_params(axis="y", length=0)
    right.grid(False)


def _intervals(ax: Axes) -> Iterator[tuple[str, float, tuple[float, float], str]]:
    """(axis along which it lies, place on the other, ends, colour) of every interval that was drawn."""
    for marks in ax.containers:
        if not isinstance(marks, ErrorbarContainer):
            continue
        directions = [name for name, has in (("x", marks.has_xerr), ("y", marks.has_yerr)) if has]
        for along, bars in zip(directions, marks[2], strict=True):
            colour = to_hex(bars.get_color()[0])
            for segment in bars.get_segments():
                if len(segment) == 2 and np.isfinite(segment).all():
                    column = 0 if along == "x" else 1
                    yield along, segment[0][1 - column], tuple(sorted(segment[:, column])), colour
