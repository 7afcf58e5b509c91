"""What the pipeline plans, which parameters it refuses, and that its jobs write the texts that plain decoding writes."""

from __future__ import annotations

import itertools

import pytest

from edgekit import engines, params
from edgekit.catalog import models
from edgekit.compress import variant as variants
from edgekit.decode.drafted import Drafted
from edgekit.decode.drafters import FixedLength, LookupDrafter, ModelDrafter
from edgekit.params import ParamsError
from edgekit.schema import TECHNIQUES, techniques
from edgekit.studies.cells import Cell
from edgekit.studies.pipeline import jobs
from edgekit.studies.pipeline import plan as study
from edgekit.studies.pipeline import plan_stages as stages

VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    model="pocket-10m", packed="gptq", repeats=2, threads=2, drafts=["lookup", "pocket-200k"], draft_lengths=[2, 4],
    baseline_cells=["transformers/bfloat16", "transformers/float32"],
    **{f"search_{name}": [] for name in ("weights", "prunings", "orders", "drafts", "lengths", "items", "prompts", "limits_s")})
HEALED = "pruned(calibration=mixture, heads=0.2, length=64, mlp=0.15, samples=4, seed=0)"


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def of(units, task: str):
    return [unit for unit in units if unit.condition["task"] == task]


def test_every_set_of_techniques_is_timed_and_none_is_planned_twice():
    units = planned()
    assert len({(unit.repeat, unit.artifact, unit.task, str(unit.condition)) for unit in units}) == len(units)
    timed = of(units, "stages")
    sets = {techniques(some) for n in range(4) for some in itertools.combinations(TECHNIQUES[:3], n)}
    assert {unit.condition["techniques"] for unit in timed} == sets and len(timed) == 2 * (8 + 2), "two float types, 2 repeats"
    assert not any(unit.shared for unit in timed) and all(len(unit.arguments["drafts"]) == 2 for unit in timed)
    assert {unit.condition["techniques"] for unit in of(planned(packed="none"), "stages")} == {
        one for one in sets if "bits" not in one or "runtime" in one}


def test_stages_are_variants_of_one_model_and_drafts_have_each_runtimes_format():
    chains = {unit.condition["techniques"]: (str(variants.parse(unit.arguments["variant"])), dict(unit.arguments["drafts"]))
              for unit in of(planned(), "stages") if unit.condition["weights"] != "float32"}
    assert chains["none"] == ("pocket-10m", {"lookup": "lookup", "pocket-200k": "pocket-200k"})
    whole, drafts = chains["runtime + bits + pruning"]
    assert whole.startswith(f"pocket-10m > {HEALED} > refitted(") and whole.endswith("> gguf_quantized(type=Q4_0)")
    assert drafts == {"lookup": "lookup", "pocket-200k": "pocket-200k > gguf(dtype=float16)"}
    assert chains["bits"][0] == "pocket-10m > packed_gptq(bits=4, group=32, symmetric=True)"
    healed = dict(healing="logits", pruning="0.5/0.5")
    text = next(unit for unit in of(planned(**healed), "stages") if unit.condition["techniques"] == "pruning")
    assert "heads=0.5" in text.arguments["variant"] and "distilled(data=logits, steps=2" in text.arguments["variant"]
    assert text.condition["learning"] == "logits" and text.condition["pruning"] == "0.5/0.5"


def test_a_model_that_came_rounded_is_taken_off_its_grid_before_it_is_made_small(monkeypatch):
    # As if its file had been fetched; whether it is on a grid is then read from it.
    monkeypatch.setattr(models, "is_hub_id", lambda name: False)
    monkeypatch.setattr(variants, "to_round", lambda model: f"{model} > rescaled()")
    real = params.load(study.Config, params.path_of("real", study.STUDY))
    chains = {techniques(stage.used): stage.chain(real) for stage in stages.stages(real)}
    start = f"{real.model} > rescaled()"
    assert chains["none"] == real.model and chains["runtime"] == f"{real.model} > gguf(dtype=float16)"
    for used in ("runtime + bits", "pruning", "runtime + pruning", "runtime + bits + pruning"):
        assert chains[used].startswith(f"{start} > ") and chains[used].count("rescaled") == 1, used
    assert Cell.parse(real.quantized_cell).weights in chains["runtime + bits"]


def test_answers_with_a_draft_are_those_of_the_whole_pipeline_and_losses_ask_no_problems():
    units = planned()
    answers = of(units, "accuracy")
    assert [unit.condition["techniques"] for unit in answers if unit.condition["draft"] != "none"] == [
        "runtime + bits + pruning"] * 2 and all(unit.shared for unit in answers)
    assert all(unit.arguments["length"] == 4 for unit in answers if unit.condition["draft"] != "none")
    assert all(unit.arguments["tasks"] == {} for unit in of(units, "loss")) and len(of(units, "loss")) == 10
    assert not of(planned(tasks=[]), "accuracy")


def test_a_changed_draft_or_prompt_is_another_key():
    def keys(**changed):
        return {(unit.artifact, unit.task) for unit in of(planned(**changed), "stages")
                if unit.condition["techniques"] == "runtime"}

    assert not keys() & keys(drafts=["lookup", "pocket-900k"]) and not keys() & keys(draft_weights="Q8_0")
    assert not keys() & keys(domains=["prices"]) and not keys() & keys(output_tokens=9)


def test_an_engine_that_takes_no_tokens_back_is_timed_plainly_and_says_so(monkeypatch):
    monkeypatch.setattr(engines, "absence", lambda engine, format=None: None)
    units = of(planned(fast_cell="vllm/bfloat16", quantized_cell="vllm/gptq", draft_weights="bfloat16"), "stages")
    fast = [unit for unit in units if unit.condition["engine"] == "vllm"]
    told = [unit for unit in fast if unit.refusal]
    assert len(told) == 4 and all(unit.planned and "take some of them back" in unit.refusal for unit in told)
    assert all(unit.arguments["drafts"] == [] for unit in fast if not unit.refusal) and len(fast) == 4 + 2 * 4


@pytest.mark.parametrize("changed, says", [
    (dict(baseline_cells=["transformers/float32"]), "baseline_cells: expected one in 16 bits"),
    (dict(baseline_cells=["transformers/bfloat16", "vllm/float32"]), "expected cells of one engine"),
    (dict(fast_cell="transformers/bfloat16"), "expected one engine, another than transformers"),
    (dict(quantized_cell="vllm/awq"), "expected one engine"),
    (dict(packed="gguf"), "packed: unknown 'gguf'; known: awq, gptq, none"),
    (dict(pruning="0.2"), "pruning: expected heads/mlp"),
    (dict(healing="prayer"), "healing: unknown 'prayer'; known: least squares, logits"),
    (dict(drafts=["pocket-9m"]), "drafts: unknown pocket model"),
    (dict(drafts=[]), "expected both or none"),
    (dict(draft_weights="Q9"), "draft_weights: unknown 'Q9'"),
    (dict(domains=["english"]), "english"),
    (dict(output_tokens=1), "output_tokens: expected at least 2"),
    (dict(assumed_changed=0.0), "assumed_changed"),
    (dict(model="shape:qwen2.5-0.5b"), "random weights"),
])
def test_what_cannot_be_is_refused_by_name(changed, says):
    with pytest.raises(ParamsError, match=says):
        config(**changed)


@pytest.mark.parametrize("profile", params.profiles())
def test_every_profile_is_accepted(profile):
    assert params.load(study.Config, params.path_of(profile, study.STUDY)).profile == profile


def test_a_drafted_engine_writes_what_the_engine_writes_and_stops_where_it_stops(shared_artifacts):
    artifacts = [variants.build(f"{name} > gguf(dtype=float16)") for name in ("pocket-900k", "pocket-200k")]
    where = dict(dtype="float16", threads=1, device="cpu", context=80)
    prompts = [[5, 9, 17, 30], [44, 3, 12]]
    with engines.open_engine("llama_cpp", artifacts[0], **where) as target, \
            engines.open_engine("llama_cpp", artifacts[1], **where) as draft:
        plain = target.generate(prompts, 40, ())
        stop = {plain[0][20]}
        cut = target.generate(prompts, 40, stop)
        begun = target.generate(prompts, 40, (), ended=lambda tokens: len(tokens) == 7)
        assert len(cut[0]) <= 20 and len(plain[0]) == 40 and set(map(len, begun)) == {7}
        for drafter in (ModelDrafter(draft.session(), FixedLength(3)), LookupDrafter(FixedLength(3))):
            drafted = Drafted(target, drafter, None)
            assert drafted.generate(prompts, 40, ()) == plain and drafted.generate(prompts, 40, stop) == cut
            assert drafted.generate(prompts, 40, (), ended=lambda tokens: len(tokens) == 7) == begun
            kept = drafted.generate(prompts, 40, stop, keep_stop=True)
            assert kept == target.generate(prompts, 40, stop, keep_stop=True) and kept[0][-1] in stop
            assert [step.token for step in drafted.stream(prompts[0], 12)] == plain[0][:12]
            assert (drafted.score(prompts[0]) == target.score(prompts[0])).all()


def test_the_job_times_every_way_over_the_same_tokens_and_finds_no_other_text(shared_artifacts):
    drafts = [["lookup", "lookup"], ["pocket-200k", "pocket-200k > gguf(dtype=float16)"]]
    found = jobs.measure_stage(variant="pocket-900k > gguf(dtype=float16)", engine="llama_cpp", dtype="float16", threads=1,
                               device="cpu", drafts=drafts,
                               lengths=[2], domains=["chain think"], prompts=2, output_tokens=24, first_token_prompt=20, seed=0)
    seen = found["observations"]
    ways = {("none", 0), ("lookup", 2), ("pocket-200k", 2)}
    requests = [one for one in seen if one["metric"] == "request_s"]
    assert {(one["draft"], one["length"]) for one in requests} == ways and len(requests) == 2 * 3
    assert {one["output_tokens"] for one in requests} == {24}
    for one in requests:
        [first], [later] = ([other["value"] for other in seen if other["metric"] == metric and other.get("item") == one["item"]
                             and (other["draft"], other["length"]) == (one["draft"], one["length"])]
                            for metric in ("ttft_s", "tpot_s"))
        assert 0 < first < one["value"]
        assert one["draft"] != "none" or one["value"] == pytest.approx(first + 23 * later)
    assert sum(one["value"] for one in seen if one["metric"] == "differs") == 0
    stated = [one for one in seen if one["metric"] == "ttft_s" and "item" not in one]
    assert {one["prompt_tokens"] for one in stated} == {20} and len(stated) == 3
    peaks = {one["draft"]: one["value"] for one in seen if one["metric"] == "peak_memory_bytes"}
    assert 0 < peaks["none"] <= peaks["pocket-200k"]


def test_tokens_behind_the_end_of_a_text_are_counted():
    assert jobs._behind_end([4, 7, 2, 9], frozenset({7})) == 2 and jobs._behind_end([4, 7], frozenset({7})) == 0
    assert jobs._behind_end([1, 2], frozenset({7})) == 0


def test_energy_is_a_requests_share_of_whole_passes(monkeypatch):
    from edgekit.measure.energy import Reading

    class Counter:
        origins = {"cpu": "counter"}

        def window(self, work):
            before = len(done)
            work()
            passes = len(done) - before
            return Reading({"cpu": 30.0 * passes}, 2.0 * passes)

    done = []
    monkeypatch.setattr(jobs.energy, "WINDOW_S", 0.0)
    seen = jobs._windows(Counter(), Reading({"cpu": 10.0}, 2.0), lambda: done.append(1), 4)
    values = {one["metric"]: one["value"] for one in seen}
    assert values == {"energy_j": 7.5, "energy_net_j": 7.5 - 5 * 0.5, "idle_power_w": 5.0, "window_s": 0.5}
    assert seen[0]["phase"] == "request" and seen[0]["origin"] == "counter"
