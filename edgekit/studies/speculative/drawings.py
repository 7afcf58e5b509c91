"""What the drawings of the speculative study share: looks of drafts, lines that mean the same everywhere, words."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from edgekit.plots import style
from edgekit.plots.accuracy import MODELS
from edgekit.schema import LOOKUP
from edgekit.studies.speculative import tables

# Drafts that are no model as it is: colour and marker, in the order in which they are met.
OTHER_DRAFTS = (("#0072B2", "D"), ("#E69F00", "v"), ("#CC79A7", "P"), ("#D55E00", "<"))
LOOKED_UP = ("0.45", "d")
THEORY = {"color": "0.3", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
EVEN = {"color": "0.3", "linewidth": 0.9, "linestyle": ":", "zorder": 1}


def looks(drafts: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each draft, by its name for readers; a model has the ones that it has in every figure."""
    others = [name for name in drafts if name not in MODELS and name != tables.draft_label("", LOOKUP)]
    return {name: MODELS.get(name) or (OTHER_DRAFTS[others.index(name) % len(OTHER_DRAFTS)] if name in others else LOOKED_UP)
            for name in drafts}


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the largest target, with every draft that is no larger."""
    table = table[table.parameters == table.parameters.max()]
    return table[~(table.draft_parameters > table.parameters)]


def percent(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The table with shares as per cent, under `<name>_percent` and its ends."""
    ends = {f"{name}{end}": f"{name}_percent{end}" for name in names for end in ("", "_low", "_high")}
    return table.assign(**{column: 100 * table[column] for column in ends}).rename(columns=ends)


def pair_told(line, more: str = "") -> str:
    """Who drafts for whom, in which engine, and `more`, of a table's line, for the left end above a panel."""
    told = (f"{style.model_label(line.by)} drafts for {style.model_label(line.model)}, "
            f"{line.length} tokens a block ({line.engine}, {line['dtype']}){more}")
    return textwrap.fill(told, 80)


def greedy(temperature: float) -> str:
    return "greedy" if temperature == 0 else f"temperature {temperature:g}"


def publish(ax: Axes, value: float, across: bool = False) -> None:
    """A published value on the vertical axis that was printed for no place on the horizontal one: a mark in the margin, and
    where asked a line across the panel."""
    if across:
        ax.axhline(value, color="black", linewidth=0.7, zorder=1)
    ax.plot([1.025], [value], transform=ax.get_yaxis_transform(), clip_on=False, gid="published", zorder=5, **style.PUBLISHED)


def draft_key(looks_of: dict[str, tuple[str, str]]) -> list[Line2D]:
    return [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in looks_of.items()]


def engine_key(table: pd.DataFrame, **look) -> list[Line2D]:
    """Legend entries for the engines and dtypes of a table, the runtimes' own loops too."""
    found = sorted(set(zip(table.engine, table["dtype"], strict=True)))
    looks_of = [(engine, dtype, *style.engine_style(engine, dtype)) for engine, dtype in found]
    return [Line2D([], [], color=colour, marker=marker, label=f"{engine}, {dtype}", **look)
            for engine, dtype, colour, marker in looks_of]
