"""Recorded answers: those of our models are the answers of the accuracy measurement, with the engine's own probabilities; those
that others published are read as they lie in the user's folder."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from edgekit import engines, store
from edgekit.catalog import folder_data, prices, prompting, recorded_answers
from edgekit.catalog import tasks as catalog
from edgekit.catalog.folder_data import DataError
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant as variants
from edgekit.measure import answers, asked, quality, recording
from edgekit.measure.answers import Recording
from edgekit.measure.scoring import log_softmax

MODEL = "pocket-200k"
ASKED = dict(variant=MODEL, engine="transformers", dtype="float32", threads=1, device="cpu", items_per_depth=2)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", tmp_path_factory.mktemp("out"))
        yield answers.recorded(Recording(task="pocket_chain_think", **ASKED))


def test_answers_are_those_that_accuracy_is_measured_by(recorded):
    seen = quality.measure_accuracy(tasks=["pocket_chain_think"], **ASKED)["observations"]
    right = {one["item"]: one["value"] for one in seen if one["metric"] == "correct"}
    assert {one.item: one.score for one in recorded} == right and len(recorded) == 16
    assert 0 < sum(right.values()) < 16
    docs = {doc["id"]: doc for doc in catalog.load("pocket_chain_think").items()}
    for one in recorded:
        assert one.query.startswith(docs[one.item]["question"]) and one.ground_truth == docs[one.item]["answer"]
        assert one.depth == docs[one.item]["depth"] and f"answer {one.ground_truth}" in one.prediction or not one.score


def test_sureness_is_the_engines_own_probability_of_each_token(recorded):
    artifact = variants.build(MODEL)
    with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=256) as engine:
        tokens = prompting.of(artifact.spec.folder, MODEL)
        for one in recorded[::5]:
            prompt, made = tokens.encode_prompt(one.prompt), tokens.encode(one.prediction, special=False)
            assert (len(prompt), len(made)) == (one.prompt_tokens, one.completion_tokens)
            log_p = log_softmax(engine.score([*prompt, *made]))[len(prompt) - 1:-1][np.arange(len(made)), made]
            assert one.mean_log_p == pytest.approx(log_p.mean(), abs=1e-4)
            worst = np.sort(log_p)[:int(np.ceil(len(made) / 10))].mean()
            assert one.worst_log_p == pytest.approx(worst, abs=1e-3) and worst <= log_p.mean()


def test_answers_are_asked_once_and_read_again(recorded, monkeypatch):
    monkeypatch.setattr(answers, "_ask", lambda *_: pytest.fail("asked again"))
    again = Recording(task="pocket_chain_think", **ASKED)
    assert answers.recorded(again) == recorded
    other = dataclasses.replace(again, items_per_depth=1)
    assert other.made_of() != again.made_of()


def test_observations_carry_every_answer_and_without_confidence_no_probability(recorded):
    seen = answers.measure_answers(task="pocket_chain_think", **ASKED)["observations"]
    for metric, field in (("correct", "score"), ("asked_tokens", "prompt_tokens"), ("answered_tokens", "completion_tokens"),
                          ("mean_log_p", "mean_log_p")):
        assert [one["value"] for one in seen if one["metric"] == metric] == [getattr(one, field) for one in recorded]
    plain = answers.measure_answers(task="pocket_tracking", **ASKED, confidence=False)["observations"]
    assert not {"mean_log_p", "worst_log_p"} & {one["metric"] for one in plain}
    assert [one["value"] for one in plain if one["metric"] == "parameters"] == [188864]


def test_of_a_task_with_choices_sureness_is_the_share_of_the_chosen_one(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    found = answers.recorded(Recording(task="english_agreement", **ASKED))
    assert len(found) == 8 and {one.depth for one in found} == {None}
    for one in found:
        assert one.score == (one.prediction == one.ground_truth) and one.completion_tokens >= 1
        assert np.log(0.5) <= one.mean_log_p <= 0, "the likelier of two"
        assert one.mean_log_p == one.worst_log_p


def test_exported_answers_have_the_fields_that_routers_are_tried_on(recorded, tmp_path):
    price = prices.load(prices.names()[0])
    recording.export(recorded, tmp_path / "out.jsonl", price)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert set(lines[0]) == {"origin_query", "prompt", "prediction", "ground_truth", "score", "prompt_tokens",
                             "completion_tokens", "cost"}
    assert [line["score"] for line in lines] == [one.score for one in recorded]
    assert sum(line["cost"] for line in lines) == pytest.approx(sum(
        price.input_usd * one.prompt_tokens + price.output_usd * one.completion_tokens for one in recorded))
    assert {line["cost"] for line in recording.as_llmrouterbench(recorded)} == {0.0}


def test_sureness_of_few_tokens_takes_one_at_least():
    assert asked.sureness([-1.0]) == (-1.0, -1.0)
    mean, worst = asked.sureness([-0.1] * 18 + [-5.0, -3.0])
    assert worst == pytest.approx(-4.0) and mean == pytest.approx((-1.8 - 8) / 20)


def test_tasks_whose_answers_are_not_recorded_are_refused():
    catalog.require_recorded("pocket_prices")
    with pytest.raises(TaskError, match="not recorded"):
        catalog.require_recorded("lm-eval:gsm8k")


def write(path, rows, names=("prompt", recorded_answers.WEAK, recorded_answers.STRONG)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(folder_data.VARIABLE, str(tmp_path))
    write(tmp_path / "routellm/gsm8k/gsm8k_responses.csv",
          [("How many, in\nall?", "True", "False"), ("And now?", "False", "True"), ("And now?", "True", "True"),
           (" ", "True", "True")])
    write(tmp_path / "routellm/mmlu/responses/mmlu_virology.csv", [("Which virus?", "False", "True")])
    write(tmp_path / "routellm/mmlu/responses/mmlu_anatomy.csv", [("Which bone?", "True", "True")])
    return tmp_path


def test_published_answers_are_read_once_a_query_with_their_subject(folder):
    first, second = recorded_answers.load("routellm-gsm8k")
    assert (first.query, first.weak, first.strong) == ("How many, in\nall?", 1, 0)
    assert (second.item, second.domain, second.strong) == ("gsm8k-0001", "gsm8k", 1)
    assert [(one.item, one.weak) for one in recorded_answers.load("routellm-mmlu")] == [("anatomy-0000", 1),
                                                                                        ("virology-0000", 0)]
    assert recorded_answers.absence("routellm-mmlu") is None
    assert recorded_answers.content_hash("routellm-gsm8k") != recorded_answers.content_hash("routellm-mmlu")


@pytest.mark.parametrize(("rows", "names", "says"), [
    ([("q", "yes", "True")], None, "record 1: expected True or False, got 'yes'"),
    ([("q", "True")], ("prompt", "other"), "missing"),
    ([], None, "expected queries, got none")])
def test_published_answers_that_are_none_are_refused(folder, rows, names, says):
    write(folder / "routellm/gsm8k/gsm8k_responses.csv", rows, *([names] if names else []))
    with pytest.raises(DataError, match=says):
        recorded_answers.load("routellm-gsm8k")


def test_published_answers_that_are_not_here_say_where_to_put_them(monkeypatch, tmp_path):
    monkeypatch.delenv(folder_data.VARIABLE, raising=False)
    assert folder_data.VARIABLE in recorded_answers.absence("routellm-mmlu")
    monkeypatch.setenv(folder_data.VARIABLE, str(tmp_path))
    (tmp_path / "routellm/mmlu/responses").mkdir(parents=True)
    assert "mmlu_<subject>.csv" in recorded_answers.absence("routellm-mmlu")
    with pytest.raises(DataError, match="routellm-gsm8k"):
        recorded_answers.require_known("routellm")
