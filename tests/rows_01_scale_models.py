"""Made-up rows of the study 01_scale_models with known truth, for tests of tables and figures.

Accuracy falls with depth and rises with size; excess loss is a power law of the size; rounding adds four times the loss for
each bit less; acceptance falls with the ratio of target to draft.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

MODELS = {"pocket-200k": 2.0e5, "pocket-900k": 8.0e5, "pocket-3m": 3.2e6, "pocket-10m": 1.28e7}
MODES = ("think", "direct", "budget-1", "budget-2", "budget-3", "budget-4")
DOMAINS = ("tracking", "prices", "letters", "large")
EXPONENT = 0.5
BITS, GROUPS = (8, 4, 3, 2), (32, 64)
LINE = {"engine": "transformers", "dtype": "float32", "threads": 2, "device": "cpu"}


def skill(model: str, mode: str, depth: int) -> float:
    """The chance of a right answer."""
    size = (np.log10(MODELS[model]) - 4.5) / 2.7
    lines = {"think": depth, "direct": 0}.get(mode, int(mode[-1]) if "-" in mode else 0)
    return float(np.clip(size * 0.97**depth * 0.6 ** max(0, depth - 1 - lines), 0, 1))


def excess(model: str, bits: int = 32) -> float:
    """Nats a token."""
    return 0.2 * (MODELS[model] / 2e5) ** -EXPONENT + (2.0 * 4.0**-bits if bits < 32 else 0.0) * 64


def rows(models=tuple(MODELS), items=20, stories=30, prompts=12, bits=BITS, groups=GROUPS, seed=1) -> list[store.Row]:
    rng = np.random.default_rng(seed)
    made: list[store.Row] = []

    def add(task: str, metric: str, value: float, **at) -> None:
        made.append(store.Row("run-1", "01_scale_models", {**LINE, "task": task, **at}, metric, float(value)))

    lengths = rng.integers(20, 90, stories)
    for model in models:
        add("size", "parameters", MODELS[model], model=model)
        cells = [("chain", mode, depth) for mode in MODES for depth in range(1, 9)]
        cells += [(domain, "direct", level) for domain in DOMAINS for level in range(1, 5)]
        for domain, mode, depth in cells:
            at = dict(model=model, task_name=f"pocket_{domain}", domain=domain, mode=mode, depth=depth)
            chance = skill(model, mode, depth) * (0.05 if domain in ("letters", "large") else 1)
            for item in range(items):
                add("accuracy", "correct", rng.random() < chance, **at, item=f"{domain}-{depth}-{item:03d}")
            add("accuracy", "unanswered", 0, **at)
        noise = rng.normal(0, 0.02, stories)
        for i, tokens in enumerate(lengths):
            add("prose", "excess_nats", (excess(model) + noise[i]) * tokens, model=model, item=f"prose-{i:03d}",
                tokens=int(tokens))
        for site in ("attention", "mlp", "mlp_down", "residual"):
            for layer in (1, 2, 3):
                add("activations", "peak_over_rms", 3.0 + layer, model=model, site=site, layer=layer)
        add("activations", "outlier_features", 0, model=model)
        for group in groups:
            for width in bits:
                at = dict(model=model, bits=width, group=group)
                for domain, mode, depths in (("chain", "think", (2, 4, 6)), ("prices", "direct", (1, 2, 3, 4))):
                    for depth in depths:
                        for item in range(items):
                            chance = skill(model, mode, depth) * (1 - 2.0 ** (1 - width))
                            add("rounded_accuracy", "correct", rng.random() < chance, **at, task_name=f"pocket_{domain}",
                                domain=domain, mode=mode, depth=depth, item=f"{domain}-{depth}-{item:03d}")
                for i, tokens in enumerate(lengths):
                    add("rounded_prose", "excess_nats", (excess(model, width) + noise[i]) * tokens, **at, item=f"prose-{i:03d}",
                        tokens=int(tokens))
        for draft in models:
            for domain in ("chain think", "prices", "prose"):
                for temperature in (0, 1):
                    for i in range(prompts):
                        if draft == model:
                            continue
                        drafted = int(rng.integers(10, 40))
                        rate = 0.95 - 0.1 * abs(np.log10(MODELS[model] / MODELS[draft]))
                        value = rng.binomial(drafted, rate) if temperature == 0 else drafted * rate * rng.uniform(0.97, 1.02)
                        add("acceptance", "overlap" if temperature else "accepted", value, model=model, draft=draft,
                            domain=domain, temperature=temperature, item=f"{domain}-{i:03d}", drafted=drafted)
    return made


def training() -> pd.DataFrame:
    """Curves as `scale.training_table` gives them: excess falls with the square root of the tokens."""
    lines = [dict(model=model, parameters=size, tokens=tokens, validation_loss=0.8 + 2000 / tokens**0.5,
                  excess=excess(model) * (1e7 / tokens) ** 0.5, source="measured")
             for model, size in MODELS.items() for tokens in np.linspace(4e5, 1e7, 25)]
    return pd.DataFrame(lines)


def frame(**choices) -> pd.DataFrame:
    return store.to_frame(rows(**choices))
