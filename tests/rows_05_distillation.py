"""Made-up rows of the study 05_distillation with known truth, for tests of tables, claims and figures.

Pruning costs PRUNED nats a token of divergence, learning leaves a known share of it, a quantization adds its own, and pruning
weights that were quantized first multiplies the whole by a known factor. Draws differ by known shares.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

MODEL, SMALL = "pocket-3m", "pocket-900k"
WEIGHTS = {MODEL: 3.2e6, SMALL: 0.9e6}
PRUNED = {"0.2/0.15": 0.10, "0.8/0.8": 2.0}
WEIGHTS_OF = {"0.2/0.15": 2.6e6, "0.8/0.8": 0.94e6}
LEFT = {"none": 1.0, "fine-tuning": 0.5, "logits": 0.2, "logits and texts": 0.3, "teacher's texts": 0.6}
FRESH = {"fine-tuning": 1.5, "logits": 1.2}
QUANTIZED = {"none": (0.0, 16.0), "Q8_0": (0.001, 8.8), "Q4_0": (0.05, 4.8)}
ORDER = 0.8  # divergence of quantizing first over that of pruning first
SEEDS = (0, 1, 2)
BLOCKS, TOKENS, ITEMS = 6, 500, 40
WHERE = dict(threads=2, device="cpu")


def shift(seed: int) -> float:
    return 1 + 0.1 * (seed - 1)


def chains(seeds=SEEDS):
    """(coordinates, divergence in nats a token, weights, bits a weight) of each chain."""
    base = dict(student=MODEL, pruning="none", learning="none", quantization="none", order="prune first", draw=0)
    for quantization, (added, bits) in QUANTIZED.items():
        yield base | dict(quantization=quantization), added, WEIGHTS[MODEL], bits
        for pruning, lost in PRUNED.items():
            for seed in seeds:
                at = base | dict(pruning=pruning, quantization=quantization, draw=seed)
                yield at, (lost + added) * shift(seed), WEIGHTS_OF[pruning], bits
                if quantization != "none":
                    yield at | dict(order="quantize first"), ORDER * (lost + added) * shift(seed), WEIGHTS_OF[pruning], bits
            for learning, left in list(LEFT.items())[1:]:
                for seed in seeds if quantization == "none" else seeds[:1]:
                    if quantization == "none" or learning == "logits":
                        at = base | dict(pruning=pruning, learning=learning, quantization=quantization, draw=seed)
                        yield at, (left * lost + added) * shift(seed), WEIGHTS_OF[pruning], bits
        for learning, lost in FRESH.items():
            if quantization == "none" or learning == "logits":
                at = base | dict(student=SMALL, learning=learning, quantization=quantization)
                yield at, lost + added, WEIGHTS[SMALL], bits


def rows(seeds=SEEDS) -> list[store.Row]:
    rng = np.random.default_rng(5)
    made: list[store.Row] = []

    def add(metric: str, value: float, **at) -> None:
        made.append(store.Row("run-1", "05_distillation", {**WHERE, "model": MODEL, **at}, metric, float(value), 0))

    noise = {(domain, block): rng.normal(1.2, 0.1) for domain in ("problems", "prose") for block in range(BLOCKS)}
    for at, lost, weights, bits in chains(seeds):
        at = at | dict(engine="transformers", dtype="float32")
        for (domain, block), nats in noise.items():
            here = at | dict(task="divergence", against="unquantized", domain=domain, block=block, tokens=TOKENS)
            add("kl_nats", lost * TOKENS, **here)
            add("agreed", TOKENS / (1 + lost), **here)
            add("nll_nats", (nats + lost) * TOKENS, **here)
        for item in range(ITEMS):  # the whole model knows 36 of 40
            right = item < round(36 / (1 + lost))
            add("correct", int(right), **at, task="accuracy", task_name="pocket_chain_think", domain="chain", mode="think",
                depth=2, item=f"i{item}")
        add("artifact_bytes", weights * bits / 8, **at, task="size")
        add("stored_bits_per_weight", bits, **at, task="size")
        add("parameters", weights, **at, task="size")
        if at["learning"] != "none" and at["quantization"] == "none":
            for step in (10, 20, 30):
                here = at | dict(task="training", step=step, tokens=4096 * step)
                add("train_loss", 1 + lost * (1 + 10 / step), **here)
                add("wall_s", step / 2, **here)
    return made


def frame(**changes) -> pd.DataFrame:
    return store.to_frame(rows(**changes))
