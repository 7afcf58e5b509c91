"""What the study of runtimes plans, which parameters it refuses, and what its jobs see."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import numpy as np
import pytest

from edgekit import engines, params, store
from edgekit.catalog import models
from edgekit.compress import variant as variants
from edgekit.engines import instructions
from edgekit.engines.base import EngineError
from edgekit.measure.worker import run_job
from edgekit.params import ParamsError
from edgekit.studies.runtimes import jobs, jobs_listings, jobs_split
from edgekit.studies.runtimes import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY))
X86 = pytest.mark.skipif(platform.machine() not in instructions.X86, reason="instruction sets of x86-64")


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def of_task(units, task):
    return [unit for unit in units if unit.condition["task"] == task]


def test_what_is_varied_beside_the_cells_is_varied_where_it_was_asked_for():
    units = planned(models=["pocket-200k", "pocket-900k"], repeats=2, scaled_models=["pocket-900k"],
                    scaled_cells=["llama_cpp/float32"], scaled_threads=[1, 2])
    assert len(of_task(units, "speed")) == 2 * 2 * 2
    threads = of_task(units, "threads")
    assert sorted(unit.condition["threads"] for unit in threads) == [1, 1, 2, 2]
    assert {(unit.condition["model"], unit.condition["engine"]) for unit in threads} == {("pocket-900k", "llama_cpp")}
    assert {unit.condition["model"] for unit in of_task(units, "batches")} == {"pocket-200k"}
    accelerated = of_task(units, "acceleration")
    assert sorted(unit.condition["acceleration"] for unit in accelerated) == ["everything"] * 2 + ["sse4"] * 2
    keys = {store.canonical(dict(unit.condition)) for unit in units}
    assert len(keys) == len(units) / 2 + (len(of_task(units, "agreement")) + len(of_task(units, "conformance"))) / 2


def test_the_reference_is_among_those_that_are_compared():
    asked = of_task(planned(agreeing_cells=["llama_cpp/float32"]), "agreement")
    assert [(unit.condition["engine"], unit.condition["dtype"]) for unit in asked] == [
        ("transformers", "float32"), ("llama_cpp", "float32")]
    assert all(unit.shared for unit in asked)


def test_a_draft_on_the_host_is_refused_where_there_is_no_gpu():
    assert {unit.refusal for unit in of_task(planned(), "split")} == {
        "a draft on the host beside a target on the GPU needs a GPU: device is cpu"}
    with engines.assumed():
        assert {unit.refusal for unit in of_task(planned(device="cuda"), "split")} == {None}


def test_a_pair_whose_model_cannot_be_had_is_told_and_the_rest_goes_on():
    units = planned(split_pairs=["pocket-200k < smollm2-135m-instruct"])
    had = [unit for unit in units if unit.condition.get("model") == "smollm2-135m-instruct"]
    assert of_task(units, "speed") and bool(of_task(units, "split")) != bool(had)


def test_lengths_past_the_context_are_refused_by_name():
    units = planned(prompt_tokens=[8, 510])
    assert {unit.refusal for unit in of_task(units, "speed")} == {
        "prompt and output of 518 tokens exceed the model's context of 512"}


@pytest.mark.parametrize("changed, says", [
    (dict(accelerations=["sse4"]), "accelerations: expected at least two"),
    (dict(accelerations=["mmx", "everything"]), "accelerations: unknown 'mmx'; known: sse4, avx2, everything, host only"),
    (dict(batches=[]), "batch_models, batch_cells, batches: expected all of them or none"),
    (dict(cells=["onnxruntime/Q4_0"]), "cells: .*onnxruntime loads onnx"),
    (dict(models=["pocket-200k", "shape:qwen2.5-0.5b"]), "shapes belong under `shapes`"),
    (dict(listings=["S9"]), "listings: unknown 'S9'; known: S1, section 3.1, S2, quantization"),
    (dict(split_pairs=["pocket-200k"]), "split_pairs: expected \"target < draft\""),
    (dict(split_cell="transformers-compiled/float32"), "split_cell: expected an engine that takes tokens back"),
    (dict(stream="python-docs"), "pocket-200k"),
    (dict(agreeing_models=["pocket-900k"]), "agreeing_models: unknown 'pocket-900k'"),
])
def test_what_it_does_not_know_is_refused_in_a_sentence(changed, says):
    with pytest.raises(ParamsError, match=says):
        config(**changed)


def test_every_cell_of_every_profile_names_what_its_engine_loads():
    for profile in params.profiles():
        known = params.of_profile(study.Config, profile, study.STUDY)
        assert known.cells and {cell.split("/")[0] for cell in (*known.cells, *known.shape_cells)} <= set(engines.ENGINES)


@pytest.mark.parametrize("engine, acceleration, device, says", [
    ("transformers", "everything", "cpu", None), ("transformers", "everything", "cuda", None),
    ("llama_cpp", "host only", "cuda", None), ("llama_cpp", "host only", "cpu", "there is none to leave out"),
    ("llama_cpp", "sse4", "cuda", "name host only to leave the GPU out"),
])
def test_what_cannot_be_left_out_is_said(engine, acceleration, device, says):
    found = instructions.refusal(engine, acceleration, device)
    assert found is None if says is None else says in found


@X86
def test_a_runtime_without_a_switch_says_so_and_one_without_a_library_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(instructions, "LIBRARIES", tmp_path)
    assert instructions.refusal("transformers", "avx2", "cpu") is None
    assert "has no switch" in instructions.refusal("vllm", "avx2", "cpu")
    assert "ggml_cpu.py" in instructions.refusal("llama_cpp", "avx2", "cpu")
    (tmp_path / "avx2").mkdir()
    (tmp_path / "avx2" / instructions.LIBRARY).touch()
    assert instructions.refusal("llama_cpp", "avx2", "cpu") is None


def test_on_arm_no_instruction_set_can_be_left_out(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "NEON" in instructions.refusal("transformers", "sse4", "cpu")


def test_it_is_too_late_once_the_library_is_there():
    import torch

    assert torch.__name__ in sys.modules
    with pytest.raises(EngineError, match="torch was imported before"):
        instructions.restrict("transformers", "sse4")


@pytest.mark.parametrize("words, wrong", [("SSE3 SSSE3 OPENMP", None), ("SSE3 AVX AVX2 OPENMP", "AVX, AVX2")])
def test_kernels_that_use_more_than_they_may_are_found(monkeypatch, words, wrong):
    monkeypatch.setattr(instructions, "told", lambda engine: f"CPU : {words}")
    if wrong is None:
        instructions.require("llama_cpp", "sse4")
    else:
        with pytest.raises(EngineError, match=wrong):
            instructions.require("llama_cpp", "sse4")


WORK = dict(variant="pocket-200k", engine="transformers", dtype="float32", threads=1, device="cpu", grid=[[16, [4]]], seed=0,
            warmups=1)


@X86
def test_a_process_without_newer_instructions_says_what_its_kernels_are():
    found = run_job("edgekit.studies.runtimes.jobs:measure_accelerated", dict(WORK, acceleration="sse4"), timeout_s=600)
    kernels = {one["kernel"] for one in found["observations"]}
    assert len(kernels) == 1 and kernels.pop().endswith("DEFAULT")
    assert {"ttft_s", "tpot_s"} <= {one["metric"] for one in found["observations"]}
    # The engine of the manifest is the engine as it is: that of these processes does not stand for it.
    assert "engine" not in found


@X86
@pytest.mark.skipif(not (instructions.LIBRARIES / "sse4" / instructions.LIBRARY).is_file(),
                    reason="llama.cpp's kernels were not compiled without newer instruction sets")
def test_llama_cpp_takes_the_library_that_was_put_in_place_of_its_own():
    found = run_job("edgekit.studies.runtimes.jobs:measure_accelerated", dict(
        WORK, acceleration="sse4", engine="llama_cpp", variant="pocket-200k > gguf(dtype=float32)"), timeout_s=600)
    words = found["observations"][0]["kernel"]
    assert "SSE3" in words and "AVX" not in words


def test_libraries_are_looked_for_where_they_are_put():
    program = ("import sys; sys.path.insert(0, 'edgekit/environment'); import ggml_cpu\n"
               "from edgekit.engines import instructions\n"
               "assert ggml_cpu.FOLDER == instructions.LIBRARIES and ggml_cpu.LIBRARY == instructions.LIBRARY\n"
               "assert set(ggml_cpu.LEVELS) == set(instructions.LEVELS)\n"
               "assert [one for one in ggml_cpu.flags('sse4') if one.endswith('=ON')] == ["
               "'-DBUILD_SHARED_LIBS=ON', '-DGGML_SSE42=ON']\n"
               "assert '-DGGML_AVX2=ON' in ggml_cpu.flags('avx2') and '-DGGML_NATIVE=OFF' in ggml_cpu.flags('avx2')")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=store.ROOT)


def test_agreement_sees_the_reference_as_itself_and_another_model_as_another():
    work = dict(base="pocket-200k", threads=1, device="cpu", stream="mixture", texts=2, output_tokens=5)
    same = jobs.measure_agreement(variant="pocket-200k", engine="transformers", dtype="float32", **work)["observations"]
    other = jobs.measure_agreement(variant="pocket-900k", engine="transformers", dtype="float32", **work)["observations"]

    def of(seen, metric):
        return [one["value"] for one in seen if one["metric"] == metric]

    tokens = [one["tokens"] for one in same if one["metric"] == "agreed"]
    assert of(same, "agreed") == tokens and len(of(same, "likeliest_token")) == sum(tokens)
    assert np.abs(of(same, "kl_nats")).max() < 1e-5 and min(of(other, "kl_nats")) > 0.1
    assert len(of(same, "written_token")) == 10 == len(of(same, "margin_nats")) and min(of(same, "margin_nats")) >= 0
    assert of(same, "likeliest_token") != of(other, "likeliest_token")
    places = [one["position"] for one in same if one["metric"] == "written_token"]
    assert places == [1, 2, 3, 4, 5] * 2


def test_the_static_cache_computes_what_the_growing_one_does():
    artifact = variants.build("pocket-200k")
    options = dict(dtype="float32", threads=1, device="cpu", context=40)
    prompt = list(range(5, 25))
    with engines.open_engine("transformers", artifact, **options) as grows, \
            engines.open_engine("transformers-static", artifact, **options) as static:
        expected = [step.token for step in grows.stream(prompt, 12)]
        for _ in range(2):  # the cache is emptied between texts
            assert [step.token for step in static.stream(prompt, 12)] == expected
        with pytest.raises(EngineError, match="cannot score a block"):
            static.session()


def test_a_split_pair_writes_what_the_target_writes_alone():
    """On one device here: where the draft runs changes times and nothing else."""
    found = jobs_split.measure_split(target="pocket-200k", draft="pocket-200k", engine="transformers", dtype="float32",
                                     threads=1, device="cpu", prompt_tokens=8, output_tokens=12, seed=0)["observations"]
    ways = {(one["draft_on"], one["length"]) for one in found}
    assert ways == {("none", 0), *((on, length) for on in ("host", "as the target") for length in (2, 4))}
    assert {one["written"] for one in found} == {12}
    for one in found:
        if one["metric"] == "accepted":  # a model agrees with itself
            assert one["value"] == one["drafted"] and (one["drafted"] > 0) == (one["length"] > 0)


def test_calls_go_on_behind_one_that_fails():
    calls = jobs_listings.Calls()
    assert calls.make("good", lambda: 3) == 3
    assert calls.make("bad", lambda: ctypes.CDLL("/nowhere.so")) is None
    assert [(one["call"], one["value"]) for one in calls.seen] == [("good", 1), ("bad", 0)]
    assert calls.seen[1]["reason"].startswith("OSError: /nowhere.so") and "reason" not in calls.seen[0]


def test_the_guides_listing_is_made_on_a_checkpoint_of_its_format():
    pytest.importorskip("awq")
    seen = jobs_listings.measure_printed_loading(model="pocket-900k", device="cpu")["observations"]
    by = {one["call"]: one for one in seen}
    assert by["AutoTokenizer.from_pretrained"]["value"] == 1
    fused = by["AutoAWQForCausalLM.from_quantized, layers fused"]
    assert fused["value"] == 1 or fused["reason"], "either it runs, or the library says why not"


def test_layers_are_those_of_the_model():
    found = jobs.measure_runtime(**WORK)["observations"]
    [layers] = [one["value"] for one in found if one.get("part") == "layers"]
    assert layers == models.resolve("pocket-200k").architecture.layers
