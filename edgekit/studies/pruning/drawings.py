"""Figures of the pruning study: what each score loses, what heads and neurons cost, what arithmetic and the clock save."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from edgekit.plots import claim, intervals, style
from edgekit.studies.pruning import tables

LAYER_SCORES = {"influence": ("#56B4E9", "P"), "last": ("#8C510A", "v"), "random": ("0.45", "+")}  # of whole layers
UNIT_LINES = {"layers": "-", "widths": "none"}
LABELS = {"taylor": "Taylor", "gate": "gate", "activation": "activation", "magnitude": "magnitude", "random": "random"}
ARITHMETIC = {"color": "black", "linewidth": 1.6}
UNIFORM = {"color": "0.4", "linewidth": 0.9, "linestyle": "--"}
PHASES = {"prefill": "#4C9CCB", "decode": "#F2CC7A"}  # light and lighter, so that lines over them are seen in grey too
PERCENT = PercentFormatter(1, decimals=0, symbol=None)


def _look(scores) -> dict[str, tuple[str, str]]:
    return {score: style.SCORES[score] for score in LABELS if score in set(scores)}


def _key(fig: Figure, scores, *more: Line2D) -> None:
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="none", label=LABELS[score])
               for score, (colour, marker) in _look(scores).items()]
    fig.legend(handles=[*handles, *more], loc="outside upper center", ncols=min(6, len(handles) + len(more)))


@style.styled
def pruning_methods(table: pd.DataFrame) -> style.Drawn:
    """Accuracy lost (left, % points) and nats a token added (right) by every way at the point, a row a model (from
    `tables.method_table`).

    The dotted line continues Taylor importance, the published choice.
    """
    style.require(table, "pruning_methods")
    # A loss is the negative of a change, so the ends change places.
    shown = table.assign(lost=-100 * table.change, lost_low=-100 * table.change_high, lost_high=-100 * table.change_low)
    parts = dict(list(shown.groupby("model", sort=False)))
    fig = Figure(figsize=(style.WIDTH, 0.8 + sum(0.45 + 0.19 * len(part) for part in parts.values())))
    axes = fig.subplots(len(parts), 2, squeeze=False, sharex="col", sharey="row", width_ratios=[3, 2],
                        height_ratios=[1 + len(part) for part in parts.values()])
    for row, (model, part) in zip(axes, parts.items(), strict=True):
        for ax, column in zip(row, ("lost", "added"), strict=True):
            for place, line in enumerate(part.itertuples()):
                colour, marker = style.SCORES[line.score]
                if not pd.isna(getattr(line, column)):
                    style.level(ax, line, column, place, color=colour, marker=marker)
                if line.what == "taylor":
                    ax.axvline(getattr(line, column), color=colour, linewidth=0.8, linestyle=":", zorder=1)
            ax.axvline(0, color="0.4", linewidth=0.7, zorder=0)
            ax.xaxis.set_major_locator(MaxNLocator(6))
        row[0].set_title(style.model_label(model))
        row[0].set_yticks(range(len(part)), [_named(line) for line in part.itertuples()])
        row[0].set_ylim(len(part) - 0.5, -0.5)
    names = {"lost": "accuracy lost (% points)", "added": "added loss (nats a token)"}
    for ax, (column, name) in zip(axes[-1], names.items(), strict=True):
        ax.set_xlabel(name)
        intervals.by_marks(ax, [0, *shown[column]], [*shown[f"{column}_low"], *shown[f"{column}_high"]], along="x", beyond=0.15)
    for ax, model in zip(axes[:, 0], parts, strict=True):
        claim.accepted(ax, "S1.7", "pruned_accuracy_lost", along="x", told=claim.IN_LEGEND, models=[model])
    for ax in axes.ravel():
        intervals.mark_clipped(ax)
    _key(fig, table.score, claim.key("S1.7", "pruned_accuracy_lost"))
    return fig, shown


def _named(line) -> str:
    return line.what.replace(line.score, LABELS[line.score], 1)


NOT_MEASURED = {"facecolor": "white", "edgecolor": "0.8", "hatch": "///", "linewidth": 0}


@style.styled
def pruning_sweep(table: pd.DataFrame, point: tuple[float, float]) -> style.Drawn:
    """Nats a token added by shares of heads and of neurons, a panel a model (from `tables.sweep_table`); black frame: `point`,
    (heads, mlp), where the scores are compared."""
    style.require(table, "pruning_sweep")
    models = list(dict.fromkeys(table.model))
    rows, columns = sorted(set(table.heads)), sorted(set(table.mlp))
    most = table.added.max()
    norm = LogNorm(max(most / 300, 1e-6), most) if most > 0 else None
    fig, axes = style.panels(len(models), 2, 0.7 + 0.33 * len(rows), sharex=True, sharey=True)
    for position, (ax, model) in enumerate(zip(axes, models, strict=True)):
        here = table[table.model == model]
        grid = here.pivot_table(index="heads", columns="mlp", values="added").reindex(index=rows, columns=columns).to_numpy()
        ax.pcolormesh(np.where(grid > 0, np.maximum(grid, norm.vmin if norm else 0), np.nan), norm=norm, cmap="YlOrBr",
                      edgecolors="white", linewidth=0.8)
        for y, x in zip(*np.nonzero(np.isnan(grid)), strict=True):
            ax.add_patch(Rectangle((x, y), 1, 1, gid="not measured", **NOT_MEASURED))
        for y, x in zip(*np.nonzero(~np.isnan(grid)), strict=True):
            dark = norm is not None and grid[y, x] > 0 and norm(max(grid[y, x], norm.vmin)) > 0.62
            ax.text(x + 0.5, y + 0.5, f"{grid[y, x]:.2g}", ha="center", va="center", fontsize=7.5,
                    color="white" if dark else "black")
        if point[0] in rows and point[1] in columns:
            corner = columns.index(point[1]), rows.index(point[0])
            ax.add_patch(Rectangle(corner, 1, 1, gid="point", fill=False, linewidth=1.8, edgecolor="black", zorder=4))
        ax.grid(visible=False)
        ax.set_xticks(np.arange(len(columns)) + 0.5, [f"{100 * share:g}" for share in columns])
        ax.set_yticks(np.arange(len(rows)) + 0.5, [f"{100 * share:g}" for share in rows])
        ax.set(title=f"{style.model_label(model)}, added loss (nats a token)", xlabel="MLP neurons asked to go (%)")
        if position % 2 == 0:
            ax.set_ylabel("heads asked to go (%)")
    fig.legend(handles=[Patch(fill=False, edgecolor="black", linewidth=1.8, label="where the scores are compared"),
                        *[Patch(label="not measured", **NOT_MEASURED)] * (len(table) < len(models) * len(rows) * len(columns))],
               loc="outside upper center", ncols=2)
    return fig, table


@style.styled
def pruning_saving(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Share of the time that pruning saves, a panel a model and a line a runtime, phase and size of work (from
    `tables_savings.saving_table`).

    Black mark: what arithmetic promises (multiply-accumulates of prefill, bytes of a decode step). Cross: the published share;
    green: what the claim accepts of the time of prefill.
    """
    table = style.require(style.require(table, "pruning_saving").dropna(subset=["clock"]), "pruning_saving")
    parts = dict(list(table.groupby("model", sort=False)))
    stated = float(published[published.quantity == "compute_removed"].value.iloc[0]) / 100
    fig = Figure(figsize=(style.WIDTH, 1.0 + sum(0.45 + 0.185 * len(here) for here in parts.values())))
    axes = fig.subplots(len(parts), 1, squeeze=False, sharex=True,
                        height_ratios=[1.6 + len(here) for here in parts.values()])[:, 0]
    for ax, (model, here) in zip(axes, parts.items(), strict=True):
        for place, line in enumerate(here.itertuples()):
            ax.barh(place, line.clock, height=0.62, color=PHASES[line.phase], linewidth=0)
            style.level(ax, line, "clock", place, color="0.15")
            ax.plot([line.arithmetic] * 2, [place - 0.38, place + 0.38], gid="arithmetic", **ARITHMETIC)
        ax.axvline(0, color="0.4", linewidth=0.7)
        ax.plot([stated], [-0.75], clip_on=False, gid="published", **style.PUBLISHED)
        ax.set_yticks(range(len(here)), [_work(line) for line in here.itertuples()])
        ax.set_ylim(len(here) - 0.4, -1.0)
        ax.grid(axis="y", visible=False)
        ax.set_title(style.model_label(model))
    intervals.by_marks(axes[-1], [0, stated, *table.clock, *table.arithmetic], [*table.clock_low, *table.clock_high], along="x",
                       beyond=0.1)
    for ax, model in zip(axes, parts, strict=True):
        claim.accepted(ax, "S1.6", "pruned_time_saved", along="x", factor=0.01, told=claim.IN_LEGEND, models=[model])
        intervals.mark_clipped(ax)
    axes[-1].xaxis.set_major_formatter(PERCENT)
    axes[-1].set_xlabel("time saved by pruning (%)")
    fig.legend(handles=[*(Patch(facecolor=colour, label=f"{phase} time")
                          for phase, colour in PHASES.items()),
                        Line2D([], [], label="by arithmetic", **ARITHMETIC),
                        Line2D([], [], label="published, of the compute", **style.PUBLISHED),
                        claim.key("S1.6", "pruned_time_saved")],
               loc="outside upper center", ncols=3)
    crosses = published[published.quantity == "compute_removed"]
    crosses = crosses.assign(arithmetic=stated, model=crosses.label, phase="compute")
    return fig, pd.concat([table, crosses[["model", "phase", "arithmetic", "source"]]], ignore_index=True)


def _work(line) -> str:
    size = f"{line.prompt_tokens:.0f} in" + (f", {line.batch:.0f} at once" if line.batch > 1 else "")
    return f"{line.engine} {line.dtype}, {line.phase}, {size}"


@style.styled
def pruning_ranking(table: pd.DataFrame) -> style.Drawn:
    """Rank correlation of scores against the number of calibration sequences, a row a model, a column a kind of unit
    (`tables.ranking_table`)."""
    style.require(table, "pruning_ranking")
    models, look = list(dict.fromkeys(table.model)), _look(table.score)
    numbers = sorted(set(table.samples))
    fig = Figure(figsize=(style.WIDTH, 0.7 + 1.7 * len(models)))
    axes = fig.subplots(len(models), 2, squeeze=False, sharex=True, sharey=True)
    for row, model in zip(axes, models, strict=True):
        for ax, unit in zip(row, tables.UNITS, strict=True):
            here = table[(table.model == model) & (table.unit == unit)]
            for place, (score, (colour, marker)) in enumerate(look.items()):
                lines = here[here.score == score].sort_values("samples")
                # Intervals of the same number would hide each other.
                lines = lines.assign(place=lines.samples * 1.09 ** (place - (len(look) - 1) / 2))
                style.series(ax, lines, "place", "correlation", colour=colour, marker=marker, linestyle="-")
            ax.set(xscale="log", title=f"{style.model_label(model)}, {unit}")
            ax.set_xticks(numbers, [f"{n:g}" for n in numbers])
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.tick_params(axis="x", which="minor", bottom=False)
        row[0].set_ylabel("rank correlation")
    intervals.by_marks(axes[0, 0], [0, 1, *table.correlation], [*table.correlation_low, *table.correlation_high], beyond=0)
    for ax in axes.ravel():
        intervals.mark_clipped(ax)
    for ax in axes[-1]:
        ax.set_xlabel("calibration sequences")
    _key(fig, look)
    return fig, table


@style.styled
def pruning_layers(table: pd.DataFrame) -> style.Drawn:
    """Share of heads and neurons that each layer keeps when all layers are ranked together, a row a model, a column a kind of
    unit (`tables.layer_table`). Dashed: the mean over layers, which a uniform allocation keeps in each."""
    style.require(table, "pruning_layers")
    models, look = list(dict.fromkeys(table.model)), _look(table.score)
    fig = Figure(figsize=(style.WIDTH, 0.7 + 1.6 * len(models)))
    axes = fig.subplots(len(models), 2, squeeze=False, sharey=True, sharex="row")
    for row, model in zip(axes, models, strict=True):
        for ax, unit in zip(row, tables.UNITS, strict=True):
            here = table[(table.model == model) & (table.unit == unit)]
            for place, (score, (colour, marker)) in enumerate(look.items()):
                aside = 0.12 * (place - (len(look) - 1) / 2)
                lines = here[here.score == score]
                style.series(ax, lines.assign(layer=lines.layer + aside), "layer", "kept", colour=colour, marker=marker)
            ax.axhline(here.kept.mean(), gid="uniform", zorder=1, **UNIFORM)
            ax.set(title=f"{style.model_label(model)}, {unit}", ylim=(0, 1.04))
            ax.set_xticks(sorted(set(here.layer)), [f"{layer + 1:.0f}" for layer in sorted(set(here.layer))])
            ax.yaxis.set_major_formatter(PERCENT)
        row[0].set_ylabel("kept (%)")
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    _key(fig, look, Line2D([], [], label="the same in every layer", **UNIFORM))
    return fig, table


@style.styled
def pruning_units(table: pd.DataFrame) -> style.Drawn:
    """Nats a token added by the share of the weights that went, a panel a model: whole layers by each score of layers, and
    heads and neurons by each score of theirs (from `tables_layers.unit_table`)."""
    style.require(table, "pruning_units")
    models = list(dict.fromkeys(table.model))
    fig, axes = style.panels(len(models), 2, 2.6, sharey=False)
    looks = {("widths", score): look for score, look in style.SCORES.items()}
    looks |= {("layers", score): look for score, look in LAYER_SCORES.items()}
    for ax, model in zip(axes, models, strict=True):
        here = table[table.model == model]
        for (unit, score), lines in here.groupby(["unit", "score"], sort=False):
            colour, marker = looks[unit, score]
            lines = lines.sort_values("removed")
            style.series(ax, lines, "removed", "added", colour=colour, marker=marker, linestyle=UNIT_LINES[unit])
        ax.set(title=style.model_label(model), xlabel="weights that went (%)", ylabel="added loss (nats a token)")
        ax.xaxis.set_major_formatter(PERCENT)
        if (here.added > 0).all():  # what costs least is what is of interest, and some cost a hundred times as much
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(style.PLAIN)
        intervals.by_marks(ax, here.added, [*here.added_low, *here.added_high], beyond=0.1)
        intervals.mark_clipped(ax)
    found = dict.fromkeys(zip(table.unit, table.score, strict=True))
    fig.legend(handles=[Line2D([], [], color=looks[unit, score][0], marker=looks[unit, score][1], linestyle=UNIT_LINES[unit],
                               label=f"{unit}, {LABELS.get(score, score)}") for unit, score in found],
               loc="outside upper center", ncols=4)
    return fig, table
