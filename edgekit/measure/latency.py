"""One clock around a stream: TTFT, TPOT and decode time.

The first `next()` of a stream is prefill and the first token (TTFT), each later one a decode step.
TPOT = (end - TTFT) / (n - 1), undefined for n < 2. Tokens are counted as steps received. Tokenisation is outside: engines
take ids. Prompts are random ids: the work of a dense decoder does not depend on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from edgekit import progress
from edgekit.engines.base import Engine, EngineError

WARMUP_TOKENS = 8
WARMUP_WINDOW = 3
WARMUP_CV = 0.05
BANDWIDTH_S = 0.5


def time_stream(engine: Engine, prompt: Sequence[int], tokens: int) -> list[float]:
    """Seconds from the request to each of `tokens` tokens, in order: [0] is TTFT.

    Raises EngineError if the stream gives another number of tokens.
    """
    clock, sync = time.perf_counter, engine.sync
    stamps = []
    sync()
    start = clock()
    for _ in engine.stream(prompt, tokens):
        sync()
        stamps.append(clock() - start)
        progress.step()
    if len(stamps) != tokens:
        raise EngineError(f"{engine.info.name}: expected {tokens} tokens, got {len(stamps)}; its times would not be comparable")
    return stamps


def tpot(stamps: Sequence[float], tokens: int) -> float:
    """Time per output token after the first, over the first `tokens` (at least 2) of a timed stream."""
    return (stamps[tokens - 1] - stamps[0]) / (tokens - 1)


def warm_up(engine: Engine, prompt: Sequence[int], most: int) -> tuple[int, float | None, float]:
    """Run short streams until the TPOT of the last three spreads by less than 5 % (CV), at most `most` times.

    Returns how many were run, their last CV, None if fewer than three were, and the last TPOT in seconds.
    """
    seen: list[float] = []
    cv = None
    for _ in range(most):
        seen.append(tpot(time_stream(engine, prompt, WARMUP_TOKENS), WARMUP_TOKENS))
        if len(seen) >= WARMUP_WINDOW:
            last = seen[-WARMUP_WINDOW:]
            cv = statistics.stdev(last) / statistics.fmean(last)
            if cv < WARMUP_CV:
                break
    return len(seen), cv, seen[-1]


def prompt_ids(vocabulary: int, length: int, seed: int) -> list[int]:
    """`length` random token ids, the same for every engine."""
    import numpy as np

    return np.random.default_rng([seed, length]).integers(1, vocabulary, length).tolist()


def observe_grid(engine: Engine, grid: Sequence[tuple[int, Sequence[int]]], *, seed: int, warmups: int) -> list[dict]:
    """Observations of one process over `grid`: (prompt length, output lengths) pairs.

    One stream a prompt length, to its longest output; shorter outputs are read off the same stream, whose first n tokens
    are the same work. Each observation is {metric, value, …coordinates}.
    """
    vocabulary = engine.info.vocabulary
    count, cv, step_s = warm_up(engine, prompt_ids(vocabulary, grid[0][0], seed), warmups)
    # A token of a prompt takes no longer than one of the output, and each prompt is read twice.
    progress.foretell(step_s * sum(2 * length + max(outputs) for length, outputs in grid))
    seen = [dict(metric="warmup_runs", value=count)]
    if cv is not None:
        seen.append(dict(metric="warmup_cv", value=cv))
    for length, outputs in grid:
        prompt = prompt_ids(vocabulary, length, seed)
        # The first pass at a new length allocates and picks kernels.
        time_stream(engine, prompt, 1)
        stamps = time_stream(engine, prompt, max(outputs))
        seen.append(dict(metric="ttft_s", value=stamps[0], prompt_tokens=length, output_tokens=1))
        for tokens in outputs:
            at = dict(prompt_tokens=length, output_tokens=tokens)
            seen.append(dict(metric="tpot_s", value=tpot(stamps, tokens), **at))
            seen.append(dict(metric="decode_s", value=stamps[tokens - 1] - stamps[0], **at))
    return seen


def measure_speed(*, variant: str, engine: str, dtype: str, threads: int, device: str, grid: list, seed: int,
                  warmups: int) -> dict:
    """A worker's job: load, time and weigh one variant in one engine.

    Returns {"observations": [...], "engine": {...}}: what was seen, and which code it was seen on.
    """
    import dataclasses
    import importlib

    from edgekit import engines
    from edgekit.compress import variant as variants
    from edgekit.measure import device as devices
    from edgekit.measure import memory

    engines.require_known(engine)
    importlib.import_module(engines.ENGINES[engine].module)  # libraries belong to the base, not to the model
    artifact = variants.build(variant)
    base = memory.resident_bytes()
    context = max(length + max(outputs) for length, outputs in grid) + WARMUP_TOKENS
    start = time.perf_counter()
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        opened.sync()
        load_s = time.perf_counter() - start
        seen = observe_grid(opened, grid, seed=seed, warmups=warmups)
        if device == "cpu":
            seen += [dict(metric="base_memory_bytes", value=base),
                     dict(metric="peak_memory_bytes", value=memory.peak_bytes())]
        elif (on_device := opened.device_memory_bytes()) is not None:
            seen += [dict(metric="base_memory_bytes", value=0), dict(metric="peak_memory_bytes", value=on_device)]
        # Beside the streams, in the same process: on a shared machine bandwidth drifts by more in minutes than an engine's
        # share of it does. After the peak was read, because the buffer is large; the median pass, because decoding lasts.
        bandwidth = statistics.median(devices.memory_bandwidth(threads, BANDWIDTH_S, on=device).byte_per_s)
        seen += [
            dict(metric="memory_bandwidth_byte_per_s", value=bandwidth),
            dict(metric="load_s", value=load_s, **opened.info.what_ran()),
            dict(metric="weight_bytes", value=artifact.bytes_read_per_step(dtype)),
            dict(metric="artifact_bytes", value=artifact.size_bytes()),
            dict(metric="kv_bytes_per_token", value=opened.info.kv_bytes_per_token),
            dict(metric="parameters", value=artifact.spec.architecture.parameters),
        ]
        if (a := artifact.spec.architecture).window and opened.forgets:
            share = a.local_kv_elements_per_token() / a.kv_elements_per_token()
            seen += [dict(metric="window_tokens", value=a.window),
                     dict(metric="local_kv_bytes_per_token", value=share * opened.info.kv_bytes_per_token)]
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))
