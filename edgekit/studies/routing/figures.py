"""The figures of 11_routing."""

from __future__ import annotations

from edgekit.catalog import routers
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.routing import (
    drawings_curves,
    drawings_traffic,
    tables,
    tables_compared,
    tables_points,
    tables_times,
    tables_traffic,
)

FIGURES = (
    Figure("routing_curve", lambda frame: (tables_compared.drawn_curves(frame),),
           drawings_curves.routing_curve, "answers of both models with an estimator's judgement",
           "Share of right answers against cost, over all thresholds of each score. Recorded pair: operations of both models, "
           "2 a weight and token, over those of sending every query, a cascade's first answers counted; published answers: "
           "calls. Bounds: a draw by lot (dashed) and the oracle of the two models (black); mark: one fixed model "
           "alone, with Wilson's 95 % interval."),
    Figure("routing_gain", lambda frame: (tables.policy_table(frame), routers.published()), drawings_curves.routing_gain,
           "answers of both models with an estimator's judgement",
           "Share of the cloud's gain that each score gets, in the mean over all shares of queries sent, with 95 % intervals "
           "over resampled items, each judged by weights that never saw it. Dotted: a draw by lot; crosses: routers of others "
           f"between other models, as they were published. {AGAIN}"),
    Figure("routing_errors", lambda frame: (tables_points.error_table(frame),), drawings_curves.routing_errors,
           "an estimator's probabilities",
           "The two errors apart, as shares of all queries, against the threshold on the estimator's probability that the "
           "device has a query right (text alone): answers kept that are wrong where the cloud's are right, and calls that won "
           "nothing, since the device was right too or the cloud wrong. Bands: Wilson's 95 % intervals; dotted: queries kept."),
    Figure("routing_calibration", lambda frame: (tables_points.reliability_table(frame),), drawings_curves.routing_calibration,
           "an estimator's probabilities",
           "Share of queries that the device has right against the probability that the estimator said, ten bins of as many "
           "queries, with Wilson's 95 % intervals. Dotted: as it says."),
    Figure("routing_mix", lambda frame: (tables_compared.mix_table(frame),), drawings_curves.routing_mix,
           "answers of the recorded pair in several folds",
           "What the threshold that was chosen for 95 % of the cloud's gain on the recorded mix saves (left) and loses (right) "
           "where another share of the queries is simple, that is, right on the device, with 95 % intervals over items. "
           "Dotted: the recorded mix; green: what S1.22 accepts."),
    Figure("routing_within", lambda frame: (tables_times.within_table(frame),), drawings_curves.routing_within,
           "times of several models",
           "The longest answer whose last token comes within 100 ms of the query, the estimator's decision counted, by size of "
           "the model, at the shortest prompt that was timed; below one: not even the first token comes in time."),
    Figure("routing_latency", lambda frame: (tables_traffic.latency_table(frame),), drawings_traffic.routing_latency,
           "times of both models beside draws of the network",
           "Share of the queries that are answered within a time, queueing included (modelled): recorded queries and times of "
           f"each model alone, at a load of {tables_traffic.AT_LOAD:g}, in the mean over days of traffic. Routed policies keep "
           "75 % of the queries. Dotted: 100 ms."),
    Figure("routing_waiting", lambda frame: (tables_traffic.traffic_table(frame),), drawings_traffic.routing_waiting,
           "times of both models beside draws of the network",
           "Mean wait in the device's queue against the load, for arrivals as a Poisson process and with the moments of "
           f"published traces (modelled), with 95 % intervals over days of traffic. {AGAIN}"),
    Figure("routing_fallbacks", lambda frame: (tables_traffic.fallback_table(frame),), drawings_traffic.routing_fallbacks,
           "queries that fell back to the device",
           "Queries of the soak that were sent to the cloud and answered by the device in the end, each once, by network and "
           "reason, and how many were sent."),
)
