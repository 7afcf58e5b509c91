"""The rows of 10_runtimes as tidy tables: times of each runtime, alone and beside another one on the same weights.

Beside a speed study's own tables (edgekit.analyze.roofline). A comparison pairs runs of the same round; its interval is over
them.
"""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import roofline, stats
from edgekit.analyze.once import once
from edgekit.analyze.roofline import LENGTHS, UNIT, ordered
from edgekit.analyze.rows import rows_of
from edgekit.schema import ENGINE

# What a runtime gains at, and the metric or sum of metrics that is compared
WHATS = ("first token", "decoding", "whole request")
ONCE = ("load_s", "peak_memory_bytes", "base_memory_bytes", "artifact_bytes")  # of a process, whatever its lengths


@once
def request_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, process and pair of lengths: `first token`, `decoding` and `whole request` in seconds."""
    rows = rows_of(frame, "speed", metrics=("ttft_s", "decode_s")).dropna(subset=LENGTHS)
    at = [*UNIT, "run", "repeat", "prompt_tokens"]
    first, rest = (rows.loc[rows.metric == metric, [*at, *more, "value"]]
                   for metric, more in (("ttft_s", []), ("decode_s", ["output_tokens"])))
    both = rest.merge(first, on=at, suffixes=("", "_first"), validate="many_to_one")
    both = both.rename(columns={"value": "decoding", "value_first": "first token"})
    return both.assign(**{"whole request": both["first token"] + both.decoding})


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each model at the longest prompt and output that all of its lines share with another."""
    most = table.groupby("model")[LENGTHS].transform("max")
    return table[(table[LENGTHS] == most).all(axis=1)]


@once
def runtime_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and cell at the longest lengths: seconds of a request and its parts, of loading, memory (the most of the
    process less what it held before), bytes on disk, and the share of the measured bandwidth (roofline.utilisation_table)."""
    columns = [*UNIT, *LENGTHS, *stats.with_ends("ttft_s", "decode_tok_per_s", "request_s", "load_s", "model_memory_bytes"),
               "artifact_bytes", *stats.with_ends("bandwidth_utilisation"), "void", "step_bytes", "n"]
    shares = roofline.utilisation_table(frame).set_index([*UNIT, *LENGTHS])
    facts = rows_of(frame, "speed", metrics=ONCE)
    lines = []
    for key, group in longest(request_rows(frame)).groupby([*UNIT, *LENGTHS]):
        line = dict(zip([*UNIT, *LENGTHS], key, strict=True)) | {"n": len(group)}
        line |= stats.ends_of("ttft_s", stats.rate_interval(group["first token"]))
        line |= stats.ends_of("decode_tok_per_s", stats.rate_interval((line["output_tokens"] - 1) / group.decoding))
        line |= stats.ends_of("request_s", stats.rate_interval(group["whole request"]))
        here = facts[(facts[UNIT] == pd.Series(line)[UNIT]).all(axis=1)]
        runs = here.pivot_table(index=["run", "repeat"], columns="metric", values="value")
        if "load_s" in runs:
            line |= stats.ends_of("load_s", stats.rate_interval(runs.load_s.dropna()))
        if {"peak_memory_bytes", "base_memory_bytes"} <= set(runs):
            line |= stats.ends_of("model_memory_bytes", stats.mean_interval(
                (runs.peak_memory_bytes - runs.base_memory_bytes).dropna()))
        if "artifact_bytes" in runs:
            line["artifact_bytes"] = runs.artifact_bytes.median()
        if key in shares.index:
            line |= shares.loc[key, [*stats.with_ends("bandwidth_utilisation"), "void", "step_bytes"]].to_dict()
        lines.append(line)
    return ordered(lines, columns, frame)


@once
def gain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, weights, runtime and what: how many times as fast it is as transformers on the same weights, at the
    longest lengths, paired by round. `same` says whether the weights are stored alike; where transformers was not measured with
    them, it is compared in the type that it was measured in, and bits are part of the gain."""
    keys = ["model", "threads", "device"]
    columns = [*keys, "engine", "dtype", "over", "same", "what", *stats.with_ends("gain"), "n"]
    rows = longest(request_rows(frame))
    lines = []
    for key, group in rows.groupby(keys):
        plain = group[group.engine == ENGINE]
        for (engine, dtype), runs in group[group.engine != ENGINE].groupby(["engine", "dtype"]):
            for over, base in plain.groupby("dtype"):
                if over != dtype and dtype in set(plain["dtype"]):
                    continue
                both = runs.merge(base, on=["repeat", *LENGTHS], suffixes=("", "_base"))
                for what in WHATS if len(both) else ():
                    gain = stats.ratio_interval(both[f"{what}_base"], both[what])
                    lines.append(dict(zip(keys, key, strict=True)) | dict(engine=engine, dtype=dtype, over=over,
                                      same=over == dtype, what=what, n=gain.n) | stats.ends_of("gain", gain))
    return ordered(lines, columns, frame)


@once
def batch_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, cell and number of prompts at a time: tokens a second of all of them, seconds until all have their first,
    and `gain`, those tokens a second over that of one prompt, paired by process."""
    unit = [name for name in UNIT if name != "batch"]
    columns = [*unit, "batch", *LENGTHS, *stats.with_ends("tok_per_s", "ttft_s", "gain"), "n"]
    rows = rows_of(frame, "batches", metrics=("ttft_s", "tpot_s"))
    lines = []
    for key, group in rows.groupby([*unit, "prompt_tokens"]):
        wide = group.pivot_table(index=["run", "repeat"], columns=["metric", "batch"], values="value")
        outputs = group.output_tokens.max()
        for batch in sorted(group.batch.dropna().unique()):
            step = wide["tpot_s"][batch].dropna()
            line = dict(zip([*unit, "prompt_tokens"], key, strict=True)) | dict(batch=batch, output_tokens=outputs, n=len(step))
            if (step <= 0).any():  # a difference of two runs that their noise has eaten
                continue
            line |= stats.ends_of("tok_per_s", stats.rate_interval(batch / step))
            line |= stats.ends_of("ttft_s", stats.rate_interval(wide["ttft_s"][batch].dropna()))
            if 1 in wide["tpot_s"] and (wide["tpot_s"][1] > 0).all():
                line |= stats.ends_of("gain", stats.ratio_interval(batch * wide["tpot_s"][1], wide["tpot_s"][batch]))
            lines.append(line)
    return ordered(lines, columns, frame)


@once
def thread_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, cell and number of threads: decode speed and time to first token at the longest lengths."""
    columns = [*UNIT, *LENGTHS, *stats.with_ends("decode_tok_per_s", "ttft_s"), "n"]
    rows = rows_of(frame, "threads", "speed", metrics=("ttft_s", "tpot_s")).dropna(subset=LENGTHS)
    scaled = rows_of(frame, "threads")[["model", "engine", "dtype"]].drop_duplicates()
    rows = rows.merge(scaled, on=["model", "engine", "dtype"])
    most = rows.groupby("model").prompt_tokens.transform("max")
    lines = []
    for key, group in rows[rows.prompt_tokens == most].groupby([*UNIT, "prompt_tokens"]):
        steps = group[group.metric == "tpot_s"]
        steps = steps[steps.output_tokens == steps.output_tokens.max()]
        line = dict(zip([*UNIT, "prompt_tokens"], key, strict=True))
        line |= dict(output_tokens=steps.output_tokens.max(), n=len(steps))
        line |= stats.ends_of("decode_tok_per_s", stats.rate_interval(1 / steps.value))
        line |= stats.ends_of("ttft_s", stats.rate_interval(group.loc[group.metric == "ttft_s", "value"]))
        lines.append(line)
    return ordered(lines, columns, frame)


@once
def acceleration_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, cell, acceleration and what (prefill or decoding): tokens a second, and how many times that is what the
    same cell does with the least of them (`gain`), paired by round. `kernel`: what ran, in the runtime's words."""
    unit = [name for name in UNIT if name != "batch"]
    columns = [*unit, "acceleration", "kernel", "what", *LENGTHS, *stats.with_ends("tok_per_s", "gain"), "over", "n"]
    rows = rows_of(frame, "acceleration", metrics=("ttft_s", "tpot_s")).dropna(subset=LENGTHS)
    lines = []
    for (*key, metric), group in rows.groupby([*unit, "metric"]):
        wide = group.pivot_table(index="repeat", columns="acceleration", values="value")
        at = group.drop_duplicates("acceleration").set_index("acceleration")
        tokens = group.prompt_tokens.max() if metric == "ttft_s" else 1
        least = next((one for one in LEAST if one in wide), None)
        for acceleration in sorted(wide, key=ORDER.index):
            here = wide[acceleration].dropna()
            line = dict(zip(unit, key, strict=True)) | dict(
                acceleration=acceleration, kernel=at.kernel[acceleration], what="prefill" if metric == "ttft_s" else "decoding",
                prompt_tokens=at.prompt_tokens[acceleration], output_tokens=at.output_tokens[acceleration], n=len(here))
            line |= stats.ends_of("tok_per_s", stats.rate_interval(tokens / here))
            both = wide[[least, acceleration]].dropna() if least not in (None, acceleration) else ()
            if len(both):
                line |= stats.ends_of("gain", stats.ratio_interval(both[least], both[acceleration])) | dict(over=least)
            lines.append(line)
    return ordered(lines, columns, frame)


ORDER = ("sse4", "avx2", "host only", "everything")  # of accelerations, from the least
LEAST = ORDER[:-1]
