"""Single operating points of the policies: what a threshold that was chosen on other items saves and risks, whether
probabilities mean what they say, what a shifted mix does, and what one fixed model does at the same cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import calibration, routing, stats
from edgekit.analyze import routing_intervals as intervals
from edgekit.analyze.once import once
from edgekit.schema import CONFIDENT, TEXT
from edgekit.studies.routing.tables import (
    GAINS,
    PAIR,
    SCORED,
    framed,
    outcomes,
    score,
    sets,
)

SIMPLE_SHARE, KEPT_SHARE = 0.75, 0.78  # of the traffic called simple, and kept on the device, in the document
POINTS = {**{f"{round(100 * share)} % kept": (intervals.keeping, share) for share in (SIMPLE_SHARE, KEPT_SHARE)},
          **{f"{round(100 * share)} % of the gain": (intervals.gaining, share) for share in GAINS}}
HALF = 0.5  # probability from which on an answer is more likely right than wrong
ESTIMATED = (TEXT, CONFIDENT)


@once
def point_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set, policy and operating point (POINTS), each threshold chosen on the other folds.

    kept: share answered on the device. accuracy: of all. behind: what always asking the cloud is right in more, paired.
    kept_right: share of the device's answers that are right. missed: share of all queries kept whose answer is wrong and the
    cloud's right; wasted: sent although that won nothing. saved: share of the cloud's tokens (of its calls, where tokens were
    not published) that nobody pays. 95 % intervals over items.
    """
    columns = [*PAIR, "policy", "point",
               *stats.with_ends("kept", "accuracy", "behind", "kept_right", "missed", "wasted", "saved"), "n"]
    lines = []
    for at, items in sets(frame):
        for policy in SCORED:
            for point in POINTS:
                sent = sent_at(items, policy, point)
                if sent is not None:
                    lines.append(at | dict(policy=policy, point=point) | _point(items, sent))
    return framed(lines, columns)


def sent_at(items: pd.DataFrame, policy: str, point: str) -> np.ndarray | None:
    """Which items a policy sends to the cloud at an operating point; None where it has no score here, or one fold alone."""
    found, (kind, share) = score(items, policy), POINTS[point]
    if found is None or items.fold.nunique() < 2:
        return None
    return intervals.chosen(found, outcomes(items, policy), items.fold.to_numpy(), kind(share)).sent


def _point(items: pd.DataFrame, sent: np.ndarray) -> dict:
    edge, cloud = items.edge.to_numpy(int), items.cloud.to_numpy(int)
    right, n = np.where(sent, cloud, edge), len(items)
    paid = items.paid.to_numpy(float)
    found = dict(kept=stats.wilson(int((~sent).sum()), n), accuracy=stats.wilson(int(right.sum()), n),
                 behind=stats.paired_difference(cloud, right),
                 missed=stats.wilson(int((~sent & (cloud > edge)).sum()), n),
                 wasted=stats.wilson(int((sent & (cloud <= edge)).sum()), n),
                 saved=stats.ratio_of_sums(paid * ~sent, paid).within(0, 1))
    if not sent.all():
        found["kept_right"] = stats.wilson(int(edge[~sent].sum()), int((~sent).sum()))
    return {"n": n} | {name: value for what, estimate in found.items() for name, value in stats.ends_of(what, estimate).items()}


@once
def simple_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set and estimator: the share of the queries that it calls simple (the device is right with probability 1/2 or
    more), the share of right answers among those and among the others, how many are right at all, ECE and Brier score (base:
    that of the share of right answers alone)."""
    columns = [*PAIR, "policy", *stats.with_ends("simple", "simple_right", "other_right", "right"), "ece", "brier", "base",
               "coverage", "n"]
    lines = []
    for at, items in sets(frame):
        for policy in ESTIMATED:
            if policy not in items or items[policy].isna().any():
                continue
            said, edge = items[policy].to_numpy(float), items.edge.to_numpy(int)
            simple = routing.keeps(said, HALF)
            line = at | dict(policy=policy, n=len(items), ece=calibration.expected_error(said, edge),
                             brier=calibration.brier(said, edge), base=edge.mean() * (1 - edge.mean()),
                             coverage=items.coverage.mean())
            line |= stats.ends_of("simple", stats.wilson(int(simple.sum()), len(items)))
            line |= stats.ends_of("right", stats.wilson(int(edge.sum()), len(items)))
            for name, part in (("simple_right", simple), ("other_right", ~simple)):
                if part.any():
                    line |= stats.ends_of(name, stats.wilson(int(edge[part].sum()), int(part.sum())))
            lines.append(line)
    return framed(lines, columns)


@once
def reliability_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set, estimator and bin: what it said and what share was right (see calibration.reliability)."""
    columns = [*PAIR, "policy", "said", *stats.with_ends("share"), "n"]
    parts = [calibration.reliability(items[policy].to_numpy(float), items.edge.to_numpy(int)).assign(**at, policy=policy)
             for at, items in sets(frame) for policy in ESTIMATED if policy in items and items[policy].notna().all()]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


@once
def error_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set, estimator and threshold on its probability that the device has a query right, 0 to 1: the share kept, and
    the two errors apart, weak answers kept and cloud calls wasted, over all queries, with Wilson's intervals."""
    columns = [*PAIR, "policy", "threshold", "kept", *stats.with_ends("missed", "wasted"), "n"]
    lines = []
    for at, items in sets(frame):
        gain = outcomes(items).gain
        for policy in ESTIMATED:
            if policy not in items or items[policy].isna().any():
                continue
            for threshold in np.linspace(0, 1, 41):
                kept = routing.keeps(items[policy].to_numpy(float), float(threshold))
                line = at | dict(policy=policy, threshold=threshold, kept=kept.mean(), n=len(items))
                for name, wrong in (("missed", kept & (gain > 0)), ("wasted", ~kept & (gain <= 0))):
                    line |= stats.ends_of(name, stats.wilson(int(wrong.sum()), len(items)))
                lines.append(line)
    return framed(lines, columns)
