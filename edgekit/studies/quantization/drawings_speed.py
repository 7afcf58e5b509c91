"""What quantized weights gain within a runtime, beside what their fewer bytes would give."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.plots import claim, intervals, style

BYTES = {"color": "black", "linewidth": 1.6}


@style.styled
def quantization_speed(table: pd.DataFrame) -> style.Drawn:
    """Decode speed of quantized weights over 16-bit weights in the same runtime, a panel a shape (from
    `tables_speed.gain_table`). The black mark is the ratio of bytes: the gain if reading weights were all that a step does."""
    style.require(table, "quantization_speed")
    parts = dict(list(table.groupby("model", sort=False)))
    fig = Figure(figsize=(style.WIDTH, 0.9 + sum(0.4 + 0.22 * len(here) for here in parts.values())))
    axes = fig.subplots(len(parts), 1, squeeze=False, sharex=True,
                        height_ratios=[1 + len(here) for here in parts.values()])[:, 0]
    for ax, (model, here) in zip(axes, parts.items(), strict=True):
        for place, line in enumerate(here.itertuples()):
            colour, marker = style.engine_style(line.engine, "bfloat16")
            style.level(ax, line, "gain", place, 0, color=colour, marker=marker)
            ax.plot([line.fewer_bytes] * 2, [place - 0.32, place + 0.32], gid="bytes", **BYTES)
        ax.axvline(1, color="0.4", linewidth=0.7, zorder=1)
        ax.set_yticks(range(len(here)), [f"{line.engine} {line.weights}" for line in here.itertuples()])
        ax.set(ylim=(len(here) - 0.4, -0.6), title=style.model_label(model))
    intervals.by_marks(axes[-1], [1, *table.gain, *table.fewer_bytes], [*table.gain_low, *table.gain_high], along="x", least=0)
    for ax, model in zip(axes, parts, strict=True):
        claim.accepted(ax, "S3.7", "w4a16_speed_up", along="x", told=claim.IN_LEGEND, models=[model])
        intervals.mark_clipped(ax)
    axes[-1].set_xlabel("decode speed over 16-bit weights in the same runtime (times)")
    engines = list(dict.fromkeys(table.engine))
    looks = {engine: style.engine_style(engine, "bfloat16") for engine in engines}
    fig.legend(handles=[*(Line2D([], [], color=colour, marker=marker, linestyle="none", label=engine)
                          for engine, (colour, marker) in looks.items()),
                        Line2D([], [], label="if speed followed the bytes", **BYTES),
                        claim.key("S3.7", "w4a16_speed_up")], loc="outside upper center", ncols=3)
    return fig, table
