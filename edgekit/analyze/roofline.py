"""The rows of a speed study as tidy tables, and what the device would allow beside what was seen.

Decoding one token reads all weights once and the keys and values of every earlier token (the law behind the
decode model of EdgeReasoning, arXiv 2511.01866: time a token = n + m * context, with n the weight bytes and m
the key-value bytes of one token over the bandwidth). So bytes a step over the *measured* read bandwidth is a
ceiling, and the share of it that was reached says whether memory is the limit.

Every table has one line a condition, sorted from the smallest model to the largest. A column `x` has its 95 %
interval in `x_low` and `x_high` (empty for one run) and `n` counts the runs. `source` stays a column, so
measured and modelled numbers are never averaged together. A study without the rows that a table needs gives
that table without lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats as distributions

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of

UNIT = ["model", "engine", "dtype", "threads", "batch", "device", "source"]
LENGTHS = ["prompt_tokens", "output_tokens"]
CONDITION = [*UNIT, *LENGTHS]
WHOLE = {"threads", "batch", "depth", "item", "repeat", "n", "correct", *LENGTHS}
# The types that a kernel for weights of a type can multiply in: its own, or the one that it widens them to. Integer weights are
# not among them: their kernels multiply integers, and the rate that they themselves reach in prefill stands for a roof.
MULTIPLIES_IN = {"float32": ("float32",), "bfloat16": ("bfloat16", "float32"), "float16": ("float16", "float32")}
# A probe may miss a fifth of its roof: probes agree within this factor, and a rate above it has passed the roof.
LEEWAY = 1.2
PREFILL, LONG_PROMPT = "prefill", 64  # such a roof, and the tokens of a prompt that is limited by arithmetic


def step_bytes(weight_bytes: float, kv_bytes_per_token: float, context_tokens: float, batch: int = 1) -> float:
    """Bytes that one decode step reads: the weights once, and the keys and values of each sequence's context."""
    return weight_bytes + batch * kv_bytes_per_token * context_tokens


def kv_per_token(facts: Mapping[str, float], context_tokens: float) -> float:
    """Mean bytes of keys and values that a step reads for each token of its context, from the facts of a speed run: those of
    local layers are of the last `window_tokens` only, the step's own among them, where the engine drops the others."""
    found = facts["kv_bytes_per_token"]
    if "window_tokens" in facts:
        behind = max(0.0, context_tokens - (facts["window_tokens"] - 1))
        found -= facts["local_kv_bytes_per_token"] * behind / context_tokens
    return found


def mean_context(prompt_tokens: float, output_tokens: float) -> float:
    """Mean number of earlier tokens over the decode steps 2 ... output_tokens: step i reads prompt + i - 1 of them."""
    return prompt_tokens + output_tokens / 2


def decode_ceiling_tok_per_s(bandwidth_byte_per_s: float, bytes_per_step: float, batch: int = 1) -> float:
    """Tokens/s when a step takes no longer than reading its bytes."""
    return batch * bandwidth_byte_per_s / bytes_per_step


def bandwidth_utilisation(bytes_per_step: float, tpot_s: float, bandwidth_byte_per_s: float) -> float:
    """Share of the measured read bandwidth that decoding used."""
    return bytes_per_step / tpot_s / bandwidth_byte_per_s


def compute_utilisation(parameters: float, tpot_s: float, flop_per_s: float, batch: int = 1) -> float:
    """Share of the measured matrix-multiplication rate that decoding used, at 2 operations a weight and token."""
    return 2 * batch * parameters / tpot_s / flop_per_s


@once
def speed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a model, engine, dtype, threads and lengths: ttft_s where output_tokens is 1, else tpot_s and tok/s.

    Times and speeds are geometric means over runs, so `decode_tok_per_s` is one over `tpot_s`;
    `unstable` marks a spread of more than 20 % over runs.
    """
    columns = [*CONDITION, "parameters", *stats.with_ends("ttft_s", "tpot_s", "decode_tok_per_s"), "n", "unstable"]
    rows = rows_of(frame, "speed", metrics=("ttft_s", "tpot_s")).dropna(subset=LENGTHS)
    lines = []
    for key, group in rows.groupby(CONDITION, dropna=False):
        line = dict(zip(CONDITION, key, strict=True))
        for metric, runs in group.groupby("metric")["value"]:
            line |= stats.ends_of(metric, stats.rate_interval(runs)) | {"n": len(runs), "unstable": stats.is_unstable(runs)}
            if metric == "tpot_s":
                line |= stats.ends_of("decode_tok_per_s", stats.rate_interval(1 / runs))
        lines.append(line)
    return ordered(lines, columns, frame)


@once
def utilisation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Decode speed beside the two ceilings of the device: memory and arithmetic.

    `bandwidth_utilisation` pairs: each run's bytes a second over the bandwidth that the same process measured right after its
    streams, as a geometric mean with its interval, so that the drift of a shared machine falls on both and cancels. The
    ceiling that is drawn (`bandwidth_byte_per_s`, `ceiling_tok_per_s`) is the median of those bandwidths over all runs with
    as many threads, its band the middle 95 % of them. Arithmetic is compared with the fastest rate that a kernel for this dtype
    can use (`flop_dtype`, of MULTIPLIES_IN, or PREFILL: see _arithmetic); the interval of `compute_utilisation` takes in the
    runs' standard error and the whole spread of the rates (log scale, Welch's degrees of freedom). `memory_over_arithmetic` is
    the ratio of the two shares, in which the speed itself cancels: the time to read a step's bytes over the time to compute
    it, each at its measured rate.

    A share that passes its roof by more than LEEWAY is void, and so is what it goes into: the columns are empty and `void` says
    why. Where the probes of the roof agree, the rate cannot be; where they do not, the roof is not known. `cached` is whether a
    step's bytes fit into the last-level cache (None where `last_level_cache_bytes` is not known, see provenance.with_machine):
    such a model may pass the bandwidth of the memory, which it does not read, so no share above one is told of it (in_cache).
    """
    columns = [*CONDITION, "parameters", "weight_bytes", "step_bytes",
               *stats.with_ends("decode_tok_per_s", "bandwidth_byte_per_s", "ceiling_tok_per_s", "bandwidth_utilisation",
                           "compute_utilisation", "memory_over_arithmetic"), "flop_dtype", "cached", "void", "n"]
    speeds = rows_of(frame, "speed")
    lines = []
    for key, group in speeds.groupby(UNIT, dropna=False):
        unit = dict(zip(UNIT, key, strict=True))
        facts = group.groupby("metric")["value"].median()
        bandwidth = _bandwidths(speeds, unit)
        beside = group.loc[group.metric == "memory_bandwidth_byte_per_s", ["run", "repeat", "value"]]
        if beside.empty or not {"weight_bytes", "kv_bytes_per_token", "parameters"} <= set(facts.index):
            continue
        flop_dtype, flops = _arithmetic(frame, unit, group)
        cache = group.last_level_cache_bytes.max()
        for lengths, timed in group[group.metric == "tpot_s"].groupby(LENGTHS):
            timed = timed.merge(beside, on=["run", "repeat"], suffixes=("", "_bandwidth"), validate="one_to_one")
            runs = timed["value"]
            context = mean_context(*lengths)
            size = step_bytes(facts["weight_bytes"], kv_per_token(facts, context), context, unit["batch"])
            rate = stats.Estimate(float(bandwidth.median()), *np.quantile(bandwidth, (0.025, 0.975)), len(bandwidth))
            ceiling = (decode_ceiling_tok_per_s(end, size, unit["batch"]) for end in (rate.value, rate.low, rate.high))
            of_memory = stats.rate_interval(bandwidth_utilisation(size, runs, timed["value_bandwidth"]))
            of_arithmetic = _share_of_ceiling(
                compute_utilisation(facts["parameters"], runs, flops.median(), unit["batch"]), flops)
            both = None if flops.empty else stats.unpaired_ratio_interval(
                size / bandwidth, 2 * unit["batch"] * facts["parameters"] / flops)
            cached = None if pd.isna(cache) else bool(size <= cache)
            void = []
            reason = in_cache(of_memory, size, cache) if cached else _passed(of_memory, bandwidth, "the read bandwidth", "GB/s")
            if reason:
                void.append(reason + ("; whether its bytes stay in a cache is not on record" if cached is None else ""))
                of_memory = both = None
            if reason := _passed(of_arithmetic, flops, arithmetic_roof(flop_dtype), "GFLOP/s"):
                void.append(reason)
                of_arithmetic = both = None
            lines.append(unit | dict(zip(LENGTHS, lengths, strict=True)) | {
                "weight_bytes": facts["weight_bytes"], "step_bytes": size, "flop_dtype": flop_dtype, "cached": cached,
                "void": "; ".join(void), "n": len(runs)}
                | stats.ends_of("decode_tok_per_s", stats.rate_interval(1 / runs))
                | stats.ends_of("bandwidth_byte_per_s", rate)
                | stats.ends_of("ceiling_tok_per_s", stats.Estimate(*ceiling, len(bandwidth)))
                | stats.ends_of("bandwidth_utilisation", of_memory) | stats.ends_of("compute_utilisation", of_arithmetic)
                | stats.ends_of("memory_over_arithmetic", both))
    return ordered(lines, columns, frame)


def energy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Energy a token by phase, scope and origin, gross and net of idle power; no lines where no sensor was read.

    A prefill window handles prompt_tokens. A decode window runs from the first token to the last, as decode_s
    does, so it holds output_tokens - 1 tokens. `power_w` is the mean over the window, idle included.
    """
    by = [*UNIT, "phase", *LENGTHS, "scope", "origin"]
    columns = [*by, "parameters", *stats.with_ends("joule_per_token", "net_joule_per_token"), "power_w", "idle_power_w", "n"]
    lines = []
    for key, group in rows_of(frame, "energy").groupby(by, dropna=False):
        line = dict(zip(by, key, strict=True))
        tokens = line["batch"] * (line["prompt_tokens"] if line["phase"] == "prefill" else line["output_tokens"] - 1)
        runs = group.pivot_table(index=["run", "repeat"], columns="metric", values="value")
        if "energy_j" not in runs or tokens < 1:
            continue
        line |= stats.ends_of("joule_per_token", stats.mean_interval(runs.energy_j / tokens)) | {"n": len(runs)}
        if "energy_net_j" in runs:
            line |= stats.ends_of("net_joule_per_token", stats.mean_interval(runs.energy_net_j / tokens))
        if "window_s" in runs:
            line["power_w"] = (runs.energy_j / runs.window_s).mean()
        if "idle_power_w" in runs:
            line["idle_power_w"] = runs.idle_power_w.mean()
        lines.append(line)
    return ordered(lines, columns, frame)


def _bandwidths(speeds: pd.DataFrame, unit: dict) -> pd.Series:
    """All bandwidths that speed runs measured with as many threads on the same device."""
    same = (speeds.threads == unit["threads"]) & (speeds.device == unit["device"]) & (speeds.source == unit["source"])
    return speeds.loc[same & (speeds.metric == "memory_bandwidth_byte_per_s"), "value"]


def arithmetic_roof(flop_dtype: str | None) -> str:
    """What decoding's arithmetic is compared with, in words."""
    return "the rate that the same kernels reach in prefill" if flop_dtype == PREFILL else \
        f"the {flop_dtype} matrix-multiplication rate"


def _arithmetic(frame: pd.DataFrame, unit: dict, group: pd.DataFrame) -> tuple[str | None, pd.Series]:
    """The fastest matrix-multiplication rate that the unit's kernels can use: its type, and a sample a process.

    For integer weights, that of their own prefill of the longest prompt of the unit's rows (`group`): a rate that was reached,
    so the true roof lies above it, but for the output head, which prefill runs for one position and which is counted for all.
    """
    if unit["dtype"] not in MULTIPLIES_IN:
        prefill = group[(group.metric == "ttft_s") & (group.prompt_tokens >= LONG_PROMPT)]
        prefill = prefill[prefill.prompt_tokens == prefill.prompt_tokens.max()].groupby(["run", "repeat"])[
            ["prompt_tokens", "value"]].median()
        parameters = group.loc[group.metric == "parameters", "value"].median()
        flops = 2 * unit["batch"] * parameters * prefill.prompt_tokens / prefill.value
        return (PREFILL if len(flops) else None), flops
    samples = rows_of(frame, "device", metrics=("matmul_flop_per_s",))
    same = (samples.threads == unit["threads"]) & (samples.device.isna() | (samples.device == unit["device"]))
    same &= samples["dtype"].isin(MULTIPLIES_IN[unit["dtype"]])
    samples = samples.loc[same & (samples.source == unit["source"]), ["dtype", "value"]]
    if samples.empty:
        return None, samples["value"]
    dtype = samples.groupby("dtype")["value"].median().idxmax()
    return dtype, samples.loc[samples.dtype == dtype, "value"]


def in_cache(share: stats.Estimate, size: float, cache: float) -> str:
    """Why a share of the memory's bandwidth above one is void where the last-level cache holds the `size` bytes that are read;
    nothing below one, where the cache does not hold them, or where it is not known (NaN)."""
    if share.value <= 1 or not size <= cache:
        return ""
    return (f"in cache: {stats.number(size / 1e6)} MB are read from a last-level cache of {stats.number(cache / 1e6)} MB, and "
            "not at the bandwidth of the memory")


def _passed(share: stats.Estimate | None, probes: pd.Series, roof: str, unit: str) -> str:
    """Why a share of a roof is void; nothing where it is below the roof, within LEEWAY."""
    if share is None or share.value <= LEEWAY:
        return ""
    low, high = probes.min() / 1e9, probes.max() / 1e9
    told = f"takes {stats.number(100 * share.value)} % of {roof}"
    if len(probes) < 2:
        return f"{told}, which one process measured ({stats.number(high)} {unit}): the roof is void until a second one agrees"
    measured = f"{len(probes)} processes measured ({stats.number(low)} to {stats.number(high)} {unit})"
    if high > LEEWAY * low:
        return f"{told}, which {measured} differently: the roof is void; measure it on a quiet machine"
    return f"{told}, which {measured} alike: the rate is void, since none can pass its roof; a kernel may use another one"


def _share_of_ceiling(shares: pd.Series, ceiling: pd.Series) -> stats.Estimate | None:
    """Geometric mean of the runs' shares of the median ceiling; its interval is described at `utilisation_table`."""
    if ceiling.empty:
        return None
    value, n, k = math.exp(np.log(shares).mean()), len(shares), len(ceiling)
    if min(n, k) < 2:
        return stats.Estimate(value, None, None, n)
    of_mean, of_ceiling = np.log(shares).var(ddof=1) / n, np.log(ceiling).var(ddof=1)
    total = of_mean + of_ceiling
    if total == 0:
        return stats.Estimate(value, value, value, n)
    freedom = total**2 / (of_mean**2 / (n - 1) + of_ceiling**2 / (k - 1))
    half = distributions.t.ppf(0.975, freedom) * math.sqrt(total)
    return stats.Estimate(value, value * math.exp(-half), value * math.exp(half), n)


def ordered(lines: list[dict], columns: list[str], frame: pd.DataFrame) -> pd.DataFrame:
    """The lines as a table, with the model's number of weights, from the smallest model to the largest."""
    rows = rows_of(frame, "speed", metrics=("parameters",))
    table = pd.DataFrame(lines, columns=columns)
    table["parameters"] = table.model.map(rows.groupby("model")["value"].median())
    for name in set(columns) & WHOLE:
        if table[name].notna().all():
            table[name] = table[name].astype(int)
    floats = [name for name in columns if name.endswith(("_low", "_high"))]
    table[floats] = table[floats].astype(float)
    keys = [name for name in ("parameters", "model", "engine", "dtype", "threads", "mode", "depth", "phase", *LENGTHS)
            if name in columns]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)
