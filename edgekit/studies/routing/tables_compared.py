"""The policies beside what else could be: one fixed model at the same cost, another mix of traffic, a task that nobody learnt
from; and how many items it takes to tell them apart."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from edgekit.analyze import routing, stats
from edgekit.analyze import routing_intervals as intervals
from edgekit.analyze.once import once
from edgekit.analyze.routing import Curve, Outcomes, RoutingError
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import Estimate
from edgekit.studies.routing.tables import (
    GAINS,
    ITEM,
    OF_ANSWER,
    PAIR,
    RECORDED,
    SCORED,
    curve_table,
    framed,
    outcomes,
    score,
    sets,
)
from edgekit.studies.routing.tables_points import ESTIMATED, sent_at


@once
def unknown_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set, task and estimator: APGR on the task's items by estimators that learnt from it (of other folds) and by one
    that never saw any of it, with what it says of the device there, and how much of their words it knows."""
    columns = [*PAIR, "policy", "task_name", *stats.with_ends("apgr", "apgr_unknown"), "said", "right", "coverage",
               "coverage_unknown", "n"]
    lines = []
    for at, items in sets(frame):
        for policy in ESTIMATED:
            if f"{policy} unknown" not in items:
                continue
            for task, here in items[items[f"{policy} unknown"].notna()].groupby("task_name", sort=False):
                whole = outcomes(here, policy)
                line = at | dict(policy=policy, task_name=task, said=here[f"{policy} unknown"].mean(), right=here.edge.mean(),
                                 coverage=here.coverage.mean(), coverage_unknown=here["coverage unknown"].mean(), n=len(here))
                if whole.gain.sum() > 0:
                    for name, end in (("apgr", ""), ("apgr_unknown", " unknown")):
                        found = intervals.estimates(score(here, policy, end), whole, {"": Curve.apgr})[""]
                        line |= stats.ends_of(name, found)
                lines.append(line)
    return framed(lines, columns)


@once
def mix_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set, policy and share of simple traffic: what the point of 95 % of the gain, whose threshold was chosen on the
    recorded mix, keeps, saves and loses where so large a share of the queries are those that the device has right.

    Intervals over resampled items; `recorded` is the share of them in the mix that thresholds were chosen on.
    """
    columns = [*PAIR, "policy", "share", "recorded", *stats.with_ends("kept", "saved", "behind"), "n"]
    lines = []
    for at, items in sets(frame):
        if not 0 < items.edge.mean() < 1:
            continue
        for policy in SCORED:
            sent = sent_at(items, policy, f"{round(100 * GAINS[-1])} % of the gain")
            if sent is None:
                continue
            for share in np.arange(1, 10) / 10:
                lines.append(at | dict(policy=policy, share=share, recorded=items.edge.mean(), n=len(items))
                             | _mixed(items, sent, share))
    return framed(lines, columns)


def _mixed(items: pd.DataFrame, sent: np.ndarray, share: float) -> dict:
    """Within queries that the device has right and within the others values are means with their variance; a mix weighs
    them."""
    parts = []
    for right, weight in ((1, share), (0, 1 - share)):
        here = items.edge.to_numpy(int) == right
        loses = (items.cloud.to_numpy(int) - items.edge.to_numpy(int)) * ~sent
        parts.append((weight, {"kept": (~sent)[here].astype(float), "behind": loses[here].astype(float)}))
    line = {}
    for name in ("kept", "behind"):
        value = sum(weight * one[name].mean() for weight, one in parts)
        error = math.sqrt(sum(weight**2 * one[name].var(ddof=1) / len(one[name]) for weight, one in parts
                              if len(one[name]) > 1))
        line |= stats.ends_of(name, Estimate(value, value - 1.96 * error, value + 1.96 * error, len(items)))
    paid = items.paid.to_numpy(float)
    weights = np.where(items.edge.to_numpy(int) == 1, share / items.edge.mean(), (1 - share) / (1 - items.edge.mean()))
    return line | stats.ends_of("saved", stats.ratio_of_sums(weights * paid * ~sent, weights * paid).within(0, 1))


@once
def fixed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a fixed model and policy: its accuracy and cost on the same items, beside the router's at that cost, with the
    paired difference over resampled items; costs are operations over those of sending all. Where no threshold costs as little,
    as a cascade never does, `router` is empty."""
    columns = [*PAIR, "fixed", "policy", "cost", *stats.with_ends("accuracy", "router", "difference"), "n"]
    answers = rows_of(frame, "answers", metrics=tuple(OF_ANSWER))
    sizes = rows_of(frame, "size", metrics=("parameters",)).groupby("model").value.median()
    lines = []
    for at, items in sets(frame):
        if at["set"] != RECORDED:
            continue
        for fixed in sorted(set(answers.model) - {at["model"], at["cloud"]}):
            rows = answers[(answers.model == fixed) & (answers.engine == at["engine"]) & (answers["dtype"] == at["dtype"])]
            wide = rows.pivot_table(index=ITEM, columns="metric", values="value")
            here = items.join(wide[["correct", "asked_tokens", "answered_tokens"]], on=ITEM, how="inner")
            own = 2 * sizes.get(fixed, np.nan) * (here.asked_tokens + here.answered_tokens)
            cost = float(own.sum() / here.cloud_cost.sum())
            for policy in SCORED:
                if (found := score(here, policy)) is not None:
                    lines.append(at | dict(fixed=fixed, policy=policy, cost=cost, n=len(here)) | _beside(
                        here, found, policy, here.correct.to_numpy(int), cost))
    return framed(lines, columns)


def _beside(items: pd.DataFrame, found: np.ndarray, policy: str, right: np.ndarray, cost: float) -> dict:
    whole = outcomes(items, policy)
    line = stats.ends_of("accuracy", stats.wilson(int(right.sum()), len(right)))

    def quality(one: Curve) -> np.ndarray:
        return np.array([np.interp(cost, costs, values, left=np.nan)
                         for costs, values in zip(one.cost, one.quality, strict=True)])

    value = float(quality(routing.curve(found, whole))[0])
    if not math.isfinite(value):
        return line
    spread = intervals.resampled(found, whole, {"": quality})[""]
    # The same draws of items: the fixed model's accuracy is the curve of a score at which it is both models.
    alone = Outcomes(right, right, np.zeros(len(right)), np.ones(len(right)))
    same = intervals.resampled(found, alone, {"": lambda one: one.quality[:, 0]})[""]
    return line | stats.ends_of("router", intervals.interval(value, spread, len(right))) | stats.ends_of(
        "difference", intervals.interval(value - right.mean(), spread - same, len(right)))


@once
def power_table(frame: pd.DataFrame, apgr: float = 0.6) -> pd.DataFrame:
    """A line a set: the shares of queries that sending helps and harms, the items that it takes to tell an APGR of `apgr` from
    a draw by lot with 80 % power, and the items that there are; with what a published pair had, for planning."""
    columns = [*PAIR, "helps", "harms", "needed", "n"]
    lines = []
    for at, items in sets(frame):
        gain = outcomes(items).gain
        line = at | dict(helps=(gain > 0).mean(), harms=(gain < 0).mean(), n=len(items))
        lines.append(line | dict(needed=_needed(line["helps"], line["harms"], apgr)))
    return framed(lines, columns)


def _needed(helps: float, harms: float, apgr: float) -> float:
    try:
        return intervals.items_needed(helps, harms, apgr)
    except RoutingError:
        return math.nan


def drawn_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """The curves of all policies (tables.curve_table), and behind them a line a fixed model: its cost, and its quality with
    Wilson's interval."""
    alone = fixed_table(frame).drop_duplicates([*PAIR, "fixed"])
    alone = alone.drop(columns="policy").rename(columns={f"accuracy{end}": f"quality{end}" for end in ("", "_low", "_high")})
    marks = alone[[*PAIR, "fixed", "cost", *stats.with_ends("quality"), "n"]]
    curves = curve_table(frame)
    return pd.concat([curves, marks], ignore_index=True) if len(marks) else curves.assign(fixed=None)
