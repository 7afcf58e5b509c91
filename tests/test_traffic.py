"""Traffic: arrivals with the moments that they should have, queues against closed forms and brute force, and who pays what."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time

import numpy as np
import pandas as pd
import pytest

from edgekit.analyze import once, traffic
from edgekit.analyze.traffic import ARRIVALS, POISSON, TRACES, Outages, Queries, TrafficError
from edgekit.catalog import prices
from edgekit.plots import style
from edgekit.studies.routing import drawings_traffic as drawings
from edgekit.studies.routing import tables_traffic as tables


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("cv", "skewness"), [*((trace.cv, trace.skewness) for trace in TRACES.values()), (2.0, 5.0)])
def test_the_mixture_has_exactly_the_moments_that_were_asked(cv, skewness):
    """Moments of a mixture of exponentials: E x^k = k! (p a^k + (1 - p) b^k)."""
    chance, one, other = traffic.hyperexponential(cv, skewness)
    assert 0 < chance < 1 and one > other > 0
    m1, m2, m3 = (math.factorial(k) * (chance * one**k + (1 - chance) * other**k) for k in (1, 2, 3))
    sd = math.sqrt(m2 - m1**2)
    assert (m1, sd / m1, (m3 - 3 * m1 * m2 + 2 * m1**3) / sd**3) == pytest.approx((1, cv, skewness), rel=1e-6)


@pytest.mark.parametrize(("cv", "skewness"), [(0.8, 3.0), (1.0, 2.0), (1.094, 1.5), (13.0, 10.0)])
def test_moments_that_no_mixture_has_are_refused(cv, skewness):
    with pytest.raises(TrafficError, match="expected gaps with cv above 1"):
        traffic.hyperexponential(cv, skewness)


@pytest.mark.parametrize("kind", ARRIVALS)
def test_arrivals_come_at_their_rate_and_spread_as_the_trace_did(kind):
    gaps = np.diff(traffic.arrivals(kind, 400_000, 5.0, drawn()), prepend=0.0)
    assert (gaps >= 0).all() and gaps.mean() == pytest.approx(0.2, rel=0.08)
    assert gaps.std() / gaps.mean() == pytest.approx(TRACES[kind].cv if kind in TRACES else 1.0, rel=0.12)
    if kind == POISSON:
        counts = np.bincount(np.cumsum(gaps).astype(int))[:-1]
        assert counts.var() / counts.mean() == pytest.approx(1.0, rel=0.03)


def test_arrivals_that_cannot_be_are_refused():
    with pytest.raises(TrafficError, match="unknown arrivals 'pareto'; known: Poisson, conversation, code"):
        traffic.arrivals("pareto", 10, 1.0, drawn())
    for count, rate in ((0, 1.0), (10, 0.0), (10, float("nan"))):
        with pytest.raises(TrafficError, match="expected a rate above 0"):
            traffic.arrivals(POISSON, count, rate, drawn())


def brute(ready, service) -> np.ndarray:
    """A server that is told one query at a time."""
    free, found = 0.0, np.zeros(len(ready))
    for i in sorted(range(len(ready)), key=lambda i: (ready[i], i)):
        found[i] = max(0.0, free - ready[i])
        free = max(free, ready[i]) + service[i]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_waits_are_lindleys_whatever_the_order(seed):
    random = drawn(seed)
    ready, service = random.random(500) * 300, random.exponential(0.7, 500)
    assert traffic.waits(ready, service) == pytest.approx(brute(ready, service), abs=1e-9)
    assert (traffic.waits(ready, np.zeros(500)) == 0).all()
    together = traffic.waits(np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0]))
    assert together.tolist() == [0, 1, 3, 6]


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize(("kind", "spread"), [("M/M/1", 1.0), ("M/D/1", 0.0)])
def test_waits_are_those_of_pollaczek_and_khinchine(load, kind, spread):
    """The mean wait of M/G/1 is load (1 + cv of the service squared) / (2 (1 - load)) service times."""
    random, n = drawn(1), 1_000_000
    service = random.exponential(size=n) if spread else np.ones(n)
    waited = traffic.waits(traffic.arrivals(POISSON, n, load, random), service)
    assert waited.mean() == pytest.approx(load * (1 + spread) / (2 * (1 - load)), rel=0.06)
    if spread:  # P(W > t) = load exp(-(1 - load) t)
        assert (waited > 2).mean() == pytest.approx(load * math.exp(-2 * (1 - load)), rel=0.06)
        assert (waited == 0).mean() == pytest.approx(1 - load, rel=0.03)


def test_bursts_make_waits_longer_at_the_same_load():
    service = np.full(100_000, 1.0)
    mean = [traffic.waits(traffic.arrivals(kind, 100_000, 0.6, drawn(2)), service).mean() for kind in ARRIVALS]
    assert mean[0] < mean[1] < mean[2] / 5


def queries(n, share=0.5, tried=False, seed=0) -> Queries:
    random = drawn(seed)
    return Queries(np.full(n, 0.002), random.exponential(0.1, n), random.exponential(0.3, n), random.uniform(0.2, 0.8, n),
                   random.random(n) < share, tried)


def slow(times, asked: Queries, outages: Outages | None):
    """The same another way: every visit to the device in one list, sorted anew whenever one is added."""
    n, breaker = len(times), {}
    visits = [(time, 0, i) for i, time in enumerate(times)]
    free, done, waited, by_cloud = 0.0, np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    while visits:
        visits.sort(key=lambda visit: (visit[0], visit[1], visit[2]))
        ready, visit, i = visits.pop(0)
        begin = max(free, ready)
        waited[i] += begin - ready
        if visit:
            free = done[i] = begin + asked.edge_s[i]
            continue
        decided = begin + asked.decide_s[i] + asked.tried * asked.edge_s[i] * asked.sent[i]
        if not asked.sent[i]:
            free = done[i] = decided + asked.edge_s[i]
            continue
        free = decided
        inside = [] if outages is None else np.flatnonzero((outages.begins <= decided) & (decided < outages.ends))
        if not len(inside):
            by_cloud[i], done[i] = True, decided + asked.round_trip_s[i] + asked.cloud_s[i]
            continue
        opens = breaker.setdefault(int(inside[0]), decided + outages.give_up_s[inside[0]])
        if asked.tried:
            done[i] = max(opens, decided)
        elif decided < opens:
            visits.append((opens, 1, i))
        else:
            free = done[i] = decided + asked.edge_s[i]
    return done - times, waited, by_cloud


def outages_of(seed=0) -> Outages:
    random = drawn(seed)
    return Outages.drawn(random.exponential(20.0, 300), random.exponential(8.0, 300), np.array([1.0, 6.0]), 4000.0, random)


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize("kind", [POISSON, "conversation"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_serving_without_outages_is_what_events_say(kind, share, tried):
    times, asked = traffic.arrivals(kind, 2000, 5.0, drawn(3)), queries(2000, share, tried)
    found = traffic.serve(times, asked)
    expected = slow(times, asked, None)
    assert found.latency_s == pytest.approx(expected[0], abs=1e-9) and found.waited_s == pytest.approx(expected[1], abs=1e-9)
    assert (found.by_cloud == expected[2]).all() and (found.by_cloud == asked.sent).all()


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_serving_through_outages_is_what_events_say_and_loses_nobody(tried, seed):
    times, asked, down = traffic.arrivals(POISSON, 1500, 3.0, drawn(seed)), queries(1500, 0.5, tried), outages_of(seed)
    found, expected = traffic.serve(times, asked, down), slow(times, asked, down)
    assert found.latency_s == pytest.approx(expected[0], abs=1e-9) and found.waited_s == pytest.approx(expected[1], abs=1e-9)
    assert (found.by_cloud == expected[2]).all() and 0 < found.by_cloud.sum() < asked.sent.sum()
    alone = asked.decide_s + np.where(found.by_cloud, asked.round_trip_s + asked.cloud_s, asked.edge_s)
    assert (found.latency_s >= alone - 1e-9).all()


def test_under_an_outage_that_lasts_latency_is_the_devices_but_for_those_that_found_it():
    n = 3000
    times, asked = traffic.arrivals(POISSON, n, 2.0, drawn(5)), queries(n, 1.0)
    found = traffic.serve(times, asked, Outages(np.array([0.0]), np.array([np.inf]), np.array([3.0])))
    alone = traffic.serve(times, dataclasses.replace(asked, sent=np.zeros(n, dtype=bool)))
    assert not found.by_cloud.any()
    later = times > times[0] + 3.0 + 20
    assert found.latency_s[later] == pytest.approx(alone.latency_s[later], abs=1e-9) and later.sum() > 2900
    assert found.latency_s[0] == pytest.approx(3.0 + asked.decide_s[0] + asked.edge_s[0])


def test_the_first_finds_the_outage_those_beside_it_are_let_go_with_it_and_later_ones_lose_nothing():
    down = Outages(np.array([10.0, 50.0]), np.array([20.0, 60.0]), np.array([4.0, 2.0]))
    times = np.array([9.9, 10.0, 12.0, 13.9, 14.5, 19.9, 20.0, 55.0, 58.0])
    none = np.zeros(9)
    found = traffic.serve(times, Queries(none, none, none, none, np.ones(9, dtype=bool)), down)
    assert found.by_cloud.tolist() == [True, False, False, False, False, False, True, False, False]
    assert found.latency_s == pytest.approx([0, 4, 2, 0.1, 0, 0, 0, 2, 0])


def test_outages_are_drawn_for_their_share_of_the_time():
    down = Outages.drawn(np.array([30.0]), np.array([10.0]), np.array([1.0]), 1e5, drawn())
    times = np.arange(0.0, 1e5, 0.5)
    inside = np.searchsorted(down.begins, times, side="right") > np.searchsorted(down.ends, times, side="right")
    assert inside.mean() == pytest.approx(0.25, abs=0.001) and down.ends[-1] > 1e5


def test_ten_thousand_queries_through_many_policies_take_little():
    """The goal is 20 s for all policies; a hundred replays, outages and all, in no more than that by a wide margin."""
    began = time.process_time()
    down = outages_of(2)
    for seed in range(100):
        traffic.serve(traffic.arrivals("code", 10_000, 3.0, drawn(seed)), queries(10_000, 0.3, seed=seed), down)
    assert time.process_time() - began < 10


# Tables and drawings


def items(n: int = 200) -> pd.DataFrame:
    random = drawn(7)
    return pd.DataFrame(dict(task_name="t", item=[f"i{i}" for i in range(n)], edge_s=0.1, cloud_s=0.2, decide_s=0.001,
                             cloud_asked=random.integers(10, 50, n), cloud_answered=random.integers(1, 100, n)))


def row(task: str, metric: str, value: float, **more) -> dict:
    return dict(task=task, metric=metric, value=value, source="modelled", repeat=0, run="r") | more


def network_rows() -> list[dict]:
    drawn = [row("network", name, value, item="draw-0") for name, value in (("round_trip_s", 0.5), ("up_s", 60.0),
                                                                            ("down_s", 20.0))]
    return [*drawn, row("network", "give_up_s", 2.0, outage="silent")]


def soak_rows() -> list[dict]:
    """Ten queries, eight of them sent: alone, where the cloud is right more often, and where it is down from the start."""
    found = []
    for network in ("none", "clear", "down"):
        for i in range(10):
            sent = "cloud" if network != "none" and i < 8 else "edge"
            by = "edge" if network == "down" else sent
            why = "none" if by == sent else ("slow" if i == 0 else "open")
            at = dict(model="small", cloud="large", network=network, task_name="t", item=f"i{i}", sent_to=sent, answered_by=by,
                      reason=why, private=False, attempts=3 * (why == "slow"))
            right = int(i < 9 if by == "cloud" else i < 4)
            found += [row("soak", "correct", right, **at), row("soak", "answers", 1, **at),
                      row("soak", "wait_s", {"slow": 6.0, "open": 0.0}.get(why, 0.5 * (by == "cloud")), **at)]
    return found


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame([*network_rows(), *soak_rows()])


@pytest.fixture(scope="module")
def computed() -> dict[str, pd.DataFrame]:
    """The tables of traffic and cost, by name, where every fourth item is sent."""
    with pytest.MonkeyPatch.context() as patch, once.remembering():
        for name in ("_items", "_recorded"):
            patch.setattr(tables, name, lambda frame: [(("small", "large"), items())])
        patch.setattr(tables, "sent_at", lambda items, policy, point: np.arange(len(items)) % 4 == 0)
        rows = pd.DataFrame(network_rows())
        return {name: getattr(tables, f"{name}_table")(rows) for name in ("traffic", "latency", "cost")}


def test_the_soaks_table_counts_who_answered_and_what_that_is_worth(frame):
    table = tables.soak_table(frame).set_index("network")
    assert table.n.tolist() == [10] * 3 and table.lost.tolist() == table.twice.tolist() == [0] * 3
    assert table.by_cloud.to_dict() == {"none": 0, "clear": 8, "down": 0} and table.fell_back.to_dict() == {
        "none": 0, "clear": 0, "down": 8}
    assert table.accuracy.to_dict() == pytest.approx({"none": 0.4, "clear": 0.8, "down": 0.4})
    assert table.above["clear"] == pytest.approx(0.4) and table.above["down"] == 0 and np.isnan(table.above["none"])
    assert table.wait_most_s["down"] == 6.0
    broken = frame.copy()
    broken.loc[(broken.metric == "answers") & (broken.network == "down"), "value"] = [0, 2, *[1] * 8]
    table = tables.soak_table(broken).set_index("network")
    assert (table.lost["down"], table.twice["down"]) == (1, 1)


def test_fallbacks_are_counted_by_reason_of_all_that_were_sent(frame):
    table = tables.fallback_table(frame).set_index(["network", "reason"])
    assert table.fell_back.to_dict() == {("down", "open"): 7, ("down", "slow"): 1} and set(table.n) == {8}
    assert table.share["down", "open"] == 7 / 8 and table.wait_s["down", "slow"] == 6.0


def test_traffic_without_a_queue_to_speak_of_takes_what_models_and_network_take(computed):
    """Constant service: M/D/1 waits of the device alone, at every load; the cloud waits for nobody."""
    table = computed["traffic"]
    assert set(table.policy) == set(tables.POLICIES) and set(table.source) == {"modelled"} and set(table.n) == {tables.RUNS}
    poisson = table[(table.arrivals == POISSON) & (table.network == tables.CLEAR)].set_index(["policy", "load"])
    for load in tables.LOADS[:-1]:
        at = poisson.loc["always the device", load]
        assert at.wait_s == pytest.approx(0.1 * load / (2 * (1 - load)), rel=0.1)
        assert at.wait_s_low < at.wait_s < at.wait_s_high
        assert (at.kept, at.fell_back, at.device_p95_s) == (1, 0, at.p95_s)
        cloud = poisson.loc["always the cloud", load]
        assert (cloud.kept, cloud.wait_s, cloud.p50_s) == pytest.approx((0, 0, 0.7)) and np.isnan(cloud.device_p50_s)
        text = poisson.loc["text", load]
        assert text.kept == pytest.approx(0.75, abs=0.02) and at.wait_s > text.wait_s > 0
        assert poisson.loc["text and confidence", load].wait_s >= at.wait_s, "a cascade asks the device for every query"
    heavy = table[(table.arrivals == "code") & (table.network == tables.CLEAR)].set_index(["policy", "load"])
    assert (heavy.loc["always the device"].wait_s > poisson.loc["always the device"].wait_s).all()
    faulty = table[(table.network == tables.FAULTY)].set_index(["policy", "arrivals"])
    assert set(faulty.load) == {tables.AT_LOAD} and 0 < faulty.fell_back["always the cloud", POISSON] < 0.5
    assert faulty.fell_back["always the device", POISSON] == 0


def test_the_distribution_of_latencies_has_the_quantiles_of_the_table(computed):
    lines = computed["latency"]
    one = lines[(lines.policy == "always the device") & (lines.arrivals == POISSON) & (lines.network == tables.CLEAR)]
    assert one.latency_s.is_monotonic_increasing and one.share.tolist() == tables.GRID.tolist()
    table = computed["traffic"].set_index(["policy", "arrivals", "network", "load"])
    at = table.loc["always the device", POISSON, tables.CLEAR, tables.AT_LOAD]
    assert one.set_index("share").latency_s[0.99] == pytest.approx(at.p99_s, rel=0.02)


def test_cost_is_what_the_sent_items_tokens_cost_by_each_dated_price(computed):
    table = computed["cost"].set_index(["policy", "price"])
    asked = items()
    usd = 2.5e-6 * asked.cloud_asked + 10e-6 * asked.cloud_answered
    sent = np.arange(len(asked)) % 4 == 0
    assert table.usd["always the cloud", "gpt-4o-2024-08"] == pytest.approx(1000 * usd.mean())
    assert table.usd["text", "gpt-4o-2024-08"] == pytest.approx(1000 * usd[sent].sum() / len(asked))
    assert table.saved["text", "gpt-4o-2024-08"] == pytest.approx(1 - usd[sent].sum() / usd.sum())
    assert table.usd["always the device"].eq(0).all() and table.saved["always the cloud"].eq(0).all()


def test_rows_without_a_cloud_give_empty_tables_with_their_columns():
    empty = pd.DataFrame([row("speed", "ttft_s", 1.0, model="small")])
    for table in (tables.soak_table, tables.fallback_table, tables.traffic_table, tables.latency_table, tables.cost_table):
        assert table(empty).empty and {"model", "cloud", "source"} <= set(table(empty).columns)


def test_drawings_show_the_policies_the_waits_and_the_reasons(frame, computed):
    fig, shown = drawings.routing_latency(computed["latency"])
    assert len(fig.axes) == 4 and set(shown.policy) == set(tables.POLICIES)
    assert [len(ax.lines) for ax in fig.axes] == [len(tables.POLICIES) + 1] * 4, "one a policy, and 100 ms"
    assert fig.axes[0].lines[0].get_xdata().min() >= 0.1
    fig, shown = drawings.routing_waiting(computed["traffic"])
    assert [ax.get_title() for ax in fig.axes][0] == "Poisson arrivals" and "always the cloud" not in set(shown.policy)
    fig, shown = drawings.routing_fallbacks(tables.fallback_table(frame))
    ax, = fig.axes
    assert sorted(patch.get_width() for patch in ax.patches) == [1, 7] and ax.texts[0].get_text() == " 8 of 8"
    with pytest.raises(style.PlotError, match="no lines to draw"):
        drawings.routing_fallbacks(tables.fallback_table(frame)[:0])


# Prices


def test_every_price_has_a_day_a_source_and_costs_what_it_says():
    for name in prices.names():
        price = prices.load(name)
        assert price.source and datetime.date.fromisoformat(price.since) < datetime.date(2030, 1, 1)
        assert 0 < price.input_usd <= price.output_usd < 1e-3
    assert prices.load("gpt-4-2023-03").usd(1000, 1000) == pytest.approx(0.03 + 0.06)
    assert prices.load("gpt-4o-mini-2024-07").usd(np.array([1e6, 0]), np.array([0, 1e6])).tolist() == pytest.approx([0.15, 0.6])


def test_a_price_that_is_not_there_and_a_table_that_is_none_are_told(tmp_path, monkeypatch):
    with pytest.raises(prices.PriceError, match="unknown price 'gpt-9'; known: gpt-4-2023-03, .*add one with its day"):
        prices.load("gpt-9")
    good = "x:\n  model: m\n  from: '2024-01-01'\n  input_usd_per_mtok: 1.0\n  output_usd_per_mtok: 2.0\n  source: s\n"
    for text, told in ((good.replace("2024-01-01", "soon"), "expected a day"), (good.replace("1.0", "-1.0"), "at least 0"),
                       (good.replace("  source: s\n", ""), "x: expected model, from"), ("[]", "expected prices by name"),
                       (good.replace("1.0", "'1.0'"), "x: expected model, from")):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(text)
        monkeypatch.setattr(prices, "FILE", file)
        with pytest.raises(prices.PriceError, match=told):
            prices.load("x")
