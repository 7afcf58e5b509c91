"""Made-up rows of the study 08_latency_law with known truth, for tests of tables, claims and figures.

Decoding takes the bytes of a step over a rate that each weight format reaches, and nothing beside; prefill takes its operations
over a rate, and a constant. A process is slower or faster as a whole by a few per cent, and each of its times by `noise`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

BANDWIDTH, FLOPS, CONSTANT = 30e9, 2e11, 2e-3
# Bytes a weight and share of the bandwidth that a format's kernel reaches
FORMATS = {"float16": (2.0, 0.9), "Q8_0": (1.0625, 0.9), "Q4_0": (0.5625, 0.6)}
# Weights and bytes of keys and values a token
MODELS = {"pocket-3m": (3.1e6, 2048.0), "shape:smollm2-135m": (1.35e8, 23040.0), "shape:qwen2.5-0.5b": (4.94e8, 12288.0),
          "shape:llama-3.2-1b": (1.236e9, 32768.0)}
PROMPTS, AFTER, OUTPUTS = (24, 100, 160, 250, 330, 430), (24, 160, 430), (8, 24, 48)


def step_bytes(model: str, dtype: str, context: float) -> float:
    parameters, kv = MODELS[model]
    return FORMATS[dtype][0] * parameters + kv * context


def decode_s(model: str, dtype: str, prompt: int, output: int) -> float:
    """Sum over steps 2 … output, each of which reads prompt + step - 1 earlier tokens."""
    rate = FORMATS[dtype][1] * BANDWIDTH
    return sum(step_bytes(model, dtype, prompt + step - 1) for step in range(2, output + 1)) / rate


def flop(model: str, prompt: int) -> float:
    return 2 * MODELS[model][0] * prompt + 40.0 * prompt**2


def rows(models=tuple(MODELS), formats=tuple(FORMATS), repeats=3, noise=0.005, seed=8, wild=None, energy=False,
         prompts=PROMPTS, after=AFTER, outputs=OUTPUTS) -> list[store.Row]:
    """wild: (model, dtype, prompt) whose prefill took ten times as long in each process."""
    rng = np.random.default_rng(seed)
    made: list[store.Row] = []

    def add(metric: str, value: float, repeat: int, **at) -> None:
        made.append(store.Row("run-1", "08_latency_law", {"task": "speed", "threads": 2, "batch": 1, "device": "cpu",
                                                          "engine": "llama_cpp", **at}, metric, float(value), repeat))

    for model in models:
        parameters, kv = MODELS[model]
        for dtype in formats:
            unit = dict(model=model, dtype=dtype)
            weights = FORMATS[dtype][0] * parameters
            for repeat in range(repeats):
                whole = (0.98, 1.01, 1.02)[repeat % 3]  # the machine's mood
                for metric, value in (("parameters", parameters), ("weight_bytes", weights), ("kv_bytes_per_token", kv),
                                      ("memory_bandwidth_byte_per_s", BANDWIDTH * (1 + 0.02 * rng.normal()))):
                    add(metric, value, repeat, **unit)
                add("type_bytes", 0.99 * weights, repeat, **unit, type=dtype)
                add("type_bytes", 0.01 * weights, repeat, **unit, type="F32")
                for prompt in prompts:
                    seconds = whole * (CONSTANT + flop(model, prompt) / FLOPS) * rng.normal(1, noise)
                    at = dict(prompt_tokens=prompt, output_tokens=1)
                    add("ttft_s", seconds * (10 if wild == (model, dtype, prompt) else 1), repeat, **unit, **at)
                    add("prefill_flop", flop(model, prompt), repeat, **unit, **at)
                for prompt in after:
                    for output in outputs:
                        at = dict(prompt_tokens=prompt, output_tokens=output)
                        seconds = whole * decode_s(model, dtype, prompt, output) * rng.normal(1, noise)
                        add("decode_s", seconds, repeat, **unit, **at)
                        add("tpot_s", seconds / (output - 1), repeat, **unit, **at)
                if energy:
                    for phase, prompt, output in (("prefill", 24, 8), ("prefill", 430, 8), ("decode", 24, 8),
                                                  ("decode", 24, 48), ("decode", 24, 160), ("decode", 24, 512)):
                        seconds = decode_s(model, dtype, prompt, output)
                        at = dict(task="energy", phase=phase, scope="cpu", origin="counter", prompt_tokens=prompt,
                                  output_tokens=output)
                        power = 40 * rng.normal(1, noise)
                        for metric, value in (("energy_j", power * seconds), ("energy_net_j", (power - 15) * seconds),
                                              ("window_s", seconds), ("idle_power_w", 15)):
                            add(metric, value, repeat, **unit, **at)
    return made


def frame(**choices) -> pd.DataFrame:
    return store.to_frame(rows(**choices))
