"""The quantities by which claims about unoptimized models are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import roofline
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, Void, estimate_of, kind
from edgekit.analyze.stats import number
from edgekit.studies.baseline import tables


def decode_tok_per_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Decode tokens/s of each unit inside the setting at the longest output measured, the fastest first."""
    table = _inside(roofline.speed_table(frame).dropna(subset=["tpot_s"]), setting, "decode times")
    table = _largest(table).sort_values(["output_tokens", "prompt_tokens", "decode_tok_per_s"], ascending=False)
    return [Observation(estimate_of(found, "decode_tok_per_s", "tokens/s", "decode speed"), _where(found), (found.model,),
                        "repeats", _unit(found)) for _, found in table.drop_duplicates(roofline.UNIT).iterrows()]


def ttft_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Time to first token of each unit at the prompt length that favours the claim, since the claim does not name one."""
    table = _largest(_inside(roofline.speed_table(frame).dropna(subset=["ttft_s"]), setting, "times to first token"))
    outside = (accepted[0] - table.ttft_s).clip(lower=0) + (table.ttft_s - accepted[1]).clip(lower=0)
    found = []
    for _, line in table.loc[outside.sort_values(kind="stable").index].drop_duplicates(roofline.UNIT).iterrows():
        lengths = table[(table[roofline.UNIT] == line[roofline.UNIT]).all(axis=1)]
        note = ("the prompt length is not published, so the measured one nearest to the claim is taken; "
                + ", ".join(f"{one.prompt_tokens} tokens in: {number(one.ttft_s)} s" for one in lengths.itertuples()))
        found.append(Observation(estimate_of(line, "ttft_s", "s", "time to first token"), _where(line), (line.model,),
                                 "repeats", _unit(line), note))
    return found


def decode_over_prefill(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Decode time over time to first token of the same run, for the largest model and its fastest decoder."""
    table = _inside(tables.share_table(frame), setting, "decode and first-token times of the same run")
    table = table.assign(tpot_s=table.decode_s / (table.output_tokens - 1))
    fastest = table.loc[table.groupby("model").tpot_s.idxmin()]
    # Of one model and engine the longest output favours the claim: prefill is paid once.
    longest = table.merge(fastest[roofline.UNIT], on=roofline.UNIT).sort_values("output_tokens")
    longest = longest.groupby("model").tail(1)
    found = _largest(longest).iloc[0]
    share = estimate_of(found, "decode_share", "", "")
    note = f"decoding is {number(100 * share.value)} % of the time"
    others = longest[longest.model != found.model].sort_values("parameters", ascending=False)
    if len(others):
        note += "; smaller models: " + ", ".join(
            f"{line.model} {number(line.decode_over_prefill)}" for line in others.itertuples())
    return [Observation(estimate_of(found, "decode_over_prefill", "times", "decode over prefill"), _where(found),
                        (found.model,), "repeats", _unit(found), note)]


def bandwidth_utilisation(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the measured read bandwidth that the fastest engine reaches with the largest model."""
    table, found = _fastest_of_largest(frame, setting)
    _require_sound(found, "bandwidth_utilisation")
    note = "; ".join(_limited_by(line) for _, line in table[table.index != found.name].iterrows())
    return [Observation(estimate_of(found, "bandwidth_utilisation", "", "share of the memory bandwidth"), _where(found),
                        (found.model,), "repeats", _unit(found), note)]


def bandwidth_over_compute_utilisation(frame: pd.DataFrame, setting: Setting,
                                       accepted: tuple[float, float]) -> list[Observation]:
    """How much nearer decoding comes to the memory's limit than to that of arithmetic."""
    _, found = _fastest_of_largest(frame, setting)
    if pd.isna(found.flop_dtype):
        raise NotMeasured(f"the device's matrix-multiplication rate in a type that kernels for {found['dtype']} use")
    _require_sound(found, "memory_over_arithmetic")
    ratio = estimate_of(found, "memory_over_arithmetic", "times", "memory's share over arithmetic's share")
    return [Observation(ratio, _where(found), (found.model,), "repeats", _unit(found),
                        f"{number(100 * found.compute_utilisation)} % of {roofline.arithmetic_roof(found.flop_dtype)}")]


QUANTITIES = {
    "decode_tok_per_s": Quantity(decode_tok_per_s, "time"),
    "ttft_s": Quantity(ttft_s, "time"),
    "decode_over_prefill": Quantity(decode_over_prefill, "time"),
    "bandwidth_utilisation": Quantity(bandwidth_utilisation, "time"),
    "bandwidth_over_compute_utilisation": Quantity(bandwidth_over_compute_utilisation, "time"),
}


def _fastest_of_largest(frame: pd.DataFrame, setting: Setting) -> tuple[pd.DataFrame, pd.Series]:
    """The largest model's engines at the longest lengths that its fastest engine was measured at, and that engine.

    Raises NotMeasured where the last-level cache holds what a step of it reads: such a step does not read the memory.
    """
    table = _inside(roofline.utilisation_table(frame), setting, "decode times with the device's memory bandwidth")
    table = _largest(table)
    if table.cached.eq(True).all():
        raise NotMeasured(f"decode times of a model that the last-level cache does not hold ({table.model.iloc[0]} reads at "
                          f"most {number(table.step_bytes.max() / 1e6)} MB a step, and the cache holds them)")
    fastest = table.loc[[table.decode_tok_per_s.idxmax()], roofline.UNIT]
    lengths = table.merge(fastest, on=roofline.UNIT).sort_values(["output_tokens", "prompt_tokens"]).iloc[-1]
    table = table[(table.prompt_tokens == lengths.prompt_tokens) & (table.output_tokens == lengths.output_tokens)]
    return table, table.loc[table.decode_tok_per_s.idxmax()]


def _require_sound(line: pd.Series, share: str) -> None:
    """Raise Void where a share of a roof, or what is made of it, was found void."""
    if line.void and pd.isna(line[share]):
        raise Void(f"{_where(line)}: {line.void}")


def _limited_by(line: pd.Series) -> str:
    if line.void:
        return f"{line.engine} in {line['dtype']} {line.void}"
    reached = f"{line.engine} in {line['dtype']} reaches {number(100 * line.bandwidth_utilisation)} % of the bandwidth"
    if pd.isna(line.compute_utilisation):
        return reached
    reached += f" and {number(100 * line.compute_utilisation)} % of the arithmetic"
    neither = max(line.bandwidth_utilisation, line.compute_utilisation) < 0.5
    return reached + (": neither limits it, its own overhead does" if neither else "")


def _inside(table: pd.DataFrame, setting: Setting, needed: str) -> pd.DataFrame:
    """The lines of a table that lie in the setting. Raises NotMeasured with what was asked for."""
    table = table[(table.batch == 1) & table.model.map(kind).isin(setting.models)]
    asked = [f"models {' or '.join(setting.models)}"]
    if setting.parameters:
        table = table[table.parameters.between(*setting.parameters)]
        asked.append("{:.3g} to {:.3g} billion parameters".format(*(end / 1e9 for end in setting.parameters)))
    for column, allowed in (("engine", setting.engines), ("dtype", setting.dtypes)):
        if allowed:
            table = table[table[column].isin(allowed)]
            asked.append(f"{column} {' or '.join(allowed)}")
    if setting.output_tokens:
        table = table[table.output_tokens.between(*setting.output_tokens)]
        asked.append("{:,} to {:,} tokens out".format(*setting.output_tokens))
    if table.empty:
        raise NotMeasured(f"{needed} ({', '.join(asked)})")
    if setting.prompt_tokens:
        distance = (table.prompt_tokens - setting.prompt_tokens).abs()
        table = table[distance == distance.groupby(table.model).transform("min")]
    return table


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the largest model; a pocket model only where there is no other."""
    large = table[table.model.map(kind) != "pocket"]
    table = large if len(large) else table
    return table[table.parameters == table.parameters.max()]


def _unit(line: pd.Series) -> str:
    return ", ".join(str(line[name]) for name in roofline.UNIT)


def _where(line: pd.Series) -> str:
    lengths = f"{line.prompt_tokens:,} tokens in"
    if line.output_tokens > 1:
        lengths += f", {line.output_tokens:,} out"
    return f"{line.model}, {line.engine} {line['dtype']}, {line.device}, {line.threads} threads, {lengths}"
