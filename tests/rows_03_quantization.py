"""Made-up rows of the study 03_quantization with known truth, for tests of tables, claims and figures.

A method with error e at b bits has KL divergence e * 4^-b * (1 + 0.1 seed effect) a token and adds as many nats; AWQ's error is
half of GPTQ's in the small model and nine tenths in the large one. An ablation multiplies the error of AWQ and GPTQ at 4 bits
by a known factor; a runtime's kernel adds its own divergence to that of the weights.
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
# (what differs from the main calibration or search) -> factor of the error; the last two are of one method only
ABLATED = {("prose", 32, "all"): 1.2, ("random", 32, "all"): 2.0, ("mixture", 8, "all"): 1.1, ("mixture", 32, "no clip"): 1.3,
           ("mixture", 32, "no scale"): 1.5, ("mixture", 32, "none"): 1.7, ("mixture", 32, "symmetric"): 3.0}
# (engine, dtype, method, type) -> divergence of the runtime from the dequantized weights, nats a token
KERNELS = {("transformers", "bfloat16", "awq", None): 2e-3, ("vllm", "bfloat16", "gptq", None): 3e-3,
           ("llama_cpp", "Q4_0", "gguf", "Q4_0"): 4e-3}


def error(model: str, method: str) -> float:
    return AWQ[model] if method == "awq" else ERRORS[method]


def kl(model: str, method: str, bits: int) -> float:
    """Nats a token, in the mean over the seeds."""
    return error(model, method) * 4.0**-bits


def rows(models=tuple(MODELS), seeds=SEEDS, repeats=3, items=30, ablated=False, runtimes=False) -> list[store.Row]:
    rng = np.random.default_rng(3)
    made: list[store.Row] = []

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", "03_quantization", {**WHERE, **at}, metric, float(value), repeat))

    for model in models:
        noise = {(domain, block): rng.normal(1.2, 0.1) for domain in ("problems", "prose") for block in range(BLOCKS)}
        whole = rng.random(items) < 0.9
        for at, stored, lost, kernel in _cells(model, seeds, ablated, runtimes):
            at = dict(REFERENCE, model=model, **at) if "engine" not in at else dict(model=model, **at)
            for (domain, block), nats in noise.items():
                here = dict(at, task="divergence", against="unquantized", domain=domain, block=block, tokens=TOKENS)
                add("kl_nats", (lost + kernel) * TOKENS, **here)
                add("agreed", TOKENS * (1 - min(0.5, lost + kernel)), **here)
                add("nll_nats", (nats + lost + kernel) * TOKENS, **here)
                if kernel:
                    here |= dict(against="dequantized")
                    add("kl_nats", kernel * TOKENS, **here)
                    add("agreed", TOKENS * (1 - kernel), **here)
            kept = whole & (rng.random(items) < 1 - 2 * lost)
            for item, right in enumerate(kept):
                add("correct", int(right), **at, task="accuracy", domain="chain", mode="think", depth=2, item=f"i{item}")
            add("stored_bits_per_weight", stored, **at, task="size", kernel="torch")
            add("parameters", MODELS[model], **at, task="size")
            if at.get("calibration_seed") in (None, seeds[0]) and at["method"] != "none" and not kernel:
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
                add("load_s", 1.0, repeat, **at, kernel=f"{engine} {weights}")
                add("weight_bytes", parameters * bits / 8, repeat, **at)
                add("base_memory_bytes", 3e8, repeat, **at)
                add("peak_memory_bytes", 3e8 + 1.1 * parameters * bits / 8, repeat, **at)
                add("kv_bytes_per_token", 1e4, repeat, **at)
                add("parameters", parameters, repeat, **at)
                add("memory_bandwidth_byte_per_s", 4e10, repeat, **at)
    return made


def _cells(model: str, seeds: tuple[int, ...], ablated: bool, runtimes: bool):
    """(coordinates, stored bits a weight, nats a token lost by quantizing, nats a token added by a kernel) of each variant."""
    yield dict(method="none"), 32.0, 0.0, 0.0
    for method in ("rtn", "awq", "gptq", "gguf", "gguf_imatrix"):
        for bits in (4,) if method == "awq" else (8, 4, 3):
            for seed in seeds if method in ("awq", "gptq", "gguf_imatrix") else (None,):
                at = dict(method=method, **({"type": f"Q{bits}_0"} if method.startswith("gguf") else dict(bits=bits, group=64)))
                at |= {} if seed is None else dict(calibration="mixture", samples=32, calibration_seed=seed)
                at |= dict(search="all") if method == "awq" else {}
                shift = 0.0 if seed is None else 0.1 * (seed - np.mean(seeds))
                yield at, bits + 0.5, kl(model, method, bits) * (1 + shift), 0.0
    for (calibration, samples, search), factor in ABLATED.items() if ablated else ():
        for method in ("awq", "gptq") if search == "all" else ("gptq",) if search == "symmetric" else ("awq",):
            for seed in seeds:
                at = dict(method=method, bits=4, group=64, calibration=calibration, samples=samples, calibration_seed=seed)
                at |= dict(search=search) if (method, search) != ("gptq", "all") else {}
                yield at, 4.5, kl(model, method, 4) * factor * (1 + 0.1 * (seed - np.mean(seeds))), 0.0
    for (engine, dtype, method, type), kernel in KERNELS.items() if runtimes else ():
        at = dict(engine=engine, dtype=dtype, method=method)
        if type:
            at |= dict(type=type)
        else:
            at |= dict(bits=4, group=64, calibration="mixture", samples=32, calibration_seed=seeds[0])
            at |= dict(search="all") if method == "awq" else dict(search="symmetric")
        yield at, 4.5, kl(model, method, 4), kernel


def frame(**changes) -> pd.DataFrame:
    return store.to_frame(rows(**changes))
