"""What quantized weights buy on each runtime: times, memory and energy of shapes, and speed-ups over one starting point."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import roofline, stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of

BASELINE = ("transformers", "bfloat16")  # engine and weights that speeds are compared with
SIXTEEN = ("bfloat16", "float16")  # 16-bit weights: an engine has one of them


def speed_tables(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`roofline.utilisation_table` of the shapes with `weights` for dtype; and speed-ups, paired by repeat, of every engine and
    kind of weights over transformers in bfloat16 with as many threads: decode speed-up and that of the first token."""
    speeds = _by_weights(frame, "speed", "device")
    return roofline.utilisation_table(speeds), _speed_ups(speeds)


@once
def runtime_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a shape, number of threads, engine and kind of weights: ttft_s, tpot_s, decode_tok_per_s, memory_bytes (the peak
    over the process before it loaded anything), weight_bytes, bandwidth_utilisation, the speed-ups of `speed_tables`, and the
    kernel that ran, in the runtime's own words."""
    speeds = _by_weights(frame, "speed", "device")
    key = ["model", "threads", "engine", "dtype"]
    means = speeds[speeds.task == "speed"].pivot_table(index=key, columns="metric", values="value", aggfunc="mean")
    means = means.reindex(columns=["ttft_s", "tpot_s", "peak_memory_bytes", "base_memory_bytes", "weight_bytes"]).reset_index()
    means["memory_bytes"] = means.peak_memory_bytes - means.base_memory_bytes
    named = speeds.assign(kernel=speeds.get("kernel")).dropna(subset=["kernel"]).drop_duplicates(key)
    means = means.merge(named[[*key, "kernel"]], on=key, how="left")
    used, speed_ups = speed_tables(frame)
    table = means.merge(used[[*key, "parameters", *stats.with_ends("decode_tok_per_s", "bandwidth_utilisation")]], on=key,
                        how="left").rename(columns={"dtype": "weights"})
    table = table.merge(speed_ups, on=["model", "threads", "engine", "weights"], how="left")
    order = ["parameters", "threads", "engine", "weight_bytes"]
    return table.drop(columns=["peak_memory_bytes", "base_memory_bytes"]).sort_values(
        order, ascending=[True, False, True, False], kind="stable").reset_index(drop=True)


def _by_weights(frame: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    """The rows of these tasks with the kind of weights for dtype, which is what formats of 4 bits are told apart by."""
    rows = frame[frame.task.isin(kinds)].copy()
    return rows.assign(dtype=rows.weights.fillna(rows["dtype"])) if "weights" in rows else rows.assign(dtype="")


def _speed_ups(speeds: pd.DataFrame) -> pd.DataFrame:
    columns = ["model", "threads", "engine", "weights", *stats.with_ends("speed_up", "first_token"), "n"]
    lines = []
    timed = speeds[speeds.metric.isin(["tpot_s", "ttft_s"])] if len(speeds) else speeds
    for (model, threads), here in timed.groupby(["model", "threads"]) if len(timed) else ():
        times = here.pivot_table(index="repeat", columns=["metric", "engine", "dtype"], values="value")
        for engine, weights in sorted(set(zip(here.engine, here.dtype, strict=True))):
            line = dict(model=model, threads=threads, engine=engine, weights=weights)
            for metric, name in (("tpot_s", "speed_up"), ("ttft_s", "first_token")):
                if (metric, *BASELINE) in times and (metric, engine, weights) in times:
                    both = times[[(metric, *BASELINE), (metric, engine, weights)]].dropna()
                    if len(both):
                        ratio = stats.ratio_interval(both.iloc[:, 0], both.iloc[:, -1])
                        line |= stats.ends_of(name, ratio) | {"n": ratio.n}
            lines.append(line)
    return pd.DataFrame(lines, columns=columns).assign(source="measured")


@once
def gain_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """What fewer bits gain within a runtime, a line a shape, number of threads, engine, kind of quantized weights and repeat:
    gain (decode time of the engine's 16-bit weights over that of these, of the same repeat) and fewer_bytes (bytes of the
    former over those of the latter, which is the gain if reading weights were all that a step does)."""
    columns = ["model", "threads", "engine", "weights", "repeat", "gain", "fewer_bytes", "parameters"]
    speeds = rows_of(frame, "speed", metrics=("tpot_s", "weight_bytes", "parameters"))
    lines = []
    for (model, threads, engine), here in speeds.groupby(["model", "threads", "engine"]):
        times, sizes = (here[here.metric == name].pivot_table(index="repeat", columns="weights", values="value")
                        for name in ("tpot_s", "weight_bytes"))
        whole = next((name for name in SIXTEEN if name in times), None)
        parameters = here[here.metric == "parameters"].value.max()
        for weights in times if whole else ():
            if weights in (*SIXTEEN, "float32"):
                continue
            both = times[[whole, weights]].dropna()
            fewer = sizes[whole].mean() / sizes[weights].mean() if {whole, weights} <= set(sizes) else float("nan")
            lines += [dict(model=model, threads=threads, engine=engine, weights=weights, repeat=repeat, gain=gain,
                           fewer_bytes=fewer, parameters=parameters)
                      for repeat, gain in (both[whole] / both[weights]).items()]
    return pd.DataFrame(lines, columns=columns)


def gain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`gain_rows` with their interval over repeats, a line a shape, engine and kind of weights, at the most threads: the
    smallest shape first, and the largest file first within an engine."""
    columns = ["model", "engine", "weights", *stats.with_ends("gain"), "fewer_bytes", "n", "parameters", "source"]
    lines = []
    for key, here in with_most_threads(gain_rows(frame)).groupby(columns[:3]):
        found = stats.rate_interval(here.gain)
        lines.append(dict(zip(columns[:3], key, strict=True)) | stats.ends_of("gain", found) | dict(
            fewer_bytes=here.fewer_bytes.iloc[0], n=found.n, parameters=here.parameters.iloc[0], source="measured"))
    table = pd.DataFrame(lines, columns=columns).astype({"gain_low": float, "gain_high": float})
    return table.sort_values(["parameters", "model", "engine", "fewer_bytes", "weights"], kind="stable", ignore_index=True)


def with_most_threads(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each model that were timed with the most threads, which are those that the study asks for."""
    return table[table.threads == table.groupby("model").threads.transform("max")]


def energy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`roofline.energy_table` of the shapes with `weights` for dtype; no lines where no sensor was read."""
    return roofline.energy_table(_by_weights(frame, "energy"))
