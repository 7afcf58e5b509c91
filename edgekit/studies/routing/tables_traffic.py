"""The cloud of 11_routing as tables: what came of the soak's queries, what a day of traffic waits for, and what it costs.

Traffic is modelled: recorded items are drawn, each takes as long as its model alone does, the way to the cloud is drawn from
the network's rows, and one device answers one query at a time (see analyze/traffic.py). Intervals are over RUNS days of QUERIES
each. A load is the share of the time that the device would be busy if it answered everything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from edgekit.analyze import stats, traffic
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import Estimate
from edgekit.analyze.traffic import ARRIVALS, Outages, Queries, Served
from edgekit.catalog import prices
from edgekit.schema import CONFIDENT, NONE, TEXT
from edgekit.studies.routing import tables
from edgekit.studies.routing.tables import CASCADES, ITEM, RECORDED
from edgekit.studies.routing.tables_points import sent_at
from edgekit.studies.routing.tables_times import service_table

QUERIES, RUNS = 10_000, 5
LOADS = (0.1, 0.3, 0.5, 0.7, 0.9)
AT_LOAD = 0.5  # where distributions and outages are shown
POINT = "75 % kept"
ROUTED = (TEXT, CONFIDENT)
POLICIES = (tables.EDGE, tables.CLOUD, *ROUTED)
NETWORKS = CLEAR, FAULTY = ("clear", "faulty")
SHARES = (0.5, 0.95, 0.99)
GRID = np.array([0.01, *np.linspace(0.025, 0.975, 39), 0.985, 0.99, 0.995, 0.999])
PAIR = ["model", "cloud"]
MEASURED = (*(f"{side}p{round(100 * share)}_s" for side in ("device_", "") for share in SHARES), "wait_s", "kept", "fell_back")
DAY = [*PAIR, "policy", "arrivals", "network", "load"]


@once
def soak_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair and network of the soak: its queries, by whom they were answered, lost (by nobody) and twice answered;
    accuracy, and what it is above the device's alone on the same queries; the 95th percentile and the longest of what a query
    spent on the cloud where the device answered in the end."""
    rows = rows_of(frame, "soak")
    columns = [*PAIR, "network", "n", "by_edge", "by_cloud", "lost", "twice", "fell_back",
               *stats.with_ends("accuracy", "above"), "wait_p95_s", "wait_most_s", "source"]
    lines = []
    for (model, cloud), here in rows.groupby(PAIR):
        right = here[here.metric == "correct"].pivot_table(index=ITEM, columns="network", values="value")
        for network, one in here.groupby("network", sort=False):
            given = one[one.metric == "answers"]
            by = given.answered_by.value_counts()
            line = dict(model=model, cloud=cloud, network=network, n=len(given), by_edge=int(by.get("edge", 0)),
                        by_cloud=int(by.get("cloud", 0)), lost=int((given.value == 0).sum()),
                        twice=int((given.value > 1).sum()), fell_back=int(_fell(given).sum()), source=one.source.iloc[0])
            line |= stats.ends_of("accuracy", stats.wilson(int(right[network].sum()), len(right)))
            if network != NONE and NONE in right:
                line |= stats.ends_of("above", stats.paired_difference(right[network].astype(int), right[NONE].astype(int)))
            waits = one.loc[(one.metric == "wait_s") & (one.answered_by != "cloud"), "value"]
            lines.append(line | dict(wait_p95_s=waits.quantile(0.95), wait_most_s=waits.max()))
    return pd.DataFrame(lines, columns=columns)


@once
def fallback_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a network of the soak and reason: how many queries fell back for it, of how many that were sent (`n`), with the
    mean time that they had spent on the cloud."""
    rows = rows_of(frame, "soak")
    waits = rows[(rows.metric == "wait_s") & (rows.sent_to == "cloud")]
    sent = waits.groupby([*PAIR, "network"]).size()
    fell = waits[_fell(waits)]
    lines = [dict(model=model, cloud=cloud, network=network, reason=reason, n=int(sent[model, cloud, network]),
                  wait_s=here.value.mean(), source=here.source.iloc[0])
             | stats.ends_of("share", stats.wilson(len(here), int(sent[model, cloud, network]))) | dict(fell_back=len(here))
             for (model, cloud, network, reason), here in fell.groupby([*PAIR, "network", "reason"])]
    columns = [*PAIR, "network", "reason", "fell_back", "n", *stats.with_ends("share"), "wait_s", "source"]
    return pd.DataFrame(lines, columns=columns)


def _fell(rows: pd.DataFrame) -> pd.Series:
    return (rows.sent_to == "cloud") & (rows.answered_by == "edge")


@once
def traffic_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, policy, kind of arrivals, network and load: p50, p95 and p99 in seconds, of the device's answers
    (`device_…`; empty where it gives none) and of all, from arrival to answer; the mean wait in the device's queue; the shares
    that the device answered (`kept`) and that fell back. n: runs."""
    lines = []
    for key, here in day_table(frame).groupby(DAY, sort=False):
        line = dict(zip(DAY, key, strict=True), n=len(here), source="modelled")
        for name in MEASURED:
            if here[name].notna().all():
                line |= stats.ends_of(name, _over_runs(name, here[name].to_list()))
        lines.append(line)
    return pd.DataFrame(lines, columns=[*DAY, *stats.with_ends(*MEASURED), "n", "source"])


@once
def latency_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, policy, kind of arrivals, network and share at AT_LOAD: the latency in seconds that this share of the
    queries stays within, the mean over runs."""
    days = day_table(frame)
    parts = [pd.DataFrame(dict(zip(DAY, key, strict=True)) | dict(
        share=GRID, latency_s=np.mean(here.within_s.to_list(), axis=0), source="modelled"))
        for key, here in days[days.load == AT_LOAD].groupby(DAY, sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*DAY, "share", "latency_s", "source"])


@once
def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, policy and dated price: US dollars for 1,000 queries, and the share of the cost of always asking the cloud
    that is saved, over items. The tokens are those of the model that stood for the cloud, whoever's price they have."""
    lines = []
    for (model, cloud), items in _recorded(frame):
        for policy, sent in _sent(items):
            for price in map(prices.load, prices.names()):
                usd = price.usd(items.cloud_asked, items.cloud_answered).to_numpy(float)
                lines.append(dict(model=model, cloud=cloud, policy=policy, price=price.name, since=price.since, n=len(items),
                                  source="modelled")
                             | stats.ends_of("usd", stats.mean_interval(1000 * usd * sent).within(0, np.inf))
                             | stats.ends_of("saved", stats.ratio_of_sums(usd * ~sent, usd).within(0, 1)))
    return pd.DataFrame(lines, columns=[*PAIR, "policy", "price", "since", *stats.with_ends("usd", "saved"), "n", "source"])


def _over_runs(name: str, values: list[float]) -> Estimate:
    if name in ("kept", "fell_back"):
        return stats.mean_interval(values).within(0, 1)
    return stats.rate_interval(values) if min(values) > 0 else stats.mean_interval(values).within(0, np.inf)


def _recorded(frame: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """(model, cloud) and the items that both answered for these rows."""
    yield from (((at["model"], at["cloud"]), items) for at, items in tables.sets(frame) if at["set"] == RECORDED)


def _items(frame: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The same with the times that each takes alone, where both models were timed."""
    times = service_table(frame)
    for (model, cloud), items in _recorded(frame) if len(times) else ():
        here = times[(times.model == model) & (times.cloud_model == cloud)]
        if len(here):
            yield (model, cloud), items.merge(here[[*ITEM, "edge_s", "cloud_s", "decide_s"]], on=ITEM, how="inner",
                                              validate="one_to_one")


def _sent(items: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """(policy, which items it sends) of POLICIES that these rows have, the routed ones at POINT."""
    yield tables.EDGE, np.zeros(len(items), dtype=bool)
    yield tables.CLOUD, np.ones(len(items), dtype=bool)
    for policy in ROUTED:
        sent = sent_at(items, policy, POINT)
        if sent is not None:
            yield policy, sent


@once
def day_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a DAY and run: MEASURED, and within_s, the latencies at the shares of GRID. Every policy meets the same queries,
    arrivals and outages."""
    network = rows_of(frame, "network")
    drawn = {name: network.loc[network.metric == name, "value"].to_numpy(float)
             for name in ("round_trip_s", "up_s", "down_s", "give_up_s")}
    lines = []
    if all(map(len, drawn.values())):
        lines = [dict(zip(DAY, (*pair, policy, kind, name, load), strict=True), run=run) | served
                 for pair, items in _items(frame) for run in range(RUNS) for kind in ARRIVALS
                 for name, load in [*((CLEAR, load) for load in LOADS), (FAULTY, AT_LOAD)]
                 for policy, served in _day(items, kind, name, load, drawn, run)]
    return pd.DataFrame(lines, columns=[*DAY, "run", *MEASURED, "within_s"])


def _day(items: pd.DataFrame, kind: str, network: str, load: float, drawn: dict[str, np.ndarray],
         run: int) -> Iterator[tuple[str, dict]]:
    random = np.random.default_rng([run, ARRIVALS.index(kind), NETWORKS.index(network), round(100 * load)])
    chosen = random.integers(len(items), size=QUERIES)
    times = traffic.arrivals(kind, QUERIES, load / items.edge_s.mean(), random)
    way = random.choice(drawn["round_trip_s"], QUERIES)
    outages = None if network == CLEAR else Outages.drawn(drawn["up_s"], drawn["down_s"], drawn["give_up_s"], times[-1], random)
    edge_s, cloud_s, decide_s = (items[name].to_numpy(float)[chosen] for name in ("edge_s", "cloud_s", "decide_s"))
    for policy, sent in _sent(items):
        decides = decide_s if policy in ROUTED else np.zeros(QUERIES)
        asked = Queries(decides, edge_s, cloud_s, way, sent[chosen], policy in CASCADES)
        yield policy, _measured(traffic.serve(times, asked, outages), sent[chosen])


def _measured(served: Served, sent: np.ndarray) -> dict:
    by_edge, found = ~served.by_cloud, dict(within_s=np.quantile(served.latency_s, GRID))
    for side, latencies in (("device_", served.latency_s[by_edge]), ("", served.latency_s)):
        if len(latencies):
            found |= {f"{side}p{round(100 * share)}_s": float(np.quantile(latencies, share)) for share in SHARES}
    return found | dict(wait_s=float(served.waited_s.mean()), kept=float(by_edge.mean()),
                        fell_back=float((sent & by_edge).mean()))
