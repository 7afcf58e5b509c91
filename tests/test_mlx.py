"""MLX against transformers on the same ids, in its build for a CPU where there is no Metal."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from edgekit import engines
from edgekit.building import BuildError
from edgekit.compress import variant
from edgekit.engines.base import EngineError
from edgekit.measure import conformance

pytest.importorskip("mlx_lm", reason="python3 edgekit/environment/install.py --extra mlx")

pytestmark = pytest.mark.usefixtures("shared_artifacts")

PROMPT = [5, 9, 150, 33, 2, 77, 120, 8, 64]
WIDE = dict(head_dim=32, intermediate_size=128)  # groups of 64 fill every matrix
BITS = {"int8": "mlx_quantized(bits=8, group=64)", "int4": "mlx_quantized(bits=4, group=64)"}


def opened(name, source, dtype="float32", **options):
    made = variant.build(engines.variant_for(name, str(source.path), dtype))
    return engines.open_engine(name, made, **(dict(dtype=dtype, threads=1, device="cpu", context=128) | options))


@pytest.mark.parametrize("family, tied", [("llama", True), ("llama", False), ("qwen2", True), ("qwen3", False)])
def test_scores_and_greedy_tokens_are_those_of_transformers(family, tied, tmp_path):
    source = tiny.write(tmp_path / "model", family, tied, rope_parameters=dict(rope_type="default", rope_theta=500.0))
    with opened("transformers", source) as reference, opened("mlx", source) as engine:
        expected = reference.score(PROMPT)
        np.testing.assert_allclose(engine.score(PROMPT), expected, atol=1e-3 * np.abs(expected).max())
        tokens = [step.token for step in reference.stream(PROMPT, 12)]
        assert [step.token for step in engine.stream(PROMPT, 12)] == tokens
        assert engine.info.kv_bytes_per_token == reference.info.kv_bytes_per_token
        assert engine.info.threads == 1 and "cpu" in engine.info.kernel


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, rope_theta=1e4,
              original_max_position_embeddings=64)


@pytest.mark.parametrize("rope", [dict(rope_type="linear", factor=4.0, rope_theta=1e4), LLAMA3],
                         ids=lambda rope: rope["rope_type"])
def test_rotations_are_carried(rope, tmp_path):
    text = np.random.default_rng(0).integers(0, 160, 60).tolist()
    source, plain = tiny.write(tmp_path / "model", rope_parameters=rope), tiny.write(tmp_path / "plain")
    with opened("transformers", source) as reference, opened("mlx", source) as engine, opened("mlx", plain) as other:
        expected = reference.score(text)
        np.testing.assert_allclose(engine.score(text), expected, atol=1e-3 * np.abs(expected).max())
        assert np.abs(other.score(text) - expected).max() > 0.05 * np.abs(expected).max()


def test_its_own_roundings_cost_what_their_bits_say(tmp_path):
    source = tiny.write(tmp_path / "model", **WIDE)
    with opened("mlx", source) as exact:
        full = exact.score(PROMPT)
    errors = {}
    for weights in BITS:
        made = variant.build(engines.variant_for("mlx", str(source.path), weights))
        with opened("mlx", source, weights) as engine:
            errors[weights] = np.linalg.norm(engine.score(PROMPT) - full) / np.linalg.norm(full)
            assert engine.info.kernel.startswith(f"QuantizedLinear of {weights[3:]} bits by 64 x14")
        a = source.spec.architecture
        vectors = a.width * (2 * a.layers + 1)
        matrices = a.parameters - vectors
        assert made.bytes_read_per_step(weights) == matrices * (int(weights[3:]) / 8 + 8 / 64) + 4 * vectors
    assert 1e-4 < errors["int8"] < 0.05 < errors["int4"] < 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_it_keeps_the_promises_of_every_engine(dtype, tmp_path):
    source = tiny.write(tmp_path / "model", **WIDE)
    told = conformance.measure_conformance(variant=engines.variant_for("mlx", str(source.path), dtype), engine="mlx",
                                           dtype=dtype, threads=1, device="cpu", base=str(source.path), seed=0)
    assert {one["check"]: one["seen"] for one in told["observations"] if one.get("outcome") == "failed"} == {}


def test_what_it_cannot_do_is_refused_in_words(tmp_path):
    source = tiny.write(tmp_path / "model")
    with pytest.raises(EngineError, match="mlx: unknown device 'cuda'; known: cpu, mps"):
        opened("mlx", source, device="cuda")
    with pytest.raises(BuildError, match="has a MLP width of 96, which groups of 64 do not fill"):
        opened("mlx", source, "int4")
    dynamic = tiny.write(tmp_path / "dynamic", rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=1e4))
    with pytest.raises(EngineError, match="rotations of type dynamic, which mlx-lm computes otherwise"):
        opened("mlx", dynamic)
    with pytest.raises(EngineError, match="mlx: .* has or is a Gemma 3, .*: measure it with transformers"):
        opened("mlx", tiny.write(tmp_path / "gemma", "gemma3_text"))
    with pytest.raises(EngineError, match="activations of type gelu, and mlx-lm's have silu"):
        opened("mlx", tiny.write(tmp_path / "gelu", hidden_act="gelu"))


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    import importlib.util

    source = tiny.write(tmp_path / "model", **WIDE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match="mlx-lm, .* is not installed; the extra `mlx` brings it: .*--extra mlx"):
        variant.build(f"{source.path} > mlx_quantized(bits=6, group=32)")
