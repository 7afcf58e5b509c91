"""What the distillation study plans, and which parameters it refuses."""

from __future__ import annotations

import pytest

from edgekit import params
from edgekit.compress import distil, variant
from edgekit.params import ParamsError
from edgekit.studies.distillation import plan as study
from edgekit.studies.distillation import plan_chains as chains
from edgekit.studies.distillation import tables

VALUES = dict(
    profile="ci", rows="measure", seed=0, device="cpu", threads=1, model="pocket-3m", teacher="pocket-3m",
    small_models=["pocket-900k"],
    prunings=["0.2/0.15", "0.8/0.8"], learnings=list(chains.LEARNINGS), small_learnings=["fine-tuning", "logits"], seeds=[0, 1],
    calibration="mixture", samples=8, steps=4, tokens=256, length=64, learning_rate=1e-3,
    fresh_learning_rate=4e-3, temperature=2.0, mix=0.5, training_texts="mixture", prompts=16, quantizations=["Q8_0", "Q4_0"],
    chain_learning="logits", stream="mixture", texts=8,
    blocks=2, tasks=["pocket_chain_think"], prompt_form="plain", depths=[1], items_per_depth=2, timeout_s=100.0,
    memory_share=0.8)


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def test_every_student_learns_in_every_way_once_and_before_it_is_measured():
    """2 prunings in 5 ways (and by least squares, which trains nothing) and a small model in 2, for 2 seeds; whole; pruned
    alone; 2 quantizations of the whole, of both orders of 2 prunings for 2 seeds, and of 3 students that learnt."""
    units = planned()
    trained = [unit for unit in units if unit.condition["task"] == "training"]
    losses = [unit for unit in units if unit.condition["task"] == "loss"]
    assert len(trained) == (2 * 5 + 2) * 2 == len({unit.artifact for unit in trained})
    assert len(losses) == 1 + 4 + len(trained) + 2 * 2 + 2 * (1 + 2 * 2 * 2 + 3)
    assert len(losses) == len({str(unit.condition) for unit in losses})
    assert all(unit.shared for unit in units)
    assert all(unit.first for unit in trained) and not any(unit.first for unit in losses)
    built = {unit.arguments["chain"] for unit in trained}
    for unit in losses:
        before, learns, _ = unit.arguments["chain"].partition("distilled(")
        assert not learns or any(unit.arguments["chain"].startswith(chain) for chain in built)


def test_budgets_are_equal_and_only_what_is_learnt_differs():
    steps = [step for unit in planned() for step in variant.parse(unit.arguments["chain"]).steps if step.name == "distilled"]
    budgets = {tuple(value for name, value in step.arguments if name in ("steps", "tokens", "length", "texts"))
               for step in steps}
    assert budgets == {(64, 4, "mixture", 256)}
    told = {tuple(dict(step.arguments).get(name) for name in ("data", "mix", "teacher")) for step in steps}
    assert told == {("none", None, None), ("logits", 1.0, "pocket-3m"), ("logits", 0.5, "pocket-3m"),
                    ("text", None, "pocket-3m"), ("both", 0.5, "pocket-3m")}
    for step in steps:
        distil.Distillation(**distil.DEFAULTS | dict(step.arguments))


def test_both_orders_end_in_the_same_format():
    texts = {unit.condition["order"]: unit.arguments["chain"] for unit in planned(learnings=["logits"], seeds=[1])
             if unit.condition["quantization"] == "Q4_0" and unit.condition["pruning"] == "0.8/0.8"
             and unit.condition["learning"] == "none"}
    prune = "pruned(heads=0.8, mlp=0.8, samples=8, length=64, seed=1)"
    assert texts == {
        "prune first": f"pocket-3m > {prune} > gguf_quantized(type=Q4_0) > dequantized()",
        "quantize first": f"pocket-3m > gguf_quantized(type=Q4_0) > dequantized() > {prune} > gguf_quantized(type=Q4_0) > "
                          "dequantized()"}


def test_a_chain_may_end_in_a_calibrated_method():
    named = "gptq(bits=4, group=32)"
    units = [unit for unit in planned(quantizations=["Q4_0", named], seeds=[1]) if unit.condition["quantization"] == named]
    last = "gptq(bits=4, group=32, calibration=mixture, samples=8, length=64, seed=1)"
    pruned = {unit.condition["order"]: unit.arguments["chain"] for unit in units
              if unit.condition["pruning"] == "0.8/0.8" and unit.condition["learning"] == "none"}
    prune = "pruned(heads=0.8, mlp=0.8, samples=8, length=64, seed=1)"
    assert pruned == {"prune first": f"pocket-3m > {prune} > {last} > dequantized()",
                      "quantize first": f"pocket-3m > {last} > dequantized() > {prune} > {last} > dequantized()"}
    assert not any(unit.refusal for unit in units)
    before = [(unit.condition, unit.artifact) for unit in planned(quantizations=["Q4_0"], seeds=[1])]
    with_it = [(unit.condition, unit.artifact) for unit in planned(quantizations=["Q4_0", named], seeds=[1])]
    assert all(unit in with_it for unit in before) and len(with_it) == len(before) + len(units)


def test_widths_that_cannot_be_grouped_are_skipped_with_the_pruning_that_would_do():
    """480 of 576 neurons stay, and 480 is no multiple of 64; 512 is."""
    units = planned(quantizations=["gptq(bits=4, group=64)"], prunings=["0.2/0.15"], learnings=["logits"], small_models=[])
    refused = {unit.refusal for unit in units if unit.condition["pruning"] != "none"
               and unit.condition["quantization"] != "none"}
    assert refused == {"groups of 64 do not divide every input width of pocket-3m pruned by 0.2/0.15; these do: 32, 16, 8; a "
                       "pruning that would do: 0.2/0.111"}
    assert not any(unit.refusal for unit in units if "none" in (unit.condition["pruning"], unit.condition["quantization"]))
    again = planned(quantizations=["gptq(bits=4, group=64)"], prunings=["0.2/0.111"], learnings=["logits"], small_models=[])
    assert not any(unit.refusal for unit in again)
    whole = planned(quantizations=["gptq(bits=4, group=128)"], prunings=["0.2/0.15"], learnings=["logits"], small_models=[])
    assert any("groups of 128 do not divide every input width of pocket-3m;" in (unit.refusal or "") for unit in whole)


def test_the_tables_know_the_words_of_the_study():
    assert set(chains.Chain("a").condition()) == {*tables.CHAIN, "draw"} - {"model"}


@pytest.mark.parametrize("changed, complaint", [
    ({"learnings": ["osmosis"]}, "learnings: unknown 'osmosis'; known: fine-tuning, logits"),
    ({"chain_learning": "osmosis"}, "chain_learning: unknown 'osmosis'"),
    ({"quantizations": ["Q9_K"]}, "quantizations: unknown 'Q9_K'; known: Q8_0"),
    ({"quantizations": ["gptq(bits=4)"]}, r"unknown 'gptq\(bits=4\)'; known: .* and awq\(bits=4, group=32\) or gptq"),
    ({"prunings": ["0.2"]}, "expected heads/mlp, two shares to remove, as 0.2/0.15; got '0.2'"),
    ({"prunings": ["1.0/0.2"]}, r"expected heads to be a share in \[0, 1\), got 1.0"),
    ({"prunings": []}, "prunings: expected a list of at least 1"),
    ({"small_models": ["pocket-3m"]}, "small_models: pocket-3m is the model itself"),
    ({"teacher": "shape:smollm2-135m"}, "random weights"),
    ({"teacher": "pocket-7b"}, "unknown pocket model 'pocket-7b'"),
    ({"mix": 1.0}, "mix: expected more than 0 and less than 1"),
    ({"tokens": 100}, "tokens a multiple of length"),
    ({"temperature": 0.0}, "temperature and learning_rate above 0"),
    ({"training_texts": "poems"}, "unknown training texts 'poems'; known: mixture"),
    ({"blocks": 1}, "blocks: expected 2 to texts"),
])
def test_parameters_that_cannot_be_are_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        config(**changed)
