"""Made-up rows of the study 03_quantization with known truth, for tests of tables, claims and figures.

A method with error e at b bits has KL divergence e * 4^-b * (1 + 0.1 seed effect) a token and adds as many nats; AWQ's error is
half of GPTQ's in the small model and nine tenths in the large one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

MODELS = {"pocket-900k": 9.0e5, "pocket-10m": 1.0e7}
ERRORS = {"rtn": 40.0, "gptq": 20.0, "gguf": 30.0, "gguf_imatrix": 25.0}
AWQ = {"pocket-900k": 10.0, "pocket-10m": 18.0}
SEEDS = (0, 1, 2)
WHERE = {"threads": 2, "device": "cpu"}
REFERENCE = {"engine": "transformers", "dtype": "float32"}
BLOCKS, TOKENS = 6, 500
TPOT = {("transformers", "bfloat16"): 0.080, ("llama_cpp", "float16"): 0.025, ("llama_cpp", "Q4_0"): 0.010,
        ("vllm", "bfloat16"): 0.050, ("vllm", "awq"): 0.030}
SHAPES = {"shape:a-135m": 1.35e8, "shape:b-0.5b": 4.9e8}


def error(model: str, method: str) -> float:
    return AWQ[model] if method == "awq" else ERRORS[method]


def kl(model: str, method: str, bits: int) -> float:
    """Nats a token, in the mean over the seeds."""
    return error(model, method) * 4.0**-bits


def rows(models=tuple(MODELS), seeds=SEEDS, repeats=3, items=30) -> list[store.Row]:
    rng = np.random.default_rng(3)
    made: list[store.Row] = []

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", "03_quantization", {**WHERE, **at}, metric, float(value), repeat))

    for model in models:
        noise = {(domain, block): rng.normal(1.2, 0.1) for domain in ("problems", "prose") for block in range(BLOCKS)}
        whole = rng.random(items) < 0.9
        cells = [("none", None, None, None, None, 32.0)]
        for method in ("rtn", "awq", "gptq", "gguf", "gguf_imatrix"):
            for bits in (4,) if method == "awq" else (8, 4, 3):
                for seed in seeds if method in ("awq", "gptq", "gguf_imatrix") else (None,):
                    is_gguf = method.startswith("gguf")
                    cells.append((method, bits, None if is_gguf else 64, f"Q{bits}_0" if is_gguf else None, seed, bits + 0.5))
        for method, bits, group, type, seed, stored in cells:
            at = dict(model=model, method=method, **REFERENCE)
            at |= {name: value for name, value in dict(bits=None if type else bits, group=group, type=type).items()
                   if value is not None}
            if seed is not None:
                at |= dict(calibration="mixture", samples=32, calibration_seed=seed)
            if method == "awq":
                at |= dict(search="all")
            shift = 0.0 if seed is None else 0.1 * (seed - np.mean(seeds))
            lost = 0.0 if method == "none" else kl(model, method, bits) * (1 + shift)
            for (domain, block), nats in noise.items():
                here = dict(at, task="divergence", against="unquantized", domain=domain, block=block, tokens=TOKENS)
                add("kl_nats", lost * TOKENS, **here)
                add("agreed", TOKENS * (1 - min(0.5, lost)), **here)
                add("nll_nats", (nats + lost) * TOKENS, **here)
            kept = whole & (rng.random(items) < 1 - 2 * lost)
            for item, right in enumerate(kept):
                add("correct", int(right), **at, task="accuracy", domain="chain", mode="think", depth=2, item=f"i{item}")
            add("stored_bits_per_weight", stored, **at, task="size")
            add("parameters", MODELS[model], **at, task="size")
            if seed in (None, seeds[0]) and method != "none":
                built = dict(at, task="build", engine="none", dtype="none")
                add("quantize_s", 3.0, **built)
                add("base_memory_bytes", 2e8, **built)
                add("peak_memory_bytes", 5e8, **built)
    for repeat in range(repeats):
        add("memory_bandwidth_byte_per_s", 4e10, repeat, task="device")
        for dtype in ("float32", "bfloat16"):
            add("matmul_flop_per_s", 3e11, repeat, task="device", dtype=dtype)
        for shape, parameters in SHAPES.items():
            for (engine, weights), tpot in TPOT.items():
                at = dict(task="speed", model=shape, engine=engine, weights=weights, batch=1,
                          dtype="bfloat16" if weights == "awq" else weights)
                lengths = dict(prompt_tokens=64, output_tokens=32)
                slower = parameters / 4.9e8 * (1 + 0.02 * rng.normal())
                bits = {"Q4_0": 4.5, "awq": 4.25}.get(weights, 16)
                gain = 1.2 if weights == "awq" and parameters > 2e8 else 1.0
                add("ttft_s", 10 * tpot * slower, repeat, **at, prompt_tokens=64, output_tokens=1)
                add("tpot_s", tpot * slower / gain, repeat, **at, **lengths)
                add("weight_bytes", parameters * bits / 8, repeat, **at)
                add("kv_bytes_per_token", 1e4, repeat, **at)
                add("parameters", parameters, repeat, **at)
                add("memory_bandwidth_byte_per_s", 4e10, repeat, **at)
    return made


def frame(**changes) -> pd.DataFrame:
    return store.to_frame(rows(**changes))
