"""Figures of the quantization study: what bits cost by method, which method leads, and what calibration is worth."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from edgekit.analyze.rows import in_reference
from edgekit.plots import claim, intervals, style
from edgekit.schema import NONE
from edgekit.studies.quantization.tables import SEARCHED, UNCALIBRATED, main_part

LABELS = {"rtn": "round to nearest", "awq": "AWQ", "gptq": "GPTQ", "gguf": "GGUF", "gguf_imatrix": "GGUF, importance matrix"}
FRONTIER = {"color": "0.6", "linewidth": 0.9, "zorder": 1}
LINE = {"color": "0.4", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
FOUR = 4  # bits of a code that the claims are about: drawn once more on a scale of their own
SEED = {"color": "0.45", "marker": "|", "markersize": 6, "linestyle": "none"}


def _compared(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Quantized variants in the reference engine, in which only the method differs, without the ablations."""
    style.require(table, name)
    table = main_part(table)
    table = table[in_reference(table) & (table.method != NONE)]
    return style.require(table.dropna(subset=["stored_bits"]), name)


def _methods(table: pd.DataFrame) -> list[str]:
    return [name for name in LABELS if name in set(table.method)]


def _key(fig: Figure, methods: list[str], *more: Line2D) -> None:
    handles = [Line2D([], [], color=style.METHODS[name][0], marker=style.METHODS[name][1], linestyle="none", label=LABELS[name])
               for name in methods]
    fig.legend(handles=[*handles, *more], loc="outside upper center", ncols=3 if 4 < len(handles) + len(more) < 7 else 4)


@style.styled
def quantization_frontier(table: pd.DataFrame) -> style.Drawn:
    """KL divergence against stored bits by method, a panel a model (from `losses.loss_table`).

    The grey steps are the frontier: nothing with fewer bits loses less. A variant that loses nothing is not on a log axis.
    """
    shown = _compared(table, "quantization_frontier")
    shown = style.require(shown[shown.kl > 0], "quantization_frontier")
    models, methods = list(dict.fromkeys(shown.model)), _methods(shown)
    fig, axes = style.panels(len(models), 2, 2.4, sharey=True)
    for position, (ax, model) in enumerate(zip(axes, models, strict=True)):
        here = shown[shown.model == model]
        ax.set(yscale="log", title=style.model_label(model), xlabel="stored (bits a weight)")
        for method in methods:  # each where its bits are: the steps go through the marks
            colour, marker = style.METHODS[method]
            style.series(ax, here[here.method == method], "stored_bits", "kl", colour=colour, marker=marker)
        lowest = here.sort_values(["stored_bits", "kl"])
        frontier = lowest[lowest.kl <= lowest.kl.cummin()]
        ax.step(frontier.stored_bits, frontier.kl, where="post", gid="frontier", **FRONTIER)
        ax.yaxis.set_major_locator(LogLocator(numticks=9))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if position % 2 == 0:
            ax.set_ylabel("KL divergence\n(nats a token)")
    intervals.by_marks(axes[0], shown.kl, [*shown.kl_low, *shown.kl_high], beyond=0.05)
    for ax in axes:
        intervals.mark_clipped(ax)
    _key(fig, methods, Line2D([], [], label="frontier", **FRONTIER))
    return fig, shown


@style.styled
def quantization_lead(table: pd.DataFrame, seeds: pd.DataFrame) -> style.Drawn:
    """Lead of AWQ over GPTQ in perplexity, a line a model and group (from `tables.main_leads`), with the single seeds as ticks
    (`tables.lead_seeds`). Filled: over calibration seeds; open: of one, over texts."""
    style.require(table, "quantization_lead")
    table = table.sort_values(["parameters", "model", "group"], kind="stable").reset_index(drop=True)
    fig = Figure(figsize=(style.WIDTH, 0.9 + 0.24 * len(table)))
    ax = fig.subplots()
    colour, marker = style.METHODS["awq"]
    bits = " and ".join(f"{name:g}" for name in sorted(set(table.bits)))
    for line in table.itertuples():
        same = ["model", "bits", "group", "calibration", "samples"]
        single = seeds[(seeds[same] == [getattr(line, name) for name in same]).all(axis=1)]
        if line.over == "seeds":
            ax.plot(single.lead, [line.Index] * len(single), gid="seed", zorder=2, **SEED)
        style.level(ax, line, "lead", line.Index, color=colour, marker=marker, zorder=3,
                    fillstyle="full" if line.over == "seeds" else "none")
    ax.axvline(0, color="0.4", linewidth=0.7, zorder=1)
    ax.set_yticks(range(len(table)), [f"{style.model_label(line.model)}, groups of {line.group}"
                                      for line in table.itertuples()])
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=f"lead of AWQ over GPTQ in perplexity, {bits} bits (%)")
    intervals.by_marks(ax, table.lead, [*table.lead_low, *table.lead_high], along="x", beyond=1)
    claim.accepted(ax, "S1.5", "awq_lead", along="x", told=claim.IN_LEGEND)
    intervals.mark_clipped(ax)
    intervals.beside(ax, [intervals.words(line, "lead") for line in table.itertuples()])
    looks = {"color": colour, "marker": marker, "linestyle": "none"}
    known = {"seeds": [Line2D([], [], **looks, label="over calibration seeds"), Line2D([], [], **SEED, label="single seeds")],
             "texts": [Line2D([], [], **looks, fillstyle="none", label="one seed, over texts")]}
    told = [one for over, handles in known.items() if (table.over.eq("seeds") == (over == "seeds")).any() for one in handles]
    fig.legend(handles=[*told, claim.key("S1.5", "awq_lead")], loc="outside upper center", ncols=4)
    return fig, table


@style.styled
def quantization_accuracy(table: pd.DataFrame) -> style.Drawn:
    """Accuracy kept of the unquantized model's by nominal bits and method, a panel a model (from `losses.accuracy_table`).

    Methods of the same bits stand side by side, and within a method the larger file first; dashed: the unquantized model.
    """
    shown = _compared(table, "quantization_accuracy").dropna(subset=["retained"])
    shown = shown.assign(code_bits=[_code_bits(line) for line in style.require(shown, "quantization_accuracy").itertuples()])
    shown = _side_by_side(shown)
    models, methods = list(dict.fromkeys(shown.model)), _methods(shown)
    bits = sorted(set(shown.code_bits))
    columns = [bits, *([[FOUR]] if FOUR in bits and len(bits) > 1 else [])]
    fig = Figure(figsize=(style.WIDTH, 0.7 + 1.45 * len(models)))
    axes = fig.subplots(len(models), len(columns), squeeze=False, sharex="col", sharey="col",
                        width_ratios=[2, 1][:len(columns)])
    for row, model in zip(axes, models, strict=True):
        for ax, wanted in zip(row, columns, strict=True):
            here = shown[(shown.model == model) & shown.code_bits.isin(wanted)]
            for method in methods:
                colour, marker = style.METHODS[method]
                style.series(ax, here[here.method == method], "place", "retained", colour=colour, marker=marker)
            ax.axhline(100, gid="unquantized", **LINE)
            ax.grid(axis="x", visible=False)
            ax.set_title(style.model_label(model) + (", 4 bits" if wanted == [FOUR] else ""))
        row[0].set_ylabel("accuracy kept (%)")
    for ax, wanted in zip(axes.T, columns, strict=True):
        places = [bits.index(name) for name in wanted]
        ax[-1].set_xticks(places, [f"{name:g}" for name in wanted])
        ax[-1].set(xlabel="code (bits a weight)", xlim=(min(places) - 0.5, max(places) + 0.5))
        here = shown[shown.code_bits.isin(wanted)]
        intervals.by_marks(ax[-1], here.retained, [*here.retained_low, *here.retained_high], beyond=0.2)
    for row, model in zip(axes, models, strict=True):
        for ax in row:
            claim.accepted(ax, "S2.2", "awq_accuracy_retained", told=claim.IN_LEGEND, models=[model])
            intervals.mark_clipped(ax)
    _key(fig, methods, Line2D([], [], label="unquantized", **LINE), claim.key("S2.2", "awq_accuracy_retained"))
    return fig, shown.drop(columns="place")


def _code_bits(line) -> int:
    """Bits of a code, by the number or, for GGUF, by the type's name (Q4_K_M: 4)."""
    return int(line.bits) if line.bits else int(re.search(r"\d+", line.type)[0])


def _side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """With `place`: the number of the code's bits among those that there are, and a slot for each method and size of file."""
    bits, methods = sorted(set(table.code_bits)), _methods(table)
    table = table.sort_values(["code_bits", "stored_bits", "way"], ascending=[True, False, True], kind="stable")
    nth = table.groupby(["model", "code_bits", "method"]).cumcount()
    slots = {method: int(nth[table.method == method].max()) + 1 for method in methods}
    starts = {method: sum(slots[other] + 0.5 for other in methods[:place]) for place, method in enumerate(methods)}
    width = sum(slots.values()) + 0.5 * (len(methods) - 1)
    slot = table.method.map(starts) + nth + 0.5
    return table.assign(place=table.code_bits.map(bits.index) + 0.88 * (slot / width - 0.5))


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
    fig, axes = style.panels(len(models), 2, 0.7 + 0.24 * len(whats), sharey=True)
    for ax, model in zip(axes, models, strict=True):
        here = table[table.model == model]
        ax.set(title=f"{style.model_label(model)}, 4 bits, groups of {group}", xlabel="KL divergence (nats a token)",
               xscale="log")
        for line in here.itertuples():
            colour, marker = style.METHODS[line.method]
            place = whats.index(line.what) + {"awq": -0.15, "gptq": 0.15}.get(line.method, 0)
            style.level(ax, line, "kl", place, line.kl / 1e3, color=colour, marker=marker)
            if line.what == "":
                ax.axvline(line.kl, color=colour, linewidth=0.8, linestyle=":", zorder=1)
        intervals.by_marks(ax, here.kl, [*here.kl_low, *here.kl_high], along="x")
        ax.set_yticks(range(len(whats)), [names[what] for what in whats])
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
        ax.xaxis.set_major_formatter(style.PLAIN)
        ax.xaxis.set_minor_formatter(NullFormatter())
        intervals.mark_clipped(ax)
    axes[0].invert_yaxis()
    _key(fig, methods)
    return fig, table


def _order(what: str) -> tuple:
    """None first, then the main one, then other texts, other numbers of them (by number), other searches."""
    return what != UNCALIBRATED, what != "", what in SEARCHED.values(), what[:1].isdigit(), f"{what:>12}"
