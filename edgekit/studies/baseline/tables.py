"""The rows of 02_baseline as tidy tables, beside those of speed and energy in edgekit.analyze.roofline: memory, shares of time,
and answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.roofline import CONDITION, LENGTHS, UNIT, kv_per_token, ordered
from edgekit.analyze.rows import rows_of


@once
def memory_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Peak memory of the measuring process beside what explains it, in bytes.

    `base_memory_bytes` (the process before it loaded anything), `weight_bytes`, and `kv_bytes` (keys and values
    of the longest context measured); `other_bytes` is what the peak leaves unexplained, and is negative where
    an engine maps a file whose pages were not all resident.
    """
    parts = ["base_memory_bytes", "weight_bytes", "kv_bytes_per_token"]
    columns = [*UNIT, "parameters", *stats.with_ends("peak_memory_bytes"), *parts, "context_tokens", "kv_bytes",
               "other_bytes", "n"]
    rows = rows_of(frame, "speed")
    lines = []
    for key, group in rows.groupby(UNIT, dropna=False):
        medians = group.groupby("metric")["value"].median()
        if not {"peak_memory_bytes", *parts} <= set(medians.index):
            continue
        peaks = group.loc[group.metric == "peak_memory_bytes", "value"]
        line = dict(zip(UNIT, key, strict=True)) | stats.ends_of("peak_memory_bytes", stats.mean_interval(peaks))
        line |= {part: medians[part] for part in parts} | {"n": len(peaks)}
        line["context_tokens"] = (group.prompt_tokens + group.output_tokens).max()
        line["kv_bytes"] = line["batch"] * line["context_tokens"] * kv_per_token(medians, line["context_tokens"])
        line["other_bytes"] = (line["peak_memory_bytes"] - line["base_memory_bytes"] - line["weight_bytes"]
                               - line["kv_bytes"])
        lines.append(line)
    return ordered(lines, columns, frame)


@once
def share_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How total time divides into prefill and decode, for each output length: one line a condition with both.

    Time to first token and decode time of the same run are paired. `decode_over_prefill` is the geometric mean
    of their ratio (interval on the log scale); `prefill_share` = 1 / (1 + ratio) and `decode_share` take their
    ends from the same interval.
    """
    columns = [*CONDITION, "parameters", "ttft_s", "decode_s",
               *stats.with_ends("decode_over_prefill", "prefill_share", "decode_share"), "n"]
    rows = rows_of(frame, "speed", metrics=("ttft_s", "decode_s")).dropna(subset=LENGTHS)
    one_run = [*UNIT, "prompt_tokens", "run", "repeat"]
    pairs = rows[rows.metric == "decode_s"].merge(rows.loc[rows.metric == "ttft_s", [*one_run, "value"]], on=one_run,
                                                  suffixes=("", "_ttft"))
    lines = []
    for key, group in pairs.groupby(CONDITION, dropna=False):
        ratio = stats.ratio_interval(group.value, group.value_ttft)
        ends = [np.nan if end is None else end for end in (ratio.value, ratio.low, ratio.high)]
        prefill, prefill_high, prefill_low = (1 / (1 + end) for end in ends)
        lines.append(dict(zip(CONDITION, key, strict=True)) | stats.ends_of("decode_over_prefill", ratio) | {
            "ttft_s": group.value_ttft.mean(), "decode_s": group.value.mean(), "n": ratio.n,
            "prefill_share": prefill, "prefill_share_low": prefill_low, "prefill_share_high": prefill_high,
            "decode_share": 1 - prefill, "decode_share_low": 1 - prefill_high, "decode_share_high": 1 - prefill_low})
    return ordered(lines, columns, frame)


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of right answers by model, engine, dtype, mode and depth, with Wilson's interval; `n` counts items.

    An item without a readable answer counts as wrong; `unanswered` is the number of them.
    """
    by = ["model", "engine", "dtype", "source", "mode", "depth"]
    columns = [*by, "parameters", *stats.with_ends("accuracy"), "correct", "unanswered", "n"]
    lines = []
    for key, group in rows_of(frame, "accuracy", metrics=("correct", "unanswered")).groupby(by):
        right = group.loc[group.metric == "correct", "value"]
        if right.empty:
            continue
        share = stats.wilson(int(right.sum()), len(right))
        lines.append(dict(zip(by, key, strict=True)) | stats.ends_of("accuracy", share) | {
            "correct": int(right.sum()), "n": len(right),
            "unanswered": int(group.loc[group.metric == "unanswered", "value"].sum())})
    return ordered(lines, columns, frame)


def rates_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the device itself can do, a line a rate: the median over processes, the least and the most, in G a second."""
    rows = rows_of(frame, "device", metrics=("memory_bandwidth_byte_per_s", "matmul_flop_per_s"))
    lines = [dict(rate="read bandwidth (GB/s)" if metric == "memory_bandwidth_byte_per_s" else f"{dtype} products (GFLOP/s)",
                  median=1e-9 * group.median(), least=1e-9 * group.min(), most=1e-9 * group.max(), n=len(group))
             for (metric, dtype), group in rows.assign(dtype=rows["dtype"].fillna("")).groupby(
                 ["metric", "dtype"], sort=False)["value"]]
    return pd.DataFrame(lines, columns=["rate", "median", "least", "most", "n"])


def at_lengths(table: pd.DataFrame, prompt_tokens: int, output_tokens: int) -> pd.DataFrame:
    """The lines of a table at one length of prompt and output."""
    return table[(table.prompt_tokens == prompt_tokens) & (table.output_tokens == output_tokens)]


def fastest_table(frame: pd.DataFrame, prompt_tokens: int, output_tokens: int) -> pd.DataFrame:
    """A line a model: the fastest decoder of 16-bit weights over the slowest, paired by repeat; none with only one of them."""
    rows = at_lengths(rows_of(frame, "speed", metrics=("tpot_s",)), prompt_tokens, output_tokens)
    lines = []
    for model, runs in rows[rows["dtype"] != "float32"].groupby("model", sort=False):
        cells = runs.pivot_table(index="repeat", columns=["engine", "dtype"], values="value").dropna()
        order = cells.median().sort_values().index
        if len(order) > 1:
            factor = stats.ratio_interval(cells[order[-1]], cells[order[0]])
            lines.append(dict(model=model, fastest=" ".join(order[0]), slowest=" ".join(order[-1]), n=factor.n)
                         | stats.ends_of("factor", factor))
    return pd.DataFrame(lines, columns=["model", "fastest", "slowest", *stats.with_ends("factor"), "n"])


def longest_table(table: pd.DataFrame) -> pd.DataFrame:
    """Of a table by condition the line of each model, engine and dtype at its longest prompt and output."""
    ordered_by_length = table.sort_values(["parameters", *LENGTHS], kind="stable")
    return ordered_by_length.groupby(["model", "engine", "dtype"], sort=False).tail(1)


def paired_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """A line each cell after the reference: its share of right answers less that of the reference, over the answers that all
    gave."""
    rows = rows_of(frame, "accuracy", metrics=("correct",))
    index = [name for name in ("model", "task_name", "mode", "depth", "item") if rows[name].notna().any()]
    pairs = rows.pivot_table(index=index, columns=["engine", "dtype"], values="value").dropna() if len(rows) else rows[:0]
    first, *others = _reference_first(pairs.columns) if len(pairs) else [None]
    lines = []
    for other in others:
        found = stats.paired_difference(pairs[other], pairs[first])
        lines.append(dict(cell=" ".join(other), engine=other[0], dtype=other[1], less=" ".join(first), n=found.n)
                     | stats.ends_of("difference", found))
    return pd.DataFrame(lines, columns=["cell", "engine", "dtype", "less", *stats.with_ends("difference"), "n"])


def answers_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_table` of each model's reference cell (panel "depth"), and a line for each other cell of it with the difference
    of all its answers, `paired_answers` of that model (panel "difference")."""
    table, rows = accuracy_table(frame), rows_of(frame, "accuracy")
    parts = []
    for model, here in table.groupby("model", sort=False):
        [engine, dtype], *_ = _reference_first(set(zip(here.engine, here["dtype"], strict=True)))
        parts += [here[(here.engine == engine) & (here["dtype"] == dtype)].assign(panel="depth"),
                  paired_answers(rows[rows.model == model]).drop(columns="cell").assign(
                      panel="difference", model=model, source=here.source.iloc[0])]
    return pd.concat([part for part in parts if len(part)], ignore_index=True) if parts else table.assign(panel=None)


def _reference_first(cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (engine, dtype) cells in order, one with 32-bit weights first where there is one: nothing was rounded in it."""
    return sorted(cells, key=lambda cell: (cell[1] != "float32", cell))
