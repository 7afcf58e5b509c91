"""What the speculative study plans, and which parameters it refuses."""

from __future__ import annotations

import pytest

from edgekit import engines, params, studies
from edgekit.catalog import models
from edgekit.compress import variant as variants
from edgekit.params import ParamsError
from edgekit.studies.speculative import jobs_overlap as overlap
from edgekit.studies.speculative import plan as study
from edgekit.studies.speculative import plan_pairs as pairs

GRID = dict(models=["pocket-200k", "pocket-900k", "pocket-3m"],
            self_drafts=["rtn(bits=3, group=64)", "Q4_0"],
            lookup=True, more_pairs=["pocket-200k < pocket-900k"], cells=["transformers/float32", "llama_cpp/float16"],
            domains=["prices", "prose"], temperatures=[0.0, 0.5, 1.0], lengths=[4], timed_models=["pocket-3m"],
            timed_drafts=["pocket-900k", "itself", "lookup"], timed_cells=["transformers/float32", "llama_cpp/Q4_0"],
            timed_domains=["prose"], timed_threads=[0, 1], timed_lengths=[1, 2], adaptive=True,
            builtin_speculative=["llama-cpp-python"],
            builtin_lengths=[2], repeats=3, threads=2, replayed_pairs=[],
            batches=[])
VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | GRID


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def test_every_smaller_model_drafts_for_every_larger_one_and_no_condition_is_planned_twice():
    assert pairs.pairs(config(self_drafts=[])) == [
        ("pocket-200k", "lookup"), ("pocket-900k", "pocket-200k"), ("pocket-900k", "lookup"), ("pocket-3m", "pocket-200k"),
        ("pocket-3m", "pocket-900k"), ("pocket-3m", "lookup"), ("pocket-200k", "pocket-900k")]
    units = planned()
    assert len({(unit.repeat, unit.artifact, unit.task, str(unit.condition)) for unit in units}) == len(units)
    counts = [unit for unit in units if unit.condition["task"] == "acceptance"]
    # Two engines count 4 pairs of models, 3 lookups and 3 self-drafts that each loads, on 2 domains at 3 temperatures.
    assert len(counts) == 2 * (4 + 3 + 3) * 2 * 3 and all(unit.shared for unit in counts)


def test_drafts_come_in_a_format_that_the_engine_loads():
    drafts = {(unit.condition["engine"], unit.arguments["draft"]) for unit in planned()
              if unit.condition["task"] == "acceptance" and unit.condition["model"] == "pocket-3m"}
    assert ("llama_cpp", "pocket-3m > gguf_quantized(type=Q4_0)") in drafts
    assert ("transformers", "pocket-3m > rtn(bits=3, group=64)") in drafts
    assert ("llama_cpp", "pocket-900k > gguf(dtype=float16)") in drafts and ("transformers", "pocket-900k") in drafts
    assert not any("rtn" in draft for engine, draft in drafts if engine == "llama_cpp")


LEARNT = "pocket-200k > distilled(data=logits, teacher=pocket-3m, steps=2, tokens=64, length=64)"


def test_a_distilled_draft_takes_the_weights_of_each_cell_and_is_built_before_any_clock_runs():
    units = planned(more_pairs=[f"pocket-3m < {LEARNT}"], timed_drafts=["pocket-200k", "itself"], repeats=1)
    mine = [unit for unit in units if unit.condition.get("draft") == LEARNT]
    assert {(unit.condition["task"], unit.condition["engine"], unit.arguments["draft"]) for unit in mine} == {
        ("acceptance", "transformers", LEARNT), ("acceptance", "llama_cpp", f"{LEARNT} > gguf(dtype=float16)"),
        ("overlap", "transformers", LEARNT), ("speed", "transformers", LEARNT),
        ("speed", "llama_cpp", f"{LEARNT} > gguf_quantized(type=Q4_0)")}
    assert all(unit.arguments["draft"] in unit.variants and not unit.makes for unit in mine)
    plain = next(unit for unit in units if unit.condition["task"] == "overlap" and unit.condition["draft"] == "pocket-200k")
    assert not any(map(variants.is_made, plain.variants)), "a model as it is has nothing to be built"
    assert not [unit for unit in planned(more_pairs=[f"pocket-3m < {LEARNT}"]) if unit.condition["task"] == "speed"
                and unit.condition["draft"] == LEARNT], "timed only where the model that learnt is"


def test_several_texts_at_a_time_are_drafted_for_by_other_models():
    units = [unit for unit in planned(batches=[1, 4], batch_prompts=8, batch_cells=["llama_cpp/float16", "llama_cpp/Q4_0"],
                                      batch_domains=["prose"], repeats=2) if unit.condition["task"] == "batch"]
    assert len(units) == 2 * 2 * 2 and not any(unit.shared for unit in units)
    assert {(unit.condition["draft"], unit.arguments["batch"]) for unit in units} == {("pocket-900k", 1), ("pocket-900k", 4)}
    assert {unit.arguments["draft"].partition(" > ")[2] for unit in units} == {"gguf(dtype=float16)",
                                                                               "gguf_quantized(type=Q4_0)"}


def test_divergence_is_taken_in_the_reference_where_theory_is_exact():
    units = [unit for unit in planned() if unit.condition["task"] == "overlap"]
    assert {unit.condition["temperature"] for unit in units} == {0.0, 1.0}
    assert {unit.arguments["draft"] for unit in units if "gguf" in unit.arguments["draft"]} == {
        f"{model} > gguf_quantized(type=Q4_0) > dequantized()" for model in GRID["models"]}
    assert "lookup" not in {unit.condition["draft"] for unit in units}


def test_times_are_greedy_in_processes_of_their_own_with_repeats_and_the_runtimes_loop_beside():
    units = [unit for unit in planned() if unit.condition["task"] == "speed"]
    assert not any(unit.shared for unit in units) and {unit.condition["temperature"] for unit in units} == {0.0}
    assert {unit.repeat for unit in units} == {0, 1, 2} and {unit.condition["threads"] for unit in units} == {1, 2}
    assert {unit.condition["draft"] for unit in units} == {"pocket-900k", "lookup", "pocket-3m > rtn(bits=3, group=64)",
                                                           "pocket-3m > gguf_quantized(type=Q4_0)"}
    ours = next(unit for unit in units if unit.condition["engine"] == "llama_cpp")
    assert ours.arguments["lengths"] == [1, 2, "adaptive"] and "Q4_0" in ours.arguments["target"]
    loop = [unit for unit in units if unit.condition["engine"] == "llama-cpp-python"]
    assert {unit.condition["draft"] for unit in loop} == {"pocket-900k", "lookup"}
    assert all(unit.arguments["lengths"] == [2] and unit.condition["dtype"] == "Q4_0" for unit in loop)


def test_an_engine_that_cannot_take_tokens_back_is_a_skip_that_says_so_once_a_pair(monkeypatch):
    monkeypatch.setattr(engines, "absence", lambda engine, format: None)
    units = [unit for unit in planned(timed_cells=["vllm/float32"], builtin_speculative=["vllm-speculative"], timed_threads=[0])
             if unit.condition["task"] == "speed"]
    refused = [unit for unit in units if unit.refusal]
    assert {unit.condition["engine"] for unit in refused} == {"vllm"} and {unit.repeat for unit in refused} == {0}
    assert all("take some of them back" in unit.refusal and unit.planned for unit in refused)
    assert {unit.condition["engine"] for unit in units if not unit.refusal} == {"vllm-speculative"}


def test_a_hub_model_that_cannot_be_had_is_an_unplanned_skip_and_the_others_go_on(monkeypatch, tmp_path):
    def absent(name, resolve=models.resolve):
        if models.is_hub_id(name):
            raise models.ModelError(f"{name}: not here")
        return resolve(name)

    monkeypatch.setattr(models, "resolve", absent)
    own = tmp_path / "own.jsonl"  # a name that does not say its language
    own.write_text('{"prompt": "one"}\n')
    units = planned(models=["pocket-200k", "owner/name", "pocket-3m"], more_pairs=[], timed_drafts=["owner/name"],
                    domains=[str(own)], timed_domains=[str(own)], batch_domains=[])
    assert [(unit.refusal, unit.planned) for unit in units if unit.refusal] == [("owner/name: not here", False)]
    assert {unit.condition["model"] for unit in units if not unit.refusal} == {"pocket-200k", "pocket-3m"}


def test_overlaps_of_a_model_with_itself_are_whole_and_with_another_are_those_by_hand(monkeypatch):
    asked = dict(threads=1, device="cpu", domain="prices", prompts=2, max_new_tokens=12, seed=0)
    seen = overlap.measure_overlap(target="pocket-200k", draft="pocket-200k", temperature=1, **asked)["observations"]
    for one in (one for one in seen if "item" in one):
        whole = {"overlap": one["tokens"], "agreed": one["tokens"], "kl_nats": 0}[one["metric"]]
        assert one["value"] == pytest.approx(whole, abs=1e-4)
    other = overlap.measure_overlap(target="pocket-200k", draft="pocket-900k", temperature=0, **asked)["observations"]
    sums = {name: sum(one["value"] for one in other if one["metric"] == name) for name in ("overlap", "agreed", "kl_nats")}
    tokens = sum(one["tokens"] for one in other if one["metric"] == "agreed")
    assert 0 < sums["agreed"] <= tokens and 0 < sums["overlap"] < tokens and sums["kl_nats"] > 0


def test_the_study_has_its_name():
    assert f"{studies.STUDIES[study.STUDY]}.plan" == study.__name__


@pytest.mark.parametrize("changed, complaint", [
    ({"lengths": [0]}, "lengths: expected at least 1 each"),
    ({"timed_lengths": [-1]}, "timed_lengths: expected at least 1 each"),
    ({"builtin_lengths": [0]}, "builtin_lengths: expected at least 1 each"),
    ({"domains": ["poems"]}, "domains: unknown prompts 'poems'; known: chain think"),
    ({"timed_models": ["pocket-10m"]}, "timed_models: unknown 'pocket-10m'; known: pocket-200k"),
    ({"timed_drafts": ["me"]}, "timed_drafts: unknown 'me'; known: .*itself, lookup"),
    ({"temperatures": [-0.5]}, "temperatures: expected at least 0"),
    ({"top_p": 0.0}, "top_p: expected more than 0"),
    ({"cells": ["transformers/Q4_0"]}, "transformers loads safetensors"),
    ({"timed_cells": ["vllm/awq"]}, "expected engine/weights with weights one of float32"),
    ({"builtin_speculative": ["eagle"]}, "unknown loop 'eagle'; known: transformers-assisted"),
    ({"self_drafts": ["halved()"]}, "unknown step 'halved'"),
    ({"more_pairs": ["pocket-200k > pocket-900k"]}, "more_pairs: expected \"target < draft\""),
    ({"models": ["shape:smollm2-135m"], "timed_models": [], "timed_drafts": ["itself"]}, "random weights"),
    ({"batches": [3], "batch_prompts": 8}, "batches: expected numbers of texts at a time that divide"),
    ({"batch_cells": ["transformers/float32"]}, "batch_cells: expected an engine that takes tokens back"),
    ({"max_new_tokens": 1}, "max_new_tokens: expected at least 2"),
    ({"models": ["pocket-200k", "pocket-200k"]}, "models: expected each item once"),
])
def test_parameters_that_cannot_be_are_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        config(**changed)
