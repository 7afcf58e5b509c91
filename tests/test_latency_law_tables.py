"""Tables, quantities and figures of the study of laws, on rows whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rows_08_latency_law as made
from drawing import drawable, drawn_from, edges

from edgekit import store
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.catalog import published
from edgekit.claims import judgement
from edgekit.studies.latency_law import (
    drawings,
    quantities,
    tables,
    tables_energy,
    tables_formats,
    tables_published,
    tables_transfer,
)
from edgekit.studies.latency_law.figures import FIGURES

TWO = ("shape:smollm2-135m", "shape:qwen2.5-0.5b", "shape:llama-3.2-1b")
FRAME = made.frame(models=("pocket-3m", *TWO[:2]), formats=("float16", "Q4_0"), energy=True)
CLEAN = made.frame(models=TWO, noise=1e-9, repeats=2)
SETTING = Setting(models=("shape", "pocket"))
EMPTY = store.to_frame([])


def law_line(table, **at):
    chosen = table
    for name, value in at.items():
        chosen = chosen[chosen[name] == value]
    [line] = chosen.itertuples()
    return line


def test_points_hold_the_bytes_and_operations_of_their_lengths():
    points = tables.decode_points(CLEAN)
    at = points[(points.model == TWO[0]) & (points["dtype"] == "Q4_0") & (points.output_tokens == 24) & (
        points.prompt_tokens == 160)].iloc[0]
    read = sum(made.step_bytes(TWO[0], "Q4_0", 160 + step - 1) for step in range(2, 25))
    assert at.steps == 23 and at.step_bytes == pytest.approx(read)
    prefill = tables.prefill_points(CLEAN)
    assert set(prefill.prompt_tokens) == set(made.PROMPTS)
    assert prefill.flop.to_numpy() == pytest.approx([made.flop(*one) for one in zip(
        prefill.model, prefill.prompt_tokens, strict=True)])


def test_the_law_that_was_planted_is_the_best_at_lengths_that_it_did_not_see():
    table = tables.error_table(FRAME)
    decode = table[(table.phase == "decode") & (table["dtype"] == "float16") & table.best.eq(True)]
    assert {"bytes over bandwidth"} == set(decode[decode.model != "shape:qwen2.5-0.5b"].law)
    for line in table[table.phase == "decode"].itertuples():
        if line.law in ("bytes over bandwidth", "published, O − 1 steps"):
            assert line.error < 2
    off = law_line(table, phase="decode", model=TWO[1], dtype="float16", law="published, O steps")
    assert off.error > 3, "one step too many is a seventh of the shortest output"
    padded = law_line(table, phase="prefill", model=TWO[1], dtype="float16", law="quadratic, padded")
    plain = law_line(table, phase="prefill", model=TWO[1], dtype="float16", law="arithmetic")
    assert padded.error > 20 * plain.error and padded.within < padded.error


def test_coefficients_are_those_that_were_planted():
    table = tables.coefficient_table(FRAME)
    for model in ("pocket-3m", TWO[0]):
        bandwidth = law_line(table, model=model, dtype="Q4_0", law="bytes over bandwidth", coefficient="seconds_a_byte")
        assert bandwidth.value_low < 1 / (0.6 * made.BANDWIDTH) < bandwidth.value_high
        rate = law_line(table, model=model, dtype="float16", law="arithmetic", coefficient="seconds_a_flop")
        assert rate.value_low < 1 / made.FLOPS < rate.value_high


def test_coefficients_as_rates_are_the_rate_of_the_format():
    table = tables_transfer.rate_table(CLEAN)
    assert len(table) == len(TWO) * len(made.FORMATS)
    for line in table.itertuples():
        rate = made.FORMATS[line.dtype][1] * made.BANDWIDTH
        assert line.weight_rate == pytest.approx(rate, rel=0.03)
        assert math.isnan(line.kv_rate) or line.kv_rate == pytest.approx(rate, rel=0.05)


def test_one_process_tells_no_rate_since_it_has_no_interval_and_its_figures_are_drawn():
    alone = made.frame(models=TWO[:2], formats=("float16",), repeats=1)
    assert tables_transfer.rate_table(alone)[["weight_rate", "kv_rate"]].isna().all(axis=None)
    assert {"law_errors", "residuals", "transfer"} <= drawn_from(FIGURES, alone).keys()


def test_one_model_foretells_another_and_a_slow_kernel_is_seen():
    table = tables_transfer.transfer_table(CLEAN)
    prefill, table = (table[table.phase == phase] for phase in ("prefill", "decode"))
    assert len(prefill) == 3 * 2 * 3 + 3 * 3 * 2 and (prefill.error < 5).all()  # one rate of operations in all formats
    models = table[table.way == tables_transfer.ANOTHER_MODEL]
    assert len(models) == 3 * 2 * 3 and (models.error < 5).all()  # the mood of processes is shared
    formats = table[table.way == tables_transfer.ANOTHER_FORMAT]
    slow = formats[(formats["dtype"] == "Q4_0") & (formats.by == "float16")]
    # A third slower than the other's rate says: the law is below what is seen by 1 - 0.6 / 0.9.
    assert slow.bias.to_numpy() == pytest.approx(100 * (0.6 / 0.9 - 1), abs=0.5)
    assert (formats[(formats["dtype"] == "Q8_0") & (formats.by == "float16")].error < 0.5).all()
    together = table[table.way == tables_transfer.OTHER_MODELS]
    assert len(together) == 9 and (together.error < 1).all() and set(together.law) == {"bytes and steps"}


def test_a_pocket_model_foretells_pocket_models_only():
    table = tables_transfer.transfer_table(FRAME)
    assert not ((table.model == "pocket-3m") & (table.way == tables_transfer.ANOTHER_MODEL)).any()
    assert not table[table.way == tables_transfer.ANOTHER_MODEL].by.str.contains("pocket").any()
    summary = tables_transfer.transfer_summary_table(FRAME)
    assert "another format, pocket models" in set(summary.way) and (summary.within_10 <= summary.within_15).all()


def test_foretold_lengths_are_in_no_fit():
    """Times of one prompt length are spoilt in the source: the same length of the other is still foretold."""
    rows = made.rows(models=TWO[:2], formats=("float16",), noise=1e-9, repeats=2)
    spoilt = [row if row.condition.get("prompt_tokens") != 160 or row.metric != "decode_s" or row.condition["model"] != TWO[0]
              else store.Row(row.run, row.study, row.condition, row.metric, 5 * row.value, row.repeat) for row in rows]
    points = tables.decode_points(store.to_frame(spoilt))
    source, target = (points[(points.model == name) & (points.repeat == 0)].reset_index(drop=True) for name in TWO[:2])
    errors = tables_transfer._errors(tables_transfer.BYTES, [source], target, tables.BY["decode"])
    assert np.abs(errors[(target.prompt_tokens == 160).to_numpy()]).max() < 0.1


def test_an_outlier_is_marked_and_shown_with_and_without():
    wild = (TWO[0], "float16", 250)
    table = tables.error_table(made.frame(models=TWO[:1], formats=("float16",), wild=wild))
    line = law_line(table, phase="prefill", law="line")
    assert line.outliers == 3 and line.error > 5 * line.error_kept and line.error_kept < 3


def test_too_few_lengths_are_told_with_how_many_it_takes():
    frame = made.frame(models=TWO[:1], formats=("float16",), prompts=(16, 64, 250), after=(16, 250))
    refused = tables.refused_table(frame).set_index(["phase", "law"]).refused
    assert refused["prefill", "quadratic"] == "quadratic: needs at least 4 different lengths, got 2; measure more of them"
    assert refused["decode", "published, O steps"].startswith("published, O steps: needs at least 3 different lengths, got 2")
    with pytest.raises(NotMeasured, match="times of prefill over enough lengths"):
        quantities.prefill_law_error(frame, SETTING, (-math.inf, 13.5))


def test_formats_of_a_step_are_shares():
    table = tables_formats.format_table(FRAME)
    assert table.groupby(["model", "dtype"]).share.sum().to_numpy() == pytest.approx(1)


def test_the_best_law_has_the_next_one_beside_it():
    table = tables.best_table(FRAME)
    assert len(table) == 2 * 3 * 2 and (table.error <= table.runner_up_error).all() and (table.law != table.runner_up).all()


def test_power_that_is_the_same_grows_by_nothing_and_a_rising_one_by_what_it_rises():
    found = quantities.decode_power_ratio(FRAME, SETTING, (1.05, math.inf))[0]
    assert found.estimate.low < 1 < found.estimate.high + 0.02 and found.estimate.value == pytest.approx(1, abs=0.03)
    rising = FRAME.copy()
    longest = (rising.task == "energy") & (rising.output_tokens == 512) & (rising.metric == "energy_j")
    rising.loc[longest, "value"] *= 1.3
    assert quantities.decode_power_ratio(rising, SETTING, (1.05, math.inf))[0].estimate.value == pytest.approx(1.3, rel=0.03)


def test_energy_a_token_follows_the_bytes_of_the_models():
    found = quantities.decode_energy_ratio(FRAME, Setting(models=("shape", "pocket")), (-math.inf, 7.5))
    # At the longest output pocket-3m is the smallest and the half-billion shape the largest.
    ratio = made.decode_s(TWO[1], "float16", 24, 512) / made.decode_s("pocket-3m", "float16", 24, 512)
    assert any(one.estimate.value == pytest.approx(ratio, rel=0.02) for one in found)
    alike = made.frame(models=TWO[:2], formats=("Q4_0",), energy=True)
    with pytest.raises(NotMeasured, match="sizes differ 5 times"):
        quantities.decode_energy_ratio(alike, SETTING, (-math.inf, 7.5))


def test_claims_are_judged_by_these_rows():
    verdicts = {verdict.claim.id: verdict for verdict in judgement.judge(judgement.load("08_latency_law"), FRAME, "x")}
    assert set(verdicts) == {"S3.2", "S3.3", "ER.1", "ER.2", "ER.3"}
    assert verdicts["ER.1"].verdict == "does not hold on a shape" and verdicts["ER.2"].verdict in (
        "holds on a shape", "undecided")
    assert verdicts["ER.3"].verdict == "does not hold on a shape"
    assert verdicts["ER.1"].beside.verdict == verdicts["ER.2"].beside.verdict == "inconsistent"
    nothing = {verdict.claim.id: verdict for verdict in judgement.judge(judgement.load("08_latency_law"), EMPTY, "x")}
    assert {verdict.verdict for verdict in nothing.values()} == {"inconsistent"}
    [fourth] = judgement.audited([claim for claim in judgement.load("09_frontier") if claim.id == "ER.4"])
    assert fourth.verdict == "consistent"


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def test_every_figure_is_drawn_of_these_rows_and_the_audit_of_any(drawn):
    assert set(drawn) == {figure.name for figure in FIGURES}
    timed = FRAME[FRAME.task == "speed"]
    assert set(drawable(FIGURES, timed)) == set(drawn)
    other = FRAME[FRAME.task == "energy"]
    assert set(drawn) - set(drawable(FIGURES, other)) == {"law_errors", "residuals", "transfer"}


def test_errors_are_drawn_beside_what_the_claims_accept(drawn):
    fig, table = drawn["law_errors"]
    prefill, decode = fig.axes
    assert edges(prefill, "x") == {published.accepted("ER.1", "prefill_law_error")[1]}
    assert edges(decode, "x") == {published.accepted("ER.2", "decode_law_error_here")[1]}
    assert len(prefill.get_yticks()) == table.drop_duplicates(["model", "dtype"]).shape[0]
    colours = {colour for colour, _ in drawings.LAWS.values()}
    assert {line.get_color() for line in decode.lines if line.get_marker() in "o^sD"} <= colours


def test_transfer_leaves_pocket_models_out_where_there_are_others(drawn):
    _, table = drawn["transfer"]
    assert not table.model.str.startswith("pocket").any() and len(table)


def test_what_cannot_be_is_flagged(drawn):
    fig, table = drawn["published_speeds"]
    assert set(table.label[table.flagged]) == {"i5-8250U", "Apple M4, 24 GB"}
    assert sum("no program can" in text.get_text() for text in fig.axes[0].texts) == 2
    assert (table[table.source == "measured"].share < 1.05).all() and (table.source == "measured").sum() == 4


def test_energy_is_drawn_with_ours_and_without(drawn):
    _, table = drawn["energy"]
    assert {"measured", "published"} == set(table.source)
    alone = tables_published.energy_lengths_table(FRAME[FRAME.task == "speed"])
    assert set(alone.source) == {"published"} and len(alone) == 99 + 60


def test_each_stored_format_has_the_rate_of_its_kernel():
    table = tables_formats.format_rate_table(CLEAN).set_index("format")
    for name, (_, share) in made.FORMATS.items():
        assert table.rate[name] == pytest.approx(share * made.BANDWIDTH, rel=0.05) and table.cells[name] == len(TWO)
    assert (table.error < 3).all() and set(table.refused) == {""}


def test_mixed_files_tell_a_slow_format_apart():
    """One file of each model holds a half of either format: the sum over formats is exact, and so are both rates."""
    rows = made.rows(models=TWO[:2], formats=("float16", "Q4_0"), noise=0, repeats=1)
    changed = []
    for row in rows:
        at = row.condition
        if at.get("dtype") == "Q4_0" and row.metric == "type_bytes":
            share = {"Q4_0": 0.5, "F32": 0.5}[at["type"]]
            weights = made.FORMATS["Q4_0"][0] * made.MODELS[at["model"]][0]
            kind_of = "float16" if at["type"] == "F32" else "Q4_0"
            row = store.Row(row.run, row.study, {**at, "type": kind_of}, row.metric, share * weights)
        elif at.get("dtype") == "Q4_0" and row.metric == "decode_s":
            # Half of its bytes at 0.9 of the bandwidth, half at 0.6; keys and values stay at 0.6.
            weights = made.FORMATS["Q4_0"][0] * made.MODELS[at["model"]][0] * (at["output_tokens"] - 1)
            less = 0.98 * weights / 2 * (1 / 0.6 - 1 / 0.9) / made.BANDWIDTH
            row = store.Row(row.run, row.study, at, row.metric, row.value - less)
        changed.append(row)
    table = tables_formats.format_rate_table(store.to_frame(changed)).set_index("format")
    assert table.rate["Q4_0"] == pytest.approx(0.6 * made.BANDWIDTH, rel=0.05)
    assert table.rate["float16"] == pytest.approx(0.9 * made.BANDWIDTH, rel=0.05)
    assert table.rate["Q4_0"] < 0.75 * table.rate["float16"]


def test_more_formats_than_cells_are_refused_with_how_many_it_takes():
    rows = made.rows(models=TWO[:1], formats=("Q4_0",), repeats=1)
    rows.append(next(store.Row(row.run, row.study, {**row.condition, "type": "float16"}, row.metric, row.value) for row in rows
                     if row.metric == "type_bytes"))
    table = tables_formats.format_rate_table(store.to_frame(rows))
    assert list(table.refused) == ["2 formats (Q4_0, float16) take at least as many cells, got 1"]


def test_one_power_for_all_lengths_is_the_law_of_one_power():
    table = tables_energy.power_law_table(FRAME)
    decode = table[(table.phase == "decode") & (table.refused == "")]
    assert (decode[decode.law == "constant"].error < 2).all() and set(decode.law) >= {"constant", "logarithm"}
    few = table[table.phase == "prefill"].set_index("law").refused
    assert few["logarithm"].str.contains("needs at least 3 different lengths, got 1").all()
    assert tables_energy.power_law_table(EMPTY).empty
    rising = FRAME.copy()
    longer = (rising.task == "energy") & (rising.metric == "energy_j") & (rising.phase == "decode")
    rising.loc[longer, "value"] *= np.log(rising.output_tokens[longer])
    table = tables_energy.power_law_table(rising)
    decode = table[(table.phase == "decode") & (table.model == TWO[1]) & (table["dtype"] == "float16")].set_index("law").error
    assert decode["logarithm"] < 3 and decode["constant"] > 10 * decode["logarithm"]
