"""Traffic: arrivals with the moments that they should have, queues against closed forms and brute force, and who pays what."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest

from edgekit.analyze import traffic
from edgekit.analyze.traffic import ARRIVALS, POISSON, TRACES, Outages, Queries, TrafficError


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
