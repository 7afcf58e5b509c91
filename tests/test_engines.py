"""Engines against each other and against transformers' own `generate`: same ids in, same numbers out."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import quantized
import tiny
import torch

from edgekit import engines
from edgekit.catalog.engines import EngineEntry, Runtime
from edgekit.compress import variant
from edgekit.engines.base import EngineError
from edgekit.engines.replay import Recording, Replay
from edgekit.measure.worker import Worker

pytestmark = pytest.mark.usefixtures("shared_artifacts")

PROMPT = [5, 9, 150, 33, 2, 77, 120, 8, 64]


@pytest.fixture(scope="module", ids=str,
                params=[("llama", True), ("llama", False), ("qwen2", True), ("qwen3", False), ("gemma3_text", False)])
def source(request, tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("model"), *request.param)


def opened(name, source, dtype="float32", **options):
    made = variant.build(engines.variant_for(name, str(source.path), dtype))
    return engines.open_engine(name, made, **(dict(dtype=dtype, threads=1, device="cpu", context=128) | options))


def test_scores_and_greedy_tokens_are_those_of_generate(source):
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32)
    ids = torch.tensor([PROMPT])
    logits = model(ids).logits[0].detach().numpy()
    tokens = model.generate(ids, max_new_tokens=12, min_new_tokens=12, do_sample=False)[0, len(PROMPT):].tolist()
    assert len(set(tokens)) > 2
    for name in ("transformers", "llama_cpp"):
        with opened(name, source) as engine:
            np.testing.assert_allclose(engine.score(PROMPT), logits, atol=2e-2 * np.abs(logits).max() / 10, err_msg=name)
            # generate forbids the end token for its minimum length; none of ours is stopped by it.
            ours = [step.token for step in engine.stream(PROMPT, 12)]
            assert len(ours) == 12
            if 0 not in ours:
                assert ours == tokens, name
            assert [step.token for step in engine.stream(PROMPT, 12)] == ours, "a second stream starts afresh"


def test_a_stream_is_the_argmax_of_scoring_its_own_prefix(source):
    """The cache changes nothing: each greedy token is the winner of a full pass over all before it."""
    with opened("llama_cpp", source) as engine:
        tokens = list(PROMPT)
        for step in engine.stream(PROMPT, 6):
            tokens.append(step.token)
        for end in range(len(PROMPT), len(tokens)):
            assert engine.score(tokens[:end])[-1].argmax() == tokens[end]


def test_batched_generation_equals_one_at_a_time(source):
    prompts = [PROMPT[:n] for n in (9, 3, 6, 1)]
    with opened("transformers", source) as engine:
        alone = [[step.token for step in engine.stream(prompt, 8)] for prompt in prompts]
        stop = alone[0][3]
        cut = [tokens[: tokens.index(stop)] if stop in tokens else tokens for tokens in alone]
        assert engine.generate(prompts, 8, {stop}) == cut
    with opened("llama_cpp", source) as engine:
        assert engine.generate(prompts, 8, {stop}) == cut


@pytest.mark.parametrize("dtype, ceiling", [("float16", 0.01), ("bfloat16", 0.08)])
def test_16_bit_weights_round_as_much_as_their_mantissa_says(source, dtype, ceiling):
    """Relative error of logits: about 2^-11 a weight for float16, 2^-8 for bfloat16, grown by two layers."""
    with opened("llama_cpp", source) as exact, opened("llama_cpp", source, dtype) as rounded:
        full, ours = exact.score(PROMPT), rounded.score(PROMPT)
    error = np.linalg.norm(ours - full) / np.linalg.norm(full)
    assert 1e-5 < error < ceiling


def test_static_cache_and_compiler_change_no_token(tmp_path):
    source = tiny.write(tmp_path / "model")
    with opened("transformers", source) as eager, opened("transformers-compiled", source) as compiled:
        expected = [step.token for step in eager.stream(PROMPT, 10)]
        assert [step.token for step in compiled.stream(PROMPT, 10)] == expected
        assert [step.token for step in compiled.stream(PROMPT[:4], 5)] == [s.token for s in eager.stream(PROMPT[:4], 5)]
        kept = weakref.ref(compiled.model)
    gc.collect()
    assert kept() is None, "what was compiled does not hold the weights of a closed engine"


def test_kv_bytes_are_those_of_the_caches(source):
    """A local layer of transformers' keeps a window less the token to come; llama.cpp keeps all."""
    architecture = source.spec.architecture
    elements = 2 * architecture.layers * architecture.kv_heads * architecture.head_dim
    with opened("transformers", source) as engine:
        assert engine.info.kv_bytes_per_token == elements * 4
        import transformers

        cache = transformers.DynamicCache(config=engine.config)
        engine.model(torch.tensor([PROMPT]), past_key_values=cache)
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert held == 4 * architecture.kv_elements(len(PROMPT))
        gone = engine.info.kv_bytes_per_token * len(PROMPT) - held
        assert gone == (2 * elements // 2 * 4 if architecture.window else 0)  # 2 of 9 tokens, in one of two layers
    with opened("llama_cpp", source) as engine:
        assert engine.info.kv_bytes_per_token == elements * 2


@pytest.mark.parametrize("layers", [2, 5])
def test_a_context_longer_than_the_window_and_back_again(tmp_path, layers):
    """Of a Gemma 3 with windows of 8: logits of 120 tokens, and a text that is taken back behind what a window has left."""
    from edgekit.engines.llama_cpp import LlamaCpp
    from edgekit.engines.llama_cpp_texts import LlamaCppTexts

    period = layers // 2
    kinds = ["full_attention" if (i + 1) % (period + 1) == 0 else "sliding_attention" for i in range(layers)]
    source = tiny.write(tmp_path / "model", "gemma3_text", num_hidden_layers=layers, layer_types=kinds)
    text = np.random.default_rng(1).integers(0, 160, 120).tolist()
    with opened("transformers", source) as engine, opened("llama_cpp", source) as other:
        exact = engine.score(text)
        away = np.abs(other.score(text) - exact).max() / np.abs(exact).max()
        assert away < 5e-3
        assert [step.token for step in engine.stream(text[:60], 20)] == [step.token for step in other.stream(text[:60], 20)]
        session = other.session()
        session.extend([*text[:40], *text[90:]])
        session.rollback(30)
        last = session.extend(text[30:])[-1].copy()
        assert np.abs(last - exact[-1]).max() < 5e-3 * np.abs(exact).max()
    made = variant.build(engines.variant_for("llama_cpp", str(source.path), "float32"))
    with LlamaCpp(made, dtype="float32", threads=1, device="cpu", context=128, sequences=2) as other:
        texts = LlamaCppTexts(other)
        texts.extend({0: [*text[:40], *text[90:]], 1: text[60:]}, {0: 1, 1: 1})
        texts.rollback(0, 30)
        last = texts.extend({0: text[30:]}, {0: 1})[0][-1]
        assert np.abs(last - exact[-1]).max() < 5e-3 * np.abs(exact).max()
    with (opened("transformers", source) as engine,
          pytest.raises(EngineError, match="needs full attention in all layers; this model has full_attention, sliding")):
        engine.session()


@pytest.mark.parametrize("name", ["transformers", "llama_cpp"])
def test_no_engine_is_opened_past_the_positions_that_a_model_knows(name, tmp_path):
    source = tiny.write(tmp_path / "model")
    opened(name, source, context=256).close()
    with pytest.raises(EngineError, match=f"{name}: a context of 257 tokens asked, .* was made for 256"):
        opened(name, source, context=257)


@pytest.mark.parametrize("name", ["transformers", "llama_cpp"])
def test_what_does_not_fit_is_refused_with_numbers(name, tmp_path):
    with opened(name, tiny.write(tmp_path / "model"), context=16) as engine:
        with pytest.raises(EngineError, match="9 prompt and 8 new tokens exceed the context of 16"):
            list(engine.stream(PROMPT, 8))
        with pytest.raises(EngineError, match="at least one prompt token"):
            list(engine.stream([], 4))
        with pytest.raises(EngineError, match="ids must be in 0..159"):
            list(engine.stream([160], 4))


def test_unknown_engine_device_dtype_and_format_are_refused(tmp_path):
    source = tiny.write(tmp_path / "model")
    with pytest.raises(EngineError, match="unknown engine 'vlm'; known: transformers"):
        engines.variant_for("vlm", "m", "float16")
    with pytest.raises(EngineError, match="expected a gguf artifact, got safetensors"):
        engines.open_engine("llama_cpp", source, dtype="float16", threads=1, device="cpu", context=8)
    with pytest.raises(EngineError, match="unknown dtype 'int4'; known: float32"):
        opened("transformers", source).__class__(source, dtype="int4", threads=1, device="cpu", context=8)
    for name in ("transformers", "llama_cpp"):
        if not torch.cuda.is_available():
            with pytest.raises(EngineError, match="cuda"):
                opened(name, source, device="cuda")


def test_a_broken_gguf_file_is_one_sentence(tmp_path):
    source = tiny.write(tmp_path / "model")
    made = variant.build(engines.variant_for("llama_cpp", str(source.path), "float16"))
    made.file.write_bytes(b"GGUF, but not really" * 20)
    with pytest.raises(EngineError, match="cannot load .*delete its folder"):
        engines.open_engine("llama_cpp", made, dtype="float16", threads=1, device="cpu", context=8)


def entry(*packages: str, extra: str = "", **facts) -> EngineEntry:
    """An engine that has no module."""
    return EngineEntry("edgekit.engines.absent", "Absent", Runtime(packages, extra), ("safetensors",), "black", "o", "D",
                       **facts)


def test_a_missing_runtime_names_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(engines.ENGINES, "absent", entry("absent-runtime", extra="onnx"))
    with pytest.raises(EngineError, match="absent-runtime cannot be imported .*install it: python3 .*install.py --extra onnx$"):
        opened("absent", tiny.write(tmp_path / "model"))


def test_the_runtime_is_named_after_the_package_that_is_installed(monkeypatch):
    monkeypatch.setitem(engines.ENGINES, "twin", entry("absent-runtime", "numpy"))
    monkeypatch.setitem(engines.ENGINES, "gone", entry("absent-runtime", "absent-twin"))
    assert engines.runtime("twin") == f"numpy {np.__version__}"
    assert engines.runtime("gone") == "absent-runtime absent"
    assert engines.runtime("llama_cpp").startswith("llama-cpp-python 0.")


@pytest.fixture(scope="module")
def packing(tmp_path_factory):
    """A process of its own, since gptqmodel changes torch's settings and logging, and the model that it packs."""
    pytest.importorskip("optimum", reason="python3 edgekit/environment/install.py --extra quantize")
    folder = tmp_path_factory.mktemp("packing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with Worker({"EDGEKIT_OUTPUT": str(folder / "output")}) as worker:
            yield worker, quantized.source(folder / "model")


@pytest.mark.parametrize("step, kernel", [(quantized.AWQ, "AwqLinear, torch"), (quantized.GPTQ, "Linear, torch"),
                                          (quantized.ASYMMETRIC, "Linear, torch")])
def test_packed_checkpoints_run_in_their_own_kernels_and_agree_with_their_weights(step, kernel, packing):
    worker, source = packing
    text = np.random.default_rng(0).integers(0, 160, 48).tolist()
    exact, whole, ours = (
        worker.run("quantized:scored", dict(engine="transformers", variant=chain, dtype=dtype, texts=[text]), timeout_s=600)
        for chain, dtype in ((f"{source} > {step} > dequantized()", "float32"), (source, "float32"),
                             (f"{source} > {step}", "bfloat16")))
    error = quantized.distance(ours["logits"], exact["logits"])
    assert 1e-5 < error < 0.08
    assert quantized.agreement(ours["logits"], exact["logits"]) == 1
    assert quantized.distance(whole["logits"], exact["logits"]) > error, "the quantized weights ran, and no others"
    assert kernel in ours["info"]["kernel"]
    said, = worker.run("quantized:refusals", dict(engine="transformers", asked=[dict(of=f"{source} > {step}",
                                                                                    dtype="float32")]), timeout_s=600)
    assert "multiplies in bfloat16 whatever it is given: open it with dtype bfloat16, not float32" in said


def test_replay_gives_back_what_was_recorded():
    engine = Replay(Recording((7, 8, 9), (0.0, 0.0, 0.0)), vocabulary=10)
    assert [step.token for step in engine.stream([1], 3)] == [7, 8, 9]
    with pytest.raises(EngineError, match="4 tokens asked, 3 recorded"):
        list(engine.stream([1], 4))
    with pytest.raises(EngineError, match="holds tokens and times"):
        engine.score([1])
    with pytest.raises(EngineError, match="as many tokens as steps"):
        Recording((1, 2), (0.1,))
