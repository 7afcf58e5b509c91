"""Figures of what each technique has of the whole gain and loss, and of how far gains multiply."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgekit.plots import claim, intervals, style
from edgekit.studies.pipeline import tables_shares
from edgekit.studies.pipeline.drawings import ADDS, in_times
from edgekit.studies.pipeline.tables_shares import ALL, LOSS, SPEED

WHOLE = {"facecolor": "0.85", "edgecolor": "0.25", "linewidth": 0.6}


@style.styled
def pipeline_shares(table: pd.DataFrame) -> style.Drawn:
    """Shapley's shares of the whole gain, one behind the other on a log axis, and of the loss (from `share_table`), a row a
    model; whiskers: the interval of a technique's own share, at the end of its bar."""
    table = style.require(table, "pipeline_shares")
    models = list(dict.fromkeys(table.model))
    fig = Figure(figsize=(style.WIDTH, 0.6 + 2.3 * len(models)))
    axes = fig.subplots(len(models), 2, squeeze=False)
    for row, model in zip(axes, models, strict=True):
        for ax, of in zip(row, (SPEED, LOSS), strict=True):
            here = table[(table.model == model) & (table.of == of)].reset_index(drop=True)
            if here.empty:
                ax.remove()
                continue
            _fall(ax, here, of)
            ax.set_title(f"{style.model_label(model)}\n{_orders(here)}", fontsize=7.5, loc="left")
    return fig, table


def _orders(table: pd.DataFrame) -> str:
    orders, possible = table[["orders", "possible"]].iloc[0]
    return f"all {possible} orders" if orders == possible else f"{orders} of {possible} orders were measured"


def _fall(ax: Axes, table: pd.DataFrame, of: str) -> None:
    """Bars one behind the other, and the whole."""
    at, ends, whiskers, total = 0.0, [0.0], [], table.share[table.technique == ALL].iloc[0]
    shown = math.exp if of == SPEED else float
    for line in table.itertuples():
        start, end = (0.0, total) if line.technique == ALL else (at, at + line.share)
        at = at if line.technique == ALL else end
        look = WHOLE if line.technique == ALL else dict(facecolor=style.TECHNIQUES[line.technique][0], edgecolor="0.25",
                                                        hatch=style.TECHNIQUES[line.technique][1], linewidth=0.6)
        ax.barh(line.Index, shown(end) - shown(start), 0.7, left=shown(start), gid=line.technique, **look)
        if not pd.isna(line.share_low):
            low, high = (start + bound for bound in (line.share_low, line.share_high))
            whiskers += [shown(low), shown(high)]
            style.clip_ends(ax.errorbar([shown(end)], [line.Index], xerr=[[max(shown(end) - shown(low), 0)],
                                                                          [max(shown(high) - shown(end), 0)]], color="black",
                                        elinewidth=0.9, capsize=2, linestyle="none", zorder=4))
        ends.append(end)
    if of == SPEED:
        in_times(ax)
    intervals.by_marks(ax, [shown(end) for end in ends], whiskers, along="x")
    ax.set_yticks(range(len(table)), table.technique)
    ax.set(ylim=(len(table) - 0.5, -0.5),
           xlabel="speed over the fastest baseline (times)" if of == SPEED else "right answers lost (%)")
    ax.grid(False, axis="y")
    intervals.mark_clipped(ax)
    intervals.beside(ax, [_words(line, of) for line in table.itertuples()])


def _words(line, of: str) -> str:
    if of == LOSS:
        return f"{line.share:.2g} %"
    return f"× {line.times:.3g}" + (f", {line.part:.0f} %" if line.technique != ALL else "")


@style.styled
def pipeline_steps(steps: pd.DataFrame, products: pd.DataFrame) -> style.Drawn:
    """Left, the gain of each stage over the one before (from `step_table`), with what S1.19 accepts of the least; right, the
    gain of all three techniques over the product of single gains (from `product_table`), with what S1.11 accepts."""
    steps, products = style.require(steps, "pipeline_steps"), style.require(products, "pipeline_steps")
    fig = Figure(figsize=(style.WIDTH, 1.2 + 0.28 * max(len(steps), len(products))))
    left, right = fig.subplots(1, 2)
    several = steps.model.nunique() > 1
    names = [f"{line.stage}{f', {style.model_label(line.model)}' if several else ''}" for line in steps.itertuples()]
    for place, line in enumerate(steps.itertuples()):
        colour, _, marker = style.TECHNIQUES[ADDS[line.stage]]
        judged = line.stage in tables_shares.PAPERS_STEPS
        style.level(left, line, "gain", place, color=colour, marker=marker, fillstyle="full" if judged else "none")
    _axis(left, names, steps, "gain", "gain over the stage before (times)")
    claim.accepted(left, "S1.19", "least_stage_gain", along="x")
    for place, line in enumerate(products.itertuples()):
        judged = line.runtime == tables_shares.FAST
        style.level(right, line, "ratio", place, color="black", marker="o", fillstyle="full" if judged else "none")
    _axis(right, [f"{line.runtime}\n{line.joint:.3g} for {line.product:.3g}" for line in products.itertuples()], products,
          "ratio", "all together over the product\nof single gains (times)")
    claim.accepted(right, "S1.11", "joint_over_product", along="x")
    for ax in (left, right):
        intervals.mark_clipped(ax)
    return fig, pd.concat([steps, products], ignore_index=True)


def _axis(ax: Axes, names: list[str], table: pd.DataFrame, column: str, words: str) -> None:
    intervals.by_marks(ax, [*table[column], 1.0], [*table[f"{column}_low"], *table[f"{column}_high"]], along="x")
    ax.set(ylim=(len(table) - 0.4, -0.9), xlabel=words)
    ax.set_yticks(range(len(table)), names, fontsize=7.5)
    ax.grid(False, axis="y")
