"""What the harness costs: the kit's decode speed against a bare loop over the same bindings, and telemetry on against off.

    .venv/bin/python tests/benchmarks/harness.py [--model shape:qwen2.5-0.5b] [--pairs 12] [--threads 2]

Each comparison is paired and in alternating order (A B, B A, …), so drift of the machine falls on both alike. Ratios are
geometric means with 95 % t-intervals over pairs. Run it on a quiet machine; it fails nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from llama_cpp import llama_cpp as c

from edgekit import engines
from edgekit.analyze.stats import ratio_interval
from edgekit.compress import variant
from edgekit.measure import device, latency
from edgekit.measure.worker import run_job

PROMPT, TOKENS = 32, 64


def bare_tpot(context, vocabulary: int, prompt: list[int], tokens: int) -> float:
    """TPOT of the shortest loop that the bindings allow: no engine, no steps, one clock reading at each end."""
    c.llama_memory_clear(c.llama_get_memory(context), True)
    ids = (c.llama_token * len(prompt))(*prompt)
    c.llama_decode(context, c.llama_batch_get_one(ids, len(prompt)))
    one = (c.llama_token * 1)()
    batch = c.llama_batch_get_one(one, 1)
    one[0] = int(np.ctypeslib.as_array(c.llama_get_logits_ith(context, -1), shape=(vocabulary,)).argmax())
    start = time.perf_counter()
    for _ in range(tokens - 1):
        c.llama_decode(context, batch)
        one[0] = int(np.ctypeslib.as_array(c.llama_get_logits_ith(context, -1), shape=(vocabulary,)).argmax())
    return (time.perf_counter() - start) / (tokens - 1)


def alternate(a, b, pairs: int) -> tuple[list[float], list[float]]:
    """Results of a() and b(), in pairs, the order turned round in every second one."""
    seen: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for which in ((0, 1) if pair % 2 == 0 else (1, 0)):
            seen[which].append((a, b)[which]())
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="shape:qwen2.5-0.5b")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=device.allowed_threads())
    options = parser.parse_args()
    chain = engines.variant_for("llama_cpp", options.model, "float16")
    artifact = variant.build(chain)
    job = dict(variant=chain, engine="llama_cpp", dtype="float16", threads=options.threads, device="cpu",
               grid=[[PROMPT, [TOKENS]]], seed=0, warmups=5)

    with engines.open_engine("llama_cpp", artifact, dtype="float16", threads=options.threads, device="cpu",
                             context=PROMPT + TOKENS) as engine:
        prompt = latency.prompt_ids(engine.info.vocabulary, PROMPT, 0)
        latency.warm_up(engine, prompt, 5)
        passes: list[list[float]] = []
        kit, bare = alternate(
            lambda: (latency.tpot(latency.time_stream(engine, prompt, TOKENS), TOKENS),
                     passes.append(device.memory_bandwidth(options.threads, 0.3).byte_per_s))[0],
            lambda: bare_tpot(engine.context, engine.info.vocabulary, prompt, TOKENS), options.pairs)
        read = artifact.bytes_read_per_step("float16") + engine.info.kv_bytes_per_token * (PROMPT + TOKENS / 2)
    print(f"{options.model}, {options.threads} threads, {options.pairs} pairs of {TOKENS} tokens")
    print(f"decode speed, kit / bare loop:     {ratio_interval(bare, kit)}")
    for name, pick in (("median pass", statistics.median), ("best pass", max)):
        ceiling = [pick(samples) for samples in passes]
        print(f"share of the bandwidth ({name}): {ratio_interval([read / tpot for tpot in kit], ceiling)}  "
              f"({1 / statistics.median(kit):.1f} tokens/s, {statistics.median(ceiling) / 1e9:.1f} GB/s)")

    def tpot_of_job(memory_limit_bytes: int | None) -> float:
        answer = run_job("edgekit.measure.latency:measure_speed", job, timeout_s=600, memory_limit_bytes=memory_limit_bytes,
                         environment={"OMP_NUM_THREADS": str(options.threads)})
        return next(seen["value"] for seen in answer["observations"] if seen["metric"] == "tpot_s")

    watched, alone = alternate(lambda: tpot_of_job(10**15), lambda: tpot_of_job(None), options.pairs)
    print(f"decode speed, telemetry on / off:  {ratio_interval(alone, watched)}")


if __name__ == "__main__":
    main()
