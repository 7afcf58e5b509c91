"""Which files of a folder are the model: whole or refused in one sentence, whatever else lies beside them."""

from __future__ import annotations

import json
import struct

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from edgekit import engines
from edgekit.building import BuildError
from edgekit.catalog import models, weight_files
from edgekit.catalog.hf_config import ModelError
from edgekit.catalog.weight_files import INDEX, SINGLE
from edgekit.compress import saliency, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")

AWQ, GPTQ = "packed_awq(bits=4, group=32)", "packed_gptq(bits=4, group=32, symmetric=True)"
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    return tiny.write(tmp_path / "model", tied=False, hidden_size=64, head_dim=16).path


def shard(folder) -> list:
    """The folder's one file as two with an index."""
    weights = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: weights[name] for name in some}, folder / file, metadata={"format": "pt"})
    (folder / INDEX).write_text(json.dumps(
        {"metadata": {}, "weight_map": {name: file for file, some in parts.items() for name in some}}))
    return [folder / file for file in parts]


def rewrite(file, change) -> None:
    weights = load_file(file)
    change(weights)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, file, metadata={"format": "pt"})


def indexed(folder, change) -> None:
    told = json.loads((folder / INDEX).read_text())
    change(told["weight_map"])
    (folder / INDEX).write_text(json.dumps(told))


def configured(folder, **changed) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))


def everything(folder) -> tuple:
    """What each reader makes of a folder: bytes, bytes a step, scores, a rounded and a pruned model's logits, a GGUF file's."""
    made = variant.build(str(folder))
    tokens = list(range(1, 30))
    logits = []
    for engine, steps in (("transformers", ""), ("transformers", " > rtn(bits=4, group=16)"),
                          ("llama_cpp", " > gguf(dtype=float32)"),
                          ("transformers", " > pruned(heads=0.5, mlp=0.5, score=magnitude, multiple=16)")):
        with engines.open_engine(engine, variant.build(f"{folder}{steps}"), dtype="float32", threads=1, device="cpu",
                                 context=32) as opened:
            logits.append(opened.score(tokens).tolist())
    scores = saliency.of_weights(folder, made.spec.architecture)
    return made.size_bytes(), made.bytes_read_per_step("float32"), scores.heads.tolist(), scores.neurons.tolist(), logits


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "consolidated.safetensors", "optimizer.safetensors"])
def test_what_lies_beside_the_weights_changes_nothing(folder, name):
    before, identity = everything(folder), models.resolve(str(folder)).identity
    save_file({"wq": torch.randn(64, 64), UP: torch.randn(96, 64)}, folder / name)
    assert everything(folder) == before
    assert models.resolve(str(folder)).identity == identity
    assert weight_files.beside(folder) == [name]


def test_shards_are_the_same_model_as_the_one_file(folder, tmp_path):
    one = everything(folder)
    shard(folder)
    several = everything(folder)
    assert several[1:] == one[1:]
    assert one[0] < several[0] == sum(file.stat().st_size for file in folder.glob("*.safetensors")) < one[0] + 200


def test_frequencies_of_old_checkpoints_are_not_weights(folder):
    before = everything(folder)
    rewrite(folder / SINGLE, lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}))
    assert everything(folder)[1:] == before[1:]


def test_a_tied_head_may_be_stored_if_it_is_the_embedding(tmp_path):
    """transformers ties them where they are equal, and runs both where they differ."""
    folder = tiny.write(tmp_path / "tied", hidden_size=64, head_dim=16).path
    before = everything(folder)
    rewrite(folder / SINGLE, lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}))
    assert everything(folder)[1:] == before[1:]
    rewrite(folder / SINGLE, lambda w: w["lm_head.weight"].mul_(2))
    with pytest.raises(ModelError, match="ties the output head .* hold two that differ; set it to false"):
        models.resolve(str(folder))
    configured(folder, tie_word_embeddings=False)
    assert models.resolve(str(folder)).architecture.tied is False


@pytest.mark.parametrize("change, says", [
    (lambda d, s: s[1].unlink(), "lacks 1 of the 2 files that .*index.json names, among them model-00002-of-00002.safetensors"),
    (lambda d, s: s[1].write_bytes(s[1].read_bytes()[:-1]), "model-00002-of-00002.safetensors is damaged"),
    (lambda d, s: s[1].write_bytes(struct.pack("<Q", 1 << 40) + b"{}"), "model-00002-of-00002.safetensors is damaged"),
    (lambda d, s: s[1].write_bytes(b""), "model-00002-of-00002.safetensors is damaged"),
    (lambda d, s: (d / INDEX).unlink(), "no weights in .*model-00001-of-00002.safetensors is there, which no index names"),
    (lambda d, s: (d / INDEX).write_text("{"), "index.json, line 1, column 2: not JSON"),
    (lambda d, s: (d / INDEX).write_text("[]"), "expected a JSON object of names and values, got a list"),
    (lambda d, s: (d / INDEX).write_text('{"weight_map": {"a": 1}}'), "expected weight_map, from names of tensors"),
    (lambda d, s: (d / INDEX).write_text('{"weight_map": {"a": "b.safetensors"}}'), "expected metadata beside weight_map"),
    (lambda d, s: indexed(d, lambda m: m.update({UP: f"../{s[0].name}"})), "in its own folder, got '../model"),
    (lambda d, s: indexed(d, lambda m: m.update({UP: str(s[0])})), "in its own folder, got '/"),
    (lambda d, s: indexed(d, lambda m: m.update({UP: "pytorch_model.bin"})), "in its own folder, got 'pytorch_model.bin'"),
    (lambda d, s: indexed(d, lambda m: m.pop(UP)), f"says that {UP} lies in no file, and it lies in model-0000"),
    (lambda d, s: indexed(d, lambda m: m.update({"another": s[0].name})), "another lies in model-00001.*, and it lies in none"),
    (lambda d, s: [rewrite(s[i], lambda w: w.update({UP: torch.ones(96, 64)})) for i in (0, 1)],
     f"both model-00001-of-00002.safetensors and model-00002-of-00002.safetensors hold {UP}"),
    (lambda d, s: save_file({"x": torch.ones(1)}, d / SINGLE), "holds both model.safetensors and an index of other files"),
])
def test_shards_that_are_not_whole_are_refused(folder, change, says):
    change(folder, shard(folder))
    for step in ("", " > rtn(bits=4, group=32)"):
        with pytest.raises(ModelError, match=says):
            variant.build(f"{folder}{step}")


@pytest.mark.parametrize("change, says", [
    (lambda w: w.pop(UP), f"has no {UP}, which a llama model of this config needs; a loader would draw it at random"),
    (lambda w: w.pop("lm_head.weight"), "has no lm_head.weight"),
    (lambda w: w.update({UP: torch.ones(95, 64)}), rf"expected {UP} of shape \(96, 64\) as F32 or F16 or BF16, got \(95, 64\)"),
    (lambda w: w.update({UP: w[UP].to(torch.int8)}), "as I8"),
    (lambda w: w.update({UP: w[UP].to(torch.float8_e4m3fn)}), "as F8_E4M3"),
    (lambda w: w.update({UP.replace("weight", "bias"): torch.ones(96)}), "a tensor that a llama model of this config has not"),
    (lambda w: w.update({"model.layers.2.mlp.up_proj.weight": w[UP].clone()}), r"holds model.layers.2.mlp.up_proj.weight"),
    (lambda w: w.update({UP.replace("weight", "qweight"): w[UP].clone()}), "config.json has no quantization_config"),
    (lambda w: w.update({name.removeprefix("model."): w.pop(name) for name in list(w)}), "has no model.embed_tokens.weight"),
])
def test_a_file_without_just_the_tensors_of_its_config_is_refused(folder, change, says):
    rewrite(folder / SINGLE, change)
    for step in ("", " > rtn(bits=4, group=32)"):
        with pytest.raises(ModelError, match=says):
            variant.build(f"{folder}{step}")


def test_pickles_and_adapters_alone_are_refused_by_name(folder):
    (folder / SINGLE).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pytorch_model.bin is there, a pickle, which can run code of strangers"):
        models.resolve(str(folder))
    (folder / "pytorch_model.bin").rename(folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="adapter_model.safetensors is there, which no index names: .* merge an adapter"):
        models.resolve(str(folder))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="a model and an adapter of one lie in one folder"):
        models.resolve(str(folder))


@pytest.mark.parametrize("family, tied", [("llama", True), ("llama", False), ("qwen2", True), ("mistral", False),
                                          ("qwen3", True), ("qwen3", False), ("gemma3_text", True), ("gemma3_text", False)])
def test_the_closed_form_lists_the_tensors_of_transformers(tmp_path, family, tied):
    import transformers

    extra = dict(attention_bias=True, mlp_bias=True) if family == "llama" and tied else {}
    windows = {} if family == "gemma3_text" else dict(sliding_window=None)
    config = transformers.AutoConfig.for_model(family, **tiny.sizes(family, tie_word_embeddings=tied, **windows, **extra))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    a = models.Architecture.from_hf(config.to_dict(), source="test")
    theirs = {name: tuple(weight.shape) for name, weight in model.named_parameters()}  # tied ones once
    assert dict(a.tensors()) == theirs
    assert a.parameters == model.num_parameters()


@pytest.mark.parametrize("step, method", [(AWQ, "awq"), (GPTQ, "gptq")])
def test_a_packed_folder_is_opened_as_what_it_is(tmp_path, step, method):
    """The same bytes and weights as the artifact that it was copied from; steps for plain weights name the one that serves."""
    import shutil

    source = tiny.write(tmp_path / "model", hidden_size=128, intermediate_size=256)
    made = variant.build(f"{source.path} > {step}")
    folder = tmp_path / "named"
    shutil.copytree(made.path, folder)
    opened = variant.build(str(folder))
    assert (opened.format, variant.format_of(str(folder)), models.resolve(str(folder)).format) == (method,) * 3
    assert opened.size_bytes() == made.size_bytes()
    assert opened.bytes_read_per_step("float16") == made.bytes_read_per_step("float16")
    plain = [load_file(variant.build(f"{text} > dequantized()").path / SINGLE) for text in (made.variant, folder)]
    assert plain[0].keys() == plain[1].keys() and all(torch.equal(plain[0][name], plain[1][name]) for name in plain[0])
    for refused in ("rtn(bits=4, group=32)", "pruned(heads=0.5, mlp=0, score=magnitude)", "gguf(dtype=float16)", AWQ,
                    "distilled(data=none, steps=1)", "onnx(precision=float32)", "gguf_quantized(type=Q4_0)"):
        with pytest.raises(BuildError, match=rf"expected a safetensors artifact, got {method} .*put dequantized\(\) before"):
            variant.build(f"{folder} > {refused}")
        variant.build(f"{folder} > dequantized() > rtn(bits=4, group=32)")
    with pytest.raises(BuildError, match=f"teacher .* has {method} weights"):
        variant.build(f"pocket-200k > distilled(data=logits, steps=1, teacher={folder})")
    with pytest.raises(engines.EngineError, match=f"expected a gguf artifact, got {method}"):
        engines.open_engine("llama_cpp", opened, dtype="float16", threads=1, device="cpu", context=8)


@pytest.mark.parametrize("told, says", [
    (dict(quant_method="bitsandbytes"), "quantized by 'bitsandbytes' .quantization_config.; known: awq, gptq"),
    (dict(quant_method="fp8"), "quantized by 'fp8'"), (dict(bits=4), "quantized by None"),
    (dict(quant_method="awq", bits=4, version="gemv", zero_point=True, group_size=32), "expected AWQ's gemm layout"),
    (dict(quant_method="awq", bits=4, version="gemm", zero_point=False, group_size=32), "zero_point False"),
    (dict(quant_method="gptq", bits=5, group_size=32), "got 5 bits"),
    (dict(quant_method="gptq", bits=4, group_size=32, checkpoint_format="marlin"), "as 'marlin'"),
    (dict(quant_method="gptq", bits=4, group_size=32, dynamic={"+:.*": {"bits": 8}}), "one layout for all matrices"),
    (dict(quant_method="gptq", bits=4, group_size=None), "expected group_size"),
    (dict(quant_method="gptq", bits=4, group_size=32), "speaks of gptq weights .quantization_config., and none is packed"),
])
def test_packings_that_are_not_known_or_not_there_are_refused(folder, told, says):
    configured(folder, quantization_config=told)
    with pytest.raises(ModelError, match=says):
        models.resolve(str(folder))


def test_older_gptq_folders_do_not_say_their_format_and_are_v1(tmp_path):
    source = tiny.write(tmp_path / "model", hidden_size=128, intermediate_size=256)
    made = variant.build(f"{source.path} > {GPTQ}")
    before = load_file(variant.build(f"{source.path} > {GPTQ} > dequantized()").path / SINGLE)
    told = json.loads((made.path / "config.json").read_text())["quantization_config"]
    configured(made.path, quantization_config={name: told[name] for name in ("quant_method", "bits", "group_size", "sym")})
    after = load_file(variant.build(f"{made.path} > dequantized()").path / SINGLE)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_index_of_each_input_counts_where_groups_are_reordered(tmp_path):
    source = tiny.write(tmp_path / "model", hidden_size=128, intermediate_size=256)
    made = variant.build(f"{source.path} > {GPTQ}")
    before = made.bytes_read_per_step("float16")
    told = json.loads((made.path / "config.json").read_text())["quantization_config"]
    configured(made.path, quantization_config=told | dict(desc_act=True))
    inputs = sum(shape[1] for name, shape in source.spec.architecture.tensors() if "_proj" in name)
    assert variant.build(str(made.path)).bytes_read_per_step("float16") == before + 4 * inputs
