"""Made-up rows of the study 11_routing with known truth, for tests of tables, claims and figures.

Two tasks of ITEMS items each. The device is right with the probability that the estimator says (`edge_p`), which rises with the
item's number; the cloud with CLOUD, and its estimator says so. The confidence of an answer is that probability with noise. A
token takes SECONDS, by model, and every model a start as long as ten of its tokens.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store
from edgekit.schema import FEATURES, FOLDS, TEXT, UNKNOWN

ITEMS, FOLD = 300, 5
CLOUD = 0.85
EDGE_MODEL, CLOUD_MODEL, FIXED_MODEL = "pocket-200k", "pocket-3m", "pocket-900k"
SIZES = {EDGE_MODEL: 2e5, FIXED_MODEL: 1e6, CLOUD_MODEL: 3e6}
FIXED = 0.7  # share that the fixed model has right
SECONDS = {EDGE_MODEL: 1e-4, FIXED_MODEL: 3e-4, CLOUD_MODEL: 1e-3}
TASKS = ("chain", "prices")
DECIDE_S, ESTIMATOR = 4e-4, 1_974_289
ASKED, ANSWERED = 20, 30  # tokens
REPLAYED = "routellm-gsm8k"
STUDY = "11_routing"


def chance(number: int) -> float:
    """Probability that the device has an item right."""
    return 0.05 + 0.9 * number / (ITEMS - 1)


def rows(cloud: float = CLOUD, seed: int = 0) -> list[store.Row]:
    rng, made = np.random.default_rng(seed), []

    def add(metric: str, value: float, repeat: int = 0, source: str = "measured", **at) -> None:
        made.append(store.Row("run-1", STUDY, at, metric, float(value), repeat, source))

    where = dict(engine="llama_cpp", dtype="float16", threads=2, device="cpu")
    for model, size in SIZES.items():
        add("parameters", size, task="size", model=model, **where)
    for task in TASKS:
        for number in range(ITEMS):
            item = dict(task_name=task, domain=task, mode="think", depth=1 + 7 * (ITEMS - 1 - number) // (ITEMS - 1),
                        item=f"{task}-{number:03d}")
            share = chance(number)
            right = {EDGE_MODEL: rng.random() < share, CLOUD_MODEL: rng.random() < cloud, FIXED_MODEL: rng.random() < FIXED}
            for model in SIZES:
                at = dict(task="answers", model=model, **where, **item)
                add("correct", right[model], **at)
                add("asked_tokens", ASKED, **at)
                add("answered_tokens", ANSWERED + 10 * (model == CLOUD_MODEL), **at)
                if model == EDGE_MODEL:
                    add("mean_log_p", np.log(share) + 0.3 * rng.normal(), **at)
                    add("worst_log_p", 3 * np.log(share), **at)
            for features in FEATURES:
                for protocol in (FOLDS, UNKNOWN):
                    fold = dict(fold=number % FOLD) if protocol == FOLDS else {}
                    at = dict(task="estimator", model=EDGE_MODEL, cloud=CLOUD_MODEL, features=features, protocol=protocol,
                              **fold, **where, **item)
                    add("edge_p", share if protocol == FOLDS else 0.5, **at)
                    add("cloud_p", cloud, **at)
                    add("coverage", 0.9 if protocol == FOLDS else 0.3, **at)
                    add("depth_steps", item["depth"], **at)
                    add("query_characters", 400 - number, **at)
    return made


def timed_rows() -> list[store.Row]:
    """Answers that were written again, decisions, and times over lengths."""
    made, where = [], dict(engine="llama_cpp", dtype="float16", device="cpu")

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", STUDY, where | at, metric, float(value), repeat))

    for model in (EDGE_MODEL, CLOUD_MODEL):
        for number in range(0, ITEMS, 2):
            asked, answered = ASKED + number % 7, ANSWERED + number % 11
            at = dict(task="reply", model=model, threads=2, task_name="chain", item=f"chain-{number:03d}", prompt_tokens=asked,
                      output_tokens=answered)
            add("ttft_s", SECONDS[model] * (10 + asked / 10), **at)
            add("reply_s", SECONDS[model] * (10 + asked / 10 + answered), **at)
    for number in range(100):
        add("decide_s", DECIDE_S * (1 + number / 100), task="decision", model=EDGE_MODEL, threads=1, round=number,
            features=TEXT)
    for metric, value in (("estimator_parameters", ESTIMATOR), ("estimator_bytes", 4 * ESTIMATOR), ("base_memory_bytes", 1e8),
                          ("peak_memory_bytes", 1.3e8)):
        add(metric, value, task="decision", model=EDGE_MODEL, threads=1)
    for model, size in SIZES.items():
        for repeat in range(3):
            at = dict(task="speed", model=model, threads=2, batch=1, prompt_tokens=32)
            add("parameters", size, repeat, **at)
            add("ttft_s", 20 * SECONDS[model] * (1 + 0.01 * repeat), repeat, output_tokens=1, **at)
            add("tpot_s", SECONDS[model] * (1 + 0.01 * repeat), repeat, output_tokens=16, **at)
    return made


def replayed_rows(items: int = 200) -> list[store.Row]:
    """Published answers: the longer the query, the more often the weak model is wrong, and the estimator says how often."""
    rng, made = np.random.default_rng(5), []
    where = dict(task="replay", model="weak/model", cloud="strong-model", recorded=REPLAYED, threads=2, device="cpu",
                 features=TEXT)
    for number in range(items):
        share = 0.2 + 0.7 * number / items
        item = dict(task_name=REPLAYED, domain="gsm8k", item=f"gsm8k-{number:04d}")
        judged = dict(protocol=FOLDS, fold=number % FOLD)
        values = [("correct", rng.random() < share, dict(of="edge")), ("correct", rng.random() < 0.9, dict(of="cloud")),
                  ("edge_p", share, judged), ("cloud_p", 0.9, judged), ("coverage", 0.8, judged), ("depth_steps", 2, judged),
                  ("query_characters", 500 - number, judged)]
        made += [store.Row("run-1", STUDY, where | item | at, metric, float(value), 0, "replayed")
                 for metric, value, at in values]
    return made


def frame(**named) -> pd.DataFrame:
    return store.to_frame([*rows(**named), *timed_rows(), *replayed_rows()])


