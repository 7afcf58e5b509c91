"""What votes add and cost, and how much of the machine several samples at a time use."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edgekit.analyze import stats
from edgekit.catalog import published as published_claims
from edgekit.plots import accuracy, claim, intervals, style
from edgekit.studies.frontier.drawings import models_in_order
from edgekit.studies.frontier.tables import CELL

LINES = ["-", "--", ":", "-."]
SHARES = {"bandwidth_utilisation": ("-", "of the read bandwidth (right)"),
          "compute_utilisation": ("--", "of the matrix rate (right)")}  # share: line and words
TIMES, MOST = "scaling_time_ratio", 32  # what ER.4 accepts, and of how many samples


def _against(ax: Axes, part: pd.DataFrame, x: str, y: str, factor: float, **look) -> None:
    """A line with its intervals, none where there are none."""
    low, high = part[y] - part[f"{y}_low"], part[f"{y}_high"] - part[y]
    ends = [factor * low.astype(float), factor * high.astype(float)]
    style.clip_ends(ax.errorbar(part[x].astype(float), factor * part[y].astype(float), ends, elinewidth=0.8, capsize=2,
                                clip_on=False, zorder=3, **look))


def _numbers(ax: Axes, numbers) -> None:
    ax.set(xscale="log")
    found = sorted(set(map(int, numbers)))
    ax.set_xticks(found, map(str, found))
    ax.set_xticks([], minor=True)


@style.styled
def frontier_votes(table: pd.DataFrame, published: pd.DataFrame, times: pd.DataFrame) -> style.Drawn:
    """Left: accuracy of a vote against its number of samples, by model, from one pool a question, with 95 % intervals over
    questions; dotted: the chance that any sample is right. Right: the time of so many samples at once over one, with what S3.6
    accepts of 8 and EdgeReasoning's ratios (`times`: label, samples, total_s)."""
    style.require(table, "frontier_votes")
    models, look = models_in_order(table), accuracy.looks(models_in_order(table))
    fig = Figure(figsize=(style.WIDTH, 3.3))
    left, right = fig.subplots(1, 2)
    families = list(dict.fromkeys(table.domain))
    for (model, domain, *_), part in table.groupby(["model", "domain", *CELL[1:]], sort=False):
        part, (colour, marker) = part.sort_values("samples"), look[model]
        line = LINES[families.index(domain) % len(LINES)]
        _against(left, part, "samples", "accuracy", 100, color=colour, marker=marker, linestyle=line)
        left.plot(part.samples, 100 * part["any"], color=colour, linestyle=(0, (1, 2)), linewidth=0.9, gid="any")
        if (timed := part.dropna(subset=["time_ratio"])).shape[0]:
            _against(right, timed, "samples", "time_ratio", 1, color=colour, marker=marker, linestyle=line)
    left.plot(published.samples, 100 * published.accuracy, gid="published", **style.PUBLISHED)
    theirs = times.assign(time_ratio=times.total_s / times.groupby("label").total_s.transform("first"))
    right.plot(theirs.samples, theirs.time_ratio, gid="published", **style.PUBLISHED)
    for ax in (left, right):
        _numbers(ax, [*table.samples, *(theirs.samples if ax is right else ())])
        ax.set_xlabel("samples")
    left.set(ylabel="right answers (%)", ylim=(0, 102))
    right.set(yscale="log", ylabel="time, over one sample's")
    intervals.by_marks(right, [*table.time_ratio.dropna(), *theirs.time_ratio, 1.0], [*table.time_ratio_low.dropna(),
                                                                                   *table.time_ratio_high.dropna()])
    claim.accepted(right, "S3.6", "vote_time_ratio", told="S3.6 accepts at 8 samples")
    low, high = right.get_ylim()
    right.set_yticks([tick for tick in (1, 1.5, 2, 3, 5, 10, 20, 30, 50) if low <= tick <= high])
    right.set_yticks([], minor=True)
    right.yaxis.set_major_formatter(style.PLAIN)
    intervals.mark_clipped(right)
    handles = [Line2D([], [], color=look[model][0], marker=look[model][1], label=style.model_label(model)) for model in models]
    handles += [Line2D([], [], color="0.3", linestyle=LINES[i % len(LINES)], label=domain)
                for i, domain in enumerate(families) if len(families) > 1]
    handles += [Line2D([], [], color="0.3", linestyle=(0, (1, 2)), label="any sample right"),
                Line2D([], [], **style.PUBLISHED, label="published")]
    fig.legend(handles=handles, loc="outside upper center", ncols=4)
    return fig, pd.concat([table, published, theirs.assign(source="published")], ignore_index=True)[
        ["domain", "model", "engine", "dtype", "samples", "source", "label", *stats.with_ends("accuracy", "time_ratio"), "any",
         "tied"]]


def _accepted_at_most(ax: Axes) -> None:
    """What ER.4 accepts of so many samples, on an axis of speeds: as many times the samples as they take times the time."""
    low, high = ax.get_ylim()
    slowest, right = MOST / published_claims.accepted("ER.4", TIMES, measured=True)[1], ax.get_xlim()[1]
    ax.fill_between([MOST / 1.2, right], slowest, max(high, 1.1 * slowest), **claim.BAND)
    ax.plot([MOST / 1.2, right], [slowest, slowest], **claim.EDGE)
    ax.set(ylim=(low, max(high, 1.1 * slowest)), xlim=(ax.get_xlim()[0], right))


@style.styled
def frontier_parallel(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Left: tokens/s of all samples over those of one, against their number, dotted as many times as samples; crosses:
    EdgeReasoning's. Right: the shares of the read bandwidth and of the matrix rate that a step reaches, and EdgeReasoning's
    share of time that the GPU was busy."""
    style.require(table, "frontier_parallel")
    models, look = models_in_order(table), accuracy.looks(models_in_order(table))
    theirs = published.assign(speed_up=published.tok_per_s / published.groupby("label").tok_per_s.transform("first"))
    fig = Figure(figsize=(style.WIDTH, 3.3))
    left, right = fig.subplots(1, 2)
    cells = list(dict.fromkeys(zip(table.engine, table["dtype"], strict=True)))
    for (model, engine, dtype, *_), part in table.groupby(CELL, sort=False):
        part, (colour, marker) = part.sort_values("batch"), look[model]
        line = LINES[cells.index((engine, dtype)) % len(LINES)]
        _against(left, part, "batch", "speed_up", 1, color=colour, marker=marker, linestyle=line)
        for share, (dashes, _) in SHARES.items():
            if (known := part.dropna(subset=[share])).shape[0]:
                _against(right, known, "batch", share, 100, color=colour, marker=marker, linestyle=dashes)
    numbers = sorted({*table.batch, *theirs.samples})
    left.plot(numbers, numbers, color="0.3", linewidth=0.9, linestyle=":")
    left.plot(theirs.samples, theirs.speed_up, gid="published", **style.PUBLISHED)
    right.plot(theirs.samples, 100 * theirs.gpu, gid="published", **style.PUBLISHED)
    left.set(yscale="log", ylabel="tokens/s, over one sample's (times)")
    right.set(ylabel="share of the roof (%)")
    for ax in (left, right):
        _numbers(ax, numbers)
        ax.set_xlabel("samples at a time")
    left.yaxis.set_major_formatter(style.PLAIN)
    intervals.by_marks(left, [*table.speed_up.dropna(), *theirs.speed_up, 1.0])
    shares = [100 * value for share in SHARES for value in table[share].dropna()]
    intervals.by_marks(right, [*shares, *(100 * theirs.gpu), 0.0], least=0.0)
    _accepted_at_most(left)
    for ax in (left, right):
        intervals.mark_clipped(ax)
    handles = [Line2D([], [], color=look[model][0], marker=look[model][1], label=style.model_label(model)) for model in models]
    if len(cells) > 1:
        handles += [Line2D([], [], color="0.3", linestyle=LINES[i % len(LINES)], label=f"{engine}, {dtype}")
                    for i, (engine, dtype) in enumerate(cells)]
    handles += [Line2D([], [], color="0.3", linestyle=dashes, label=words) for dashes, words in SHARES.values()]
    handles += [Line2D([], [], color="0.3", linewidth=0.9, linestyle=":", label="no slower for more (left)"),
                Line2D([], [], **style.PUBLISHED, label="EdgeReasoning (right: GPU busy)"),
                claim.key("ER.4", TIMES, f"ER.4: {MOST} take {claim.wanted('ER.4', TIMES, measured=True)} times one's time "
                                         "(left)")]
    fig.legend(handles=handles, loc="outside upper center", ncols=3)
    return fig, pd.concat([table, theirs.rename(columns={"samples": "batch"})], ignore_index=True)[
        ["model", "engine", "dtype", "batch", "source", "label", *stats.with_ends("speed_up", *SHARES), "gpu"]]
