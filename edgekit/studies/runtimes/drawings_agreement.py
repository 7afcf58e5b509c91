"""Who agrees with whom: a matrix of runtimes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from edgekit.plots import style
from edgekit.studies.runtimes.tables_agreement import LIKELIEST, WRITTEN


@style.styled
def agreement(table: pd.DataFrame) -> style.Drawn:
    """Agreement of each pair of cells, a panel a model: above the diagonal the likeliest token given the same text, below it
    whole texts that were written alike (from tables_agreement.pair_table)."""
    table = style.require(table, "agreement")
    models = list(dict.fromkeys(table.model))
    cells = list(dict.fromkeys([*table["first"], *table["second"]]))
    side = 0.75 + 0.42 * len(cells)
    fig = Figure(figsize=(min(style.WIDTH, 2.2 + side * len(models)), 1.6 + side))
    axes = fig.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for ax, model in zip(axes, models, strict=True):
        values = np.full((len(cells), len(cells)), np.nan)
        for line in table[table.model == model].itertuples():
            low, high = sorted((cells.index(line.first), cells.index(line.second)))
            values[(low, high) if line.what == LIKELIEST else (high, low)] = line.agreement
        ax.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                ax.annotate(f"{100 * value:.3g}", (column, row), ha="center", va="center", fontsize=7,
                            color="white" if value > 0.6 else "black")
        ax.set_xticks(range(len(cells)), cells, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
        ax.set_yticks(range(len(cells)), cells, fontsize=7)
        ax.set_title(style.model_label(model))
        ax.grid(False)
    fig.supxlabel(f"per cent alike\nabove the diagonal: {LIKELIEST},\nbelow: {WRITTEN}", fontsize=8)
    return fig, table[["model", "first", "second", "what", "agreement", "agreement_low", "agreement_high", "n"]]
