"""The search over chains: speed against loss, what was chosen within each loss, and what was dropped where."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from edgekit.plots import intervals, style
from edgekit.studies.pipeline.tables_search import LOSSES, NOT_REACHED, TOO_LOSSY, TOO_SLOW

LAST, EARLIER = "#0072B2", "0.55"  # measured to the end; dropped before
DROPPED = {TOO_LOSSY: "x", TOO_SLOW: "o", NOT_REACHED: "+"}
TICKS = (-50, -20, -10, -5, -3, -1, 0, 1, 3, 5, 10, 20, 50, 100)
RUNG_SIZES = (3.5, 4.5, 5.5, 6.5)  # of marks of what was dropped: the higher its rung, the larger


@style.styled
def pipeline_search(table: pd.DataFrame) -> style.Drawn:
    """A panel a model (from `search_table`): what was measured to the end with its intervals, the fastest within each loss by
    name, and what was dropped, by why and after which rung."""
    table = style.require(table, "pipeline_search")
    groups = list(table.groupby(["model", "engine"], sort=False))
    fig, axes = style.panels(len(groups), 1, 3.9)
    for ax, ((model, engine), here) in zip(axes, groups, strict=True):
        _panel(ax, here)
        ax.set(title=f"{style.model_label(model)}, {engine}", xlabel="right answers lost (%)",
               ylabel="speed of whole requests (times)")
    rungs = sorted(table[table.dropped != ""].rung.unique())
    fig.legend(handles=[
        Line2D([], [], color=LAST, marker="o", linestyle="none", label="on the last rung, 95 % intervals"),
        Line2D([], [], color=LAST, marker="*", markersize=9, linestyle="none", label="fastest within a loss (named)"),
        *(Line2D([], [], color=EARLIER, marker=DROPPED[why], linestyle="none", fillstyle="none", label=f"dropped: {why}")
          for why in DROPPED if (table.dropped == why).any()),
        *(Line2D([], [], color=EARLIER, marker="o", linestyle="none", fillstyle="none", markersize=_size(rung),
                 label=f"after rung {rung + 1}") for rung in rungs if len(rungs) > 1),
        Line2D([], [], color="0.3", linestyle=":", label=f"{', '.join(f'{loss:g}' for loss in LOSSES)} % lost")],
        loc="outside upper center", ncols=3)
    return fig, table


def _size(rung: int) -> float:
    return RUNG_SIZES[min(rung, len(RUNG_SIZES) - 1)]


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    for line in table[table.dropped != ""].itertuples():
        ax.plot([line.loss], [line.speed_up], marker=DROPPED[line.dropped], color=EARLIER, linestyle="none", fillstyle="none",
                markersize=_size(line.rung), zorder=2)
    last = table[table.dropped == ""]
    for line in last.itertuples():
        ends = {name: None if pd.isna(low) else [[value - low], [high - value]] for name, value, low, high in (
            ("xerr", line.loss, line.loss_low, line.loss_high), ("yerr", line.speed_up, line.speed_up_low, line.speed_up_high))}
        look = dict(marker="*", markersize=9) if line.chosen else dict(marker="o", markersize=4)
        style.clip_ends(ax.errorbar([line.loss], [line.speed_up], **ends, **look, color=LAST, elinewidth=0.6, capsize=1.5,
                                    linestyle="none", zorder=3))
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(style.PLAIN)
    ax.yaxis.set_minor_formatter(style.PLAIN)
    losses = [0, *LOSSES, *table.loss]
    ax.set_xscale("symlog", linthresh=LOSSES[-1], linscale=2)  # straight where the bounds are, all that loses more beside it
    ax.set_xticks([tick for tick in TICKS if tick <= max(losses)], minor=False)
    ax.xaxis.set_major_formatter(style.PLAIN)
    ax.set_xlim(min(losses) - 1, 1.1 * max(losses) + 1)
    intervals.by_marks(ax, table.speed_up, [*last.speed_up_low, *last.speed_up_high])
    for loss in LOSSES:
        ax.axvline(loss, color="0.3", linestyle=":", linewidth=0.9, gid=f"loss {loss:g}")
    _names(ax, last[last.chosen != ""])
    intervals.mark_clipped(ax)


def _names(ax: Axes, chosen: pd.DataFrame) -> None:
    """What was chosen, at the right edge, where what is fast and loses little never lies; each with a line to its mark."""
    for place, line in enumerate(chosen.sort_values("speed_up", ascending=False).itertuples()):
        ax.annotate(f"within {line.chosen} %: {line.name}, {intervals.words(line, 'speed_up')} times",
                    (line.loss, line.speed_up), (0.99, 0.98 - 0.07 * place), textcoords="axes fraction", fontsize=7.5, va="top",
                    ha="right", arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.4"})
