"""The quantities by which claims about order and whole chains are judged; see quantities.py for what one takes and gives."""

from __future__ import annotations

import math

import pandas as pd

from edgekit.analyze import distillation
from edgekit.analyze.observed import NotMeasured, Observation, Setting, estimate_of, kind
from edgekit.analyze.stats import Estimate, number

PAPERS_POINT = "0.2/0.15"
FOUR_BITS = "Q4_0"
TENTH = 9.5  # times smaller: ten, as a round number


def prune_first_over_quantize_first(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> Observation:
    """Divergence of pruning before quantizing over that of pruning after it, at the paper's point, in 4 bits: above 1 the
    paper's order loses less."""
    table = distillation.order_table(frame)
    table = table[table.model.map(kind).isin(setting.models)]
    here = table[(table.pruning == PAPERS_POINT) & (table.quantization == FOUR_BITS)]
    if here.empty:
        raise NotMeasured(f"both orders of pruning {PAPERS_POINT} and quantizing to {FOUR_BITS}")
    found = here.iloc[-1]
    others = "; ".join(f"{line.pruning} in {line.quantization} {number(line.ratio)}"
                       for line in table.drop(found.name).itertuples())
    return Observation(estimate_of(found, "ratio", "times", "loss of pruning first over that of quantizing first"),
                       f"{found.model}, heads/MLP {found.pruning} removed, {found.quantization}, over {found.over}",
                       kind(found.model), f"elsewhere: {others}" if others else "")


def chain_compression(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> Observation:
    """How many times smaller the smallest chain of all three steps is than the whole model in 16 bits. Counted from files, so
    its interval is the value itself."""
    found = _chains(frame, setting).sort_values("smaller").iloc[-1]
    smaller = float(found.smaller)
    return Observation(Estimate(smaller, smaller, smaller, 1, "times", "bytes of the whole model over those of the chain"),
                       _where(found), kind(found.model))


def accuracy_retained_at_a_tenth(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> Observation:
    """Accuracy kept by the best chain of all three steps that is ten times smaller, in % of the whole model's."""
    table = _chains(frame, setting).dropna(subset=["retained"])
    table = table[table.smaller >= TENTH]
    if table.empty:
        raise NotMeasured("accuracy of a chain of pruning, distillation and quantization at a tenth of the bytes")
    found = table.loc[table.retained.idxmax()]
    estimate = estimate_of(found.drop("n").rename({"items": "n"}), "retained", "%", "accuracy kept at a tenth of the bytes")
    return Observation(estimate, _where(found), kind(found.model), f"{number(found.kl)} nats a token from the whole model")


def _chains(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    table = distillation.all_three(distillation.chain_table(frame))
    table = table[table.model.map(kind).isin(setting.models)]
    if table.empty:
        raise NotMeasured("a chain of pruning, distillation and quantization")
    return table


def _where(line: pd.Series) -> str:
    return f"{line.model}, {distillation.stages(line)}, {number(line.smaller)} times smaller"


QUANTITIES = {
    "prune_first_over_quantize_first": prune_first_over_quantize_first,
    "chain_compression": chain_compression,
    "accuracy_retained_at_a_tenth": accuracy_retained_at_a_tenth,
}
DOMAINS = dict.fromkeys(QUANTITIES, (0.0, math.inf))
