"""Accuracy against how many steps a problem takes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.plots import intervals, style

MODELS = {"pocket-200k": ("#56B4E9", "o"), "pocket-900k": ("#009E73", "^"), "pocket-3m": ("#1A1A6C", "s"),
          "pocket-10m": ("#A6264C", "d")}
OTHERS = [("#E69F00", "D"), ("#CC79A7", "v"), ("0.4", "P"), ("0.7", "X")]
TITLES = {"think": "think: steps written out", "direct": "direct: answer only"}
ENDS = ("", "_low", "_high")


def looks(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each model: the pocket models have theirs everywhere, others get the next free one."""
    models = list(dict.fromkeys(models))
    others = [model for model in models if model not in MODELS]
    return {model: MODELS.get(model) or OTHERS[others.index(model) % len(OTHERS)] for model in models}


@style.styled
def accuracy_by_depth(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against the number of steps, a panel a mode, Wilson intervals; and beside it, a line a model, the
    difference of every other cell, a mark an engine and dtype, to the one that is drawn (% points).

    From a table with the lines of one cell a model (panel "depth") and those differences (panel "difference").
    """
    style.require(table, "accuracy_by_depth")
    lines, differences = (table[table.panel == panel] for panel in ("depth", "difference"))
    modes = [mode for mode in TITLES if mode in set(lines["mode"])]
    models = list(dict.fromkeys(lines.model))
    look = looks(models)
    columns = len(modes) + bool(len(differences))
    fig = Figure(figsize=(style.WIDTH if columns > 1 else 0.6 * style.WIDTH, 3.0))
    axes = list(fig.subplots(1, columns, squeeze=False)[0])
    for ax, mode in zip(axes, modes, strict=False):
        for model, part in lines[lines["mode"] == mode].groupby("model"):
            # Neighbouring intervals of one depth would hide each other.
            aside = 0.09 * (models.index(model) - (len(models) - 1) / 2)
            colour, marker = look[model]
            style.series(ax, part.assign(place=part.depth + aside), "place", "accuracy", colour=colour, marker=marker,
                         linestyle="-")
        ax.set(ylim=(0, 1.02), title=TITLES[mode], xlabel="depth (steps)", xticks=sorted(set(lines.depth)))
        ax.tick_params(labelleft=ax is axes[0])
    cells = sorted(set(zip(lines.engine, lines["dtype"], strict=True)))
    axes[0].set_ylabel("share of right answers" + (f"\n({', '.join(cells[0])})" if len(cells) == 1 else ""))
    handles = [Line2D([], [], color=look[model][0], marker=look[model][1], label=style.model_label(model)) for model in models]
    if len(differences):
        differences = _differences(axes[-1], differences, models)
        handles += style.key(differences, lines=False)
    fig.legend(handles=handles, loc="outside upper center", ncols=4)
    columns = ["panel", "model", "engine", "dtype", "source", "mode", "depth", "accuracy", "accuracy_low", "accuracy_high",
               "correct", "n"]
    columns += ["less", *(f"difference_percent{end}" for end in ENDS)] if len(differences) else []
    return fig, pd.concat([lines, differences], ignore_index=True)[columns]


def _differences(ax: Axes, table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Draw the differences, and return them in % points."""
    table = table.assign(**{f"difference_percent{end}": 100 * table[f"difference{end}"] for end in ENDS})
    cells = sorted(set(zip(table.engine, table["dtype"], strict=True)))
    for line in table.itertuples():
        colour, marker = style.engine_style(line.engine, line.dtype)
        place = models.index(line.model) + 0.22 * (cells.index((line.engine, line.dtype)) - (len(cells) - 1) / 2)
        style.level(ax, line, "difference_percent", place, color=colour, marker=marker)
    ax.axvline(0, gid="same", color="0.3", linewidth=0.9, linestyle=":", zorder=1)
    ax.set(ylim=(len(models) - 0.5, -0.5), xlabel="difference of right answers (% points)", title="other cells less that one")
    ax.set_yticks(range(len(models)), map(style.model_label, models))
    ax.grid(False, axis="y")
    intervals.by_marks(ax, [*table.difference_percent, 0.0], [*table.difference_percent_low, *table.difference_percent_high],
                       along="x", beyond=3.0)
    intervals.mark_clipped(ax)
    return table
