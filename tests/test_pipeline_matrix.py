"""The matrix of variants: values of one protocol side by side, why cells are empty, and the counts that judge S1.23."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit import committed, store
from edgekit.analyze.observed import NotMeasured
from edgekit.catalog import models, weights
from edgekit.store import Row, Skip
from edgekit.studies.pipeline import quantities_matrix, tables_matrix
from edgekit.studies.pipeline.tables_matrix import ACCURACY, BOARD, BOARDS, LAPTOP, LATENCY, MEMORY, POWER, Source

HERE = "a-laptop"
BASE, PEAK = 1e8, 1.4e8


def speed(model, dtype, tpot_s, prompt=64, output=48, **at):
    where = dict(task="speed", model=model, engine="llama_cpp", dtype=dtype) | at
    return [Row("r", "s", where | dict(prompt_tokens=prompt, output_tokens=output), "tpot_s", value, repeat)
            for repeat, value in enumerate((0.9 * tpot_s, tpot_s, 3 * tpot_s))] + [
        Row("r", "s", where, name, value) for name, value in (("base_memory_bytes", BASE), ("peak_memory_bytes", PEAK))]


def answers(model, weights, right, asked, task="pocket_chain_think", **at):
    where = dict(task="accuracy", model=model, engine="llama_cpp", dtype=weights, task_name=task) | at
    return [Row("r", "s", where | dict(item=f"q{i}"), "correct", int(i < right)) for i in range(asked)]


def energy(model, weights, watts, **at):
    where = dict(task="energy", model=model, engine="llama_cpp", dtype=weights, phase="decode", scope="cpu", prompt_tokens=64,
                 output_tokens=48) | at
    return [Row("r", "s", where, "energy_j", 2 * watts), Row("r", "s", where, "window_s", 2.0)]


def source(rows, skips=(), study="02_baseline", platform=HERE, profile="reference"):
    return Source(platform, study, profile, store.to_frame(rows), list(skips))


def cell(table, model, weights, field, platform=HERE):
    [found] = table[(table.platform == platform) & (table.model == model) & (table.weights == weights)
                    & (table.field == field)].itertuples()
    return found


def test_fifteen_variants_at_least_are_asked_of_every_platform_and_the_kit_knows_their_models():
    table = tables_matrix.matrix([source([])])
    assert set(table.platform) == {HERE, *BOARDS} and len(LAPTOP) * 3 == 15 and len(BOARD) * 4 == 16
    assert len(table) == 4 * (15 + 4 * 16) and table.value.isna().all()
    assert {name for name in LAPTOP if not name.startswith("pocket-")} <= set(weights.listed())
    assert all(models.is_hub_id(name) for name in BOARD)


def test_values_are_the_medians_of_the_rows_in_the_units_of_their_fields():
    what = ("pocket-3m", "float16")
    rows = [*speed(*what, 0.002), *answers(*what, 30, 40), *energy(*what, 7.0)]
    table = tables_matrix.matrix([source(rows)])
    found = {field: cell(table, "pocket-3m", "float16", field) for field in tables_matrix.FIELDS}
    assert {field: one.value for field, one in found.items()} == pytest.approx(
        {LATENCY: 2.0, ACCURACY: 75.0, MEMORY: 40.0, POWER: 7.0})
    assert found[LATENCY].protocol == "64+48 tokens" and found[ACCURACY].protocol == "40 of pocket_chain_think"
    assert {one.study for one in found.values()} == {"02_baseline"}


def test_only_what_one_protocol_measured_stands_side_by_side():
    one = source([*speed("pocket-3m", "float16", 0.002), *speed("pocket-3m", "Q8_0", 0.0015)])
    other = source([*speed("pocket-3m", "Q4_0", 0.001, 128, 64), *speed("pocket-3m", "float16", 0.003, 128, 256)],
                   study="09_frontier")
    table = tables_matrix.matrix([one, other])
    assert [cell(table, "pocket-3m", weights, LATENCY).value for weights in ("float16", "Q8_0")] == pytest.approx([2.0, 1.5])
    odd = cell(table, "pocket-3m", "Q4_0", LATENCY)
    assert odd.value != odd.value and odd.why == "another protocol: 128+64 tokens (09_frontier)"


def test_the_number_of_items_belongs_to_the_protocol():
    rows = [row for weights, right, asked in (("float16", 30, 40), ("Q8_0", 30, 40), ("Q4_0", 5, 10))
            for row in answers("pocket-3m", weights, right, asked)]
    table = tables_matrix.matrix([source(rows)])
    assert cell(table, "pocket-3m", "Q8_0", ACCURACY).value == 75
    assert cell(table, "pocket-3m", "Q4_0", ACCURACY).why.startswith("another protocol: 10 of")


def test_of_protocols_that_as_many_variants_have_the_longer_one_is_taken():
    rows = [*speed("pocket-3m", "float16", 0.002, 32, 16), *speed("pocket-3m", "float16", 0.004, 256, 64)]
    assert cell(tables_matrix.matrix([source(rows)]), "pocket-3m", "float16", LATENCY).value == pytest.approx(4.0)


@pytest.mark.parametrize("at", [dict(engine="transformers"), dict(pruning="0.2/0.15"), dict(draft="lookup")])
def test_other_engines_pruned_models_and_drafts_are_none_of_these_variants(at):
    table = tables_matrix.matrix([source(speed("pocket-3m", "float16", 0.002, **at))])
    assert table.value.isna().all()


def test_what_was_modelled_does_not_count():
    rows = [dataclasses.replace(row, source="modelled") for row in speed("pocket-3m", "float16", 1e-3)]
    assert tables_matrix.matrix([source(rows)]).value.isna().all()


def test_packed_weights_run_in_transformers_and_never_count_as_the_floats_that_they_were_made_to():
    name = "Qwen/Qwen2.5-0.5B-Instruct"
    rows = [*speed(name, "float16", 0.01, engine="transformers", weights="awq"),
            *answers(name, "float16", 3, 4, engine="transformers", method="awq"),
            *answers(name, "float32", 4, 4, engine="transformers", method="gptq")]
    table = tables_matrix.matrix([source(rows, platform="jetson-orin-nx")])
    assert cell(table, name, "awq", LATENCY, "jetson-orin-nx").value == pytest.approx(10)
    assert cell(table, name, "awq", ACCURACY, "jetson-orin-nx").value == 75
    assert cell(table, name, "gptq", ACCURACY, "jetson-orin-nx").value != cell(table, name, "gptq", ACCURACY,
                                                                              "jetson-orin-nx").value


def test_every_empty_cell_says_why():
    skips = [Skip("r", "s", dict(task="energy", threads=2), "no energy sensor that zeus can read (cpu: none)"),
             Skip("r", "s", dict(task="speed", model="pocket-3m", weights="Q8_0"), "needs about 9 GB")]
    table = tables_matrix.matrix([source(speed("pocket-3m", "float16", 0.002), skips), source(
        answers("pocket-3m", "float16", 1, 2), platform="another")])
    empty = table[table.value.isna()]
    assert empty.why.notna().all() and (empty.why != "").all()
    assert set(empty[empty.platform.isin(BOARDS)].why) == {tables_matrix.NO_ROWS}
    assert set(empty[(empty.platform == HERE) & (empty.field == POWER)].why) == {skips[0].reason}
    assert cell(table, "pocket-3m", "Q8_0", LATENCY).why == "needs about 9 GB"
    assert cell(table, "pocket-3m", "float16", LATENCY, "another").why == tables_matrix.NOT_HERE
    assert cell(table, "pocket-10m", "Q4_0", LATENCY).why == tables_matrix.NOT_ASKED
    lines = tables_matrix.wide(table)
    assert set(lines.platform) == {HERE, "another"} and lines.notna().all().all()
    assert lines.latency[0] == "2 ms a token (64+48 tokens; 02_baseline)"
    assert lines.power[0] == "no energy sensor that zeus can read"


def complete(platform, variants):
    return source([row for model, weights in variants for row in (
        *speed(model, weights, 0.002), *answers(model, weights, 3, 4), *energy(model, weights, 5.0))], platform=platform)


VARIANTS = [(model, weights) for model, kinds in LAPTOP.items() for weights in kinds]


def test_counts_are_of_variants_with_all_four(monkeypatch):
    table = tables_matrix.matrix([complete("one", VARIANTS), complete("two", VARIANTS[:4]), source(
        speed("pocket-3m", "float16", 0.002), platform="three")])
    counts = tables_matrix.counts(table).set_index("platform")
    assert dict(counts.all_four) == {"one": 15, "two": 4, "three": 0} | dict.fromkeys(BOARDS, 0)
    assert counts.latency["three"] == 1 and counts.accuracy["three"] == 0
    monkeypatch.setattr(tables_matrix, "committed_matrix", lambda: table)
    [variants], [platforms] = (function(None, None, (0, 0)) for function in (
        quantities_matrix.variants_in_all, quantities_matrix.platforms_in_all))
    assert (variants.estimate.value, platforms.estimate.value) == (15, 2) and variants.artifact == platforms.artifact
    assert set(variants.models) == set(LAPTOP)


def test_without_a_sensor_anywhere_nothing_is_counted_and_what_is_there_is_told(monkeypatch):
    table = tables_matrix.matrix([source(speed("pocket-3m", "float16", 0.002), [
        Skip("r", "s", dict(task="energy"), "no energy sensor that zeus can read (cpu: none)")])])
    monkeypatch.setattr(tables_matrix, "committed_matrix", lambda: table)
    told = (r"accuracy and power of any variant .*no energy sensor that zeus can read.*latency of 1, accuracy of 0, "
            r"memory of 1, power of 0 variants on 1 platforms \(a-laptop\)")
    with pytest.raises(NotMeasured, match=told):
        quantities_matrix.variants_in_all(None, None, (0, 0))


def test_a_committed_file_is_skimmed_for_the_same_matrix_as_it_is_read_for():
    [rows] = [one for one in committed.files() if (one.study, one.profile) == ("03_quantization", "real")]
    skimmed = Source(rows.platform, rows.study, rows.profile, *store.skim(rows.path, tables_matrix._is_asked))
    whole = Source(rows.platform, rows.study, rows.profile, *store.read_frame(rows.path))
    assert 0 < len(skimmed.frame) < len(whole.frame)
    one, other = tables_matrix.matrix([skimmed]), tables_matrix.matrix([whole])
    assert one.equals(other) and one.value.notna().any()
