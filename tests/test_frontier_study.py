"""What the frontier study plans and refuses, and that its jobs count what models write."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit import params, store
from edgekit.decode import budgets
from edgekit.engines.base import EngineError
from edgekit.params import ParamsError
from edgekit.schema import NO_ANSWER
from edgekit.studies.frontier import jobs
from edgekit.studies.frontier import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    models=["pocket-200k", "pocket-900k"], cells=["llama_cpp/float16", "llama_cpp/Q4_0"], hard_budgets=[12, 24], timed_items=1,
    soft_budgets=[24], trained_budgets=[1, 2], vote_models=["pocket-900k"], vote_cells=["llama_cpp/Q4_0"], pools=2,
    parallel=[1, 4], parallel_cells=["llama_cpp/float16"], repeats=3)
WHERE = dict(variant="pocket-200k", engine="transformers", dtype="float32", threads=1, device="cpu", model="pocket-200k",
             family="pocket_chain", items=3, depths=[1, 2], most_tokens=60, prompt_form="plain")


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def of(units, task):
    return [unit for unit in units if unit.condition["task"] == task]


def test_every_model_cell_and_way_to_reason_is_asked_once_and_no_condition_twice():
    units = planned()
    assert len({(unit.repeat, unit.artifact, unit.task, str(unit.condition)) for unit in units}) == len(units)
    asked = of(units, "reasoning")
    assert len(asked) == 2 * 2 * 5 and all(unit.shared for unit in asked)  # think, direct, soft, two trained ones
    assert {tuple(unit.arguments["hard_budgets"]) for unit in asked if unit.condition["mode"] == "think"} == {(12, 24)}
    assert {tuple(unit.arguments["hard_budgets"]) for unit in asked if unit.condition["mode"] != "think"} == {()}
    assert {(unit.repeat, unit.arguments["seed"]) for unit in of(units, "pool")} == {(0, 0), (1, 1000)}
    assert len(of(units, "parallel")) == 3 * 2 and not any(unit.shared for unit in of(units, "parallel"))
    assert len(of(units, "speed")) == 3 * len(of(units, "requests")) == 3 * 2 * 2 and len(of(units, "device")) == 3
    timed = of(units, "requests")[0]
    assert timed.arguments["modes"] == ["think", "direct", "budget-1", "budget-2", "hard-12", "hard-24"]


def test_no_requests_are_timed_where_none_are_asked_for():
    assert not of(planned(timed_items=0), "requests")


def test_what_a_model_cannot_be_asked_is_planned_and_refused_by_name():
    soft = [unit for unit in of(planned(), "reasoning") if unit.condition["mode"] == "soft-24"]
    assert soft and all(unit.planned and "no words for a budget" in unit.refusal for unit in soft)
    far = [unit for unit in of(planned(trained_budgets=[9]), "reasoning") if unit.condition["mode"] == "budget-9"]
    assert far and all("unknown task 'pocket_chain_budget_9'" in unit.refusal for unit in far)


def test_a_key_changes_with_what_is_asked_and_not_with_what_is_not():
    def keys(**changed):
        return {(str(unit.condition), unit.repeat): unit.task for unit in planned(**changed)}

    base, more, warm = keys(), keys(items_per_depth=5), keys(warmups=9)
    assert all(base[key] != more[key] for key in base if "'reasoning'" in key[0] or "'pool'" in key[0])
    assert all(base[key] == warm[key] for key in base if "'speed'" not in key[0])


@pytest.mark.parametrize("changed, says", [
    (dict(hard_budgets=[0]), "at least 1"), (dict(soft_budgets=[0]), "at least 1"),
    (dict(hard_budgets=[96]), "below most_tokens"), (dict(vote_cells=[]), "both or none"),
    (dict(parallel=[2, 4]), "expected 1 among"), (dict(parallel=[1, 16]), "at most samples"),
    (dict(families=["pocket_prices"]), "known: english, pocket_chain"), (dict(families=["english"]), "english"),
    (dict(models=["shape:qwen2.5-0.5b"]), "random weights"), (dict(prompt_tokens=[48]), "at least 2"),
    (dict(temperature=0.0), "more than 0"), (dict(items_per_depth=1), "at least 2")])
def test_parameters_that_cannot_be_are_refused_in_a_sentence(changed, says):
    with pytest.raises(ParamsError, match=says):
        config(**changed)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Observations of the smallest model, by mode."""
    patch = pytest.MonkeyPatch()
    patch.setattr(store, "OUTPUT", tmp_path_factory.mktemp("output"))
    try:
        found = {}
        for mode, hard in (("think", [6, 12]), ("direct", []), ("budget-1", [])):
            seen = jobs.measure_answers(**WHERE, mode=mode, hard_budgets=hard, answer_tokens=4)["observations"]
            for one in seen:
                found.setdefault(one["mode"], []).append(one)
        yield found
    finally:
        patch.undo()


def test_every_mode_answers_the_same_questions_and_keeps_its_tokens(answers):
    assert list(answers) == ["think", "hard-6", "hard-12", "direct", "budget-1"]
    items = [one["item"] for one in answers["think"]]
    assert len(set(items)) == 6 and all([one["item"] for one in seen] == items for seen in answers.values())
    for seen in answers.values():
        assert all(one["value"] in (0, 1) and (one["answer"] != NO_ANSWER or not one["value"]) for one in seen)
    assert sum(one["value"] for one in answers["think"]) >= 3, "it has learnt its sums"
    for before, after in zip(answers["think"], answers["hard-6"], strict=True):
        assert after["written"] <= 6 + 2 + 4 and after["cut"] == (before["written"] > 6)
        assert after["cut"] or after["written"] == before["written"]
    mean = {mode: sum(one["written"] for one in seen) / 6 for mode, seen in answers.items()}
    assert mean["direct"] < mean["hard-6"] < mean["hard-12"] <= mean["think"]
    assert all(one["spent"] <= 1 for one in answers["budget-1"]) and "spent" not in answers["think"][0]


def test_requests_by_the_clock_write_as_many_tokens_as_were_counted(answers, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    found = jobs.measure_requests(**WHERE, modes=["think", "hard-6", "direct"], answer_tokens=4)["observations"]
    counted = {(one["mode"], one["item"]): one["written"] for seen in answers.values() for one in seen}
    assert len(found) == 18 and all(one["value"] > 0 and one["written"] == counted[one["mode"], one["item"]] for one in found)


def test_a_pool_is_drawn_with_its_seed_and_its_samples_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    named = WHERE | dict(samples=6, at_once=4, context=256, temperature=1.5, top_p=1.0, items=2, most_tokens=40)
    first, again, other = (jobs.measure_pool(**named, seed=seed)["observations"] for seed in (1, 1, 2))
    assert first == again != other
    assert [one["sample"] for one in first] == [i for i in range(6) for _ in range(4)]
    assert len({(one["item"], one["answer"]) for one in first}) > 4 and all(one["temperature"] == 1.5 for one in first)
    with pytest.raises(EngineError, match="of a pool of 6"):
        jobs.measure_pool(**named | dict(at_once=7), seed=1)


@pytest.mark.parametrize("changed, says", [(dict(hard_budgets=[60]), "texts have at most 60"),
                                           (dict(items=151), "depth 1 has 150"), (dict(mode="slow"), "known: think")])
def test_jobs_refuse_what_cannot_be_asked(changed, says, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    with pytest.raises((EngineError, budgets.BudgetError), match=says):
        jobs.measure_answers(**WHERE | dict(mode="think", hard_budgets=[], answer_tokens=4) | changed)


def test_the_modes_of_a_config_are_those_of_its_lists():
    assert [str(mode) for mode in config().modes] == ["think", "direct", "soft-24", "budget-1", "budget-2"]
    assert dataclasses.asdict(config())["samples"] == 8
