"""Figures of the quantization study: what bits cost by method, what they buy by runtime, and what calibration is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from edgekit.analyze.quantization import REFERENCE, WHOLE
from edgekit.plots import style

LABELS = {"rtn": "round to nearest", "awq": "AWQ", "gptq": "GPTQ", "gguf": "GGUF", "gguf_imatrix": "GGUF, importance"}
DOMAINS = {"problems": "problems", "prose": "prose"}


def _in_reference(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Quantized variants in the reference engine: those in which only the method differs."""
    table = table[(table.engine == REFERENCE[0]) & (table["dtype"] == REFERENCE[1]) & (table.method != WHOLE)]
    return style.require(table.dropna(subset=["stored_bits"]), name)


def _main(table: pd.DataFrame) -> pd.DataFrame:
    """Without the ablations: full search, and of each method the calibration with the most lines."""
    table = table[table.search.isin(["", "all"])]
    drawn = table[table.calibration != ""]
    if drawn.empty:
        return table
    calibration, samples = drawn.groupby(["calibration", "samples"]).size().idxmax()
    return table[(table.calibration == "") | ((table.calibration == calibration) & (table.samples == samples))]


def _key(fig: Figure, methods: list[str]) -> None:
    handles = [Line2D([], [], color=style.METHODS[name][0], marker=style.METHODS[name][1], linestyle="none", label=LABELS[name])
               for name in methods]
    fig.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _methods(table: pd.DataFrame) -> list[str]:
    return [name for name in LABELS if name in set(table.method)]


@style.styled
def quantization_frontier(by_domain: dict[str, pd.DataFrame]) -> style.Drawn:
    """KL divergence against stored bits by method, a row a model, a column a domain (from `quantization.loss_table`)."""
    tables = {name: _main(_in_reference(table, "quantization_frontier")) for name, table in by_domain.items()}
    first = next(iter(tables.values()))
    models, methods = list(dict.fromkeys(first.model)), _methods(first)
    fig = Figure(figsize=(style.WIDTH, 0.7 + 2.2 * len(models)))
    axes = fig.subplots(len(models), len(tables), squeeze=False, sharex=True, sharey="row")
    for row, model in zip(axes, models, strict=True):
        for ax, (domain, table) in zip(row, tables.items(), strict=True):
            here = table[(table.model == model) & (table.kl > 0)]
            here = here.assign(kl_low=here.kl_low.clip(lower=here.kl / 10))
            for method in methods:
                colour, marker = style.METHODS[method]
                style.series(ax, here[here.method == method], "stored_bits", "kl", colour=colour, marker=marker)
            lowest = here.sort_values(["stored_bits", "kl"])
            frontier = lowest[lowest.kl <= lowest.kl.cummin()]
            ax.step(frontier.stored_bits, frontier.kl, where="post", color="0.6", linewidth=0.9, zorder=1)
            ax.set(yscale="log", title=f"{style.model_label(model)}, {DOMAINS.get(domain, domain)}")
            ax.yaxis.set_minor_formatter(NullFormatter())
        row[0].set_ylabel("KL divergence (nats a token)")
    for ax in axes[-1]:
        ax.set_xlabel("stored (bits a weight)")
    _key(fig, methods)
    return fig, pd.concat([table.assign(domain=name) for name, table in tables.items()], ignore_index=True)


@style.styled
def quantization_accuracy(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers against stored bits by method, a panel a model (from `quantization.accuracy_table`)."""
    whole = table[(table.method == WHOLE) & (table.engine == REFERENCE[0]) & (table["dtype"] == REFERENCE[1])]
    shown = _main(_in_reference(table, "quantization_accuracy"))
    models, methods = list(dict.fromkeys(shown.model)), _methods(shown)
    fig, axes = style.panels(len(models), 2, 2.4, sharex=True, sharey=True)
    for ax, model in zip(axes, models, strict=True):
        for method in methods:
            colour, marker = style.METHODS[method]
            style.series(ax, shown[(shown.model == model) & (shown.method == method)], "stored_bits", "accuracy", colour=colour,
                         marker=marker)
        unquantized = whole[whole.model == model].iloc[0]
        ax.axhspan(unquantized.accuracy_low, unquantized.accuracy_high, color="0.9", zorder=0)
        ax.axhline(unquantized.accuracy, color="0.4", linewidth=0.9, linestyle="--", zorder=1)
        ax.set(ylim=(0, 1.02), title=style.model_label(model), xlabel="stored (bits a weight)")
    axes[0].set_ylabel("share of right answers")
    _key(fig, methods)
    return fig, pd.concat([shown, whole], ignore_index=True)


@style.styled
def quantization_speed(speed_ups: pd.DataFrame, utilisation: pd.DataFrame) -> style.Drawn:
    """Decode speed-up over transformers bfloat16 by runtime and kind of weights, a panel a shape (`quantization.speed_tables`).

    The black line is the ceiling: what reading the same bytes at the measured bandwidth would give.
    """
    table = style.require(speed_ups.dropna(subset=["speed_up"]), "quantization_speed")
    used = utilisation.rename(columns={"dtype": "weights"})
    table = table.merge(used[["model", "engine", "weights", "step_bytes", "bandwidth_utilisation"]],
                        on=["model", "engine", "weights"], how="left")
    table["ceiling"] = table.speed_up / table.bandwidth_utilisation
    models = list(dict.fromkeys(table.model))
    longest = max(len(table[table.model == model]) for model in models)
    fig = Figure(figsize=(style.WIDTH, 0.9 + 0.27 * longest * len(models)))
    axes = fig.subplots(len(models), 1, squeeze=False, sharex=True)[:, 0]
    for ax, model in zip(axes, models, strict=True):
        lines = table[table.model == model].sort_values(["engine", "step_bytes"], ascending=[True, False])
        names = [f"{line.engine} {line.weights}" for line in lines.itertuples()]
        for place, line in enumerate(lines.itertuples()):
            colour = style.engine_style(line.engine, "bfloat16")[0]
            ends = None if np.isnan(line.speed_up_low) else [[line.speed_up - line.speed_up_low],
                                                             [line.speed_up_high - line.speed_up]]
            ax.barh(place, line.speed_up, height=0.62, color=colour, alpha=0.85, xerr=ends, capsize=2,
                    error_kw={"elinewidth": 0.8})
            if not np.isnan(line.ceiling):
                ax.plot([line.ceiling] * 2, [place - 0.4, place + 0.4], color="black", linewidth=1.4)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_title(style.model_label(model))
    axes[-1].set_xlabel("decode speed over transformers bfloat16 (times)")
    fig.legend(handles=[Line2D([], [], color="black", linewidth=1.4, label="its bytes at the measured bandwidth")],
               loc="outside upper center")
    return fig, table


@style.styled
def quantization_calibration(table: pd.DataFrame) -> style.Drawn:
    """KL divergence of AWQ and GPTQ at 4 bits under other calibrations and searches, a panel a model (from
    `quantization.loss_table`); bars are 95 % intervals over calibration seeds, or over texts where there is one seed."""
    table = _in_reference(table, "quantization_calibration")
    table = table[(table.bits == "4") & table.method.isin(["awq", "gptq", "rtn"])]
    models = [model for model, here in table.groupby("model", sort=False) if len(here[here.method == "awq"]) > 1]
    table = style.require(table[table.model.isin(models)], "quantization_calibration")
    group = table[table.method == "awq"].group.iloc[0]
    table = table[table.group == group].assign(what=[_what(line) for line in table[table.group == group].itertuples()])
    names = list(dict.fromkeys(table.sort_values(["calibration", "samples", "search"]).what))
    fig, axes = style.panels(len(models), 2, 0.5 + 0.24 * len(names), sharey=True)
    for ax, model in zip(axes, models, strict=True):
        for place, name in enumerate(names):
            for i, method in enumerate(("rtn", "awq", "gptq")):
                line = table[(table.model == model) & (table.what == name) & (table.method == method)]
                colour, marker = style.METHODS[method]
                for one in line.itertuples():
                    ends = None if np.isnan(one.kl_low) else [[one.kl - max(one.kl_low, 0)], [one.kl_high - one.kl]]
                    ax.errorbar(one.kl, place + 0.18 * (i - 1), xerr=ends, color=colour, marker=marker, capsize=2,
                                elinewidth=0.8, linestyle="none")
        ax.set(title=f"{style.model_label(model)}, 4 bits, groups of {group}", xlabel="KL divergence (nats a token)",
               xlim=(0, None))
        ax.set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    _key(fig, [name for name in ("rtn", "awq", "gptq") if name in set(table.method)])
    return fig, table


def _what(line) -> str:
    if line.method == "rtn":
        return "no calibration"
    searched = "" if line.search in ("", "all") else f", {line.search} search" if line.search == "none" else f", {line.search}"
    return f"{line.calibration}, {line.samples} texts{searched}"
