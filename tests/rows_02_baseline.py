"""Made-up rows of the study 02_baseline with known truth, for tests of tables, claims and figures.

Decoding follows the roofline law at a share of the bandwidth that each engine reaches, prefill a line through
the prompt length, with a little seeded noise over repeats.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

BANDWIDTH, FLOPS = 33e9, {"float32": 2.2e11, "bfloat16": 4.0e11}
REACHED = {"transformers": 0.28, "transformers-compiled": 0.45, "llama_cpp": 0.86}
DTYPE = {"transformers": "bfloat16", "transformers-compiled": "bfloat16", "llama_cpp": "float16"}
MODELS = {"pocket-200k": (2.1e5, 512.0), "pocket-900k": (8.7e5, 1024.0), "pocket-3m": (3.1e6, 2048.0),
          "shape:qwen2.5-0.5b": (4.94e8, 12288.0), "shape:llama-3.2-1b": (1.236e9, 32768.0),
          "shape:llama-2-7b": (6.74e9, 524288.0)}
LENGTHS = [(16, 32), (16, 740), (170, 128), (170, 740), (170, 1318), (512, 128)]


def rows(models=tuple(MODELS), engines=("transformers", "llama_cpp"), repeats=4, seed=1, source="measured",
         accuracy=True, energy=False, lengths=LENGTHS, reached=REACHED) -> list[store.Row]:
    rng = np.random.default_rng(seed)
    made: list[store.Row] = []

    def add(condition: dict, repeat: int = 0, **values: float) -> None:
        made.extend(store.Row("run-1", "02_baseline", condition, name, float(value), repeat, source)
                    for name, value in values.items())

    for sample in range(6):
        add({"task": "device", "threads": 2}, sample, memory_bandwidth_byte_per_s=BANDWIDTH * rng.normal(1, 0.03))
        for dtype, flops in FLOPS.items():
            add({"task": "device", "threads": 2, "dtype": dtype}, sample, matmul_flop_per_s=flops * rng.normal(1, 0.04))
    for model in models:
        parameters, kv = MODELS[model]
        weights = 2 * parameters
        for engine in engines:
            unit = {"model": model, "engine": engine, "dtype": DTYPE[engine], "threads": 2, "batch": 1, "device": "cpu"}
            overhead = {"transformers": 8e-3, "transformers-compiled": 2e-3, "llama_cpp": 1e-4}[engine]
            base = 4.2e8 if engine.startswith("transformers") else 9e7
            for repeat in range(repeats):
                noise = rng.normal(1, 0.02)
                drift = (0.85, 1.15, 0.95, 1.05)[repeat % 4]  # of the machine, felt by streams and bandwidth alike
                longest = max(p + o for p, o in lengths)
                add({"task": "speed", **unit}, repeat, load_s=weights / 1e9 * noise, base_memory_bytes=base * noise,
                    peak_memory_bytes=base + 1.08 * weights + kv * longest + 4e7 * noise, weight_bytes=weights,
                    artifact_bytes=1.01 * weights, kv_bytes_per_token=kv, parameters=parameters,
                    memory_bandwidth_byte_per_s=BANDWIDTH * drift)
                for prompt in sorted({p for p, _ in lengths}):
                    add({"task": "speed", **unit, "prompt_tokens": prompt, "output_tokens": 1}, repeat,
                        ttft_s=(overhead + 2 * parameters * prompt / (0.5 * FLOPS["bfloat16"])) * rng.normal(1, 0.03))
                for prompt, output in lengths:
                    size = weights + kv * (prompt + output / 2)
                    tpot = (overhead + size / (reached[engine] * BANDWIDTH * drift)) * rng.normal(1, 0.02)
                    add({"task": "speed", **unit, "prompt_tokens": prompt, "output_tokens": output}, repeat,
                        tpot_s=tpot, decode_s=tpot * (output - 1))
                    if energy:
                        seconds = tpot * (output - 1)
                        add({"task": "energy", **unit, "phase": "decode", "scope": "cpu", "origin": "counter",
                             "prompt_tokens": prompt, "output_tokens": output}, repeat, window_s=seconds,
                            energy_j=40 * seconds, energy_net_j=25 * seconds, idle_power_w=15)
        if accuracy and model.startswith("pocket"):
            unit = {"model": model, "engine": "llama_cpp", "dtype": "float16", "threads": 2}
            for mode in ("think", "direct"):
                for depth in (1, 2, 3, 4, 6):
                    fading = 0.97**depth if mode == "think" else 0.62 ** (depth - 1)
                    skill = (np.log10(parameters) - 4) / 2.6 * fading
                    for item in range(60):
                        add({"task": "accuracy", **unit, "mode": mode, "depth": depth, "item": item},
                            correct=rng.random() < skill)
                    add({"task": "accuracy", **unit, "mode": mode, "depth": depth}, unanswered=0)
    return made


def frame(**choices) -> pd.DataFrame:
    return store.to_frame(rows(**choices))
