"""Packed artifacts as plain weights again: against round-to-nearest, the libraries' readers and the unpacked source."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch

from edgekit import engines
from edgekit.building import BuildError
from edgekit.catalog.hf_config import ModelError
from edgekit.compress import checkpoint, convert, packed, rtn, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")

AWQ, GPTQ = "packed_awq(bits=4, group=32)", "packed_gptq(bits={}, group=32, symmetric={})"


def tensors(folder) -> dict[str, torch.Tensor]:
    with checkpoint.Weights(folder) as weights:
        return dict(weights)


def rewrite(folder, change) -> None:
    """The folder with the tensors that `change` leaves of its own, built or not."""
    weights = tensors(folder)
    change(weights)
    with checkpoint.ShardWriter(folder) as out:
        for name, weight in weights.items():
            out.add(name, weight)


@pytest.mark.parametrize("step, bits", [(AWQ, 4), *((GPTQ.format(bits, False), bits) for bits in (2, 3, 4, 8))])
def test_what_was_packed_comes_back_as_the_grid_gives_it(tmp_path, step, bits):
    """And that grid is rtn's but for its float16 scales: all but the few weights next to a tie get the same code."""
    source = tiny.write(tmp_path / "model", "qwen2", False)
    before, rounded = tensors(source.path), tensors(variant.build(f"{source.path} > rtn(bits={bits}, group=32)").path)
    made = variant.build(f"{source.path} > {step} > dequantized()")
    assert made.format == "safetensors" and "quantization_config" not in json.loads((made.path / "config.json").read_text())
    after = tensors(made.path)
    assert after.keys() == before.keys()
    for name, weight in before.items():
        assert after[name].dtype == torch.float32
        if not rtn.MATRIX.search(name):
            assert torch.equal(after[name], weight.half().float()), name
            continue
        coded = packed.quantize(weight, bits=bits, group=32, symmetric=False)
        scale = coded.scales.float()[:, coded.group_of]
        codes, zeros = coded.codes.numpy(), coded.zeros[:, coded.group_of].numpy()
        assert np.array_equal(after[name], (codes - zeros).astype(np.float32) * scale.numpy())
        apart = (after[name] - rounded[name]).abs()
        alike = apart <= rounded[name].abs() * 2**-10 + 1e-7
        assert alike.float().mean() > 1 - 2**bits * 2**-9 and (apart < scale * 1.2).all()


@pytest.mark.parametrize("step", [AWQ, GPTQ.format(4, True), GPTQ.format(8, False), "gguf_quantized(type=Q8_0)"])
def test_one_engine_runs_what_every_method_made(tmp_path, step):
    """Logits through transformers, near the model's own at 8 bits and a little further at 4; through a plain load."""
    import transformers

    source = tiny.write(tmp_path / "model")
    made = variant.build(f"{source.path} > {step} > dequantized()")
    model, report = transformers.AutoModelForCausalLM.from_pretrained(made.path, output_loading_info=True, dtype=torch.float32)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    tokens = list(range(1, 60))

    def logits(artifact):
        with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=64) as engine:
            return torch.log_softmax(torch.from_numpy(engine.score(tokens)), -1)

    exact, came = logits(source), logits(made)
    with torch.inference_mode():
        plain = torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1)
    assert torch.allclose(came, plain[-len(came):], atol=1e-4)
    lost = float((exact.exp() * (exact - came)).sum(-1).mean())
    assert 0 < lost < (0.05 if "8" in step else 3)


@pytest.mark.parametrize("family, tied", [("llama", False), ("qwen2", True), ("qwen3", False), ("gemma3_text", True),
                                          ("gemma3_text", False)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gguf_file_comes_back_with_names_and_rows_in_place(tmp_path, family, tied, dtype):
    source = tiny.write(tmp_path / "model", family, tied)
    after = tensors(variant.build(f"{source.path} > gguf(dtype={dtype}) > dequantized()").path)
    before = tensors(source.path)
    assert after.keys() == before.keys()
    for name, weight in before.items():
        stored = torch.float32 if weight.ndim == 1 else getattr(torch, dtype)
        expected = weight.to(stored).float()
        if family == "gemma3_text" and "norm" in name:  # one more than it is what is stored, and what norms multiply by
            assert torch.equal(1 + after[name], 1 + expected), name
            expected = (1 + expected) - 1
        assert torch.equal(after[name], expected), name


@pytest.mark.parametrize("type", ["Q4_0", "Q8_0", "Q4_K_M"])
def test_blocks_of_llama_cpp_come_back_near_the_weights(tmp_path, type):
    source = tiny.write(tmp_path / "model", hidden_size=256, intermediate_size=256, num_attention_heads=8)
    before = tensors(source.path)
    after = tensors(variant.build(f"{source.path} > gguf_quantized(type={type}) > dequantized()").path)
    for name, weight in before.items():
        error = float((after[name] - weight).square().mean() / weight.square().mean())
        assert error < (1e-4 if type == "Q8_0" or weight.ndim == 1 else 0.02), (name, error)


def test_a_shape_has_no_folder_of_its_own_and_comes_back_with_its_config(tmp_path, monkeypatch):
    from edgekit.catalog import models

    architecture = models.Architecture.from_hf(tiny.SIZES | dict(model_type="llama", rms_norm_eps=1e-5), source="test")
    monkeypatch.setattr(models, "architectures", lambda: {"small": architecture})
    for step in ("gguf(dtype=float16)", AWQ):
        made = variant.build(f"shape:small > {step} > dequantized()")
        config = json.loads((made.path / "config.json").read_text())
        assert (config["dtype"], config["hidden_size"]) == ("float32", 64) and "torch_dtype" not in config


def test_permuting_and_back_is_the_identity():
    rows = torch.arange(4 * 32 * 3).reshape(4 * 32, 3)
    assert torch.equal(convert.unpermute_rotary(convert.permute_rotary(rows, 4), 4), rows)


@pytest.mark.parametrize("change, complaint", [
    (lambda w: w.pop("model.layers.0.mlp.up_proj.scales"), "has no model.layers.0.mlp.up_proj.scales"),
    (lambda w: w.pop("model.norm.weight"), "has no model.norm.weight, which a llama model"),
    (lambda w: w.update({"model.norm.weight": torch.ones(3)}), r"expected model.norm.weight of shape \(64,\) .*, got \(3,\)"),
])
def test_a_checkpoint_that_does_not_fit_its_base_is_refused(tmp_path, change, complaint):
    source = tiny.write(tmp_path / "model")
    rewrite(variant.build(f"{source.path} > {AWQ}").path, change)
    record = next((tmp_path / "artifacts").glob("*/artifact.json"))
    made = json.loads(record.read_text())
    made["files"] = {file.name: file.stat().st_size for file in record.parent.iterdir() if file != record}
    record.write_text(json.dumps(made))
    with pytest.raises(ModelError, match=complaint):
        variant.build(f"{source.path} > {AWQ} > dequantized()")


@pytest.mark.parametrize("step, told, complaint", [
    (AWQ, {"quant_method": "gptq"}, "expected quant_method awq, got 'gptq'"),
    (AWQ, {"version": "gemv"}, "expected AWQ's gemm layout of 4 bits with zero points, got 4 bits, version 'gemv'"),
    (GPTQ.format(4, False), {"bits": 5}, "expected GPTQ of 2, 3, 4, 8 bits .*, got 5 bits"),
    (GPTQ.format(4, False), {"checkpoint_format": "marlin"}, "got 4 bits as 'marlin'"),
])
def test_an_unknown_layout_is_refused(tmp_path, step, told, complaint):
    source = tiny.write(tmp_path / "model")
    made = variant.build(f"{source.path} > {step}")
    config = json.loads((made.path / "config.json").read_text())
    config["quantization_config"] |= told
    (made.path / "config.json").write_text(json.dumps(config))
    from edgekit.compress import dequantize

    (tmp_path / "out").mkdir()
    with pytest.raises(BuildError, match=complaint):
        dequantize.to_float(made, tmp_path / "out")


def test_plain_weights_are_refused(tmp_path):
    with pytest.raises(BuildError, match="expected an artifact of format awq, gptq, gguf, got safetensors"):
        variant.build(f"{tiny.write(tmp_path / 'model').path} > dequantized()")
