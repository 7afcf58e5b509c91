"""Made-up rows of the search of 07_pipeline with known truth.

A variant takes PROMPT_S of a request over its planted speed-up, a prompt like the other but for its length; it gets the last of
the problems of each depth wrong, as many as its planted loss says, and the reference gets all right.
"""

from __future__ import annotations

from edgekit import store
from edgekit.schema import BITS, NONE, PRUNE_FIRST, PRUNING, QUANTIZE_FIRST, RUNTIME, techniques

STUDY = "07_pipeline"
PROMPT_S, WRITTEN, MODEL = 0.1, 48, "pocket-10m"
COST_S = (2.0, 4.0)
ITEMS = (20, 400)  # problems on each rung
# (weights, pruning, order, draft, length) -> (speed-up, % of the answers lost), or None on a rung that it did not come to
WHOLE = ("float16", NONE, NONE, NONE, 0)
TRUTH = {
    WHOLE: (1.0, 0.0), ("Q8_0", NONE, NONE, NONE, 0): (1.5, 0.0), ("Q4_0", NONE, NONE, NONE, 0): (2.0, 1.0),
    ("Q4_0", "0.2/0.15", PRUNE_FIRST, NONE, 0): (2.4, 2.5), ("Q4_0", "0.2/0.15", QUANTIZE_FIRST, "lookup", 2): (3.0, 40.0),
    ("float16", NONE, NONE, "lookup", 4): (0.7, 0.0),
}
STAY = {("Q4_0", "0.2/0.15", QUANTIZE_FIRST, "lookup", 2), ("float16", NONE, NONE, "lookup", 4)}  # on the first rung


def coordinates(what) -> dict:
    weights, pruning, order, draft, length = what
    used = [RUNTIME] + [BITS] * (weights != "float16") + [PRUNING] * (pruning != NONE)
    return dict(model=MODEL, techniques=techniques(used), weights=weights, pruning=pruning, order=order, draft=draft,
                length=length, learning=NONE if pruning == NONE else "least squares")


def evaluation(speed_up: float, loss: float, rung: int, items: int, cost_s: float, prompts: int = 4) -> list[dict]:
    """What a job sees of one variant: its metric, value and coordinates."""
    seen = [dict(metric="request_s", value=PROMPT_S * (1 + i) / speed_up, domain="prose", item=f"p{i}", prompt_tokens=10 + i,
                 written=WRITTEN) for i in range(prompts)]
    wrong = round(items * loss / 100)
    seen += [dict(metric="correct", value=int(i < items - wrong), task_name="pocket_chain_think", domain="chain", mode="think",
                  depth=1, item=f"q{i:03}") for i in range(items)]
    return [*seen, dict(metric="artifact_bytes", value=1e6), dict(metric="evaluate_s", value=cost_s)]


def rows(truth=TRUTH, stay=STAY) -> list[store.Row]:
    made = []
    for what, (speed_up, loss) in truth.items():
        for rung, (items, cost_s) in enumerate(zip(ITEMS, COST_S, strict=True)):
            if rung and what in stay:
                continue
            where = dict(task="search", rung=rung, engine="llama_cpp", dtype=what[0], threads=2, device="cpu")
            made += [store.Row("run-1", STUDY, where | coordinates(what) | {
                name: value for name, value in one.items() if name not in ("metric", "value")}, one["metric"], one["value"])
                for one in evaluation(speed_up, loss, rung, items, cost_s)]
    return made
