"""What memory allows a 7B on the document's four platforms, beside what the document printed for them. None of it is measured.

A decode step reads the weights once (analyze/roofline.py), so bandwidth over bytes is the most that it can be. Two models of
that: the most generous one takes every printed gain as it is printed and all of the nominal bandwidth; the expected one takes
what was measured: the share of its bandwidth that a runtime reached, the bytes that this pipeline's steps left, and what its
drafting gained. Both are computed, and `source` says so.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pandas as pd

from edgekit import committed, provenance, store
from edgekit.analyze import audit, roofline, stats
from edgekit.analyze.observed import estimate_of
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import Estimate
from edgekit.catalog import models, platforms, published
from edgekit.schema import BITS, NONE, PRUNING, RUNTIME, techniques

MODEL, BITS_BEFORE, BITS_AFTER = "llama-2-7b", 16, 4  # what the printed "7B", and its precisions before and after, stand for
BASELINE, OPTIMIZED = STAGES = ("baseline", "optimized")
PRINTED, GENEROUS, EXPECTED = KINDS = ("printed", "most generous", "expected from ours")
RUNTIME_OF_SHARE = "llama_cpp"
FULL = techniques((RUNTIME, BITS, PRUNING))  # before drafting
# What the most generous model takes for granted.
GENEROSITY = ("all of the nominal memory bandwidth, no keys or values, no input embedding; after optimization 4 bits for every "
              "weight without scales, the printed share of compute pruned from all bytes, and the printed gain of drafting")


@once
def projection_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a platform, stage and kind (KINDS) of tokens/s, with the ends of the expected ones. above: whether the printed
    rate is above what the most generous model allows, by more than rounding; over: printed rate over that of the line.

    The expected rate after optimization needs this study's rows; without them its line is not there.
    """
    columns = ["platform", "label", "stage", "kind", *stats.with_ends("tok_per_s"), "over", "above", "bandwidth", "source"]
    share, lines = achieved_share(), []
    made = measured_gain(frame)
    for number in published.printed():
        stage = next((stage for stage in STAGES if number["quantity"] == f"{stage}_tok_per_s"), None)
        if stage is None or "platform" not in number or "value" not in number:
            continue
        board, rate = platforms.get(number["platform"]), audit.as_printed(number["value"])
        most = generous_tok_per_s(board.memory_bandwidth_byte_per_s, stage)
        at = dict(platform=board.id, label=number["label"], stage=stage, above=rate.low > most,
                  bandwidth=board.memory_bandwidth_byte_per_s)
        found = {PRINTED: Estimate(rate.value, rate.low, rate.high, 1), GENEROUS: Estimate(most, None, None, 1)}
        if share is not None and (stage == BASELINE or made is not None):
            found[EXPECTED] = _expected(board.memory_bandwidth_byte_per_s, share, None if stage == BASELINE else made)
        lines += [dict(at, kind=kind, source="published" if kind == PRINTED else "modelled", over=rate.value / one.value)
                  | stats.ends_of("tok_per_s", one) for kind, one in found.items()]
    return pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(stats.with_ends("tok_per_s"), float))


def generous_tok_per_s(bandwidth_byte_per_s: float, stage: str) -> float:
    """The most tokens/s of a stage that GENEROSITY can give a 7B."""
    shape = models.architectures()[MODEL]
    if stage == BASELINE:
        return roofline.decode_ceiling_tok_per_s(bandwidth_byte_per_s, shape.read_per_step * BITS_BEFORE / 8)
    kept = 1 - _printed("compute_removed") / 100
    nbytes = shape.read_per_step * BITS_AFTER / 8 * kept
    return roofline.decode_ceiling_tok_per_s(bandwidth_byte_per_s, nbytes) * _printed("speculative_speedup")


def _printed(quantity: str) -> float:
    [value] = [number["value"] for number in published.printed() if number["quantity"] == quantity and "value" in number]
    return value


def _expected(bandwidth: float, share: Share, made: Gain | None) -> Estimate:
    """Tokens/s at the share of the bandwidth that was reached, of 16-bit weights or of what the pipeline made of them."""
    shape = models.architectures()[MODEL]
    ceiling = roofline.decode_ceiling_tok_per_s(bandwidth, shape.read_per_step * BITS_BEFORE / 8)
    factor = 1.0 if made is None else made.drafting / made.bytes_left
    found = share.estimate
    return Estimate(*(None if end is None else ceiling * factor * end for end in (found.value, found.low, found.high)), found.n)


@dataclass(frozen=True, slots=True)
class Share:
    """The share of its bandwidth that a runtime reached, at most 1, on what and where."""

    estimate: Estimate
    model: str
    dtype: str
    platform: str


@functools.cache
def achieved_share() -> Share | None:
    """That of the largest model which a committed baseline timed in RUNTIME_OF_SHARE, whose bytes no cache holds, at its
    shortest context; None where no file has one."""
    found = []
    for rows in committed.files():
        if rows.study != "02_baseline":
            continue
        table = roofline.utilisation_table(provenance.with_machine(store.read_frame(rows.path)[0], rows.path))
        table = table[(table.engine == RUNTIME_OF_SHARE) & (table.void == "") & table.cached.eq(False)]
        table = table.dropna(subset=["bandwidth_utilisation_low"])
        if len(table):
            line = table.sort_values(["parameters", "prompt_tokens"], ascending=[False, True], kind="stable").iloc[0]
            share = estimate_of(line, "bandwidth_utilisation", "", "share of the bandwidth").within(0.0, 1.0)
            found.append((line.parameters, Share(share, line.model, line["dtype"], rows.platform)))
    return max(found, key=lambda one: one[0])[1] if found else None


@dataclass(frozen=True, slots=True)
class Gain:
    """What a pipeline's rows say of a model. bytes_left: of its weights, over those of the whole model in 16 bits; drafting:
    speed of whole requests with the draft that gains most over those without, at least 1, which is none."""

    model: str
    bytes_left: float
    drafting: float


def measured_gain(frame: pd.DataFrame) -> Gain | None:
    """Of the fast runtime with few bits and pruning; None where the rows lack its size or its times."""
    sizes = rows_of(frame, "size", metrics=("stored_bits_per_weight", "parameters"))
    times = rows_of(frame, "stages", metrics=("request_s",))
    if "techniques" not in sizes or "techniques" not in times:
        return None
    sizes, times = sizes[sizes.techniques.isin([FULL, RUNTIME])], times[times.techniques == FULL]
    table = sizes.pivot_table(index="techniques", columns="metric", values="value")
    plain = times[times.draft == NONE]
    if not {FULL, RUNTIME} <= set(table.index) or plain.empty:
        return None
    nbytes = table.loc[FULL, "stored_bits_per_weight"] * table.loc[FULL, "parameters"]
    drafted = times[times.draft != NONE].groupby(["draft", "length"])["value"].mean()
    gain = plain["value"].mean() / drafted.min() if len(drafted) else 1.0
    return Gain(times.model.iloc[0], nbytes / (BITS_BEFORE * table.loc[RUNTIME, "parameters"]), max(1.0, gain))


def basis_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What the expected rates rest on, a line each: `what` (in words), value, and `where` it was measured."""
    share, made = achieved_share(), measured_gain(frame)
    lines = []
    if share is not None:
        lines.append(dict(what=f"share of the read bandwidth that {RUNTIME_OF_SHARE} reached", where=f"{share.model}, "
                          f"{share.dtype}, {share.platform}", n=share.estimate.n) | stats.ends_of("value", share.estimate))
    if made is not None:
        lines += [dict(what=what, where=made.model, n=1, value=value) for what, value in (
            ("bytes left of the 16-bit weights after few bits and pruning", made.bytes_left),
            ("speed of whole requests with a draft over those without, at least 1", made.drafting))]
    return pd.DataFrame(lines, columns=["what", *stats.with_ends("value"), "where", "n"]).astype(
        dict.fromkeys(stats.with_ends("value"), float))
