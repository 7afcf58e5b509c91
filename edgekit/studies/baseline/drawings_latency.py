"""Time to first token and time per output token, as small multiples with a panel a model, and how the two compare."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from edgekit.analyze import roofline, stats
from edgekit.plots import claim, intervals, style

COLUMNS = 3
CELL = ["engine", "dtype", "threads", "batch", "device"]  # what one line of a panel has in common


@style.styled
def ttft_vs_prompt(speed: pd.DataFrame) -> style.Drawn:
    """Time to first token against prompt length, a panel a model, a line an engine (from `speed_table`)."""
    table = style.require(speed.dropna(subset=["ttft_s"]), "ttft_vs_prompt")
    plotted = table[[*roofline.CONDITION, "ttft_s", "ttft_s_low", "ttft_s_high", "n"]]
    fig = _by_model(plotted, "prompt_tokens", "ttft_s", "prompt (tokens)", "time to first token (s)", sharey="row")
    for ax in fig.axes:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(style.PLAIN)
    return fig, plotted


@style.styled
def tpot_vs_context(speed: pd.DataFrame) -> style.Drawn:
    """Time per output token against the mean context of its steps, a panel a model (from `speed_table`)."""
    table = style.require(speed.dropna(subset=["tpot_s"]), "tpot_vs_context")
    milliseconds = {f"tpot_ms{end}": 1e3 * table[f"tpot_s{end}"] for end in ("", "_low", "_high")}
    plotted = table[roofline.CONDITION].assign(
        context_tokens=roofline.mean_context(table.prompt_tokens, table.output_tokens), **milliseconds, n=table.n)
    fig = _by_model(plotted.sort_values("context_tokens", kind="stable"), "context_tokens", "tpot_ms",
                    "mean context (tokens)", "time per output token (ms)", sharey=False)
    for ax in fig.axes:
        ax.set_ylim(0, ax.get_ylim()[1] * 1.08)
        ax.yaxis.set_major_locator(MaxNLocator(4))
    return fig, plotted


@style.styled
def shares(share: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Decode time over prefill time: of the largest model against output length, beside published ratios and what S3.1
    accepts; and of all models against their size, at the longest output that every model wrote.

    `share` is `share_table`; at each output length the prompt nearest to the published ones is drawn. `published` has
    decode_over_prefill at output_tokens.
    """
    table = style.require(share, "shares")
    published = published[published.quantity == "decode_over_prefill"]
    distance = (table.prompt_tokens - published.prompt_tokens.median()).abs()
    table = table[distance == distance.groupby([table.model, table.output_tokens]).transform("min")]
    table = table[[*roofline.CONDITION, "parameters", *stats.with_ends("decode_over_prefill"), "n"]]
    largest = table[table.parameters == table.parameters.max()]
    written = table.groupby("output_tokens").model.nunique()
    common = int(written[written == written.max()].index.max())
    sizes = table[table.output_tokens == common].assign(million_weights=lambda lines: lines.parameters / 1e6)
    fig = Figure(figsize=(style.WIDTH, 3.2))
    left, right = fig.subplots(1, 2, sharey=True)
    for ax, lines, x in ((left, largest, "output_tokens"), (right, sizes.sort_values("parameters"), "million_weights")):
        ax.set(xscale="log", yscale="log")
        cells, step = lines.groupby(CELL, dropna=False), (lines[x].max() / lines[x].min()) ** 0.015
        for i, ((engine, dtype, *_), part) in enumerate(cells):
            colour, marker = style.engine_style(engine, dtype)
            # A little aside, so that intervals of one place do not hide each other.
            part = part.assign(at=part[x] * step ** (i - (len(cells) - 1) / 2))
            style.series(ax, part, "at", "decode_over_prefill", colour=colour, marker=marker, linestyle=style.DTYPES[dtype])
    left.plot(published.output_tokens, published.value, gid="published", zorder=4, **style.PUBLISHED)
    prompts = sorted(set(largest.prompt_tokens))
    asked = f"{prompts[0]}" if len(prompts) == 1 else f"{prompts[0]} to {prompts[-1]}"
    left.set(title=f"{style.model_label(largest.model.iloc[0])}, {asked} tokens in", xlabel="output (tokens)",
             ylabel="decode / prefill (times)")
    right.set(title=f"all models, {common} tokens out", xlabel="model (million weights)")
    intervals.by_marks(left, [*largest.decode_over_prefill, *sizes.decode_over_prefill, *published.value])
    claim.accepted(left, "S3.1", "decode_over_prefill")
    _length_ticks(left)
    found = sorted(set(sizes.million_weights))
    right.set_xticks(found, [f"{size:.2g}" if size < 100 else f"{size:.0f}" for size in found])
    right.set_xticks([], minor=True)
    left.yaxis.set_major_formatter(style.PLAIN)
    for ax in (left, right):
        intervals.mark_clipped(ax)
    fig.legend(handles=[*style.key(table), Line2D([], [], **style.PUBLISHED, label="EdgeReasoning (published)")],
               loc="outside upper center", ncols=4, columnspacing=1.2)
    printed = published.rename(columns={"label": "model", "value": "decode_over_prefill"})[
        ["model", "source", "prompt_tokens", "output_tokens", "decode_over_prefill"]]
    return fig, pd.concat([largest.assign(panel="output"), sizes.assign(panel="size"), printed.assign(panel="output")],
                          ignore_index=True)


def _by_model(table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str, *, sharey: bool | str) -> Figure:
    """Small multiples: a panel a model in the table's order, a line an engine, dtype, thread count and fixed length."""
    models = list(dict.fromkeys(table.model))
    fig, axes = style.panels(len(models), COLUMNS, 1.75, sharex=True, sharey=sharey)
    for ax, model in zip(axes, models, strict=True):
        for (engine, dtype, *_), lines in table[table.model == model].groupby(CELL, dropna=False):
            colour, marker = style.engine_style(engine, dtype)
            style.series(ax, lines, x, y, colour=colour, marker=marker, linestyle=style.DTYPES[dtype])
        ax.set(title=style.model_label(model), xscale="log")
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        ax.tick_params(labelbottom=True)
        _length_ticks(ax)
    fig.supxlabel(x_label, fontsize=8.5)
    fig.supylabel(y_label, fontsize=8.5)
    fig.legend(handles=style.key(table), loc="outside upper center", ncols=3)
    return fig


def _length_ticks(ax: Axes) -> None:
    """Token counts on a log axis: 1, 2, 5 a decade where there is room, else 1 and 3."""
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 50 else (1, 3), numticks=8))
    ax.xaxis.set_major_formatter(style.PLAIN)

