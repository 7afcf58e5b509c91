"""ONNX models against the safetensors folders that they were made of: the same logits, computed by ONNX Runtime."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest
import tiny
import torch

from edgekit import engines
from edgekit.building import BuildError
from edgekit.catalog import models
from edgekit.compress import onnx, variant
from edgekit.compress.artifact import Artifact

pytestmark = pytest.mark.usefixtures("module_artifacts")

POCKET = "pocket-200k"
PRUNED = f"{POCKET} > pruned(heads=0.25, mlp=0.25, samples=4, length=64, multiple=16)"
TOKENS = list(range(1, 120))

needs_runtime = pytest.mark.skipif(importlib.util.find_spec("onnxruntime_genai") is None,
                                   reason=f"onnxruntime-genai is not installed: {onnx.INSTALL}")


def logits_of(artifact):
    """Of every position of TOKENS, (positions, vocabulary), by ONNX Runtime itself from an empty cache."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(artifact.path / "model.onnx", options, providers=["CPUExecutionProvider"])
    a = artifact.spec.architecture
    given = dict(input_ids=np.array([TOKENS]), attention_mask=np.ones((1, len(TOKENS)), np.int64))
    past = {one.name: np.zeros((1, a.kv_heads, 0, a.head_dim), np.float32) for one in session.get_inputs()
            if one.name.startswith("past_key_values.")}
    assert len(past) == 2 * a.layers
    logits, = session.run(["logits"], given | past)
    return torch.from_numpy(logits[0]).double()


def expected(artifact):
    with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=128) as opened:
        return torch.from_numpy(opened.score(TOKENS)).double()


def divergence(one, other):
    one, other = torch.log_softmax(one, -1), torch.log_softmax(other, -1)
    return float((one.exp() * (one - other)).sum(-1).mean())


@needs_runtime
def test_a_pruned_model_gives_the_same_logits_sliced_masked_and_exported():
    """Three heads do not divide the width of 64: the folder says Mistral, which the builder must take too."""
    sliced, masked = variant.build(PRUNED), variant.build(PRUNED.replace(")", ", form=masked)"))
    exported = variant.build(f"{PRUNED} > onnx(precision=float32)")
    assert (exported.spec.architecture.heads, exported.spec.architecture.mlp_width) == (3, 96)
    one = expected(sliced)
    assert float((one - expected(masked)).abs().max()) < 1e-3
    assert float((one - logits_of(exported)).abs().max()) < 1e-3 and divergence(one, logits_of(exported)) < 1e-6
    assert divergence(one, expected(variant.build(POCKET))) > 1e-2
    assert exported.size_bytes() > 4 * exported.spec.architecture.parameters


@needs_runtime
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_a_qwen_with_its_own_fewer_heads_and_another_rotation_comes_through(tmp_path, family):
    """Biases of a Qwen2, norms of a Qwen3's queries and keys."""
    source = tiny.write(tmp_path / "model", family, tied=False, vocab_size=1024,
                        rope_parameters=dict(rope_type="default", rope_theta=500.0))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(models.resolve(POCKET).folder / name, source.path / name)
    chain = f"{source.path} > pruned(heads=0.5, mlp=0.33, score=magnitude)"
    one, other = expected(variant.build(chain)), logits_of(variant.build(f"{chain} > onnx(precision=float32)"))
    assert float((one - other).abs().max()) < 1e-4 * float(one.abs().max())


@needs_runtime
def test_what_a_config_asks_for_is_carried_or_refused(tmp_path):
    """All at once what the graph carries; each changes the logits."""
    asked = dict(hidden_act="gelu", attention_bias=True, mlp_bias=True, rms_norm_eps=0.05, tie_word_embeddings=False,
                 rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                      original_max_position_embeddings=32, rope_theta=500.0))
    plain = dict(hidden_act="silu", rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=500.0))
    source = tiny.write(tmp_path / "model", vocab_size=1024, **asked)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(models.resolve(POCKET).folder / name, source.path / name)
    one = expected(variant.build(str(source.path)))
    assert divergence(one, logits_of(variant.build(f"{source.path} > onnx(precision=float32)"))) < 1e-6
    config = json.loads((source.path / "config.json").read_text())
    for key, value in plain.items():
        (source.path / "config.json").write_text(json.dumps(config | {key: value}))
        assert divergence(one, expected(variant.build(str(source.path)))) > 1e-2, key
    for rope in (dict(rope_type="linear", factor=4.0), dict(rope_type="yarn", factor=4.0)):
        (source.path / "config.json").write_text(json.dumps(config | {"rope_parameters": rope}))
        with pytest.raises(BuildError, match=f"rotations of type {rope['rope_type']}, which the model builder"):
            variant.build(f"{source.path} > onnx(precision=float32)")


@needs_runtime
def test_genai_opens_the_folder_and_continues_as_transformers_does():
    import onnxruntime_genai

    made = variant.build(f"{PRUNED} > onnx(precision=float32)")
    model = onnxruntime_genai.Model(str(made.path))
    params = onnxruntime_genai.GeneratorParams(model)
    params.set_search_options(max_length=len(TOKENS) + 8, do_sample=False)
    generator = onnxruntime_genai.Generator(model, params)
    generator.append_tokens(np.array([TOKENS], np.int32))
    for _ in range(8):
        generator.generate_next_token()
    with engines.open_engine("transformers", variant.build(PRUNED), dtype="float32", threads=1, device="cpu",
                             context=128) as opened:
        assert generator.get_sequence(0)[len(TOKENS):].tolist() == [step.token for step in opened.stream(TOKENS, 8)]


@needs_runtime
def test_four_bits_cost_something_and_take_less():
    source = variant.build(POCKET)
    one = expected(source)
    made = variant.build(f"{POCKET} > onnx(precision=int4)")
    assert 1e-4 < divergence(one, logits_of(made)) < 0.5
    assert made.size_bytes() < 0.4 * source.size_bytes()


@needs_runtime
def test_what_the_builder_refuses_is_said_in_its_words(tmp_path):
    source = tiny.write(tmp_path / "model")  # without a tokenizer
    with pytest.raises(BuildError, match=r"onnx: the model builder .* failed on .*model \(exit status 1\): \w"):
        variant.build(f"{source.path} > onnx(precision=float32)")


def test_without_the_builder_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"onnxruntime-genai.* is not installed; the extra `onnx` brings it: .*--extra onnx"):
        variant.build("pocket-900k > onnx(precision=float32)")


@pytest.mark.parametrize("chain, complaint", [
    (f"{POCKET} > onnx(precision=float16)", "onnx: unknown precision 'float16'; known: float32, int4"),
    (f"{POCKET} > packed_gptq(bits=4, group=32) > onnx(precision=float32)", "expected a safetensors artifact, got gptq"),
])
def test_what_cannot_be_is_refused_in_words(chain, complaint):
    with pytest.raises(BuildError, match=complaint):
        variant.build(chain)


def test_a_gemma_is_refused_by_name(tmp_path):
    source = tiny.write(tmp_path / "model", "gemma3_text")
    with pytest.raises(BuildError, match="is a Gemma 3, of which the model builder rounds the embeddings' factor"):
        variant.build(f"{source.path} > onnx(precision=float32)")


def test_a_shape_is_refused_for_want_of_a_tokenizer(tmp_path):
    source = Artifact("shape:smollm2-135m", models.resolve("shape:smollm2-135m"), tmp_path, "safetensors", "hash")
    with pytest.raises(BuildError, match="smollm2-135m is a shape, without a tokenizer"):
        onnx.onnx_bytes(source, precision="float32")
