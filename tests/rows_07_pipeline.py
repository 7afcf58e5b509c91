"""Made-up rows of the study 07_pipeline with known truth, for tests of tables, claims and figures.

A request's time is that of the baseline over the product of the gains of what is used; drafting gains less on few bits, by
BEYOND, so that gains of all three do not multiply by as much. Single repeats lie a little off. Of the
items each technique loses some that the baseline has right, always the same ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store
from edgekit.schema import techniques

MODEL = "pocket-10m"
GAINS = {"runtime": 5.0, "bits": 1.6, "pruning": 1.25, "draft": 1.2}
BEYOND = 0.9  # of drafting's gain that is left on few bits
BEST, OTHER = ("pocket-200k", 4), ("lookup", 2)  # the draft and length that count, and one that gains less
BASELINES = {"bfloat16": 1.25, "float32": 1.0}  # times of a float type over the fastest
SECONDS = 5e-3  # a token of the fastest baseline
TOKENS, PROMPT, STATED = 48, 25, 128
LOST = {"bits": 1, "pruning": 2, "draft": 0}  # items of the baseline's right ones
ITEMS, RIGHT = 500, 450
NOISE = 0.01
BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "Q4_0": 4.5, "gptq": 4.6}  # stored a weight
FAST = {False: "float16", True: "Q4_0"}


def gain(used) -> float:
    """Speed over the fastest baseline."""
    return float(np.prod([GAINS[name] for name in used])) * (BEYOND if {"bits", "draft"} <= set(used) else 1.0)


def cells(packed: bool):
    """(what is used, engine, weights, times over the fastest baseline)."""
    for pruned in ((), ("pruning",)):
        for weights, slower in BASELINES.items():
            yield pruned, "transformers", weights, slower
        if packed:
            yield ("bits", *pruned), "transformers", "gptq", 1.0
        for bits in (False, True):
            yield ("runtime", *(("bits",) if bits else ()), *pruned), "llama_cpp", FAST[bits], 1.0


def rows(repeats: int = 4, packed: bool = True, items: int = ITEMS, lost: dict = LOST, faster: float = 1.0,
         energy: bool = False, model: str = MODEL) -> list[store.Row]:
    """`faster`: by which the fast runtime gains more than GAINS says."""
    made: list[store.Row] = []
    rng = np.random.default_rng(7)

    def add(task: str, metric: str, value: float, repeat: int = 0, **at) -> None:
        where = {"task": task, "model": model, "threads": 2, "device": "cpu"}
        made.append(store.Row("run-1", "07_pipeline", where | at, metric, float(value), repeat))

    for used, engine, weights, slower in cells(packed):
        cell = dict(techniques=techniques(used), engine=engine, dtype="bfloat16" if weights == "gptq" else weights,
                    weights=weights, pruning="0.2/0.15" if "pruning" in used else "none")
        extra = faster if "runtime" in used else 1.0
        for repeat in range(repeats):
            for draft, length in (("none", 0), BEST, OTHER):
                all_used = (*used, "draft") if draft != "none" else used
                worse = 1.3 if (draft, length) == OTHER else 1.0
                each = SECONDS * slower * worse / gain(all_used) / extra * (1 + NOISE * rng.normal())
                for i in range(2):
                    at = dict(cell, draft=draft, length=length, domain="prose", item=f"p{i}", prompt_tokens=PROMPT)
                    add("stages", "ttft_s", 2 * each, repeat, **at)
                    add("stages", "request_s", TOKENS * each, repeat, **at, output_tokens=TOKENS)
                    add("stages", "tpot_s", each, repeat, **at, output_tokens=TOKENS)
                    if draft != "none":
                        add("stages", "differs", 0, repeat, **{name: at[name] for name in at if name != "prompt_tokens"})
                add("stages", "ttft_s", 6 * each, repeat, **cell, draft=draft, length=length, prompt_tokens=STATED)
                if energy:
                    add("energy", "energy_j", 10 * TOKENS * each, repeat, **cell, draft=draft, length=length, scope="cpu",
                        origin="counter", phase="request", output_tokens=TOKENS)
            for draft, peak in (("none", 1e9), (BEST[0], 1.1e9)):
                add("stages", "peak_memory_bytes", peak * (0.3 if "runtime" in used else 1.0), repeat, **cell, draft=draft)
        add("size", "parameters", 1e7 * (0.85 if "pruning" in used else 1.0), **cell)
        add("size", "stored_bits_per_weight", BITS[weights], **cell)
        for draft in ("none", BEST[0]) if {"runtime", "bits", "pruning"} <= set(used) else ("none",):
            gone = sum(lost[name] for name in (*used, *(["draft"] if draft != "none" else [])) if name in lost)
            for i in range(items):
                add("accuracy", "correct", i < RIGHT * items // ITEMS and i >= gone, **cell, draft=draft,
                    length=0 if draft == "none" else BEST[1], task_name="pocket_chain_think", item=f"i{i}")
        for block in range(4):
            at = dict(cell, block=block, domain="prose", tokens=100, against="unquantized")
            add("divergence", "nll_nats", 100 * (0.7 + 0.05 * len(used)), **at)
            add("divergence", "kl_nats", 100 * 0.01 * len(used), **at)
            add("divergence", "agreed", 95, **at)
    for name, parameters in (("pocket-200k", 2e5), (MODEL, 1e7)):
        at = dict(model=name, techniques="runtime + bits", engine="llama_cpp", dtype="Q4_0", weights="Q4_0", draft="none",
                  batch=1)
        for repeat in range(repeats):
            add("speed", "ttft_s", 1e-9 * parameters * (1 + NOISE * rng.normal()), repeat, **at, prompt_tokens=STATED,
                output_tokens=1)
            add("speed", "parameters", parameters, repeat, **at)
    return made


def frame(**changed) -> pd.DataFrame:
    return store.to_frame(rows(**changed))
