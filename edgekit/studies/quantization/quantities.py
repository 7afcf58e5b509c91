"""The quantities by which claims about quantization are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import math

import pandas as pd

from edgekit.analyze import losses, stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.rows import in_reference
from edgekit.analyze.stats import Estimate, number
from edgekit.studies.quantization import tables, tables_speed

W4A16 = ("awq", "gptq")  # stored in 4 bits, multiplied in 16


def awq_lead(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Lead of AWQ over GPTQ in perplexity where it is least: the claim says that there always is one."""
    table = _leads(frame, setting)
    found = table.loc[table.lead.idxmin()]
    others = "; ".join(f"{line.model} {number(line.lead)} %" for line in table.itertuples() if line.model != found.model)
    return [Observation(estimate_of(found, "lead", "%", "least lead of AWQ over GPTQ in perplexity"), _where(found),
                        (found.model,), found.over, _how(found), f"other models: {others}" if others else "")]


def awq_lead_smaller_over_larger(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Lead of AWQ over GPTQ in the smallest model less that in the largest, in % points."""
    table = _leads(frame, setting).sort_values("parameters")
    if len(table) < 2:
        raise NotMeasured("AWQ and GPTQ on models of two sizes")
    small, large = table.iloc[0], table.iloc[-1]
    difference = Estimate(small.lead - large.lead, *_apart(small, large), int(min(small.n, large.n)), "% points",
                          "lead of AWQ in the smallest model less that in the largest")
    over = small.over if small.over == large.over else "texts"
    return [Observation(difference, f"{_where(small)} and {large.model}", (small.model, large.model), over, _how(small))]


def _leads(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Leads with the main calibration, at the bits and group that most models have, a line a model. Of equals, the one over
    seeds."""
    table = tables.main_leads(frame)
    table = table[table.model.map(kind).isin(setting.models)]
    if table.empty:
        raise NotMeasured("AWQ and GPTQ on the same model with the same calibration")
    same = ["bits", "group"]
    groups = table.groupby(same)
    repeated = groups.over.agg(lambda over: (over == "seeds").mean() / 2)  # less than one model more
    return table.set_index(same).loc[[(groups.model.nunique() + repeated).idxmax()]].reset_index()


def _apart(a: pd.Series, b: pd.Series) -> tuple[float | None, float | None]:
    """Ends of the difference of two independent leads, from the half-widths of their intervals (root of the squares)."""
    if pd.isna(a.lead_low) or pd.isna(b.lead_low):
        return None, None
    half = math.hypot(a.lead_high - a.lead_low, b.lead_high - b.lead_low) / 2
    return a.lead - b.lead - half, a.lead - b.lead + half


def awq_accuracy_retained(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy that AWQ at 4 bits keeps of the unquantized model's, for the largest model, at each group, the best first."""
    table = tables.main_part(losses.accuracy_table(frame))
    table = _largest(_awq(table[table.model.map(kind).isin(setting.models)].dropna(subset=["retained"]), "accuracy of AWQ"))
    return [Observation(estimate_of(found, "retained", "%", "accuracy kept by AWQ"), _where(found), (found.model,),
                        "problems", _where(found), f"{number(100 * found.accuracy)} % of the answers are right")
            for _, found in table.sort_values("retained", ascending=False, kind="stable").iterrows()]


def awq_memory_saved(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the bytes of 16-bit weights that AWQ's checkpoint saves, scales, zero points and embeddings counted, for the
    largest model, at each group, the smallest file first. Counted from files, so its interval is the value itself."""
    table = tables.main_part(losses.loss_table(frame))
    table = _awq(table[table.model.map(kind).isin(setting.models)].dropna(subset=["stored_bits"]), "files of AWQ")
    seen = []
    for _, found in _largest(table).sort_values("stored_bits", kind="stable").iterrows():
        saved = 100 * (1 - found.stored_bits / 16)
        seen.append(Observation(Estimate(saved, saved, saved, 1, "%", "memory saved by AWQ"), _where(found), (found.model,),
                                "", _where(found), f"{number(found.stored_bits)} bits a weight in all"))
    return seen


def w4a16_speed_up(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Decode speed of 4-bit weights with 16-bit activations over 16-bit weights in the same runtime, in the runtime and format
    that gain most, for the largest model."""
    found = _gains(frame, setting).sort_values(["parameters", "gain"]).iloc[-1]
    where = f"{found.model}, {found.engine}, {found.weights}"
    return [Observation(estimate_of(found, "gain", "times", "decode speed-up of 4-bit weights"), where, (found.model,),
                        "repeats", where)]


def w4a16_speed_up_larger_over_smaller(frame: pd.DataFrame, setting: Setting,
                                       accepted: tuple[float, float]) -> list[Observation]:
    """That speed-up in the largest model over that in the smallest, in the same runtime and format, where it is greatest."""
    table = _gains(frame, setting).sort_values("parameters")
    if table.parameters.nunique() < 2:
        raise NotMeasured("4-bit and 16-bit weights in one runtime on models of two sizes")
    best = table.sort_values(["parameters", "gain"]).iloc[-1]
    same = table[(table.engine == best.engine) & (table.weights == best.weights)]
    small = same.iloc[0]
    if small.model == best.model:
        raise NotMeasured(f"{best.engine} with {best.weights} weights on models of two sizes")
    ratio = stats.unpaired_ratio_interval(best.samples, small.samples, unit="times",
                                          what="speed-up of 4-bit weights in the largest model over the smallest")
    return [Observation(ratio, f"{best.model} and {small.model}, {best.engine}, {best.weights}", (best.model, small.model),
                        "repeats", f"{best.model}, {best.engine}, {best.weights}")]


def _gains(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """A line a model, engine and 4-bit format: decode speed over the same engine's 16-bit weights, paired by repeat."""
    lines = []
    speeds = tables_speed.gain_rows(frame)
    speeds = tables_speed.with_most_threads(speeds[speeds.model.map(kind).isin(setting.models)])
    for (model, engine, weights), here in speeds[speeds.weights.isin(W4A16)].groupby(["model", "engine", "weights"]):
        lines.append(dict(model=model, engine=engine, weights=weights, samples=here.gain.to_numpy(), n=len(here),
                          parameters=here.parameters.iloc[0]) | stats.ends_of("gain", stats.rate_interval(here.gain)))
    if not lines:
        raise NotMeasured("decode times of AWQ or GPTQ weights and of 16-bit weights in the same runtime "
                          f"(models {' or '.join(setting.models)})")
    return pd.DataFrame(lines)


def w4a16_accuracy_change(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Change of accuracy, in % points, of AWQ at 4 bits, for the largest trained model, at the group that favours it."""
    table = tables.main_part(losses.accuracy_table(frame))
    table = _largest(_awq(table[table.model.map(kind) != "shape"].dropna(subset=["change"]), "accuracy of AWQ"))
    found = table.loc[table.change.idxmax()]
    change = stats.percent(estimate_of(found, "change", "", "change of accuracy by AWQ"), "% points")
    return [Observation(change, _where(found), (found.model,), "problems", _where(found))]


def _awq(table: pd.DataFrame, needed: str) -> pd.DataFrame:
    """AWQ at 4 bits in the reference engine. Raises NotMeasured."""
    table = table[(table.method == "awq") & (table.bits == "4") & in_reference(table)]
    if table.empty:
        raise NotMeasured(f"{needed} at 4 bits")
    return table


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.parameters == table.parameters.max()]


def _how(line: pd.Series) -> str:
    return f"{line.bits} bits, groups of {line.group}, calibrated on {line.samples} texts of {line.calibration}"


def _where(line: pd.Series) -> str:
    return f"{line.model}, {_how(line)}"


QUANTITIES = {
    "awq_lead": Quantity(awq_lead, "quality", -100.0),
    "awq_lead_smaller_over_larger": Quantity(awq_lead_smaller_over_larger, "quality", -math.inf),
    "awq_accuracy_retained": Quantity(awq_accuracy_retained, "quality"),
    "awq_memory_saved": Quantity(awq_memory_saved, "size", -math.inf, 100.0),
    "w4a16_speed_up": Quantity(w4a16_speed_up, "time"),
    "w4a16_speed_up_larger_over_smaller": Quantity(w4a16_speed_up_larger_over_smaller, "time"),
    "w4a16_accuracy_change": Quantity(w4a16_accuracy_change, "quality", -100.0, 100.0),
}
