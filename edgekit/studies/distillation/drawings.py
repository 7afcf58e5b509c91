"""Figures of the distillation study: what learning brings back, how it goes, and what each chain keeps at how many bytes."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from edgekit.plots import style
from edgekit.schema import NONE, QUANTIZE_FIRST
from edgekit.studies.distillation import tables

ALONE = "pruned alone"
FRONTIER = {"color": "0.6", "linewidth": 0.9, "zorder": 1}
TENTH = {"color": "0.4", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
# Order of pruning and quantizing: colour, marker and filling, which is that of the frontier.
ORDERS = {"prune_first": ("pruned, then quantized", "#0072B2", "s", "left"),
          "quantize_first": ("quantized, then pruned", "#D55E00", "D", "none")}
# What a chain starts from: marker; how it learnt is its colour.
STARTS = {"whole": "o", "pruned": "s", "fresh": "^"}


def _learnings(table: pd.DataFrame) -> list[str]:
    return [name for name in style.LEARNINGS if name in set(table.learning)]


def _students(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table.student, table.pruning, strict=True)))


def _title(student: str, pruning: str) -> str:
    name = style.model_label(student)
    return f"{name}, fresh weights" if pruning == NONE else f"{name}, {pruning} removed"


@style.styled
def distillation_recovery(table: pd.DataFrame) -> style.Drawn:
    """KL divergence of each student by the way it learnt, a panel a student (from `tables.learning_table`).

    The dashed line continues the pruned model that learnt nothing.
    """
    style.require(table, "distillation_recovery")
    students = _students(table)
    fig, axes = style.panels(len(students), 1, 1.55)
    fig.set_size_inches(style.WIDTH, 0.4 + sum(0.75 + 0.2 * len(table[(table.student == s) & (table.pruning == p)])
                                               for s, p in students))
    for ax, (student, pruning) in zip(axes, students, strict=True):
        here = table[(table.student == student) & (table.pruning == pruning)]
        names = _learnings(here)
        for line in here.itertuples():
            colour, marker, _ = style.LEARNINGS[line.learning]
            ends = None if pd.isna(line.kl_low) else [[line.kl - max(line.kl_low, 0)], [line.kl_high - line.kl]]
            ax.errorbar(line.kl, names.index(line.learning), xerr=ends, color=colour, marker=marker, capsize=2, elinewidth=0.8,
                        linestyle="none")
        for alone in here[here.learning == NONE].itertuples():
            ax.axvline(alone.kl, gid="alone", **TENTH)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.set_yticks(range(len(names)), [ALONE if name == NONE else name for name in names])
        ax.set(title=_title(student, pruning), ylim=(len(names) - 0.5, -0.5), xlim=(0, None))
    axes[-1].set_xlabel("KL divergence from the whole model (nats a token)")
    return fig, table


@style.styled
def distillation_curves(table: pd.DataFrame) -> style.Drawn:
    """Training loss against tokens by way of learning, a panel a student, a line a seed (`tables.training_table`)."""
    style.require(table, "distillation_curves")
    students = _students(table)
    fig, axes = style.panels(len(students), 2, 2.1)
    for place, (ax, (student, pruning)) in enumerate(zip(axes, students, strict=True)):
        here = table[(table.student == student) & (table.pruning == pruning)]
        for (learning, _), line in here.groupby(["learning", "draw"]):
            colour, _, dashes = style.LEARNINGS[learning]
            ax.plot(line.tokens / 1e3, line.train_loss, color=colour, linestyle=dashes, gid="curve")
        ax.set(title=_title(student, pruning), xlabel="tokens (thousands)", xlim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        if place % 2 == 0:
            ax.set_ylabel("training loss\n(nats a token)")
    handles = [Line2D([], [], color=style.LEARNINGS[name][0], linestyle=style.LEARNINGS[name][2], label=name)
               for name in _learnings(table)]
    fig.legend(handles=handles, loc="outside upper center", ncols=3)
    return fig, table


@style.styled
def distillation_order(table: pd.DataFrame) -> style.Drawn:
    """Left: KL divergence of both orders of pruning and quantizing, joined where they are one pair; right: the former over the
    latter (from `tables.order_table`).

    To the right of the line at one, quantizing first loses less.
    """
    style.require(table, "distillation_order")
    table = table.sort_values(["model", "pruning", "quantization"], kind="stable").reset_index(drop=True)
    fig = Figure(figsize=(style.WIDTH, 1.0 + 0.32 * len(table)))
    left, right = fig.subplots(1, 2, sharey=True)
    for line in table.itertuples():
        left.plot([line.kl_prune_first, line.kl_quantize_first], [line.Index - 0.12, line.Index + 0.12], color="0.5",
                  linewidth=0.9, zorder=1, gid="pair")
        for nudge, (order, (_, colour, marker, fill)) in zip((-0.12, 0.12), ORDERS.items(), strict=True):
            style.level(left, line, f"kl_{order}", line.Index + nudge, getattr(line, f"kl_{order}") / 10, color=colour,
                        marker=marker, fillstyle=fill, markerfacecoloralt="white")
        style.level(right, line, "ratio", line.Index, 0, color="0.15", marker="o")
    right.axvline(1, gid="equal", **TENTH)
    names = [f"{line.pruning}, {line.quantization}" for line in table.itertuples()]
    if table.model.nunique() > 1:
        names = [f"{style.model_label(model)}, {name}" for model, name in zip(table.model, names, strict=True)]
    left.set_yticks(range(len(table)), names)
    left.set(xscale="log", xlabel="KL divergence from the whole model\n(nats a token)", ylim=(len(table) - 0.5, -0.5))
    left.xaxis.set_major_locator(LogLocator(numticks=6))
    left.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("pruning first over quantizing first\n(times)")
    right.xaxis.set_major_locator(MaxNLocator(5))
    handles = [Line2D([], [], color=colour, marker=marker, fillstyle=fill, markerfacecoloralt="white", linestyle="none",
                      label=label) for label, colour, marker, fill in ORDERS.values()]
    fig.legend(handles=[*handles, Line2D([], [], label="equal", **TENTH)], loc="outside upper center", ncols=3)
    return fig, table


@style.styled
def distillation_frontier(table: pd.DataFrame) -> style.Drawn:
    """KL divergence against how many times smaller a chain is, all chains (from `tables.chain_table`).

    Filled: 16 bits or more; half filled: quantized; open: quantized before pruning. Grey steps: nothing as small loses less.
    """
    style.require(table, "distillation_frontier")
    shown = table[(table.kl > 0) & table.smaller.notna()]
    style.require(shown, "distillation_frontier")
    fig = Figure(figsize=(style.WIDTH, 3.6))
    ax = fig.subplots()
    for line in shown.itertuples():
        colour = style.LEARNINGS[line.learning][0]
        fill = "full" if line.quantization == NONE else "none" if line.order == QUANTIZE_FIRST else "left"
        # A t-interval over few seeds may reach below zero, where a log axis has no place.
        ends = None if pd.isna(line.kl_low) else [[line.kl - max(line.kl_low, line.kl / 10)], [line.kl_high - line.kl]]
        ax.errorbar(line.smaller, line.kl, ends, color=colour, marker=STARTS[_start(line)], fillstyle=fill, linestyle="none",
                    elinewidth=0.8, capsize=2, markeredgecolor=colour, markerfacecoloralt="white", zorder=3)
    front = tables.frontier(shown)
    ax.step(front.smaller, front.kl, where="pre", gid="frontier", **FRONTIER)
    ax.axvline(10, gid="tenth", **TENTH)
    ax.set(xlabel="times smaller than the whole model in 16 bits", ylabel="KL divergence from the whole model\n(nats a token)",
           yscale="log", xlim=(0, None))
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_formatter(NullFormatter())
    learnt = [Line2D([], [], color=style.LEARNINGS[name][0], marker="o", linestyle="none",
                     label="learnt nothing" if name == NONE else name) for name in _learnings(shown)]
    started = [Line2D([], [], color="0.3", marker=STARTS[name], linestyle="none", label=name) for name in STARTS
               if name in {_start(line) for line in shown.itertuples()}]
    quantized = [Line2D([], [], color="0.3", marker="o", linestyle="none", fillstyle=fill, markerfacecoloralt="white",
                        label=label)
                 for fill, label in (("full", "16 bits or more"), ("left", "quantized last"), ("none", "quantized first"))]
    fig.legend(handles=[*learnt, *started, *quantized, Line2D([], [], label="frontier", **FRONTIER),
                        Line2D([], [], label="a tenth", **TENTH)], loc="outside right upper")
    return fig, shown.assign(stages=[tables.stages(line) for line in shown.itertuples()])


def _start(line) -> str:
    if line.student != line.model:
        return "fresh"
    return "whole" if line.pruning == NONE else "pruned"
