"""Accuracy against how many steps a problem takes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.plots import style

MODELS = {"pocket-200k": ("#56B4E9", "o"), "pocket-900k": ("#009E73", "^"), "pocket-3m": ("#1A1A6C", "s"),
          "pocket-10m": ("#A6264C", "d")}
OTHERS = [("#E69F00", "D"), ("#CC79A7", "v"), ("0.4", "P"), ("0.7", "X")]
TITLES = {"think": "think: steps written out", "direct": "direct: answer only"}


def looks(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each model: the pocket models have theirs everywhere, others get the next free one."""
    models = list(dict.fromkeys(models))
    others = [model for model in models if model not in MODELS]
    return {model: MODELS.get(model) or OTHERS[others.index(model) % len(OTHERS)] for model in models}


@style.styled
def accuracy_by_depth(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against the number of steps, Wilson intervals (from `accuracy_table`).

    A column a mode and a row an engine and dtype: the same model should look the same in every row.
    """
    style.require(table, "accuracy_by_depth")
    plotted = table[["model", "engine", "dtype", "source", "mode", "depth", "accuracy", "accuracy_low", "accuracy_high",
                     "correct", "n"]]
    modes = [mode for mode in TITLES if mode in set(plotted["mode"])]
    cells = sorted(set(zip(plotted.engine, plotted["dtype"], strict=True)))
    models = list(dict.fromkeys(plotted.model))
    look = looks(models)
    fig = Figure(figsize=(style.WIDTH if len(modes) > 1 else 0.6 * style.WIDTH, 0.6 + 1.75 * len(cells)))
    axes = fig.subplots(len(cells), len(modes), squeeze=False, sharex=True, sharey=True)
    for row, (engine, dtype) in zip(axes, cells, strict=True):
        in_cell = plotted[(plotted.engine == engine) & (plotted["dtype"] == dtype)]
        for ax, mode in zip(row, modes, strict=True):
            for model, lines in in_cell[in_cell["mode"] == mode].groupby("model"):
                # Neighbouring intervals of one depth would hide each other.
                aside = 0.07 * (models.index(model) - (len(models) - 1) / 2)
                colour, marker = look[model]
                style.series(ax, lines.assign(place=lines.depth + aside), "place", "accuracy", colour=colour,
                             marker=marker, linestyle="-")
            ax.set(ylim=(0, 1.02))
            ax.set_xticks(sorted(set(plotted.depth)))
        row[0].set_ylabel(f"share of right answers\n{engine}, {dtype}", fontsize=8)
    for ax, mode in zip(axes[0], modes, strict=True):
        ax.set_title(TITLES[mode])
    for ax in axes[-1]:
        ax.set_xlabel("depth (steps)")
    fig.legend(handles=[Line2D([], [], color=look[model][0], marker=look[model][1], label=style.model_label(model))
                        for model in models], loc="outside upper center", ncols=min(len(models), 4))
    return fig, plotted
