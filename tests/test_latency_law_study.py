"""What the study of laws plans, which parameters it refuses, and what its job counts."""

from __future__ import annotations

import pytest

from edgekit import engines, params
from edgekit.analyze import accounting
from edgekit.catalog import gguf_file, models
from edgekit.compress import variant as variants
from edgekit.measure import energy
from edgekit.params import ParamsError
from edgekit.studies.latency_law import jobs
from edgekit.studies.latency_law import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY))


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(**changed):
    return list(study.plan(config(**changed)))


@pytest.fixture
def sensor(monkeypatch):
    monkeypatch.setattr(energy, "sensors", lambda device: {"cpu": "counter"})


def test_one_process_of_a_cell_times_every_length():
    units = [unit for unit in planned(repeats=2) if unit.condition["task"] == "speed"]
    assert len(units) == 2 * 2 * 2  # models, cells, repeats
    for unit in units:
        grid = dict(unit.arguments["grid"])
        assert list(grid) == sorted(VALUES["prompt_tokens"])
        for length, outputs in grid.items():
            assert outputs == (sorted(VALUES["output_tokens"]) if length in VALUES["decode_prompt_tokens"] else [2])


def test_without_a_sensor_energy_is_told_once_why(monkeypatch):
    monkeypatch.setattr(energy, "sensors", lambda device: energy.Unavailable("none that zeus can read"))
    told = [unit for unit in planned(energy_models=["pocket-200k"], energy_cells=["llama_cpp/Q8_0"],
                                     energy_prompt_tokens=[8], energy_output_tokens=[8, 64])
            if unit.condition["task"] == "energy"]
    assert [unit.refusal for unit in told] == ["none that zeus can read"]


def test_with_a_sensor_each_pair_of_lengths_is_metered_once(sensor):
    units = [unit for unit in planned(energy_models=["pocket-200k"], energy_cells=["llama_cpp/Q8_0"], repeats=1,
                                      energy_prompt_tokens=[8, 64], energy_output_tokens=[8, 64, 128])
             if unit.condition["task"] == "energy"]
    pairs = [(unit.arguments["prompt_tokens"], unit.arguments["output_tokens"]) for unit in units]
    assert sorted(pairs) == [(8, 8), (8, 64), (8, 128), (64, 8)]
    assert {unit.condition["model"] for unit in units} == {"pocket-200k"}


def test_lengths_past_the_context_are_refused_by_name(sensor):
    units = planned(prompt_tokens=[16, 100, 150, 230, 300, 510], decode_prompt_tokens=[16, 510], models=["pocket-200k"],
                    energy_models=["pocket-200k"], energy_cells=["llama_cpp/Q8_0"], energy_prompt_tokens=[8, 510],
                    energy_output_tokens=[8], output_tokens=[8, 12, 20])
    timed = [unit for unit in units if unit.condition["task"] == "speed"]
    assert timed and {unit.refusal for unit in timed} == {
        "prompt and output of 530 tokens exceed the model's context of 512"}
    metered = {unit.condition["prompt_tokens"]: unit.refusal for unit in units if unit.condition["task"] == "energy"}
    assert metered == {8: None, 510: "prompt and output of 518 tokens exceed the model's context of 512"}


@pytest.mark.parametrize("changed, says", [
    (dict(prompt_tokens=[8, 16, 32, 64], decode_prompt_tokens=[8, 16]), "prompt_tokens: expected a list of at least 5"),
    (dict(output_tokens=[8, 16]), "output_tokens: expected a list of at least 3"),
    (dict(output_tokens=[2, 8, 16]), "output_tokens: expected at least 4 each"),
    (dict(decode_prompt_tokens=[16, 17]), "decode_prompt_tokens: unknown .*17"),
    (dict(decode_prompt_tokens=[16]), "decode_prompt_tokens: expected a list of at least 2"),
    (dict(models=["shape:qwen2.5-0.5b"]), "shapes belong under `shapes`"),
    (dict(models=[], shapes=[]), "expected at least one model"),
    (dict(energy_models=["pocket-200k"]), "expected all three or none"),
    (dict(energy_models=["pocket-10m"]), "energy_models: unknown 'pocket-10m'"),
    (dict(energy_cells=["transformers/float32"]), "energy_cells: unknown 'transformers/float32'; known: llama_cpp/float16"),
    (dict(shape_cells=["llama_cpp/stored"]), "shape_cells: .*weights one of float32"),
    (dict(traces="/nowhere/at/all"), "traces: expected a folder with the released files, 'fetch'"),
])
def test_what_it_does_not_know_is_refused_in_a_sentence(changed, says):
    with pytest.raises(ParamsError, match=says):
        config(**changed)


@pytest.mark.parametrize("name", ["pocket-200k", "shape:qwen2.5-0.5b", "shape:tinyllama-1.1b"])
def test_operations_of_a_prefill_are_those_of_the_accounting(name):
    """Which counts projections alone; norms and biases are under a hundredth of the weights."""
    a = models.resolve(name).architecture
    for tokens in (1, 16, 400):
        assert jobs.prefill_flop(a, tokens) == pytest.approx(2 * accounting.prefill_macs(a, tokens), rel=0.01)
    more = [jobs.prefill_flop(a, tokens) for tokens in (10, 20, 30)]
    attention = 4 * a.layers * a.heads * a.head_dim  # operations for each pair of tokens
    assert more[2] - 2 * more[1] + more[0] == 100 * attention


def test_bytes_by_format_add_up_to_those_of_a_step():
    artifact = variants.build("pocket-200k > gguf_quantized(type=Q8_0)")
    found = jobs.bytes_by_type(artifact)
    assert sum(found.values()) == gguf_file.read(artifact.file).bytes_per_step and {"Q8_0", "F32"} <= set(found)
    assert jobs.bytes_by_type(variants.build("pocket-200k")) == {}


def test_the_job_sees_times_and_counts_of_every_length():
    found = jobs.measure_lengths(variant="pocket-200k > gguf_quantized(type=Q8_0)", engine="llama_cpp", dtype="Q8_0", threads=1,
                                 device="cpu", grid=[[8, [4, 6]], [16, [2]]], seed=0, warmups=1)
    seen = found["observations"]
    counted = {one["prompt_tokens"]: one["value"] for one in seen if one["metric"] == "prefill_flop"}
    a = models.resolve("pocket-200k").architecture
    assert counted == {length: jobs.prefill_flop(a, length) for length in (8, 16)}
    timed = {(one["prompt_tokens"], one["output_tokens"]) for one in seen if one["metric"] == "decode_s"}
    assert timed == {(8, 4), (8, 6), (16, 2)}
    [weights] = [one["value"] for one in seen if one["metric"] == "weight_bytes"]
    assert weights == sum(one["value"] for one in seen if one["metric"] == "type_bytes")
    assert found["engine"]["name"] == "llama_cpp"


def test_every_cell_of_every_profile_names_what_its_engine_loads():
    for profile in params.profiles():
        known = params.of_profile(study.Config, profile, study.STUDY)
        assert len(known.prompt_tokens) >= 6 and set(known.energy_models) <= {*known.models, *known.shapes}
        assert {cell.split("/")[0] for cell in (*known.cells, *known.shape_cells)} <= set(engines.ENGINES)
