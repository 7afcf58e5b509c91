"""The quantities by which claims about hybrid routing are judged; see observed.Quantity for what one is.

The policy that they are about is the document's: a classifier of the query's text alone. Operating points have thresholds that
were chosen on other items than those that are judged.
"""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import number
from edgekit.schema import TEXT
from edgekit.studies.routing import tables, tables_points, tables_times
from edgekit.studies.routing.tables_points import KEPT_SHARE, SIMPLE_SHARE

SIMPLE, KEPT = (f"{round(100 * share)} % kept" for share in (SIMPLE_SHARE, KEPT_SHARE))
AS_GOOD = "95 % of the gain"


def classifier_parameters(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Weights of the estimator whose decisions were timed."""
    found = []
    for line in _of(tables_times.decision_table(frame), setting, "timed decisions of the estimator").itertuples():
        size = stats.Estimate(line.parameters, line.parameters, line.parameters, 1, "weights", "weights of the classifier")
        decides = f"a decision takes {number(1e3 * line.median_s)} ms (median), {number(1e3 * line.p95_s)} ms (95th percentile)"
        found.append(Observation(size, "the estimator", (line.model,), "", line.model, decides))
    return found


def queries_simple(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the queries that the classifier calls simple: those whose answer it expects the device to have right, in %. The
    samples are items, each judged by weights that never saw it."""
    found = []
    table = _text(tables_points.simple_table(frame), setting, "an estimator's judgements of recorded answers")
    for _, line in table.iterrows():
        note = f"the device has {number(100 * line.right)} % right" + (
            f", and {number(100 * line.simple_right)} % of what is called simple" if line.simple else "")
        found.append(_seen(stats.percent(estimate_of(line, "simple", "", "queries that the classifier calls simple")), line,
                           line.model, note))
    return found


def p95_latency_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """95th percentile of the time of an answer that the device gives, in seconds, from the decision to the last token: answers
    that were timed, of those queries that the classifier keeps where 75 % are kept; without waiting. The samples are
    answers."""
    replies = rows_of(frame, "reply", metrics=("reply_s",))
    decisions = tables_times.decision_table(frame)
    found = []
    for at, items in _recorded(frame, setting):
        sent = tables_points.sent_at(items, TEXT, SIMPLE)
        kept = items.loc[~sent, tables.ITEM] if sent is not None else items.iloc[:0]
        times = replies[replies.model == at["model"]].merge(kept, on=tables.ITEM)
        decide = decisions.loc[decisions.model == at["model"], "median_s"]
        if times.empty or decide.empty:
            continue
        p95 = tables_times.quantile(times.value + float(decide.iloc[0]), 0.95, "s", "95th percentile of the device's answers")
        found.append(Observation(p95, f"answers of {number(times.output_tokens.mean())} tokens in the mean, no query waiting",
                                 (at["model"],), "answers", _pair(at), _longest(frame)))
    return _some(found, "timed answers of queries that the classifier keeps")


def _longest(frame: pd.DataFrame) -> str:
    table = tables_times.within_table(frame)
    told = [f"{line.model} {line.tokens} tokens" for line in table.itertuples()]
    return f"within 100 ms: {', '.join(told)}" if told else ""


def accuracy_behind_cloud(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy that is lost beside always asking the cloud where the classifier keeps 75 % of the queries, in % points, paired
    by item."""
    return [_seen(stats.percent(estimate_of(line, "behind", "", "accuracy behind the cloud's"), "% points"), line, SIMPLE,
                  f"{number(100 * line.kept)} % were kept, {number(100 * line.kept_right)} % of these right; "
                  f"{number(100 * line.wasted)} % were sent and won nothing")
            for _, line in _points(frame, setting, SIMPLE).iterrows()]


def cost_saved(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the cloud's tokens, prompts and answers, that nobody pays where the classifier keeps 78 % of the queries, in
    %."""
    return [_seen(stats.percent(estimate_of(line, "saved", "", "the cloud's tokens saved with 78 % kept")), line, KEPT,
                  f"{number(100 * line.kept)} % of the queries were kept, accuracy is {number(100 * line.behind)} % points "
                  "behind the cloud's")
            for _, line in _points(frame, setting, KEPT).iterrows()]


def queries_kept(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the queries that the classifier can keep while 95 % of the cloud's gain are had, in %."""
    return [_seen(stats.percent(estimate_of(line, "kept", "", "queries kept at 95 % of the cloud's gain")), line, AS_GOOD,
                  f"accuracy is {number(100 * line.behind)} % points behind the cloud's; {number(100 * line.saved)} % of its "
                  "tokens are saved")
            for _, line in _points(frame, setting, AS_GOOD).iterrows()]


def edge_response_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Median time of a whole answer on the device, in seconds. The samples are answers."""
    pairs = {at["model"]: _pair(at) for at, _ in _recorded(frame, setting)}
    replies = rows_of(frame, "reply", metrics=("reply_s",))
    return _some([Observation(tables_times.quantile(replies.loc[replies.model == model, "value"], 0.5, "s",
                                                    "median answer on the device"),
                              "whole answers as long as recorded", (model,), "answers", pair)
                  for model, pair in pairs.items() if (replies.model == model).any()], "timed answers of the device")


def round_trip_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Mean time to a cloud and back, in seconds, without what it takes for an answer. The samples are round trips."""
    trips = rows_of(frame, "network", metrics=("round_trip_s",)).value
    if trips.empty:
        raise NotMeasured("round trips to a cloud beyond this machine; the kit's own are drawn from a model of a network, "
                          "which takes its range from this very claim")
    found = stats.rate_interval(trips, unit="s", what="round trip to the cloud")
    return [Observation(found, "round trips", (), "round trips", "the network")]


def cloud_response_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Median time of an answer from a cloud, way and answer together, in seconds. The samples are answers."""
    waits = rows_of(frame, "soak", metrics=("wait_s",))
    waits = waits[waits.answered_by == "cloud"] if len(waits) else waits
    if waits.empty:
        raise NotMeasured("answers of a cloud beyond this machine; the kit's own come over a model of a network")
    return [Observation(tables_times.quantile(here.value, 0.5, "s", "median answer of the cloud"), "answers of the cloud",
                        (model,), "answers", f"{model} on the device, {cloud} in the cloud")
            for (model, cloud), here in waits.groupby(["model", "cloud"])]


def _recorded(frame: pd.DataFrame, setting: Setting):
    """The kit's own pairs of a claim's setting."""
    return [(at, items) for at, items in tables.sets(frame)
            if at["set"] == tables.RECORDED and kind(at["model"]) in setting.models]


def _points(frame: pd.DataFrame, setting: Setting, point: str) -> pd.DataFrame:
    table = tables_points.point_table(frame)
    return _text(table[table.point == point], setting, "recorded answers of both models, in several folds")


def _text(table: pd.DataFrame, setting: Setting, needed: str) -> pd.DataFrame:
    """The lines of the classifier of the text alone for the kit's own pairs. Raises NotMeasured."""
    return _of(table[(table.policy == TEXT) & (table["set"] == tables.RECORDED)], setting, needed)


def _of(table: pd.DataFrame, setting: Setting, needed: str) -> pd.DataFrame:
    table = table[table.model.map(kind).isin(setting.models)] if len(table) else table
    if table.empty:
        raise NotMeasured(f"{needed} (models {' or '.join(setting.models)})")
    return table


def _some(found: list[Observation], needed: str) -> list[Observation]:
    if not found:
        raise NotMeasured(needed)
    return found


def _pair(at) -> str:
    return f"{at['model']} on the device, {at['cloud']} in the cloud"


def _seen(estimate: stats.Estimate, line: pd.Series, where: str, note: str) -> Observation:
    """An observation of a pair; its samples are items."""
    return Observation(estimate, f"{_pair(line)}, {where}", (line.model, line.cloud), "items", _pair(line), note)


QUANTITIES = {
    "classifier_parameters": Quantity(classifier_parameters, "size"),
    "queries_simple": Quantity(queries_simple, "quality", 0.0, 100.0),
    "p95_latency_s": Quantity(p95_latency_s, "time"),
    "accuracy_behind_cloud": Quantity(accuracy_behind_cloud, "quality", -100.0, 100.0),
    "cost_saved": Quantity(cost_saved, "quality", 0.0, 100.0),
    "queries_kept": Quantity(queries_kept, "quality", 0.0, 100.0),
    "edge_response_s": Quantity(edge_response_s, "time"),
    "round_trip_s": Quantity(round_trip_s, "time"),
    "cloud_response_s": Quantity(cloud_response_s, "time"),
}
