"""Which technique the pipeline's gain and its loss belong to, and how far gains multiply. Columns as in tables.py."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from edgekit.analyze import attribution, stats
from edgekit.analyze.attribution import Attribution, Unattributable
from edgekit.analyze.once import once
from edgekit.schema import BITS, DRAFT, PRUNING, RUNTIME, TECHNIQUES
from edgekit.studies.pipeline import tables
from edgekit.studies.pipeline.tables import Subset

SPEED, LOSS = "speed", "accuracy lost"
JOINED = f"{RUNTIME} and {BITS}"  # where the baseline's runtime has no format of few bits
ALL = "all together"
FAST, SLOW = "fast runtime", "baseline's runtime"
PAPERS_STEPS = ("+ quantization", "+ pruning", "+ drafting")  # of the document's figure; the runtime is none of its stages
REDUCED = (BITS, PRUNING, DRAFT)  # what the document says multiplies


def attributed(values: Mapping[Subset, np.ndarray]) -> Attribution:
    """The shares of the techniques that were measured; runtime and bits are one where no set has bits without the runtime.
    Raises Unattributable."""
    players = [name for name in TECHNIQUES if any(name in subset for subset in values)]
    if not any(BITS in subset and RUNTIME not in subset for subset in values):
        values = attribution.together(values, RUNTIME, BITS, JOINED)
        players = [JOINED, *(name for name in players if name not in (RUNTIME, BITS))]
    return attribution.attribute(players, values)


@once
def share_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, `of` (SPEED or LOSS) and technique, and one of ALL: `share`, of the logarithm of the speed-up, or of the
    loss in % of the baseline's right answers. times: e to the share, of a speed. part: % of the whole. orders of `possible`
    were measured throughout; missing: sets that were not. n: repeats, or items."""
    lines = []
    for model in tables.models(frame):
        outcomes = tables.right(frame, model)
        whole = outcomes.get(frozenset())
        asked = [(SPEED, tables.log_speeds(frame, model))]
        if whole is not None and whole.sum():
            asked.append((LOSS, {subset: whole - values for subset, values in outcomes.items()}))
        for of, values in asked:
            try:
                found = attributed(values)
            except Unattributable:
                continue
            lines += [dict(model=model, of=of) | line for line in _lines(found, of, whole)]
    columns = ["model", "of", "technique", *stats.with_ends("share", "times"), "part", "orders", "possible", "missing", "n"]
    table = pd.DataFrame(lines, columns=columns).assign(source="measured")
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})


def _lines(found: Attribution, of: str, whole: np.ndarray | None) -> list[dict]:
    total = sum(found.shares.values())
    told = dict(orders=len(found.orders), possible=found.possible, n=len(total),
                missing="; ".join(" + ".join(one) for one in found.missing))
    lines = []
    for name, samples in {**found.shares, ALL: total}.items():
        line = dict(technique=name, part=100 * float(samples.mean() / total.mean()) if total.mean() else math.nan) | told
        if of == SPEED:
            share = stats.mean_interval(samples)
            line |= stats.ends_of("share", share)
            line |= {f"times{end}": None if value is None else math.exp(value)
                     for end, value in zip(("", "_low", "_high"), (share.value, share.low, share.high), strict=True)}
        else:
            line |= stats.ends_of("share", _of_answers(samples, whole))
        lines.append(line)
    return lines


def _of_answers(samples: np.ndarray, whole: np.ndarray) -> stats.Estimate:
    """% of the baseline's right answers, items as the samples; no interval where no item differs, since that says nothing."""
    found = stats.percent(stats.ratio_of_sums(samples, whole))
    return found if samples.any() else stats.Estimate(found.value, None, None, found.n, "%")


@once
def product_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and runtime in which quantization, pruning and drafting were measured alone and together: each one's gain
    (`bits`, `pruning`, `draft`), their `product`, the gain of all (`joint`), and `ratio`, joint over product, paired by
    repeat: one where gains multiply."""
    lines = []
    for model in tables.models(frame):
        values = tables.log_speeds(frame, model)
        for base, name in ((frozenset({RUNTIME}), FAST), (frozenset(), SLOW)):
            try:
                beyond = attribution.interaction(values, base, REDUCED)
            except Unattributable:
                continue
            line = dict(model=model, runtime=name, n=len(beyond)) | stats.ends_of("ratio", _times(beyond))
            for player in REDUCED:
                line |= stats.ends_of(player, _times(values[base | {player}] - values[base]))
            joint = values[base | set(REDUCED)] - values[base]
            lines.append(line | stats.ends_of("joint", _times(joint)) | stats.ends_of("product", _times(joint - beyond)))
    columns = ["model", "runtime", *stats.with_ends(*REDUCED, "product", "joint", "ratio"), "n"]
    table = pd.DataFrame(lines, columns=columns).assign(source="measured")
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})


def _times(logs: np.ndarray) -> stats.Estimate:
    return stats.rate_interval(np.exp(logs), unit="times")


@once
def step_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and step of its stages: `gain` of a stage over the one before, paired by repeat. The baseline is the
    fastest one, and drafting's draft is chosen as in tables.py."""
    lines = []
    for model in tables.models(frame):
        values = tables.log_speeds(frame, model)
        stages = [(frozenset(), tables.FASTEST), *tables.STEPS.items()]
        for (before, _), (after, name) in zip(stages, stages[1:], strict=False):
            if before in values and after in values:
                gain = _times(values[after] - values[before])
                lines.append(dict(model=model, stage=name, n=gain.n) | stats.ends_of("gain", gain))
    table = pd.DataFrame(lines, columns=["model", "stage", *stats.with_ends("gain"), "n"]).assign(source="measured")
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
