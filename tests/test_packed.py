"""Packed checkpoints: what the folders hold, and that they stand for what round-to-nearest gives."""

from __future__ import annotations

import json

import pytest
import tiny
import torch

from edgekit.building import BuildError
from edgekit.compress import checkpoint, layouts, rtn, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")


def tensors(folder) -> dict[str, torch.Tensor]:
    with checkpoint.Weights(folder) as weights:
        return dict(weights)


@pytest.mark.parametrize("family, tied", [("llama", True), ("qwen2", False), ("qwen3", False), ("gemma3_text", True)])
@pytest.mark.parametrize("step", ["packed_awq(bits=4, group=32)", "packed_gptq(bits=3, group=32)"])
def test_only_the_layers_are_packed_and_the_config_says_how(tmp_path, monkeypatch, step, family, tied):
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 30_000)
    source = tiny.write(tmp_path / "model", family, tied)
    made = variant.build(f"{source.path} > {step}")
    before, after = tensors(source.path), tensors(made.path)
    parts = layouts.PARTS[made.format]
    for name, weight in before.items():
        if rtn.MATRIX.search(name):
            assert name not in after and {f"{name.removesuffix('weight')}{part}" for part in parts} <= after.keys()
        else:
            assert torch.equal(after[name], weight.to(torch.float16)), name
    matrices = sum(bool(rtn.MATRIX.search(name)) for name in before)
    assert matrices == 14 and len(after) == len(before) + matrices * (len(parts) - 1)
    index = json.loads((made.path / "model.safetensors.index.json").read_text())
    assert len(list(made.path.glob("*.safetensors"))) > 2 and set(index["weight_map"]) == set(after)
    config = json.loads((made.path / "config.json").read_text())
    told = config["quantization_config"]
    assert (config["dtype"], told["quant_method"], told["group_size"]) == ("float16", made.format, 32)
    assert told["bits"] == (4 if made.format == "awq" else 3)


def test_a_symmetric_grid_is_written_as_v1_and_an_asymmetric_one_as_v2(tmp_path):
    source = tiny.write(tmp_path / "model")
    for symmetric, version in ((True, "gptq"), (False, "gptq_v2")):
        made = variant.build(f"{source.path} > packed_gptq(bits=4, group=32, symmetric={symmetric})")
        told = json.loads((made.path / "config.json").read_text())["quantization_config"]
        assert (told["sym"], told["checkpoint_format"]) == (symmetric, version)
        zeros = tensors(made.path)["model.layers.0.mlp.up_proj.qzeros"]
        assert (zeros == 0x77777777).all() == symmetric


@pytest.mark.parametrize("step, complaint", [
    ("packed_awq(bits=3, group=32)", "packed_awq: AWQ's layout holds 4 bits, got 3; packed_gptq holds 2, 3, 4, 8"),
    ("packed_gptq(bits=5, group=32)", "packed_gptq: GPTQ's layout holds 2, 3, 4, 8 bits, got 5"),
    ("packed_gptq(bits=4, group=48)", "packed_gptq: group=48 does not divide the input width 64"),
    ("packed_awq(bits=4, group=32) > packed_awq(bits=4, group=32)", "packed_awq: expected a safetensors artifact, got awq"),
])
def test_what_a_layout_cannot_hold_is_refused_in_words(tmp_path, step, complaint):
    tiny.write(tmp_path / "model")
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"{tmp_path / 'model'} > {step}")


def test_sizes_that_fill_no_whole_word_are_refused(tmp_path):
    source = tiny.write(tmp_path / "model", intermediate_size=80)
    with pytest.raises(BuildError, match="packed_gptq: expected inputs and outputs .* to be multiples of 32.*has 80"):
        variant.build(f"{source.path} > packed_gptq(bits=4, group=16)")
    assert variant.build(f"{source.path} > packed_awq(bits=4, group=16)").format == "awq"


def test_values_beyond_float16_are_refused(tmp_path):
    source = tiny.write(tmp_path / "model")
    weights = tensors(source.path)
    weights["model.norm.weight"][0] = 1e5
    with checkpoint.ShardWriter(source.path) as out:
        for name, weight in weights.items():
            out.add(name, weight)
    with pytest.raises(BuildError, match="model.norm.weight of .* has values beyond float16's 65504"):
        variant.build(f"{source.path} > packed_awq(bits=4, group=32)")


def test_a_folder_without_weights_or_with_a_damaged_file_says_so(tmp_path):
    with pytest.raises(BuildError, match="no weights in .*expected model.safetensors"):
        checkpoint.Weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BuildError, match="model.safetensors is damaged"):
        checkpoint.Weights(tmp_path)
