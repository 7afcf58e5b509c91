"""Figures of laws on this machine's times: how far off each law is, where, and what the physical one says of another model."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from edgekit.analyze import roofline
from edgekit.plots import claim, intervals, style
from edgekit.studies.latency_law.tables_transfer import ANOTHER_FORMAT, ANOTHER_MODEL, OTHER_MODELS

# Laws: colour and marker.
LAWS = {"quadratic, padded": ("#0072B2", "o"), "quadratic": ("#56B4E9", "D"), "line": ("#E69F00", "s"),
        "arithmetic": ("#009E73", "^"), "published, O steps": ("#0072B2", "o"), "published, O − 1 steps": ("#56B4E9", "D"),
        "same for each step": ("#E69F00", "s"), "bytes over bandwidth": ("#009E73", "^")}
WAYS = {ANOTHER_MODEL: ("#0072B2", "o"), ANOTHER_FORMAT: ("#E69F00", "s"), OTHER_MODELS: ("#009E73", "^")}
CLAIMS = {"prefill": ("ER.1", "prefill_law_error"), "decode": ("ER.2", "decode_law_error_here")}
PLACES = {"prefill": "center", "decode": "right"}  # of the legends
GOALS = (10, 15)  # per cent


def unit_label(line) -> str:
    return f"{style.model_label(line.model)}, {line.engine} {line.dtype}"


@style.styled
def law_errors(table: pd.DataFrame) -> style.Drawn:
    """Held-out error of each law, a row a model and cell, a panel a phase (from `tables.error_table`)."""
    table = style.require(table[table.refused == ""], "law_errors")
    names = table.drop_duplicates(roofline.UNIT)
    rows = {unit_label(line): place for place, line in enumerate(names.itertuples())}
    fig = Figure(figsize=(style.WIDTH, min(7.0, 1.5 + 0.42 * len(rows))))
    axes = fig.subplots(1, 2, sharey=True)
    for ax, phase in zip(axes, CLAIMS, strict=True):
        here = table[table.phase == phase]
        known = list(dict.fromkeys(here.law))
        for line in here.itertuples():
            colour, marker = LAWS[line.law]
            place = rows[unit_label(line)] + 0.17 * (known.index(line.law) - (len(known) - 1) / 2)
            style.level(ax, line, "error", place, color=colour, marker=marker, markersize=3.5)
        ax.set(xscale="log", xlabel=f"{phase}: error at lengths held out (%)")
        intervals.by_marks(ax, here.error, [*here.error_low, *here.error_high], along="x", beyond=0.3)
        claim.accepted(ax, *CLAIMS[phase], along="x", told=claim.IN_LEGEND)
        ax.xaxis.set_major_formatter(style.PLAIN)
        ax.xaxis.set_minor_formatter(NullFormatter())
        intervals.mark_clipped(ax)
        handles = [Line2D([], [], color=LAWS[law][0], marker=LAWS[law][1], linestyle="none", label=law) for law in known]
        fig.legend(handles=[*handles, claim.key(*CLAIMS[phase])], loc=f"outside upper {PLACES[phase]}", title=phase)
    axes[0].set_yticks(list(rows.values()), list(rows))
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in axes:
        ax.grid(axis="y", visible=False)
        for place in range(1, len(rows)):
            ax.axhline(place - 0.5, color="0.9", linewidth=0.5, zorder=0)
    columns = ["phase", *roofline.UNIT, "law", "error", "error_low", "error_high", "within", "outliers", "best", "n"]
    return fig, table[columns]


@style.styled
def residuals(table: pd.DataFrame) -> style.Drawn:
    """By how much each law is off at each length that it was not fitted to, for the largest model's cells: a row a phase, a
    panel a cell (from `tables.residual_table`)."""
    style.require(table, "residuals")
    largest = table[table.parameters == table.parameters.max()]
    cells = list(dict.fromkeys(zip(largest.engine, largest["dtype"], strict=True)))[:3]
    phases = [phase for phase in CLAIMS if phase in set(largest.phase)]
    fig = Figure(figsize=(style.WIDTH, 0.9 + 1.9 * len(phases)))
    axes = fig.subplots(len(phases), len(cells), squeeze=False, sharex="row", sharey="row")
    for row, phase in zip(axes, phases, strict=True):
        x = "prompt_tokens" if phase == "prefill" else "output_tokens"
        for ax, (engine, dtype) in zip(row, cells, strict=True):
            here = largest[(largest.phase == phase) & (largest.engine == engine) & (largest["dtype"] == dtype)]
            ax.axhline(0, color="0.3", linewidth=0.8)
            for nth, (law, part) in enumerate(here.groupby("law", sort=False)):
                colour, marker = LAWS[law]
                style.series(ax, part.assign(place=part[x] * 1.04 ** (nth - 1.5)), "place", "residual", colour=colour,
                             marker=marker)
            ax.set(xscale="log", title=f"{phase}, {engine} {dtype}",
                   xlabel="prompt (tokens)" if phase == "prefill" else "output (tokens)")
            ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if here[x].max() / here[x].min() < 20 else (1,)))
            ax.xaxis.set_major_formatter(style.PLAIN)
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.tick_params(axis="x", which="minor", bottom=False)
        for ax in row:  # a law that is off by a half does not flatten those that are off by a hundredth
            ax.set_yscale("symlog", linthresh=5)
            ax.yaxis.set_major_locator(FixedLocator([-300, -100, -30, -10, -3, 0, 3, 10, 30, 100, 300]))
            ax.yaxis.set_major_formatter(style.PLAIN)
            ax.yaxis.set_minor_formatter(NullFormatter())
        part = largest[largest.phase == phase]
        intervals.by_marks(row[0], [0, *part.residual], [*part.residual_low, *part.residual_high], beyond=0.2)
        for ax in row:
            intervals.mark_clipped(ax)
        row[0].set_ylabel("law above what was seen (%)")
    places = dict(zip(phases, ("outside upper left", "outside upper right"), strict=False))
    for phase in phases:  # the same marks are other laws in the other phase
        known = list(dict.fromkeys(largest[largest.phase == phase].law))
        handles = [Line2D([], [], color=LAWS[law][0], marker=LAWS[law][1], linestyle="none", label=law) for law in known]
        fig.legend(handles=handles, loc=places[phase], ncols=2, columnspacing=1,
                   title=f"{style.model_label(largest.model.iloc[0])}, {phase}")
    return fig, largest[["phase", *roofline.UNIT, "law", *roofline.LENGTHS, "residual", "residual_low", "residual_high", "n"]]


@style.styled
def transfer(table: pd.DataFrame) -> style.Drawn:
    """How far off a physical law is that was fitted elsewhere, a row a model and cell that is foretold, a panel a phase (from
    `tables_transfer.transfer_table`); pocket models are left out where there are others."""
    style.require(table, "transfer")
    real = table[~table.model.str.startswith("pocket")]
    table = real if len(real) else table
    places = _places(table)
    fig = Figure(figsize=(style.WIDTH, min(9.0, 1.3 + 0.145 * len(places))))
    axes = fig.subplots(1, 2, sharey=True)
    for ax, phase in zip(axes, ("decode", "prefill"), strict=True):
        here = table[table.phase == phase]
        for line in here.itertuples():
            colour, marker = WAYS[line.way]
            style.level(ax, line, "error", places[unit_label(line), line.way, line.by], color=colour, marker=marker)
        for goal in GOALS:
            ax.axvline(goal, color="0.4", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.annotate(f"{GOALS[0]} and {GOALS[1]} %", (GOALS[0], 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
                    textcoords="offset points", ha="center", fontsize=7, color="0.3")
        ax.set(xscale="log", xlabel=f"{phase}: median error (%)")
        intervals.by_marks(ax, [*here.error, *GOALS], [*here.error_low, *here.error_high], along="x", beyond=0.3)
        ax.xaxis.set_major_formatter(style.PLAIN)
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(axis="y", visible=False)
        intervals.mark_clipped(ax)
    names = {}
    for (name, _, _), place in places.items():
        names.setdefault(name, []).append(place)
    axes[0].set_yticks([sum(at) / len(at) for at in names.values()], list(names), fontsize=7.5)
    axes[0].set_ylim(max(places.values()) + 1, -1)
    right = axes[1].secondary_yaxis("right")
    right.set_yticks(list(places.values()), [_by(way, by) for _, way, by in places], fontsize=6.5)
    right.tick_params(length=0)
    fig.legend(handles=[Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"from {way}")
                        for way, (colour, marker) in WAYS.items() if way in set(table.way)],
               loc="outside upper center", ncols=3)
    return fig, table[["phase", "way", "law", *roofline.UNIT, "by", "error", "error_low", "error_high", "bias", "n"]]


def _places(table: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Where each (row's name, way, by) stands: those of one name together, a gap between names."""
    lines = dict.fromkeys((unit_label(line), line.way, line.by) for line in table.itertuples())
    places, place = {}, 0.0
    for name in dict.fromkeys(name for name, _, _ in lines):
        for one in sorted((line for line in lines if line[0] == name), key=lambda line: (list(WAYS).index(line[1]), line[2])):
            places[one] = place
            place += 1
        place += 0.7
    return places


def _by(way: str, by: str) -> str:
    return "the others together" if way == OTHER_MODELS else style.model_label(by)
