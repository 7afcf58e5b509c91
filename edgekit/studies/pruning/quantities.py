"""The quantities by which claims about pruning are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import math

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import Estimate, number
from edgekit.studies.pruning import tables, tables_savings

SCORE = "taylor"  # the claims are about first-order Taylor importance


def pruned_compute_saved(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the multiply-accumulates of the layers' projections that go, for each model that was counted, the largest first.

    The reading that favours the claim: attention over the context shrinks with the heads, the output head does not shrink at
    all. Counted, so its interval is the value itself.
    """
    table = tables_savings.count_table(frame)
    table = table[table.model.map(kind).isin(setting.models)]
    if table.empty:
        raise NotMeasured("sizes of a whole and a pruned model")
    seen = []
    for _, found in table.sort_values("parameters", ascending=False, kind="stable").iterrows():
        saved = 100 * float(found.projections)
        note = (f"with the output head a decode step saves {number(100 * found.decode)} %, and "
                f"{number(100 * found.decode_bytes)} % of its bytes")
        seen.append(Observation(Estimate(saved, saved, saved, 1, "%", "share of the multiplications that goes"), _where(found),
                                (found.model,), "", found.model, note))
    return seen


def pruned_time_saved(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the time of prefill that goes, where arithmetic is the limit: largest model, longest prompt, one prompt at a
    time, in the runtime that gains most."""
    table = tables_savings.saving_table(frame)
    table = table[table.model.map(kind).isin(setting.models) & (table.phase == "prefill") & (table.batch == 1)]
    if table.empty:
        raise NotMeasured("times to first token of a whole and a pruned model in the same runtime")
    found = table.sort_values(["parameters", "prompt_tokens", "clock"]).iloc[-1]
    return [Observation(stats.percent(estimate_of(found, "clock", "", "share of the prefill time that goes")),
                        f"{found.model}, {found.engine} {found['dtype']}, {found.prompt_tokens:.0f} tokens in",
                        (found.model,), "repeats", found.model, f"arithmetic says {number(100 * found.arithmetic)} %")]


def pruned_accuracy_lost(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy lost at the point by Taylor importance, in % points (the reading that favours the claim), without retraining,
    for the largest model."""
    table = tables.method_table(frame)
    table = table[(table.what == SCORE) & table.model.map(kind).isin(setting.models)].dropna(subset=["change"])
    if table.empty:
        raise NotMeasured("answers of a model pruned by Taylor importance and of the whole one")
    found = table.loc[table.parameters.idxmax()]
    ends = [None if pd.isna(end) else -100 * float(end) for end in (found.change, found.change_high, found.change_low)]
    items = tables.accuracy_table(frame)
    n = int(items[(items.model == found.model) & (items.way == found.way)].n.iloc[0])
    others = "; ".join(f"{line.model} {number(-100 * line.change)} % points" for line in table.itertuples()
                       if line.model != found.model)
    return [Observation(Estimate(*ends, n, "% points", "accuracy lost by pruning"), _where(found), (found.model,),
                        "problems", found.model,
                        f"{number(100 * found.accuracy)} % of the answers are right; {number(found.added)} nats a token added"
                        + (f"; other models: {others}" if others else ""))]


def _where(line: pd.Series) -> str:
    return (f"{line.model}, {number(100 * line.removed_heads)} % of the heads and {number(100 * line.removed_neurons)} % of "
            "the MLP width removed")


QUANTITIES = {
    "pruned_compute_saved": Quantity(pruned_compute_saved, "size", 0.0, 100.0),
    "pruned_time_saved": Quantity(pruned_time_saved, "time", -math.inf, 100.0),
    "pruned_accuracy_lost": Quantity(pruned_accuracy_lost, "quality", -100.0, 100.0),
}
