"""What the routing study plans and its jobs measure, and which parameters it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import test_recorded_answers
import torch

from edgekit import engines, params, store
from edgekit.catalog import models, recorded_answers
from edgekit.measure import answers
from edgekit.params import ParamsError
from edgekit.route.estimator import Examples
from edgekit.schema import FOLDS, TEXT, UNKNOWN
from edgekit.studies import runner
from edgekit.studies.routing import jobs, jobs_times
from edgekit.studies.routing import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    fixed_models=["pocket-3m"], replayed=["routellm-gsm8k"], repeats=2, timed_models=["pocket-200k", "shape:smollm2-135m"])
RECORDING = dict(variant="pocket-200k", engine="transformers", dtype="float32", threads=1, device="cpu", items_per_depth=3)
TASKS = ["pocket_chain_think", "pocket_tracking"]
folder = test_recorded_answers.folder  # of made-up published answers


@pytest.fixture(autouse=True)
def _one_core():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", tmp_path_factory.mktemp("out"))
        yield


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def of(units, task):
    return [unit for unit in units if unit.condition["task"] == task]


def test_every_model_answers_every_task_before_anything_is_learnt_and_only_the_device_is_asked_how_sure_it_is():
    units = planned()
    asked = of(units, "answers")
    assert {(unit.condition["model"], unit.condition["task_name"]) for unit in asked} == {
        (model, task) for model in ("pocket-200k", "pocket-900k", "pocket-3m") for task in TASKS}
    assert all(unit.first and unit.shared for unit in asked)
    assert {unit.condition["model"] for unit in asked if unit.arguments["confidence"]} == {"pocket-200k"}
    assert [unit.condition["features"] for unit in of(units, "estimator")] == ["text", "text and confidence"]
    assert not any(unit.first for unit in of(units, "estimator"))


def test_clocks_run_in_processes_of_their_own_and_decisions_on_one_core():
    units = planned(threads=2)
    clocked = [unit for task in ("reply", "decision", "speed") for unit in of(units, task)]
    assert len(clocked) == 2 * (2 + 1 + 2) and not any(unit.shared or unit.first for unit in clocked)
    assert {unit.condition["threads"] for unit in of(units, "decision")} == {1}
    assert {unit.condition["model"] for unit in of(units, "speed")} == {"pocket-200k", "shape:smollm2-135m"}
    drawn = {unit.arguments["seed"] for unit in of(units, "reply")}
    assert len(drawn) == 2, "every repeat draws other answers"


def test_keys_follow_what_is_asked_and_learnt():
    def keys(**changed):
        return {key: unit.condition["task"] for key, unit in runner.keys_of(
            study.STUDY, study.VERSION, planned(**changed), "here").items()}

    base = keys()
    assert len(base) == len(planned())
    for changed, kept in ((dict(steps=7), {"answers", "reply", "decision", "speed"}), (dict(items_per_depth=5), {"speed"}),
                          (dict(cloud_model="pocket-10m"), {"speed"})):
        same = {task for key, task in keys(**changed).items() if key in base}
        assert kept <= same and "estimator" not in same


def test_published_answers_that_are_not_in_the_folder_are_a_planned_refusal(monkeypatch):
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    [unit] = of(planned(), "replay")
    assert unit.planned and "EDGEKIT_DATA" in unit.refusal and unit.source == "replayed"
    assert unit.condition["model"] == recorded_answers.WEAK


def test_published_answers_that_are_there_are_in_the_key(folder):
    [unit] = of(planned(), "replay")
    assert unit.refusal is None and unit.artifact == recorded_answers.content_hash("routellm-gsm8k")


def test_a_model_that_cannot_be_had_is_told_and_nothing_is_learnt(monkeypatch):
    def absent(name, resolve=models.resolve):
        if models.is_hub_id(name):
            raise models.ModelError(f"{name}: not here")
        return resolve(name)

    monkeypatch.setattr(models, "resolve", absent)
    units = planned(cloud_model="owner/name", tasks=["english_think"], edge_model="owner/small", fixed_models=[],
                    soak_networks=[], replayed=[])
    assert {unit.refusal for unit in of(units, "answers")} == {"owner/name: not here", "owner/small: not here"}
    assert not of(units, "estimator") and not of(units, "reply")


def test_an_engine_that_gives_no_logits_of_a_block_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(engines, "absence", lambda engine, format: None)
    units = of(planned(cell="vllm/float32"), "answers")
    assert units and all("take some of them back" in unit.refusal for unit in units)


@pytest.mark.parametrize(("changed", "says"), [
    (dict(cloud_model="pocket-200k"), "another model than edge_model"), (dict(folds=2), "folds: expected at least 3"),
    (dict(features=["words"]), "features"), (dict(replayed=["routellm"]), "routellm-gsm8k"),
    (dict(tasks=["lm-eval:gsm8k"]), "not recorded"), (dict(tasks=["english_think"]), "english"),
    (dict(edge_model="shape:smollm2-135m"), "trained weights"), (dict(output_tokens=[1]), "at least 2"),
    (dict(prompt_form="chat"), "chat")])
def test_parameters_that_cannot_be_are_refused(changed, says):
    with pytest.raises(ParamsError, match=says):
        config(**changed)


def test_an_estimator_judges_each_item_once_by_weights_that_did_not_see_it(output):
    found = jobs.measure_estimator(edge=RECORDING, cloud=RECORDING | dict(variant="pocket-900k"), tasks=TASKS, features=TEXT,
                                   folds=3, steps=3, seed=0, threads=1, device="cpu", left_out=True)
    seen = [one for one in found["observations"] if one["metric"] == "edge_p"]
    folds = [one for one in seen if one["protocol"] == FOLDS]
    items = [(one["task_name"], one["item"]) for one in folds]
    assert len(items) == len(set(items)) == 3 * 8 + 3 * 4 and {one["fold"] for one in folds} == {0, 1, 2}
    assert all(0 < one["value"] < 1 for one in seen)
    unknown = {one["task_name"] for one in seen if one["protocol"] == UNKNOWN}
    assert len(unknown) + len(found["warnings"]) == 2, "a task that leaves nothing to learn from is told"


def test_the_part_that_is_judged_is_neither_learnt_from_nor_calibrated_on(monkeypatch):
    n, calls = 60, []
    examples = Examples([f"query {i}" for i in range(n)], np.arange(n) % 2, np.ones(n), np.full(n, np.nan), np.zeros((n, 0)))

    class Known:
        def judge_all(self, texts, confidence):
            calls[-1].append(set(texts))
            return []

    def train(learnt, held_out, seed, steps):
        calls.append([set(learnt.texts), set(held_out.texts)])
        return Known()

    monkeypatch.setattr(jobs.estimator, "train", train)
    groups = [f"item {i // 2}" for i in range(n)]  # two ways of asking one question
    with pytest.raises(ValueError):  # nothing was judged, so that lines do not pair up
        list(jobs._by_folds(examples, [{}] * n, groups, 4, 1, 0, 1))
    for learnt, held_out, asked in calls:
        assert not learnt & held_out and not (learnt | held_out) & asked and len(learnt | held_out | asked) == n
    fold = jobs.folds_of(groups, 4, 0)
    assert all(fold[i] == fold[i + 1] for i in range(0, n, 2)) and np.bincount(fold).tolist() == [16, 16, 14, 14]


def test_timed_answers_are_as_long_as_they_were_recorded(output):
    found = jobs_times.measure_replies(recording=RECORDING, tasks=TASKS, items=5, seed=1, warmups=1)["observations"]
    recorded = {one.item: one for one in answers.of_tasks(RECORDING, TASKS)}
    replies = [one for one in found if one["metric"] == "reply_s"]
    assert len(replies) == 5
    for one in replies:
        was = recorded[one["item"]]
        assert one["output_tokens"] == was.completion_tokens and one["prompt_tokens"] == was.prompt_tokens
    first = {one["item"]: one["value"] for one in found if one["metric"] == "ttft_s"}
    assert all(0 < first[one["item"]] <= one["value"] for one in replies)


def test_decisions_are_timed_one_by_one_on_a_query_of_so_many_tokens(output):
    found = jobs_times.measure_decisions(recording=RECORDING, tasks=TASKS, tokens=128, decisions=12, seed=0, sensed=False)
    values = {}
    for one in found["observations"]:
        values.setdefault(one["metric"], []).append(one["value"])
    assert len(values["decide_s"]) == 12 and min(values["decide_s"]) > 0
    assert 1.5e6 < values["estimator_parameters"][0] < 2.5e6 and values["estimator_bytes"][0] == 4 * values[
        "estimator_parameters"][0]
    assert values["peak_memory_bytes"][0] > 0


def test_published_answers_are_replayed_with_an_estimator_of_their_own(folder):
    queries = [(f"What is {i} plus {'one ' * (i % 5)}?", str(i % 2 == 0), "True") for i in range(40)]
    test_recorded_answers.write(folder / "routellm/gsm8k/gsm8k_responses.csv", queries)
    found = jobs.measure_replayed(name="routellm-gsm8k", items=30, folds=3, steps=2, seed=0, threads=1, device="cpu")
    right = [one for one in found["observations"] if one["metric"] == "correct"]
    judged = [one["item"] for one in found["observations"] if one["metric"] == "edge_p"]
    assert len(right) == 60 and len(judged) == len(set(judged)) == 30
    assert {one["value"] for one in right if one["of"] == "cloud"} == {1}
