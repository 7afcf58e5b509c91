"""The tables and quantities of the quantization study give back the truth that made-up rows were drawn with."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import rows_03_quantization as made

from edgekit.analyze import losses as q
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.claims import judgement as claims
from edgekit.claims import text as verdict_text
from edgekit.studies.quantization import tables
from edgekit.studies.quantization import tables_speed as speed
from edgekit.studies.quantization.quantities import QUANTITIES

FRAME = made.frame()
POCKET, SHAPE = Setting(("pocket",)), Setting(("shape",))


def only(table: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_losses_are_those_that_the_rows_hold_a_token():
    table = q.loss_table(FRAME)
    for model in made.MODELS:
        for method in ("rtn", "gptq", "awq"):
            line = only(table, model=model, method=method, bits="4")
            assert line.kl == pytest.approx(made.kl(model, method, 4)) and line.added == pytest.approx(line.kl)
            assert line.agreement == pytest.approx(1 - line.kl) and line.stored_bits == 4.5
        whole = only(table, model=model, method="none")
        assert whole.kl == whole.added == 0 and whole.agreement == 1
        nats = FRAME[(FRAME.model == model) & (FRAME.method == "none") & (FRAME.metric == "nll_nats")].value.sum()
        assert whole.perplexity == pytest.approx(math.exp(nats / (12 * made.TOKENS)))


def test_intervals_are_over_seeds_where_there_are_some_and_over_texts_where_not():
    table = q.loss_table(FRAME)
    seeded, plain = (only(table, model="pocket-10m", method=method, bits="4") for method in ("gptq", "rtn"))
    assert (seeded.over, seeded.n, plain.over, plain.n) == ("seeds", 3, "texts", 12)
    spread = np.std([0.9, 1.0, 1.1], ddof=1) / math.sqrt(3) * 4.302653
    assert seeded.kl_high - seeded.kl == pytest.approx(spread * seeded.kl, rel=1e-5)
    assert plain.kl_low == pytest.approx(plain.kl) == pytest.approx(plain.kl_high), "rtn's blocks all lose alike"


def test_one_block_of_texts_has_no_interval_but_a_number_all_the_same():
    one = q.loss_table(made.frame(seeds=(0,))[lambda f: f.block.isna() | (f.block == 0)], "prose")
    assert (one.n == 1).all() and one.kl_low.isna().all() and one.kl_low.dtype == float
    assert only(one, model="pocket-10m", method="rtn", bits="4").kl == pytest.approx(made.kl("pocket-10m", "rtn", 4))


def test_a_domain_is_counted_alone():
    both, prose = q.loss_table(FRAME), q.loss_table(FRAME, "prose")
    assert len(both) == len(prose) and set(prose.n[prose.over == "texts"]) == {made.BLOCKS}


def test_the_lead_pairs_seeds_and_blocks():
    table = tables.lead_table(FRAME)
    for model in made.MODELS:
        line = only(table, model=model)
        gap = made.kl(model, "gptq", 4) - made.kl(model, "awq", 4)
        assert line.lead == pytest.approx(100 * math.expm1(gap)) and line.n == 3 and line.over == "seeds"
        assert line.lead_low < line.lead < line.lead_high
    assert list(table.model) == ["pocket-900k", "pocket-10m"]
    other_way = tables.lead_table(FRAME, "gptq", "awq")
    assert (other_way.lead < 0).all()


def test_ablations_and_symmetric_grids_stay_out_of_the_lead():
    everything = tables.lead_table(made.frame(ablated=True))
    main = everything[(everything.calibration == "mixture") & (everything.samples == 32)].reset_index(drop=True)
    pd.testing.assert_frame_equal(main, tables.lead_table(FRAME))
    prose = only(everything, model="pocket-10m", calibration="prose")
    gap = 1.2 * (made.kl("pocket-10m", "gptq", 4) - made.kl("pocket-10m", "awq", 4))
    assert prose.lead == pytest.approx(100 * math.expm1(gap)) and prose.n == 3


def test_a_runtime_is_compared_with_its_dequantized_weights():
    table = q.loss_table(made.frame(runtimes=True), against="dequantized")
    assert len(table) == len(made.MODELS) * len(made.KERNELS)
    for (engine, dtype, method, _), kernel in made.KERNELS.items():
        line = only(table, model="pocket-10m", engine=engine, dtype=dtype, method=method)
        assert line.kl == pytest.approx(kernel) and line.agreement == pytest.approx(1 - kernel)
        assert (line.over, line.n, line.stored_bits) == ("texts", 12, 4.5) and np.isnan(line.perplexity)
    assert q.loss_table(FRAME, against="dequantized").empty, "dequantized weights are not compared with themselves"


def test_accuracy_is_paired_with_the_unquantized_model():
    table = q.accuracy_table(FRAME)
    whole = only(table, model="pocket-10m", method="none")
    assert whole.change == 0 and whole.retained == 100 and whole.retained_low < 100 < whole.retained_high
    answers = FRAME[(FRAME.metric == "correct") & (FRAME.model == "pocket-10m")]
    right = answers[(answers.method == "gptq") & (answers.bits == 3)].value.mean()
    line = only(table, model="pocket-10m", method="gptq", bits="3")
    assert line.accuracy == pytest.approx(right) and line.n == 30
    assert line.change == pytest.approx(right - whole.accuracy) and line.retained == pytest.approx(100 * right / whole.accuracy)
    assert line.change_low < line.change < 0


def test_runtimes_are_weighed_and_compared_with_as_many_threads():
    """One thread takes twice as long in every runtime: speed-ups stay, and figures and claims look at two threads."""
    single = FRAME[FRAME.task.isin(["speed", "device"])].copy()
    times = single.metric.isin(["tpot_s", "ttft_s"])
    single.loc[times, "value"] *= 2
    both = pd.concat([FRAME, single.assign(threads=1)], ignore_index=True)
    table = speed.runtime_table(both)
    assert len(table) == 2 * len(speed.runtime_table(FRAME)) == 20
    one, two = (only(table, model="shape:b-0.5b", engine="llama_cpp", weights="Q4_0", threads=threads) for threads in (1, 2))
    assert one.tpot_s == pytest.approx(2 * two.tpot_s) and one.ttft_s == pytest.approx(2 * two.ttft_s)
    assert one.speed_up == pytest.approx(two.speed_up) and two.memory_bytes == pytest.approx(1.1 * two.weight_bytes)
    assert set(speed.with_most_threads(table).threads) == {2} and two.kernel == "llama_cpp Q4_0"
    before, after = (QUANTITIES["w4a16_speed_up"](rows, SHAPE, (0, 99)).estimate for rows in (FRAME, both))
    assert before == after


def test_a_lead_over_seeds_is_preferred_to_one_over_texts():
    """Groups of 32 with one seed, in which the lead is twice as large, stand beside groups of 64 with three."""
    other = FRAME[(FRAME.group == 64) & FRAME.calibration_seed.isin([0])].assign(group=32)
    found = QUANTITIES["awq_lead"](pd.concat([other, FRAME], ignore_index=True), POCKET, (0, 99))
    assert "groups of 64" in found.where and found.estimate.n == 3


def test_the_kernel_of_each_variant_is_named_once():
    table = tables.kernels(FRAME)
    assert set(table.kernel) == {"torch"} and len(table) == len(q.loss_table(FRAME))
    assert tables.kernels(FRAME.drop(columns="kernel")).empty


def test_costs_stand_once_a_variant():
    table = tables.cost_table(FRAME)
    assert len(table) == 2 * 13 and set(table.quantize_s) == {3.0} and set(table.engine) == {"none"}


def test_speed_ups_are_paired_and_ceilings_are_those_of_the_bytes():
    utilisation, ups = speed.speed_tables(FRAME)
    line = only(ups, model="shape:b-0.5b", engine="llama_cpp", weights="Q4_0")
    assert line.speed_up == pytest.approx(8, rel=0.1) and line.n == 3 and line.speed_up_low < line.speed_up
    assert only(ups, model="shape:b-0.5b", engine="transformers", weights="bfloat16").speed_up == 1
    used = only(utilisation, model="shape:b-0.5b", engine="llama_cpp", dtype="Q4_0")
    step = 4.9e8 * 4.5 / 8 + 1e4 * (64 + 16)
    assert used.step_bytes == pytest.approx(step)
    assert used.bandwidth_utilisation == pytest.approx(step / 0.010 / 4e10, rel=0.1)


def test_the_ablation_table_says_what_was_varied_and_by_how_much_it_lost():
    table = tables.ablation_table(made.frame(ablated=True))
    assert tables.ablation_table(FRAME).empty
    awq = table[(table.method == "awq") & (table.model == "pocket-10m")].set_index("what").kl / made.kl("pocket-10m", "awq", 4)
    assert dict(awq) == pytest.approx({"": 1, "prose": 1.2, "random": 2, "8 texts": 1.1, "no search for clips": 1.3,
                                       "no search for scales": 1.5, "no search": 1.7})
    gptq = table[(table.method == "gptq") & (table.model == "pocket-10m")].set_index("what").kl / made.kl("", "gptq", 4)
    assert dict(gptq) == pytest.approx({"": 1, "prose": 1.2, "random": 2, "8 texts": 1.1, "symmetric grid": 3})
    assert set(table[table.method == "rtn"].what) == {"no calibration"} and set(table.bits) == {"4"}


@pytest.mark.parametrize("quantity", [name for name in QUANTITIES if name.startswith("awq")])
def test_ablations_do_not_change_what_a_quantity_sees(quantity):
    seen, plain = (QUANTITIES[quantity](frame, POCKET, (0.0, math.inf)).estimate
                   for frame in (made.frame(ablated=True, seeds=(0, 1)), made.frame(seeds=(0, 1))))
    if quantity == "awq_accuracy_retained":  # answers are drawn anew
        assert seen.n == plain.n
    else:
        assert [seen.value, seen.low, seen.high] == pytest.approx([plain.value, plain.low, plain.high])


@pytest.mark.parametrize("quantity, setting, truth, scale", [
    ("awq_lead", POCKET, 100 * math.expm1(2 / 256), "pocket"),
    ("awq_lead_smaller_over_larger", POCKET, 100 * (math.expm1(10 / 256) - math.expm1(2 / 256)), "pocket"),
    ("awq_memory_saved", POCKET, 100 * (1 - 4.5 / 16), "pocket"),
    ("w4a16_speed_up", SHAPE, 2.0, "shape"),
    ("w4a16_speed_up_larger_over_smaller", SHAPE, 1.2, "shape"),
])
def test_quantities_give_the_truth(quantity, setting, truth, scale):
    seen = QUANTITIES[quantity](FRAME, setting, (0.0, math.inf))
    assert seen.estimate.value == pytest.approx(truth, rel=0.05) and seen.scale == scale
    assert seen.estimate.low <= seen.estimate.value <= seen.estimate.high


def test_accuracy_quantities_are_those_of_the_table():
    line = only(q.accuracy_table(FRAME), model="pocket-10m", method="awq")
    kept = QUANTITIES["awq_accuracy_retained"](FRAME, POCKET, (95.0, math.inf)).estimate
    change = QUANTITIES["w4a16_accuracy_change"](FRAME, SHAPE, (-5.0, math.inf)).estimate
    assert kept.value == pytest.approx(line.retained) and change.value == pytest.approx(100 * line.change)
    assert change.low == pytest.approx(100 * line.change_low) and kept.n == 30


@pytest.mark.parametrize("quantity, setting", [(name, POCKET if name.startswith("awq") else SHAPE) for name in QUANTITIES])
def test_what_is_not_measured_is_named(quantity, setting):
    bare = FRAME[FRAME.method.isin(["none", "rtn"]) | (FRAME.task == "device")]
    with pytest.raises(NotMeasured):
        QUANTITIES[quantity](bare, setting, (0.0, math.inf))


def as_told(claim_id: str, frame: pd.DataFrame) -> claims.Verdict:
    [verdict] = claims.judge([claim for claim in claims.load("03_quantization") if claim.id == claim_id], frame, "here")
    return verdict


def kept(frame: pd.DataFrame) -> pd.DataFrame:
    """AWQ answers as the unquantized model does."""
    whole = frame[(frame.metric == "correct") & (frame.method == "none")].set_index(["model", "item"]).value
    same = [whole.get((line.model, line.item), line.value) if line.metric == "correct" and line.method == "awq" else line.value
            for line in frame[["model", "item", "metric", "method", "value"]].itertuples()]
    return frame.assign(value=same)


def put(frame: pd.DataFrame, value: float, **where) -> pd.DataFrame:
    chosen = np.logical_and.reduce([frame[name] == wanted for name, wanted in where.items()])
    return frame.assign(value=frame.value.mask(chosen, value))


SMALLER = put(FRAME, 4.2, metric="stored_bits_per_weight", method="awq")
SWAPPED = FRAME.assign(method=FRAME.method.replace({"awq": "gptq", "gptq": "awq"}))
UPSIDE_DOWN = FRAME.assign(model=FRAME.model.replace({"pocket-10m": "pocket-900k", "pocket-900k": "pocket-10m"}),
                           value=FRAME.value.where(FRAME.metric != "parameters", 9.9e12 / FRAME.value))
SLOW = FRAME.assign(value=FRAME.value.where(~((FRAME.metric == "tpot_s") & (FRAME.weights == "awq")), 0.2))


@pytest.mark.parametrize("claim_id, frame, word", [
    ("S1.5", FRAME, "holds at scale model"), ("S1.5", SWAPPED, "does not hold at scale model"),
    ("S1.5", UPSIDE_DOWN, "does not hold at scale model"),
    ("S1.5", FRAME[FRAME.model != "pocket-10m"], "not testable here"),
    ("S2.2", kept(SMALLER), "holds at scale model"), ("S2.2", kept(FRAME), "does not hold at scale model"),
    ("S2.2", FRAME[FRAME.method != "awq"], "inconsistent"),
    ("S3.7", kept(made.frame(items=150)), "holds at scale model"), ("S3.7", kept(SLOW), "does not hold at scale model"),
    ("S3.7", kept(FRAME[FRAME.task != "speed"]), "not testable here"),
])
def test_verdicts_are_as_the_rows_were_made(claim_id, frame, word):
    verdict = as_told(claim_id, frame)
    assert verdict.verdict == word, verdict_text.reason(verdict)


def test_a_verdict_says_what_was_seen_and_where():
    lead = as_told("S1.5", FRAME)
    assert lead.figure == "03_quantization.html#fig-quantization_lead"
    assert [seen.estimate.unit for seen in lead.seen] == ["%", "% points"]
    assert all("groups of 64" in seen.artifact and "32 texts of mixture" in seen.artifact for seen in lead.seen)
    kept_less = as_told("S2.2", FRAME)
    assert kept_less.beside.verdict == "inconsistent", "the audit's word stands beside the measured one"


def test_tables_of_no_rows_have_no_lines():
    empty = FRAME[FRAME.task == "device"]
    for table in (q.loss_table, tables.lead_table, q.accuracy_table, tables.cost_table):
        assert table(empty).empty
    assert all(table.empty for table in speed.speed_tables(empty))


def test_what_unquantized_models_were_scored_on_is_summed_over_blocks():
    table = tables.scored_table(FRAME)
    rows = FRAME[(FRAME.method == "none") & (FRAME.metric == "nll_nats") & (FRAME.engine == "transformers")]
    for line in table.itertuples():
        here = rows[(rows.model == line.model) & (rows.domain == line.domain)]
        assert (line.tokens, line.blocks) == (here.tokens.sum(), here.block.nunique())
        assert line.nats_per_token == pytest.approx(here.value.sum() / here.tokens.sum())
    assert set(table.model) == set(made.MODELS)


def test_losses_and_answers_stand_side_by_side_without_the_ablations():
    table = tables.quality_table(made.frame(ablated=True))
    plain = tables.quality_table(FRAME)
    assert set(table.way) == set(plain.way) and set(table.engine) == {"transformers"}
    answers = q.accuracy_table(FRAME)
    for line in plain[plain.change.notna()].itertuples():
        assert only(answers, model=line.model, way=line.way, engine=line.engine, dtype=line.dtype).change == line.change
    assert plain.change.notna().any()


def test_a_kernel_stands_beside_what_its_format_loses_in_all():
    frame = made.frame(runtimes=True)
    table = tables.kernel_table(frame)
    assert len(table) and set(table.columns) >= {"kl", "kl_unquantized", "kernel"}
    whole = q.loss_table(frame)
    for line in table.itertuples():
        assert only(whole, model=line.model, way=line.way, engine=line.engine, dtype=line.dtype).kl == line.kl_unquantized


def test_types_that_made_one_file_stand_on_one_line():
    table = q.loss_table(FRAME)
    one = table[(table.method == "gguf") & q.in_reference(table)]
    twice = pd.concat([table, one.assign(type="Q2_K", way="gguf Q2_K").iloc[:1]])
    merged = tables.one_line_a_file(twice)
    assert len(merged) == len(table) and f"{one.iloc[0].type} = Q2_K" in set(merged.type)
    assert list(tables.one_line_a_file(table).type) == list(table.type), "nothing else is merged"
    files = tables.file_table(FRAME)
    assert set(files.method) == {"gguf"} and len(files) == len(one) and files.stored_as.isna().all()
