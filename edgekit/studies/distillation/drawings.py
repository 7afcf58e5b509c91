"""Figures of the distillation study: what learning brings back, what its loss says of that, and what order and chain keep."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter

from edgekit.plots import claim, intervals, style
from edgekit.schema import NONE
from edgekit.studies.distillation import tables

ALONE = "pruned alone"
FRONTIER = {"color": "0.6", "linewidth": 0.9, "zorder": 1}
LINE = {"color": "0.4", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
# What a chain is made of: filling; how it learnt is its colour and marker.
STEPS = {"all three steps": "full", "fewer steps": "none", "fresh weights": "left"}


def _learnings(table: pd.DataFrame) -> list[str]:
    return [name for name in style.LEARNINGS if name in set(table.learning)]


def _students(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table.student, table.pruning, strict=True)))


def _title(student: str, pruning: str) -> str:
    name = style.model_label(student)
    return f"{name},\nfresh weights" if pruning == NONE else f"{name},\n{_removed(pruning)}"


def _removed(pruning: str) -> str:
    """What a pruning, "heads/mlp" in shares, takes away, in words."""
    heads, mlp = (f"{100 * float(share):g} %" for share in pruning.split("/"))
    return f"{heads} of heads, {mlp} of MLP removed"


@style.styled
def distillation_recovery(table: pd.DataFrame) -> style.Drawn:
    """KL divergence of each student by the way it learnt, a panel a student, all on one scale (from `tables.learning_table`).

    The dashed line continues the pruned model that was not trained.
    """
    shown = style.require(table, "distillation_recovery")
    students = _students(shown)
    parts = [shown[(shown.student == student) & (shown.pruning == pruning)] for student, pruning in students]
    fig = Figure(figsize=(style.WIDTH, 0.7 + sum(0.42 + 0.19 * len(part) for part in parts)))
    axes = fig.subplots(len(parts), 1, squeeze=False, sharex=True,
                        height_ratios=[0.6 + part.learning.nunique() for part in parts])[:, 0]
    for ax, here, student in zip(axes, parts, students, strict=True):
        names = _learnings(here)
        for line in here.itertuples():
            colour, marker, _ = style.LEARNINGS[line.learning]
            style.level(ax, line, "kl", names.index(line.learning), line.kl / 1e3, color=colour, marker=marker)
        for alone in here[here.learning == NONE].itertuples():
            ax.axvline(alone.kl, gid="alone", **LINE)
        ax.set_yticks(range(len(names)), [ALONE if name == NONE else name for name in names])
        ax.set(title=_title(*student), ylim=(len(names) - 0.5, -0.5), xscale="log")
    intervals.by_marks(axes[-1], shown.kl, [*shown.kl_low, *shown.kl_high], along="x", beyond=0.1)
    _plain(axes[-1].xaxis)
    axes[-1].set_xlabel("KL divergence from the whole model (nats a token)")
    for ax in axes:
        intervals.mark_clipped(ax)
    return fig, shown


def _plain(axis) -> None:
    """Ticks of a log axis as numbers: 1, 2 and 5 a decade where it is short, else powers of ten."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 2e3 else (1,), numticks=12))
    axis.set_major_formatter(style.PLAIN)
    axis.set_minor_formatter(NullFormatter())


@style.styled
def distillation_losses(table: pd.DataFrame) -> style.Drawn:
    """Held-out KL divergence against the last training loss, a mark a way to learn, a panel a student (from
    `tables.outcome_table`). Were the training loss a measure of recovery, marks would rise from left to right."""
    shown = style.require(table, "distillation_losses")
    students = _students(shown)
    fig, axes = style.panels(len(students), 2, 2.1)
    for place, (ax, (student, pruning)) in enumerate(zip(axes, students, strict=True)):
        here = shown[(shown.student == student) & (shown.pruning == pruning)]
        for line in here.itertuples():
            colour, marker, _ = style.LEARNINGS[line.learning]
            across, up = (None if pd.isna(getattr(line, f"{name}_low")) else [
                [getattr(line, name) - getattr(line, f"{name}_low")], [getattr(line, f"{name}_high") - getattr(line, name)]]
                for name in ("train_loss", "kl"))
            ax.errorbar(line.train_loss, line.kl, up, across, color=colour, marker=marker, linestyle="none", elinewidth=0.8,
                        capsize=2)
        intervals.by_marks(ax, here.train_loss, [*here.train_loss_low, *here.train_loss_high], along="x")
        intervals.by_marks(ax, here.kl, [*here.kl_low, *here.kl_high])
        ax.set(title=_title(student, pruning), xlabel="training loss at the end (nats a token)")
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        intervals.mark_clipped(ax)
        if place % 2 == 0:
            ax.set_ylabel("held-out KL divergence\n(nats a token)")
    looks = {name: style.LEARNINGS[name] for name in _learnings(shown)}
    fig.legend(handles=[Line2D([], [], color=colour, marker=marker, linestyle="none", label=name)
                        for name, (colour, marker, _) in looks.items()], loc="outside upper center", ncols=3)
    return fig, shown


@style.styled
def distillation_order(table: pd.DataFrame) -> style.Drawn:
    """Divergence of pruning first over that of quantizing first, a line a pruning and quantization (from `tables.order_table`).

    Left of one, pruning first loses less. Filled: the pruning and width that the claim is judged at.
    """
    style.require(table, "distillation_order")
    table = table.sort_values(["model", "pruning", "quantization"], kind="stable").reset_index(drop=True)
    fig = Figure(figsize=(style.WIDTH, 0.9 + 0.24 * len(table)))
    ax = fig.subplots()
    for line in table.itertuples():
        judged = line.pruning == tables.PAPERS_POINT and line.quantization == tables.FOUR_BITS
        style.level(ax, line, "ratio", line.Index, 0, color="0.15", marker="o", fillstyle="full" if judged else "none")
    ax.axvline(1, gid="equal", color="0.4", linewidth=0.7, zorder=1)
    names = [f"{_removed(line.pruning)}, {_quantization(line.quantization)}" for line in table.itertuples()]
    if table.model.nunique() > 1:
        names = [f"{style.model_label(model)}, {name}" for model, name in zip(table.model, names, strict=True)]
    ax.set_yticks(range(len(table)), names)
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel="KL divergence, pruned first over quantized first (times)")
    intervals.by_marks(ax, [1, *table.ratio], [*table.ratio_low, *table.ratio_high], along="x", beyond=0.6)
    claim.accepted(ax, "S1.8", "prune_first_over_quantize_first", along="x", told=claim.IN_LEGEND)
    intervals.mark_clipped(ax)
    intervals.beside(ax, [intervals.words(line, "ratio") for line in table.itertuples()])
    look = {"color": "0.15", "marker": "o", "linestyle": "none"}
    fig.legend(handles=[Line2D([], [], **look, label="judged: the paper's shares, 4 bits"),
                        Line2D([], [], **look, fillstyle="none", label="others"),
                        claim.key("S1.8", "prune_first_over_quantize_first")], loc="outside upper center", ncols=3)
    return fig, table


def _quantization(name: str) -> str:
    """`gptq(bits=4, group=32)` in words; names of GGUF types stay."""
    found = re.fullmatch(r"(\w+)\(bits=(\d+), group=(\d+)\)", name)
    return f"{found[1].upper()} {found[2]} bits, groups of {found[3]}" if found else name


@style.styled
def distillation_frontier(table: pd.DataFrame) -> style.Drawn:
    """Accuracy kept of the whole model's against how many times smaller a chain is, all chains (from `tables.chain_table`).

    Filled: chains of all three steps, which the claim is about; half filled: from fresh weights. Grey steps: nothing as small
    keeps more.
    """
    shown = style.require(style.require(table, "distillation_frontier").dropna(subset=["smaller", "retained"]),
                          "distillation_frontier")
    shown = shown[~tables.is_whole(shown)]
    style.require(shown, "distillation_frontier")
    complete = set(tables.all_three(shown).index)
    fig = Figure(figsize=(style.WIDTH, 3.7))
    ax = fig.subplots()
    ax.set_xscale("log")
    names = _learnings(shown)
    for line in shown.itertuples():
        colour, marker, _ = style.LEARNINGS[line.learning]
        made = "all three steps" if line.Index in complete else "fresh weights" if line.student != line.model else "fewer steps"
        aside = 1.012 ** (names.index(line.learning) - (len(names) - 1) / 2)  # those of one size would hide each other
        ends = None if pd.isna(line.retained_low) else [[line.retained - line.retained_low],
                                                        [line.retained_high - line.retained]]
        ax.errorbar(line.smaller * aside, line.retained, ends, color=colour, marker=marker, linestyle="none",
                    fillstyle=STEPS[made], markerfacecoloralt="white", elinewidth=0.8, capsize=2, zorder=3)
    front = tables.frontier(shown.assign(lost=-shown.retained), "lost")
    ax.step(front.smaller, front.retained, where="pre", gid="frontier", **FRONTIER)
    ax.set(xlabel="times smaller than the whole model in 16 bits (times)", ylabel="accuracy kept (%)")
    intervals.by_marks(ax, shown.smaller, along="x")
    intervals.by_marks(ax, [0, 100, *shown.retained], [*shown.retained_low, *shown.retained_high], beyond=0.05)
    claim.accepted(ax, "S2.3", "chain_compression", along="x", told=claim.IN_LEGEND)
    claim.accepted(ax, "S2.3", "accuracy_retained_at_a_tenth", told=claim.IN_LEGEND)
    intervals.mark_clipped(ax)
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(FixedLocator([n for n in (*range(1, 11), 20, 50, 100) if low <= n <= high]))
    ax.xaxis.set_major_formatter(style.PLAIN)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", bottom=False)
    looks = {name: style.LEARNINGS[name] for name in names}
    learnt = [Line2D([], [], color=colour, marker=marker, linestyle="none", label="no training" if name == NONE else name)
              for name, (colour, marker, _) in looks.items()]
    steps = [Line2D([], [], color="0.3", marker="o", linestyle="none", fillstyle=fill, markerfacecoloralt="white", label=label)
             for label, fill in STEPS.items()]
    fig.legend(handles=[*learnt, *steps, Line2D([], [], label="frontier", **FRONTIER),
                        claim.key("S2.3", "chain_compression", "S2.3 accepts (both)")], loc="outside right upper")
    return fig, shown.assign(stages=[tables.stages(line) for line in shown.itertuples()])
