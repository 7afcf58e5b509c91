"""The rows of 11_routing as tidy tables: one line an item, the scores of every policy, and what each of them is worth.

`set` says whose answers: `recorded` for the kit's own pair, else the name of the published answers. What judged an item never
learnt from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from edgekit.analyze import routing, stats
from edgekit.analyze import routing_intervals as intervals
from edgekit.analyze.calibration import discrimination
from edgekit.analyze.once import once
from edgekit.analyze.routing import Curve, Outcomes
from edgekit.analyze.rows import rows_of
from edgekit.schema import CONFIDENT, ENDPOINT, FOLDS, TEXT, UNKNOWN

RECORDED = "recorded"
ITEM = ["task_name", "item"]
PAIR = ["set", "model", "cloud", "engine", "dtype"]
# Policies in the order of what they see; all but these two ends and the oracle are thresholds on a score.
EDGE, CLOUD, RANDOM, LENGTH, CONFIDENCE, ORACLE = ("always the device", "always the cloud", "random", "length",
                                                   "confidence", "oracle")
SCORED = (LENGTH, TEXT, CONFIDENCE, CONFIDENT)
POLICIES = (EDGE, CLOUD, RANDOM, *SCORED, ORACLE)
CASCADES = (CONFIDENCE, CONFIDENT)  # the device answers first, whoever answers in the end
OF_ANSWER = {"correct": "right", "asked_tokens": "asked", "answered_tokens": "answered", "mean_log_p": "mean_log_p",
             "worst_log_p": "worst_log_p"}
OF_QUERY = ["coverage", "depth_steps", "query_characters"]
GAINS = (0.5, 0.8, 0.95)
MEASURES = {"apgr": Curve.apgr, "area": Curve.area, "cpt50": lambda found: found.sent_for(0.5),
            "cpt80": lambda found: found.sent_for(0.8),
            **{f"cost{round(100 * share)}": (lambda found, share=share: found.cost_for(share)) for share in GAINS}}


@once
def item_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line an item that both models answered: who had it right, tokens, sureness, and what estimators said of it.

    edge, cloud: 0 or 1. edge_asked, edge_answered, cloud_asked, cloud_answered: tokens. paid: those of the cloud together, 1
    where nobody published them. edge_cost, cloud_cost: operations, 2 a weight and token; where nothing is known of either, 0
    and 1. text, text and confidence: calibrated probability that the device has it right; `… gain`: less that of the cloud. `…
    unknown`: of an estimator that saw nothing of its task.
    """
    lines = [*_own(frame), *_published(frame)]
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=[*PAIR, *ITEM, "edge", "cloud"])


def _own(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    answers = rows_of(frame, "answers", metrics=tuple(OF_ANSWER))
    judged = rows_of(frame, "estimator")
    sizes = rows_of(frame, "size", metrics=("parameters",)).groupby("model").value.median()
    for (model, cloud, engine, dtype), here in judged.groupby(["model", "cloud", "engine", "dtype"]):
        in_cell = ((answers.engine == engine) & (answers["dtype"] == dtype)) | (answers.engine == ENDPOINT)
        sides = {side: _answers(answers[(answers.model == name) & in_cell])
                 for side, name in (("edge", model), ("cloud", cloud))}
        both = sides["edge"].add_suffix("_edge").join(sides["cloud"].add_suffix("_cloud"), how="inner")
        if both.empty:
            continue
        line = pd.DataFrame({"edge": both.right_edge, "cloud": both.right_cloud, "edge_asked": both.asked_edge,
                             "edge_answered": both.answered_edge, "cloud_asked": both.asked_cloud,
                             "cloud_answered": both.answered_cloud, "mean_log_p": both.get("mean_log_p_edge"),
                             "worst_log_p": both.get("worst_log_p_edge")})
        for side, name in (("edge", model), ("cloud", cloud)):
            line[f"{side}_cost"] = 2 * sizes.get(name, np.nan) * (line[f"{side}_asked"] + line[f"{side}_answered"])
        if not {model, cloud} <= set(sizes.index):  # an endpoint does not say what it runs
            line["edge_cost"], line["cloud_cost"] = 0.0, 1.0
        line["paid"] = line.cloud_asked + line.cloud_answered
        about = here.drop_duplicates(ITEM).set_index(ITEM)[["domain", "mode", "depth"]]
        line = line.join(about).join(_judged(here)).reset_index()
        yield line.assign(set=RECORDED, model=model, cloud_model=cloud, engine=engine, dtype=dtype, source="measured")


def _published(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    rows = rows_of(frame, "replay")
    for (name, model, cloud), here in rows.groupby(["recorded", "model", "cloud"]):
        right = here[here.metric == "correct"].pivot_table(index=ITEM, columns="of", values="value")
        about = here.drop_duplicates(ITEM).set_index(ITEM)[["domain"]]
        line = right.join(about).join(_judged(here[here.metric != "correct"]), how="inner").reset_index()
        yield line.assign(set=name, model=model, cloud_model=cloud, engine="", dtype="", source="replayed", edge_cost=0.0,
                          cloud_cost=1.0, paid=1.0)


def _answers(rows: pd.DataFrame) -> pd.DataFrame:
    """One model's answers by item."""
    wide = rows.pivot_table(index=ITEM, columns="metric", values="value").rename(columns=OF_ANSWER)
    return wide.reindex(columns=list(OF_ANSWER.values()))


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    """What estimators said, by item: of other folds, and where they saw nothing of the task."""
    parts = []
    for (features, protocol), here in rows.groupby(["features", "protocol"]):
        wide = here.pivot_table(index=ITEM, columns="metric", values="value")
        end = "" if protocol == FOLDS else " unknown"
        part = pd.DataFrame({features + end: wide.edge_p, f"{features} gain{end}": wide.edge_p - wide.cloud_p})
        if protocol == FOLDS and not any("fold" in one for one in parts):  # the same for every estimator
            part = part.join(wide[OF_QUERY]).join(here.drop_duplicates(ITEM).set_index(ITEM)["fold"])
        elif protocol == UNKNOWN and not any("coverage unknown" in one for one in parts):
            part["coverage unknown"] = wide.coverage
        parts.append(part)
    return pd.concat(parts, axis=1) if parts else pd.DataFrame()


def sets(frame: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    """(coordinates, items) of each pair of models."""
    items = item_table(frame)
    if len(items):
        for key, here in items.groupby(["set", "model", "cloud_model", "engine", "dtype"], sort=False):
            yield dict(zip(PAIR, key, strict=True)), here.reset_index(drop=True)


def outcomes(items: pd.DataFrame, policy: str = "") -> Outcomes:
    """The recorded outcomes of items, with what a policy pays for."""
    return Outcomes(items.edge.to_numpy(int), items.cloud.to_numpy(int), items.edge_cost.to_numpy(float),
                    items.cloud_cost.to_numpy(float), policy in CASCADES)


def score(items: pd.DataFrame, policy: str, end: str = "") -> np.ndarray | None:
    """How much a policy trusts the device with each item; None where these rows do not have what it sees. Estimators are asked
    what sending would win: the device's probability less the cloud's."""
    if policy == ORACLE:
        return routing.oracle(outcomes(items))
    column = {LENGTH: "query_characters", CONFIDENCE: "mean_log_p"}.get(policy, f"{policy} gain{end}")
    if column not in items or items[column].isna().any():
        return None
    return -items[column].to_numpy(float) if policy == LENGTH else items[column].to_numpy(float)


@once
def policy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a set and policy: APGR, CPT50 and CPT80, the mean quality over all shares sent (area), and the cost of both models
    at 50, 80 and 95 % of the cloud's gain over that of sending all, with 95 % intervals over resampled items.

    auc: how well the score tells right answers of the device from wrong ones. better: whether APGR's whole interval is above
    the 1/2 of a draw by lot. `n` counts items.
    """
    columns = [*PAIR, "policy", *stats.with_ends(*MEASURES), "auc", "better", "edge", "cloud_right", "n"]
    lines = []
    for at, items in sets(frame):
        whole = outcomes(items)
        told = dict(edge=whole.edge.mean(), cloud_right=whole.cloud.mean(), n=whole.n)
        gains = whole.gain.sum() > 0
        for policy in (*SCORED, ORACLE):
            found = score(items, policy)
            if found is None or not gains:
                continue
            line = at | dict(policy=policy) | told
            for name, estimate in intervals.estimates(found, outcomes(items, policy), MEASURES).items():
                line |= stats.ends_of(name, estimate)
            mixed = 0 < whole.edge.mean() < 1
            line |= dict(auc=discrimination(found, whole.edge) if mixed else np.nan, better=bool(line["apgr_low"] > 0.5))
            lines.append(line)
        if gains:
            lines.append(at | dict(policy=RANDOM, apgr=0.5, cpt50=0.5, cpt80=0.8, area=(told["edge"] + told["cloud_right"]) / 2)
                         | told)
    return _in_order(framed(lines, columns))


def framed(lines: list[dict], columns: list[str]) -> pd.DataFrame:
    """Lines as a table; ends of intervals are numbers where there is none, too."""
    table = pd.DataFrame(lines, columns=columns)
    return table.astype({name: float for name in columns if name.endswith(("_low", "_high"))})


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each set together, policies in the order of what they see."""
    ranks = {"set": list(dict.fromkeys(table["set"])), "policy": list(POLICIES)}
    return table.sort_values(["set", "policy"], key=lambda names: names.map(ranks[names.name].index),
                             kind="stable").reset_index(drop=True)


@once
def curve_table(frame: pd.DataFrame, points: int = 200) -> pd.DataFrame:
    """The curve of every policy, a line a threshold (at most `points` of them, evenly chosen): sent, quality, cost, cloud_cost,
    missed, wasted and pgr; random and oracle among them."""
    columns = [*PAIR, "policy", "threshold", "sent", "quality", "cost", "cloud_cost", "missed", "wasted", "pgr", "n"]
    parts = []
    for at, items in sets(frame):
        for policy in (*SCORED, ORACLE):
            found = score(items, policy)
            if found is not None:
                parts.append(_points(routing.curve(found, outcomes(items, policy)), points).assign(**at, policy=policy,
                                                                                                     n=len(items)))
        whole = outcomes(items)
        sent = np.array([0.0, 1.0])
        ends = routing.curve(np.zeros(whole.n), whole)
        parts.append(_points(ends, points).assign(**at, policy=RANDOM, n=whole.n, sent=sent))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _points(found: Curve, points: int) -> pd.DataFrame:
    last = found.sent.shape[1] - 1
    chosen = np.unique(np.linspace(0, last, min(points, last + 1)).round().astype(int))
    names = ("sent", "quality", "cost", "cloud_cost", "missed", "wasted", "pgr")
    one = {name: getattr(found, name)[0][chosen] for name in names}
    return pd.DataFrame(one | dict(threshold=found.below[chosen]))
