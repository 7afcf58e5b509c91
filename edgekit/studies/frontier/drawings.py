"""How accuracy stands to time and tokens, and what is best within a time."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.analyze import stats
from edgekit.plots import accuracy, claim, intervals, style
from edgekit.studies.frontier.tables import kind_of

# Ways to reason: marker, and words.
KINDS = {"direct": ("o", "no reasoning"), "hard": ("s", "cut, answer forced"), "soft": ("D", "asked for in the prompt"),
         "budget": ("^", "trained, in the prompt"), "think": ("P", "in full"), "vote": ("*", "in full, vote")}
TOLD_FROM = 0.5  # share of resamples with a configuration on the frontier that is told beside it
FRONTIER = {"color": "0.25", "linewidth": 0.9, "linestyle": "-", "zorder": 1}


def models_in_order(table: pd.DataFrame) -> list[str]:
    """The models of a table from the smallest."""
    return list(table.sort_values("parameters", kind="stable").model.unique())


def keys(models: list[str], kinds: list[str]) -> list[Line2D]:
    """Legend entries: a colour a model, a marker a way to reason."""
    look = accuracy.looks(models)
    return ([Line2D([], [], color=look[model][0], marker="s", linestyle="none", label=style.model_label(model))
             for model in models]
            + [Line2D([], [], color="0.4", marker=KINDS[kind][0], linestyle="none", label=KINDS[kind][1]) for kind in KINDS
               if kind in kinds])


def mark(ax: Axes, line, x: str, colour: str, *, faint: bool, bars: bool = True, y: str = "accuracy") -> None:
    """One configuration: in full colour with both intervals, or faint without."""
    look = dict(marker=KINDS[kind_of(line.mode)][0], color=colour, linestyle="none", alpha=0.35 if faint else 1.0,
                markersize=3.5 if faint else 5.5)
    if faint or not bars:
        ax.plot(getattr(line, x), 100 * getattr(line, y), zorder=2, **look)
        return
    ends = [[[max(0.0, value - low)], [max(0.0, high - value)]] for value, low, high in (
        (getattr(line, x), getattr(line, f"{x}_low"), getattr(line, f"{x}_high")),
        tuple(100 * getattr(line, name) for name in stats.with_ends(y)))]
    style.clip_ends(ax.errorbar(getattr(line, x), 100 * getattr(line, y), xerr=ends[0], yerr=ends[1], elinewidth=0.8,
                                capsize=1.5, clip_on=False, zorder=4, **look))


@style.styled
def frontier(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Accuracy against the time of an answer, a panel a family of questions and type of weights: configurations on the family's
    frontier with their 95 % intervals and the share of resampled questions in which they are on it, the others faint; the line
    is the frontier over all types. `published` has the time limits of S3.4, drawn where they lie in the panel."""
    style.require(table, "frontier")
    groups = list(table.groupby(["domain", "dtype"], sort=False))
    models, look = models_in_order(table), accuracy.looks(models_in_order(table))
    fig, axes = style.panels(len(groups), 2, 3.1, sharey=True)
    for ax, ((domain, dtype), part) in zip(axes, groups, strict=True):
        family = table[table.domain == domain].sort_values("time_s")
        best = family[family.pareto]
        ax.set(xscale="log", title=f"{domain}, {dtype}", xlabel="time of an answer (s)")
        ax.plot(best.time_s, 100 * best.accuracy, drawstyle="steps-post", **FRONTIER)
        for line in part.sort_values("pareto").itertuples():
            mark(ax, line, "time_s", look[line.model][0], faint=not line.pareto)
            if line.pareto and line.pareto_share >= TOLD_FROM:
                ax.annotate(f"{line.pareto_share:.0%}", (line.time_s, 100 * line.accuracy), xytext=(5, -3),
                            textcoords="offset points", fontsize=6, va="top", bbox=claim.TOLD["bbox"])
        intervals.by_marks(ax, family.time_s, along="x")
        for limit in published.value.dropna():
            if ax.get_xlim()[0] < limit < ax.get_xlim()[1]:
                ax.axvline(limit, color="black", linewidth=0.6, linestyle=":")
        ax.set_ylim(0, 102)
        ax.xaxis.set_major_formatter(style.PLAIN)
        ax.tick_params(labelleft=True)
    for ax in axes[::2]:
        ax.set_ylabel("right answers (%)")
    more = [Line2D([], [], label="frontier of both panels", **FRONTIER),
            Line2D([], [], linestyle="none", marker=r"$\%$", color="0.2", markersize=7,
                   label="resamples that have it there,\nwhere half or more")]
    fig.legend(handles=[*keys(models, [kind_of(mode) for mode in table["mode"]]), *more], loc="outside upper center", ncols=4)
    return fig, table


@style.styled
def frontier_budgets(table: pd.DataFrame, ratios: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Left: accuracy against the mean tokens of an answer, models in colours, a line a model through its ways to reason by
    tokens. Right: tokens with a budget over those in full, by kind of budget, with what S3.5 accepts and EdgeReasoning's."""
    style.require(table, "frontier_budgets")
    first = table.groupby("domain", sort=False)["dtype"].first()
    table = table[(table["dtype"] == table.domain.map(first)) & (table["mode"].map(kind_of) != "vote")]
    families = list(first.index)
    models, look = models_in_order(table), accuracy.looks(models_in_order(table))
    fig = Figure(figsize=(style.WIDTH, 3.3))
    axes = fig.subplots(1, len(families) + 1, squeeze=False)[0]
    for ax, domain in zip(axes, families, strict=False):
        part = table[table.domain == domain]
        for model in models:
            own = part[part.model == model].sort_values("tokens")
            ax.plot(own.tokens, 100 * own.accuracy, color=look[model][0], linewidth=0.7, alpha=0.6, zorder=1)
            for line in own.itertuples():
                ends = [[100 * (line.accuracy - line.accuracy_low)], [100 * (line.accuracy_high - line.accuracy)]]
                style.clip_ends(ax.errorbar(line.tokens, 100 * line.accuracy, ends, color=look[model][0], elinewidth=0.7,
                                            marker=KINDS[kind_of(line.mode)][0], linestyle="none", clip_on=False, zorder=3))
        ax.set(xscale="log", ylim=(0, 102), title=f"{domain}, {first[domain]}", xlabel="tokens of an answer",
               ylabel="right answers (%)" if ax is axes[0] else None)
        _ticks(ax, part.tokens)
    _ratios(axes[-1], ratios, published, look)
    kinds = [kind_of(mode) for mode in (*table["mode"], *ratios["mode"])]
    fig.legend(handles=[*keys(models, kinds), Line2D([], [], **style.PUBLISHED, label="EdgeReasoning (published)")],
               loc="outside upper center", ncols=4)
    columns = ["panel", "domain", "model", "engine", "dtype", "mode", "source", "tokens", *stats.with_ends("accuracy"),
               *stats.with_ends("token_ratio"), "label"]
    told = pd.concat([table.assign(panel="accuracy"), ratios.assign(panel="tokens", source="measured").drop(
        columns=stats.with_ends("accuracy"), errors="ignore"), published.assign(panel="tokens")], ignore_index=True)
    return fig, told.reindex(columns=columns)


def _ticks(ax: Axes, values) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten around the values."""
    low, high = min(values), max(values)
    steps = [factor * 10**power for power in range(6) for factor in (1, 2, 5)]
    ax.set_xticks([step for step in steps if low / 2.5 <= step <= high * 2.5])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low / 1.3, high * 1.3)
    ax.xaxis.set_major_formatter(style.PLAIN)


def _ratios(ax: Axes, ratios: pd.DataFrame, published: pd.DataFrame, look: dict) -> None:
    kinds = [kind for kind in ("hard", "soft", "budget") if kind in {*map(kind_of, ratios["mode"]), *map(kind_of,
                                                                                                       published["mode"])}]
    for place, kind in enumerate(kinds):
        ours = ratios[ratios["mode"].map(kind_of) == kind]
        for number, line in enumerate(ours.itertuples()):
            aside = 0.3 * (number / max(1, len(ours) - 1) - 0.5) - 0.12
            style.level(ax, line, "token_ratio", place + aside, color=look.get(line.model, ("0.4",))[0], marker=KINDS[kind][0],
                        markersize=3.5)
        theirs = published[published["mode"].map(kind_of) == kind]
        ax.plot(theirs.token_ratio, [place + 0.25] * len(theirs), gid="published", zorder=4, **style.PUBLISHED)
    ax.set(xscale="log", ylim=(len(kinds) - 0.5, -0.5), xlabel="tokens, over those in full", title="budgets")
    ax.set_yticks(range(len(kinds)), [KINDS[kind][1].replace(" in the ", "\nin the ").replace(", ", ",\n") for kind in kinds])
    ax.tick_params(axis="y", labelsize=7)
    ax.grid(False, axis="y")
    intervals.by_marks(ax, [*ratios.token_ratio, *published.token_ratio, 1.0], along="x")
    claim.accepted(ax, "S3.5", "prompt_budget_tokens", along="x")
    ax.xaxis.set_major_formatter(style.PLAIN)


@style.styled
def frontier_sizes(table: pd.DataFrame) -> style.Drawn:
    """What no reasoning gains over reasoning in full against the size of the model, with 95 % intervals, a panel a family; the
    accepted range of S3.5 for the smallest model as a band."""
    style.require(table, "frontier_sizes")
    families = list(table.groupby("domain", sort=False))
    fig, axes = style.panels(len(families), 2, 2.6, sharey=True)
    for ax, (domain, part) in zip(axes, families, strict=True):
        for number, ((engine, dtype), own) in enumerate(part.groupby(["engine", "dtype"], sort=False)):
            own = own.sort_values("parameters")
            at = own.parameters / 1e6 * 1.03**number
            colour = ("#0072B2", "#D55E00", "#009E73", "0.4")[number % 4]
            ends = [100 * (own.gained - own.gained_low), 100 * (own.gained_high - own.gained)]
            style.clip_ends(ax.errorbar(at, 100 * own.gained, ends, color=colour, marker="osD^"[number % 4], capsize=2,
                                        elinewidth=0.8, linestyle="-" if number == 0 else "--", clip_on=False,
                                        label=f"{engine}, {dtype}"))
        ax.set(xscale="log", title=domain, xlabel="model (million weights)", ylim=(-102, max(10, 110 * part.gained_high.max())))
        ax.axhline(0, color="0.3", linewidth=0.9, linestyle=":")
        sizes = sorted(set(part.parameters / 1e6))
        ax.set_xticks(sizes, [f"{size:.2g}" if size < 100 else f"{size:.0f}" for size in sizes])
        ax.set_xticks([], minor=True)
        claim.accepted(ax, "S3.5", "no_reasoning_gain_smallest", told="S3.5 accepts of the smallest")
    axes[0].set_ylabel("no reasoning over reasoning\n(% points)")
    axes[0].legend(loc="lower left")
    return fig, table


@style.styled
def frontier_choices(table: pd.DataFrame) -> style.Drawn:
    """The best configuration within each time limit, a panel a family: its model's size, marked by its way to reason, with its
    accuracy beside it, as large as the share of resampled questions in which it is the choice too."""
    style.require(table, "frontier_choices")
    families = list(table.groupby("domain", sort=False))
    models, look = models_in_order(table), accuracy.looks(models_in_order(table))
    fig, axes = style.panels(len(families), 2, 2.9)
    for ax, (domain, part) in zip(axes, families, strict=True):
        ax.set(xscale="log", yscale="log", title=domain, xlabel="time limit (s)", ylabel="best model (million weights)")
        ax.plot(part.limit_s, part.parameters / 1e6, drawstyle="steps-post", **FRONTIER)
        for line in part.itertuples():
            colour, size = look[line.model][0], 4 + 6 * line.stable
            ax.plot(line.limit_s, line.parameters / 1e6, marker=KINDS[kind_of(line.mode)][0], markersize=size, color=colour,
                    linestyle="none", zorder=3)
            ax.annotate(f"{line.mode}\n{100 * line.accuracy:.0f} %", (line.limit_s, line.parameters / 1e6), xytext=(0, 7),
                        textcoords="offset points", ha="center", va="bottom", fontsize=5.8, bbox=claim.TOLD["bbox"])
        low, high = part.parameters.min() / 1e6, part.parameters.max() / 1e6
        ax.set_ylim(low / 2, high * 4)
        ax.xaxis.set_major_formatter(style.PLAIN)
        ax.yaxis.set_major_formatter(style.PLAIN)
    fig.legend(handles=keys(models, [kind_of(mode) for mode in table["mode"]]), loc="outside upper center", ncols=4)
    return fig, table


@style.styled
def frontier_tip(table: pd.DataFrame) -> style.Drawn:
    """The tip against the exhaustive search, by the accuracy that is wanted: time of its choice over the fastest as accurate,
    with what S2.5 accepts, and the share of measurements that it saved."""
    table = style.require(table[table["mode"] == "think"], "frontier_tip")
    fig = Figure(figsize=(style.WIDTH, 2.6))
    left, right = fig.subplots(1, 2)
    looks = [("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", ":"), ("0.4", "D", "-.")]
    for (colour, marker, line), (domain, part) in zip(looks * 4, table.groupby("domain", sort=False), strict=False):
        for ax, column, factor in ((left, "slower", 1), (right, "saved", 100)):
            # a choice serves every accuracy from the one before up to its own
            ax.plot(100 * part.wanted, factor * part[column], color=colour, marker=marker, linestyle=line, label=domain,
                    drawstyle="steps-pre")
    left.set(xlabel="accuracy wanted (%)", ylabel="time of the choice, over the fastest")
    right.set(xlabel="accuracy wanted (%)", ylabel="measurements saved (%)", ylim=(0, 100))
    intervals.by_marks(left, [*table.slower, 1.0])
    claim.accepted(left, "S2.5", "tip_slower", told=claim.IN_LEGEND)
    claim.accepted(right, "S2.5", "tip_saved", told=claim.IN_LEGEND)
    band = claim.key("S2.5", "tip_slower", "S2.5 accepts")
    fig.legend(handles=[*left.get_legend_handles_labels()[0], band], loc="outside upper center", ncols=4)
    return fig, table

