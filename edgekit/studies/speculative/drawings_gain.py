"""Figures of what drafting gains: beside what was expected, by length, by draft, by texts at a time, and at real size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from edgekit.catalog.engines import BUILTIN_SPECULATIVE
from edgekit.plots import claim, intervals, style
from edgekit.schema import ADAPTIVE, LOOKUP
from edgekit.studies.speculative import drawings
from edgekit.studies.speculative.drawings import EVEN, THEORY

NEAR = 0.1  # what counts as near to the expected speed-up, as a share of it
JUDGED = {"color": "black", "marker": "o", "fillstyle": "none", "markersize": 10, "linestyle": "none"}


@style.styled
def speculative_speed(table: pd.DataFrame) -> style.Drawn:
    """Measured decode speed-up against the one expected from costs and counted acceptance, by engine, models as drafts beside
    the lookup (from `tables_speed.speed_table`). Dashed: as expected; grey: within NEAR of it; dotted: break-even."""
    table = style.require(style.require(table, "speculative_speed").dropna(subset=["expected", "decode"]), "speculative_speed")
    kinds = [(title, lines) for title, lines in (("a model drafts", table[table.draft != LOOKUP]),
                                                 ("the n-gram lookup drafts", table[table.draft == LOOKUP])) if len(lines)]
    fig, axes = style.panels(len(kinds), 2, 3.1)
    for ax, (title, lines) in zip(axes, kinds, strict=True):
        for engine, dtype in sorted(set(zip(lines.engine, lines["dtype"], strict=True))):
            _dots(ax, lines[(lines.engine == engine) & (lines["dtype"] == dtype)], *style.engine_style(engine, dtype))
        ax.set(xscale="log", yscale="log")
        for along in "xy":
            intervals.by_marks(ax, [*lines.expected, *lines.decode, 1.0], along=along)
        low, high = ends = ax.get_xlim()
        ax.plot(ends, ends, gid="expected", **THEORY)
        ax.fill_between(ends, [(1 - NEAR) * end for end in ends], [(1 + NEAR) * end for end in ends], color="0.9", linewidth=0,
                        zorder=0)
        ax.axhline(1, gid="even", **EVEN)
        near = int(((lines.decode / lines.expected - 1).abs() <= NEAR).sum())
        ax.set(xlim=(low, high), ylim=(low, high), xlabel="expected speed-up (times)",
               title=f"{title}: {near} of {len(lines)}\nwithin {100 * NEAR:g} % of the expected")
        _plain_ticks(ax, low, high)
        intervals.mark_clipped(ax)
    axes[0].set_ylabel("measured speed-up (times)")
    fig.legend(handles=[*drawings.engine_key(table, linestyle="none"), Line2D([], [], label="as expected", **THEORY),
                        Patch(color="0.9", label=f"within {100 * NEAR:g} % of it"),
                        Line2D([], [], label="break-even", **EVEN)], loc="outside upper center", ncols=4)
    return fig, table


@style.styled
def speculative_lengths(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Speed-up from end to end, the mean over domains, against draft length, a column a smaller model that drafts for the
    largest target, a row a number of threads (from `tables_speed.mean_gains`), beside what S1.10 accepts and the `published`
    gain. Ringed: the best, by which it is judged; dotted: break-even."""
    table = style.require(table, "speculative_lengths")
    best = table.loc[table.speed_up.idxmax()]
    fixed = sorted({int(length) for length in table.length if length != ADAPTIVE})
    beyond = (max(fixed) if fixed else 0) + 1.5
    shown = table.assign(at=[beyond if length == ADAPTIVE else float(length) for length in table.length])
    drafts, threads = list(dict.fromkeys(shown.by)), sorted(set(shown.threads))
    printed = float(published.value.iloc[0])
    fig = Figure(figsize=(style.WIDTH, 1.0 + 1.75 * len(threads)))
    axes = fig.subplots(len(threads), len(drafts), squeeze=False, sharex=True, sharey=True)
    for row, count in zip(axes, threads, strict=True):
        for ax, draft in zip(row, drafts, strict=True):
            here = shown[(shown.by == draft) & (shown.threads == count)]
            _by_length(ax, here)
            if draft == best.by and count == best.threads:
                ax.plot(shown["at"][best.name], best.speed_up, gid="judged", zorder=5, **JUDGED)
            ax.axhline(1, gid="even", **EVEN)
            drawings.publish(ax, printed)
        row[0].set_ylabel(f"speed-up (times),\n{count} thread{'s' if count > 1 else ''}")
    for row, count in zip(axes, threads, strict=True):
        for ax, draft in zip(row, drafts, strict=True):
            intervals.by_marks(ax, [*shown.speed_up, printed, 1.0])
            claim.accepted(ax, "S1.10", "speculative_speed_up", told="" if ax is axes[0, 0] else claim.IN_LEGEND,  # told once
                           judged=(draft, count) == (best.by, best.threads))
            intervals.mark_clipped(ax)
    for ax, draft in zip(axes[0], drafts, strict=True):
        ax.set_title(draft, fontsize=8)
    adaptive = (shown.length == ADAPTIVE).any()
    for ax in axes[-1]:
        ax.set_xticks([*fixed, beyond] if adaptive else fixed, [*map(str, fixed), "ad."] if adaptive else list(map(str, fixed)))
        ax.set_xlabel("drafted tokens (ad.: adaptive)" if adaptive else "drafted tokens")
    extra = [Line2D([], [], **style.PUBLISHED, label="published"),
             Line2D([], [], label="the best", **JUDGED | {"markersize": 7}), Line2D([], [], label="break-even", **EVEN)]
    fig.legend(handles=[*_loops_key(shown), *extra], loc="outside upper center", ncols=3)
    return fig, shown.drop(columns="at")


@style.styled
def speculative_drafts(table: pd.DataFrame) -> style.Drawn:
    """Speed-up from end to end by kind of draft for the largest target, a panel a domain, ours and the runtimes' own, at one
    draft length and with the most threads that were timed (from `tables_speed.speed_table`, fixed lengths). Dotted:
    break-even."""
    table = drawings.largest(style.require(table, "speculative_drafts"))
    table = _at_one_length(table[table.threads == table.threads.max()])
    drafts, panels = list(dict.fromkeys(table.by)), sorted(set(table.domain))
    cells = sorted(set(zip(table.engine, table["dtype"], strict=True)))
    fig = Figure(figsize=(style.WIDTH, 1.2 + 0.42 * len(drafts)))
    axes = fig.subplots(1, len(panels), squeeze=False, sharey=True, sharex=True)[0]
    for ax, domain in zip(axes, panels, strict=True):
        for line in table[table.domain == domain].itertuples():
            colour, marker = style.engine_style(line.engine, line.dtype)
            place = drafts.index(line.by) + 0.15 * (cells.index((line.engine, line.dtype)) - (len(cells) - 1) / 2)
            style.level(ax, line, "speed_up", place, color=colour, marker=marker)
        ax.axvline(1, gid="even", **EVEN)
        ax.set(ylim=(len(drafts) - 0.4, -0.6), xlabel="speed-up (times)", xscale="log",
               title=f"{domain}, {table.length.iloc[0]} drafted tokens")
        ax.set_yticks(range(len(drafts)), drafts)
        ax.grid(False, axis="y")
        for edge in range(1, len(drafts)):
            ax.axhline(edge - 0.5, color="0.88", linewidth=0.5)
    for ax in axes:
        intervals.by_marks(ax, [*table.speed_up, 1.0], along="x")
        _ticks(ax.xaxis, *ax.get_xlim())
        intervals.mark_clipped(ax)
    fig.legend(handles=[*drawings.engine_key(table, linestyle="none"), Line2D([], [], label="break-even", **EVEN)],
               loc="outside upper center", ncols=3)
    return fig, table


@style.styled
def speculative_batches(table: pd.DataFrame) -> style.Drawn:
    """Speed-up from end to end against the number of texts at a time, a panel a domain and draft length, a colour a draft of
    the largest target (from `tables_speed.batch_table`). Dotted: break-even."""
    table = drawings.largest(style.require(table, "speculative_batches"))
    table = style.require(table[table.threads == table.threads.max()], "speculative_batches")
    panels = sorted(set(zip(table.domain, table.length.astype(int), table.engine, table["dtype"], strict=True)))
    looks = drawings.looks(list(dict.fromkeys(table.by)))
    fig, axes = style.panels(len(panels), 3, 2.4, sharex=True, sharey=True)
    for ax, (domain, length, engine, dtype) in zip(axes, panels, strict=True):
        here = table[(table.domain == domain) & (table.length == str(length)) & (table.engine == engine)
                     & (table["dtype"] == dtype)]
        for i, (name, (colour, marker)) in enumerate(looks.items()):
            lines = here[here.by == name].sort_values("batch")
            lines = lines.assign(place=lines.batch * 1.04 ** (i - (len(looks) - 1) / 2))
            style.series(ax, lines, "place", "speed_up", colour=colour, marker=marker, linestyle="-")
        ax.axhline(1, gid="even", **EVEN)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted(set(table.batch)), list(map(str, sorted(set(table.batch)))))
        ax.set(xlabel="texts at a time", title=f"{domain}, {length} drafted tokens\n({engine}, {dtype})")
    axes[0].set_ylabel("speed-up (times)")
    for ax in axes:
        intervals.by_marks(ax, [*table.speed_up, 1.0])
        intervals.mark_clipped(ax)
    fig.legend(handles=[*drawings.draft_key(looks), Line2D([], [], label="break-even", **EVEN)], loc="outside upper center",
               ncols=4)
    return fig, table


@style.styled
def speculative_replay(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Modelled decode speed-up against draft length of pairs with replayed acceptance, a panel a pair, and the measured one of
    a pair that was timed as it is too (from `tables_speed.replayed_and_timed`), with the `published` gain in the margin. Open
    marks: replayed, by the clock; dashed: as expected from the costs; dotted: break-even."""
    table = style.require(table, "speculative_replay").sort_values(
        ["draft_parameters", "model", "draft", "engine", "dtype", "domain", "source"], kind="stable")
    names = list(dict.fromkeys(zip(table.model, table.draft, strict=True)))
    fig, axes = style.panels(len(names), 3, 2.6, sharey=True)
    printed = float(published.value.iloc[0])
    for ax, (model, draft) in zip(axes, names, strict=True):
        here = table[(table.model == model) & (table.draft == draft)]
        here = here.assign(at=here.length.astype(float))
        for (engine, dtype, *_, source), lines in here.groupby(["engine", "dtype", "domain", "threads", "source"]):
            colour, marker = style.engine_style(engine, dtype)
            lines = lines.sort_values("at")
            style.series(ax, lines.assign(at=lines["at"] + 0.08 * (source == "measured")), "at", "decode", colour=colour,
                         marker=marker, linestyle="-")
            if source == "modelled":
                ax.plot(lines["at"], lines.expected, gid="expected", **THEORY | {"color": colour})
        lengths = sorted(set(here["at"]))
        drawings.publish(ax, printed, across=True)
        ax.axhline(1, gid="even", **EVEN)
        ax.set(xlabel="drafted tokens", title=f"{style.model_label(draft)} for\n{style.model_label(model)}")
        ax.set_xticks(lengths, [f"{length:g}" for length in lengths])
    axes[0].set_ylabel("decode speed-up (times)")
    for ax in axes:
        intervals.by_marks(ax, [*table.decode, *table.expected.dropna(), printed, 1.0])
        intervals.mark_clipped(ax)
    kinds = [(source, words) for source, words in (("modelled", "replayed (modelled)"), ("measured", "measured"))
             if source in set(table.source)]
    handles = [handle for source, words in kinds for handle in _named(
        drawings.engine_key(table[table.source == source], fillstyle=style.FILL[source]), words)]
    stated = Line2D([], [], **style.PUBLISHED | {"linestyle": "-", "linewidth": 0.7}, label="published, at no length")
    fig.legend(handles=[*handles, Line2D([], [], label="expected from its costs", **THEORY), stated,
                        Line2D([], [], label="break-even", **EVEN)], loc="outside upper center", ncols=3)
    return fig, table


def _by_length(ax: Axes, here: pd.DataFrame) -> None:
    """A line an engine over the fixed lengths, the adaptive one apart; the runtimes' own loops dashed."""
    cells = sorted(set(zip(here.engine, here["dtype"], strict=True)))
    for i, (engine, dtype) in enumerate(cells):
        colour, marker = style.engine_style(engine, dtype)
        lines = here[(here.engine == engine) & (here["dtype"] == dtype)].sort_values("at")
        lines = lines.assign(at=lines["at"] + 0.12 * (i - (len(cells) - 1) / 2))
        for part, linestyle in ((lines[lines.length != ADAPTIVE], "--" if engine in BUILTIN_SPECULATIVE else "-"),
                                (lines[lines.length == ADAPTIVE], "none")):
            style.series(ax, part, "at", "speed_up", colour=colour, marker=marker, linestyle=linestyle)


def _at_one_length(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the length, all of them fixed, at which most engines were timed; of several such, the longest."""
    lengths = table.length.astype(int)
    engines = table.groupby(lengths).engine.nunique()
    return table[lengths == engines[engines == engines.max()].index.max()]


def _dots(ax: Axes, lines: pd.DataFrame, colour: str, marker: str) -> None:
    """Small marks with pale intervals, since there are many."""
    errors = np.vstack([lines.decode - lines.decode_low, lines.decode_high - lines.decode])
    marks = ax.errorbar(lines.expected, lines.decode, errors, color=colour, marker=marker, linestyle="none", elinewidth=0.6,
                        markersize=3.2, clip_on=False, zorder=3)
    style.clip_ends(marks)
    for bars in marks[2]:
        bars.set_alpha(0.3)


def _plain_ticks(ax: Axes, low: float, high: float) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        _ticks(axis, low, high)


def _ticks(axis, low: float, high: float) -> None:
    """Plain numbers on a log axis of a few times: 0.5, 0.7, 1, 1.5, 2, 3, …"""
    axis.set_ticks([tick for tick in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20) if low <= tick <= high])
    axis.set_major_formatter(style.PLAIN)
    axis.set_ticks([], minor=True)


def _loops_key(table: pd.DataFrame) -> list[Line2D]:
    """The engines' legend entries, with the runtimes' own loops dashed."""
    own, loops = (table[table.engine.isin(list(BUILTIN_SPECULATIVE)) == loop] for loop in (False, True))
    return [*drawings.engine_key(own, linestyle="-"), *drawings.engine_key(loops, linestyle="--")]


def _named(handles: list[Line2D], words: str) -> list[Line2D]:
    for handle in handles:
        handle.set_label(f"{handle.get_label()}, {words}")
    return handles
