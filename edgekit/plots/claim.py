"""What a claim accepts, as a band on the axis of its quantity."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from edgekit.analyze import stats
from edgekit.catalog import published

BAND = {"color": "#009E73", "alpha": 0.13, "linewidth": 0, "zorder": 0}
EDGE = {"color": "#00664B", "linewidth": 0.9, "linestyle": (0, (5, 2)), "zorder": 1}

TOLD = {"fontsize": 7, "color": EDGE["color"], "textcoords": "offset points",
        "bbox": {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6}}  # no line strikes the words out

IN_LEGEND = " "  # for `told`: nothing at the edge, since the legend has the band's `key`


def accepted(ax: Axes, claim: str, quantity: str, *, along: str = "y", factor: float = 1.0, told: str = "",
             models: Iterable[str] = (), judged: bool = True) -> None:
    """Shade what `claim` accepts of `quantity` on the axis `along` (x or y), drawn in `factor` times the quantity's unit.

    Called after everything else is drawn: the axis is widened so far that each finite end is seen, and an open end reaches to
    the panel's edge. told: what stands at the edge instead of the claim's id and the range. models: whose panel it is, where
    models have panels of their own: ours is marked in that of the judged ones. judged: whether ours may be marked here at all,
    and not in a panel of another setting. Raises PublishedError.
    """
    low, high = (end * factor for end in published.accepted(claim, quantity))
    limits, span, line = ((ax.get_xlim, ax.axvspan, ax.axvline) if along == "x" else (ax.get_ylim, ax.axhspan, ax.axhline))
    edges = [end for end in (low, high) if math.isfinite(end)]
    left, right = sorted(limits())
    log = (ax.get_xscale() if along == "x" else ax.get_yscale()) == "log"
    room = (right / left) ** 0.06 if log else 0.06 * (right - left)
    for end in edges:
        left = min(left, end / room if log else end - room)
        right = max(right, end * room if log else end + room)
    (ax.set_xlim if along == "x" else ax.set_ylim)(left, right)
    span(max(low, left), min(high, right), **BAND)
    # where the judged value is marked, once there is a verdict
    ax.accepts = [*judged_in(ax), *[(claim, quantity, along, factor, frozenset(models))] * judged]
    for end in edges:
        line(end, **EDGE)
    told = told or f"{claim} accepts {stats.span(low, high)}"
    at = edges[0]
    if told == IN_LEGEND:
        return
    if along == "x":
        ax.annotate(told, (at, 1), xycoords=("data", "axes fraction"), xytext=(3 if math.isinf(high) else -3, -2),
                    ha="left" if math.isinf(high) else "right", va="top", **TOLD)
    else:
        ax.annotate(told, (1, at), xycoords=("axes fraction", "data"), xytext=(-2, 2 if math.isinf(high) else -2),
                    ha="right", va="bottom" if math.isinf(high) else "top", **TOLD)


def judged_in(ax: Axes) -> list[tuple[str, str, str, float, frozenset[str]]]:
    """What `accepted` shaded in a panel: claim, quantity, axis, the factor of the quantity's unit, and whose panel it
    is, nothing for everyone's."""
    return getattr(ax, "accepts", [])


def key(claim: str, quantity: str, told: str = "") -> Patch:
    """The band of `accepted` for a legend, where its words would lie on marks: `told`, or the claim's id and its range."""
    return Patch(facecolor=(BAND["color"], BAND["alpha"]), edgecolor=EDGE["color"], linewidth=EDGE["linewidth"],
                 linestyle=EDGE["linestyle"], label=told or f"{claim} accepts {wanted(claim, quantity)}")


def wanted(claim: str, quantity: str, *, measured: bool = False) -> str:
    """What `claim` accepts of `quantity`, in words (see published.accepted). Raises PublishedError."""
    return stats.span(*published.accepted(claim, quantity, measured=measured))
