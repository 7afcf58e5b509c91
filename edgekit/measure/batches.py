"""Prefill and decode of several prompts at once, where an engine can hold them in one batch."""

from __future__ import annotations

import dataclasses
import time

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.latency import prompt_ids

WARMUP_TOKENS = 4


def measure_batches(*, variant: str, engine: str, dtype: str, threads: int, device: str, batches: list[int],
                    prompt_tokens: list[int], output_tokens: int, seed: int) -> dict:
    """A worker's job: times of one variant in one engine for each number of prompts and each length of theirs.

    ttft_s: until all have their first token; tpot_s: time of one further token of all of them, the mean over
    `output_tokens` - 1 steps, by the difference of two runs. Raises EngineError for an engine that does not batch.
    """
    artifact = variants.build(variant)
    context = max(prompt_tokens) + output_tokens
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        if type(opened).generate is Engine.generate:
            raise EngineError(f"{engine} answers one prompt after another; name another engine in batch_cells")
        seen = []
        for length in prompt_tokens:
            for batch in batches:
                prompts = [prompt_ids(opened.info.vocabulary, length, seed + i) for i in range(batch)]
                generate_s(opened, prompts, WARMUP_TOKENS)
                first = generate_s(opened, prompts, 1)
                steps = generate_s(opened, prompts, output_tokens) - first
                at = dict(batch=batch, prompt_tokens=length)
                seen.append(dict(metric="ttft_s", value=first, output_tokens=1, **at))
                seen.append(dict(metric="tpot_s", value=steps / (output_tokens - 1), output_tokens=output_tokens, **at))
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))


def generate_s(engine: Engine, prompts: list[list[int]], tokens: int) -> float:
    """Seconds that `tokens` greedy tokens after each prompt take. Raises EngineError where another number comes."""
    engine.sync()
    start = time.perf_counter()
    outputs = engine.generate(prompts, tokens, ())
    engine.sync()
    took = time.perf_counter() - start
    if wrong := {len(output) for output in outputs} - {tokens}:
        raise EngineError(f"{engine.info.name}: expected {tokens} tokens for each prompt, got {wrong.pop()}; its times would "
                          "not be comparable")
    return took
