"""Drawings of the routing study: the cost and quality of every threshold, APGR by policy, the two errors, probabilities,
mixes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgekit.analyze import stats
from edgekit.plots import claim, intervals, style
from edgekit.schema import TEXT
from edgekit.studies.routing import drawings, tables
from edgekit.studies.routing.drawings import LOOKS, PERCENT

FIXED = ("#009E73", "P")
ENDS = {"color": "black", "marker": "o", "markersize": 5, "linestyle": "none"}
ERRORS = {"missed": ("#D55E00", "-", "weak answers kept on the device"),
          "wasted": ("#0072B2", "--", "calls to the cloud that won nothing")}


@style.styled
def routing_curve(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against the cost of both models over that of sending all, a panel a set (from
    `tables_compared.drawn_curves`); marks: fixed models with Wilson's intervals."""
    style.require(table, "routing_curve")
    parts = dict(list(table.groupby(tables.PAIR, sort=False, dropna=False)))
    fig = Figure(figsize=(style.WIDTH, 3.4))
    axes = fig.subplots(1, len(parts), squeeze=False)[0]
    for ax, here in zip(axes, parts.values(), strict=True):
        for policy, line in here[here.fixed.isna()].groupby("policy", sort=False):
            colour, _, dashes = LOOKS[policy]
            ax.plot(line.cost, line.quality, color=colour, linestyle=dashes, gid=policy, zorder=2 + (policy == TEXT))
        ends = here[here.policy == tables.RANDOM].sort_values("sent").iloc[[0, -1]]
        ax.plot(ends.cost, ends.quality, gid="ends", zorder=5, **ENDS)
        for line in here[here.fixed.notna()].itertuples():
            errors = [[line.quality - line.quality_low], [line.quality_high - line.quality]]
            ax.errorbar(line.cost, line.quality, errors, color=FIXED[0], marker=FIXED[1], markersize=7, capsize=2, zorder=6,
                        gid=f"fixed {line.fixed}")
            ax.annotate(f"{style.model_label(line.fixed)} alone", (line.cost, line.quality_high), xytext=(0, 3),
                        textcoords="offset points", ha="center", fontsize=7, color=FIXED[0])
        drawings.entitle(ax, here.iloc[0])
        ax.set_xlabel("cost over that of\nall to the cloud (%)" if here["set"].iloc[0] == tables.RECORDED
                      else "queries sent\nto the cloud (%)")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PERCENT)
        ax.set_xlim(left=0)
        ax.margins(y=0.12)
    axes[0].set_ylabel("right answers (%)")
    drawings.key(fig, table.policy, Line2D([], [], label="always the device, always the cloud", **ENDS))
    return fig, table


@style.styled
def routing_gain(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """APGR of every policy, a panel a set, with intervals over items (from `tables.policy_table`); crosses: routers that others
    trained, which saw the same kind of thing (from catalog.routers)."""
    style.require(table, "routing_gain")
    table = table[~table.policy.isin((tables.ORACLE,))]
    parts = dict(list(table.groupby(tables.PAIR, sort=False, dropna=False)))
    order = [name for name in (tables.RANDOM, *tables.SCORED) if name in set(table.policy)]
    fig = Figure(figsize=(style.WIDTH, 1.5 + 0.33 * len(order)))
    axes = fig.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    shown = []
    for ax, here in zip(axes, parts.values(), strict=True):
        theirs = published[published["set"] == here["set"].iloc[0]]
        for line in here.itertuples():
            colour, marker, _ = LOOKS[line.policy]
            place = order.index(line.policy)
            style.level(ax, line, "apgr", place, color=colour, marker=marker)
            marks = theirs[theirs.features == line.policy]
            ax.plot(marks.apgr, [place - 0.28] * len(marks), gid="published", **style.PUBLISHED)
            shown.append(marks.assign(policy=line.policy))
        ax.axvline(0.5, color="0.3", linewidth=0.9, linestyle=":", zorder=1)
        intervals.by_marks(ax, [0.5, *here.apgr, *theirs.apgr], [*here.apgr_low, *here.apgr_high], along="x", beyond=0.5)
        intervals.mark_clipped(ax)
        drawings.entitle(ax, here.iloc[0])
        ax.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    fig.supxlabel("share of the cloud's gain, in the mean over shares sent (APGR)", fontsize=8.5)
    axes[0].set_yticks(range(len(order)), [drawings.WORDS[name] for name in order])
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    fig.legend(handles=[Line2D([], [], label="routers of others, of other models", **style.PUBLISHED),
                        Line2D([], [], color="0.3", linewidth=0.9, linestyle=":", label="a draw by lot")],
               loc="outside upper center", ncols=2)
    return fig, pd.concat([table.assign(source="measured"), *shown], ignore_index=True)


@style.styled
def routing_errors(table: pd.DataFrame) -> style.Drawn:
    """The two errors against the threshold on the text estimator's probability, a panel a set (from
    `tables_points.error_table`)."""
    table = style.require(table[table.policy == TEXT], "routing_errors")
    parts = dict(list(table.groupby(tables.PAIR, sort=False, dropna=False)))
    fig = Figure(figsize=(style.WIDTH, 3.0))
    axes = fig.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    for ax, here in zip(axes, parts.values(), strict=True):
        for name, (colour, dashes, _) in ERRORS.items():
            ax.plot(here.threshold, here[name], color=colour, linestyle=dashes, gid=name)
            ax.fill_between(here.threshold, here[f"{name}_low"], here[f"{name}_high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(here.threshold, here.kept, color="0.5", linewidth=0.9, linestyle=":", gid="kept")
        drawings.entitle(ax, here.iloc[0])
        ax.set(xlabel="kept from this probability on", xlim=(0, 1), ylim=(0, 1.02))
        ax.yaxis.set_major_formatter(PERCENT)
    axes[0].set_ylabel("share of all queries (%)")
    handles = [Line2D([], [], color=colour, linestyle=dashes, label=label) for colour, dashes, label in ERRORS.values()]
    kept = Line2D([], [], color="0.5", linewidth=0.9, linestyle=":", label="queries kept on the device")
    fig.legend(handles=[*handles, kept], loc="outside upper center", ncols=3)
    return fig, table


@style.styled
def routing_calibration(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against what the estimator said, a mark a bin of as many queries, a panel a set (from
    `tables_points.reliability_table`)."""
    style.require(table, "routing_calibration")
    table = table.assign(source=np.where(table["set"] == tables.RECORDED, "measured", "replayed"))
    parts = dict(list(table.groupby(tables.PAIR, sort=False, dropna=False)))
    fig = Figure(figsize=(style.WIDTH, 3.1))
    axes = fig.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    for ax, here in zip(axes, parts.values(), strict=True):
        ax.plot([0, 1], [0, 1], color="0.3", linewidth=0.9, linestyle=":", zorder=1)
        for policy, line in here.groupby("policy", sort=False):
            colour, marker, _ = LOOKS[policy]
            style.series(ax, line, "said", "share", colour=colour, marker=marker)
        drawings.entitle(ax, here.iloc[0])
        ax.set(xlabel="probability that it said", xlim=(0, 1), ylim=(0, 1))
    axes[0].set_ylabel("share that it has right")
    drawings.key(fig, table.policy, Line2D([], [], color="0.3", linewidth=0.9, linestyle=":", label="as it says"), lines=False)
    return fig, table


@style.styled
def routing_mix(table: pd.DataFrame) -> style.Drawn:
    """What is saved and what is lost against the share of simple traffic, for the recorded pair (from
    `tables_compared.mix_table`)."""
    table = style.require(table[table["set"] == tables.RECORDED], "routing_mix")
    fig = Figure(figsize=(style.WIDTH, 3.2))
    axes = fig.subplots(1, 2)
    for ax, name in zip(axes, ("saved", "behind"), strict=True):
        for policy, line in table.groupby("policy", sort=False):
            colour, marker, dashes = LOOKS[policy]
            aside = 0.008 * (list(LOOKS).index(policy) - 1.5)
            style.series(ax, line.assign(source="measured", place=line.share + aside), "place", name, colour=colour,
                         marker=marker, linestyle=dashes)
        ax.axvline(table.recorded.iloc[0], color="0.3", linewidth=0.9, linestyle=":", zorder=1)
        ax.set_xlabel("queries that the device has right (%)")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PERCENT)
    axes[1].axhline(0, color="0.4", linewidth=0.7, zorder=0)
    axes[0].set(ylabel="tokens of the cloud saved (%)", ylim=(0, 1))
    axes[1].set_ylabel("accuracy behind the cloud's (% points)")
    # S1.22 keeps 78 % of the queries whatever that costs, and these curves as many as leave 95 % of the cloud's gain.
    claim.accepted(axes[0], "S1.22", "cost_saved", factor=0.01, told="S1.22 accepts, with 78 % kept", judged=False)
    drawings.key(fig, table.policy, Line2D([], [], color="0.3", linewidth=0.9, linestyle=":", label="as recorded"), lines=False)
    return fig, table


@style.styled
def routing_within(table: pd.DataFrame) -> style.Drawn:
    """The longest answer within 100 ms by size of the model (from `tables_times.within_table`)."""
    style.require(table, "routing_within")
    fig = Figure(figsize=(0.75 * style.WIDTH, 2.9))
    ax = fig.subplots()
    for place, line in enumerate(table.itertuples()):
        colour, _ = style.engine_style(line.engine, line.dtype)
        ax.plot(line.parameters, max(line.tokens, 0.5), color=colour, marker="o", linestyle="none", gid=line.model)
        told, above = f"{line.tokens} tokens" if line.tokens else "none", place % 2 or not line.tokens
        ax.annotate(f"{style.model_label(line.model)}\n{told}", (line.parameters, max(line.tokens, 0.5)),
                    xytext=(0, 7 if above else -7), textcoords="offset points", ha="center",
                    va="bottom" if above else "top", fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel="weights of the model",
           ylabel=f"longest answer within {stats.number(100)} ms (tokens)")
    ax.margins(x=0.2)
    ax.set_ylim(0.2, 5 * max(1.0, table.tokens.max()))
    ax.yaxis.set_major_formatter(style.PLAIN)
    return fig, table
