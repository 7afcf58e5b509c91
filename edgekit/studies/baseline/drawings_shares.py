"""How decoding and prefill divide the time."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.analyze import roofline, stats
from edgekit.plots import claim, intervals, style
from edgekit.plots.latency import length_ticks

CELL = ["engine", "dtype", "threads", "batch", "device"]  # what one line of a panel has in common


@style.styled
def shares(share: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Decode time over prefill time: of the largest model that wrote the longest output against output length, beside published
    ratios and what S3.1 accepts; and of all models against their size, at the longest output that every model wrote.

    `share` is `share_table`; at each output length the prompt nearest to the published ones is drawn. `published` has
    decode_over_prefill at output_tokens.
    """
    table = style.require(share, "shares")
    published = published[published.quantity == "decode_over_prefill"]
    distance = (table.prompt_tokens - published.prompt_tokens.median()).abs()
    table = table[distance == distance.groupby([table.model, table.output_tokens]).transform("min")]
    table = table[[*roofline.CONDITION, "parameters", *stats.with_ends("decode_over_prefill"), "n"]]
    longest = table[table.output_tokens == table.output_tokens.max()]
    largest = table[table.model == longest.loc[longest.parameters.idxmax(), "model"]]
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
    length_ticks(left)
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
