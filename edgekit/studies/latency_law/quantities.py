"""The quantities by which claims about laws of time and power are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.law_forms import QUADRATIC_PADDED, STEPS_LESS, STEPS_O
from edgekit.analyze.laws import Law
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.roofline import UNIT
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import number
from edgekit.studies.latency_law.tables import error_table

LARGER = 5  # times: sizes of models between which energy is compared at least
LONGER = 8  # times: output lengths between which power is compared at least


def prefill_law_error(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Error of the published prefill law at prompt lengths that it was not fitted to, of each unit, the least first."""
    return _errors(frame, setting, "prefill", (QUADRATIC_PADDED,))


def decode_law_error(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Error of the published decode law at lengths that it was not fitted to, of each unit, the least first, by the count of
    steps that favours it."""
    return _errors(frame, setting, "decode", (STEPS_O, STEPS_LESS))


def _errors(frame: pd.DataFrame, setting: Setting, phase: str, known: Iterable[Law]) -> list[Observation]:
    table = error_table(frame)
    table = table[(table.phase == phase) & table.model.map(kind).isin(setting.models)]
    if (table.model.map(kind) != "pocket").any():  # whose times are those of a cache and of calls
        table = table[table.model.map(kind) != "pocket"]
    judged = table[table.law.isin([law.name for law in known]) & (table.refused == "")]
    if judged.empty:
        raise NotMeasured(f"times of {phase} over enough lengths (models {' or '.join(setting.models)})")
    best = table[table.best.eq(True)].set_index(UNIT)
    found = []
    for _, line in judged.sort_values("error", kind="stable").drop_duplicates(UNIT).iterrows():
        least = best.loc[[tuple(line[name] for name in UNIT)]].iloc[0]
        note = f"{line.law}; the best law there is {least.law} with {number(least.error)} %"
        if line.outliers:
            note += f"; {line.outliers} points marked as outliers"
        found.append(Observation(estimate_of(line, "error", "%", f"held-out error of the law of {phase}"), _where(line),
                                 (line.model,), "repeats", _unit(line), note))
    return found


def decode_power_ratio(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Mean power of decoding at the longest output over that at the shortest, of each unit and sensor, the largest first."""
    rows = rows_of(frame, "energy", metrics=("energy_j", "window_s"))
    rows = rows[(rows.phase == "decode") & rows.model.map(kind).isin(setting.models)]
    found = []
    for key, part in rows.groupby([*UNIT, "scope", "origin"], dropna=False):
        line = pd.Series(dict(zip([*UNIT, "scope", "origin"], key, strict=True)))
        shortest = part[part.prompt_tokens == part.prompt_tokens.min()]
        runs = shortest.pivot_table(index=["run", "repeat", "output_tokens"], columns="metric", values="value")
        power = (runs.energy_j / runs.window_s).unstack("output_tokens").dropna()
        if power.empty or power.columns.max() < LONGER * power.columns.min():
            continue
        few, many = power.columns.min(), power.columns.max()
        ratio = stats.ratio_interval(power[many], power[few], unit="times", what="power, longest over shortest output")
        found.append(Observation(ratio, f"{_where(line)}, {many:,.0f} over {few:,.0f} tokens out, sensor {line.scope} "
                                 f"({line.origin})", (line.model,), "repeats", _unit(line)))
    if not found:
        raise NotMeasured(f"power of decoding over outputs that differ {LONGER} times, from an energy sensor")
    return sorted(found, key=lambda one: -one.estimate.value)


def decode_energy_ratio(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Energy a token of decoding, idle power included, of the largest model over that of the smallest in the same engine and
    weights, by the same sensor, at the longest lengths that both were measured at; the one that favours the claim first."""
    rows = rows_of(frame, "energy", metrics=("energy_j",))
    rows = rows[(rows.phase == "decode") & rows.model.map(kind).isin(setting.models)]
    sizes = rows_of(frame, "speed", metrics=("parameters",)).groupby("model")["value"].median()
    rows = rows.assign(joule=rows.value / (rows.output_tokens - 1), parameters=rows.model.map(sizes)).dropna(
        subset=["parameters"])
    found = []
    for (engine, dtype, scope, origin), part in rows.groupby(["engine", "dtype", "scope", "origin"]):
        small, large = (part[part.parameters == end] for end in (part.parameters.min(), part.parameters.max()))
        shared = set(zip(small.prompt_tokens, small.output_tokens, strict=True)) & set(
            zip(large.prompt_tokens, large.output_tokens, strict=True))
        if large.parameters.iloc[0] < LARGER * small.parameters.iloc[0] or not shared:
            continue
        prompt, output = max(shared, key=lambda one: (one[1], one[0]))
        runs = [one[(one.prompt_tokens == prompt) & (one.output_tokens == output)].joule for one in (large, small)]
        names = large.model.iloc[0], small.model.iloc[0]
        ratio = stats.unpaired_ratio_interval(*runs, unit="times", what="energy a token, largest over smallest model")
        where = f"{names[0]} over {names[1]}, {engine} {dtype}, {output:,.0f} tokens out, sensor {scope} ({origin})"
        found.append(Observation(ratio, where, names, "repeats", f"{engine}, {dtype}"))
    if not found:
        raise NotMeasured(f"energy of decoding of two models whose sizes differ {LARGER} times, from an energy sensor")
    return sorted(found, key=lambda one: one.estimate.value)


QUANTITIES = {
    "prefill_law_error": Quantity(prefill_law_error, "time"),
    "decode_law_error_here": Quantity(decode_law_error, "time"),
    "decode_energy_ratio": Quantity(decode_energy_ratio, "time"),
    "decode_power_ratio": Quantity(decode_power_ratio, "time", high=math.inf),
}


def _unit(line: pd.Series) -> str:
    return ", ".join(str(line[name]) for name in UNIT)


def _where(line: pd.Series) -> str:
    return f"{line.model}, {line.engine} {line['dtype']}, {line.device}, {line.threads:.0f} threads"
