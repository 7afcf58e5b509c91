"""The tables and quantities of the pipeline give back the truth that made-up rows were drawn with, and verdicts follow them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import rows_07_pipeline as made

from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.analyze.once import remembering
from edgekit.analyze.power import items_for_bound
from edgekit.claims import judgement as claims
from edgekit.studies.pipeline import tables as t
from edgekit.studies.pipeline import tables_shares as s
from edgekit.studies.pipeline.quantities import QUANTITIES
from edgekit.studies.pipeline.tables_first import first_token_table

FRAME = made.frame()
POCKET = Setting(("pocket",), prompt_tokens=128)
FULL = ("runtime", "bits", "pruning", "draft")


@pytest.fixture(scope="module", autouse=True)
def tables_are_computed_once():
    with remembering():
        yield


def stage(table: pd.DataFrame, name: str) -> pd.Series:
    [line] = [line for _, line in table.iterrows() if line.stage == name]
    return line


def verdict(frame: pd.DataFrame, claim: str, platform: str = "some-machine") -> claims.Verdict:
    [found] = claims.judge([one for one in claims.load("07_pipeline") if one.id == claim], frame, platform)
    return found


def test_each_stage_has_its_speed_over_the_fastest_baseline():
    table = t.stage_table(FRAME)
    assert list(table.stage) == [t.STATED, t.FASTEST, *t.STEPS.values()]
    for subset, name in t.STEPS.items():
        line = stage(table, name)
        assert line.speed_up == pytest.approx(made.gain(subset), rel=2 * made.NOISE)
        assert line.speed_up_low < line.speed_up < line.speed_up_high
        assert line.tok_per_s == pytest.approx(made.gain(subset) / made.SECONDS, rel=made.NOISE)
    assert stage(table, t.STATED).speed_up == pytest.approx(1 / made.BASELINES["bfloat16"], rel=2 * made.NOISE)
    assert stage(table, t.STATED).weights == "bfloat16" and stage(table, t.FASTEST).weights == "float32"
    full = stage(table, t.STEPS[frozenset(FULL)])
    assert (full.draft, full.length) == made.BEST and full.first_prompt == made.STATED
    assert full.peak_memory_bytes == pytest.approx(0.33e9) and full.parameters == 1e7
    assert full.tpot_s == pytest.approx(1 / full.tok_per_s, rel=made.NOISE) and full.ttft_s == pytest.approx(2 * full.tpot_s)
    assert pd.isna(full.joule_per_token)
    assert math.log(full.perplexity) == pytest.approx(0.7 + 0.05 * 3) and full.kl == pytest.approx(0.03)


def test_energy_is_told_where_there_is_a_sensor():
    full = stage(t.stage_table(made.frame(energy=True)), t.STEPS[frozenset(FULL)])
    assert full.joule_per_token == pytest.approx(10 / full.tok_per_s, rel=made.NOISE)


def test_what_is_lost_is_paired_by_item_and_in_percent_of_the_right_ones():
    full = stage(t.stage_table(FRAME), t.STEPS[frozenset(FULL)])
    lost = sum(made.LOST.values())
    assert full.accuracy == pytest.approx((made.RIGHT - lost) / made.ITEMS) and full["items"] == made.ITEMS
    assert full.loss == pytest.approx(100 * lost / made.RIGHT) and full.loss_low < full.loss < full.loss_high < 3


def test_a_repeat_is_not_judged_by_the_draft_that_its_own_luck_chose():
    cell = pd.DataFrame([dict(draft=draft, length=2, repeat=repeat, seconds=seconds)
                         for draft, times in (("a", (1.0, 3.0, 3.0)), ("b", (2.0, 2.0, 2.0)))
                         for repeat, seconds in enumerate(times)])
    assert dict(zip(*t.drafts_of(cell)[["repeat", "draft"]].to_numpy().T, strict=True)) == {0: "b", 1: "a", 2: "a"}
    assert set(t.drafts_of(cell[cell.repeat == 0]).draft) == {"a"}, "of one repeat there is no other"
    assert t.best_draft(t.drafts_of(cell)) == ("a", 2)


@pytest.mark.parametrize("packed, players", [(True, ["runtime", "bits", "pruning", "draft"]),
                                             (False, [s.JOINED, "pruning", "draft"])])
def test_shares_of_the_gain_sum_to_the_whole_and_runtime_and_bits_are_one_without_packed_weights(packed, players):
    frame = made.frame(packed=packed)
    table = s.share_table(frame)
    speed = table[table.of == s.SPEED].set_index("technique")
    assert list(speed.index) == [*players, s.ALL] and (speed.orders == speed.possible).all() and set(speed.missing) == {""}
    assert speed.share[players].sum() == pytest.approx(speed.share[s.ALL], abs=1e-12)
    assert speed.part[players].sum() == pytest.approx(100) and speed.times[players].prod() == pytest.approx(speed.times[s.ALL])
    assert speed.times[s.ALL] == pytest.approx(made.gain(FULL), rel=2 * made.NOISE)
    assert speed.times["pruning"] == pytest.approx(made.GAINS["pruning"], rel=3 * made.NOISE)
    if packed:  # what drafting loses on few bits belongs to both alike
        assert speed.times["runtime"] == pytest.approx(made.GAINS["runtime"], rel=3 * made.NOISE)
        assert speed.times["draft"] == pytest.approx(made.GAINS["draft"] * math.sqrt(made.BEYOND), rel=3 * made.NOISE)
        assert speed.times["bits"] == pytest.approx(made.GAINS["bits"] * math.sqrt(made.BEYOND), rel=3 * made.NOISE)
    loss = table[table.of == s.LOSS].set_index("technique")
    assert loss.share[players].sum() == pytest.approx(loss.share[s.ALL]) == pytest.approx(
        100 * sum(made.LOST.values()) / made.RIGHT)
    assert loss.share["pruning"] == pytest.approx(100 * made.LOST["pruning"] / made.RIGHT)
    assert loss.share["draft"] == 0 and pd.isna(loss.share_low["draft"]), "no item differs, which says nothing of an interval"


def test_orders_that_were_not_measured_throughout_are_left_out_and_named():
    loss = s.share_table(FRAME)
    loss = loss[loss.of == s.LOSS]
    assert set(loss.orders) == {6} and set(loss.possible) == {24}, "answers with a draft were taken of the whole pipeline alone"
    assert all("runtime + draft" in told for told in loss.missing)


def test_gains_multiply_by_as_much_as_they_were_drawn_to():
    table = s.product_table(FRAME).set_index("runtime")
    assert set(table.index) == {s.FAST, s.SLOW}
    line = table.loc[s.FAST]
    assert line.ratio == pytest.approx(made.BEYOND, rel=5 * made.NOISE) and line.ratio_low < line.ratio < line.ratio_high
    assert line.joint == pytest.approx(line["product"] * line.ratio)
    assert line["product"] == pytest.approx(1.6 * 1.25 * 1.2, rel=5 * made.NOISE)


def test_first_tokens_are_those_behind_the_stated_prompt():
    table = first_token_table(FRAME)
    assert list(table.stage) == ["quantized", "quantized", "+ drafting"] and set(table.prompt_tokens) == {made.STATED}
    [seen] = QUANTITIES["pipeline_first_token_s"].function(FRAME, POCKET, (0, 0.1))
    assert seen.estimate.value == pytest.approx(0.01, rel=made.NOISE) and seen.models == (made.MODEL,)


@pytest.mark.parametrize("claim, changed, word", [
    ("S1.1", {}, "holds at scale model"),
    ("S1.1", dict(faster=0.5), "does not hold at scale model"),
    ("S1.1", dict(faster=8.3 / made.gain(FULL)), "undecided"),
    ("S1.2", {}, "holds at scale model"),
    ("S1.2", dict(lost=made.LOST | dict(pruning=40)), "does not hold at scale model"),
    ("S1.2", dict(lost=made.LOST | dict(pruning=12)), "undecided"),
    ("S1.2", dict(items=20), "undecided"),
    ("S1.11", {}, "undecided"),
    ("S1.16", {}, "holds at scale model"),
    ("S1.19", {}, "holds at scale model"),
])
def test_verdicts_follow_the_rows(claim, changed, word):
    assert verdict(made.frame(**changed), claim).verdict == word


def test_gains_that_multiply_and_a_stage_that_loses_have_their_verdicts(monkeypatch):
    monkeypatch.setattr(made, "BEYOND", 1.0)
    monkeypatch.setattr(made, "NOISE", 0.001)
    assert verdict(made.frame(), "S1.11").verdict == "holds at scale model"
    monkeypatch.setattr(made, "BEYOND", 0.6)
    assert verdict(made.frame(), "S1.11").verdict == "does not hold at scale model"
    found = verdict(made.frame(), "S1.19")
    assert found.verdict == "does not hold at scale model" and "+ drafting" in found.seen[0].where


def test_a_boards_row_is_judged_on_that_board_alone_and_on_models_of_its_size():
    frame = made.frame(model="Qwen/Qwen2.5-7B-Instruct")
    frame = frame.assign(value=frame.value.where(frame.metric != "parameters", 7.6e9))
    here = verdict(frame, "S1.12", "apple-m2-pro")
    assert here.verdict == "not reproduced" and {one.wanted.quantity: one.word for one in here.outcomes} == {
        "pipeline_baseline_tok_per_s": "outside", "pipeline_tok_per_s": "inside", "pipeline_first_token_s": "inside",
        "pipeline_retained": "inside"}
    elsewhere = verdict(frame, "S1.12")
    assert elsewhere.verdict == "consistent" and elsewhere.beside.verdict == claims.NOT_TESTABLE
    assert verdict(FRAME, "S1.12", "apple-m2-pro").beside.missing


def test_without_answers_or_stages_a_quantity_says_what_is_missing():
    with pytest.raises(NotMeasured, match="answers of the baseline"):
        QUANTITIES["pipeline_loss"].function(FRAME[FRAME.task != "accuracy"], POCKET, (-100, 3))
    with pytest.raises(NotMeasured, match="each technique alone"):
        QUANTITIES["joint_over_product"].function(FRAME[FRAME.techniques != "runtime + pruning"], POCKET, (0.9, 1.1))
    with pytest.raises(NotMeasured, match="the whole pipeline"):
        QUANTITIES["pipeline_gain"].function(FRAME[FRAME.techniques != "none"], POCKET, (8.3, math.inf))
    assert s.share_table(FRAME[FRAME.techniques != "none"]).empty


def test_so_many_items_show_the_bound_as_often_as_asked():
    items = items_for_bound(0.03, 0.9, 0.04)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        whole = np.arange(items) < 0.9 * items
        own = whole ^ (rng.random(items) < np.where(whole, 0.02 / 0.9, 0.2))
        held += t.loss_of(own.astype(float), whole.astype(float)).high < 3
    assert 0.72 < held / 300 < 0.88, "a chance of 0.8"
    assert items_for_bound(0.03, 0.9, 0.08) == pytest.approx(2 * items, abs=1)
    with pytest.raises(ValueError, match="lost 0.04, bound 0.03"):
        items_for_bound(0.03, 0.9, 0.04, lost=0.04)
