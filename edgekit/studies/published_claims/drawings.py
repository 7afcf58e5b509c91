"""The figures of 00_published_claims: printed numbers (crosses) beside what arithmetic allows (modelled)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.plots import claim, intervals, style

MODELLED = {"marker": "o", "fillstyle": "none", "linestyle": "none", "color": "black"}
CROSS = {name: value for name, value in style.PUBLISHED.items() if name != "linestyle"} | {"markersize": 7}
STAGE_NAMES = {"baseline": "16-bit weights", "optimized": "4-bit, pruned, drafted"}
MEAN = {"color": "0.2", "linestyle": "-", "linewidth": 1.1}


def _of_stage(stage: str) -> dict:
    """A cross of a stage, told apart in grey too: hollow before, full after."""
    colour = style.STAGES[stage][0]
    return CROSS | {"color": colour} | ({"markerfacecolor": "white", "markeredgecolor": colour} if stage == "baseline" else {})


@style.styled
def ceilings(table: pd.DataFrame) -> style.Drawn:
    """Share of each platform's nominal bandwidth that its printed tokens/s need, before and after optimization (from
    `ceiling_table`), with the ends over rounding and over what counts as read. At one the memory is read at its peak."""
    shown = style.require(table, "ceilings").dropna(subset=["share"]).reset_index(drop=True)
    fig = Figure(figsize=(style.WIDTH, 1.0 + 0.27 * len(shown)))
    ax = fig.subplots()
    for line in shown.itertuples():
        style.level(ax, line, "share", line.Index, **_of_stage(line.stage))
    ax.axvline(1, gid="peak", color="0.25", linewidth=1)
    ax.set_yticks(range(len(shown)), [f"{line.label}, {line.memory_bandwidth_byte_per_s / 1e9:g} GB/s, {line.stage}"
                                      for line in shown.itertuples()])
    ax.set(ylim=(len(shown) - 0.5, -0.5), xlabel="share of the nominal bandwidth that it needs (times)")
    intervals.by_marks(ax, [*shown.share, 1], [*shown.share_low, *shown.share_high], along="x", least=0)
    claim.accepted(ax, "S1.12", "baseline_bandwidth_share", along="x", told=claim.IN_LEGEND, judged=False)  # a row each
    intervals.mark_clipped(ax)
    intervals.beside(ax, [f"{line.printed_tok_per_s:g} tokens/s: {intervals.words(line, 'share')}"
                          for line in shown.itertuples()])
    accepted = claim.wanted("S1.12", "baseline_bandwidth_share")
    fig.legend(handles=[*(Line2D([], [], linestyle="none", label=f"published, {STAGE_NAMES[stage]}", **_of_stage(stage))
                          for stage in dict.fromkeys(shown.stage)),
                        Line2D([], [], color="0.25", linewidth=1, label="all of it: none can be faster"),
                        claim.key("S1.12", "baseline_bandwidth_share", f"S1.12 to S1.15 accept {accepted}")],
               loc="outside upper center", ncols=2)
    return fig, shown


@style.styled
def speedups(table: pd.DataFrame) -> style.Drawn:
    """Printed optimized over printed baseline tokens/s, a line a platform, their mean, and the mean that was stated (from
    `speedup_table`)."""
    table = style.require(table, "speedups")
    fig = Figure(figsize=(style.WIDTH, 0.9 + 0.32 * len(table)))
    ax = fig.subplots()
    for place, line in enumerate(table.itertuples()):
        style.level(ax, line, "speedup", place, 0, **CROSS)
    mean = table.speedup.mean()
    ax.axvline(mean, **MEAN)
    ax.set(xlabel="optimized over baseline, both as published (times)", ylim=(len(table) - 0.5, -0.6))
    ax.set_yticks(range(len(table)), table.label)
    intervals.by_marks(ax, [*table.speedup, table.stated.iloc[0]], [*table.speedup_low, *table.speedup_high], along="x")
    claim.accepted(ax, "S1.1", "mean_speedup", along="x", told=claim.IN_LEGEND)
    intervals.beside(ax, [f"{line.baseline_tok_per_s:g} to {line.optimized_tok_per_s:g} tokens/s: {line.speedup:.2f} times"
                          for line in table.itertuples()])
    fig.legend(handles=[Line2D([], [], label="published, with what rounding allows", linestyle="none", **CROSS),
                        Line2D([], [], label=f"mean of the four: {mean:.2f}", **MEAN),
                        claim.key("S1.1", "mean_speedup", "S1.1 accepts for the mean")], loc="outside upper center", ncols=3)
    return fig, table


@style.styled
def pruning(table: pd.DataFrame) -> style.Drawn:
    """What goes with heads and MLP dimensions (from `pruning_table`), by architecture, and what would be needed for more."""
    table = style.require(table, "pruning")
    shapes, stated = table[table.source == "modelled"], table[table.source == "published"].iloc[0]
    reference = shapes[shapes.label == shapes.reference].iloc[0]
    heads, mlp = reference.heads_removed, reference.mlp_removed
    fig = Figure(figsize=(style.WIDTH, 3.6))
    left, right = fig.subplots(1, 2, sharey=True)
    mixture = np.array([0.0, 1.0])
    left.plot(100 * mixture, heads * mixture + mlp * (1 - mixture), color="0.35", label="multiplications, any architecture")
    left.plot(100 * shapes.attention_share, shapes.multiplications_removed, **MODELLED,
              label="multiplications, published shapes")
    left.plot(100 * shapes.attention_share, shapes.weights_removed, **MODELLED | {"marker": "s", "color": "#D55E00"},
              label="all weights, published shapes")
    left.plot([100 * reference.attention_share], [stated.multiplications_removed], **style.PUBLISHED,
              label=f"published: {stated.multiplications_removed:g} %")
    left.annotate(reference.label, (100 * reference.attention_share, reference.multiplications_removed), (6, 6),
                  textcoords="offset points", fontsize=7.5)
    left.set(xlim=(0, 100), ylim=(0, 1.3 * stated.multiplications_removed), ylabel="removed (%)",
             xlabel="attention's part of the multiplications (%)", title=f"{heads:g} % of heads, {mlp:g} % of MLP width")
    across = np.linspace(0, 60, 61)
    share = reference.attention_share
    lines = []
    for pruned, linestyle in ((0, ":"), (heads, "-")):
        removed = share * pruned + (1 - share) * across
        right.plot(across, removed, color="#0072B2", linestyle=linestyle, label=f"with {pruned:g} % of heads")
        lines += [{"label": reference.label, "source": "modelled", "heads_removed": pruned, "mlp_removed": x,
                   "multiplications_removed": y} for x, y in zip(across[::5], removed[::5], strict=True)]
    right.plot([mlp], [reference.multiplications_removed], **MODELLED)
    right.plot([mlp], [stated.multiplications_removed], **style.PUBLISHED)
    right.annotate(f"{reference.multiplications_removed:.1f}", (mlp, reference.multiplications_removed), (5, -9),
                   textcoords="offset points", fontsize=7.5)
    needed = (stated.multiplications_removed - share * heads) / (1 - share)
    right.annotate(f"{needed:.0f} % of MLP width\nwould be needed", (needed, stated.multiplications_removed), (-75, 12),
                   textcoords="offset points", fontsize=7.5, arrowprops={"arrowstyle": "-", "linewidth": 0.6})
    right.set(xlim=(0, 60), xlabel="MLP width removed (%)", title=f"{reference.label}: multiplications")
    for ax in (left, right):
        claim.accepted(ax, "S1.6", "compute_removed", told=claim.IN_LEGEND)
    handles = [handle for ax in (left, right) for handle in ax.get_legend_handles_labels()[0]]
    fig.legend(handles=[*handles, claim.key("S1.6", "compute_removed")], loc="outside upper center", ncols=3)
    return fig, pd.concat([table, pd.DataFrame(lines)], ignore_index=True)


@style.styled
def speculation(table: pd.DataFrame) -> style.Drawn:
    """Expected gain against the number of drafted tokens (from `speculation_table`), with the printed gain as a line."""
    table = style.require(table, "speculation")
    fig = Figure(figsize=(0.85 * style.WIDTH, 3.1))
    ax = fig.subplots()
    looks = zip(dict.fromkeys(table.label), (("#0072B2", "o", "-"), ("#D55E00", "s", "--")), strict=True)
    for label, (colour, marker, linestyle) in looks:
        lines = table[table.label == label]
        ax.fill_between(lines.draft_tokens, lines.speedup_low, lines.speedup_high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(lines.draft_tokens, lines.speedup, color=colour, marker=marker, linestyle=linestyle, fillstyle="none",
                label=f"{label} ({lines.cost_ratio.iloc[0]:.2f} of a step)")
    stated = table.stated.iloc[0]
    ax.axhline(1, color="0.5", linewidth=0.8)
    ax.set(xlabel="drafted tokens a verification (tokens)", ylabel="expected speed-up (times)", ylim=(0.6, None),
           xlim=(0.5, table.draft_tokens.max() + 0.5))
    ax.set_xticks(sorted(set(table.draft_tokens)))
    ax.plot([ax.get_xlim()[1]], [stated], clip_on=False, zorder=4, label=f"published: {stated:g}", **style.PUBLISHED)
    claim.accepted(ax, "S1.10", "best_speculative_speedup", told=claim.IN_LEGEND)
    fig.legend(handles=[*ax.get_legend_handles_labels()[0], claim.key("S1.10", "best_speculative_speedup")],
               loc="outside upper center", ncols=2)
    return fig, table


@style.styled
def efficiency(table: pd.DataFrame) -> style.Drawn:
    """Printed tokens/s a printed watt, a panel a stage, with the ends that rounding allows (`efficiency_table`)."""
    table = style.require(table, "efficiency")
    labels, stages = list(dict.fromkeys(table.label)), list(dict.fromkeys(table.stage))
    fig = Figure(figsize=(style.WIDTH, 1.0 + 0.32 * len(labels)))
    axes = fig.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    for ax, stage in zip(axes, stages, strict=True):
        lines = table[table.stage == stage]
        for line in lines.itertuples():
            place = labels.index(line.label)
            style.level(ax, line, "tok_per_joule", place, 0, **CROSS)
            ax.annotate(f"{line.tok_per_joule:.2f}", (line.tok_per_joule, place), (4, 4), textcoords="offset points",
                        fontsize=7.5)
        ax.set(title=f"{stage}, published", xlabel="efficiency (tokens/s per W)")
        intervals.by_marks(ax, 1.08 * lines.tok_per_joule, [*lines.tok_per_joule_low, *lines.tok_per_joule_high], along="x",
                           least=0)  # with room for the number beside the last
    others = table[(table.stage == "optimized") & ~table.said_best.astype(bool)].tok_per_joule.max()
    # The claim accepts multiples of the best of the others'.
    claim.accepted(axes[-1], "S1.18", "efficiency_over_best_other", along="x", factor=others, told=claim.IN_LEGEND)
    powers = table.groupby("label", sort=False).power_w.first()
    named = set(table[table.said_best.astype(bool)].label)
    axes[0].set_yticks(range(len(labels)), [f"{label}, {powers[label]:g} W" + "\n(said to be the best)" * (label in named)
                                            for label in labels])
    axes[0].set_ylim(len(labels) - 0.5, -0.7)
    fig.legend(handles=[Line2D([], [], label="published, with what rounding allows", linestyle="none", **CROSS),
                        claim.key("S1.18", "efficiency_over_best_other", "S1.18 accepts for the one said to be the best")],
               loc="outside upper center", ncols=2)
    return fig, table


@style.styled
def memory_saved(table: pd.DataFrame) -> style.Drawn:
    """Per cent of the 16-bit bytes that 4-bit weights save, by architecture (from `memory_table`)."""
    table = style.require(table, "memory_saved")
    fig = Figure(figsize=(0.85 * style.WIDTH, 0.9 + 0.22 * len(table)))
    ax = fig.subplots()
    places = np.arange(len(table))
    ax.barh(places, table.saved, 0.75, color="0.75", edgecolor="0.3", linewidth=0.6)
    for place, line in zip(places, table.itertuples(), strict=True):
        ax.annotate(f"{line.saved:.1f} % ({line.baseline_gb:.2f} to {line.quantized_gb:.2f} GB)", (0, place), (5, 0),
                    textcoords="offset points", va="center_baseline", fontsize=7.5)
    stated = table.stated.iloc[0]
    ax.plot([stated], [len(places) - 0.45], clip_on=False, linestyle="none", label=f"published: {stated:g} %", **CROSS)
    ax.set_yticks(places, table.label)
    ax.set(xlabel="memory saved by 4-bit weights (%)", xlim=(0, 85), ylim=(-0.6, len(places) - 0.2))
    ax.grid(axis="y", visible=False)
    claim.accepted(ax, "S2.2", "quantized_memory_saved", along="x", told=claim.IN_LEGEND)
    fig.legend(handles=[*ax.get_legend_handles_labels()[0], claim.key("S2.2", "quantized_memory_saved")],
               loc="outside upper center", ncols=2)
    return fig, table
