"""AWQ and GPTQ through their libraries: better than rounding where they look, the same each time, and silent."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
import tiny
import torch
import transformers

from edgekit import store
from edgekit.building import BuildError
from edgekit.catalog.models import SETTINGS
from edgekit.compress import awq, checkpoint, rtn, variant
from edgekit.compress.calibration import Calibration

pytestmark = pytest.mark.usefixtures("own_artifacts")

POCKET = "pocket-200k"
FOLDER = store.ROOT / "data/models" / POCKET
DRAWN = "calibration=mixture, samples=8, length=64"
MODULES = {"awq": "awq", "gptq": "gptqmodel"}


@pytest.fixture(params=MODULES)
def method(request) -> str:
    if request.param == "awq":
        needs_autoawq()
    else:
        pytest.importorskip("gptqmodel")
    return request.param


def needs_autoawq():
    pytest.importorskip("transformers").activations.PytorchGELUTanh = transformers.activations.GELUTanh
    pytest.importorskip("awq")


def chain(method, seed=0, bits=4, **more):
    extra = "".join(f", {name}={value}" for name, value in more.items())
    return f"{POCKET} > {method}(bits={bits}, group=32, {DRAWN}, seed={seed}{extra})"


def plain(text):
    """The model that a variant stands for, in float32."""
    folder = variant.build(text if text == POCKET else f"{text} > dequantized()").path
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def layer_errors(exact, model, sequences) -> list[float]:
    """Mean squared error of each layer's output, given the inputs that it has in the exact model."""
    inputs, outputs = [], []

    def listen(layer, args, named, output):
        inputs.append((args, named))
        outputs.append(output)

    hooks = [layer.register_forward_hook(listen, with_kwargs=True) for layer in exact.model.layers]
    with torch.no_grad():
        exact(torch.tensor(sequences), use_cache=False)
        found = [layer(*args, **named) for layer, (args, named) in zip(model.model.layers, inputs, strict=True)]
    for hook in hooks:
        hook.remove()
    return [float((mine - right).square().mean()) for mine, right in zip(found, outputs, strict=True)]


def test_every_layer_errs_less_than_by_rounding_on_the_calibration_tokens(method):
    sequences = Calibration("mixture", 8, 64, 0).sequences(FOLDER, 1024)
    exact = plain(POCKET)
    rounded = layer_errors(exact, plain(f"{POCKET} > packed_{method}(bits=4, group=32)"), sequences)
    made = layer_errors(exact, plain(chain(method)), sequences)
    assert max(made) > 0 and all(mine < theirs for mine, theirs in zip(made, rounded, strict=True)), (made, rounded)
    assert sum(made) < {"awq": 0.95, "gptq": 0.6}[method] * sum(rounded)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_gptq_makes_up_for_its_errors_at_all_bits(bits):
    """Of the matrices that see exact inputs: the first layer's queries, keys and values."""
    pytest.importorskip("gptqmodel")
    sequences = Calibration("mixture", 8, 64, 0).sequences(FOLDER, 1024)
    exact, made = plain(POCKET).model, plain(chain("gptq", bits=bits)).model
    rounded = plain(f"{POCKET} > packed_gptq(bits={bits}, group=32)").model
    with torch.no_grad():
        x = exact.layers[0].input_layernorm(exact.embed_tokens(torch.tensor(sequences))).flatten(0, 1)
        for name in ("q_proj", "k_proj", "v_proj"):
            right, mine, theirs = (getattr(model.layers[0].self_attn, name)(x) for model in (exact, made, rounded))
            assert 0 < (mine - right).square().mean() < 0.6 * (theirs - right).square().mean(), name


def test_awq_without_its_searches_is_rounding():
    needs_autoawq()
    made, rounded = (dict(checkpoint.Weights(variant.build(f"{text} > dequantized()").path)) for text in (
        chain("awq", scale=False, clip=False), f"{POCKET} > packed_awq(bits=4, group=32)"))
    searched = {name: dict(checkpoint.Weights(variant.build(f"{chain('awq', **{name: False})} > dequantized()").path))
                for name in ("scale", "clip")}
    for name, weight in rounded.items():
        if not rtn.MATRIX.search(name):
            assert torch.equal(made[name], weight) and torch.equal(searched["scale"][name], weight), name
            continue
        apart = (made[name] - weight).abs()
        assert (apart < 2e-3 * weight.abs().max()).float().mean() > 0.99, name  # scales of 16 bits, and ties
        clipped = not name.endswith(("q_proj.weight", "k_proj.weight"))
        assert torch.equal(searched["scale"][name], made[name]) != clipped, name
    norm = "model.layers.0.input_layernorm.weight"
    assert not torch.equal(searched["clip"][norm], rounded[norm]), "scales go into the norm before"


def test_the_clip_search_is_autoawqs():
    needs_autoawq()
    from awq.quantize.quantizer import AwqQuantizer

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 96, generator=generator) ** 3
    tokens = torch.randn(2, 700, 96, generator=generator) * torch.linspace(0.1, 3, 96)
    found = {}
    for kind in (AwqQuantizer, awq.quantizer(scaled=True)):
        quantizer = object.__new__(kind)
        quantizer.group_size, quantizer.zero_point, quantizer.w_bit = 32, True, 4
        found[kind] = quantizer._compute_best_clip(weight, tokens)
    right, mine = found.values()
    assert mine.shape == right.shape == (64, 3, 1) and torch.equal(mine, right)
    assert 0.1 < (mine.squeeze(-1) < weight.reshape(64, 3, 32).abs().amax(-1)).float().mean() < 1


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_awq_looks_at_what_the_model_computes(tmp_path, family):
    """The states that AutoAWQ hands from layer to layer are the model's, and its attention keeps no cache between trials."""
    needs_autoawq()
    source = tiny.write(tmp_path / "model", family)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32).eval()
    ids = torch.randint(0, 160, (3, 40), generator=torch.Generator().manual_seed(0))
    outputs = []
    hook = model.model.layers[-1].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        model(ids)
    hook.remove()
    wrapped = awq._autoawq().models.auto.AWQ_CAUSAL_LM_MODEL_MAP[family](model, family, False, model.config, None, None)
    settings = {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}
    wrapped.quantize(None, settings, calib_data=ids.tolist(), max_calib_samples=3, max_calib_seq_len=40, duo_scaling=False,
                     quantizer_cls=awq.quantizer(scaled=True))
    assert torch.equal(wrapped.quantizer.inps, outputs[0])
    assert wrapped.quantizer.module_kwargs.get("past_key_values") is None


def test_a_seed_gives_the_same_bytes_in_silence_and_leaves_nothing_beside(method, tmp_path, monkeypatch, capfd):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    contents, environment = [], dict(os.environ)
    for seed in (0, 0, 1):
        made = variant.build(chain(method, seed))
        contents.append({file.name: file.read_bytes() for file in made.path.iterdir() if file.name != "artifact.json"})
        shutil.rmtree(made.path)
    assert contents[0] == contents[1]
    assert contents[0]["model.safetensors"] != contents[2]["model.safetensors"]
    assert contents[0]["config.json"] == contents[2]["config.json"]
    assert list(here.iterdir()) == [] and dict(os.environ) == environment
    assert capfd.readouterr() == ("", "")


def test_the_folder_is_a_standard_checkpoint(method):
    made = variant.build(chain(method))
    config = json.loads((made.path / "config.json").read_text())
    told = config["quantization_config"]
    assert made.format == method == told["quant_method"] and config["dtype"] == "float16"
    assert (told["bits"], told["group_size"]) == (4, 32)
    assert told.get("checkpoint_format") == (None if method == "awq" else "gptq_v2")
    for name in SETTINGS:
        assert (made.path / name).is_file() == (FOLDER / name).is_file()
        if (FOLDER / name).is_file():
            assert (made.path / name).read_bytes() == (FOLDER / name).read_bytes()
    with checkpoint.Weights(made.path) as weights:
        assert {str(weight.dtype) for weight in weights.values()} == {"torch.float16", "torch.int32"}
        assert "lm_head.weight" not in weights, "tied"


def test_symmetric_gptq_is_in_the_format_that_vllm_reads():
    pytest.importorskip("gptqmodel")
    made = variant.build(chain("gptq", symmetric=True))
    told = json.loads((made.path / "config.json").read_text())["quantization_config"]
    assert told["checkpoint_format"] == "gptq" and told["sym"] is True and told["desc_act"] is False


def test_a_model_without_tokenizer_is_calibrated_at_random(method, tmp_path):
    source = tiny.write(tmp_path / "model", tied=False)
    made = variant.build(f"{source.path} > {method}(bits=4, group=32, calibration=random, samples=4, length=32)")
    assert not (made.path / "tokenizer.json").exists()
    with checkpoint.Weights(made.path) as weights, checkpoint.Weights(source.path) as before:
        assert torch.equal(weights["lm_head.weight"], before["lm_head.weight"].half())


def test_norms_of_queries_and_keys_are_no_hindrance(method, tmp_path):
    """Layers of a Qwen3 err less than by rounding, on the calibration tokens, and those norms are kept."""
    source = tiny.write(tmp_path / "model", "qwen3")
    drawn = "calibration=random, samples=16, length=64"
    chain = f"{source.path} > {method}(bits=4, group=32, {drawn})"
    sequences = Calibration("random", 16, 64, 0).sequences(source.path, 160)
    exact = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32).eval()
    rounded, made = (layer_errors(exact, plain(text), sequences)
                     for text in (f"{source.path} > packed_{method}(bits=4, group=32)", chain))
    assert min(made) > 0 and sum(made) < 0.9 * sum(rounded), (made, rounded)
    with checkpoint.Weights(variant.build(chain).path) as weights, checkpoint.Weights(source.path) as before:
        for name in ("model.layers.1.self_attn.q_norm.weight", "model.layers.1.self_attn.k_norm.weight"):
            assert torch.equal(weights[name], before[name].half()), name


# What cannot be, in words


@pytest.mark.parametrize(("step", "complaint"), [
    ("awq(bits=3, {})", "awq: its layout holds 4 bits, got 3"),
    ("gptq(bits=5, {})", "gptq: its layout holds 2, 3, 4, 8 bits, got 5"),
    ("awq(group=48, {})", r"awq: group=48 does not divide the input width .* groups that divide all widths: 64, 32"),
    ("gptq(bits=4, group=128, {})", "gptq: group=128 does not divide the input width 64"),
    ("awq(group=32, calibration=poems)", "unknown calibration set 'poems'; known: mixture, prose, python-docs"),
    ("gptq(bits=4, group=32, samples=90000, {})", r"enough for \d+ sequences of 256, 90000 asked"),
    ("awq(group=32, length=513, {})", "sequences of 513 tokens are longer than the context of pocket-200k, 512"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(step, complaint):
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"{POCKET} > {step.format('calibration=mixture')}")


@pytest.mark.parametrize("method, complaint", [
    ("awq", "awq: AutoAWQ does not know Gemma 3 .*; take rtn, packed_awq"),
    ("gptq", "gptq: gptqmodel runs every layer with the rotations and the mask of the first, and Gemma 3 has two kinds")])
def test_a_gemma_is_refused_by_name(method, complaint, tmp_path):
    source = tiny.write(tmp_path / "model", "gemma3_text")
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"{source.path} > {method}(bits=4, group=32, calibration=random, samples=4, length=32)")


@pytest.mark.parametrize("method", MODULES)
def test_a_missing_library_is_told_with_the_line_that_installs_it(method, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULES[method], None)
    with pytest.raises(BuildError, match=rf"^{method}: .* cannot be imported .*install.py --extra quantize`"):
        variant.build(chain(method))
    assert not [path for path in (store.OUTPUT / "artifacts").iterdir() if path.is_dir()]


def test_what_a_library_says_when_it_fails_is_passed_on(method, monkeypatch):
    def fail(*arguments, **named):
        raise RuntimeError("the Hessian is not positive definite")

    if method == "awq":
        from awq.quantize import quantizer

        monkeypatch.setattr(quantizer.AwqQuantizer, "quantize", fail)
    else:
        import gptqmodel

        monkeypatch.setattr(gptqmodel.GPTQModel, "load", fail)
    with pytest.raises(BuildError, match=rf"^{method}: .* failed with RuntimeError: the Hessian is not positive definite"):
        variant.build(chain(method))


def test_tokens_that_a_library_drops_are_an_error(method, monkeypatch):
    if method == "awq":
        from awq.quantize import quantizer

        whole = quantizer.get_calib_dataset
        monkeypatch.setattr(quantizer, "get_calib_dataset", lambda **named: whole(**named)[1:])
    else:
        from gptqmodel.models.base import BaseQModel

        whole = BaseQModel.prepare_dataset
        monkeypatch.setattr(BaseQModel, "prepare_dataset", lambda *given, **named: whole(*given, **named)[1:])
    with pytest.raises(BuildError, match=rf"{method}: 8 sequences of 64 tokens were given, and \w+ used 448 tokens"):
        variant.build(chain(method))
