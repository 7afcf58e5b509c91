"""What a figure says about the claims that link to it: a strip a claim below the panels, so that the picture alone tells it.

A strip has the claim in words, the verdict, and for each test an axis with what is accepted as a band, what was printed as a
cross, and ours with its interval.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgekit.analyze.stats import told
from edgekit.plots import claim, style

# Verdict: colour and marker, here and in the figure of all claims.
LOOKS = {"reproduced": ("#12693A", "o"), "holds at scale model": ("#0F6273", "^"), "undecided": ("#6B5A00", "D"),
         "not reproduced": ("#A11D24", "s"), "does not hold at scale model": ("#B35900", "v"),
         "inconsistent": ("#63309A", "s"), "consistent": ("0.35", "o"), "not testable here": ("0.35", "x"),
         "not yet run": ("0.35", "x")}
TITLE, LINE, AXIS, TEST = 0.20, 0.14, 0.15, 0.42  # inches: a verdict's line, one of its words, an axis, and all of a test
LEFT, GAP = 0.12, 0.15  # inches beside the words, and above a strip
WORDS = 118  # letters of a claim's words in a line


def underline(fig: Figure, cells: Sequence[Mapping]) -> Figure:
    """`fig`, taller by a strip for each of the claims (cells of edgekit.claims.text); as it is without any."""
    with matplotlib.rc_context(style.RC):
        heights = [_height(cell) for cell in cells]
        tops = _make_room(fig, sum(heights))
        for cell, top in zip(cells, np.cumsum([0, *heights[:-1]]), strict=True):
            _strip(fig, cell, tops - top)
    return fig


def _make_room(fig: Figure, extra: float) -> float:
    """Add `extra` inches below everything; the height at which they end, in inches from below."""
    if not extra:
        return 0.0
    style.freeze(fig)
    width, height = fig.get_size_inches()
    fig.set_size_inches(width, height + extra)
    scale = height / (height + extra)
    for ax in fig.axes:
        x, y, w, h = ax.get_position(original=True).bounds
        ax.set_position([x, 1 - (1 - y) * scale, w, h * scale])
    for text in fig.texts:
        x, y = text.get_position()
        text.set_position((x, 1 - (1 - y) * scale))
    return extra


def _height(cell: Mapping) -> float:
    return GAP + TITLE + LINE * len(_words(cell)) + TEST * len(_lines(cell))


def _words(cell: Mapping) -> list[str]:
    missing = [] if _lines(cell) else [f"Needs {cell['needs']}"]
    return [line for text in (cell["statement"], *missing) for line in textwrap.wrap(text, WORDS)]


def _lines(cell: Mapping) -> list[Mapping]:
    return cell["parts"][0]["lines"]


def _strip(fig: Figure, cell: Mapping, top: float) -> None:
    width, height = fig.get_size_inches()
    colour, _ = LOOKS[cell["verdict"]]
    top -= GAP

    def write(x: float, y: float, text: str, **look) -> None:
        fig.text(x / width, y / height, text, va="top", **look)

    fig.add_artist(matplotlib.lines.Line2D([LEFT / width, 1 - LEFT / width], [(top + 0.06) / height] * 2, color="0.75",
                                           linewidth=0.6))
    write(LEFT, top, f"{cell['id']}: {cell['name']}", fontsize=8, fontweight="bold")
    write(width - LEFT, top, cell["verdict"], fontsize=8, fontweight="bold", color=colour, ha="right")
    top -= TITLE
    for line in _words(cell):
        write(LEFT, top, line, fontsize=7.5, color="0.25")
        top -= LINE
    for line in _lines(cell):
        numbers = line["numbers"]
        text = told(numbers["value"], numbers["low"], numbers["high"], numbers["unit"])
        write(LEFT, top - 0.01, "\n".join(textwrap.wrap(f"{line['what']}: {text}", 52)[:2]), fontsize=7.5)
        ax = fig.add_axes((3.05 / width, (top - 0.03 - AXIS) / height, (width - 3.3) / width, AXIS / height), label="verdict")
        _axis(ax, numbers, cell["verdict"])
        top -= TEST


def _axis(ax: Axes, numbers: Mapping, verdict: str) -> None:
    """Accepted range, printed values and ours; an arrow where the interval goes on beyond the axis."""
    colour, marker = LOOKS[verdict]
    left, right = _span(numbers)
    ax.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", labelsize=7, pad=1, length=2)
    ax.grid(visible=False)
    ends = [end for end in (numbers["least"], numbers["most"]) if end is not None]
    low = left if numbers["least"] is None else numbers["least"]
    high = right if numbers["most"] is None else numbers["most"]
    ax.axvspan(low, high, **claim.BAND)
    for end in ends:
        ax.axvline(end, **claim.EDGE)
    words = claim.words(numbers["least"] if numbers["least"] is not None else -math.inf,
                        numbers["most"] if numbers["most"] is not None else math.inf)
    open_to_the_right = numbers["most"] is None
    ax.annotate(f"accepted: {words}", (ends[0], 1), xytext=(2 if open_to_the_right else -2, 1), textcoords="offset points",
                ha="left" if open_to_the_right else "right", va="bottom", fontsize=6.5, color=claim.EDGE["color"])
    ax.plot(numbers["published"], [0.0] * len(numbers["published"]), **style.PUBLISHED, zorder=5, clip_on=False)
    ours_low, ours_high = (numbers["value"] if numbers[end] is None else numbers[end] for end in ("low", "high"))
    look = dict(color=colour, markeredgecolor=colour, clip_on=False, zorder=4)
    ax.plot(np.clip([ours_low, ours_high], left, right), [0, 0], linewidth=1.4, **look)
    for beyond, end, head in ((ours_low < left, left, "<"), (ours_high > right, right, ">")):
        if beyond:
            ax.plot(end, 0, marker=head, markersize=4.5, **look)
    ax.plot(numbers["value"], 0, marker=marker, markersize=5, **look)


def _span(numbers: Mapping) -> tuple[float, float]:
    """An axis over the points and the ends of what is accepted, and over the interval as far as it is no wider than three
    times that."""
    points = [numbers["value"], *numbers["published"], *(end for end in (numbers["least"], numbers["most"]) if end is not None)]
    left, right = min(points), max(points)
    room = (right - left) or abs(right) or 1.0
    for end in (numbers["low"], numbers["high"]):
        if end is not None:
            left, right = min(left, max(end, left - room)), max(right, min(end, right + room))
    room = 0.12 * ((right - left) or abs(right) or 1.0)
    return left - room, right + room


def of(cells: Iterable[Mapping], notebook: str, figure: str) -> list[Mapping]:
    """Those of the claims whose verdict links to a figure of a notebook."""
    return [cell for cell in cells if cell["figure"] == f"{notebook}.html#fig-{figure}"]
