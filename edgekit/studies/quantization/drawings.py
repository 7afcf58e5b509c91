"""Figures of the quantization study: what bits cost by method, what they buy by runtime, and what calibration is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from edgekit.analyze.rows import in_reference
from edgekit.plots import style
from edgekit.schema import NONE
from edgekit.studies.quantization.tables import SEARCHED, UNCALIBRATED, main_part
from edgekit.studies.quantization.tables_speed import with_most_threads

LABELS = {"rtn": "round to nearest", "awq": "AWQ", "gptq": "GPTQ", "gguf": "GGUF", "gguf_imatrix": "GGUF, importance matrix"}
FRONTIER = {"color": "0.6", "linewidth": 0.9, "zorder": 1}
CEILING = {"color": "black", "linewidth": 1.6}


def _compared(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Quantized variants in the reference engine, in which only the method differs, without the ablations."""
    style.require(table, name)
    table = main_part(table)
    table = table[in_reference(table) & (table.method != NONE)]
    return style.require(table.dropna(subset=["stored_bits"]), name)


def _methods(table: pd.DataFrame) -> list[str]:
    return [name for name in LABELS if name in set(table.method)]


def _beside(ax: Axes, table: pd.DataFrame, column: str, methods: list[str], span: float) -> None:
    """Marks of a column against stored bits, methods of the same bits set apart by a hundredth of the axis."""
    for place, method in enumerate(methods):
        colour, marker = style.METHODS[method]
        lines = table[table.method == method]
        lines = lines.assign(stored_bits=lines.stored_bits + 0.012 * span * (place - (len(methods) - 1) / 2))
        style.series(ax, lines, "stored_bits", column, colour=colour, marker=marker)


def _span(table: pd.DataFrame) -> float:
    return table.stored_bits.max() - table.stored_bits.min()


def _key(fig: Figure, methods: list[str], *more: Line2D) -> None:
    handles = [Line2D([], [], color=style.METHODS[name][0], marker=style.METHODS[name][1], linestyle="none", label=LABELS[name])
               for name in methods]
    fig.legend(handles=[*handles, *more], loc="outside upper center", ncols=3 if len(handles) + len(more) > 4 else 4)


@style.styled
def quantization_frontier(by_domain: dict[str, pd.DataFrame]) -> style.Drawn:
    """KL divergence against stored bits by method, a row a model, a column a domain (from `losses.loss_table`).

    The grey steps are the frontier: nothing with fewer bits loses less. A variant that loses nothing is not on a log axis.
    """
    tables = {name: _compared(table, "quantization_frontier") for name, table in by_domain.items()}
    shown = pd.concat([table.assign(domain=name) for name, table in tables.items()], ignore_index=True)
    models, methods = list(dict.fromkeys(shown.model)), _methods(shown)
    fig = Figure(figsize=(style.WIDTH, 0.8 + 2.1 * len(models)))
    axes = fig.subplots(len(models), len(tables), squeeze=False, sharex=True, sharey="row")
    for row, model in zip(axes, models, strict=True):
        for ax, domain in zip(row, tables, strict=True):
            here = shown[(shown.model == model) & (shown.domain == domain) & (shown.kl > 0)]
            # A t-interval over few seeds may reach below zero, where a log axis has no place.
            here = here.assign(kl_low=np.maximum(here.kl_low, here.kl / 10))
            _beside(ax, here, "kl", methods, _span(shown))
            lowest = here.sort_values(["stored_bits", "kl"])
            frontier = lowest[lowest.kl <= lowest.kl.cummin()]
            ax.step(frontier.stored_bits, frontier.kl, where="post", gid="frontier", **FRONTIER)
            ax.set(yscale="log", title=f"{style.model_label(model)}, {domain}")
            ax.yaxis.set_major_locator(LogLocator(numticks=8))
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        row[0].set_ylabel("KL divergence\n(nats a token)")
    for ax in axes[-1]:
        ax.set_xlabel("stored (bits a weight)")
    _key(fig, methods, Line2D([], [], label="frontier", **FRONTIER))
    return fig, shown


@style.styled
def quantization_accuracy(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against stored bits by method, a panel a model (from `losses.accuracy_table`).

    The dashed line is the unquantized model on the same items, the band its interval.
    """
    shown = _compared(table, "quantization_accuracy")
    whole = table[(table.method == NONE) & in_reference(table)]
    models, methods = list(dict.fromkeys(shown.model)), _methods(shown)
    fig, axes = style.panels(len(models), 2, 2.3, sharex=True, sharey=True)
    for position, (ax, model) in enumerate(zip(axes, models, strict=True)):
        _beside(ax, shown[shown.model == model], "accuracy", methods, _span(shown))
        unquantized = whole[whole.model == model].iloc[0]
        ax.axhspan(unquantized.accuracy_low, unquantized.accuracy_high, color="0.92", zorder=0)
        ax.axhline(unquantized.accuracy, gid="unquantized", color="0.4", linewidth=0.9, linestyle="--", zorder=1)
        ax.set(ylim=(0, 1.02), title=style.model_label(model), xlabel="stored (bits a weight)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if position % 2 == 0:
            ax.set_ylabel("share of right answers")
    _key(fig, methods, Line2D([], [], color="0.4", linewidth=0.9, linestyle="--", label="unquantized"))
    return fig, pd.concat([shown, whole[whole.model.isin(models)]], ignore_index=True)


@style.styled
def quantization_calibration(table: pd.DataFrame) -> style.Drawn:
    """KL divergence of AWQ and GPTQ at 4 bits with other calibrations and searches, a panel a model (from
    `tables.ablation_table`). The dotted lines continue the main calibration through the others."""
    style.require(table, "quantization_calibration")
    models, group = list(dict.fromkeys(table.model)), table.group.iloc[0]
    main = table[table.what == ""].iloc[0]
    whats = sorted(set(table.what), key=_order)
    names = {what: what or f"{main.calibration}, {main.samples} texts" for what in whats}
    methods = _methods(table)
    fig, axes = style.panels(len(models), 2, 0.7 + 0.26 * len(whats), sharey=True)
    for ax, model in zip(axes, models, strict=True):
        for line in table[table.model == model].itertuples():
            colour, marker = style.METHODS[line.method]
            place = whats.index(line.what) + {"awq": -0.15, "gptq": 0.15}.get(line.method, 0)
            style.level(ax, line, "kl", place, 0, color=colour, marker=marker)
            if line.what == "":
                ax.axvline(line.kl, color=colour, linewidth=0.8, linestyle=":", zorder=1)
        ax.set(title=f"{style.model_label(model)}, 4 bits, groups of {group}", xlabel="KL divergence (nats a token)",
               xlim=(0, None))
        ax.set_yticks(range(len(whats)), [names[what] for what in whats])
        ax.xaxis.set_major_locator(MaxNLocator(5))
    axes[0].invert_yaxis()
    _key(fig, methods)
    return fig, table


@style.styled
def quantization_speed(table: pd.DataFrame) -> style.Drawn:
    """Decode speed over transformers in bfloat16 by runtime and kind of weights, a panel a shape (from
    `tables_speed.runtime_table`).

    The black mark is the ceiling: what reading the same bytes at the measured bandwidth would give.
    """
    table = style.require(style.require(table, "quantization_speed").dropna(subset=["speed_up"]), "quantization_speed")
    table = with_most_threads(table).assign(ceiling=lambda f: f.speed_up / f.bandwidth_utilisation)
    parts = dict(list(table.groupby("model", sort=False)))
    fig = Figure(figsize=(style.WIDTH, 0.9 + sum(0.35 + 0.22 * len(here) for here in parts.values())))
    axes = fig.subplots(len(parts), 1, squeeze=False, sharex=True,
                        height_ratios=[1 + len(here) for here in parts.values()])[:, 0]
    for ax, (model, here) in zip(axes, parts.items(), strict=True):
        for place, line in enumerate(here.itertuples()):
            colour, _ = style.engine_style(line.engine, "bfloat16")
            ax.barh(place, line.speed_up, height=0.62, color=colour, alpha=0.8)
            style.level(ax, line, "speed_up", place, 0, color="0.15")
            if not pd.isna(line.ceiling):
                ax.plot([line.ceiling] * 2, [place - 0.38, place + 0.38], gid="ceiling", **CEILING)
        ax.set_yticks(range(len(here)), [f"{line.engine} {line.weights}" for line in here.itertuples()])
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_title(style.model_label(model))
    # The interval of two noisy repeats may span decades; it must not flatten what was measured.
    axes[-1].set_xlim(0, 1.3 * table[["speed_up", "ceiling"]].max().max())
    axes[-1].set_xlabel("decode speed over transformers in bfloat16 (times)")
    fig.legend(handles=[Line2D([], [], label="ceiling: its bytes at the measured bandwidth", **CEILING)],
               loc="outside upper center")
    return fig, table.reset_index(drop=True)


def _order(what: str) -> tuple:
    """None first, then the main one, then other texts, other numbers of them (by number), other searches."""
    return what != UNCALIBRATED, what != "", what in SEARCHED.values(), what[:1].isdigit(), f"{what:>12}"
