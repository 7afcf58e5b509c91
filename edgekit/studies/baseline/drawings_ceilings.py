"""What a device allows beside what was reached: the roofline of decoding, and published baselines of four boards."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from edgekit.analyze import roofline
from edgekit.analyze.observed import kind
from edgekit.plots import claim, intervals, style

MODELLED = {"color": "black", "marker": "o", "fillstyle": "none", "linestyle": "none"}
ENDS = ("", "_low", "_high")


@style.styled
def utilisation(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Decode tokens/s under the bandwidth ceiling (above) and the share of it that is reached (below).

    `table` is `utilisation_table`; each model and engine is drawn at its longest output. Pocket models have
    panels of their own, apart from models of real size. `published` has bandwidth_utilisation at step_bytes.
    """
    table = style.require(table, "utilisation")
    quantities = [name + end for name in ("decode_tok_per_s", "bandwidth_utilisation", "ceiling_tok_per_s",
                                          "bandwidth_byte_per_s") for end in ENDS]
    plotted = _longest(table)[[*roofline.CONDITION, "step_bytes", *quantities, "n"]]
    plotted = plotted.sort_values(["step_bytes", "engine"], kind="stable")
    plotted.insert(0, "step_gb", plotted.step_bytes / 1e9)
    printed = published[published.quantity == "bandwidth_utilisation"]
    printed = printed.assign(step_gb=printed.step_bytes / 1e9, bandwidth_utilisation=printed.value)
    pocket = plotted.model.map(kind) == "pocket"
    groups = [(name, part) for name, part in (("pocket models", plotted[pocket]),
                                              ("models of real size", plotted[~pocket])) if len(part)]
    fig = Figure(figsize=(style.WIDTH, 5.4))
    axes = fig.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row", gridspec_kw={
        "width_ratios": [1, 1.6][-len(groups):], "height_ratios": [1.2, 1]})
    for (top, bottom), (name, part) in zip(axes.T, groups, strict=True):
        crosses = printed if part is groups[-1][1] else printed[:0]
        sizes = [*part.step_gb, *crosses.step_gb]
        across = np.geomspace(min(sizes) / 1.7, max(sizes) * 1.7, 50)
        _ceilings(top, bottom, part, across)
        for (engine, dtype), lines in part.groupby(["engine", "dtype"]):
            colour, marker = style.engine_style(engine, dtype)
            style.series(top, lines, "step_gb", "decode_tok_per_s", colour=colour, marker=marker)
            style.series(bottom, lines, "step_gb", "bandwidth_utilisation", colour=colour, marker=marker)
        bottom.plot(crosses.step_gb, crosses.bandwidth_utilisation, **style.PUBLISHED, zorder=4)
        top.set(xscale="log", yscale="log", title=name, xlim=(across[0], across[-1]))
        bottom.set_xlabel("bytes read a step (GB)")
        _decades(bottom.xaxis)
        _name_models(top, part, above=name != "pocket models")
    axes[0, 0].set_ylabel("decode (tokens/s)")
    axes[1, 0].set_ylabel("share of the ceiling")
    intervals.by_marks(axes[0, 0], [*plotted.decode_tok_per_s, *plotted.ceiling_tok_per_s],
                       [*plotted.decode_tok_per_s_low, *plotted.decode_tok_per_s_high])
    intervals.by_marks(axes[1, 0], [1, *plotted.bandwidth_utilisation, *printed.bandwidth_utilisation],
                       [*plotted.bandwidth_utilisation_low, *plotted.bandwidth_utilisation_high], least=0)
    for ax, (_, part) in zip(axes[1], groups, strict=True):
        claim.accepted(ax, "S3.9", "bandwidth_utilisation", told=claim.IN_LEGEND, models=part.model)
    # The names need room under the marks of pocket models and over those of the others.
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(low / (8 if pocket.any() else 1), high * (1 if pocket.any() else 8))
    _decades(axes[0, 0].yaxis)
    for ax in axes.ravel():
        intervals.mark_clipped(ax)
    rates = " and ".join(f"{rate / 1e9:.3g}" for rate in sorted(set(plotted.bandwidth_byte_per_s)))
    fig.legend(handles=[*style.key(plotted, lines=False),
                        Line2D([], [], color="0.25", label=f"ceiling: {rates} GB/s, measured, 95 % band"),
                        Line2D([], [], **style.PUBLISHED, label="EdgeReasoning (published)"),
                        claim.key("S3.9", "bandwidth_utilisation")], loc="outside upper center", ncols=2)
    columns = ["label", "source", "step_bytes", "step_gb", "bandwidth_utilisation"]
    return fig, pd.concat([plotted, printed[columns].rename(columns={"label": "model"})], ignore_index=True)


@style.styled
def baseline_7b(speed: pd.DataFrame, boards: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Decode speed of 16-bit transformers: ours against size (left), the boards' printed values and ceilings (right).

    `speed` is `speed_table`, drawn at its longest output; `boards` has platform (or id) and
    memory_bandwidth_byte_per_s; `published` has decode_tok_per_s with low and high (the stated range) or value
    and platform. A board's ceiling is modelled: its published bandwidth over two bytes a weight.
    """
    ours = speed[(speed.engine == "transformers") & speed["dtype"].isin(["float16", "bfloat16"]) & (speed.batch == 1)
                 & (speed.model.map(kind) != "pocket")].dropna(subset=["tpot_s"])
    measured = _longest(ours).sort_values("parameters", kind="stable")[
        [*roofline.CONDITION, "parameters", *(f"decode_tok_per_s{end}" for end in ENDS), "n"]]
    published = published[published.quantity == "decode_tok_per_s"]
    stated = published.dropna(subset=["low", "high"])
    boards = boards.rename(columns={"id": "platform"})[["platform", "memory_bandwidth_byte_per_s"]]
    printed = published.dropna(subset=["platform"]).merge(boards, on="platform", how="left", validate="one_to_one")
    ceilings = printed.assign(source="modelled", value=roofline.decode_ceiling_tok_per_s(
        printed.memory_bandwidth_byte_per_s, roofline.step_bytes(2 * printed.parameters, 0, 0)))
    fig = Figure(figsize=(style.WIDTH, 3.4))
    left, right = fig.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [1.25, 1]})
    _ours_by_size(left, measured, stated)
    _boards(right, printed, ceilings)
    rates = [*measured.decode_tok_per_s, *stated.low, *stated.high, *printed.value, *ceilings.value]
    intervals.by_marks(left, rates, [*measured.decode_tok_per_s_low, *measured.decode_tok_per_s_high], beyond=0.3)
    left.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=12))
    left.yaxis.set_major_formatter(style.PLAIN)
    left.yaxis.set_minor_formatter(NullFormatter())
    for ax in (left, right):
        claim.accepted(ax, "S1.3", "decode_tok_per_s", told=claim.IN_LEGEND)
        intervals.mark_clipped(ax)
    colour, marker = style.engine_style("transformers", "bfloat16")
    fig.legend(handles=[Line2D([], [], color=colour, marker=marker, linestyle="none", label="measured here"),
                        Line2D([], [], **style.PUBLISHED, label="published"),
                        Line2D([], [], **style.PUBLISHED | style.ABOVE, label="published, above its ceiling"),
                        Line2D([], [], **MODELLED, label="ceiling: bandwidth / (2 bytes a weight), modelled"),
                        claim.key("S1.3", "decode_tok_per_s")], loc="outside upper center", ncols=2)
    marks = pd.concat([stated, printed, ceilings]).rename(columns={
        "value": "decode_tok_per_s", "low": "decode_tok_per_s_low", "high": "decode_tok_per_s_high"})
    columns = ["label", "platform", "source", "parameters", *(f"decode_tok_per_s{end}" for end in ENDS),
               "memory_bandwidth_byte_per_s"]
    return fig, pd.concat([measured, marks.reindex(columns=columns)], ignore_index=True)


def _longest(table: pd.DataFrame) -> pd.DataFrame:
    """Each unit at its longest output, and of those at its longest prompt."""
    return table.sort_values(["output_tokens", "prompt_tokens"], kind="stable").groupby(roofline.UNIT).tail(1)


def _ceilings(top: Axes, bottom: Axes, part: pd.DataFrame, across: np.ndarray) -> None:
    """The line bandwidth / bytes with its band, for each bandwidth in the table."""
    for _, line in part.drop_duplicates("bandwidth_byte_per_s").iterrows():
        rate, low, high = (line[f"bandwidth_byte_per_s{end}"] / 1e9 for end in ENDS)
        top.plot(across, rate / across, color="0.25", linewidth=1, gid="ceiling")
        top.fill_between(across, low / across, high / across, color="0.75", linewidth=0)
        bottom.axhspan(low / rate, high / rate, color="0.8", linewidth=0)
    bottom.axhline(1, color="0.25", linewidth=1)


def _decades(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(10, numticks=8))
    axis.set_major_formatter(style.PLAIN)
    axis.set_minor_formatter(NullFormatter())


def _name_models(ax: Axes, part: pd.DataFrame, above: bool) -> None:
    """Names of the models at their sizes, moved apart where sizes are close: in lines above, or upright below."""
    sizes = part.groupby("model", sort=False).step_gb.min()
    low, high = np.log10(ax.get_xlim())
    places = np.array(style.apart(np.log10(sizes), (0.22 if above else 0.07) * (high - low)))
    if above:  # a name is centred on its place, and none goes over the panel's edge
        places += max(0.0, low + 0.11 * (high - low) - places[0])
    for place, model in zip(places, sizes.index, strict=True):
        label = style.model_label(model)
        ax.annotate("\n".join(textwrap.wrap(label, 14)) if above else label, (10**place, 0.98 if above else 0.03),
                    xycoords=("data", "axes fraction"), rotation=0 if above else 90, ha="center",
                    va="top" if above else "bottom", fontsize=7, color="0.3")
        if above:  # from the name to the model's fastest mark, and on to its others
            points = part[part.model == model].sort_values("step_gb")
            ax.plot(points.step_gb, points.decode_tok_per_s, color="0.6", linewidth=0.6, zorder=1, gid="of one model")


def _ours_by_size(ax: Axes, measured: pd.DataFrame, stated: pd.DataFrame) -> None:
    colour, marker = style.engine_style("transformers", "bfloat16")
    points = measured.assign(billions=measured.parameters / 1e9)
    style.series(ax, points, "billions", "decode_tok_per_s", colour=colour, marker=marker)
    ax.set(xscale="log", yscale="log", xlabel="parameters (billions)", ylabel="decode (tokens/s)",
           title="16-bit transformers on this machine")
    heights = 10 ** np.array(style.apart(np.log10(points.decode_tok_per_s), 0.11))
    for line, height in zip(points.itertuples(), heights, strict=True):
        ax.annotate(style.model_label(line.model), (line.billions, height), (6, 0), textcoords="offset points",
                    va="center", fontsize=7, color="0.3")
    if points.empty:
        ax.text(0.5, 0.05, "no model of real size was measured", transform=ax.transAxes, ha="center", color="0.3",
                bbox=claim.TOLD["bbox"])
    for line in stated.itertuples():
        size = line.parameters / 1e9
        ax.plot([size, size], [line.low, line.high], color="black", linewidth=1)
        ax.plot([size, size], [line.low, line.high], **style.PUBLISHED, zorder=4)
        ax.annotate(f"{line.label}:\n{line.low:g} to {line.high:g}", (size, (line.low * line.high) ** 0.5), (7, 0),
                    textcoords="offset points", va="center", fontsize=7.5)
    sizes = [*points.billions, *stated.parameters / 1e9]
    ax.set_xlim(min(sizes) / 1.6, max(sizes) * 5)
    _decades(ax.xaxis)


def _boards(ax: Axes, printed: pd.DataFrame, ceilings: pd.DataFrame) -> None:
    places = np.arange(len(printed))
    above = printed.value.to_numpy() > ceilings.value.to_numpy()
    for which, look in ((~above, {}), (above, style.ABOVE)):
        ax.plot(places[which] - 0.12, printed.value[which], **style.PUBLISHED | look)
    ax.plot(places + 0.12, ceilings.value, **MODELLED)
    for place, value, ceiling in zip(places, printed.value, ceilings.value, strict=True):
        # The upper of the two is labelled above and the lower one below, so that they never meet.
        for x, y, text, upper in ((place - 0.12, value, f"{value:g}", not value < ceiling),
                                  (place + 0.12, ceiling, f"{ceiling:.1f}", value < ceiling)):
            ax.annotate(text, (x, y), (0, 6 if upper else -6), textcoords="offset points", ha="center",
                        va="bottom" if upper else "top", fontsize=7.5)
    ax.set_xticks(places, [name.replace(" ", "\n", 1) for name in printed.label])
    ax.set(xlim=(-0.5, len(printed) - 0.5), title="a 7B model on four boards")
    ax.grid(axis="x", visible=False)
