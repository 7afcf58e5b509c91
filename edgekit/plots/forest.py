"""Every claim that has a value, as a forest plot: ours over what is accepted, a line a test."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Patch, Rectangle

from edgekit.analyze.stats import number
from edgekit.plots import claim, style
from edgekit.plots.verdict import LOOKS, colour_of

AXES = {"ratio": "ours over the accepted end that lies nearest to it",
        "difference": "ours less the accepted end, where that is zero or below [in the unit on the right]"}
CAPTION = ("Every claim that has a value: ours (open marks: what the document's own numbers give) over the accepted end that "
           "lies nearest to it, with its 95 % interval (or the range of its readings), and the published value. A mark in the "
           "band is accepted: its shape is the claim's verdict, its colour what this test alone says. An arrow goes on beyond "
           "the axis. Where the accepted end is zero or below, the difference to it is drawn instead.")
FARTHEST = 100  # of a ratio's axis, to either side
ROW = 0.155  # inches a line
ASIDE = 0.22  # of a line: what was printed stands above ours, which it would hide


@style.styled
def claims(table: pd.DataFrame) -> style.Drawn:
    """Ours with its interval, what is accepted as a band and what was printed as a cross (from `forest.table` of the claims).

    Ratios lie on one logarithmic axis and differences on another one below. An axis spans the points; an interval or a point
    that leaves it ends in an arrow.
    """
    style.require(table, "claims")
    kinds = [kind for kind in AXES if kind in set(table.kind)]
    parts = [table[table.kind == kind] for kind in kinds]
    fig = Figure(figsize=(1.4 * style.WIDTH, ROW * len(table) + 0.75 * len(kinds) + 0.6))
    panels = fig.subplots(len(kinds), squeeze=False, height_ratios=[len(part) + 1 for part in parts])[:, 0]
    for ax, kind, part in zip(panels, kinds, parts, strict=True):
        _panel(ax, kind, part)
    fig.legend(handles=_key(table), loc="outside upper left", ncols=4)
    return fig, table


def _panel(ax: Axes, kind: str, lines: pd.DataFrame) -> None:
    left, right = _limits(lines, kind)
    if kind == "ratio":
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(style.PLAIN)
    ax.set(xlim=(left, right), ylim=(len(lines) - 0.4, -0.6), xlabel=AXES[kind])
    for place, line in enumerate(lines.itertuples()):
        start, end = (np.clip(finite(value, open_end), left, right) for value, open_end in (
            (line.accepted_low, left), (line.accepted_high, right)))
        ax.add_patch(Rectangle((start, place - 0.5), end - start, 1, **claim.BAND))
        _interval(ax, line, place, left, right)
        printed = [value for value in (line.published_low, line.published_high) if left <= value <= right]
        ax.plot(printed, [place - ASIDE] * len(printed), **style.PUBLISHED, zorder=4)
        ax.annotate(f"{number(line.value)} {line.unit}".rstrip() + f"; accepted: {line.accepted}", (1, place),
                    xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7)
    measured = int((lines.source == "measured").sum())
    if 0 < measured < len(lines):
        ax.axhline(measured - 0.5, color="0.45", linewidth=0.7)
    ax.axvline(1 if kind == "ratio" else 0, **claim.EDGE)
    ax.set_yticks(range(len(lines)), _labels(lines), fontsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def finite(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value


def _interval(ax: Axes, line, place: int, left: float, right: float) -> None:
    """The point and its interval; an arrow head at the edge of the panel for what lies beyond it."""
    colour = colour_of(line.verdict, line.word, line.scale, measured=line.source == "measured")
    marker = LOOKS[line.verdict][1]
    look = {"color": colour, "markeredgecolor": colour, "linestyle": "none", "zorder": 3, "clip_on": False}
    low, high = finite(line.x_low, line.x), finite(line.x_high, line.x)
    ax.plot(np.clip([low, high], left, right), [place, place], color=colour, linewidth=1.1, zorder=2)
    for beyond, end, head in ((low < left, left, CARETLEFT), (high > right, right, CARETRIGHT)):
        if beyond:
            ax.plot(end, place, marker=head, markersize=6, **look)
    if left <= line.x <= right:
        ax.plot(line.x, place, marker=marker, fillstyle="full" if line.source == "measured" else "none", **look)


def _limits(lines: pd.DataFrame, kind: str) -> tuple[float, float]:
    """An axis that spans the points and what was printed, with some room."""
    points = pd.concat([lines.x, lines.published_low, lines.published_high]).dropna()
    if kind == "difference":
        room = 0.25 * max(points.abs().max(), 1e-9)
        return float(min(points.min(), 0) - room), float(max(points.max(), 0) + room)
    points = points[points.between(1 / FARTHEST, FARTHEST)]
    return min([*points, 0.5]) / 1.4, max([*points, 2]) * 1.4


def _labels(lines: pd.DataFrame) -> list[str]:
    """Id and name of each claim, once, with the platform where there are several; further tests of it by what they ask for."""
    before = lines.claim.eq(lines.claim.shift()) & lines.platform.eq(lines.platform.shift())
    several = lines.groupby("claim").platform.transform("nunique") > 1
    return [(f"{line.claim}, {line.quantity.replace('_', ' ')}" if again else f"{line.claim}  {line.name}")
            + f" ({line.platform})" * bool(more and line.platform)
            for line, again, more in zip(lines.itertuples(), before, several, strict=True)]


def _key(table: pd.DataFrame) -> list:
    """Legend entries for the verdicts that are there, and for what else is drawn."""
    source = dict(zip(table.verdict, table.source, strict=True))
    marks = [Line2D([], [], color=colour, marker=marker, label=verdict, fillstyle="full" if (
        source[verdict] == "measured") else "none") for verdict, (colour, marker) in LOOKS.items() if verdict in source]
    published = [Line2D([], [], **style.PUBLISHED, label="published")] if table.published_low.notna().any() else []
    return [*marks, *published, Patch(label="accepted", facecolor=claim.BAND["color"], alpha=0.3)]
