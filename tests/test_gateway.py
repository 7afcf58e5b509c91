"""The gateway: who answers, each query once, and what is private stays. The network model: what it draws."""

from __future__ import annotations

import dataclasses
import itertools
import random
import statistics
import threading
import time
from collections import Counter

import httpx2
import pytest
from fake_cloud import KEY, FakeCloud
from test_cloud import ENDPOINT

from edgekit.engines.base import EngineError
from edgekit.errors import InvalidRequest
from edgekit.route import gateway as gateways
from edgekit.route import network as networks
from edgekit.route.cloud import Answer, Cloud, CloudFailed
from edgekit.route.gateway import CLOUD, EDGE, NOBODY, Gateway, Query
from edgekit.route.network import Modelled, ModelledClock, Network, NetworkError, Weather

CLEAR = Network(0.2, 0.8, 0.05, 0.0, 3600.0, 0.0, 0.0)


class Device:
    """Answers with the text turned round; fails where told. `asked`: every query that it got."""

    def __init__(self, fails: bool = False):
        self.fails, self.asked, self.lock = fails, [], threading.Lock()

    def __call__(self, query: Query) -> Answer:
        with self.lock:
            self.asked.append(query)
        if self.fails:
            raise EngineError("the device cannot")
        return Answer(query.text[::-1])


def gateway(device, cloud, decision=CLOUD, **more):
    return Gateway(device, cloud, lambda query: decision, most_characters=1000, probing=lambda probe: probe(), **more)


@pytest.fixture
def fake():
    with FakeCloud() as one:
        yield one


@pytest.fixture
def cloud(fake):
    one = Cloud(dataclasses.replace(ENDPOINT, url=fake.url), KEY)
    yield one
    one.close()


def query(name="q", text="abc", **more) -> Query:
    return Query(name, text, 8, **more)


@pytest.mark.parametrize(("decision", "by", "text"), [(EDGE, EDGE, "cba"), (CLOUD, CLOUD, "echo abc")])
def test_a_query_goes_where_the_policy_says(fake, cloud, decision, by, text):
    device = Device()
    record = gateway(device, cloud, decision).ask(query())
    assert (record.sent_to, record.answered_by, record.answer.text, record.why) == (decision, by, text, ())
    assert not record.fell_back and len(device.asked) + len(fake.asked) == 1


@pytest.mark.parametrize(("how", "why"), [("500", "server error"), ("slow", "slow"), ("cut", "cut"), ("401", "unauthorized"),
                                          ("429", "limited"), ("page", "garbage"), ("400", "refused"), ("hang_up", "down")])
def test_where_the_cloud_fails_the_device_answers_and_the_record_says_why(fake, cloud, how, why):
    fake.how = [how]
    device = Device()
    record = gateway(device, cloud).ask(query())
    assert (record.sent_to, record.answered_by, record.answer.text, record.why) == (CLOUD, EDGE, "cba", (why,))
    assert record.fell_back and record.attempts == len(fake.asked) and record.cloud_s > 0 and len(device.asked) == 1


def test_where_the_device_fails_the_cloud_answers_and_where_both_do_nobody(fake, cloud):
    record = gateway(Device(fails=True), cloud, EDGE).ask(query())
    assert (record.answered_by, record.answer.text, record.why) == (CLOUD, "echo abc", (gateways.EDGE_FAILED,))
    fake.how = ["500"]
    first_edge = gateway(Device(fails=True), cloud, EDGE).ask(query())
    assert (first_edge.answered_by, first_edge.why) == (NOBODY, (gateways.EDGE_FAILED, "server error"))
    first_cloud = gateway(Device(fails=True), cloud, CLOUD).ask(query())
    assert (first_cloud.answered_by, first_cloud.why) == (NOBODY, ("server error", gateways.EDGE_FAILED))
    assert first_cloud.answer is None and not first_cloud.fell_back


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("decision", [EDGE, CLOUD])
def test_a_private_query_never_leaves_the_device_even_where_that_fails(fake, cloud, fails, decision):
    """The server records every request: those that are not private come, and no other."""
    device = Device(fails)
    one = gateway(device, cloud, decision)
    records = [one.ask(query(f"q{i}", f"{'secret' if i % 2 else 'open'} {i}", private=bool(i % 2))) for i in range(20)]
    private = records[1::2]
    assert {(record.sent_to, record.answered_by) for record in private} == {(EDGE, NOBODY if fails else EDGE)}
    assert not [text for text in fake.texts() if "secret" in text]
    assert len(fake.asked) == (10 if fails or decision == CLOUD else 0)


def test_a_policy_that_fails_keeps_the_query_and_one_that_says_anything_else_is_told(cloud):
    def fails(_):
        raise EngineError("no weights")

    record = Gateway(Device(), cloud, fails, most_characters=9).ask(query())
    assert (record.sent_to, record.answered_by) == (EDGE, EDGE)
    with pytest.raises(InvalidRequest, match="unknown decision 'clod'; known: edge, cloud"):
        gateway(Device(), cloud, "clod").ask(query())


def test_without_a_cloud_all_stays():
    record = Gateway(Device(), None, lambda _: CLOUD, most_characters=9).ask(query())
    assert (record.sent_to, record.answered_by, record.why) == (EDGE, EDGE, ())


@pytest.mark.parametrize(("text", "kind"), [
    (b"bytes", "not text"), (None, "not text"), (7, "not text"), ("", "empty"), (" \n\t ", "empty"), ("x" * 1001, "huge"),
    ("a\0b", "control characters"), ("a\x1b[2J", "control characters"), ("a\x7f", "control characters"),
    ("a\ud800", "control characters"), ("a\x85", "control characters")])
def test_what_cannot_be_asked_gets_a_record_with_its_name_and_reaches_nobody(fake, cloud, text, kind):
    device = Device()
    record = gateway(device, cloud).ask(query(text=text))
    assert (record.sent_to, record.answered_by, record.why) == (NOBODY, NOBODY, (kind,)) and kind in gateways.BAD
    assert not device.asked and not fake.asked
    with pytest.raises(gateways.QueryError, match=f"query: {kind}: (expected|got)"):
        gateways.require_query(text, 1000)


@pytest.mark.parametrize("text", ["x" * 1000, "a\n\tb\r\n", "naïve 漢字 🙂 e\u0301 \u202eabc", "\ufeffx"])
def test_whatever_else_is_text_is_asked_as_it_stands(fake, cloud, text):
    assert gateway(Device(), cloud).ask(query(text=text)).answer.text == f"echo {text}"
    assert fake.texts() == [text]


def test_an_id_is_answered_once_however_often_and_whenever_it_is_asked(fake, cloud):
    device = Device()
    one = gateway(device, cloud)
    fake.how = ["ok"]
    found = []
    threads = [threading.Thread(target=lambda i=i: found.append(one.ask(query(f"q{i % 10}", f"text {i % 10}"))))
               for i in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and len({id(record) for record in found}) == 10 == len(fake.asked) == len(one.records)
    assert Counter(record.id for record in found) == {f"q{i}": 8 for i in range(10)}
    with pytest.raises(InvalidRequest, match="the id 'q1' belongs to another query"):
        one.ask(query("q1", "another text"))


def test_a_fault_of_the_kit_is_no_answer_and_the_query_may_come_again(cloud):
    calls = []

    def breaks(asked):
        calls.append(asked)
        if len(calls) == 1:
            raise ZeroDivisionError
        return Answer("ok")

    one, asked = Gateway(breaks, cloud, lambda _: EDGE, most_characters=9), query()
    with pytest.raises(ZeroDivisionError):
        one.ask(asked)
    assert one.ask(asked).answer.text == "ok" and len(calls) == 2


def test_while_the_breaker_is_open_no_query_waits_and_the_probe_lets_them_through_again():
    """Under a total outage one query waits, until the breaker opens; the others take as long as the device alone."""
    clock = ModelledClock()
    with FakeCloud() as fake:
        down = Modelled(Weather(dataclasses.replace(CLEAR, up_s=0.0, down_s=500.0), 1), clock)
        cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, failures=3, reset_s=20.0, timeout_s=2.0, deadline_s=60.0,
                                          backoff_s=0.5), KEY, clock=clock, transport=down)
        one, device = gateway(Device(), cloud), Device()
        records = []
        for i in range(200):
            records.append(one.ask(query(f"q{i}")))
            clock.sleep(5.0)
        assert {(record.answered_by, record.answer.text) for record in records} == {(EDGE, device(query()).text)}
        waited = [record.cloud_s for record in records]
        assert 0 < waited[0] < 3 * 2.0 + 1.5 and waited[1:] == [0.0] * 199 and not fake.asked
        assert Counter(record.why[0] for record in records[1:]) == {"open": 199} and records[0].why[0] in ("down", "slow")
        down.weather = Weather(CLEAR, 1)
        after = []
        for i in range(12):
            after.append(one.ask(query(f"later {i}")).answered_by)
            clock.sleep(5.0)
        assert after[0] == EDGE and after[-1] == CLOUD and after == sorted(after, key=[EDGE, CLOUD].index)
        cloud.close()


def test_the_probe_runs_beside_the_queries_one_at_a_time(cloud):
    running, most, may_end = [], [], threading.Event()

    class Slow:
        clock, state = cloud.clock, "half_open"

        def answer(self, *_):
            raise CloudFailed("open")

        def probe(self):
            running.append(1)
            most.append(len(running))
            may_end.wait(60)
            running.pop()

    one = Gateway(Device(), Slow(), lambda _: CLOUD, most_characters=9)
    assert [one.ask(query(f"q{i}")).why for i in range(20)] and running == [1], "answered while the probe still runs"
    may_end.set()
    assert most and set(most) == {1}


# The network


def test_round_trips_are_as_the_model_says():
    """Means and ends of a uniform range, an exponential on top, and the time-outs of RFC 6298 for lost packets."""
    even = [Weather(CLEAR, seed).round_trip_s() for seed in range(4000)]
    assert min(even) >= 0.2 and statistics.mean(even) == pytest.approx(0.5 + 0.05, abs=0.015)
    plain = dataclasses.replace(CLEAR, jitter_s=0.0)
    weather = Weather(plain, 0)
    drawn = [weather.round_trip_s() for _ in range(4000)]
    assert 0.2 <= min(drawn) < 0.21 and 0.79 < max(drawn) <= 0.8
    assert statistics.variance(drawn) == pytest.approx(0.6**2 / 12, rel=0.06)
    lossy = Weather(dataclasses.replace(plain, loss=0.3, low_s=0.5, high_s=0.5), 0)
    times = Counter(round(lossy.round_trip_s(), 9) for _ in range(20000))
    for losses, waited in enumerate((0, 1, 3, 7)):
        assert times[0.5 + waited] / 20000 == pytest.approx(0.3**losses * 0.7, rel=0.15)


def test_outages_take_their_share_of_the_time_and_come_one_after_the_other():
    network = dataclasses.replace(CLEAR, up_s=300.0, down_s=100.0)
    weather = Weather(network, 3)
    seen = [weather.outage(now) for now in range(0, 400_000, 2)]
    assert sum(kind is not None for kind in seen) / len(seen) == pytest.approx(0.25, abs=0.03)
    assert {kind for kind in seen if kind} == set(networks.OUTAGES)
    spells = [len(list(same)) * 2 for down, same in itertools.groupby(seen, bool) if down]
    assert statistics.mean(spells) == pytest.approx(100, rel=0.15)
    assert statistics.stdev(spells) == pytest.approx(100, rel=0.25), "exponential: as wide as its mean"
    up, down = zip(*itertools.islice(Weather(network, 0).spells(), 3000), strict=True)
    assert statistics.mean(up) == pytest.approx(300, rel=0.06) and statistics.mean(down) == pytest.approx(100, rel=0.06)


def test_a_network_may_always_be_up_or_always_down():
    assert {Weather(CLEAR, 0).outage(now) for now in range(0, 10**6, 1000)} == {None}
    never = Weather(dataclasses.replace(CLEAR, up_s=0.0, down_s=50.0), 0)
    assert {never.outage(now) for now in range(0, 10**5, 10)} == set(networks.OUTAGES)


@pytest.mark.parametrize("bad", [dict(low_s=0.9), dict(low_s=-0.1), dict(loss=1.0), dict(faults=1.1), dict(jitter_s=-1.0),
                                 dict(up_s=0.0), dict(loss=float("nan"))])
def test_a_network_that_cannot_be_is_refused(bad):
    with pytest.raises(NetworkError, match="network: expected"):
        dataclasses.replace(CLEAR, **bad)


def test_the_same_seed_gives_the_same_network_and_time_passes_on_its_clock_only(fake):
    network = dataclasses.replace(CLEAR, faults=0.3, loss=0.1, up_s=20.0, down_s=5.0)

    def run(seed):
        clock = ModelledClock()
        cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, timeout_s=3.0), KEY, clock=clock,
                      transport=Modelled(Weather(network, seed), clock))
        one = gateway(Device(), cloud)
        began = time.perf_counter()
        records = []
        for i in range(40):
            records.append(one.ask(query(f"q{i}")))
            clock.sleep(1.0)
        took = time.perf_counter() - began
        cloud.close()
        return [(record.answered_by, record.why, record.cloud_s) for record in records], clock.now(), took

    (first, passed, took), (again, _, _), (other, _, _) = run(1), run(1), run(2)
    assert first == again != other and passed > 50 > 10 > took
    answered = [seconds for by, _, seconds in first if by == CLOUD]
    assert answered and min(answered) >= 0.2


@pytest.mark.parametrize("fault", networks.FAULTS)
def test_each_fault_of_the_endpoint_is_what_the_client_takes_it_for(fake, fault, monkeypatch):
    clock = ModelledClock()
    weather = Weather(dataclasses.replace(CLEAR, faults=1.0), 0)
    monkeypatch.setattr(weather, "fault", lambda: fault)
    cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, timeout_s=9.0), KEY, clock=clock,
                  transport=Modelled(weather, clock, httpx2.HTTPTransport()))
    record = gateway(Device(), cloud).ask(query())
    assert record.why == ({"500": "server error", "429": "limited", "garbage": "garbage", "cut": "cut"}[fault],)
    cloud.close()


def test_a_few_hundred_queries_through_outages_and_faults_are_each_answered_once(fake):
    """The soak against a small server: private and bad queries, and ids that come twice, among them."""
    clock, drawn = ModelledClock(), random.Random(0)
    network = Network(0.2, 0.8, 0.05, 0.02, 60.0, 20.0, 0.2)
    cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, timeout_s=3.0, deadline_s=20.0, backoff_s=0.5, failures=5,
                                      reset_s=10.0), KEY, clock=clock, transport=Modelled(Weather(network, 5), clock))
    device = Device()
    one = Gateway(device, cloud, lambda asked: CLOUD if int(asked.id[1:]) % 3 else EDGE, most_characters=100,
                  probing=lambda probe: probe())
    queries = [query(f"q{i}", "" if i % 50 == 7 else f"{'secret' if i % 11 == 0 else 'open'} {i}", private=i % 11 == 0)
               for i in range(400)]
    records = []
    for asked in [*queries, *drawn.sample(queries, 80)]:
        records.append(one.ask(asked))
        clock.sleep(drawn.expovariate(1.0))
    cloud.close()
    assert len(one.records) == 400 and {record.id for record in records} == {asked.id for asked in queries}
    by = Counter(record.answered_by for record in one.records.values())
    bad = sum(not asked.text for asked in queries)
    assert by[NOBODY] == bad and by[CLOUD] > 100 and by[EDGE] == len(device.asked) == 400 - by[CLOUD] - bad
    assert {record.answer.text for record in one.records.values() if record.answered_by == CLOUD} <= {
        f"echo {asked.text}" for asked in queries}
    assert not [text for text in fake.texts() if "secret" in text]
    reasons = Counter(record.why[0] for record in one.records.values() if record.fell_back)
    assert {"open"} < set(reasons) and len(reasons) >= 3 and sum(reasons.values()) == sum(
        record.sent_to == CLOUD and record.answered_by == EDGE for record in one.records.values())
