"""Samples of one question at a time: each is the text that it would be alone, in every engine that hands out copies."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.decode import parallel
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import EngineError, uniforms
from edgekit.studies.frontier import jobs_parallel

pytestmark = pytest.mark.usefixtures("shared_artifacts")

CHAINS = {"transformers": ("pocket-200k", "float32"), "llama_cpp": ("pocket-200k > gguf(dtype=float32)", "float32")}
PROMPT = [5, 17, 101, 33, 250, 9]


def opened(engine, copies=3, context=64):
    chain, dtype = CHAINS[engine]
    return parallel.opened(engine, variants.build(chain), copies, dtype=dtype, threads=1, device="cpu", context=context)


@pytest.mark.parametrize("engine", CHAINS)
def test_greedy_copies_are_the_stream_and_each_other(engine):
    with opened(engine) as (alone, copies):
        made = parallel.samples(copies, PROMPT, 3, Decoding(12))
        expected = [step.token for step in alone.stream(PROMPT, 12)]
    assert [text.tokens for text in made] == [expected] * 3 and not any(text.ended for text in made)


@pytest.mark.parametrize("engine", CHAINS)
def test_drawn_copies_are_what_the_engine_draws_alone_of_the_same_numbers(engine):
    chain, dtype = CHAINS[engine]
    with opened(engine) as (_, copies):
        stop = {parallel.samples(copies, PROMPT, 1, Decoding(3))[0].tokens[2]}
        drawn = uniforms(4, 3, 10)
        texts = parallel.samples(copies, PROMPT, 3, Decoding(10, frozenset(stop), temperature=1.0), drawn)
        again = parallel.samples(copies, PROMPT, 2, Decoding(10, frozenset(stop), temperature=1.0), drawn[:2])
    with engines.open_engine(engine, variants.build(chain), dtype=dtype, threads=1, device="cpu", context=64) as one:
        expected = one.sample([PROMPT] * 3, 10, stop, 4, keep_stop=True)
    assert [text.tokens for text in texts] == expected
    assert [text.ended for text in texts] == [text[-1] in stop for text in expected]
    assert [text.tokens for text in again] == expected[:2], "a sample does not depend on how many there are"


def test_a_copy_that_has_ended_leaves_and_the_others_go_on():
    with opened("transformers") as (_, copies):
        seen = []
        step = copies.step
        copies.step = lambda tokens: seen.append(set(tokens)) or step(tokens)
        made = parallel.samples(copies, PROMPT, 3, Decoding(8, temperature=1.0), uniforms(1, 3, 8),
                                lambda tokens: len(tokens) == 2 + tokens[0] % 5)
    lengths = [len(text.tokens) for text in made]
    assert lengths == [min(8, 2 + text.tokens[0] % 5) for text in made] and all(text.ended for text in made)
    for number, going in enumerate(seen, 1):
        assert going == {i for i in range(3) if lengths[i] > number}


@pytest.mark.parametrize("change, says", [
    (dict(count=4), "4 copies asked, it was opened for 3"), (dict(most=90), "exceed the context"),
    (dict(uniforms=None), "uniform numbers of shape"), (dict(uniforms=np.zeros((2, 2))), "uniform numbers of shape")])
def test_what_has_no_room_and_what_cannot_be_drawn_is_refused(change, says):
    with opened("llama_cpp") as (_, copies):
        count, most = change.get("count", 3), change.get("most", 5)
        with pytest.raises(EngineError, match=says):
            parallel.samples(copies, PROMPT, count, Decoding(most, temperature=1.0),
                             change.get("uniforms", np.zeros((count, most))))


def test_an_engine_without_copies_is_refused_by_name():
    assert "engines that do: transformers, llama_cpp" in parallel.refusal("vllm") and parallel.refusal("llama_cpp") is None
    with pytest.raises(EngineError, match="at least 1 copy"), opened("llama_cpp", copies=0):
        pass


def test_the_timed_job_tells_what_a_step_reads_and_takes():
    chain, dtype = CHAINS["llama_cpp"]
    answer = jobs_parallel.measure_parallel(variant=chain, engine="llama_cpp", dtype=dtype, threads=1, device="cpu", samples=2,
                                            prompt_tokens=8, output_tokens=6, seed=0)
    seen = {one["metric"]: one["value"] for one in answer["observations"]}
    assert seen["parameters"] == 188864 and seen["weight_bytes"] >= 4 * 180000
    assert min(seen["ttft_s"], seen["tpot_s"], seen["memory_bandwidth_byte_per_s"]) > 0
    assert seen["peak_memory_bytes"] > seen["base_memory_bytes"] > 0
    with pytest.raises(EngineError, match="one prompt after another; engines that .* transformers, llama_cpp, vllm"):
        jobs_parallel.measure_parallel(variant="pocket-200k", engine="transformers-compiled", dtype="float32", threads=1,
                                       device="cpu", samples=2, prompt_tokens=8, output_tokens=6, seed=0)
