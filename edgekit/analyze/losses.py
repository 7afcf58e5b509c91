"""The rows of any study of compressed models as tidy tables: what a variant lost in divergence, perplexity and answers.

A column `x` has its 95 % interval in `x_low` and `x_high` (empty where the samples give none). `over` says what the samples
are: `seeds`, whole quantizations with other calibration texts, where there are at least two; else `texts`, blocks of evaluation
texts, which say nothing of the luck of one calibration. Differences are paired: same blocks, same seeds, same items.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from edgekit.analyze import rows as tables
from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.retention import retained
from edgekit.analyze.rows import in_reference
from edgekit.schema import NONE, UNQUANTIZED

WAY = ["method", "bits", "group", "type", "calibration", "samples", "search"]
LINE = ["model", "way", "engine", "dtype"]
NO_SEED = -1


@once
def loss_table(frame: pd.DataFrame, domain: str | None = None, against: str = UNQUANTIZED,
               way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant and engine: kl (nats a token, from `against`), agreement (share of tokens with the same likeliest one),
    perplexity and added (nats a token over the unquantized model), over all texts or those of a domain; stored_bits a weight.
    `way`: the coordinates that tell variants apart, the first of which is NONE for the whole model.
    """
    blocks = block_table(frame, against, domain, way)
    lines = []
    for key, cell in blocks.groupby(LINE):
        seeds = [part for _, part in cell.groupby("calibration_seed")]
        line = dict(zip(LINE, key, strict=True)) | {"over": "seeds" if len(seeds) > 1 else "texts"}
        line |= stats.ends_of("kl", stats.per_token(seeds, "kl_nats"))
        line |= stats.ends_of("agreement", stats.per_token(seeds, "agreed"))
        line["n"] = len(seeds) if len(seeds) > 1 else len(cell)
        if against == UNQUANTIZED:
            line |= stats.ends_of("perplexity", _exp(stats.per_token(seeds, "nll_nats")))
            line |= stats.ends_of("added", stats.per_token(seeds, "added_nats"))
        lines.append(line)
    columns = [*LINE, *stats.with_ends("kl", "agreement", "perplexity", "added"), "over", "n"]
    return described(pd.DataFrame(lines, columns=columns), frame, way)


@once
def block_table(frame: pd.DataFrame, against: str = UNQUANTIZED, domain: str | None = None,
                way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant, engine, calibration seed, domain and block: kl_nats, agreed, nll_nats, added_nats and tokens."""
    rows = rows_of(frame, "divergence", way)
    rows = rows[(rows.against == against) & (rows.domain == (domain or rows.domain))]
    where = [*LINE, "calibration_seed", "domain", "block", "tokens"]
    wide = rows.pivot_table(index=where, columns="metric", values="value").reset_index()
    if against != UNQUANTIZED or wide.empty:
        return wide
    whole = wide[(wide.way == NONE) & in_reference(wide)]
    wide = wide.merge(whole[["model", "domain", "block", "nll_nats"]], on=["model", "domain", "block"], suffixes=("", "_whole"),
                      validate="many_to_one")
    return wide.assign(added_nats=wide.nll_nats - wide.nll_nats_whole)


def _exp(found: stats.Estimate) -> stats.Estimate:
    ends = [None if end is None else float(np.exp(end)) for end in (found.low, found.high)]
    return stats.Estimate(float(np.exp(found.value)), *ends, found.n)


@once
def accuracy_table(frame: pd.DataFrame, way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant and engine: accuracy; change, the paired difference to the unquantized model in the reference engine;
    and retained, accuracy over that model's in %. Items are the samples: answers under several seeds are one item's."""
    lines = []
    answers = _answers(frame, way).groupby([*LINE, "domain", "mode", "item"])
    sums = answers[["value", "value_whole"]].sum().assign(asked=answers.size())
    for key, items in sums.groupby(LINE):
        right, whole, asked = items.value, items.value_whole, items.asked
        line = dict(zip(LINE, key, strict=True)) | {"n": len(items)}
        if (asked == 1).all():
            line |= stats.ends_of("accuracy", stats.wilson(int(right.sum()), len(items)))
            line |= stats.ends_of("change", stats.paired_difference(right, whole))
        else:
            line |= stats.ends_of("accuracy", stats.clustered_share(right, asked))
            line |= stats.ends_of("change", stats.clustered_difference(right, whole, asked))
        if whole.sum():
            line |= stats.ends_of("retained", stats.percent(retained(right, whole, asked)))
        lines.append(line)
    columns = [*LINE, *stats.with_ends("accuracy", "change", "retained"), "n"]
    return described(pd.DataFrame(lines, columns=columns), frame, way)


@once
def _answers(frame: pd.DataFrame, way: Sequence[str]) -> pd.DataFrame:
    """Answers to items (`value`) beside those of the unquantized model in the reference engine (`value_whole`)."""
    rows = rows_of(frame, "accuracy", way)
    rows = rows[rows.metric == "correct"]
    same = ["model", "domain", "mode", "item"]
    whole = rows[(rows.way == NONE) & in_reference(rows)]
    return rows.merge(whole[[*same, "value"]], on=same, suffixes=("", "_whole"), validate="many_to_one")


@once
def rows_of(frame: pd.DataFrame, task: str, way: Sequence[str] = WAY) -> pd.DataFrame:
    rows = tables.rows_of(frame, task)
    for name in way:
        rows[name] = stats.mapped(rows[name], _text)
    rows["way"] = [" ".join(filter(None, parts)) for parts in rows[list(way)].itertuples(index=False)]
    return rows.assign(calibration_seed=rows.calibration_seed.fillna(NO_SEED).astype(int))


def _text(value) -> str:
    """A coordinate as text: nothing where a method has none."""
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def described(table: pd.DataFrame, frame: pd.DataFrame, way: Sequence[str] = WAY) -> pd.DataFrame:
    """With the parts of each way as columns and, where it is on record, its stored_bits."""
    rows = rows_of(frame, "size", way)
    rows = rows[rows.metric == "stored_bits_per_weight"]
    parts = rows.drop_duplicates("way").set_index("way")[list(way)]
    bits = rows.groupby(LINE)["value"].first().rename("stored_bits").reset_index()
    if table.empty:
        return table.reindex(columns=[*table.columns, *way, "stored_bits", "parameters", "source"])
    return sized(table.join(parts, on="way").merge(bits, on=LINE, how="left"), frame)


def sized(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """With the models' numbers of weights, smallest first."""
    rows = rows_of(frame, "size")
    sizes = rows[rows.metric == "parameters"].groupby("model")["value"].max()  # pruned variants have fewer
    table = table.assign(parameters=table.model.map(sizes), source="measured")
    # Where no line has an interval its ends are no numbers yet.
    table = table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
    keys = [name for name in ("parameters", "model", "stored_bits", "way", "engine") if name in table]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)
