"""The job that times several samples of one question at a time, in a process of its own for each number of them."""

from __future__ import annotations

import dataclasses
import importlib
import statistics
import time

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.decode import parallel
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Engine, EngineError
from edgekit.measure import device as devices
from edgekit.measure import memory
from edgekit.measure.batches import generate_s
from edgekit.measure.latency import BANDWIDTH_S, prompt_ids

WARMUP_TOKENS = 4


def measure_parallel(*, variant: str, engine: str, dtype: str, threads: int, device: str, samples: int, prompt_tokens: int,
                     output_tokens: int, seed: int) -> dict:
    """A worker's job: `ttft_s` until every sample has its first token, `tpot_s` of one further token of all of them, and the
    memory of the process; with the bandwidth right behind, and what a step reads. Greedy tokens: drawing is not in the times.

    An engine that hands out no copies reads the prompt once for each sample. Raises EngineError for one that does not batch.
    """
    if why := parallel.refusal_to_time(engine):
        raise EngineError(why)
    importlib.import_module(engines.ENGINES[engine].module)  # libraries belong to the base, not to the model
    artifact = variants.build(variant)
    base = memory.resident_bytes()
    where = dict(dtype=dtype, threads=threads, device=device, context=prompt_tokens + output_tokens)
    of_copies = parallel.refusal(engine) is None
    with _opened(engine, artifact, samples, where) as (opened, copies):
        prompt = prompt_ids(opened.info.vocabulary, prompt_tokens, seed)
        if of_copies:
            clock_copies(opened, copies, prompt, samples, WARMUP_TOKENS)
            first, rest = clock_copies(opened, copies, prompt, samples, output_tokens)
        else:
            generate_s(opened, [prompt] * samples, WARMUP_TOKENS)
            first = generate_s(opened, [prompt] * samples, 1)
            rest = generate_s(opened, [prompt] * samples, output_tokens) - first
        on_host = device == "cpu"
        peak = memory.peak_bytes() if on_host else opened.device_memory_bytes()
        bandwidth = statistics.median(devices.memory_bandwidth(threads, BANDWIDTH_S, on=device).byte_per_s)
        at = dict(prompt_tokens=prompt_tokens)
        seen = [dict(metric="ttft_s", value=first, output_tokens=1, **at),
                dict(metric="tpot_s", value=rest / (output_tokens - 1), output_tokens=output_tokens, **at),
                dict(metric="memory_bandwidth_byte_per_s", value=bandwidth),
                dict(metric="weight_bytes", value=artifact.bytes_read_per_step(dtype)),
                dict(metric="kv_bytes_per_token", value=opened.info.kv_bytes_per_token),
                dict(metric="parameters", value=artifact.spec.architecture.parameters)]
        if peak is not None:
            seen += [dict(metric="base_memory_bytes", value=base if on_host else 0),
                     dict(metric="peak_memory_bytes", value=peak)]
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))


def _opened(engine: str, artifact: Artifact, samples: int, where: dict):
    """(engine, copies), None for those where the engine hands out none."""
    import contextlib

    if parallel.refusal(engine) is None:
        return parallel.opened(engine, artifact, samples, **where)

    @contextlib.contextmanager
    def plain():
        with engines.open_engine(engine, artifact, **where) as opened:
            yield opened, None

    return plain()


def clock_copies(engine: Engine, copies: parallel.Copies, prompt: list[int], samples: int, tokens: int) -> tuple[float, float]:
    """Seconds until each sample has its first token, and from there until each has `tokens`."""
    passes = parallel.turns(copies, prompt, samples, Decoding(tokens))
    engine.sync()
    start = time.perf_counter()
    next(passes)
    engine.sync()
    first = time.perf_counter()
    for _ in passes:
        pass
    engine.sync()
    return first - start, time.perf_counter() - first
