"""The rows of the distillation study as tidy tables: what learning brings back, what order matters, and what a chain keeps at
how many bytes.

A column `x` has its 95 % interval in `x_low` and `x_high` (empty where the samples give none). `over` says what the samples
are: `seeds`, whole chains with other calibration and training rows, where there are at least two; else `texts`, blocks of
evaluation texts, which say nothing of the luck of one training. All is against the whole model, on the same texts and items.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.retention import retained
from edgekit.analyze.rows import rows_of
from edgekit.schema import NONE, PRUNE_FIRST, QUANTIZE_FIRST, UNQUANTIZED

CHAIN = ["model", "student", "pruning", "learning", "quantization", "order"]
PAPERS_POINT, FOUR_BITS = "0.2/0.15", "Q4_0"  # the pruning and quantization that order is judged at
BASE_BYTES = 2  # a weight of the whole model: what sizes are compared with


def is_whole(table: pd.DataFrame) -> pd.Series:
    """Which lines are the whole model."""
    same = (table[["pruning", "learning", "quantization"]] == NONE).all(axis=1)
    return same & (table.student == table.model)


@once
def _blocks(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a chain, draw, domain and block: kl_nats, agreed, nll_nats, added_nats and tokens."""
    rows = rows_of(frame, "divergence")
    rows = rows[rows.against == UNQUANTIZED]
    wide = rows.pivot_table(index=[*CHAIN, "draw", "domain", "block", "tokens"], columns="metric", values="value").reset_index()
    if wide.empty:
        return wide
    whole = wide[is_whole(wide)]
    wide = wide.merge(whole[["model", "domain", "block", "nll_nats"]], on=["model", "domain", "block"], suffixes=("", "_whole"),
                      validate="many_to_one")
    return wide.assign(added_nats=wide.nll_nats - wide.nll_nats_whole)


@once
def _answers(frame: pd.DataFrame) -> pd.DataFrame:
    """Answers to items (`value`) beside those of the whole model (`value_whole`)."""
    rows = rows_of(frame, "accuracy")
    rows = rows[rows.metric == "correct"]
    same = ["model", "domain", "mode", "item"]
    return rows.merge(rows[is_whole(rows)][[*same, "value"]], on=same, suffixes=("", "_whole"), validate="many_to_one")


def _sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a chain: bytes of its files, bits a weight, its number of weights."""
    rows = rows_of(frame, "size")
    wide = rows.pivot_table(index=CHAIN, columns="metric", values="value").reset_index()
    return wide.rename(columns={"artifact_bytes": "bytes", "stored_bits_per_weight": "stored_bits"})


@once
def chain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a chain: kl (nats a token, from the whole model), agreement (share of tokens with the same likeliest one), added
    (nats a token over the whole model), accuracy, retained (accuracy over the whole model's, in %), bytes, and smaller: 16 bits
    for each weight of the whole model, over the chain's bytes."""
    blocks, answers = _blocks(frame), _answers(frame)
    answered = dict(list(answers.groupby(CHAIN))) if len(answers) else {}
    lines = []
    for key, cell in (blocks.groupby(CHAIN) if len(blocks) else ()):
        seeds = [part for _, part in cell.groupby("draw")]
        line = dict(zip(CHAIN, key, strict=True)) | dict(over="seeds" if len(seeds) > 1 else "texts")
        line["n"] = len(seeds) if len(seeds) > 1 else len(cell)
        for name, column in (("kl", "kl_nats"), ("agreement", "agreed"), ("added", "added_nats")):
            line |= stats.ends_of(name, stats.per_token(seeds, column))
        if key in answered:
            line |= _accuracy(answered[key])
        lines.append(line)
    columns = [*CHAIN, *stats.with_ends("kl", "agreement", "added", "accuracy", "retained"), "over", "n", "items"]
    table = pd.DataFrame(lines).reindex(columns=columns)
    sizes = _sizes(frame).reindex(columns=[*CHAIN, "bytes", "stored_bits", "parameters"])
    table = table.merge(sizes, on=CHAIN, how="left") if len(table) else table.reindex(columns=list(dict.fromkeys(
        [*columns, *sizes.columns])))
    whole = table[is_whole(table)].set_index("model").parameters
    table = table.assign(smaller=BASE_BYTES * table.model.map(whole) / table.bytes, source="measured")
    table = table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
    return table.sort_values(["model", "bytes", "kl"], ascending=[True, False, True], kind="stable").reset_index(drop=True)


def _accuracy(answers: pd.DataFrame) -> dict:
    items = answers.groupby(["domain", "mode", "item"])[["value", "value_whole"]].agg(["sum", "size"])
    right, whole, asked = items["value", "sum"], items["value_whole", "sum"], items["value", "size"]
    if (asked == 1).all():
        line = stats.ends_of("accuracy", stats.wilson(int(right.sum()), len(items)))
    else:
        line = stats.ends_of("accuracy", stats.clustered_share(right, asked))
    if whole.sum():
        line |= stats.ends_of("retained", stats.percent(retained(right, whole, asked)))
    return line | dict(items=len(items))


@once
def learning_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`chain_table` of every student before quantizing, with brought_back: the share of the pruned model's divergence that
    learning took away, paired by seed and block (none for students from fresh weights)."""
    table = chain_table(frame)
    table = table[(table.quantization == NONE) & ~is_whole(table)]
    blocks = _blocks(frame)
    shares = []
    for line in table.itertuples():
        if line.learning == NONE or line.pruning == NONE:
            shares.append({})
            continue
        same = blocks[(blocks.model == line.model) & (blocks.student == line.student) & (blocks.pruning == line.pruning)
                      & (blocks.quantization == NONE)]
        left = _ratio(same[same.learning == line.learning], same[same.learning == NONE])
        ends = [None if end is None else 1 - end for end in (left.value, left.high, left.low)] if left else None
        shares.append(stats.ends_of("brought_back", stats.Estimate(*ends, left.n)) if ends else {})
    ends = pd.DataFrame(shares, index=table.index).reindex(columns=stats.with_ends("brought_back")).astype(float)
    return table.join(ends).sort_values(["model", "student", "pruning", "kl"], kind="stable").reset_index(drop=True)


def _ratio(one: pd.DataFrame, other: pd.DataFrame) -> stats.Estimate | None:
    """Divergence of one over that of the other, paired: over seeds where there are two, else over blocks."""
    both = one.merge(other, on=["draw", "domain", "block", "tokens"], suffixes=("", "_other"))
    if both.empty or not both.kl_nats_other.sum():
        return None
    sums = both.groupby("draw")[["kl_nats", "kl_nats_other"]].sum()
    if len(sums) > 1:
        return stats.mean_interval(sums.kl_nats / sums.kl_nats_other, unit="times")
    return stats.ratio_of_sums(both.kl_nats, both.kl_nats_other, unit="times")


@once
def order_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pruning and quantization: kl_prune_first and kl_quantize_first (of weights that are then turned back, sliced and
    quantized again, to the same bytes), and ratio, the former over the latter, paired; above 1 where quantizing first loses
    less."""
    blocks = _blocks(frame)
    lines = []
    if len(blocks):
        blocks = blocks[(blocks.learning == NONE) & (blocks.pruning != NONE) & (blocks.quantization != NONE)]
    for key, cell in (blocks.groupby(["model", "pruning", "quantization"]) if len(blocks) else ()):
        first, second = (cell[cell.order == order] for order in (PRUNE_FIRST, QUANTIZE_FIRST))
        ratio = _ratio(first, second) if len(first) and len(second) else None
        if ratio is None:
            continue
        over = "seeds" if cell.draw.nunique() > 1 else "texts"
        line = dict(zip(["model", "pruning", "quantization"], key, strict=True)) | dict(over=over, n=ratio.n)
        for name, part in (("kl_prune_first", first), ("kl_quantize_first", second)):
            line |= stats.ends_of(name, stats.per_token([draw for _, draw in part.groupby("draw")], "kl_nats"))
        lines.append(line | stats.ends_of("ratio", ratio))
    columns = ["model", "pruning", "quantization", *stats.with_ends("kl_prune_first", "kl_quantize_first", "ratio"), "over",
               "n"]
    return pd.DataFrame(lines, columns=columns).assign(source="measured")


def training_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a learner, draw and point of its curve: step, tokens, train_loss (nats a token on its own training texts, mean
    since the point before) and wall_s."""
    rows = rows_of(frame, "training")
    rows = rows[rows.metric.isin(["train_loss", "wall_s"])]
    wide = rows.pivot_table(index=[*CHAIN, "draw", "step", "tokens"], columns="metric", values="value").reset_index()
    return wide.reindex(columns=[*CHAIN, "draw", "step", "tokens", "train_loss", "wall_s"]).assign(source="measured")


def outcome_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a learner before quantizing: train_loss at the end of its training (nats a token on its own texts, the mean over
    draws, with an interval where there are two) beside its kl on held-out texts, as in `chain_table`."""
    ends = training_table(frame).sort_values("step", kind="stable").groupby([*CHAIN, "draw"], as_index=False).train_loss.last()
    lines = [dict(zip(CHAIN, key, strict=True)) | stats.ends_of("train_loss", stats.mean_interval(here.train_loss))
             for key, here in ends.groupby(CHAIN)]
    table = pd.DataFrame(lines, columns=[*CHAIN, *stats.with_ends("train_loss")])
    table = table.astype({"train_loss_low": float, "train_loss_high": float})
    return chain_table(frame)[[*CHAIN, *stats.with_ends("kl"), "over", "n", "source"]].merge(table, on=CHAIN).sort_values(
        ["model", "student", "pruning", "kl"], kind="stable", ignore_index=True)


def frontier(table: pd.DataFrame, column: str = "kl") -> pd.DataFrame:
    """The lines of a chain table that no other beats: nothing with as few bytes has less of `column`; smallest last."""
    best = table.dropna(subset=["bytes", column]).sort_values(["bytes", column], kind="stable")
    return best[best[column] <= best[column].cummin()].drop_duplicates("bytes").iloc[::-1]


def stages(line) -> str:
    """The steps of a chain in words, in their order."""
    steps = [] if line.pruning == NONE else [f"pruned {line.pruning}"]
    steps += [] if line.learning == NONE else [line.learning]
    if line.quantization != NONE:
        steps = [line.quantization, *steps] if line.order == QUANTIZE_FIRST else [*steps, line.quantization]
    start = [] if line.student == line.model else [f"fresh {line.student}"]
    return ", ".join([*start, *steps]) or "whole"


def all_three(table: pd.DataFrame) -> pd.DataFrame:
    """Chains of pruning, learning from a teacher and quantizing."""
    return table[(table.pruning != NONE) & ~table.learning.isin([NONE, "fine-tuning"]) & (table.quantization != NONE)
                 & np.isfinite(table.smaller)]


def told_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`chain_table` with each chain in words (`chain`), and whether no other one is both smaller and nearer (`on_frontier`)."""
    table = chain_table(frame)
    best = frontier(table).index
    return table.assign(chain=[stages(line) for line in table.itertuples()], on_frontier=table.index.isin(best))
