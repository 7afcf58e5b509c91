"""Made-up rows of the study 09_frontier with known truth, for tests of tables, claims and figures.

Question i is right where its place among the questions lies below the planted accuracy of a model and mode, so accuracies are
exact and nested. A mode writes a fixed number of tokens. A step takes STEP seconds, more by the float type; the first token a
step and a fiftieth of one for each token of the prompt. A step of n samples takes STRETCH of one; a pool's samples are right
with the planted chance of their question.
"""

from __future__ import annotations

import numpy as np

from edgekit import store
from edgekit.schema import NO_ANSWER

STUDY = "09_frontier"
SIZES = {"pocket-200k": 2e5, "pocket-900k": 9e5, "pocket-10m": 1e7}
STEP = {"pocket-200k": 1e-3, "pocket-900k": 2e-3, "pocket-10m": 8e-3}
SLOWER = {"Q4_0": 1.0, "float16": 1.6}
BYTES = {"Q4_0": 0.6, "float16": 2.0}  # a weight
TOKENS = {"direct": 6, "hard-12": 20, "budget-2": 30, "soft-24": 50, "think": 80}
# (model, mode) -> accuracy; the smallest model is better without reasoning
ACCURACY = {("pocket-200k", "direct"): 0.50, ("pocket-200k", "hard-12"): 0.40, ("pocket-200k", "budget-2"): 0.425,
            ("pocket-200k", "think"): 0.45, ("pocket-900k", "direct"): 0.55, ("pocket-900k", "hard-12"): 0.60,
            ("pocket-900k", "budget-2"): 0.65, ("pocket-900k", "think"): 0.75, ("pocket-10m", "direct"): 0.60,
            ("pocket-10m", "hard-12"): 0.70, ("pocket-10m", "budget-2"): 0.80, ("pocket-10m", "think"): 0.95}
STRETCH = {1: 1.0, 2: 1.1, 8: 1.3, 32: 2.3}
BANDWIDTH, FLOPS = 1e10, 5e10
PROMPT = 100
CELL = dict(engine="llama_cpp", threads=2, device="cpu")
PROMPT_SHARE = 0.02  # of a step, for each token of a prompt


def seconds(model: str, dtype: str, written: float, prompt: float = PROMPT) -> float:
    """The planted time of an answer."""
    return STEP[model] * SLOWER[dtype] * (1 + PROMPT_SHARE * prompt + written - 1)


def rows(items: int = 40, repeats: int = 3, samples: int = 32, dtypes=tuple(SLOWER),
         family: str = "pocket_chain") -> list[store.Row]:
    rng, made = np.random.default_rng(9), []

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", STUDY, {**CELL, **at}, metric, float(value), repeat))

    for repeat in range(repeats):
        noise = 1 + 0.01 * (repeat - 1)
        add("memory_bandwidth_byte_per_s", BANDWIDTH * (1 + 0.01 * repeat), repeat, task="device")
        for dtype in ("float32", "float16"):
            add("matmul_flop_per_s", FLOPS * (1 + 0.02 * repeat), repeat, task="device", dtype=dtype)
        for model in SIZES:
            for dtype in dtypes:
                at = dict(task="speed", model=model, dtype=dtype, batch=1)
                _speed(add, at, model, dtype, repeat, noise, 1)
                for mode, tokens in TOKENS.items():
                    if (model, mode) in ACCURACY:
                        for i in range(2):
                            add("request_s", 1.1 * noise * seconds(model, dtype, tokens), repeat, task="requests", model=model,
                                dtype=dtype, domain=family, mode=mode, item=f"q{i:02d}", prompt_tokens=PROMPT, written=tokens)
            for batch in STRETCH:
                at = dict(task="parallel", model=model, dtype=dtypes[0], batch=batch)
                _speed(add, at, model, dtypes[0], repeat, noise, batch)
    for (model, mode), accuracy in ACCURACY.items():
        for dtype in dtypes:
            for i in range(items):
                right = i < round(accuracy * items)
                spent = dict(spent=2 if i else 3) if mode.startswith("budget") else {}
                add("correct", right, task="reasoning", model=model, dtype=dtype, domain=family, mode=mode, item=f"q{i:02d}",
                    depth=1 + i % 4, prompt_tokens=PROMPT, written=TOKENS[mode], cut=mode.startswith("hard"),
                    answer="42" if right else NO_ANSWER if i == items - 1 else "7", **spent)
    for model in ("pocket-900k",):
        for i in range(items):
            chance = 0.9 if i < 0.8 * items else 0.2
            for sample in range(samples):
                right = rng.random() < chance
                answer = "42" if right else NO_ANSWER if rng.random() < 0.1 else str(rng.integers(3))
                add("correct", right, task="pool", model=model, dtype=dtypes[0], domain=family, mode="think", item=f"q{i:02d}",
                    depth=1 + i % 4, prompt_tokens=PROMPT, written=70 + sample % 21, cut=False, answer=answer, sample=sample,
                    temperature=1.0)
    return made


def _speed(add, at: dict, model: str, dtype: str, repeat: int, noise: float, batch: int) -> None:
    step = noise * STRETCH[batch] * STEP[model] * SLOWER[dtype]
    for prompt in (48, 192):
        first = noise * STEP[model] * SLOWER[dtype] * (1 + PROMPT_SHARE * prompt)
        add("ttft_s", first, repeat, prompt_tokens=prompt, output_tokens=1, **at)
        for output in (16, 96):
            add("tpot_s", step, repeat, prompt_tokens=prompt, output_tokens=output, **at)
    for metric, value in (("parameters", SIZES[model]), ("weight_bytes", BYTES[dtype] * SIZES[model]),
                          ("kv_bytes_per_token", 1000), ("memory_bandwidth_byte_per_s", BANDWIDTH),
                          ("peak_memory_bytes", 1e8 + 1e6 * batch),
                          ("base_memory_bytes", 5e7)):
        add(metric, value, repeat, **at)
