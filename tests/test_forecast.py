"""What a plan takes, against sizes worked out by hand, what the committed rows measured, and times that are put there."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import defaultdict

import pytest

from edgekit import cli, committed, engines, plan, provenance, store
from edgekit.catalog import hub, models, real_texts
from edgekit.catalog.engines import ENGINES
from edgekit.compress import foreseen, gguf_quantize, variant
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.errors import EdgekitError
from edgekit.schema import REFERENCE
from edgekit.studies import forecast, history, local, needs, runner
from edgekit.studies.needs import Held
from edgekit.studies.order import ordered
from edgekit.studies.runner import Unit

LLAMA, PARAMETERS = "meta-llama/Llama-2-7b-chat-hf", 6738415616
QWEN, OF_QWEN = "Qwen/Qwen2.5-7B-Instruct", 7615616512
BOARDS = ("jetson-orin-nx", "jetson-agx-orin", "apple-m2-pro", "snapdragon-8-gen3", "intel-core-ultra", "x86-cpu",
          "nvidia-gpu")
BESIDE = {name: entry.runtime.beside_bytes for name, entry in ENGINES.items()}


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch, tmp_path):
    """No hub, no engine's process, an empty folder for what runs write."""
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setattr(hub, "here", lambda name: None)
    monkeypatch.setattr(forecast.hub, "download", lambda name: hub.Download(name, 2 * PARAMETERS, True, "by hand"))
    monkeypatch.setattr(engines, "absence", lambda engine, format=None: None)
    monkeypatch.setattr(engines, "runtime", lambda engine: engine)


# What chains make


@pytest.mark.parametrize("chain, nbytes", [
    ("shape:llama-2-7b", 2 * PARAMETERS),
    ("shape:llama-2-7b > gguf(dtype=float16)", 2 * PARAMETERS + 2**20),
    # 4 bits and a 16-bit scale and a 4-bit zero point for 128 weights; two embedding matrices of 32,000 x 4,096 at 16 bits
    ("shape:llama-2-7b > packed_awq(bits=4, group=128)", (PARAMETERS - 262144000) * (4 + 20 / 128) / 8 + 2 * 262144000 + 2**20),
    ("shape:llama-2-7b > packed_gptq(bits=4, group=128, symmetric=True) > dequantized()", 4 * PARAMETERS + 2**20),
])
def test_the_bytes_of_a_chain_are_those_of_its_weights(chain, nbytes):
    assert foreseen.whole(chain).nbytes == pytest.approx(nbytes, abs=1)


@functools.cache
def committed_units(study: str) -> list[dict]:
    """Value by metric of each committed unit of a task `speed`, with its condition."""
    [path] = [rows.path for rows in committed.files() if (rows.study, rows.profile) == (study, committed.REFERENCE)]
    units = defaultdict(dict)
    for row in store.read(path)[0]:
        if row.condition["task"] == "speed":
            units[row.key] |= {row.metric: row.value, "at": row.condition}
    return [unit for unit in units.values() if "artifact_bytes" in unit]


def chain_of(at: dict) -> str:
    """The variant behind a committed speed unit of 02, 03 or 04."""
    model, weights = at["model"], at.get("weights", at["dtype"])
    if at.get("heads"):
        model += f" > pruned(heads={at['heads']}, mlp={at['mlp']}, score=random, multiple=32, seed=0)"
    if weights in ("awq", "gptq"):
        return f"{model} > packed_{weights}(bits=4, group=64)"
    if weights in gguf_quantize.TYPES:
        return f"{model} > gguf_quantized(type={weights})"
    return engines.variant_for(at["engine"], model, weights)


@pytest.mark.parametrize("study", ["02_baseline", "03_quantization", "04_pruning"])
def test_artifacts_are_as_large_as_the_committed_rows_say(study):
    """Within a tenth; llama.cpp's mixtures within a third: they hold some matrices at more bits, and narrow ones too."""
    seen = 0
    for unit in committed_units(study):
        link = foreseen.whole(chain_of(unit["at"]))
        assert link.spec.architecture.parameters == unit["parameters"]
        share = 1 / 3 if unit["at"].get("weights") in gguf_quantize.TYPES else 0.1
        assert link.nbytes == pytest.approx(unit["artifact_bytes"], rel=share, abs=2**21), unit["at"]
        seen += 1
    assert seen > 20


# Memory


def test_what_a_model_needs_is_weights_and_cache_and_what_the_process_takes():
    cache = 1000 * 2 * 32 * 32 * 128  # 32 layers, 32 heads of 128, keys and values
    for engine, chain, dtype, weights, element in [
            ("transformers", "shape:llama-2-7b", "float16", 2 * PARAMETERS, 2),
            ("transformers", "shape:llama-2-7b", "float32", 4 * PARAMETERS, 4),
            ("llama_cpp", "shape:llama-2-7b > gguf(dtype=float16)", "float16", 2 * PARAMETERS + 2**20, 2)]:
        need = needs.need_of(unit_that_holds(Held(chain, engine, dtype, 1000)))
        assert need.nbytes == pytest.approx(weights + element * cache + BESIDE[engine])
    large, small = Held("shape:llama-2-7b", *REFERENCE, copies=3), Held("shape:smollm2-135m", *REFERENCE)
    both = needs.need_of(unit_that_holds(large, small))
    assert both.nbytes == pytest.approx(12 * PARAMETERS + 4 * 134515008 + BESIDE["transformers"])
    assert both.words == "float32 weights of shape:llama-2-7b: 80.9 GB and float32 weights of shape:smollm2-135m: 0.5 GB"
    capped = needs.sizes(Held("shape:llama-2-7b", *REFERENCE, tokens=10**9, texts=2))[1]
    assert capped == 2 * 4096 * 4 * cache / 1000, "no more tokens than the model's context"


def unit_that_holds(*together: Held, **changed) -> Unit:
    return Unit({"task": "speed", "model": "m", "threads": 1}, 0, "jobs:square", {"number": 2}, "a", "t",
                holds=(together,), **changed)


def test_in_turn_the_larger_one_counts_and_an_impossible_one_is_left_to_its_job():
    small, large = Held("shape:smollm2-135m", *REFERENCE), Held("shape:qwen2.5-0.5b", *REFERENCE)
    unit = dataclasses.replace(unit_that_holds(), holds=((small,), (large,)))
    assert needs.need_of(unit) == needs.need_of(unit_that_holds(large))
    assert needs.need_of(unit_that_holds(Held("pocket-9t", *REFERENCE))) is None
    assert needs.need_of(dataclasses.replace(unit, holds=())) is None


@pytest.mark.parametrize("engine", ["transformers", "llama_cpp", "vllm"])
def test_what_a_process_takes_beside_its_model_is_the_most_that_was_measured(engine):
    beside = []
    for study in ("02_baseline", "03_quantization", "04_pruning"):
        for unit in committed_units(study):
            at = unit["at"]
            if at["engine"] == engine and "peak_memory_bytes" in unit and at["dtype"] != "float32" and at.get(
                    "weights") not in ("awq", "gptq"):
                # each stream has at most 1,024 tokens in these rows
                beside.append(unit["peak_memory_bytes"] - unit["artifact_bytes"] - 1024 * unit["kv_bytes_per_token"])
    assert max(beside) == pytest.approx(BESIDE[engine], rel=0.15) and len(beside) > 5


def test_a_float32_reference_that_does_not_fit_a_board_is_refused_by_name_and_nothing_else_of_it():
    """The Jetson has 16 GB and 95 % of them for a process; this 7B takes 30.5 GB in float32, 8.1 GB at 8 bits and a half."""
    found = forecast.forecast("06_speculative", "jetson-orin-nx")
    assert not found.place.here and found.memory.limit_bytes == 0.95 * 16e9
    for why in found.refusals:
        assert why.planned and f"(float32 weights of {QWEN}: 30.5 GB and float32" in why.reason and "16.0 GB" in why.reason
    refused = {group.task: group.refused for group in found.groups if group.refused}
    assert refused == {"overlap": 3 * 3 * 2}, "two drafts and itself, by domain and temperature"
    assert refused["overlap"] == sum(why.units for why in found.refusals)
    assert found.time.units == 0 and "nothing is known" not in plan.text([found]) and "no estimate" in plan.text([found])


def test_a_board_times_the_7b_at_16_bits_and_its_references_fit():
    found = forecast.forecast("03_quantization", "jetson-orin-nx")
    assert {why.reason for why in found.refusals} == {"awq has no 8 bits; it has 4", "awq has no 3 bits; it has 4"}
    assert found.memory.most.nbytes == pytest.approx(2 * PARAMETERS + BESIDE["transformers"] + 256 * 2 * 2 * 32 * 4096)
    *fetched, texts, task = found.downloads
    assert [one.name for one in fetched] == ["Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct", LLAMA]
    assert fetched[-1] == hub.Download(LLAMA, 2 * PARAMETERS, True, "by hand")
    assert texts.name == "texts of wikitext2" and task.name == "items of lm-eval:mmlu_high_school_mathematics"


def test_a_larger_board_takes_the_same_reference(monkeypatch):
    boards = {"jetson-orin-nx": dataclasses.replace(forecast.platforms.get("jetson-orin-nx"), memory_bytes=80e9)}
    monkeypatch.setattr(forecast.platforms, "load", lambda: boards)
    found = forecast.forecast("06_speculative", "jetson-orin-nx")
    assert not found.refusals and found.memory.most.nbytes > 8 * OF_QWEN


@pytest.mark.parametrize("profile", BOARDS)
@pytest.mark.parametrize("notebook", ["02_baseline", "03_quantization", "04_pruning", "05_distillation", "06_speculative"])
def test_boards_judge_real_models_whose_sizes_are_published_and_refuse_no_reference_but_the_7bs(notebook, profile, monkeypatch):
    """Without a network. The GPU of the profile nvidia-gpu is said to have 48 GB or more."""
    if profile in ("nvidia-gpu", "x86-cpu"):  # any of them: this machine stands for it
        monkeypatch.setattr(forecast.devices, "free_memory_bytes", lambda device: 48e9)
    found = forecast.forecast(notebook, profile)
    assert found.downloads and all(one.planned for one in found.refusals), "a model that nothing is known of is no planned one"
    for why in found.refusals:
        assert "float32 weights" not in why.reason or f"float32 weights of {QWEN}: 30.5 GB and" in why.reason, why.reason
    assert found.memory.most.nbytes <= found.memory.limit_bytes and sum(group.left for group in found.groups) > 20


def run_toy(units, share=0.9):
    config = dataclasses.make_dataclass("Config", [("profile", str, "test"), ("seed", int, 0), ("device", str, "cpu"),
                                                   ("timeout_s", float, 60.0), ("memory_share", float, share)], frozen=True)()
    return runner.run_units("toy", 1, config, units)


def test_at_measuring_time_a_unit_is_refused_and_runs_once_there_is_room(monkeypatch):
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    unit = unit_that_holds(Held("shape:smollm2-135m", *REFERENCE))  # 0.54 GB and 0.65 GB beside it
    free = [1.2e9]
    monkeypatch.setattr(local.devices, "free_memory_bytes", lambda on: free[0])
    refused = run_toy([unit])
    [skip] = refused.skips
    assert skip.expected and not skip.tried and not refused.rows and not refused.unexpected
    assert skip.reason.startswith("needs about 1.2 GB (float32 weights of shape:smollm2-135m: 0.5 GB): more than memory_share")
    free[0] = 1.1e9  # the same words, so it is not written again
    before = refused.path.read_bytes()
    assert run_toy([unit]).skips == [skip] and refused.path.read_bytes() == before
    free[0] = 4e9
    again = run_toy([unit])
    assert again.measured == 1 and not again.skips
    [took] = [one.took_s for one in store.finished(again.path)[0].values()]
    assert 0 < took < 60


def test_what_a_unit_holds_and_why_it_is_refused_are_no_part_of_its_key():
    unit = unit_that_holds(Held("shape:smollm2-135m", *REFERENCE))
    [key] = runner.keys_of("toy", 1, [unit])
    assert list(runner.keys_of("toy", 1, needs.fitting([unit], 0, "nothing"))) == [key]
    assert list(runner.keys_of("toy", 1, [dataclasses.replace(unit, holds=())])) == [key]
    assert list(runner.keys_of("toy", 1, [unit], "another-board")) != [key]


# Downloads


def test_a_model_that_is_not_here_is_planned_by_its_published_sizes_and_never_fetched(monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda name: pytest.fail("fetched"))
    with models.without_downloads() as absent:
        spec = models.resolve(LLAMA)
        assert spec.architecture.parameters == PARAMETERS and spec.folder is None
        with pytest.raises(models.ModelError, match="nobody/nothing: .* run `hf download nobody/nothing`"):
            models.resolve("nobody/nothing")
    assert list(absent) == [LLAMA, "nobody/nothing"] and absent["nobody/nothing"] is None
    assert hub.published_as(LLAMA).gated and not hub.published_as("Qwen/Qwen2.5-0.5B").gated


def test_a_repository_of_the_same_sizes_has_the_numbers_of_its_own_that_differ():
    base, instruct = (hub.published_as(f"Qwen/Qwen2.5-1.5B{name}") for name in ("", "-Instruct"))
    assert (base.architecture.context, instruct.architecture.context) == (131072, 32768)
    assert instruct.repository == "Qwen/Qwen2.5-1.5B-Instruct" and "Instruct" in instruct.architecture.source
    assert dataclasses.replace(instruct.architecture, context=131072, source=base.architecture.source) == base.architecture
    named = [name for one in hub.published().values() for name in (one.repository, *one.also)]
    assert len(named) == len(set(named)) and hub.published_as("nobody/nothing") is None


def test_texts_that_are_not_here_are_planned_and_never_fetched(monkeypatch, tmp_path):
    from datasets import config

    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(real_texts, "_wikitext_of_hub", lambda part: fetched or pytest.fail("fetched"))
    fetched = ()
    with real_texts.without_downloads() as away:
        assert real_texts.content_hash("wikitext2", "evaluation") == "not here: wikitext2" and away == {"wikitext2"}
        assert len(real_texts.content_hash("python-docs", "evaluation")) == 64 and away == {"wikitext2"}
    fetched = (real_texts.RealText("one", "A text of the hub."),)
    (tmp_path / "datasets/Salesforce___wikitext/wikitext-2-raw-v1").mkdir(parents=True)
    with real_texts.without_downloads() as away:
        assert real_texts.content_hash("wikitext2", "evaluation") == real_texts._hash(fetched) and not away
    assert real_texts.content_hash("wikitext2", "evaluation") == real_texts._hash(fetched), "and where fetching is allowed"


def test_items_of_tasks_of_the_hub_are_named_and_files_of_ones_own_are_not():
    names = ["pocket_chain_think", "lm-eval:gsm8k", "lm-eval:mine.yaml"]
    assert [download.name for download in forecast._task_items(names)] == ["items of lm-eval:gsm8k"]


# Minutes


def write_run(path, units, *, platform="board", profile="pocket", duration=None, bandwidth=10e9, run="r1"):
    """A rows file with its manifest. units: (key, condition, seconds or None), one row each."""
    with store.Store(path) as file:
        for key, condition, took in units:
            file.append(key, [store.Row(run, "toy", condition, "ttft_s", 0.5)], took)
    facts = {field.name: None for field in dataclasses.fields(provenance.Manifest)} | dict(
        run=run, study="toy", params={"profile": profile}, platform=platform, memory_bandwidth_byte_per_s=[bandwidth],
        duration_s=duration or sum(took for _, _, took in units), completed=len(units))
    provenance.write_manifest(path, provenance.Manifest(**facts))


def at(task="speed", model="m", engine="transformers", dtype="float32", **more):
    return dict(task=task, model=model, engine=engine, dtype=dtype, device="cpu", threads=2, **more)


def estimated(conditions, path, platform="board", bandwidth=5e9):
    return history.estimate(conditions, [history.read(path)], "pocket", platform, lambda: bandwidth)


def test_units_take_what_those_like_them_took(tmp_path):
    path = tmp_path / "toy.jsonl"
    write_run(path, [("a", at(group=32), 10.0), ("b", at(group=64), 30.0), ("c", at("accuracy"), 100.0),
                     ("d", at(model="n"), 1000.0)])
    assert estimated([at(group=32), at(group=64)], path).by_unit == (10.0, 30.0), "at the same coordinates"
    assert estimated([at(group=128)], path).by_unit == (20.0,), "else of the same model, engine and type"
    assert estimated([at("loss")], path).by_unit == (pytest.approx(140 / 3),), "a task that stands in no row"
    found = estimated([at(group=32), at(model="other"), at(engine="llama_cpp")], path)
    assert (found.seconds, found.units, found.without, found.by_unit) == (10.0, 1, 2, (10.0, None, None))
    assert found.sources == ("1 unit by the rows of profile pocket on board",)


def test_without_a_time_of_its_own_a_unit_took_the_mean_of_its_run(tmp_path):
    path = tmp_path / "toy.jsonl"
    write_run(path, [("a", at(), None), ("b", at(model="n"), None)], duration=50.0)
    write_run(path, [("c", at(model="n"), None)], duration=100.0, run="r2")
    assert estimated([at(), at(model="n")], path).by_unit == (25.0, 62.5)
    assert sum(unit.seconds for unit in history.read(path).units) == 150.0, "together they took what the runs took"


def test_times_of_another_platform_are_scaled_by_bandwidth_and_say_so(tmp_path):
    path = tmp_path / "toy.jsonl"
    write_run(path, [("a", at(), 10.0)], platform="server", bandwidth=20e9)
    found = estimated([at()], path)
    assert found.seconds == 40.0 and found.sources == (
        "1 unit by the rows of profile pocket on server, scaled by read bandwidth, 20.0 GB/s there to 5.0 here now",)
    found = history.estimate([at()], [history.read(path)], "ci", "server", lambda: pytest.fail("asked"))
    assert found.seconds == 10.0 and found.sources == (
        "1 unit by the rows of profile pocket on server, whose units may be larger or smaller",)


def test_the_profiles_own_rows_come_first_and_committed_ones_of_others_last(tmp_path, monkeypatch):
    for profile in ("mine", "other"):
        (tmp_path / "runs" / profile).mkdir(parents=True)
        (tmp_path / "runs" / profile / "toy.jsonl").touch()
    there = [committed.Rows(name, profile, "toy", tmp_path / name / profile / "toy.jsonl.gz")
             for name in ("away", "board") for profile in ("reference", "mine")]
    for rows in there:
        rows.path.parent.mkdir(parents=True)
        rows.path.touch()
    monkeypatch.setattr(committed, "files", lambda: there)
    found = history.paths("toy", "mine", "board")
    assert [path.relative_to(tmp_path).parent.as_posix() for path in found] == [
        "runs/mine", "runs/other", "board/mine", "board/reference", "away/mine", "away/reference"]
    assert history.read(found[0]) is None, "no manifest tells where they were measured"


def test_a_run_of_the_same_profile_foretells_another_within_a_third(tmp_path):
    """Two thirds of the units of a run with their own times, the rest of it foretold by them: times vary by a tenth."""
    import random

    rng = random.Random(3)
    took = {"speed": 8.0, "accuracy": 40.0}
    units = [(f"{task}{model}{repeat}", at(task, model, repeated=repeat), took[task] * size * rng.uniform(0.9, 1.1))
             for task in took for model, size in (("small", 1), ("large", 9)) for repeat in range(30)]
    path = tmp_path / "toy.jsonl"
    known = [unit for unit in units if unit[1]["repeated"] < 20]
    write_run(path, known)
    left = [unit for unit in units if unit[1]["repeated"] >= 20]
    found = estimated([condition for _, condition, _ in left], path)
    assert found.seconds == pytest.approx(sum(seconds for _, _, seconds in left), rel=0.05) and not found.without


# All together


def test_units_are_counted_by_what_becomes_of_them():
    units = [unit_that_holds(), unit_that_holds(refusal="no sensor"), unit_that_holds(), unit_that_holds()]
    took = history.Estimate(30.0, 2, 0, (), (10.0, 20.0))
    [group] = forecast.groups_of(units, ["left", "refused", "rows", "left"], took)
    assert (group.planned, group.rows, group.refused, group.tried, group.left, group.seconds) == (4, 1, 1, 0, 2, 30.0)
    [group] = forecast.groups_of(units[:1], ["left"], history.Estimate(0, 0, 1, (), (None,)))
    assert group.seconds is None
    refusals = forecast.refusals_of([*[unit_that_holds(refusal="no kernel")] * 3,
                                     unit_that_holds(refusal="no model", planned=False)])
    assert [(one.reason, one.units, one.planned) for one in refusals] == [("no model", 1, False), ("no kernel", 3, True)]


def test_artifacts_to_be_built_are_counted_once_with_those_that_they_are_made_of():
    chain = "shape:smollm2-135m > gguf(dtype=float16)"
    unit = dataclasses.replace(unit_that_holds(Held(chain, "llama_cpp", "float16")), variants=(chain, "pocket-200k"))
    made, failing = forecast.to_build([unit, unit], here=True)
    assert made == {"shape:smollm2-135m": 2 * 134515008, chain: 2 * 134515008 + 2**20} and not failing
    for name in made:
        folder = foreseen.whole(name).folder()
        folder.mkdir(parents=True)
        (folder / "artifact.json").write_text('{"files": {}}')
    assert forecast.to_build([unit], here=True)[0] == {} and forecast.to_build([unit], here=False)[0] == made
    wrong = dataclasses.replace(unit, variants=("shape:smollm2-135m > packed_awq(bits=3, group=64)",), holds=())
    [told] = forecast.to_build([wrong], here=True)[1]
    assert "AWQ's layout holds 4 bits" in told.reason and not told.planned


def test_float_copies_of_quantized_weights_take_room_a_unit_at_a_time():
    """Two methods, copied to 4 bytes a weight: both packed models stay, of the copies the larger one counts, also where two
    units open it, which come one after the other; both where one unit opens both."""
    packed = ["shape:smollm2-135m > packed_awq(bits=4, group=64)", "shape:smollm2-135m > packed_gptq(bits=4, group=64)"]
    copies = [chain + variant.DEQUANTIZED for chain in packed]
    units = [dataclasses.replace(unit_that_holds(), variants=(chain,), holds=()) for chain in copies]
    made, _ = forecast.to_build(units, here=False)
    assert set(made) == {"shape:smollm2-135m", *packed, *copies}
    stays = sum(made[name] for name in ("shape:smollm2-135m", *packed))
    assert made[copies[0]] >= 4 * 134515008
    assert forecast._at_a_time(made, units) == stays + max(made[copy] for copy in copies)
    assert forecast._at_a_time(made, [*units, units[0]]) == forecast._at_a_time(made, units)
    both = dataclasses.replace(units[0], variants=tuple(copies))
    assert forecast._at_a_time(made, [*units, both]) == stays + sum(made[copy] for copy in copies)


def test_units_that_open_the_same_copy_come_one_after_the_other():
    chains = [f"shape:smollm2-135m > packed_gptq(bits={bits}, group=64) > dequantized()" for bits in (2, 3, 4, 8)]
    units = {f"{number}{again}": dataclasses.replace(unit_that_holds(), variants=(chain,), holds=())
             for again in "ab" for number, chain in enumerate(chains)}
    units |= {f"x{number}": dataclasses.replace(unit_that_holds(), holds=()) for number in range(8)}
    for seed in range(5):
        order = [key for key, _ in ordered(units, seed)]
        assert sorted(order) == sorted(units)
        places = {number: [place for place, key in enumerate(order) if key[0] == number] for number in "0123"}
        assert all(second == first + 1 for first, second in places.values()), order
    assert [key for key, _ in ordered(units, 0)] != [key for key, _ in ordered(units, 1)]


@pytest.mark.parametrize("profile", ["jetson-orin-nx", "ci"])
def test_the_command_tells_the_same_in_words_and_as_json(profile, capsys):
    assert cli.main(["plan", "baseline", "00_published_claims", "--profile", profile, "--json"]) == 0
    one, computes = json.loads(capsys.readouterr().out)
    left = sum(group["left"] for group in one["groups"])
    assert one["notebook"] == "02_baseline" and left > 5 and computes["said"].startswith("measures nothing")
    assert cli.main(["plan", "baseline", "00_published_claims", "--profile", profile]) == 0
    text = capsys.readouterr().out
    assert f"{left} left of {sum(group['planned'] for group in one['groups'])}; 0 have rows" in text
    assert "00_published_claims, profile" in text and ("not this machine" in text) is (profile == "jetson-orin-nx")
    assert (f"download   {LLAMA}: 13.5 GB" in text) is (profile == "jetson-orin-nx")


def test_rows_that_are_there_are_not_planned_again(monkeypatch):
    found = forecast.forecast("02_baseline", "ci")
    study = forecast.studies.module("02_baseline")
    config = forecast.params.of_profile(study.Config, "ci", "02_baseline")
    keys = runner.keys_of(study.STUDY, study.VERSION, list(study.plan(config)))
    waiting = [key for key, unit in keys.items() if unit.refusal is None]
    path = store.runs_folder("ci") / "02_baseline.jsonl"
    write_run(path, [(key, dict(keys[key].condition), 7.0) for key in waiting[:5]],
              platform=forecast.platforms.current().slug, profile="ci")
    again = forecast.forecast("02_baseline", "ci")
    assert sum(group.rows for group in again.groups) == 5
    assert sum(g.left for g in again.groups) == sum(g.left for g in found.groups) - 5 == again.time.units + again.time.without
    assert again.time.units and again.time.seconds >= 7.0


def test_the_steps_of_every_kind_have_a_size():
    """A step without one would raise here, and then wherever a plan names it."""
    for step in ("rtn(bits=4, group=32)", "pruned(heads=0.5, mlp=0.5)", "packed_gptq(bits=4, group=32)",
                 "gptq(bits=4, group=32, calibration=mixture)", "awq(group=32, calibration=mixture)", "gguf(dtype=float32)",
                 "gguf_quantized(type=Q4_0)", "onnx(precision=float32)", "distilled(data=none, steps=1)"):
        whole, made = foreseen.links(f"pocket-900k > {step}")
        assert whole.made is False and made.made and made.nbytes > 0.1 * whole.spec.architecture.parameters
        assert made.nbytes < 6 * ELEMENT_BYTES["float32"] * whole.spec.architecture.parameters
    with pytest.raises(EdgekitError, match="group=7 does not divide"):
        foreseen.links("pocket-900k > rtn(bits=4, group=7)")
