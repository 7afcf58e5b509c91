"""Made-up rows of the study 06_speculative with known truth, for tests of tables, claims and figures.

Every drafted token is accepted with a probability of its pair and domain, whatever its place; counts are as near to it as whole
numbers are, and prompts differ a little. Overlaps are that same probability. A plain step takes `STEP` seconds by engine; a
draft step, a pass over a block and the rest of a block cost fixed shares of it, so speed-ups follow from the expectation.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from edgekit import store
from edgekit.analyze.speculation import Costs, expected_tokens

SIZES = {"pocket-200k": 2e5, "pocket-900k": 9e5, "pocket-10m": 1e7}
ITSELF = "pocket-10m > gguf_quantized(type=Q4_0)"
TARGET = "pocket-10m"
# (draft, domain) -> chance that a drafted token is accepted
ACCEPTED = {("pocket-200k", "chain think"): 0.55, ("pocket-200k", "prose"): 0.70, ("pocket-900k", "chain think"): 0.75,
            ("pocket-900k", "prose"): 0.85, (ITSELF, "chain think"): 0.95, (ITSELF, "prose"): 0.98,
            ("lookup", "chain think"): 0.4, ("lookup", "prose"): 0.2}
DRAFT = {"pocket-200k": 0.05, "pocket-900k": 0.15, ITSELF: 0.7, "lookup": 0.0}
STEP = {"transformers": 5e-3, "llama_cpp": 1e-3}
DTYPE = {"transformers": "float32", "llama_cpp": "float16"}
OVERHEAD = {"transformers": 0.30, "llama_cpp": 0.05}
# A runtime's own loop: the engine below it, and its times over ours where it drafts
NATIVE = {"transformers-assisted": ("transformers", 1.4), "llama-cpp-python": ("llama_cpp", 1.2)}
LENGTHS = (1, 2, 4, 8)
KL = 3.0  # nats a token, times the square of one less the acceptance: a little more than theory asks for at least
BATCHES = (1, 2, 8)
REPLAYED = ("shape:qwen2.5-0.5b", "shape:smollm2-135m")
JUDGED = 1000  # first places of one prompt's blocks


def costs(draft: str, engine: str, length: int) -> Costs:
    return Costs(DRAFT[draft], 1 + 0.04 * length, OVERHEAD[engine])


def gain(draft: str, domain: str, engine: str, length: int) -> float:
    """Speed-up over plain decoding."""
    return expected_tokens(ACCEPTED[draft, domain], length) / costs(draft, engine, length).block(length)


def rows(repeats: int = 3, prompts: int = 8, engines=tuple(STEP), differing: int = 2) -> list[store.Row]:
    rng = np.random.default_rng(6)
    made: list[store.Row] = []

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", "06_speculative", {"model": TARGET, "threads": 2, "device": "cpu", **at}, metric,
                              float(value), repeat))

    for (draft, domain), chance in ACCEPTED.items():
        for temperature in (0.0, 1.0):
            for i in range(prompts):
                if draft != "lookup":
                    at = dict(task="overlap", draft=draft, engine="transformers", dtype="float32", domain=domain,
                              temperature=temperature, item=f"p{i}", tokens=100)
                    add("overlap", 100 * chance, **at)
                    add("agreed", 100 * chance, **at)
                    add("kl_nats", 100 * KL * (1 - chance) ** 2, **at)
            for engine in engines if draft != ITSELF else ("llama_cpp",):
                at = dict(task="acceptance", draft=draft, engine=engine, dtype=DTYPE[engine], domain=domain,
                          temperature=temperature, length=8)
                for i in range(prompts):
                    here = min(0.99, chance * (1 + 0.02 * (-1) ** i))
                    judged = JUDGED
                    for position in range(1, 9):
                        add("accepted", kept := round(judged * here), **at, item=f"p{i}", position=position, drafted=JUDGED,
                            judged=judged)
                        judged = kept
                    add("blocks", JUDGED, **at, item=f"p{i}", written=round(JUDGED * expected_tokens(here, 8)))
                    if not temperature:
                        first = draft == "pocket-900k" and domain == "prose" and i < differing
                        add("differs", first, **at, item=f"p{i}")
                        if first:
                            add("tie_gap", 1e-4 * (i + 1), **at, item=f"p{i}")
                add("target_parameters", SIZES[TARGET], **at)
                if draft != "lookup":
                    add("draft_parameters", SIZES[draft.split(" > ")[0]], **at)
        for repeat in range(repeats):
            for engine in engines if draft != ITSELF else ("llama_cpp",):
                at = dict(task="speed", draft=draft, engine=engine, dtype=DTYPE[engine], domain=domain, temperature=0.0)
                machine = STEP[engine] * (1 + 0.03 * rng.normal())
                for length in (0, *LENGTHS):
                    noise = 1 + 0.003 * rng.normal()
                    times = machine * noise / (gain(draft, domain, engine, length) if length else 1.0)
                    found = dict(round=0, length=length, tokens=320, rest_tokens=300, rest_blocks=100, rest_drafted=90 * length)
                    # The first blocks hold the prompt: a tenth of plain decoding's time, drafted or not.
                    add("pass_s", 300 * times + 30 * machine, repeat, **at, **found)
                    add("rest_s", 300 * times, repeat, **at, **found)
                    if length:
                        cost = costs(draft, engine, length)
                        add("verify_s", cost.verify * machine, repeat, **at, **found)
                        add("overhead_s", cost.overhead * machine, repeat, **at, **found)
                        if draft != "lookup":
                            add("draft_s", cost.draft * machine, repeat, **at, **found)
                    for loop, (ours, slower) in NATIVE.items():
                        if ours == engine and draft != ITSELF:
                            theirs = at | dict(engine=loop)
                            add("pass_s", (slower if length else 1) * (300 * times + 30 * machine), repeat, **theirs,
                                length=length, round=0, tokens=320)
                            for i in range(prompts) if length else ():
                                add("differs", 0, repeat, **theirs, length=length, item=f"p{i}")
                                add("blocks", 20, repeat, **theirs, length=length, item=f"p{i}", written=50)
    return made


def batch_gain(draft: str, batch: int, length: int) -> float:
    """Speed-up from end to end in chain think of `batch` texts at a time: less of it, the more texts."""
    return 1 + (gain(draft, "chain think", "llama_cpp", length) - 1) / batch


def batched_rows() -> list[store.Row]:
    """Times of 1, 2 and 8 texts at a time, which take turns in three processes; two texts of one differ when drafted."""
    rng = np.random.default_rng(8)
    made = []
    for draft in ("pocket-200k", "pocket-900k"):
        for batch in BATCHES:
            for repeat in range(3):
                machine = STEP["llama_cpp"] / batch ** 0.5 * (1 + 0.03 * rng.normal())
                at = dict(task="batch", model=TARGET, draft=draft, engine="llama_cpp", dtype="float16", domain="chain think",
                          temperature=0.0, batch=batch, threads=2, device="cpu")
                for length in (0, *LENGTHS[1:3]):
                    faster = batch_gain(draft, batch, length) if length else 1.0
                    for metric, tokens in (("pass_s", 320), ("rest_s", 300)):
                        seen = {"tokens": 320, "rest_tokens": 300, "round": 0, "length": length}
                        made.append(store.Row("run-1", "06_speculative", at | seen, metric, tokens * machine / faster, repeat))
                    for i in range(8):
                        differs = int(length == 4 and batch == 8 and draft == "pocket-200k" and i < 2)
                        seen = [("differs", differs), *([("tie_gap", 1e-4)] if differs else [])]
                        made += [store.Row("run-1", "06_speculative", at | dict(length=length, item=f"p{i}"), metric, value,
                                           repeat) for metric, value in seen]
                for name, model in (("target", TARGET), ("draft", draft)):
                    made.append(store.Row("run-1", "06_speculative", at, f"{name}_parameters", SIZES[model], repeat))
    return made


def replayed_rows() -> list[store.Row]:
    """Rows of `REPLAYED` with the times and the acceptance of pocket-900k in prose for the target here, in llama.cpp."""
    made = []
    for row in rows(engines=("llama_cpp",)):
        at = dict(row.condition)
        if (at["draft"], at["domain"], at["engine"], at["temperature"]) == ("pocket-900k", "prose", "llama_cpp", 0.0) and (
                row.metric not in ("blocks", "differs", "tie_gap")):
            at |= dict(task="replay", model=REPLAYED[0], draft=REPLAYED[1], recorded="pocket-10m < pocket-900k")
            made.append(dataclasses.replace(row, condition=at, source="modelled"))
    return made


def frame(**changes) -> pd.DataFrame:
    return store.to_frame(rows(**changes))
