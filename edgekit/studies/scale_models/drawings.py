"""Figures of the scale models: what each size can do, and how it compares with the published behaviour of real models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edgekit.analyze import stats
from edgekit.plots import style
from edgekit.plots.accuracy import looks

MODES = {"think": "think: all steps written", "budget-4": "budget 4: at most 4 steps", "budget-3": "budget 3: at most 3 steps",
         "budget-2": "budget 2: at most 2 steps", "budget-1": "budget 1: at most 1 step", "direct": "direct: answer only"}
DOMAINS = {"tracking": ("tracking: who has it", "hand-overs (steps)"), "prices": ("prices: facts", "rarity (band)"),
           "letters": ("letters: never taught", "words"), "large": ("large: never taught", "depth (steps)")}
MOST_BUDGET = 5  # where `think` is drawn: no limit


def _key(fig: Figure, models: Iterable[str], extra: Iterable[Line2D] = ()) -> None:
    look = looks(models)
    handles = [Line2D([], [], color=colour, marker=marker, label=style.model_label(model))
               for model, (colour, marker) in look.items()]
    fig.legend(handles=[*handles, *extra], loc="outside upper center", ncols=min(len(handles) + len(list(extra)), 5))


def _lines(ax: Axes, table: pd.DataFrame, models: list[str], x: str, y: str, step: float = 0.07, **options) -> None:
    """One line a model, each a little aside of the next, so that intervals do not hide each other."""
    for i, (model, (colour, marker)) in enumerate(looks(models).items()):
        lines = table[table.model == model].sort_values(x)
        if len(lines):
            place = lines[x] + step * (i - (len(models) - 1) / 2)
            style.series(ax, lines.assign(place=place), "place", y, colour=colour, marker=marker, linestyle="-", **options)


def _log_ticks(axis: Axis, unit: float = 1.0) -> None:
    """Labels at 1, 2 and 5 times powers of ten, in units of `unit`, and none between them."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
    axis.set_minor_formatter(NullFormatter())


@style.styled
def scale_accuracy(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers to word problems against their depth, a panel a mode (from `scale.accuracy_ladder`)."""
    table = style.require(table[table.domain == "chain"], "scale_accuracy")
    models, modes = list(dict.fromkeys(table.model)), [mode for mode in MODES if mode in set(table["mode"])]
    fig, axes = style.panels(len(modes), 3, 1.9, sharex=True, sharey=True)
    for i, (ax, mode) in enumerate(zip(axes, modes, strict=True)):
        _lines(ax, table[table["mode"] == mode], models, "depth", "accuracy")
        ax.set(ylim=(0, 1.02), title=MODES[mode], xticks=sorted(set(table.depth)))
        ax.tick_params(labelbottom=i + 3 >= len(modes))
        if i % 3 == 0:
            ax.set_ylabel("share of right answers")
        if i + 3 >= len(modes):
            ax.set_xlabel("depth (steps)")
    _key(fig, models)
    return fig, table


@style.styled
def scale_budget(table: pd.DataFrame, depths: tuple[int, ...] = (2, 4, 6)) -> style.Drawn:
    """Share of right answers against the allowed lines of reasoning, a panel a depth (from `scale.budget_ladder`)."""
    table = style.require(table[table.depth.isin(depths)], "scale_budget")
    place = table.budget.where(table["mode"] != "think", MOST_BUDGET)
    table = table.assign(place_of_budget=place)
    models, found = list(dict.fromkeys(table.model)), sorted(set(table.depth))
    fig, axes = style.panels(len(found), 3, 2.1, sharex=True, sharey=True)
    ticks = sorted(set(table.place_of_budget))
    for ax, depth in zip(axes, found, strict=True):
        _lines(ax, table[table.depth == depth], models, "place_of_budget", "accuracy")
        if depth < MOST_BUDGET:
            ax.axvline(depth, color="0.6", linewidth=0.8, linestyle=":", zorder=1)
        ax.set(ylim=(0, 1.02), title=f"problems of {depth} steps", xlabel="allowed reasoning (steps)")
        ax.set_xticks(ticks, ["all" if tick == MOST_BUDGET else str(int(tick)) for tick in ticks])
    axes[0].set_ylabel("share of right answers")
    _key(fig, models)
    return fig, table.drop(columns="place_of_budget")


@style.styled
def scale_prose(prose: pd.DataFrame, training: pd.DataFrame, exponents: Mapping[str, float]) -> style.Drawn:
    """Excess loss on prose against tokens seen (from `scale.training_table`) and against parameters (`scale.prose_table`).

    `exponents`: published scaling exponents by label, drawn as slopes through the smallest model.
    """
    style.require(prose, "scale_prose")
    models = list(dict.fromkeys(prose.model))
    fig, (left, right) = style.panels(2, 2, 2.6)
    for model, (colour, marker) in looks(models).items():
        curve = training[(training.model == model) & (training.excess > 0)]
        left.plot(curve.tokens, curve.excess, color=colour, marker=marker, markevery=4, linewidth=1.0)
        style.series(right, prose[prose.model == model], "parameters", "excess", colour=colour, marker=marker)
    left.set(xscale="log", yscale="log", xlabel="training seen (million tokens)", ylabel="excess loss on prose (nats a token)",
             title="while training (validation stories)")
    right.set(xscale="log", yscale="log", xlabel="size (million parameters)", title="after training (test stories)")
    span = np.array([prose.parameters.min(), prose.parameters.max()], dtype=float)
    first = prose.sort_values("parameters").excess.iloc[0]
    drawn = []
    if prose.parameters.nunique() > 1 and (prose.excess > 0).all():
        ours = stats.power_law(prose.parameters, prose.excess).value
        centre = np.exp(np.log(prose.excess).mean() + ours * np.log(prose.parameters).mean())
        drawn.append(Line2D(span, centre * span**-ours, color="black", linewidth=1.0, label=f"fitted: exponent {ours:.2f}"))
        styles = ["--", ":", "-."]
        drawn += [Line2D(span, first * (span / span[0]) ** -value, color="0.45", linestyle=styles[i % 3], linewidth=1.0,
                         label=f"{label}: {value:g}") for i, (label, value) in enumerate(exponents.items())]
    for line in drawn:
        right.add_line(line)
    if drawn:
        right.legend(handles=drawn, loc="lower left", fontsize=7)
        low, high = right.get_ylim()
        right.set_ylim(low / (high / low) ** 0.45, high)  # room for the legend
    for ax in (left, right):
        _log_ticks(ax.xaxis, 1e6)
        _log_ticks(ax.yaxis)
    _key(fig, models)
    shown = pd.concat([training.assign(panel="training"), prose.assign(panel="size")], ignore_index=True)
    return fig, shown


@style.styled
def scale_acceptance(table: pd.DataFrame) -> style.Drawn:
    """Accepted share of a draft's tokens, target by draft (from `scale.acceptance_table`).

    A panel a domain, in rows of three; the rows of one temperature follow those of the other.
    """
    style.require(table, "scale_acceptance")
    order = list(dict.fromkeys(table.sort_values("parameters").target))
    names = [model.removeprefix("pocket-") for model in map(style.model_label, order)]
    domains, temperatures = list(dict.fromkeys(table.domain)), sorted(set(table.temperature))
    columns = min(3, len(domains))
    rows = -(-len(domains) // columns)
    fig = Figure(figsize=(style.WIDTH, 0.7 + 1.75 * rows * len(temperatures)))
    axes = fig.subplots(rows * len(temperatures), columns, squeeze=False, sharex=True, sharey=True)
    for number, temperature in enumerate(temperatures):
        block = axes[number * rows:(number + 1) * rows]
        for unused in block.ravel()[len(domains):]:
            unused.set_axis_off()
        for ax, domain in zip(block.ravel(), domains, strict=False):
            here = table[(table.domain == domain) & (table.temperature == temperature)]
            grid = here.pivot_table(index="target", columns="draft", values="rate").reindex(index=order, columns=order)
            image = ax.imshow(grid.to_numpy(dtype=float), vmin=0, vmax=1, cmap="cividis", origin="lower", aspect="auto")
            for i, j in zip(*np.nonzero(grid.notna().to_numpy()), strict=True):
                share = grid.iat[i, j]
                ax.text(j, i, f"{share:.2f}", ha="center", va="center", fontsize=7.5,
                        color="black" if share > 0.55 else "white")
            ax.set_xticks(range(len(order)), names)
            ax.set_yticks(range(len(order)), names)
            ax.set_title(f"{domain}, {'greedy' if temperature == 0 else 'sampled'}")
            ax.grid(False)
    fig.supylabel("target", fontsize=8.5)
    fig.supxlabel("draft", fontsize=8.5)
    fig.colorbar(image, ax=axes, label="share of accepted tokens", fraction=0.03, pad=0.01)
    return fig, table


@style.styled
def scale_rounding(accuracy: pd.DataFrame, prose: pd.DataFrame) -> style.Drawn:
    """Accuracy and excess loss against bits after round-to-nearest, a row a group size.

    From `scale.rounded_accuracy` and `scale.rounded_prose`. The unrounded model stands at the right end ("none").
    """
    style.require(prose, "scale_rounding")
    models, groups = list(dict.fromkeys(prose.model)), sorted(set(prose.group))
    domains = list(dict.fromkeys(accuracy.domain))
    fig = Figure(figsize=(style.WIDTH, 0.6 + 1.8 * len(groups)))
    axes = fig.subplots(len(groups), len(domains) + 1, squeeze=False, sharex=True)
    ticks = sorted(set(prose.bits))
    places = {bits: min(bits, 10) for bits in ticks}  # 32 bits next to 8, with a gap
    for row, group in zip(axes, groups, strict=True):
        for ax, domain in zip(row, domains, strict=False):
            lines = accuracy[(accuracy.group == group) & (accuracy.domain == domain)]
            _lines(ax, lines.assign(at=lines.bits.map(places)), models, "at", "accuracy", step=0.15)
            ax.set(ylim=(0, 1.02), ylabel="share of right answers" if ax is row[0] else "")
        lines = prose[(prose.group == group) & (prose.excess > 0)]
        lines = lines.assign(at=lines.bits.map(places), excess_low=lines.excess_low.clip(lower=lines.excess / 10))
        _lines(row[-1], lines, models, "at", "excess", step=0.15)
        row[-1].set(yscale="log", ylabel="excess loss (nats a token)")
        _log_ticks(row[-1].yaxis)
        row[0].annotate(f"groups of {group}", (0.97, 0.05), xycoords="axes fraction", ha="right", fontsize=7.5)
    titles = {"chain": "word problems, think"}
    for ax, title in zip(axes[0], [*(titles.get(domain, domain) for domain in domains), "prose"], strict=True):
        ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("bits of a weight (bits)")
        ax.set_xticks([places[bits] for bits in ticks], ["none" if bits == 32 else str(bits) for bits in ticks])
    _key(fig, models)
    shown = pd.concat([accuracy, prose.assign(domain="prose")], ignore_index=True)
    return fig, shown


@style.styled
def scale_queries(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers to queries of the other domains against their level (from `scale.accuracy_ladder`)."""
    table = style.require(table[table.domain != "chain"], "scale_queries")
    models, domains = list(dict.fromkeys(table.model)), [name for name in DOMAINS if name in set(table.domain)]
    fig, axes = style.panels(len(domains), 4, 2.1, sharey=True)
    for ax, domain in zip(axes, domains, strict=True):
        title, axis = DOMAINS[domain]
        _lines(ax, table[table.domain == domain], models, "depth", "accuracy")
        ax.set(ylim=(0, 1.02), title=title, xlabel=axis, xticks=sorted(set(table[table.domain == domain].depth)))
    axes[0].set_ylabel("share of right answers")
    _key(fig, models)
    return fig, table
