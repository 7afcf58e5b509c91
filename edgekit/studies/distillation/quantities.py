"""The quantities by which claims about order and whole chains are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import Estimate, number
from edgekit.studies.distillation import tables

TENTH = 9.5  # times smaller: ten, as a round number


def prune_first_over_quantize_first(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Divergence of pruning before quantizing over that of pruning after it, at the paper's point, in 4 bits: above 1 the
    paper's order loses less."""
    table = tables.order_table(frame)
    table = table[table.model.map(kind).isin(setting.models)]
    here = table[(table.pruning == tables.PAPERS_POINT) & (table.quantization == tables.FOUR_BITS)]
    if here.empty:
        raise NotMeasured(f"both orders of pruning {tables.PAPERS_POINT} and quantizing to {tables.FOUR_BITS}")
    found = here.iloc[-1]
    others = "; ".join(f"{line.pruning} in {line.quantization} {number(line.ratio)}"
                       for line in table.drop(found.name).itertuples())
    what = f"{found.model}, heads/MLP {found.pruning} removed, {found.quantization}"
    return [Observation(estimate_of(found, "ratio", "times", "loss of pruning first over that of quantizing first"),
                        f"{what}, over {found.over}", (found.model,), found.over, what,
                        f"elsewhere: {others}" if others else "")]


def chain_compression(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """How many times smaller each chain of all three steps is than the whole model in 16 bits, the smallest first. Counted from
    files, so its interval is the value itself."""
    seen = []
    for _, found in _chains(frame, setting).sort_values("smaller", ascending=False, kind="stable").iterrows():
        smaller = float(found.smaller)
        seen.append(Observation(
            Estimate(smaller, smaller, smaller, 1, "times", "bytes of the whole model over those of the chain"),
            _where(found), (found.model,), "", _where(found)))
    return seen


def accuracy_retained_at_a_tenth(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy kept by each chain of all three steps that is ten times smaller, in % of the whole model's, the best first."""
    table = _chains(frame, setting).dropna(subset=["retained"])
    table = table[table.smaller >= TENTH]
    if table.empty:
        raise NotMeasured("accuracy of a chain of pruning, distillation and quantization at a tenth of the bytes")
    return [Observation(estimate_of(found.drop("n").rename({"items": "n"}), "retained", "%",
                                    "accuracy kept at a tenth of the bytes"),
                        _where(found), (found.model,), "problems", _where(found),
                        f"{number(found.kl)} nats a token from the whole model")
            for _, found in table.sort_values("retained", ascending=False, kind="stable").iterrows()]


def _chains(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    table = tables.all_three(tables.chain_table(frame))
    table = table[table.model.map(kind).isin(setting.models)]
    if table.empty:
        raise NotMeasured("a chain of pruning, distillation and quantization")
    return table


def _where(line: pd.Series) -> str:
    return f"{line.model}, {tables.stages(line)}, {number(line.smaller)} times smaller"


QUANTITIES = {
    "prune_first_over_quantize_first": Quantity(prune_first_over_quantize_first, "quality"),
    "chain_compression": Quantity(chain_compression, "size"),
    "accuracy_retained_at_a_tenth": Quantity(accuracy_retained_at_a_tenth, "quality"),
}
