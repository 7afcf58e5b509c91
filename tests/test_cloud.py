"""The cloud: what each failure is called, what is tried again and when, when nothing is sent, and where the key never stands."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pickle
import socket
import traceback

import pytest
from fake_cloud import KEY, FakeCloud

from edgekit.route import cloud as clouds
from edgekit.route.cloud import Clock, Cloud, CloudError, CloudFailed, Endpoint
from edgekit.route.network import ModelledClock

ENDPOINT = Endpoint("http://127.0.0.1:9/v1", "m", "plain", timeout_s=0.3, deadline_s=5.0, attempts=3, backoff_s=0.01,
                    failures=50, reset_s=60.0)


class Counted(Clock):
    """The machine's time, but pauses take none; they are kept."""

    def __init__(self):
        self.pauses, self.passed = [], 0.0

    def now(self) -> float:
        return super().now() + self.passed

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.passed += seconds


@contextlib.contextmanager
def asked(*how: str, **changed):
    """(what the server saw, a cloud that asks it, the clock)"""
    with FakeCloud(*how) as fake:
        clock = Counted()
        cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, **changed), KEY, clock=clock)
        try:
            yield fake, cloud, clock
        finally:
            cloud.close()


def test_an_answer_comes_whole_with_its_tokens_under_one_idempotency_key():
    with asked() as (fake, cloud, _):
        answer = cloud.answer("q1", "two and two", 32)
        assert answer == clouds.Answer("echo two and two", 7, 16, 1)
        assert fake.asked[0]["max_tokens"] == 32 and fake.asked[0]["temperature"] == 0 and fake.asked[0]["model"] == "m"
        cloud.answer("q1", "two and two", 32)
        cloud.answer("q1", "two and three", 32)
        cloud.answer("q2", "two and two", 32)
        first, again, *others = [seen["idempotency-key"] for seen in fake.seen]
        assert first == again and len({first, *others}) == 3


def test_in_chat_form_the_text_is_the_users_message():
    with asked(form="chat") as (fake, cloud, _):
        assert cloud.answer("q", "hello?", 4).text == "hello"
        assert fake.asked[0]["messages"] == [{"role": "user", "content": "hello?"}]


KINDS = {"slow": "slow", "page": "garbage", "noise": "garbage", "other": "garbage", "no_http": "garbage", "hang_up": "down",
         "cut": "cut", "short": "cut", "broken": "server error", "500": "server error", "429": "limited", "400": "refused",
         "filtered": "refused", "401": "unauthorized"}


@pytest.mark.parametrize(("how", "kind"), KINDS.items())
def test_each_failure_has_its_kind_and_only_what_may_pass_is_tried_again(how, kind):
    with asked(how) as (fake, cloud, clock):
        with pytest.raises(CloudFailed) as failure:
            cloud.answer("q", "why", 8)
        assert failure.value.kind == kind and clouds.FAILURES[kind] in str(failure.value)
        attempts = 3 if kind in clouds.PASSING else 1
        assert len(fake.asked) == failure.value.attempts == attempts and len(clock.pauses) == attempts - 1
        assert len({seen["idempotency-key"] for seen in fake.seen}) == 1


def test_nobody_there_is_down():
    with socket.socket() as taken:  # bound and not listening: the connection is refused
        taken.bind(("127.0.0.1", 0))
        cloud = Cloud(dataclasses.replace(ENDPOINT, url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1"), KEY)
        with pytest.raises(CloudFailed, match="cloud: down: no connection") as failure:
            cloud.answer("q", "why", 8)
    assert failure.value.attempts == 3 and failure.value.seconds > 0.01


def test_a_stream_that_never_ends_is_slow_at_the_deadline():
    with asked("drip", deadline_s=0.4, attempts=1) as (_, cloud, _clock), pytest.raises(CloudFailed, match="slow"):
        cloud.answer("q", "why", 8)


@pytest.mark.parametrize("how", ["500", "cut", "429", "slow", "noise"])
def test_what_passes_is_answered_at_the_next_attempt(how):
    with asked(how, "ok") as (_, cloud, _clock):
        assert cloud.answer("q", "x", 8) == clouds.Answer("echo x", 7, 6, 2)


def test_pauses_double_with_a_drawn_half_and_wait_as_long_as_the_endpoint_asks():
    with asked("500", attempts=6, backoff_s=0.1) as (_, cloud, clock):
        with pytest.raises(CloudFailed):
            cloud.answer("q", "x", 8)
        assert len(clock.pauses) == 5
        assert all(0.05 * 2**i <= pause <= 0.1 * 2**i for i, pause in enumerate(clock.pauses))
        assert len({round(pause / 2**i, 9) for i, pause in enumerate(clock.pauses)}) == 5
    with asked("429", "ok") as (_, cloud, clock):
        cloud.answer("q", "x", 8)
        assert clock.pauses == [0.25]


def test_a_pause_past_the_deadline_is_not_begun():
    with asked("429_long", "ok") as (fake, cloud, clock):
        with pytest.raises(CloudFailed, match="limited"):
            cloud.answer("q", "x", 8)
        assert len(fake.asked) == 1 and clock.pauses == []


def test_retry_after_is_read_as_seconds_or_as_a_date_and_else_not_at_all():
    assert clouds._retry_after({"retry-after": "7"}) == 7
    assert clouds._retry_after({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}) == 0.0
    assert clouds._retry_after({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}) > 1e6
    assert clouds._retry_after({"retry-after": "soon"}) is None and clouds._retry_after({}) is None


def test_the_breaker_opens_after_failures_in_a_row_lets_no_query_through_and_closes_by_a_probe():
    with FakeCloud("500") as fake:
        clock = ModelledClock()
        cloud = Cloud(dataclasses.replace(ENDPOINT, url=fake.url, failures=4, reset_s=30.0), KEY, clock=clock)

        def kind() -> str:
            try:
                cloud.answer("q", "x", 8)
            except CloudFailed as failure:
                return failure.kind
            return "answered"

        assert [kind(), kind()] == ["server error", "server error"]
        assert len(fake.asked) == 4 and cloud.state == "open"  # the second query's second attempt was its last
        assert kind() == "open" and len(fake.asked) == 4
        clock.sleep(29.9)
        assert cloud.state == "open"
        clock.sleep(0.2)
        assert cloud.state == "half_open" and kind() == "open" and len(fake.asked) == 4
        assert not cloud.probe() and cloud.state == "open" and fake.texts()[-1] == clouds.PROBE
        clock.sleep(30.1)
        fake.how = ["ok"]
        assert cloud.probe() and cloud.state == "closed" and kind() == "answered"
        cloud.close()


def test_what_a_request_did_wrong_does_not_open_the_breaker_and_a_wrong_key_does():
    with asked("400", failures=2) as (_, cloud, _clock):
        for _ in range(4):
            with pytest.raises(CloudFailed, match="refused"):
                cloud.answer("q", "x", 8)
        assert cloud.state == "closed"
    with asked("401", failures=2) as (fake, cloud, _clock):
        for _ in range(4):
            with pytest.raises(CloudFailed):
                cloud.answer("q", "x", 8)
        assert cloud.state == "open" and len(fake.asked) == 2


@pytest.mark.parametrize("how", [*KINDS, "ok"])
def test_the_key_reaches_the_endpoint_and_nothing_else(how, caplog, capfd):
    """Messages, tracebacks with what stands in their frames' errors, logs at their most talkative, representations."""
    caplog.set_level(logging.DEBUG)
    with asked(how, attempts=2) as (fake, cloud, _):
        told = [repr(cloud), str(cloud), repr(cloud.endpoint), pickle.dumps(cloud.endpoint).decode("latin-1")]
        try:
            told.append(repr(cloud.answer("q", "x", 8)))
        except CloudFailed as failure:
            told += [str(failure), repr(failure), repr(vars(failure)), "".join(traceback.format_exception(failure)),
                     pickle.dumps(failure.args).decode("latin-1")]
            assert failure.__suppress_context__ or failure.__context__ is None
        assert fake.seen[0]["authorization"] == f"Bearer {KEY}"
    told += [caplog.text, *capfd.readouterr()]
    assert not [text for text in told if KEY in text or KEY[3:] in text]


def test_the_key_comes_from_a_variable_by_name_and_is_never_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    assert clouds.read_key("MY_KEY") == KEY
    with pytest.raises(CloudError, match="ABSENT_KEY is not set"):
        clouds.read_key("ABSENT_KEY")
    for bad in (KEY + "\n", KEY + " x", "schlüssel"):
        monkeypatch.setenv("MY_KEY", bad)
        with pytest.raises(CloudError, match="MY_KEY holds blanks") as failure:
            clouds.read_key("MY_KEY")
        assert bad.strip() not in str(failure.value)
    for pasted in (KEY, "", "sk_live_0123", "a b"):
        with pytest.raises(CloudError, match="the name of an environment variable") as failure:
            clouds.require_variable(pasted)
        assert not pasted or pasted not in str(failure.value)


@pytest.mark.parametrize("url", ["", "example.org/v1", "ftp://x/v1", "https://user:secret@x/v1", "https://x/v1?key=secret",
                                 "https:///v1", "https://x/v1#a", "https://x /v1"])
def test_a_url_with_a_secret_or_without_a_host_is_refused_and_not_repeated(url):
    with pytest.raises(CloudError, match="expected a URL as https://HOST/v1") as failure:
        dataclasses.replace(ENDPOINT, url=url)
    assert "secret" not in str(failure.value)
