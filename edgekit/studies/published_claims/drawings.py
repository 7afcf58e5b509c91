"""The figures of 00_published_claims: printed numbers (crosses) beside what arithmetic allows (modelled)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from edgekit.plots import style

MODELLED = {"marker": "o", "fillstyle": "none", "linestyle": "none", "color": "black"}
STAGE_NAMES = {"baseline": "16-bit weights", "quantized": "4-bit weights", "optimized": "4-bit, pruned, drafted"}


@style.styled
def ceilings(table: pd.DataFrame) -> style.Drawn:
    """Printed tokens/s against the bandwidth ceilings of each platform, stage by stage (from `ceiling_table`).

    The line is the nominal ceiling, the band under it reaches down to the usable share; the number at a cross is the printed
    rate over its ceiling.
    """
    table = style.require(table, "ceilings")
    fig = Figure(figsize=(style.WIDTH, 3.7))
    ax = fig.subplots()
    labels = list(dict.fromkeys(table.label))
    for line in table.itertuples():
        colour, linestyle, _ = style.STAGES[line.stage]
        place = labels.index(line.label) + 0.27 * (list(style.STAGES).index(line.stage) - 1)
        ends = [place - 0.11, place + 0.11]
        ax.fill_between(ends, line.usable_share * line.ceiling_tok_per_s, line.ceiling_tok_per_s, color=colour, alpha=0.3,
                        linewidth=0)
        ax.plot(ends, [line.ceiling_tok_per_s] * 2, color=colour, linestyle=linestyle, linewidth=2, gid="ceiling")
        above = not pd.isna(line.printed_tok_per_s) and line.printed_tok_per_s > line.ceiling_tok_per_s
        ax.annotate(f"{line.ceiling_tok_per_s:.3g}", (place, line.ceiling_tok_per_s), (0, -15 if above else 3),
                    textcoords="offset points", ha="center", fontsize=7, color="0.3")
        if not pd.isna(line.printed_tok_per_s):
            ax.plot([place], [line.printed_tok_per_s], **style.PUBLISHED | {"markersize": 7}, zorder=4)
            ax.annotate(f"{line.printed_tok_per_s:g}\n({line.share:.2f})", (place, line.printed_tok_per_s),
                        (0, 5 if above else -5), textcoords="offset points", ha="center", va="bottom" if above else "top",
                        fontsize=7.5, fontweight="bold" if above else "normal")
    rates = [f"{rate / 1e9:g} GB/s" for rate in table.groupby("label", sort=False).memory_bandwidth_byte_per_s.first()]
    ax.set_xticks(range(len(labels)), [f"{label}\n{rate}" for label, rate in zip(labels, rates, strict=True)])
    ax.grid(axis="x", visible=False)
    ax.set(yscale="log", ylabel="decode of a 7B (tokens/s)", xlim=(-0.5, len(labels) - 0.5),
           ylim=(table[["printed_tok_per_s", "ceiling_tok_per_s"]].min().min() / 1.7,
                 table[["printed_tok_per_s", "ceiling_tok_per_s"]].max().max() * 1.6))
    ax.set_yticks([5, 10, 20, 50, 100, 200])
    ax.yaxis.set_major_formatter(style.PLAIN)
    ax.yaxis.set_minor_formatter(NullFormatter())
    share = table.usable_share.iloc[0]
    keys = [Line2D([], [], color=colour, linestyle=line, linewidth=2, label=f"ceiling, {STAGE_NAMES[stage]}")
            for stage, (colour, line, _) in style.STAGES.items()]
    fig.legend(handles=[*keys, Line2D([], [], **style.PUBLISHED, label="published (in brackets: over its ceiling)"),
                        Patch(color="0.8", label=f"{100 * share:.0f} to 100 % of the nominal bandwidth")],
               loc="outside upper center", ncols=2, handlelength=3)
    return fig, table


@style.styled
def pruning(table: pd.DataFrame) -> style.Drawn:
    """What goes with heads and MLP dimensions (from `pruning_table`), by architecture, and what would be needed for more."""
    table = style.require(table, "pruning")
    shapes, stated = table[table.source == "modelled"], table[table.source == "published"].iloc[0]
    reference = shapes[shapes.label == shapes.reference].iloc[0]
    heads, mlp = reference.heads_removed, reference.mlp_removed
    fig = Figure(figsize=(style.WIDTH, 3.1))
    left, right = fig.subplots(1, 2, sharey=True)
    mixture = np.array([0.0, 1.0])
    left.plot(100 * mixture, heads * mixture + mlp * (1 - mixture), color="0.35", label="any architecture: multiplications")
    left.plot(100 * shapes.attention_share, shapes.multiplications_removed, **MODELLED, label="multiplications")
    left.plot(100 * shapes.attention_share, shapes.weights_removed, **MODELLED | {"marker": "s", "color": "#D55E00"},
              label="all weights")
    left.plot([100 * reference.attention_share], [stated.multiplications_removed], **style.PUBLISHED, label="published")
    left.annotate(reference.label, (100 * reference.attention_share, reference.multiplications_removed), (6, 6),
                  textcoords="offset points", fontsize=7.5)
    left.annotate(f"published: {stated.multiplications_removed:g} %", (100 * reference.attention_share,
                                                                      stated.multiplications_removed),
                  (7, 0), textcoords="offset points", va="center", fontsize=7.5)
    left.set(xlim=(0, 100), ylim=(0, 1.3 * stated.multiplications_removed), ylabel="removed (%)",
             xlabel="attention's part of the multiplications (%)", title=f"{heads:g} % of heads, {mlp:g} % of MLP width")
    left.legend(loc="lower right")
    across = np.linspace(0, 60, 61)
    share = reference.attention_share
    lines = []
    for pruned, linestyle in ((0, ":"), (heads, "-")):
        removed = share * pruned + (1 - share) * across
        right.plot(across, removed, color="#0072B2", linestyle=linestyle, label=f"{pruned:g} % of heads")
        lines += [{"label": reference.label, "source": "modelled", "heads_removed": pruned, "mlp_removed": x,
                   "multiplications_removed": y} for x, y in zip(across[::5], removed[::5], strict=True)]
    right.axhline(stated.multiplications_removed, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
    right.plot([mlp], [reference.multiplications_removed], **MODELLED)
    right.plot([mlp], [stated.multiplications_removed], **style.PUBLISHED)
    right.annotate(f"{reference.multiplications_removed:.1f}", (mlp, reference.multiplications_removed), (5, -9),
                   textcoords="offset points", fontsize=7.5)
    needed = (stated.multiplications_removed - share * heads) / (1 - share)
    right.annotate(f"{needed:.0f} % of MLP width\nwould be needed", (needed, stated.multiplications_removed), (-75, 12),
                   textcoords="offset points", fontsize=7.5, arrowprops={"arrowstyle": "-", "linewidth": 0.6})
    right.set(xlim=(0, 60), xlabel="MLP width removed (%)", title=f"{reference.label}: multiplications")
    right.legend(loc="lower right")
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
                label=f"{label} (cost ratio {lines.cost_ratio.iloc[0]:.2f})")
    stated = table.stated.iloc[0]
    ax.axhline(stated, color="black", linewidth=1, linestyle=(0, (1, 2)))
    ax.annotate(f"published: {stated:g}", (table.draft_tokens.max(), stated), (0, 3), textcoords="offset points", ha="right",
                fontsize=7.5)
    ax.axhline(1, color="0.5", linewidth=0.8)
    ax.set(xlabel="drafted tokens a verification (tokens)", ylabel="expected speed-up (times)",
           ylim=(0.6, None))
    ax.set_xticks(sorted(set(table.draft_tokens)))
    fig.legend(loc="outside upper center", ncols=1)
    return fig, table


@style.styled
def efficiency(table: pd.DataFrame) -> style.Drawn:
    """Printed tokens/s a printed watt, baseline and optimized, with the ends that rounding allows (`efficiency_table`)."""
    table = style.require(table, "efficiency")
    labels = list(dict.fromkeys(table.label))
    fig = Figure(figsize=(0.85 * style.WIDTH, 2.9))
    ax = fig.subplots()
    for aside, stage in ((-0.2, "baseline"), (0.2, "optimized")):
        lines = table[table.stage == stage].set_index("label").loc[labels]
        colour, _, hatch = style.STAGES[stage]
        places = np.arange(len(labels)) + aside
        errors = np.vstack([lines.tok_per_joule - lines.tok_per_joule_low, lines.tok_per_joule_high - lines.tok_per_joule])
        ax.bar(places, lines.tok_per_joule, 0.38, yerr=errors, color=colour, alpha=0.75, hatch=hatch, edgecolor="white",
               error_kw={"elinewidth": 0.8, "capsize": 2}, label=f"{stage}, published")
        for place, value, high in zip(places, lines.tok_per_joule, lines.tok_per_joule_high, strict=True):
            ax.annotate(f"{value:.2f}", (place, high), (0, 2), textcoords="offset points", ha="center", fontsize=7.5)
    powers = table.groupby("label", sort=False).power_w.first()
    named = set(table[table.said_best.astype(bool)].label)
    ax.set_xticks(range(len(labels)), [f"{label}\n{powers[label]:g} W" + "\nsaid to be the best" * (label in named)
                                       for label in labels])
    ax.set(ylabel="efficiency (tokens/s per W)", ylim=(0, 1.15 * table.tok_per_joule_high.max()))
    ax.grid(axis="x", visible=False)
    fig.legend(loc="outside upper center", ncols=2)
    return fig, table


@style.styled
def memory_saved(table: pd.DataFrame) -> style.Drawn:
    """Per cent of the 16-bit bytes that 4-bit weights save, by architecture (from `memory_table`)."""
    table = style.require(table, "memory_saved")
    fig = Figure(figsize=(0.85 * style.WIDTH, 2.8))
    ax = fig.subplots()
    places = np.arange(len(table))
    ax.barh(places, table.saved, 0.6, color="0.75", edgecolor="0.3", linewidth=0.6)
    for place, line in zip(places, table.itertuples(), strict=True):
        ax.annotate(f"{line.saved:.1f} % ({line.baseline_gb:.2f} to {line.quantized_gb:.2f} GB)", (0, place), (5, 0),
                    textcoords="offset points", va="center", fontsize=7.5)
    stated = table.stated.iloc[0]
    ax.axvline(stated, color="black", linewidth=1, linestyle=(0, (1, 2)))
    ax.plot([stated] * len(places), places, **style.PUBLISHED)
    ax.annotate(f"published: {stated:g} %", (stated, len(places) - 0.5), (-3, 3), textcoords="offset points", ha="right",
                fontsize=7.5, annotation_clip=False)
    ax.set_yticks(places, table.label)
    ax.set(xlabel="memory saved by 4-bit weights (%)", xlim=(0, 100), ylim=(-0.6, len(places) - 0.4))
    ax.grid(axis="y", visible=False)
    return fig, table
