"""The rows of 03_quantization as tidy tables: what methods differ by, what calibration and search matter, what quantizing took.

Columns are as in edgekit.analyze.losses, which has the losses themselves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.losses import LINE, accuracy_table, block_table, described, loss_table, rows_of, sized
from edgekit.analyze.once import once
from edgekit.analyze.rows import in_reference
from edgekit.schema import DEQUANTIZED, NONE

FULL = ("", "all")  # searches with nothing left out, on the method's own grid (a symmetric one is a runtime's wish)
# What an ablated search lacks or has.
SEARCHED = {"no clip": "no search for clips", "no scale": "no search for scales", "none": "no search",
            "duo": "scales from weights too", "symmetric": "symmetric grid"}
UNCALIBRATED = "no calibration"


PAIRS = ["model", "bits", "group", "calibration", "samples"]  # what two methods have in common where they are compared


@once
def _paired(frame: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """A line a block of texts that both methods were scored on with the same PAIRS and calibration seed, in the reference
    engine: nats that `other` takes more (`difference`), and tokens."""
    blocks = described(block_table(frame), frame)
    blocks = blocks[in_reference(blocks) & blocks.search.isin(FULL)]
    a, b = (blocks[blocks.method == method] for method in (one, other))
    both = a.merge(b, on=[*PAIRS, "calibration_seed", "domain", "block", "tokens"], suffixes=("", "_other"))
    if both.empty:  # without rows there are no losses either
        return both.reindex(columns=[*both.columns, "difference"])
    return both.assign(difference=both.nll_nats_other - both.nll_nats)


@once
def lead_table(frame: pd.DataFrame, one: str = "awq", other: str = "gptq") -> pd.DataFrame:
    """By how much `one` beats `other` at equal bits, group and calibration, in the reference engine, a line a model.

    lead: perplexity of `other` over that of `one`, less 1, in %; above 0 where `one` is better. Pairs are calibration seeds.
    """
    lines = []
    for key, cell in _paired(frame, one, other).groupby(PAIRS):
        seeds = [part for _, part in cell.groupby("calibration_seed")]
        nats = stats.per_token(seeds, "difference")
        ends = [None if end is None else 100 * float(np.expm1(end)) for end in (nats.value, nats.low, nats.high)]
        lines.append(dict(zip(PAIRS, key, strict=True)) | stats.ends_of("lead", stats.Estimate(*ends, nats.n, "%")) | {
            "n": nats.n, "over": "seeds" if len(seeds) > 1 else "texts"})
    table = pd.DataFrame(lines, columns=[*PAIRS, *stats.with_ends("lead"), "over", "n"])
    return sized(table.astype({"bits": int, "group": int, "samples": int}), frame)


def main_leads(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of `lead_table` with the main calibration."""
    table = lead_table(frame)
    calibration, samples = main_calibration(loss_table(frame))
    return table[(table.calibration == calibration) & (table.samples.astype(str) == samples)].reset_index(drop=True)


def lead_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """The leads of AWQ over GPTQ of single calibration seeds (in %): what the intervals over seeds are taken of."""
    sums = _paired(frame, "awq", "gptq").groupby([*PAIRS, "calibration_seed"], as_index=False)[["difference", "tokens"]].sum()
    return sums.assign(lead=100 * np.expm1(sums.difference / sums.tokens)).astype({"bits": int, "group": int, "samples": int})


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


def kernels(frame: pd.DataFrame) -> pd.DataFrame:
    """The `kernel` that ran, in the runtime's own words, a line a variant and engine."""
    rows = rows_of(frame, "size").dropna(subset=["kernel"])
    return rows.drop_duplicates(LINE)[[*LINE, "kernel"]].reset_index(drop=True)


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds and peak memory that quantizing took (one run), a line a variant."""
    rows = rows_of(frame, "build")
    wide = rows.pivot_table(index=LINE, columns="metric", values="value").reset_index()
    wide = wide.reindex(columns=[*LINE, "quantize_s", "base_memory_bytes", "peak_memory_bytes"])
    return described(wide, frame)


def scored_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the unquantized models were scored on, a line a model and domain: tokens, blocks, and nats_per_token."""
    rows = rows_of(frame, "divergence")
    rows = rows[(rows.way == NONE) & (rows.metric == "nll_nats") & in_reference(rows)]
    table = rows.groupby(["model", "domain"], as_index=False).agg(
        tokens=("tokens", "sum"), blocks=("block", "nunique"), nll=("value", "sum"))
    return table.assign(nats_per_token=table.nll / table.tokens).astype({"tokens": int}).drop(columns="nll")


def quality_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`loss_table` in the reference engine with the change of accuracy beside it, without the ablations."""
    answers = accuracy_table(frame)[[*LINE, *stats.with_ends("change")]]
    table = loss_table(frame).merge(answers, on=LINE, how="left")
    return one_line_a_file(main_part(table[in_reference(table)]))


def one_line_a_file(table: pd.DataFrame) -> pd.DataFrame:
    """A table of losses without the lines of GGUF types that made the same file: same bits, same losses to the last digit. The
    line that stays names all of them: "Q4_0 = Q2_K" (llama.cpp falls back where a width is no multiple of 256)."""
    same = ["model", "method", "stored_bits", "kl", "perplexity", "agreement"]
    files = table[table.type != ""].groupby(same, sort=False)
    names = files["type"].agg(" = ".join)
    merged = table[(table.type == "") | ~table.duplicated([*same, "engine", "dtype"])]
    return merged.assign(type=[names.get(tuple(line[name] for name in same), line["type"]) if line["type"] else ""
                               for line in merged.to_dict("records")])


def file_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the GGUF types became, a line a model and file: its types, stored_bits, and the formats of its weights (`stored_as`,
    nothing where rows have none on record)."""
    table = loss_table(frame)
    table = table[in_reference(table) & (table.method == "gguf")]
    rows = rows_of(frame, "size")
    formats = rows.reindex(columns=[*LINE, "stored_as"]).dropna().drop_duplicates(LINE)
    return one_line_a_file(table).merge(formats, on=LINE, how="left")


def kernel_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What a runtime's own kernel adds, a line a variant and runtime: `loss_table` against the same weights dequantized, with
    the whole divergence (`kl_unquantized`) and the kernel that ran beside it."""
    whole = loss_table(frame)[[*LINE, "kl"]].rename(columns={"kl": "kl_unquantized"})
    return loss_table(frame, against=DEQUANTIZED).merge(whole, on=LINE, how="left").merge(kernels(frame), on=LINE, how="left")
