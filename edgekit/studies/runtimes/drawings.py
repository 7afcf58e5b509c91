"""Figures of a runtime's speed: against what a step reads, what of it is the runtime's own, and without acceleration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from edgekit.analyze import roofline
from edgekit.analyze.stats import number
from edgekit.plots import claim, intervals, style
from edgekit.schema import EVERYTHING, HOST_ONLY

ACCELERATIONS = {"sse4": ("#999999", "v"), "avx2": ("#E69F00", "s"), HOST_ONLY: ("#999999", "v"), EVERYTHING: ("#0072B2", "o")}
# What is drawn, and the quantity that judges it
JUDGED = {"prefill": "prefill_acceleration", "decoding": "decode_acceleration"}


def _decades(axis) -> None:
    axis.set_major_locator(LogLocator(10, numticks=8))
    axis.set_major_formatter(style.PLAIN)
    axis.set_minor_formatter(NullFormatter())


@style.styled
def decode_by_bytes(table: pd.DataFrame) -> style.Drawn:
    """Decode speed against the bytes of a step, a line a runtime and precision, below the ceiling that the measured bandwidth
    is (from roofline.utilisation_table at the longest lengths of each unit)."""
    table = style.require(table, "decode_by_bytes")
    plotted = table.sort_values(["output_tokens", "prompt_tokens"], kind="stable").groupby(roofline.UNIT).tail(1)
    plotted = plotted.sort_values(["engine", "dtype", "step_bytes"], kind="stable").assign(step_mb=plotted.step_bytes / 1e6)
    fig = Figure(figsize=(style.WIDTH, 4.2))
    ax = fig.subplots()
    for (engine, dtype), part in plotted.groupby(["engine", "dtype"]):
        colour, marker = style.engine_style(engine, dtype)
        style.series(ax, part, "step_mb", "decode_tok_per_s", colour=colour, marker=marker,
                     linestyle=style.line_of(dtype))
    across = np.array([plotted.step_mb.min() / 1.5, plotted.step_mb.max() * 1.5])
    ceilings = _ceiling(ax, plotted, across)
    ax.set(xscale="log", yscale="log", xlabel="bytes that a step reads (MB)", ylabel="decode (tokens/s)", xlim=across)
    intervals.by_marks(ax, plotted.decode_tok_per_s, [*plotted.decode_tok_per_s_low, *plotted.decode_tok_per_s_high],
                       beyond=0.1)
    _decades(ax.xaxis)
    _decades(ax.yaxis)
    intervals.mark_clipped(ax)
    fig.legend(handles=[*style.key(plotted), *ceilings], loc="outside upper center", ncols=3)
    columns = [*roofline.CONDITION, "step_mb", "cached", "decode_tok_per_s", "decode_tok_per_s_low", "decode_tok_per_s_high",
               "bandwidth_utilisation", "bandwidth_byte_per_s", "n"]
    return fig, plotted[columns]


def _ceiling(ax: Axes, plotted: pd.DataFrame, across: np.ndarray) -> list[Line2D]:
    """What the memory allows, with its spread; dotted and without, as no limit, over the bytes that a cache was seen to hold.
    Returns the legend's lines."""
    cached = plotted.cached.eq(True)
    held, read = plotted.step_mb[cached].max(), plotted.step_mb[~cached].min()
    edge = across[0] if pd.isna(held) else across[1] if pd.isna(read) else np.sqrt(held * max(held, read))
    low, rate, high = (end / 1e6 for end in (plotted.bandwidth_byte_per_s_low.min(), plotted.bandwidth_byte_per_s.median(),
                                             plotted.bandwidth_byte_per_s_high.max()))
    looks = [dict(color="0.25", linewidth=1, linestyle="-"), dict(color="0.25", linewidth=1, linestyle=(0, (1, 2)))]
    names = ["ceiling: measured bandwidth over bytes", "bandwidth over bytes, no limit: a cache holds them"]
    parts = [np.array([edge, across[1]]), np.array([across[0], edge])]
    handles = []
    for part, look, name in zip(parts, looks, names, strict=True):
        if part[0] < part[1]:
            ax.plot(part, rate / part, gid="ceiling", **look)
            handles.append(Line2D([], [], label=name, **look))
    ax.fill_between(parts[0], low / parts[0], high / parts[0], color="0.85", linewidth=0, zorder=0)
    return handles


@style.styled
def overhead(shares: pd.DataFrame, table: pd.DataFrame) -> style.Drawn:
    """The part of a step that is a runtime's own, against the bytes of the step, a panel a runtime: marks are models, lines the
    law, and a bar at one half says where overhead and bytes take as long (from tables_overhead.share_table and
    overhead_table)."""
    shares = style.require(shares, "overhead").assign(step_mb=shares.step_bytes / 1e6)
    engines = list(dict.fromkeys(shares.sort_values("engine").engine))
    fig, axes = style.panels(len(engines), 3, 2.0, sharex=True, sharey=True)
    for ax, engine in zip(axes, engines, strict=True):
        for dtype, part in shares[shares.engine == engine].groupby("dtype"):
            colour, marker = style.engine_style(engine, dtype)
            style.series(ax, part, "step_mb", "overhead_share", colour=colour, marker=marker)
            ax.plot(part.step_mb, part.law_share, color=colour, linestyle=style.line_of(dtype), gid="law")
        for line in table[(table.engine == engine) & table.even_bytes.notna()].itertuples():
            colour, _ = style.engine_style(line.engine, line.dtype)
            ends = None if pd.isna(line.even_bytes_low) else [[(line.even_bytes - line.even_bytes_low) / 1e6],
                                                              [(line.even_bytes_high - line.even_bytes) / 1e6]]
            ax.errorbar(line.even_bytes / 1e6, 0.5, xerr=ends, color=colour, marker="|", markersize=10, capsize=2,
                        linestyle="none")
        ax.axhline(0.5, color="0.6", linewidth=0.8, linestyle=(0, (1, 1)))
        ax.axhline(0, color="0.3", linewidth=0.8)
        ax.set(xscale="log", title=engine)
    intervals.by_marks(axes[0], [0, 1, *shares.overhead_share], [*shares.overhead_share_low, *shares.overhead_share_high],
                       beyond=0.1)
    intervals.by_marks(axes[0], shares.step_mb, along="x")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    _decades(axes[0].xaxis)
    for ax in axes:
        ax.tick_params(labelbottom=True)
        intervals.mark_clipped(ax)
    fig.supxlabel("bytes that a step reads (MB)", fontsize=8.5)
    fig.supylabel("share of a step that is the runtime's own", fontsize=8.5)
    fig.legend(handles=style.key(shares), loc="outside upper center", ncols=3)
    columns = ["model", "engine", "dtype", "threads", "device", "source", "step_mb", "overhead_share", "overhead_share_low",
               "overhead_share_high", "law_share", "n"]
    return fig, shares[columns]


@style.styled
def acceleration(table: pd.DataFrame) -> style.Drawn:
    """How many times as fast a cell is with acceleration as with the least of it, a row a model and cell, a panel for prefill
    and one for decoding (from tables.acceleration_table), with what S2.4 accepts; texts: tokens a second of everything."""
    table = style.require(table[table.gain.notna()], "acceleration")
    names = list(dict.fromkeys(zip(table.model, table.engine, table["dtype"], strict=True)))
    fig = Figure(figsize=(style.WIDTH, 1.5 + 0.5 * len(names)))
    axes = fig.subplots(1, 2, sharey=True)
    for ax, (what, quantity) in zip(axes, JUDGED.items(), strict=True):
        here = table[table.what == what]
        for line in here.itertuples():
            colour, marker = ACCELERATIONS[line.acceleration]
            place = names.index((line.model, line.engine, line.dtype))
            style.level(ax, line, "gain", place, color=colour, marker=marker)
            if line.acceleration == EVERYTHING:
                ax.annotate(f"{number(line.tok_per_s)} tokens/s", (line.gain, place), (0, 7), textcoords="offset points",
                            ha="center", fontsize=7, color="0.3", bbox=claim.TOLD["bbox"])
        ax.axvline(1, color="0.3", linewidth=0.8)
        ax.set(xscale="log", xlabel=f"{what} speed, over the least (times)")
        intervals.by_marks(ax, [1, *here.gain], [*here.gain_low, *here.gain_high], along="x", beyond=0.3)
        claim.accepted(ax, "S2.4", quantity, along="x", told=claim.IN_LEGEND)
        _ones(ax)
        ax.grid(axis="y", visible=False)
        intervals.mark_clipped(ax)
    axes[0].set_yticks(range(len(names)), [f"{style.model_label(model)},\n{engine} {dtype}" for model, engine, dtype in names],
                       fontsize=7.5)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    least = " or ".join(sorted(set(table.over)))
    marks = [Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"{name} over {least}")
             for name, (colour, marker) in ACCELERATIONS.items() if name in set(table.acceleration)]
    fig.legend(handles=[*marks, *(claim.key("S2.4", quantity, f"S2.4 accepts of {what} {claim.wanted('S2.4', quantity)}")
                                 for what, quantity in JUDGED.items())],
               loc="outside upper center", ncols=2)
    columns = ["model", "engine", "dtype", "threads", "device", "source", "acceleration", "kernel", "what", "gain", "gain_low",
               "gain_high", "over", "tok_per_s", "tok_per_s_low", "tok_per_s_high", "n"]
    return fig, table[columns]


def _ones(ax: Axes) -> None:
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=8))
    ax.xaxis.set_major_formatter(style.PLAIN)
    ax.xaxis.set_minor_formatter(NullFormatter())


@style.styled
def gains(table: pd.DataFrame) -> style.Drawn:
    """How many times as fast a runtime is as transformers on the same weights, a row a model and cell, a panel for the first
    token, for decoding and for the whole request (from tables.gain_table)."""
    table = style.require(table[table.same], "gains")
    names = list(dict.fromkeys(zip(table.model, table["dtype"], table.engine, strict=True)))
    whats = list(dict.fromkeys(table.what))
    fig = Figure(figsize=(style.WIDTH, min(8.0, 1.2 + 0.27 * len(names))))
    axes = fig.subplots(1, len(whats), sharey=True, squeeze=False)[0]
    for ax, what in zip(axes, whats, strict=True):
        here = table[table.what == what]
        for line in here.itertuples():
            colour, marker = style.engine_style(line.engine, line.dtype)
            style.level(ax, line, "gain", names.index((line.model, line.dtype, line.engine)), color=colour, marker=marker)
        ax.axvline(1, color="0.3", linewidth=0.8)
        ax.set(xscale="log", xlabel=f"{what} (times)")
        intervals.by_marks(ax, [1, *here.gain], [*here.gain_low, *here.gain_high], along="x", beyond=0.2)
        _ones(ax)
        ax.grid(axis="y", visible=False)
        intervals.mark_clipped(ax)
    axes[0].set_yticks(range(len(names)), [f"{style.model_label(model)}, {dtype}, {engine}" for model, dtype, engine in names],
                       fontsize=7.5)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    columns = ["model", "engine", "dtype", "over", "threads", "device", "what", "gain", "gain_low", "gain_high", "n"]
    return fig, table[columns]
