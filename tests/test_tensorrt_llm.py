"""TensorRT-LLM as an engine, as far as a machine without its GPU allows: what it is asked, and how its answers are read."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
import tiny
import torch

from edgekit import engines, params
from edgekit.engines.base import EngineError
from edgekit.measure.latency import time_stream
from edgekit.studies.runtimes import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY))
WRITTEN = [5, 7, 7, 9, 3, 1]


class Request:
    """What a request gives: tokens as they come, one or two at a time, and the logits of its prompt where they were asked."""

    def __init__(self, prompt, params):
        self.params, self.finished, self.aborted = params, False, False
        self.context_logits = torch.eye(160)[prompt].half() if params.asked.get("return_context_logits") else None
        self.outputs = [types.SimpleNamespace(token_ids=WRITTEN[:params.asked["max_tokens"]], token_ids_diff=[])]

    def result(self):
        return self

    def abort(self):
        self.aborted = True

    def __iter__(self):
        tokens = self.outputs[0].token_ids
        for cut in ([0, 1], [1, 2], [2, 4], *([i, i + 1] for i in range(4, len(tokens)))):
            self.outputs[0].token_ids_diff = tokens[slice(*cut)]
            yield self
        self.finished = True


@pytest.fixture
def library(monkeypatch):
    """A stand-in for the package, by its documented names, that records what it is given."""
    seen = types.SimpleNamespace(model=None, requests=[], closed=False)

    class Keeps:
        def __init__(self, **asked):
            self.asked = asked

    class LLM:
        def __init__(self, **asked):
            if asked["dtype"] == "float16":
                raise ValueError("1 validation error\n  dtype is not for this model")
            seen.model = asked

        def generate_async(self, prompt, params, streaming=False):
            seen.requests.append(Request(prompt, params))
            return seen.requests[-1]

        def shutdown(self):
            seen.closed = True

    package, api = types.ModuleType("tensorrt_llm"), types.ModuleType("tensorrt_llm.llmapi")
    package.LLM, package.SamplingParams, package.__version__, api.KvCacheConfig = LLM, Keeps, "1.2.0", Keeps
    monkeypatch.setitem(sys.modules, "tensorrt_llm", package)
    monkeypatch.setitem(sys.modules, "tensorrt_llm.llmapi", api)
    monkeypatch.setenv("TLLM_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("TLLM_WORKER_USE_SINGLE_PROCESS", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 123)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.delitem(sys.modules, "edgekit.engines.tensorrt_llm", raising=False)
    yield seen
    sys.modules.pop("edgekit.engines.tensorrt_llm", None)


def opened(source, dtype="bfloat16", **options):
    return engines.open_engine("tensorrt-llm", source, **(dict(dtype=dtype, threads=1, device="cuda", context=64) | options))


def test_what_it_is_asked_is_one_context_computed_anew_in_the_type_that_was_asked(library, tmp_path):
    source = tiny.write(tmp_path / "model")
    with opened(source) as engine:
        asked = dict(library.model)
        cache = asked.pop("kv_cache_config").asked
        assert cache == dict(enable_block_reuse=False, max_tokens=32 * 65)
        assert asked == dict(model=str(source.path), skip_tokenizer_init=True, dtype="bfloat16", max_seq_len=65,
                             max_num_tokens=65, max_batch_size=32)
        assert (engine.info.version, engine.info.kernel) == ("1.2.0", "PyTorch backend, a GPU")
        assert engine.info.kv_bytes_per_token == 2 * source.spec.architecture.kv_elements_per_token()
        assert engine.device_memory_bytes() == 123 and not library.closed
    assert library.closed


def test_its_tokens_become_steps_and_rows_and_its_logits_scores(library, tmp_path):
    with opened(tiny.write(tmp_path / "model")) as engine:
        stamps = time_stream(engine, [1, 2, 3], 6)
        assert len(stamps) == 6 and stamps == sorted(stamps)
        asked = library.requests[-1].params.asked
        assert asked == dict(max_tokens=6, top_k=1, end_id=-1, pad_id=0, ignore_eos=True, detokenize=False)
        assert [step.token for step in engine.stream([1, 2], 5)] == WRITTEN[:5]
        stream = engine.stream([1, 2], 6)
        assert next(stream).token == 5
        stream.close()
        assert library.requests[-1].aborted and not library.requests[-2].aborted
        assert engine.generate([[1], [2]], 6, {9}) == [[5, 7, 7]] * 2
        assert engine.generate([[1]], 6, {9}, keep_stop=True) == [[5, 7, 7, 9]]
        np.testing.assert_array_equal(engine.score([4, 2]), np.eye(160, dtype=np.float32)[[4, 2]])
        library.requests.clear()
        assert list(engine.stream([1], 0)) == [] and not library.requests


def test_what_it_does_not_do_is_refused_in_words(library, tmp_path):
    source = tiny.write(tmp_path / "model")
    for options, says in ((dict(device="cpu"), "device 'cpu' asked; it runs on cuda alone"),
                          (dict(dtype="int8"), "unknown dtype"), (dict(context=999), "was made for 256"),
                          (dict(dtype="float16"), "cannot load .*: 1 validation error")):
        with pytest.raises(EngineError, match=f"^tensorrt-llm: .*{says}"):
            opened(source, **options)
    with opened(source) as engine:
        engine.writable = 100
        for ask in (lambda: list(engine.stream([1], 2)), lambda: engine.generate([[1]], 2, set()), engine.session):
            with pytest.raises(EngineError, match="^tensorrt-llm: "):
                ask()


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_llm") is not None, reason="TensorRT-LLM is installed")
def test_without_it_its_cells_are_skips_that_say_how_to_install_it(tmp_path):
    says = "tensorrt-llm is not installed; install it: pip install tensorrt-llm, on a machine with an NVIDIA GPU"
    assert says in engines.absence("tensorrt-llm")
    with pytest.raises(EngineError, match="tensorrt-llm: tensorrt-llm cannot be imported .*pip install tensorrt-llm"):
        opened(tiny.write(tmp_path / "model"))
    values = VALUES | dict(cells=["tensorrt-llm/bfloat16", *VALUES["cells"]])
    units = list(study.plan(params.validate(study.Config, values, where="test")))
    refusal, = {unit.refusal for unit in units if unit.condition.get("engine") == "tensorrt-llm"}
    assert says in refusal
