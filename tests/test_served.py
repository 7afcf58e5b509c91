"""A server as an engine: a real one on loopback, whose counts are compared with the model's own tokenizer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import transformers
from fake_cloud import KEY, FakeCloud

from edgekit import engines, params
from edgekit.compress import variant
from edgekit.engines import probe
from edgekit.engines.base import EngineError
from edgekit.route import engine as served
from edgekit.route.cloud import CloudFailed
from edgekit.route.server import serve
from edgekit.studies.runtimes import jobs_served
from edgekit.studies.runtimes import plan as study

pytestmark = pytest.mark.usefixtures("shared_artifacts")

POCKET = "pocket-200k"


def reach(monkeypatch, url: str, key: str = KEY) -> None:
    """Set the environment, and ask it in this process, where the kit asks in one of its own."""
    monkeypatch.setenv(served.URL, url)
    monkeypatch.setenv(served.KEY, key)
    monkeypatch.setattr(probe, "missing", lambda engine, format: served.missing().get(format))
    monkeypatch.setattr(probe, "ask", lambda function: served.build() if function == "edgekit.route.engine:build" else "")


@pytest.fixture
def loopback(monkeypatch):
    """The model behind a real server, under the name that it has there."""
    artifact = variant.build(POCKET)
    with serve(variant.build(f"{POCKET} > gguf(dtype=float32)").file, context=256, threads=1) as one:
        reach(monkeypatch, one.url, one.key)
        named = dataclasses.replace(artifact, spec=dataclasses.replace(artifact.spec, name=one.model))
        monkeypatch.setattr(jobs_served.variants, "build", lambda _: named)
        yield one


def test_times_are_of_as_many_tokens_as_were_asked_by_the_servers_own_count(loopback, monkeypatch):
    tokenizer = transformers.AutoTokenizer.from_pretrained(variant.build(POCKET).path)
    asked, timed = [], jobs_served.timed
    monkeypatch.setattr(jobs_served, "timed", lambda server, text, tokens: asked.append(
        (text, tokens, found := timed(server, text, tokens))) or found)
    told = jobs_served.measure_served(variant=POCKET, engine="openai", dtype="float32", threads=1, device="cpu",
                                      grid=[[24, [4, 12]]], seed=0, warmups=1)
    seen = {(row["metric"], row.get("prompt_tokens"), row.get("output_tokens")): row["value"] for row in told["observations"]}
    for tokens in (4, 12):
        assert 0 < seen["tpot_s", 24, tokens] == seen["decode_s", 24, tokens] / (tokens - 1)
    assert seen["ttft_s", 24, 1] > 0
    texts = [text for text, *_ in asked]
    text, tokens, (stamps, counts) = asked[-1]
    assert len({text.split()[0] for text in texts}) == len(texts), "each begins as none before it"
    assert (counts.prompt, counts.output, tokens) == (24, 12, 12) and 2 <= len(stamps) <= 12 and stamps == sorted(stamps)
    own = [len(tokenizer(text)["input_ids"]) - counts.prompt for text, _, (_, counts) in asked]
    assert set(own) in ({0}, {-1}), "but for a token with which texts begin"
    assert told["engine"]["kernel"] == "a server's own, which it does not tell"
    assert loopback.key not in json.dumps(told) and loopback.url not in json.dumps(told)


def test_what_a_server_does_not_give_is_refused_in_a_sentence(monkeypatch):
    with FakeCloud("uncounted") as fake:
        reach(monkeypatch, fake.url)
        with engines.open_engine("openai", variant.build(POCKET), dtype="float32", threads=1, device="cpu",
                                 context=64) as engine:
            for ask in (lambda: engine.score([1]), lambda: engine.stream([1], 2), engine.session,
                        lambda: engine.generate([[1]], 2, set())):
                with pytest.raises(EngineError, match="takes and gives text: token ids, logits"):
                    ask()
            with pytest.raises(EngineError, match="expected the server to count tokens"):
                list(engine.parts("a text", 3))
            assert fake.texts() == ["a text"] * 2, "asked again without a stream, in which some servers do not count"


def test_an_answer_of_other_lengths_is_not_timed(monkeypatch):
    with FakeCloud("ok") as fake:  # it counts 7 tokens, whatever it is given
        reach(monkeypatch, fake.url)
        options = dict(variant=POCKET, engine="openai", dtype="float32", threads=1, device="cpu", seed=0, warmups=0)
        with pytest.raises(EngineError, match="no text was found that the server counts as 9 tokens; the last one had 7"):
            jobs_served.measure_served(grid=[[9, [4]]], **options)
        with pytest.raises(EngineError, match="in 8 requests of 7 tokens and for 4 the server counted others"):
            jobs_served.measure_served(grid=[[7, [4]]], **options)


def test_parts_come_as_they_are_made_and_failures_keep_the_key_to_themselves(monkeypatch):
    with FakeCloud("ok", "garbage") as fake:
        reach(monkeypatch, fake.url)
        with engines.open_engine("openai", variant.build(POCKET), dtype="float32", threads=1, device="cpu",
                                 context=64) as engine:
            assert list(engine.parts("two", 9)) == list("echo two")
            with pytest.raises(CloudFailed) as failed:
                list(engine.parts("two", 9))
            assert KEY not in str(failed.value)


def test_without_an_address_cells_are_skipped_by_name_and_so_are_tasks_that_ask_for_ids(monkeypatch):
    values = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
        cells=["openai/float32", "transformers/float32"], batch_cells=["openai/float32"], agreeing_cells=["openai/float32"],
        accelerated_cells=["openai/float32"])

    def refusals():
        units = study.plan(params.validate(study.Config, values, where="test"))
        return {unit.condition["task"]: unit for unit in units if unit.condition.get("engine") == "openai"}

    reach(monkeypatch, "")
    assert f"the environment variable {served.URL} is not set" in refusals()["speed"].refusal
    reach(monkeypatch, "http://127.0.0.1:9/v1")
    found = refusals()
    assert found["speed"].refusal is None and found["speed"].holds == () and "measure_served" in found["speed"].function
    for task in ("batches", "agreement", "conformance", "acceleration"):
        assert f"openai: it takes and gives text, and {task} asks for token ids" in found[task].refusal
    assert "127.0.0.1" not in found["speed"].artifact and "[server " in found["speed"].artifact
    first = found["speed"].artifact
    reach(monkeypatch, "http://127.0.0.1:10/v1")
    assert refusals()["speed"].artifact != first, "rows of two servers are not each other's"


def test_a_beginning_is_another_each_time():
    random = np.random.default_rng(0)
    assert len({jobs_served._begun("a", random) for _ in range(20)}) > 15
