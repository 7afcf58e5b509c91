"""What the quantization study plans, and which parameters it refuses."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit import engines, params
from edgekit.catalog import models
from edgekit.catalog.engines import Runtime
from edgekit.compress import quantization_spec as ways
from edgekit.compress import variant
from edgekit.measure import energy
from edgekit.params import ParamsError
from edgekit.studies.quantization import plan as study

GRID = dict(models=["pocket-200k"], methods=["rtn", "awq", "gptq", "gguf", "gguf_imatrix"], bits=[8, 4], groups=[32],
            main_group=32, gguf_types=["Q8_0", "Q4_0"], calibration="mixture", samples=8, length=64, calibration_seeds=[0, 1],
            ablated_models=[], ablated_calibrations=["prose"], ablated_samples=[4, 8], ablated_searches=["all", "none"],
            cost_models=[], runtime_models=[], runtime_cells=[], shapes=[], speed_cells=[])
VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | GRID

OWN = dict(stream="data/evaluation/mixture.jsonl", calibration="random", tasks=[])  # a name that does not say its language


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


def test_every_method_meets_every_bit_group_and_seed_once():
    """rtn 2 bits; awq and gptq 2 bits and 2 seeds; gguf 2 types; with importance one (8 bits have no use for it), 2 seeds."""
    units = planned()
    assert len(units) == 1 + 2 + 2 * 2 * 2 + 2 + 2
    assert len({(unit.artifact, unit.task, unit.refusal, str(unit.condition)) for unit in units}) == len(units)
    refused = [unit for unit in units if unit.refusal]
    assert [unit.refusal for unit in refused] == ["awq has no 8 bits; it has 4"] * 2 and all(unit.planned for unit in refused)
    for unit in units:
        chain = variant.parse(unit.arguments["chain"])
        assert chain.model == "pocket-200k" and (chain.steps == () or chain.steps[-1].name == "dequantized")


def test_other_groups_than_the_first_are_calibrated_once():
    seeds = {(unit.condition["group"], unit.condition["calibration_seed"])
             for unit in planned(groups=[32, 16], methods=["gptq"]) if unit.condition["method"] == "gptq"}
    assert seeds == {(32, 0), (32, 1), (16, 0)}


def test_all_methods_share_base_calibration_and_stream():
    units = [unit for unit in planned() if not unit.refusal]
    assert len({unit.task for unit in units}) == 1
    assert {unit.arguments["base"] for unit in units} == {"pocket-200k"}
    drawn = {tuple(value for name, value in sorted(step.arguments) if name in ("calibration", "samples", "length"))
             for unit in units for step in variant.parse(unit.arguments["chain"]).steps if step.name in ("awq", "gptq")}
    assert drawn == {("mixture", 64, 8)}


def test_a_group_that_does_not_divide_a_width_is_a_skip_with_a_reason():
    refused = {unit.condition["group"]: unit.refusal for unit in planned(groups=[32, 128], methods=["rtn"]) if unit.refusal}
    assert refused == {128: "groups of 128 do not divide every input width of pocket-200k; these do: 64, 32, 16, 8"}


@pytest.mark.parametrize("main", [16, 32])
def test_the_main_group_and_not_its_place_decides_what_is_done_once(main):
    asked = dict(groups=[32, 16], main_group=main, methods=["awq"], bits=[4], ablated_models=["pocket-200k"],
                 cost_models=["pocket-200k"], runtime_models=["pocket-200k"], runtime_cells=["vllm/awq"],
                 shapes=["shape:smollm2-135m"], speed_cells=["transformers/awq"])
    units = planned(**asked)
    conditions = [unit.condition for unit in units]
    assert {at["group"] for at in conditions if at.get("calibration_seed") == 0 and at["task"] == "loss"} == {16, 32}
    once = [at for at in conditions if at.get("calibration_seed") == 1 or at["task"] == "build" or at.get("samples") == 4
            or at["engine" if "engine" in at else "task"] == "vllm"]
    assert len(once) > 6 and {at["group"] for at in once} == {main}
    speeds = [unit.arguments["variant"] for unit in units if unit.condition["task"] == "speed"]
    assert speeds and all(f"packed_awq(bits=4, group={main})" in chain for chain in speeds)


def test_ablations_change_one_thing_and_repeat_nothing():
    """Prose and 4 samples for both methods, and AWQ without its searches; 8 samples stand in the main grid."""
    plain = {str(unit.condition) for unit in planned()}
    more = [unit for unit in planned(ablated_models=["pocket-200k"]) if str(unit.condition) not in plain]
    assert len(more) == (2 + 2 + 1) * 2
    main = ways.QuantizationSpec("awq", 4, 32, calibration="mixture", samples=8, calibration_seed=0, search="all").condition()
    for unit in more:
        if unit.condition["method"] == "awq" and unit.condition["calibration_seed"] == 0:
            assert len([name for name, value in main.items() if unit.condition[name] != value]) == 1


def test_runtimes_get_what_they_load_and_shapes_are_rounded_to_the_same_formats():
    units = planned(runtime_models=["pocket-200k"], shapes=["shape:smollm2-135m"],
                    runtime_cells=["llama_cpp/Q4_0", "transformers/gptq", "transformers/bfloat16"],
                    speed_cells=["transformers/awq", "llama_cpp/float16"], repeats=2)
    cells = {(unit.condition["task"], unit.condition["engine"], unit.condition["dtype"]): unit for unit in units
             if unit.condition["task"] in ("loss", "speed")}
    assert cells["loss", "llama_cpp", "Q4_0"].arguments["chain"] == "pocket-200k > gguf_quantized(type=Q4_0)"
    losses = [unit for unit in units if unit.condition["task"] == "loss"]
    bfloat16 = [unit.arguments["chain"] for unit in losses if unit.condition["dtype"] == "bfloat16"]
    assert len(bfloat16) == 2 and bfloat16[1] == "pocket-200k" and "symmetric=True" in bfloat16[0]
    assert "packed_awq(bits=4, group=32)" in cells["speed", "transformers", "bfloat16"].arguments["variant"]
    speeds = [unit for unit in units if unit.condition["task"] == "speed"]
    assert len(speeds) == 4 and not any(unit.shared for unit in speeds)


def test_timed_builds_come_before_what_loads_them():
    units = planned(cost_models=["pocket-200k"])
    built = [unit for unit in units if unit.condition["task"] == "build"]
    assert all(unit.first and not unit.shared for unit in built)
    assert {unit.condition["method"] for unit in built} == {"rtn", "awq", "gptq", "gguf", "gguf_imatrix"}
    assert all(unit.condition.get("calibration_seed") in (None, 0) for unit in built)


def test_a_runtime_that_is_not_installed_is_a_skip_with_the_line_that_installs_it(monkeypatch):
    absent = dataclasses.replace(engines.ENGINES["llama_cpp"], runtime=Runtime(("no-such-package",)))
    monkeypatch.setitem(engines.ENGINES, "llama_cpp", absent)
    units = planned(runtime_models=["pocket-200k"], runtime_cells=["llama_cpp/Q4_0"], methods=["rtn"], bits=[4])
    told = "llama_cpp: no-such-package is not installed; install it: python3 edgekit/environment/install.py"
    assert [unit.refusal for unit in units if unit.refusal] == [told]


def test_a_format_that_a_build_has_no_kernel_for_on_this_processor_is_a_planned_skip(monkeypatch):
    asked = dict(runtime_models=["pocket-200k"], runtime_cells=["vllm/bfloat16", "vllm/awq", "vllm/gptq"], methods=["rtn"],
                 bits=[4], shapes=["shape:smollm2-135m"], speed_cells=["vllm/bfloat16", "vllm/gptq"], repeats=1)
    monkeypatch.setattr(engines, "runtime", lambda engine: f"{engine} 1.0")
    monkeypatch.setattr(engines.probe, "lacks", lambda engine: {"awq": "no kernel", "gptq": "none"} if engine == "vllm" else {})
    refused = {(unit.condition["task"], unit.condition.get("method") or unit.condition["weights"], unit.refusal)
               for unit in planned(**asked) if unit.refusal and unit.condition["task"] != "energy"}
    assert refused == {("loss", "awq", "no kernel"), ("loss", "gptq", "none"), ("speed", "gptq", "none")}
    monkeypatch.setattr(engines.probe, "lacks", lambda engine: {})
    assert not [unit for unit in planned(**asked) if unit.refusal and unit.condition["task"] != "energy"]


def test_some_shapes_are_timed_with_other_threads_too_beside_the_rates_of_the_device():
    units = planned(threads=2, shapes=["shape:smollm2-135m", "shape:qwen2.5-0.5b"], scaled_shapes=["shape:smollm2-135m"],
                    scaled_threads=[1, 2], speed_cells=["llama_cpp/Q4_0"], repeats=1)
    timed = [(unit.condition["threads"], unit.condition.get("model")) for unit in units
             if unit.condition["task"] in ("speed", "device")]
    assert sorted(timed, key=str) == [(1, "shape:smollm2-135m"), (1, None), (2, "shape:qwen2.5-0.5b"),
                                      (2, "shape:smollm2-135m"), (2, None)]


def test_energy_is_planned_where_there_is_a_sensor_and_refused_once_where_not(monkeypatch):
    shapes = dict(shapes=["shape:smollm2-135m"], speed_cells=["llama_cpp/Q4_0"], repeats=2)
    monkeypatch.setattr(energy, "sensors", lambda device: energy.Unavailable("no sensor"))
    assert [unit.refusal for unit in planned(**shapes) if unit.condition["task"] == "energy"] == ["no sensor"]
    monkeypatch.setattr(energy, "sensors", lambda device: {"cpu": "counter"})
    assert [unit.refusal for unit in planned(**shapes) if unit.condition["task"] == "energy"] == [None, None]


def test_a_hub_model_that_cannot_be_had_is_an_unplanned_skip(monkeypatch):
    def absent(name, resolve=models.resolve):
        if models.is_hub_id(name):
            raise models.ModelError(f"{name}: not here")
        return resolve(name)

    monkeypatch.setattr(models, "resolve", absent)
    units = planned(models=["pocket-200k", "owner/name"], methods=["rtn"], bits=[4], **OWN)
    assert [(unit.refusal, unit.planned) for unit in units if unit.refusal] == [("owner/name: not here", False)]


@pytest.mark.parametrize("changed, complaint", [
    ({"methods": ["smoothquant"]}, "methods: unknown 'smoothquant'; known: rtn, awq, gptq, gguf, gguf_imatrix"),
    ({"gguf_types": ["Q9_K"]}, "gguf_types: unknown 'Q9_K'; known: Q8_0"),
    ({"bits": [1]}, "bits: expected 2 to 8"),
    ({"bits": [4, 4]}, "bits: expected each item once"),
    ({"groups": []}, "groups: expected a list of at least 1"),
    ({"main_group": 64}, "main_group: unknown 64; known: 32"),
    ({"calibration": "poems"}, "unknown calibration set 'poems'; known: "),
    ({"calibration_seeds": []}, "calibration_seeds: expected at least one"),
    ({"ablated_models": ["pocket-10m"]}, "ablated_models: unknown 'pocket-10m'; known: pocket-200k"),
    ({"scaled_shapes": ["shape:smollm2-135m"]}, "scaled_shapes: unknown 'shape:smollm2-135m'"),
    ({"blocks": 1}, "blocks: expected 2 to texts"),
    ({"texts": 10_000}, "texts: expected 1 to"),
    ({"runtime_cells": ["llama_cpp"]}, "cell 'llama_cpp': expected engine/weights"),
    ({"runtime_cells": ["llama_cpp/awq"]}, "cell 'llama_cpp/awq': llama_cpp loads gguf"),
    ({"speed_cells": ["transformers/Q4_0"]}, "cell 'transformers/Q4_0': transformers loads safetensors, awq, gptq"),
    ({"speed_cells": ["exllama/float16"]}, "cell 'exllama/float16': unknown engine 'exllama'"),
    ({"models": ["shape:smollm2-135m"]}, "no trained weights|random weights"),
    ({"tasks": ["arithmetic"]}, "unknown task 'arithmetic'"),
])
def test_parameters_that_cannot_be_are_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        config(**changed)
