"""The tables and quantities of the pruning study give back the truth that made-up rows were drawn with."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import rows_04_pruning as made

from edgekit.analyze import accounting
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.catalog import models
from edgekit.claims import judgement as claims
from edgekit.claims import text as verdict_text
from edgekit.studies.pruning import jobs
from edgekit.studies.pruning import tables as p
from edgekit.studies.pruning import tables_savings as savings
from edgekit.studies.pruning.quantities import QUANTITIES

FRAME = made.frame()
ANY = Setting(("pocket", "shape"))


def only(table: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_each_way_at_the_point_stands_once_with_what_it_adds():
    table = p.method_table(FRAME)
    assert p.main_point(FRAME) == ("0.2", "0.15")
    whats = ["taylor", "taylor, 4 rounds", "taylor, all layers together", "gate", "gate, 4 rounds", "gate, all layers together",
             "activation", "magnitude", "random"]
    assert list(table.what) == whats * 2 and list(dict.fromkeys(table.model)) == list(made.MODELS)
    for what, nats in {**made.ADDED, "taylor, all layers together": 0.08, "gate, 4 rounds": 0.9 * 0.12}.items():
        line = only(table, model="pocket-10m", what=what)
        assert line.added == pytest.approx(nats) and line.kl == pytest.approx(1.1 * nats)
        assert (line.over, line.n) == (("texts", 12) if what == "magnitude" else ("seeds", 3))
    taylor = only(table, model="pocket-3m", what="taylor")
    assert taylor.added_high - taylor.added == pytest.approx(0.1 * taylor.added / math.sqrt(3) * 4.302653, rel=1e-5)
    assert (taylor.removed_heads, taylor.removed_neurons) == pytest.approx((0.2, 0.15))


def test_accuracy_is_paired_with_the_whole_model():
    table, answers = p.method_table(FRAME), FRAME[(FRAME.metric == "correct") & (FRAME.model == "pocket-10m")]
    line = only(table, model="pocket-10m", what="random")
    right = answers[answers.score == "random"].value.mean()
    assert line.accuracy == pytest.approx(right)
    assert line.change == pytest.approx(right - answers[answers.score == "none"].value.mean()) and line.change < 0


def test_contrasts_pair_seeds_where_both_have_them_and_blocks_where_not():
    table = p.contrast_table(FRAME)
    gate, random = (only(table, model="pocket-3m", what=what) for what in ("gate", "random"))
    assert gate.more == pytest.approx(0.02) and (gate.over, gate.n) == ("seeds", 3)
    assert gate.more_high - gate.more == pytest.approx(0.1 * 0.02 / math.sqrt(3) * 4.302653, rel=1e-5)
    assert random.more == pytest.approx(0.5) and (random.over, random.n) == ("texts", 12), "unlike seeds are no pairs"
    assert "taylor" not in set(table.what) and only(table, model="pocket-3m", what="taylor, 4 rounds").more < 0


def test_the_sweep_holds_every_pair_and_the_whole_model_at_nothing():
    table = p.sweep_table(FRAME)
    for line in table.itertuples():
        middle = (line.heads, line.mlp) == (0.2, 0.15)
        assert line.added == pytest.approx(made.swept(line.heads, line.mlp), abs=1e-9)
        assert (line.removed_heads, line.removed_neurons) == pytest.approx((line.heads, line.mlp)) or middle
    assert len(table) == 2 * 9 and set(zip(table.heads, table.mlp, strict=True)) == {(h, m) for h in made.SWEEP[0]
                                                                                   for m in made.SWEEP[1]}
    halves = only(p.halves_table(FRAME), model="pocket-3m")
    assert (halves.heads, halves.mlp, halves.both) == pytest.approx((0.2, 0.15 / 5, made.ADDED["taylor"] * 0.9), rel=0.2)
    assert halves.share == pytest.approx(0.2 / (0.2 + 0.15 / 5))
    assert p.sweep_table(made.frame(swept_models=())).empty
    assert set(p.sweep_table(made.frame(swept_models=("pocket-3m",))).model) == {"pocket-3m"}


def test_rank_correlations_are_means_over_layers_with_intervals_over_seeds():
    table = p.ranking_table(FRAME)
    line = only(table, model="pocket-3m", score="gate", unit="neurons", samples=4)
    assert line.correlation == pytest.approx(made.correlation(4, 1) - 0.1) and line.n == 3
    z = 0.01 / math.sqrt(3) * 4.302653 / (1 - line.correlation**2)  # Fisher's z has this slope
    assert (line.correlation_low, line.correlation_high) == pytest.approx(
        [math.tanh(math.atanh(line.correlation) + side * z) for side in (-1, 1)], rel=1e-5)
    assert (table.correlation_high <= 1).all()
    assert p.ranking_table(made.frame(seeds=(0,))).correlation_low.isna().all()


def test_kept_shares_are_those_of_the_global_allocation():
    table = p.layer_table(FRAME)
    for score, shares in made.KEPT.items():
        lines = table[(table.model == "pocket-3m") & (table.score == score) & (table.unit == "heads")]
        assert list(lines.kept) == pytest.approx(list(shares)) and list(lines.layer) == [0, 1, 2]
        assert list(lines.kept_low) == pytest.approx(list(shares)), "no seed differs"
    unlike = put(FRAME, 0.8, task="kept", unit="heads", layer=0, score="taylor", calibration_seed=0)
    line = only(p.layer_table(unlike), model="pocket-3m", score="taylor", unit="heads", layer=0)
    assert line.kept == pytest.approx(2.8 / 3) and 0 < line.kept_low < line.kept < line.kept_high < 1
    assert p.layer_table(made.frame(ablated=False)).empty


def test_sizes_come_back_as_architectures_and_savings_are_those_of_the_accounting():
    whole, pruned = savings.architectures(FRAME)["shape:a-0.5b"]
    assert (whole.heads, whole.kv_heads, pruned.heads, pruned.kv_heads, pruned.mlp_width) == (14, 2, 12, 2, 4128)
    assert (whole.family, whole.tied) == ("qwen2", True) and whole.parameters == made.parameters("shape:a-0.5b", False)
    line = only(savings.count_table(FRAME), model="shape:a-0.5b")
    assert line.saved_parameters == pytest.approx(1 - pruned.parameters / whole.parameters)
    attention, mlp = 896 * 64 * 2, 3 * 896
    went = attention * 2 + mlp * 736
    assert line.projections == pytest.approx(went / (attention * 16 + mlp * 4864))
    assert line.removed_heads == pytest.approx(2 / 14) and line.parameters == whole.parameters


def test_the_clock_is_paired_by_repeat_and_stands_beside_the_arithmetic():
    table = savings.saving_table(FRAME)
    for (engine, dtype), shares in made.CLOCK.items():
        for phase, share in zip(("prefill", "decode"), shares, strict=True):
            line = only(table, model="shape:a-0.5b", engine=engine, dtype=dtype, phase=phase, batch=1)
            assert line.clock == pytest.approx(1 - share, abs=0.02) and line.n == 3
            assert line.clock_high - line.clock_low < 0.1, "drift of a third is in both of a pair and goes"
    whole, pruned = savings.architectures(FRAME)["shape:a-0.5b"]
    first, decode = (only(table, model="shape:a-0.5b", engine="llama_cpp", phase=phase) for phase in ("prefill", "decode"))
    assert first.arithmetic == 1 - accounting.prefill_macs(pruned, 64) / accounting.prefill_macs(whole, 64)
    read = [2 * made.parameters("shape:a-0.5b", cut) + 1e4 * (0.8 if cut else 1) * 80 for cut in (False, True)]
    assert decode.arithmetic == decode.bytes == pytest.approx(1 - read[1] / read[0])
    together = only(table, model="shape:a-0.5b", engine="transformers", phase="decode", batch=4)
    assert together.bytes != only(table, model="shape:a-0.5b", engine="transformers", phase="decode", batch=1).bytes


def test_memory_saved_is_that_beside_the_process():
    line = only(savings.memory_table(FRAME), model="pocket-10m", engine="llama_cpp")
    sizes = [made.parameters("pocket-10m", cut) for cut in (False, True)]
    assert line.whole_bytes == pytest.approx(2.2 * sizes[0]) and line.saved == pytest.approx(1 - sizes[1] / sizes[0])


def as_told(claim_id: str, frame: pd.DataFrame) -> claims.Verdict:
    [verdict] = claims.judge([claim for claim in claims.load("04_pruning") if claim.id == claim_id], frame, "here")
    return verdict


def put(frame: pd.DataFrame, value: float, **where) -> pd.DataFrame:
    chosen = np.logical_and.reduce([frame[name] == wanted for name, wanted in where.items()])
    return frame.assign(value=frame.value.mask(chosen, value))


SMALL = put(put(FRAME, 8, task="shape", model="shape:a-0.5b", part="heads", heads=0.2), 3000, task="shape", part="mlp_width",
            model="shape:a-0.5b", heads=0.2)
FAST = dict.fromkeys(made.CLOCK, (0.6, 0.8))
HALF = made.frame(clock=FAST).assign(value=lambda f: f.value.where(f.task != "shape", SMALL.value.to_numpy()))
FEW = dict(models=("pocket-10m",), ablated=False, swept_models=())


@pytest.mark.parametrize("claim_id, frame, word", [
    ("S1.6", FRAME, "does not hold on a shape"), ("S1.6", HALF, "holds on a shape"),
    ("S1.6", SMALL, "does not hold on a shape"),
    ("S1.6", FRAME[~FRAME.task.isin(["speed", "shape", "batches"])], "inconsistent"),
    ("S1.7", made.frame(lost=3.0, **FEW), "does not hold at scale model"),
    ("S1.7", made.frame(lost=0.0, items=400, **FEW), "holds at scale model"),
    ("S1.7", made.frame(lost=0.0, items=100, **FEW), "undecided"),  # a hundred items that agree cannot tell one in a hundred
    ("S1.7", FRAME[FRAME.score != "taylor"], "not testable here"),
])
def test_verdicts_are_as_the_rows_were_made(claim_id, frame, word):
    verdict = as_told(claim_id, frame)
    assert verdict.verdict == word, verdict_text.reason(verdict)


def test_a_verdict_says_what_was_seen_and_where():
    saved = as_told("S1.6", FRAME)
    assert [seen.scale for seen in saved.seen] == ["shape", "shape"] and saved.beside.verdict == "inconsistent"
    assert "14.3 % of the heads and 15.1 % of the MLP width removed" in saved.seen[0].where
    assert saved.seen[1].estimate.value == pytest.approx(20, abs=2) and "llama_cpp float16, 64 tokens in" in saved.seen[1].where
    lost = as_told("S1.7", FRAME)
    assert lost.seen[0].where.startswith("pocket-10m, 20 % of the heads and 15 %")
    assert "nats a token added" in lost.seen[0].note


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_is_not_measured_is_named(quantity):
    for rows in (FRAME[FRAME.task == "ranking"], FRAME[["task", "metric", "value"]][:0], pd.DataFrame()):
        with pytest.raises(NotMeasured):
            QUANTITIES[quantity](rows, ANY, (0.0, math.inf))


def test_tables_of_no_rows_have_no_lines():
    empty = FRAME[FRAME.task == "none"]
    for table in (p.method_table, p.contrast_table, p.sweep_table, p.halves_table, p.ranking_table, p.layer_table,
                  savings.count_table, savings.saving_table, savings.memory_table):
        assert table(empty).empty


def test_sizes_of_a_model_with_windows_come_back_too():
    whole = dataclasses.replace(models.architectures()["smollm2-135m"], family="gemma3_text", window=100, window_period=6)
    back = savings._architecture(pd.DataFrame(jobs.sizes(whole)))
    assert back.parameters == whole.parameters != models.architectures()["smollm2-135m"].parameters
    for tokens in (50, 500):
        assert back.kv_elements(tokens) == whole.kv_elements(tokens)
        assert accounting.prefill_macs(back, tokens) == accounting.prefill_macs(whole, tokens)
