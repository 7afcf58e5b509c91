"""Figures of what others released and published: laws on the traces that they are about, powers, parallel samples, speeds,
energy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from edgekit.analyze import trace_audit
from edgekit.catalog import published
from edgekit.plots import claim, style

MODELS = {"1.5B": ("#0072B2", "o"), "8B": ("#E69F00", "s"), "14B": ("#009E73", "^")}
DECODE_LAWS = {"published, O steps": ("black", "o"), "published, O − 1 steps": ("#56B4E9", "D"),
               "refitted, O − 1 steps": ("#009E73", "^")}
PUBLISHED_LAW = {"color": "black", "linewidth": 1.2}
REFITTED = {"color": "#009E73", "linewidth": 1.2, "linestyle": "--"}
MARK = {"color": "#D55E00", "marker": "o", "fillstyle": "none", "linestyle": "none", "markersize": 10, "markeredgewidth": 1.1}
RAMP_UNTIL = 64  # tokens: up to which the repository uses its logarithm of decode power
FLAG = "#D55E00"


def _plain(ax: Axes, along: str = "both") -> None:
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        if along in (name, "both"):
            axis.set_major_formatter(style.PLAIN)
            axis.set_minor_formatter(NullFormatter())


@style.styled
def prefill(table: pd.DataFrame) -> style.Drawn:
    """Released times to first token with the published law, inside and outside of what it was fitted to, and the same law
    fitted to all of them; a panel a model (from `trace_audit.prefill_curve_table`)."""
    fig, axes = style.panels(len(MODELS), 3, 2.6)
    for ax, (model, part) in zip(axes, table.groupby("model", sort=False), strict=True):
        part = part.sort_values("prompt_tokens")
        ax.plot(part.prompt_tokens, part.seconds, **style.PUBLISHED)
        ax.plot(part.prompt_tokens, part.published_s, linestyle=":", **PUBLISHED_LAW)
        inside = part[part.fitted]
        ax.plot(inside.prompt_tokens, inside.published_s, gid="inside", linestyle="-", **PUBLISHED_LAW)
        ax.plot(part.prompt_tokens, part.refitted_s, **REFITTED)
        wild = part[part.outlier]
        ax.plot(wild.prompt_tokens, wild.seconds, gid="outlier", **MARK)
        last = part.iloc[-1]
        ax.annotate(f"{last.published_s / last.seconds:.1f} times", (last.prompt_tokens, last.published_s), (-3, 3),
                    textcoords="offset points", ha="right", va="bottom", fontsize=7.5)
        ax.set(xscale="log", yscale="log", title=model, xlabel="prompt (tokens)", xlim=(100, 6000),
               ylim=(0.7 * part.seconds[part.prompt_tokens > 100].min(), 1.8 * part[["published_s", "seconds"]].max().max()))
        ax.xaxis.set_major_locator(FixedLocator([128, 512, 2048]))
        ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 3), numticks=12))
        _plain(ax)
    axes[0].set_ylabel("time to first token (s)")
    fig.legend(handles=[Line2D([], [], label="released", **style.PUBLISHED),
                        Line2D([], [], label="published, where fitted", **PUBLISHED_LAW),
                        Line2D([], [], label="and beyond", linestyle=":", **PUBLISHED_LAW),
                        Line2D([], [], label="the same law, fitted to all", **REFITTED),
                        Line2D([], [], label="outlier", **MARK)], loc="outside upper center", ncols=5, columnspacing=1)
    return fig, table


@style.styled
def decode(table: pd.DataFrame) -> style.Drawn:
    """Error of the decode law on the released times against the output length, by how steps are counted, a panel a model (from
    `trace_audit.decode_error_table`)."""
    fig, axes = style.panels(len(MODELS), 3, 2.3, sharey=True)
    for ax, (model, part) in zip(axes, table.groupby("model", sort=False), strict=True):
        ax.axhline(0, color="0.3", linewidth=0.8)
        for law, (colour, marker) in DECODE_LAWS.items():
            here = part[part.law == law]
            ax.plot(here.output_tokens, here.error, color=colour, marker=marker, markersize=3.5, linewidth=0.9)
        ax.set(xscale="log", title=model, xlabel="output (tokens)")
        ax.xaxis.set_major_locator(FixedLocator([16, 64, 256, 1024]))
        _plain(ax, "x")
        for edge in (-1, 1):
            ax.axhline(edge, color=claim.EDGE["color"], linewidth=0.7, linestyle=(0, (5, 2)))
    axes[0].set_ylabel("law above what was seen (%)")
    fig.legend(handles=[*(Line2D([], [], color=colour, marker=marker, markersize=3.5, label=law)
                          for law, (colour, marker) in DECODE_LAWS.items()),
                        Line2D([], [], color=claim.EDGE["color"], linewidth=0.7, linestyle=(0, (5, 2)), label="1 %")],
               loc="outside upper center", ncols=4, columnspacing=1)
    return fig, table


@style.styled
def power(prefill_powers: pd.DataFrame, decode_powers: pd.DataFrame) -> style.Drawn:
    """Left: mean power of prefill against the time that the run took, with what averaging two idle samples with a run of one
    power gives. Right: mean power of decoding against tokens, with the published logarithm and a power that is reached (from
    `trace_audit.power_table` and `decode_power_table`)."""
    fig = Figure(figsize=(style.WIDTH, 3.3))
    left, right = fig.subplots(1, 2)
    for model, (colour, marker) in MODELS.items():
        part = prefill_powers[prefill_powers.model == model].sort_values("seconds")
        left.plot(part.seconds, part.power_w, color=colour, marker=marker, linestyle="none", markersize=4)
        left.plot(part.seconds[part.outlier], part.power_w[part.outlier], gid="outlier", **MARK)
        if part.active_w.notna().all():
            across = np.geomspace(part.seconds.min(), part.seconds[~part.outlier].max(), 400)
            left.plot(across, trace_audit.averaged_power(across, part.idle_w.iloc[0], part.active_w.iloc[0]), color=colour,
                      linewidth=1)
        here = decode_powers[decode_powers.model == model].sort_values("output_tokens")
        right.plot(here.output_tokens, here.power_w, color=colour, marker=marker, linestyle="none", markersize=4)
        right.plot(here.output_tokens, here.published_w, color=colour, linewidth=1, linestyle=":")
        right.plot(here.output_tokens, here.fitted_w, color=colour, linewidth=1)
    left.set(xscale="log", xlabel="time of the run (s)", ylabel="mean power (W)", title="prefill", ylim=(0, None))
    left.xaxis.set_major_locator(LogLocator(10, subs=(1, 3), numticks=12))
    right.set(xscale="log", xlabel="output (tokens)", title="decode", ylim=(0, None))
    right.axvspan(right.get_xlim()[0], RAMP_UNTIL, color="0.93", zorder=0)
    right.xaxis.set_major_locator(FixedLocator([16, 64, 256, 1024]))
    for ax in (left, right):
        _plain(ax, "x")
    fig.legend(handles=[*(Line2D([], [], color=colour, marker=marker, linestyle="none", label=model)
                          for model, (colour, marker) in MODELS.items()),
                        Line2D([], [], color="0.3", linewidth=1, label="idle samples averaged with one power (left)"),
                        Line2D([], [], color="0.3", linewidth=1, label="a power that is reached (right)"),
                        Line2D([], [], color="0.3", linewidth=1, linestyle=":", label="published logarithm (right)"),
                        Line2D([], [], label="outlier", **MARK)], loc="outside upper center", ncols=4, columnspacing=1)
    columns = ["phase", "model", "tokens", "seconds", "power_w", "published_w", "modelled_w", "outlier", "source"]
    shown = pd.concat([
        prefill_powers.assign(phase="prefill", tokens=prefill_powers.prompt_tokens, modelled_w=prefill_powers.averaged_w),
        decode_powers.assign(phase="decode", tokens=decode_powers.output_tokens, modelled_w=decode_powers.fitted_w)])
    return fig, shown.reindex(columns=columns).reset_index(drop=True)


@style.styled
def scaling(table: pd.DataFrame) -> style.Drawn:
    """Time of several samples at once over that of one, and energy of a sample over that of one alone (from
    `trace_audit.scaling_table`)."""
    fig = Figure(figsize=(style.WIDTH, 2.9))
    left, right = fig.subplots(1, 2)
    for model, (colour, marker) in MODELS.items():
        part = table[table.model == model]
        left.plot(part.samples, part.time_ratio, color=colour, marker=marker)
        left.plot(part.samples, part.bytes_ratio, color=colour, linestyle=":")
        right.plot(part.samples, part.sample_ratio, color=colour, marker=marker)
    samples = sorted(set(table.samples))
    right.plot(samples, [1 / one for one in samples], color="0.5", linestyle="--", linewidth=0.9)
    left.set(xscale="log", xlabel="samples at once", ylabel="time over that of one (times)", ylim=(0.9, 2.6))
    right.set(xscale="log", yscale="log", xlabel="samples at once", ylabel="energy of a sample over one's (times)")
    least, most = published.accepted("ER.4", "scaling_time_ratio")  # of 32 alone
    left.fill_between([samples[-1] / 1.2, samples[-1] * 1.2], least, most, **claim.BAND)
    right.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=12))
    for ax in (left, right):
        ax.xaxis.set_major_locator(FixedLocator(samples))
        ax.xaxis.set_minor_locator(FixedLocator([]))
        _plain(ax)
    fig.legend(handles=[*(Line2D([], [], color=colour, marker=marker, label=model)
                          for model, (colour, marker) in MODELS.items()),
                        Line2D([], [], color="0.3", linestyle=":", label="bytes that a step reads"),
                        Line2D([], [], color="0.5", linestyle="--", label="shared by all samples"),
                        claim.key("ER.4", "scaling_time_ratio", "ER.4 accepts 2 to 2.5 at 32")],
               loc="outside upper center", ncols=3, columnspacing=1)
    return fig, table


@style.styled
def speeds(table: pd.DataFrame) -> style.Drawn:
    """Share of the bandwidth that published decode speeds need, and ours beside them (from `tables_published.speeds_table`)."""
    table = table.sort_values(["source", "label", "share"], ascending=[False, True, True], kind="stable")
    fig = Figure(figsize=(style.WIDTH * 0.95, 0.7 + 0.185 * len(table)))
    ax = fig.subplots()
    for place, line in enumerate(table.itertuples()):
        look = dict(color=FLAG if line.flagged else "black", marker="X" if line.source == "published" else "o")
        if line.source == "published" and line.kind == "stated":
            look |= {"fillstyle": "none"}
        style.level(ax, line, "share", place, markersize=5, **look)
        if line.flagged:
            far = line.share > 6
            ax.annotate("no program can", (line.share, place), (-12 if far else 9, 0), textcoords="offset points", va="center",
                        ha="right" if far else "left", fontsize=7, color=FLAG)
    ax.axvline(1, color="0.25", linewidth=1)  # all of it
    ax.set(xscale="log", xlabel="share of the bandwidth that decoding needs", ylim=(len(table) - 0.5, -0.5),
           xlim=(0.7 * table.share.min(), 1.6 * table.share.max()))
    names = [f"{line.label}: {style.model_label(line.model)} {line.format}, {line.tok_per_s:.3g} tokens/s"
             for line in table.itertuples()]
    ax.set_yticks(range(len(table)), names, fontsize=7)
    ax.grid(axis="y", visible=False)
    _plain(ax, "x")
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=12))
    fig.legend(handles=[Line2D([], [], color="black", marker="X", linestyle="none", label="published, measured"),
                        Line2D([], [], color="black", marker="X", fillstyle="none", linestyle="none", label="stated in a text"),
                        Line2D([], [], color="black", marker="o", linestyle="none", label="measured here"),
                        Line2D([], [], color=FLAG, marker="X", linestyle="none", label="above the bandwidth")],
               loc="outside upper center", ncols=4, columnspacing=1, handletextpad=0.3)
    return fig, table


@style.styled
def energy(table: pd.DataFrame) -> style.Drawn:
    """Energy a token (above) and mean power (below) against the tokens of prefill and decode: ours in colour where a sensor was
    read, the released ones in grey (from `tables_published.energy_lengths_table`)."""
    fig = Figure(figsize=(style.WIDTH, 4.4))
    axes = fig.subplots(2, 2, sharex="col", sharey="row")
    ours = table[table.source != "published"]
    for column, phase in zip(axes.T, ("prefill", "decode"), strict=True):
        here = table[table.phase == phase]
        for model, part in here[here.source == "published"].groupby("model", sort=False):
            _, marker = MODELS[model]
            part = part.sort_values("tokens")
            column[0].plot(part.tokens, part.joule_per_token, color="0.55", marker=marker, markersize=3, linewidth=0.7)
            column[1].plot(part.tokens, part.power_w, color="0.55", marker=marker, markersize=3, linewidth=0.7)
        for (_, engine, dtype, _), part in here[here.source != "published"].groupby(["model", "engine", "dtype", "scope"]):
            colour, marker = style.engine_style(engine, dtype)
            part = part.sort_values("tokens")
            style.series(column[0], part, "tokens", "joule_per_token", colour=colour, marker=marker,
                         linestyle=style.DTYPES.get(dtype, "-"))
            column[1].plot(part.tokens, part.power_w, color=colour, marker=marker, linestyle=style.DTYPES.get(dtype, "-"))
        column[0].set(title=phase, xscale="log", yscale="log")
        column[1].set_xlabel("tokens")
        _plain(column[1], "x")
    last = ours[ours.phase == "decode"].sort_values("tokens").groupby(["model", "dtype"]).tail(1)
    heights = 10.0 ** np.array(style.apart(np.log10(last.joule_per_token), 0.3)) if len(last) else []
    for line, height in zip(last.itertuples(), heights, strict=True):
        axes[0, 1].annotate(f"{style.model_label(line.model)} {line.dtype}", (line.tokens, height), (7, 0), va="center",
                            textcoords="offset points", fontsize=6.5, color=style.engine_style(line.engine, line.dtype)[0])
    axes[0, 0].set_ylabel("energy a token (J)")
    axes[1, 0].set_ylabel("mean power (W)")
    axes[1, 0].set_ylim(0, None)
    axes[0, 0].yaxis.set_major_formatter(style.PLAIN)
    handles = [Line2D([], [], color="0.55", marker=marker, markersize=3, label=f"published, {model}")
               for model, (_, marker) in MODELS.items()]
    absent = [Line2D([], [], linestyle="none", label="here: no sensor was read")]
    fig.legend(handles=[*handles, *(style.key(ours, lines=False) if len(ours) else absent)], loc="outside upper center",
               ncols=4, columnspacing=1)
    return fig, table


