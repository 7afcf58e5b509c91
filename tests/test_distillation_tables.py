"""Tables and claims of the distillation study on made-up rows whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rows_05_distillation as made

from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.studies.distillation import quantities, tables

SETTING = Setting(models=("real", "pocket"))
ANY = (-math.inf, math.inf)


@pytest.fixture(scope="module")
def frame():
    return made.frame()


def line_of(table, **at):
    chosen = table[np.logical_and.reduce([table[name] == value for name, value in at.items()])]
    assert len(chosen) == 1, f"{at}: {len(chosen)} lines"
    return chosen.iloc[0]


def test_a_chain_is_what_was_put_in(frame):
    table = tables.chain_table(frame)
    assert len(table) == len({tuple(at[name] for name in tables.CHAIN[1:]) for at, *_ in made.chains()})
    whole = table[tables.is_whole(table)].iloc[0]
    assert (whole.kl, whole.added, whole.accuracy, whole.retained, whole.smaller) == (0, 0, 0.9, 100, 1)
    found = line_of(table, student=made.MODEL, pruning="0.8/0.8", learning="logits", quantization="Q4_0")
    assert found.kl == pytest.approx((0.2 * 2.0 + 0.05) * 0.9) and found.over == "texts" and found.n == 12
    assert found.added == pytest.approx(found.kl) and found.accuracy == round(36 / (1 + found.kl)) / 40
    assert found.smaller == pytest.approx(3.2e6 * 16 / (0.94e6 * 4.8))
    seeds = line_of(table, student=made.MODEL, pruning="0.8/0.8", learning="logits", quantization="none")
    assert seeds.over == "seeds" and seeds.n == 3 and seeds.kl == pytest.approx(0.4)
    # t of two degrees of freedom times the deviation of 0.36, 0.40, 0.44 over the root of 3
    assert seeds.kl_high - seeds.kl == pytest.approx(4.302653 * 0.04 / math.sqrt(3), rel=1e-5)


def test_learning_brings_back_the_share_that_was_put_in(frame):
    table = tables.learning_table(frame)
    for pruning in made.PRUNED:
        for learning, left in made.LEFT.items():
            line = line_of(table, student=made.MODEL, pruning=pruning, learning=learning)
            if learning == "none":
                assert np.isnan(line.brought_back)
            else:
                assert line.brought_back == pytest.approx(1 - left)
                assert line.brought_back_low <= line.brought_back <= line.brought_back_high
    assert table[table.student == made.SMALL].brought_back.isna().all() and (table.quantization == "none").all()


def test_the_order_is_paired_by_seed(frame):
    table = tables.order_table(frame)
    assert len(table) == 4 and table.ratio.to_numpy() == pytest.approx(1 / made.ORDER)
    assert (table.ratio_high - table.ratio_low).abs().max() < 1e-9, "draws differ, and both orders alike"
    assert (table.over == "seeds").all() and (table.n == 3).all()
    one = tables.order_table(made.frame(seeds=(1,)))
    assert (one.over == "texts").all() and (one.n == 12).all()


def test_nothing_on_the_frontier_is_beaten_and_all_else_is(frame):
    table = tables.chain_table(frame)
    front = tables.frontier(table)
    for line in table.itertuples():
        beaten = ((table.bytes <= line.bytes) & (table.kl < line.kl)) | ((table.bytes < line.bytes) & (table.kl <= line.kl))
        assert beaten.any() == (line.Index not in front.index) or (front.bytes == line.bytes).any()
    assert front.bytes.is_monotonic_decreasing and front.kl.is_monotonic_increasing


def test_training_curves_fall_as_put_in(frame):
    table = tables.training_table(frame)
    curve = table[(table.pruning == "0.8/0.8") & (table.learning == "logits") & (table.draw == 1)]
    assert curve.train_loss.tolist() == pytest.approx([1.8, 1.6, 1 + 0.4 * 4 / 3])
    assert curve.tokens.tolist() == [40960, 81920, 122880]


def test_claims_get_the_numbers_that_were_put_in(frame):
    order = quantities.QUANTITIES["prune_first_over_quantize_first"](frame, SETTING, ANY)
    assert order.estimate.value == pytest.approx(1.25) and order.estimate.low == pytest.approx(1.25) and order.scale == "pocket"
    smaller = quantities.QUANTITIES["chain_compression"](frame, SETTING, ANY).estimate
    assert smaller.value == pytest.approx(3.2e6 * 16 / (0.94e6 * 4.8))
    kept = quantities.QUANTITIES["accuracy_retained_at_a_tenth"](frame, SETTING, ANY).estimate
    assert kept.value == pytest.approx(100 * round(36 / 1.405) / 36) and kept.low < kept.value < kept.high and kept.n == 40


@pytest.mark.parametrize("name", quantities.QUANTITIES)
def test_what_was_not_measured_is_said(frame, name):
    without = frame[(frame.learning == "none") & (frame.quantization == "none")]
    with pytest.raises(NotMeasured, match="order|chain of pruning"):
        quantities.QUANTITIES[name](without, SETTING, ANY)
    assert tables.order_table(without).empty and tables.training_table(without).empty


def test_words_for_chains(frame):
    table = tables.chain_table(frame)
    words = {tables.stages(line) for line in table.itertuples()}
    assert {"whole", "Q4_0", "pruned 0.8/0.8, logits, Q4_0", "Q4_0, pruned 0.8/0.8", "fresh pocket-900k, logits, Q8_0"} <= words
    assert len(words) - len(table) in (0, -4), "chains that quantize first quantize twice, and say so once"
