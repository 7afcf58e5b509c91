"""Figures of what is accepted of a draft: how much, at which place of a block, and what it follows from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgekit.analyze.speculation import least_overlap
from edgekit.plots import claim, domains, intervals, style
from edgekit.studies.speculative import tables
from edgekit.studies.speculative.drawings import THEORY, greedy, pair_told, percent

# Temperatures, greedy first: colour and marker.
TEMPERATURES = (("#1A1A6C", "o"), ("#0072B2", "s"), ("#56B4E9", "^"), ("0.45", "D"))


@style.styled
def speculative_acceptance(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Accepted share of the drafted tokens (%), a row a domain and the first all of them together, a colour a temperature (from
    `tables.main_draft_table`), beside what S1.9 accepts of the average and the `published` average (%)."""
    table = percent(style.require(table, "speculative_acceptance"), "acceptance")
    first = table[table.temperature == table.temperature.min()].set_index("domain").acceptance_percent
    order = [tables.ALL, *first.drop(tables.ALL).sort_values(ascending=False, kind="stable").index]
    temperatures = sorted(set(table.temperature))
    fig = Figure(figsize=(style.WIDTH * 0.85, 1.1 + 0.36 * len(order)))
    ax = fig.subplots()
    for i, temperature in enumerate(temperatures):
        colour, marker = TEMPERATURES[i % len(TEMPERATURES)]
        for line in table[table.temperature == temperature].itertuples():
            place = order.index(line.domain) + 0.2 * (i - (len(temperatures) - 1) / 2)
            style.level(ax, line, "acceptance_percent", place, color=colour, marker=marker)
    printed = float(published.value.iloc[0])
    ax.plot(printed, 0, gid="published", zorder=4, **style.PUBLISHED)
    ax.axhline(0.5, color="0.6", linewidth=0.7)
    ax.set(ylim=(len(order) - 0.4, -0.9), xlabel="accepted share of the judged drafted tokens (%)")
    ax.set_title(pair_told(table.iloc[0]), fontsize=8, loc="left")
    ax.set_yticks(range(len(order)), order)
    ax.grid(False, axis="y")
    intervals.by_marks(ax, [*table.acceptance_percent, printed], along="x")
    ax.set_xlim(right=min(ax.get_xlim()[1], 100.5))  # no share is larger
    claim.accepted(ax, "S1.9", "draft_acceptance", along="x")
    intervals.mark_clipped(ax)
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="none", label=greedy(temperature))
               for temperature, (colour, marker) in zip(temperatures, TEMPERATURES, strict=False)]
    fig.legend(handles=[*handles, Line2D([], [], **style.PUBLISHED, label="published average")], loc="outside upper center",
               ncols=4)
    return fig, table


@style.styled
def speculative_places(table: pd.DataFrame) -> style.Drawn:
    """Accepted share of the drafted tokens (%) by their place in the block, greedy, a line a domain (from
    `tables.judged_places`); marks of one place stand a little apart."""
    table = percent(style.require(table, "speculative_places"), "acceptance")
    looks = domains.looks(sorted(set(table.domain)))
    fig = Figure(figsize=(style.WIDTH * 0.85, 3.1))
    ax = fig.subplots()
    for i, (domain, (colour, marker)) in enumerate(looks.items()):
        lines = table[table.domain == domain].sort_values("position")
        lines = lines.assign(place=lines.position + 0.08 * (i - (len(looks) - 1) / 2))
        style.series(ax, lines, "place", "acceptance_percent", colour=colour, marker=marker, linestyle="-")
    ax.set(ylim=(0, 102), xlabel="place in the block (drafted tokens)", ylabel="accepted share of the\njudged tokens there (%)")
    ax.set_title(pair_told(table.iloc[0], ", greedy"), fontsize=8, loc="left")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=colour, marker=marker, label=domain) for domain, (colour, marker) in looks.items()]
    fig.legend(handles=handles, loc="outside upper center", ncols=min(len(looks), 6), handlelength=1.4, columnspacing=1.2)
    return fig, table


@style.styled
def speculative_divergence(table: pd.DataFrame) -> style.Drawn:
    """Counted acceptance (%) against what the two distributions lead to expect, and against their KL divergence with the least
    that theory allows (from `tables.theory_table`); every pair and domain is a mark, of one engine."""
    table = percent(one_engine(style.require(table, "speculative_divergence")), "acceptance", "expected")
    looks = domains.looks(sorted(set(table.domain)))
    fig = Figure(figsize=(style.WIDTH, 3.3))
    left, right = fig.subplots(1, 2, sharey=True)
    for domain, (colour, marker) in looks.items():
        here = table[table.domain == domain]
        for drawn, fill in ((here[here.temperature > 0], "full"), (here[here.temperature == 0], "none")):
            _cross(left, drawn, "expected_percent", "acceptance_percent", color=colour, marker=marker, fillstyle=fill)
        _cross(right, here[here.temperature > 0], "kl", "acceptance_percent", color=colour, marker=marker)
    intervals.by_marks(left, [*table.acceptance_percent, *table.expected_percent])
    low, high = left.get_ylim()[0], min(left.get_ylim()[1], 100)  # a share; marks at the edge are seen whole
    left.set_ylim(low, high)
    left.plot([low, high], [low, high], gid="theory", **THEORY)
    left.set(xlim=(low, high), xlabel="overlap of the distributions, or agreement (%)", ylabel="accepted drafted tokens (%)",
             title="equal, as theory has it")
    sampled = table.kl[table.temperature > 0]
    most = 1.06 * float(sampled.max()) if len(sampled) else 0.1
    nats = np.linspace(0, most, 200)
    right.plot(nats, [100 * least_overlap(value) for value in nats], gid="least", **THEORY)
    right.set(xlim=(-0.02 * most, most), xlabel="KL divergence of the draft (nats a token)",
              title="never below the least that\nsuch a divergence allows")
    for ax in (left, right):
        intervals.mark_clipped(ax)
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="none", label=domain)
               for domain, (colour, marker) in looks.items()]
    kinds = [Line2D([], [], color="0.3", marker="o", fillstyle=fill, linestyle="none", label=label)
             for fill, label in (("full", "sampled"), ("none", "greedy"))]
    fig.legend(handles=[*handles, *kinds, Line2D([], [], label="theory", **THEORY)], loc="outside upper center", ncols=5)
    return fig, table


def one_engine(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of one engine for each pair: transformers, the reference, where it was counted there."""
    first = table.assign(rank=table.engine != "transformers").sort_values(["rank", "engine", "dtype"], kind="stable")
    chosen = first.drop_duplicates(["model", "draft"])[["model", "draft", "engine", "dtype"]]
    return table.merge(chosen, on=["model", "draft", "engine", "dtype"])


def _cross(ax: Axes, lines: pd.DataFrame, x: str, y: str, **look) -> None:
    """Marks with the intervals of both coordinates, these paler: there are many."""
    if len(lines):
        errors = [np.vstack([lines[name] - lines[f"{name}_low"], lines[f"{name}_high"] - lines[name]]).clip(min=0)
                  for name in (y, x)]
        marks = ax.errorbar(lines[x], lines[y], *errors, linestyle="none", elinewidth=0.6, clip_on=False, markersize=4, **look)
        style.clip_ends(marks)
        for bars in marks[2]:
            bars.set_alpha(0.4)
