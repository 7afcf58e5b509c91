"""Time to first token and time per output token, as small multiples: a panel a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter

from edgekit.analyze import roofline
from edgekit.plots import intervals, style

COLUMNS = 3
PROPORTION = {"color": "0.6", "linewidth": 0.9, "linestyle": (0, (1, 1))}


@style.styled
def ttft_vs_prompt(speed: pd.DataFrame) -> style.Drawn:
    """Time to first token against prompt length, a panel a model, a line an engine (from `speed_table`).

    The grey line is what grows in proportion to the prompt. Engines are set a little apart, since they share lengths.
    """
    table = style.require(speed.dropna(subset=["ttft_s"]), "ttft_vs_prompt")
    plotted = table[[*roofline.CONDITION, "ttft_s", "ttft_s_low", "ttft_s_high", "n"]]
    fig = _by_model(_set_apart(plotted, "prompt_tokens"), "place", "ttft_s", "prompt (tokens)", "time to first token (s)",
                    sharey="row", more=[Line2D([], [], label="in proportion to the prompt", **PROPORTION)])
    models = list(dict.fromkeys(plotted.model))
    rows = [models[start:start + COLUMNS] for start in range(0, len(models), COLUMNS)]
    for ax, model in zip(fig.axes, models, strict=True):
        ax.set_yscale("log")
        here = plotted[plotted.model.isin(next(row for row in rows if model in row))]
        intervals.by_marks(ax, here.ttft_s, [*here.ttft_s_low, *here.ttft_s_high], beyond=0.1)
        own = plotted[plotted.model == model]
        across = np.array([own.prompt_tokens.min(), own.prompt_tokens.max()])
        below = own.ttft_s[own.prompt_tokens == across[1]].min() / 2
        ax.plot(across, below * across / across[1], gid="proportion", **PROPORTION)
        ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 3), numticks=12))
        ax.yaxis.set_major_formatter(style.PLAIN)
        ax.yaxis.set_minor_formatter(NullFormatter())
        _at_lengths(ax, sorted(set(plotted.prompt_tokens)))
        intervals.mark_clipped(ax)
    return fig, plotted


@style.styled
def tpot_vs_context(speed: pd.DataFrame) -> style.Drawn:
    """Time per output token against the mean context of its steps, a panel a model (from `speed_table`)."""
    table = style.require(speed.dropna(subset=["tpot_s"]), "tpot_vs_context")
    milliseconds = {f"tpot_ms{end}": 1e3 * table[f"tpot_s{end}"] for end in ("", "_low", "_high")}
    plotted = table[roofline.CONDITION].assign(
        context_tokens=roofline.mean_context(table.prompt_tokens, table.output_tokens), **milliseconds, n=table.n)
    plotted = plotted.sort_values("context_tokens", kind="stable")
    fig = _by_model(_set_apart(plotted, "context_tokens"), "place", "tpot_ms", "mean context (tokens)",
                    "time per output token (ms)", sharey=False)
    for ax, model in zip(fig.axes, dict.fromkeys(plotted.model), strict=True):
        here = plotted[plotted.model == model]
        intervals.by_marks(ax, here.tpot_ms, [*here.tpot_ms_low, *here.tpot_ms_high], beyond=0.35, least=0)
        ax.yaxis.set_major_locator(MaxNLocator(4))
        intervals.mark_clipped(ax)
    return fig, plotted


def _set_apart(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """With `place`: the column, for a log axis, an engine and dtype a few per cent beside the next, none far from its own."""
    kinds = sorted(set(zip(table.engine, table["dtype"], strict=True)))
    nth = [kinds.index(kind) - (len(kinds) - 1) / 2 for kind in zip(table.engine, table["dtype"], strict=True)]
    return table.assign(place=table[column] * min(1.05, 1.3 ** (1 / max(len(kinds), 1))) ** np.array(nth))


def _at_lengths(ax: Axes, lengths: list[float]) -> None:
    """Ticks at the lengths that were measured, without those that would touch the next."""
    low, high = np.log10(ax.get_xlim())
    told: list[float] = []
    for length in lengths:
        if not told or np.log10(length / told[-1]) > 0.16 * (high - low):
            told.append(length)
    ax.xaxis.set_major_locator(FixedLocator(told))
    ax.xaxis.set_major_formatter(style.PLAIN)


def _by_model(table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str, *, sharey: bool | str,
              more: list[Line2D] | None = None) -> Figure:
    """Small multiples: a panel a model in the table's order, a line an engine, dtype, thread count and fixed length."""
    models = list(dict.fromkeys(table.model))
    fig, axes = style.panels(len(models), COLUMNS, 1.75, sharex=True, sharey=sharey)
    for ax, model in zip(axes, models, strict=True):
        apart = ["engine", "dtype", "threads", "batch", "device"]
        for (engine, dtype, *_), lines in table[table.model == model].groupby(apart, dropna=False):
            colour, marker = style.engine_style(engine, dtype)
            style.series(ax, lines, x, y, colour=colour, marker=marker, linestyle=style.line_of(dtype))
        ax.set(title=style.model_label(model), xscale="log")
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        ax.tick_params(labelbottom=True)
        length_ticks(ax)
    fig.supxlabel(x_label, fontsize=8.5)
    fig.supylabel(y_label, fontsize=8.5)
    fig.legend(handles=[*style.key(table), *(more or [])], loc="outside upper center", ncols=3)
    return fig


def length_ticks(ax: Axes) -> None:
    """Token counts on a log axis: 1, 2, 5 a decade where there is room, else 1 and 3."""
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 50 else (1, 3), numticks=8))
    ax.xaxis.set_major_formatter(style.PLAIN)
