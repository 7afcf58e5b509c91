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
from edgekit.plots import domains, intervals, style
from edgekit.plots.accuracy import looks

MODES = {"think": "think: all steps written", "direct": "direct: the answer alone"}
TAUGHT = {"tracking": ("tracking: who has it", "hand-overs (steps)"), "prices": ("prices: facts", "rarity (band)")}
MOST_BUDGET = 5  # where `think` is drawn: no limit
LINEAR = 1e-3  # nats a token below which an added loss is drawn on a linear axis: it may be nothing, or less
ENOUGH = {"color": "0.4", "linewidth": 0.9, "linestyle": ":", "zorder": 1}


def _key(fig: Figure, models: Iterable[str], extra: Iterable[Line2D] = ()) -> None:
    look = looks(models)
    handles = [Line2D([], [], color=colour, marker=marker, label=style.model_label(model))
               for model, (colour, marker) in look.items()]
    fig.legend(handles=[*handles, *extra], loc="outside upper center", ncols=min(len(handles) + len(list(extra)), 5))


def _lines(ax: Axes, table: pd.DataFrame, models: list[str], x: str, y: str, step: float = 0.07, joined: bool = True) -> None:
    """One line a model, each a little aside of the next, so that intervals do not hide each other."""
    for i, (model, (colour, marker)) in enumerate(looks(models).items()):
        lines = table[table.model == model].sort_values(x)
        if len(lines):
            place = lines[x] + step * (i - (len(models) - 1) / 2)
            style.series(ax, lines.assign(place=place), "place", y, colour=colour, marker=marker,
                         linestyle="-" if joined else "none")


def _log_ticks(axis: Axis, unit: float = 1.0) -> None:
    """Labels at 1, 2 and 5 times powers of ten, in units of `unit`, and none between them."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
    axis.set_minor_formatter(NullFormatter())


@style.styled
def scale_accuracy(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers to word problems against their depth, with the steps written and without (from
    `tables.accuracy_ladder`)."""
    table = style.require(table[(table.domain == "chain") & table["mode"].isin(list(MODES))], "scale_accuracy")
    models, modes = list(dict.fromkeys(table.model)), [mode for mode in MODES if mode in set(table["mode"])]
    fig, axes = style.panels(len(modes), 2, 2.6, sharex=True, sharey=True)
    for ax, mode in zip(axes, modes, strict=True):
        _lines(ax, table[table["mode"] == mode], models, "depth", "accuracy")
        ax.set(ylim=(0, 1.02), title=MODES[mode], xticks=sorted(set(table.depth)), xlabel="depth (steps)")
    axes[0].set_ylabel("share of right answers")
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
        # `think` allows as many steps as there are, so it is enough for every depth.
        ax.axvline(min(depth, MOST_BUDGET), gid="enough", **ENOUGH)
        ax.set(ylim=(0, 1.02), title=f"problems of {depth} steps", xlabel="allowed reasoning (steps)")
        ax.set_xticks(ticks, ["all" if tick == MOST_BUDGET else str(int(tick)) for tick in ticks])
    axes[0].set_ylabel("share of right answers")
    _key(fig, models, [Line2D([], [], label="enough", **ENOUGH)])
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
    right.set(xscale="log", yscale="log", xlabel="size (million parameters)", ylabel="excess loss (nats a token)",
              title="after training (test stories)")
    span = np.array([prose.parameters.min(), prose.parameters.max()], dtype=float)
    first = prose.sort_values("parameters").excess.iloc[0]
    drawn = []
    if prose.parameters.nunique() > 1 and (prose.excess > 0).all():
        ours = stats.power_law(prose.parameters, prose.excess)
        centre = np.exp(np.log(prose.excess).mean() + ours.value * np.log(prose.parameters).mean())
        ends = "" if ours.low is None else f" ({ours.low:.2f} to {ours.high:.2f})"
        drawn.append(Line2D(span, centre * span**-ours.value, color="black", linewidth=1.0,
                            label=f"exponent fitted: {ours.value:.2f}{ends}"))
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
    """Accepted share of a draft's tokens (%) against the draft's share of the largest target's weights, greedy and sampled, a
    line a domain (from `tables.acceptance_table`)."""
    style.require(table, "scale_acceptance")
    table = table[(table.parameters == table.parameters.max()) & (table.draft_parameters < table.parameters)]
    table = style.require(table, "scale_acceptance").assign(weights_percent=100 * table.draft_parameters / table.parameters)
    table = table.assign(**{f"accepted_percent{end}": 100 * table[f"rate{end}"] for end in ("", "_low", "_high")})
    looks_of = domains.looks(sorted(set(table.domain)))
    temperatures, drafts = sorted(set(table.temperature)), table.drop_duplicates("draft").sort_values("weights_percent")
    fig, axes = style.panels(len(temperatures), 2, 2.7, sharex=True, sharey=True)
    for ax, temperature in zip(axes, temperatures, strict=True):
        for i, (domain, (colour, marker)) in enumerate(looks_of.items()):
            lines = table[(table.domain == domain) & (table.temperature == temperature)].sort_values("weights_percent")
            lines = lines.assign(place=lines.weights_percent * 1.05 ** (i - (len(looks_of) - 1) / 2))
            style.series(ax, lines, "place", "accepted_percent", colour=colour, marker=marker, linestyle="-")
        ax.set(xscale="log", xlabel="weights of the draft (% of the target's)",
               title="greedy" if temperature == 0 else f"sampled at temperature {temperature:g}")
        ax.set_xticks(list(drafts.weights_percent),
                      [f"{line.weights_percent:.2g}\n{style.model_label(line.draft)}" for line in drafts.itertuples()])
        ax.set_xticks([], minor=True)
    axes[0].set_ylabel(f"accepted by {style.model_label(table.target.iloc[0])} (%)")
    for ax in axes:
        intervals.by_marks(ax, table.accepted_percent, [*table.accepted_percent_low, *table.accepted_percent_high])
        ax.set_ylim(top=min(ax.get_ylim()[1], 101))  # no share is larger
        intervals.mark_clipped(ax)
    fig.legend(handles=[Line2D([], [], color=colour, marker=marker, label=domain)
                        for domain, (colour, marker) in looks_of.items()], loc="outside upper center", ncols=6,
               handlelength=1.4, columnspacing=1.2)
    return fig, table


@style.styled
def scale_rounding(accuracy: pd.DataFrame, prose: pd.DataFrame) -> style.Drawn:
    """What round-to-nearest takes, paired with the unrounded model: right answers (% points) and loss on prose (nats a token)
    against bits, of the widest groups that all models have (from `tables.rounded_accuracy` and `tables.rounded_prose`)."""
    style.require(prose, "scale_rounding")
    models = list(dict.fromkeys(prose.model))
    common = prose.groupby("group").model.nunique()
    group = int(common[common == common.max()].index.max())
    accuracy, prose = (part[(part.group == group) & (part.bits < 32)] for part in (accuracy, prose))
    accuracy = accuracy.assign(**{f"change_percent{end}": 100 * accuracy[f"change{end}"] for end in ("", "_low", "_high")})
    names = [*dict.fromkeys(accuracy.domain)]
    fig, axes = style.panels(len(names) + 1, 3, 2.5, sharex=True)
    for ax, name in zip(axes, names, strict=False):
        _lines(ax, accuracy[accuracy.domain == name], models, "bits", "change_percent", step=0.11)
        ax.set(title={"chain": "word problems, think"}.get(name, name), ylim=axes[0].get_ylim())
        intervals.by_marks(ax, accuracy.change_percent, [*accuracy.change_percent_low, *accuracy.change_percent_high])
    _lines(axes[-1], prose, models, "bits", "added", step=0.11)
    axes[-1].set_yscale("symlog", linthresh=LINEAR, linscale=0.5)
    axes[-1].set(title="prose", ylabel="added loss (nats a token)")
    axes[-1].yaxis.set_major_formatter(style.PLAIN)
    axes[0].set_ylabel(f"change of right answers (% points),\ngroups of {group}")
    for ax in axes:
        ax.axhline(0, gid="unrounded", color="0.3", linewidth=0.9, linestyle=":", zorder=1)
        ax.set_xlabel("bits of a weight (bits)")
        ax.set_xticks(sorted(set(prose.bits)))
        intervals.mark_clipped(ax)
    _key(fig, models, [Line2D([], [], color="0.3", linewidth=0.9, linestyle=":", label="unrounded")])
    return fig, pd.concat([accuracy, prose.assign(domain="prose")], ignore_index=True)


@style.styled
def scale_queries(table: pd.DataFrame) -> style.Drawn:
    """Share of right answers to queries of the other domains against their level, and over all levels of what was never taught
    (from `tables.accuracy_ladder`)."""
    table = style.require(table[table.domain != "chain"], "scale_queries")
    models, taught = list(dict.fromkeys(table.model)), [name for name in TAUGHT if name in set(table.domain)]
    never = sorted(set(table.domain) - set(TAUGHT))
    pooled = [dict(model=model, domain=domain, n=lines.n.sum(), correct=lines.correct.sum(), source=lines.source.iloc[0])
              | stats.ends_of("accuracy", stats.wilson(int(lines.correct.sum()), int(lines.n.sum())))
              for (model, domain), lines in table[table.domain.isin(never)].groupby(["model", "domain"], sort=False)]
    fig, axes = style.panels(len(taught) + bool(never), 3, 2.4, sharey=True)
    for ax, name in zip(axes, taught, strict=False):
        title, axis = TAUGHT[name]
        _lines(ax, table[table.domain == name], models, "depth", "accuracy")
        ax.set(title=title, xlabel=axis, xticks=sorted(set(table[table.domain == name].depth)))
    if never:
        _lines(axes[-1], pd.DataFrame(pooled).assign(at=lambda lines: lines.domain.map(never.index)), models, "at", "accuracy",
               joined=False)
        axes[-1].set(title="never taught", xlim=(-0.5, len(never) - 0.5), xlabel="kind of query (all levels)")
        axes[-1].set_xticks(range(len(never)), never)
    axes[0].set(ylim=(0, 1.02), ylabel="share of right answers")
    _key(fig, models)
    return fig, pd.concat([table[table.domain.isin(taught)], pd.DataFrame(pooled)], ignore_index=True)
