"""Figures of the stages: their speed beside what was published, speed against loss, and what a request costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from edgekit.plots import claim, intervals, style
from edgekit.studies.pipeline import tables

# Stage -> the technique whose look it has: the one that it adds
ADDS = {tables.STATED: "none", tables.FASTEST: "none", "fast runtime": "runtime", "+ quantization": "bits",
        "+ pruning": "pruning", "+ drafting": "draft"}
LAST = "+ drafting"
BAR = 0.8  # of the room that a group of bars has


def bar_look(stage: str) -> dict:
    """Fill and hatch of a stage's bar; the baseline as stated is open."""
    colour, hatch, _ = style.TECHNIQUES[ADDS[stage]]
    return dict(facecolor="white" if stage == tables.STATED else colour, edgecolor="0.25" if stage != tables.STATED else colour,
                hatch=hatch, linewidth=0.6)


def key(stages) -> list[Patch]:
    return [Patch(**bar_look(stage), label=stage) for stage in ADDS if stage in set(stages)]


def label(line) -> str:
    """A stage with what ran, in two lines."""
    drafted = f", {style.model_label(line.draft)} × {int(line.length)}" if line.draft != tables.NONE else ""
    return f"{line.stage}\n{line.engine} {line.weights}{drafted}"


def ended(ax: Axes, line, column: str, place: float, factor: float = 1.0) -> None:
    """The interval of a bar that stands upright."""
    value, low, high = (factor * getattr(line, name) for name in (column, f"{column}_low", f"{column}_high"))
    if not pd.isna(low):
        style.clip_ends(ax.errorbar([place], [value], [[value - low], [high - value]], color="black", elinewidth=0.9, capsize=2,
                                    linestyle="none", zorder=4))


def in_times(ax: Axes) -> None:
    """A horizontal log axis of factors, in plain numbers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(style.PLAIN)
    ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.xaxis.set_minor_formatter(style.PLAIN)


@style.styled
def pipeline_stages(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Tokens/s of whole requests by stage, a group of bars a measured model (from `stage_table`), beside the `published` ones
    of four platforms before and after all stages, each a group of its own."""
    table = style.require(table, "pipeline_stages")
    groups = list(dict.fromkeys(table.model))
    boards = list(dict.fromkeys(published.label))
    fig = Figure(figsize=(style.WIDTH, 3.6))
    ax = fig.subplots()
    for place, model in enumerate(groups):
        lines = list(table[table.model == model].itertuples())
        for line, at in zip(lines, _places(place, len(lines)), strict=True):
            ax.bar(at, line.tok_per_s, BAR / len(lines), gid=line.stage, **bar_look(line.stage))
            ended(ax, line, "tok_per_s", at)
    for place, board in enumerate(boards, len(groups)):
        here = published[published.label == board].set_index("quantity").value
        ends = _places(place, len(ADDS))[[0, -1]]
        speeds = here[["baseline_tok_per_s", "optimized_tok_per_s"]]
        ax.plot(ends, speeds, color="0.6", linewidth=0.8, zorder=1)
        ax.plot(ends, speeds, gid="published", zorder=3, **style.PUBLISHED)
        ax.annotate(f"{speeds.iloc[1] / speeds.iloc[0]:.1f} times", (ends.mean(), speeds.prod() ** 0.5), ha="center",
                    va="center", fontsize=7, bbox=claim.TOLD["bbox"])
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(style.PLAIN)
    intervals.by_marks(ax, [*table.tok_per_s, *published.value], [*table.tok_per_s_low, *table.tok_per_s_high])
    ax.set(ylabel="tokens/s from end to end", xlim=(-0.6, len(groups) + len(boards) - 0.4))
    ax.set_xticks(range(len(groups) + len(boards)), [*(f"{style.model_label(name)},\nmeasured" for name in groups),
                                                     *(f"{board},\na 7B, published" for board in boards)], fontsize=7)
    ax.grid(False, axis="x")
    intervals.mark_clipped(ax)
    fig.legend(handles=[*key(table.stage), Line2D([], [], label="published, before and after", **style.PUBLISHED)],
               loc="outside upper center", ncols=4)
    return fig, table


def _places(group: float, count: int) -> np.ndarray:
    """Middles of the bars of a group."""
    return group + BAR * ((np.arange(count) + 0.5) / count - 0.5)


@style.styled
def pipeline_tradeoff(table: pd.DataFrame) -> style.Drawn:
    """Right answers lost (%) against speed over the fastest baseline, stage after stage, a panel a model (from `stage_table`),
    with what S1.1 and S1.2 accept."""
    table = style.require(style.require(table, "pipeline_tradeoff").dropna(subset=["loss", "speed_up"]), "pipeline_tradeoff")
    groups = list(table.groupby("model", sort=False))
    fig, axes = style.panels(len(groups), 2, 3.5)
    for ax, (model, here) in zip(axes, groups, strict=True):
        ax.plot(here.speed_up, here.loss, color="0.6", linewidth=0.8, zorder=1, gid="path")
        for line in here.itertuples():
            colour, _, marker = style.TECHNIQUES[ADDS[line.stage]]
            ends = {name: None if pd.isna(low) else [[max(value - low, 0)], [max(high - value, 0)]]
                    for name, value, low, high in (("xerr", line.speed_up, line.speed_up_low, line.speed_up_high),
                                                   ("yerr", line.loss, line.loss_low, line.loss_high))}
            style.clip_ends(ax.errorbar([line.speed_up], [line.loss], **ends, color=colour, marker=marker, elinewidth=0.8,
                                        capsize=2, linestyle="none", zorder=3, gid=line.stage))
        in_times(ax)
        intervals.by_marks(ax, here.speed_up, [*here.speed_up_low, *here.speed_up_high], along="x")
        intervals.by_marks(ax, here.loss, [*here.loss_low, *here.loss_high], beyond=1.0)
        claim.accepted(ax, "S1.1", "pipeline_gain", along="x", told=claim.IN_LEGEND)
        claim.accepted(ax, "S1.2", "pipeline_loss")
        ax.set(xlabel="speed over the fastest baseline (times)", ylabel="right answers lost (%)",
               title=f"{style.model_label(model)}, {int(here['items'].iloc[0]):,} problems")
        intervals.mark_clipped(ax)
    fig.legend(handles=[Line2D([], [], color=style.TECHNIQUES[ADDS[stage]][0], marker=style.TECHNIQUES[ADDS[stage]][2],
                               linestyle="none", label=stage) for stage in ADDS if stage in set(table.stage)]
               + [claim.key("S1.1", "pipeline_gain")], loc="outside upper center", ncols=3)
    return fig, table


COSTS = (("ttft_s", 1e3, "first token (ms)"), ("tpot_s", 1e3, "each later token (ms)"),
         ("peak_memory_bytes", 1e-9, "peak memory (GB)"), ("joule_per_token", 1.0, "energy (J a token)"))


@style.styled
def pipeline_costs(table: pd.DataFrame) -> style.Drawn:
    """What a request takes by stage, of the largest measured model (from `stage_table`): times, memory of the process, and
    energy where there was a sensor, a panel each with bars."""
    table = style.require(table, "pipeline_costs")
    table = table[table.model == table.loc[table.parameters.idxmax(), "model"]].reset_index(drop=True)
    shown = [cost for cost in COSTS if table[cost[0]].notna().any()]
    fig = Figure(figsize=(style.WIDTH, 1.0 + 0.4 * len(table)))
    axes = fig.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, (column, factor, words) in zip(axes, shown, strict=True):
        for line in table.itertuples():
            value = factor * getattr(line, column)
            if pd.isna(value):
                continue
            ax.barh(line.Index, value, 0.7, gid=line.stage, **bar_look(line.stage))
            low, high = (factor * getattr(line, f"{column}_{end}", np.nan) for end in ("low", "high"))
            if not pd.isna(low):
                style.clip_ends(ax.errorbar([value], [line.Index], xerr=[[value - low], [high - value]], color="black",
                                            elinewidth=0.9, capsize=2, linestyle="none", zorder=4))
        ends = [end for name in ("low", "high") if f"{column}_{name}" in table for end in factor * table[f"{column}_{name}"]]
        intervals.by_marks(ax, factor * table[column], ends, along="x", least=0)
        ax.set_xlabel(words)
        ax.grid(False, axis="y")
        intervals.mark_clipped(ax)
    axes[0].set_yticks(range(len(table)), [label(line) for line in table.itertuples()], fontsize=7)
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    fig.suptitle(style.model_label(table.model.iloc[0]), fontsize=8.5)
    return fig, table


@style.styled
def pipeline_first_token(table: pd.DataFrame) -> style.Drawn:
    """Time to the first token behind the stated prompt (ms), a line a model and stage (from `first_token_table`), with what
    S1.16 accepts."""
    table = style.require(table, "pipeline_first_token")
    fig = Figure(figsize=(style.WIDTH * 0.85, 1.1 + 0.3 * len(table)))
    ax = fig.subplots()
    shown = table.assign(**{f"ms{end}": 1e3 * table[f"ttft_s{end}"] for end in ("", "_low", "_high")})
    for place, line in enumerate(shown.itertuples()):
        colour, _, marker = style.TECHNIQUES["draft" if line.stage == LAST else "bits"]
        style.level(ax, line, "ms", place, color=colour, marker=marker)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(style.PLAIN)
    intervals.by_marks(ax, shown.ms, [*shown.ms_low, *shown.ms_high], along="x")
    claim.accepted(ax, "S1.16", "pipeline_first_token_s", along="x", factor=1e3)
    ax.set(ylim=(len(table) - 0.5, -0.8), xlabel="time to first token (ms)")
    ax.set_yticks(range(len(table)), [f"{style.model_label(line.model)}, {line.stage}, {line.prompt_tokens} tokens in"
                                      for line in table.itertuples()])
    ax.grid(False, axis="y")
    intervals.mark_clipped(ax)
    return fig, table
