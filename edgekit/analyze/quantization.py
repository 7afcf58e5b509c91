"""The rows of the quantization study as tidy tables: what was lost, what was gained, and by how much methods differ.

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
from edgekit.analyze.rows import in_reference
from edgekit.schema import NONE, UNQUANTIZED

WAY = ["method", "bits", "group", "type", "calibration", "samples", "search"]
CELL = ["model", "way", "engine", "dtype"]
NO_SEED = -1
FULL = ("", "all")  # searches with nothing left out, on the method's own grid (a symmetric one is a runtime's wish)


# What an ablated search lacks or has.
SEARCHED = {"no clip": "no search for clips", "no scale": "no search for scales", "none": "no search",
            "duo": "scales from weights too", "symmetric": "symmetric grid"}
UNCALIBRATED = "no calibration"


@once
def loss_table(frame: pd.DataFrame, domain: str | None = None, against: str = UNQUANTIZED,
               way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant and engine: kl (nats a token, from `against`), agreement (share of tokens with the same likeliest one),
    perplexity and added (nats a token over the unquantized model), over all texts or those of a domain; stored_bits a weight.
    `way`: the coordinates that tell variants apart, the first of which is NONE for the whole model.
    """
    blocks = block_table(frame, against, domain, way)
    lines = []
    for key, cell in blocks.groupby(CELL):
        seeds = [part for _, part in cell.groupby("calibration_seed")]
        line = dict(zip(CELL, key, strict=True)) | {"over": "seeds" if len(seeds) > 1 else "texts"}
        line |= stats.ends_of("kl", stats.a_token(seeds, "kl_nats"))
        line |= stats.ends_of("agreement", stats.a_token(seeds, "agreed"))
        line["n"] = len(seeds) if len(seeds) > 1 else len(cell)
        if against == UNQUANTIZED:
            line |= stats.ends_of("perplexity", _exp(stats.a_token(seeds, "nll_nats")))
            line |= stats.ends_of("added", stats.a_token(seeds, "added_nats"))
        lines.append(line)
    columns = [*CELL, *stats.with_ends("kl", "agreement", "perplexity", "added"), "over", "n"]
    return _described(pd.DataFrame(lines, columns=columns), frame, way)


def domains(frame: pd.DataFrame) -> list[str]:
    """What the texts are about on which losses were measured, in alphabetical order."""
    return sorted(rows_of(frame, "divergence").domain.unique())


@once
def block_table(frame: pd.DataFrame, against: str = UNQUANTIZED, domain: str | None = None,
                way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant, engine, calibration seed, domain and block: kl_nats, agreed, nll_nats, added_nats and tokens."""
    rows = rows_of(frame, "divergence", way)
    rows = rows[(rows.against == against) & (rows.domain == (domain or rows.domain))]
    where = [*CELL, "calibration_seed", "domain", "block", "tokens"]
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
def lead_table(frame: pd.DataFrame, one: str = "awq", other: str = "gptq") -> pd.DataFrame:
    """By how much `one` beats `other` at equal bits, group and calibration, in the reference engine, a line a model.

    lead: perplexity of `other` over that of `one`, less 1, in %; above 0 where `one` is better. Pairs are calibration seeds.
    """
    blocks = _described(block_table(frame), frame)
    pairs = ["model", "bits", "group", "calibration", "samples"]
    blocks = blocks[in_reference(blocks) & blocks.search.isin(FULL)]
    a, b = (blocks[blocks.method == method] for method in (one, other))
    both = a.merge(b, on=[*pairs, "calibration_seed", "domain", "block", "tokens"], suffixes=("", "_other"))
    lines = []
    for key, cell in both.groupby(pairs):
        seeds = [part.assign(difference=part.nll_nats_other - part.nll_nats) for _, part in cell.groupby("calibration_seed")]
        nats = stats.a_token(seeds, "difference")
        ends = [None if end is None else 100 * float(np.expm1(end)) for end in (nats.value, nats.low, nats.high)]
        lines.append(dict(zip(pairs, key, strict=True)) | stats.ends_of("lead", stats.Estimate(*ends, nats.n, "%")) | {
            "n": nats.n, "over": "seeds" if len(seeds) > 1 else "texts"})
    table = pd.DataFrame(lines, columns=[*pairs, *stats.with_ends("lead"), "over", "n"])
    return _sized(table.astype({"bits": int, "group": int, "samples": int}), frame)


def main_calibration(table: pd.DataFrame) -> tuple[str, str]:
    """(name, texts) of the calibration that most ways of a table have (ablations have others); empty where none has one."""
    drawn = table[table.calibration != ""]
    return drawn.groupby(["calibration", "samples"]).way.nunique().idxmax() if len(drawn) else ("", "")


def main_part(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of a table (with `way` and its parts) that belong to the comparison of methods, without the ablations."""
    calibration, samples = main_calibration(table)
    same = (table.calibration == calibration) & (table.samples == samples)
    return table[table.search.isin(FULL) & ((table.calibration == "") | same)]


def ablation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`loss_table` of AWQ, GPTQ and round-to-nearest at 4 bits in the reference engine, at the group of the ablations, for the
    models whose calibration or search was varied; `what` says how: "" for the main calibration and search."""
    table = loss_table(frame)
    main = main_calibration(table)
    table = table[in_reference(table) & (table.bits == "4") & table.method.isin(["rtn", "awq", "gptq"])]
    table = table.assign(what=[_varied(line, main) for line in table.itertuples()])
    varied = table[~table.what.isin(["", UNCALIBRATED, SEARCHED["symmetric"]])]
    if varied.empty:
        return varied
    return table[table.model.isin(varied.model) & (table.group == varied.group.mode().iloc[0])].reset_index(drop=True)


def _varied(line, main: tuple[str, str]) -> str:
    if line.method == "rtn":
        return UNCALIBRATED
    other = [line.calibration] * (line.calibration != main[0]) + [f"{line.samples} texts"] * (line.samples != main[1])
    return ", ".join([*other, *([SEARCHED[line.search]] if line.search not in FULL else [])])


@once
def accuracy_table(frame: pd.DataFrame, way: Sequence[str] = WAY) -> pd.DataFrame:
    """A line a variant and engine: accuracy; change, the paired difference to the unquantized model in the reference engine;
    and retained, accuracy over that model's in %. Items are the samples: answers under several seeds are one item's."""
    lines = []
    answers = _answers(frame, way).groupby([*CELL, "domain", "mode", "item"])
    sums = answers[["value", "value_whole"]].sum().assign(asked=answers.size())
    for key, items in sums.groupby(CELL):
        right, whole, asked = items.value, items.value_whole, items.asked
        line = dict(zip(CELL, key, strict=True)) | {"n": len(items)}
        if (asked == 1).all():
            line |= stats.ends_of("accuracy", stats.wilson(int(right.sum()), len(items)))
            line |= stats.ends_of("change", stats.paired_difference(right, whole))
        else:
            line |= stats.ends_of("accuracy", stats.clustered_share(right, asked))
            line |= stats.ends_of("change", stats.clustered_difference(right, whole, asked))
        if whole.sum():
            line |= stats.ends_of("retained", stats.percent(stats.ratio_of_sums(right, whole)))
        lines.append(line)
    columns = [*CELL, *stats.with_ends("accuracy", "change", "retained"), "n"]
    return _described(pd.DataFrame(lines, columns=columns), frame, way)


@once
def _answers(frame: pd.DataFrame, way: Sequence[str]) -> pd.DataFrame:
    """Answers to items (`value`) beside those of the unquantized model in the reference engine (`value_whole`)."""
    rows = rows_of(frame, "accuracy", way)
    rows = rows[rows.metric == "correct"]
    same = ["model", "domain", "mode", "item"]
    whole = rows[(rows.way == NONE) & in_reference(rows)]
    return rows.merge(whole[[*same, "value"]], on=same, suffixes=("", "_whole"), validate="many_to_one")


def kernels(frame: pd.DataFrame) -> pd.DataFrame:
    """The `kernel` that ran, in the runtime's own words, a line a variant and engine."""
    rows = rows_of(frame, "size").dropna(subset=["kernel"])
    return rows.drop_duplicates(CELL)[[*CELL, "kernel"]].reset_index(drop=True)


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds and peak memory that quantizing took (one run), a line a variant."""
    rows = rows_of(frame, "build")
    wide = rows.pivot_table(index=CELL, columns="metric", values="value").reset_index()
    wide = wide.reindex(columns=[*CELL, "quantize_s", "base_memory_bytes", "peak_memory_bytes"])
    return _described(wide, frame)


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


def _described(table: pd.DataFrame, frame: pd.DataFrame, way: Sequence[str] = WAY) -> pd.DataFrame:
    """With the parts of each way as columns and, where it is on record, its stored_bits."""
    rows = rows_of(frame, "size", way)
    rows = rows[rows.metric == "stored_bits_per_weight"]
    parts = rows.drop_duplicates("way").set_index("way")[list(way)]
    bits = rows.groupby(CELL)["value"].first().rename("stored_bits").reset_index()
    if table.empty:
        return table.reindex(columns=[*table.columns, *way, "stored_bits", "parameters", "source"])
    return _sized(table.join(parts, on="way").merge(bits, on=CELL, how="left"), frame)


def _sized(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """With the models' numbers of weights, smallest first."""
    rows = rows_of(frame, "size")
    sizes = rows[rows.metric == "parameters"].groupby("model")["value"].max()  # pruned variants have fewer
    table = table.assign(parameters=table.model.map(sizes), source="measured")
    # Where no line has an interval its ends are no numbers yet.
    table = table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
    keys = [name for name in ("parameters", "model", "stored_bits", "way", "engine") if name in table]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)
