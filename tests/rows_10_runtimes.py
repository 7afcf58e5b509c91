"""Made-up rows of the study 10_runtimes with known truth, for tests of tables, claims and figures.

A decode step takes its bytes over the rate of a runtime, and an overhead for the step or for each layer. A prefill takes a time
a token. A round is slower or faster as a whole, which paired comparisons do not see.
"""

from __future__ import annotations

import pandas as pd

from edgekit import store

BANDWIDTH = 30e9
MOOD = (0.9, 1.0, 1.15)
MODELS = {"pocket-900k": (0.9e6, 4), "pocket-3m": (3e6, 3), "pocket-10m": (10e6, 8), "shape:qwen2.5-0.5b": (494e6, 24)}
# (engine, dtype): bytes a weight, share of the bandwidth, overhead a step, overhead a layer (s), prefill a token (s)
CELLS = {("transformers", "float32"): (4.0, 0.5, 0.0, 4e-4, 1e-3), ("llama_cpp", "float32"): (4.0, 0.9, 2e-5, 0.0, 5e-4),
         ("llama_cpp", "Q4_0"): (0.5625, 0.6, 2e-5, 0.0, 2.5e-4), ("vllm", "float32"): (4.0, 0.6, 1e-3, 0.0, 8e-4)}
PROMPTS, OUTPUTS, KV = (32, 128), (8, 24), 0.0
LEVELS = {"sse4": 8.0, "avx2": 2.0, "everything": 1.0}  # how many times as long a prefill takes; decoding half of that more


def step_bytes(model: str, cell: tuple[str, str]) -> float:
    return CELLS[cell][0] * MODELS[model][0]


def step_s(model: str, cell: tuple[str, str]) -> float:
    _, share, step, layer, _ = CELLS[cell]
    return step_bytes(model, cell) / (share * BANDWIDTH) + step + layer * MODELS[model][1]


def rows(models=tuple(MODELS), cells=tuple(CELLS), repeats=3, device="cpu") -> list[store.Row]:
    """device: where all of it ran."""
    made: list[store.Row] = []

    def add(metric: str, value: float, repeat: int, **at) -> None:
        made.append(store.Row("run-1", "10_runtimes", {"threads": 2, "device": device, **at}, metric, float(value), repeat))

    for repeat in range(repeats):
        mood = MOOD[repeat % 3]
        for model in models:
            for engine, dtype in cells:
                unit = dict(task="speed", batch=1, model=model, engine=engine, dtype=dtype)
                seconds, token = mood * step_s(model, (engine, dtype)), mood * CELLS[engine, dtype][4]
                for metric, value in (("parameters", MODELS[model][0]), ("weight_bytes", step_bytes(model, (engine, dtype))),
                                      ("kv_bytes_per_token", KV), ("memory_bandwidth_byte_per_s", BANDWIDTH / mood),
                                      ("load_s", 0.5), ("peak_memory_bytes", 3e8), ("base_memory_bytes", 1e8),
                                      ("artifact_bytes", step_bytes(model, (engine, dtype)))):
                    add(metric, value, repeat, **unit)
                add("size", MODELS[model][1], repeat, **unit, part="layers")
                for prompt in PROMPTS:
                    add("ttft_s", token * prompt, repeat, **unit, prompt_tokens=prompt, output_tokens=1)
                    for output in OUTPUTS:
                        at = dict(prompt_tokens=prompt, output_tokens=output)
                        add("tpot_s", seconds, repeat, **unit, **at)
                        add("decode_s", seconds * (output - 1), repeat, **unit, **at)
                if model == "pocket-10m" and engine == "llama_cpp":
                    for level, slower in LEVELS.items():
                        at = dict(unit, task="acceleration", acceleration=level, kernel=f"kernels of {level}")
                        add("ttft_s", token * 128 * slower, repeat, **at, prompt_tokens=128, output_tokens=1)
                        add("tpot_s", seconds * (1 + slower / 2), repeat, **at, prompt_tokens=128, output_tokens=24)
                if model == "pocket-10m" and engine == "transformers":
                    for batch, longer in ((1, 1.0), (4, 2.0)):
                        at = dict(unit, task="batches", batch=batch, prompt_tokens=128)
                        add("ttft_s", token * 128 * batch, repeat, **at, output_tokens=1)
                        add("tpot_s", seconds * longer, repeat, **at, output_tokens=24)
                    at = dict(unit, task="threads", threads=1, prompt_tokens=128)
                    add("ttft_s", 2 * token * 128, repeat, **at, output_tokens=1)
                    add("tpot_s", 1.5 * seconds, repeat, **at, output_tokens=24)
    if repeats:
        made += agreement() + listings()
    return made


TEXTS, POSITIONS = 4, 10
# cell -> positions of each text at which its likeliest token is another, and where its own texts 0 and 1 part
OTHERS = {("transformers", "float32"): (0, None, None), ("llama_cpp", "float32"): (0, None, 5),
          ("llama_cpp", "Q4_0"): (3, 2, 5)}
CLOSE = (1, 5)  # text and place at which the reference's two likeliest tokens are all but equal


def agreement() -> list[store.Row]:
    made = []
    for (engine, dtype), (differ, first, second) in OTHERS.items():
        unit = dict(task="agreement", model="pocket-10m", engine=engine, dtype=dtype, threads=2, device="cpu", batch=1)
        for item in range(TEXTS):
            def add(metric, value, _unit=unit, _item=item, **at):
                made.append(store.Row("run-1", "10_runtimes", {**_unit, "item": _item, **at}, metric, float(value), 0))

            add("kl_nats", 0.1 * differ, tokens=POSITIONS)
            add("agreed", POSITIONS - differ, tokens=POSITIONS)
            parts = {0: first, 1: second}.get(item)
            for place in range(POSITIONS):
                add("likeliest_token", 7 + (place < differ), position=place + 1)
                add("written_token", 3 + (parts is not None and place >= parts), position=place + 1)
                if (engine, dtype) == ("transformers", "float32"):
                    add("margin_nats", 0.001 if (item, place) == CLOSE else 2.0, position=place + 1)
    return made


def listings() -> list[store.Row]:
    at = dict(task="listing", listing="S2, quantization", model="pocket-900k", threads=2, device="cpu")
    return [store.Row("run-1", "10_runtimes", at | dict(call="import"), "ran", 1.0, 0),
            store.Row("run-1", "10_runtimes", at | dict(call="load", reason="ImportError: none"), "ran", 0.0, 0)]


def frame(**choices) -> pd.DataFrame:
    return store.to_frame(rows(**choices))
