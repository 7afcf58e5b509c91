"""The cloud: what each failure is called, what is tried again and when, when nothing is sent, where the key never stands."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import pickle
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import traceback

import httpx2
import pandas as pd
import psutil
import pytest
from fake_cloud import KEY, FakeCloud

from edgekit import engines, params, store
from edgekit.catalog import tasks
from edgekit.compress import variant
from edgekit.errors import EdgekitError
from edgekit.params import ParamsError
from edgekit.route import cloud as clouds
from edgekit.route.cloud import Clock, Cloud, CloudFailed
from edgekit.route.endpoint import CloudError, Endpoint, read_key, require_variable
from edgekit.route.gateway import CLOUD, EDGE
from edgekit.route.network import OUTAGES, ModelledClock
from edgekit.route.server import OWN, ServerError, serve
from edgekit.schema import NONE
from edgekit.studies.routing import plan as study
from edgekit.studies.routing import plan_cloud
from edgekit.studies.runner import Unit

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


@pytest.mark.parametrize("seconds", [0.5, 5.0, 600.0])
def test_the_time_limit_is_the_parameters_even_where_it_is_a_librarys_default(seconds):
    class Kept(httpx2.MockTransport):
        def handle_request(self, request):
            limits.append(request.extensions["timeout"])
            return super().handle_request(request)

    limits = []
    cloud = Cloud(dataclasses.replace(ENDPOINT, timeout_s=seconds), KEY, transport=Kept(lambda _: httpx2.Response(400)))
    with pytest.raises(CloudFailed):
        cloud.answer("q", "x", 8)
    assert limits == [dict.fromkeys(("connect", "read", "write", "pool"), seconds)]


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
    assert read_key("MY_KEY") == KEY
    with pytest.raises(CloudError, match="ABSENT_KEY is not set"):
        read_key("ABSENT_KEY")
    for bad in (KEY + "\n", KEY + " x", "schlüssel"):
        monkeypatch.setenv("MY_KEY", bad)
        with pytest.raises(CloudError, match="MY_KEY holds blanks") as failure:
            read_key("MY_KEY")
        assert bad.strip() not in str(failure.value)
    for pasted in (KEY, "", "sk_live_0123", "a b"):
        with pytest.raises(CloudError, match="the name of an environment variable") as failure:
            require_variable(pasted)
        assert not pasted or pasted not in str(failure.value)


@pytest.mark.parametrize("url", ["", "example.org/v1", "ftp://x/v1", "https://user:secret@x/v1", "https://x/v1?key=secret",
                                 "https:///v1", "https://x/v1#a", "https://x /v1"])
def test_a_url_with_a_secret_or_without_a_host_is_refused_and_not_repeated(url):
    with pytest.raises(CloudError, match="expected a URL as https://HOST/v1") as failure:
        dataclasses.replace(ENDPOINT, url=url)
    assert "secret" not in str(failure.value)


def test_an_endpoint_that_counts_no_tokens_leaves_them_open():
    with asked("uncounted") as (_, cloud, _clock):
        assert cloud.answer("q", "x", 8) == clouds.Answer("echo x", None, None, 1)


# What an endpoint answers to tasks


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """(a server that solves every second problem, the fields of jobs_endpoint.Asked)"""
    pytest.importorskip("lm_eval")
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setenv("MY_KEY", KEY)
    task = tasks.load("pocket_chain_direct")
    answers = {task.prompt(item): item["answer"] for item in task.items()[::2]}
    with FakeCloud() as fake:
        fake.reply = lambda text: f"\nanswer {answers.get(text, 'nobody')}"
        fields = dict(url=fake.url, model="large", form="plain", timeout_s=5.0, deadline_s=20.0, attempts=2, backoff_s=0.01,
                      failures=3, reset_s=1.0)
        yield fake, dict(endpoint=fields, key="MY_KEY", task="pocket_chain_direct", items_per_depth=3), answers


def test_an_endpoints_answers_are_judged_counted_and_kept_and_the_key_is_not(endpoint, tmp_path):
    from edgekit.studies.routing import jobs_endpoint

    fake, asked, answers = endpoint
    seen = jobs_endpoint.measure_endpoint_answers(**asked)["observations"]
    values = {metric: {one["item"]: one["value"] for one in seen if one["metric"] == metric}
              for metric in ("correct", "asked_tokens", "answered_tokens")}
    assert len(fake.asked) == 24 == len(values["correct"]) and sum(values["correct"].values()) == sum(
        text in answers for text in fake.texts()) > 5
    assert set(values["asked_tokens"].values()) == {7} and min(values["answered_tokens"].values()) >= 9
    again = jobs_endpoint.of_tasks({name: asked[name] for name in ("endpoint", "key", "items_per_depth")}, [asked["task"]])
    assert len(fake.asked) == 24, "asked, and paid for, once"
    assert [one.score for one in again] == list(values["correct"].values()) and again[0].prompt in fake.texts()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if KEY.encode() in path.read_bytes()] and KEY not in repr(seen)


@pytest.mark.parametrize(("how", "told"), [("uncounted", "does not say how many tokens"), ("401", "cloud: unauthorized")])
def test_an_endpoint_that_cannot_be_judged_leaves_nothing_behind(endpoint, how, told, tmp_path):
    from edgekit.studies.routing import jobs_endpoint

    fake, asked, _ = endpoint
    fake.how = [how]
    with pytest.raises(EdgekitError, match=told):
        jobs_endpoint.measure_endpoint_answers(**asked)
    assert not list(tmp_path.rglob("answers.jsonl"))


# The server on loopback


def served_by(name: str) -> str:
    return engines.variant_for("llama_cpp", name, "float16")


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("llama_cpp")
    return variant.build(served_by("pocket-200k"))


def test_the_real_server_answers_as_its_model_does_on_the_device_and_is_gone_afterwards(model, monkeypatch):
    from edgekit.catalog import prompting
    from edgekit.measure.engine_lm import EngineLM, Generation

    monkeypatch.setenv("PORT", "1")  # variables that the server would read
    monkeypatch.setenv("CONFIG_FILE", "/nowhere")
    task = tasks.load("pocket_chain_think")
    texts = [task.prompt(item) for item in task.items()[:600:20]]
    with engines.open_engine("llama_cpp", model, dtype="float16", threads=1, device="cpu", context=256) as engine:
        lm = EngineLM(engine, prompting.of(model.spec.folder, model.spec.name))
        expected = lm.continued(texts, Generation(("<|endoftext|>",), 64, None))
    assert len(set(expected)) > 3 and all(expected)
    with serve(model.file, context=256, threads=1) as served:
        assert served.key not in repr(served)
        children = psutil.Process().children(recursive=True)
        assert not [child for child in children if served.key in " ".join(child.cmdline())]
        where = dataclasses.replace(ENDPOINT, url=served.url, model=served.model, timeout_s=30.0, deadline_s=60.0, own=OWN)
        cloud = Cloud(where, served.key)
        found = [cloud.answer(f"q{i}", text, 64) for i, text in enumerate(texts)]
        with pytest.raises(CloudFailed, match="unauthorized"):
            Cloud(where, "another").answer("q", texts[0], 8)
    assert [answer.text for answer in found] == expected
    with pytest.raises(CloudFailed, match="down"):
        cloud.answer("later", texts[0], 8)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_the_server_ends_with_an_error_in_the_block_and_with_the_process_that_started_it(model):
    with pytest.raises(ZeroDivisionError), serve(model.file, context=64, threads=1):
        children = psutil.Process().children()
        raise ZeroDivisionError
    assert children and not [child for child in children if child.is_running()]
    program = (f"import time\nfrom pathlib import Path\nfrom edgekit.route.server import serve\n"
               f"with serve(Path({str(model.file)!r}), context=64, threads=1) as served:\n"
               f"    print(served.url, flush=True)\n    time.sleep(60)")
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    url = starter.stdout.readline().strip()
    assert httpx2.get(f"{url}/models").status_code == 401
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    until = time.monotonic() + 10
    with contextlib.suppress(httpx2.TransportError):
        while time.monotonic() < until:
            httpx2.get(f"{url}/models")
            time.sleep(0.05)
    assert time.monotonic() < until


def test_a_server_that_does_not_come_up_says_why(tmp_path):
    pytest.importorskip("llama_cpp")
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF but not really")
    with pytest.raises(ServerError, match=r"the loopback server of bad\.gguf did not come up; it last said: .+"), serve(
            bad, context=64, threads=1):
        pass


# What the study plans of it, and the soak


CONFIG = dict(
    profile="ci", rows="measure", seed=0, device="cpu", threads=1, timeout_s=60.0, memory_share=0.5, edge_model="pocket-200k",
    cloud_model="pocket-900k", cell="llama_cpp/float16", prompt_form="plain", cloud_url="loopback",
    cloud_key="EDGEKIT_CLOUD_KEY", cloud_timeout_s=5.0, cloud_deadline_s=20.0, cloud_attempts=3, cloud_backoff_s=0.5,
    breaker_failures=3, breaker_reset_s=30.0, round_trip_s=(0.2, 0.8), jitter_s=0.05, packet_loss=0.01, up_s=60.0, down_s=30.0,
    fault_share=0.25, network_draws=50, soak_networks=("clear", "faulty", "down"), soak_tasks=("pocket_chain_think",),
    soak_depths=(1, 2), soak_items_per_depth=30, soak_cloud_share=0.6, soak_private_share=0.1, soak_every_s=4.0)


def configured(**changed):
    return plan_cloud.CloudConfig(**CONFIG | changed)


@pytest.mark.parametrize(("changed", "told"), [
    (dict(cloud_url="example.org"), "cloud_url: expected a URL as https://HOST/v1"),
    (dict(cloud_key="sk-123"), "cloud_key: expected the name of an environment variable"),
    (dict(round_trip_s=(0.8, 0.2)), "round_trip_s: expected the shortest and the longest"),
    (dict(round_trip_s=(0.2,)), "round_trip_s: expected the shortest and the longest"),
    (dict(soak_networks=("foul",)), "soak_networks: unknown 'foul'; known: clear, faulty, down"),
    (dict(fault_share=1.5), "fault_share: expected 0 to 1, got 1.5"), (dict(down_s=0.0), "down_s: expected more than 0"),
    (dict(soak_tasks=()), "soak_tasks: expected a task"),
    (dict(soak_tasks=("english_agreement",)), "soak_tasks: unknown task that is answered in words 'english_agreement'"),
    (dict(soak_tasks=("humaneval",)), "soak_tasks: unknown task that is answered in words 'humaneval'"),
    (dict(cloud_model="pocket-9b"), "unknown pocket model")])
def test_a_cloud_that_cannot_be_is_refused(changed, told):
    with pytest.raises(ParamsError, match=re.escape(told)) as failure:
        configured(**changed)
    assert "sk-123" not in str(failure.value)


def test_a_plan_holds_the_networks_draws_and_the_soak_and_no_key(monkeypatch):
    monkeypatch.setenv("EDGEKIT_CLOUD_KEY", KEY)
    for changed in ({}, dict(cloud_url="https://api.example.org/v1", cloud_model="large")):
        units = list(plan_cloud.cloud_units(configured(**changed)))
        assert [unit.condition["task"] for unit in units] == ["network", "soak"] and not any(unit.refusal for unit in units)
        assert {unit.source for unit in units} == {"modelled"} and KEY not in repr(units) + repr(configured(**changed))
    monkeypatch.delenv("EDGEKIT_CLOUD_KEY")
    *_, refused = plan_cloud.cloud_units(configured(cloud_url="https://api.example.org/v1", cloud_model="large"))
    assert refused.refusal == "the environment variable EDGEKIT_CLOUD_KEY is not set; set it to the endpoint's key"
    assert [unit.condition["task"] for unit in plan_cloud.cloud_units(configured(soak_networks=()))] == ["network"]


def test_with_an_endpoint_the_study_asks_it_all_tasks_and_learns_from_its_answers(monkeypatch):
    monkeypatch.setenv("EDGEKIT_CLOUD_KEY", KEY)
    values = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(cloud_url="https://x.example/v1", cloud_model="large")
    config = params.validate(study.Config, values, "here")
    units = list(study.plan(config))
    assert not [unit.refusal for unit in units if unit.refusal] and KEY not in repr(units)
    asked = [unit for unit in units if unit.function.endswith("measure_endpoint_answers")]
    assert [unit.arguments["task"] for unit in asked] == list(config.tasks)
    assert {unit.condition["engine"] for unit in asked} == {"endpoint"}
    learnt = [unit.arguments["cloud"] for unit in units if unit.condition["task"] == "estimator"]
    assert learnt and all(one["endpoint"]["url"] == config.cloud_url for one in learnt)
    assert {name for unit in units for name in unit.variants} == {"pocket-200k > gguf(dtype=float16)"}


def done(unit: Unit) -> list[dict]:
    module, name = unit.function.split(":")
    return getattr(importlib.import_module(module), name)(**unit.arguments)["observations"]


def test_the_networks_draws_are_what_the_model_draws_and_an_outage_costs_what_the_clients_rules_say():
    unit = next(plan_cloud.cloud_units(configured(network_draws=2000)))
    seen = done(unit)
    by = {name: [one["value"] for one in seen if one["metric"] == name] for name in ("round_trip_s", "up_s", "down_s")}
    assert {name: len(values) for name, values in by.items()} == dict.fromkeys(by, 2000)
    mean = {name: statistics.mean(values) for name, values in by.items()}
    assert mean == pytest.approx({"round_trip_s": 0.5 + 0.05 + 0.01, "up_s": 60, "down_s": 30}, rel=0.06)
    give_up = {one["outage"]: one["value"] for one in seen if one["metric"] == "give_up_s"}
    pauses = 0.5 + 1.0  # at most; at least half of it
    assert set(give_up) == set(OUTAGES) and pauses / 2 <= give_up["refused"] <= pauses
    assert 15 + pauses / 2 <= give_up["silent"] <= 15 + pauses


@pytest.fixture(scope="module")
def soak():
    pytest.importorskip("llama_cpp")
    from edgekit.studies.routing import jobs_cloud

    keys = []

    @contextlib.contextmanager
    def noted(*where, **how):
        with serve(*where, **how) as served:
            keys.append(served.key)
            yield served

    unit = list(plan_cloud.cloud_units(configured()))[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs_cloud, "serve", noted)
        frame = pd.DataFrame(done(unit))
    assert len(keys) == 1 and keys[0] not in frame.to_csv() + repr(unit)
    return frame


def test_in_the_soak_each_query_is_answered_once_on_every_network(soak):
    """Against the real server: 60 queries on the device alone and over three networks, some of them asked twice."""
    assert set(soak.network) == {NONE, "clear", "faulty", "down"}
    answers = soak[soak.metric == "answers"]
    assert len(answers) == 4 * 60 and set(answers.value) == {1} and not answers.duplicated(["network", "item"]).any()
    assert set(answers[answers.network == NONE].answered_by) == {EDGE}
    assert set(answers[answers.private].answered_by) == {EDGE} and answers.private.sum() > 4
    sent = answers[answers.sent_to == CLOUD].groupby("network").answered_by.value_counts().unstack(fill_value=0)
    assert sent.loc["clear"].to_dict() == {CLOUD: sent.loc["clear"].sum(), EDGE: 0}
    assert sent.loc["faulty", CLOUD] > 5 and sent.loc["faulty", EDGE] > 0
    assert sent.loc["down"].to_dict() == {CLOUD: 0, EDGE: sent.loc["down"].sum()}
    fell = answers[(answers.sent_to == CLOUD) & (answers.answered_by == EDGE)]
    assert set(fell.reason) <= set(clouds.FAILURES) and (answers.reason == NONE).sum() == len(answers) - len(fell)


def test_under_a_total_outage_answers_and_waits_are_those_of_the_device_alone(soak):
    right = soak[soak.metric == "correct"].pivot_table(index="item", columns="network", values="value")
    assert (right["down"] == right[NONE]).all() and right.clear.sum() > right[NONE].sum() > 0
    waits = soak[(soak.metric == "wait_s") & (soak.network == "down")].value
    assert (waits > 0).sum() == 1, "the query that found the outage; the breaker then keeps all others from waiting"
    clear = soak[(soak.metric == "wait_s") & (soak.network == "clear") & (soak.answered_by == CLOUD)].value
    assert clear.min() >= 0.2 and 0.4 < clear.mean() < 0.8
