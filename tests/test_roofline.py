"""Tables against loops over plain rows, and the decode law against hand arithmetic."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pandas as pd
import pytest
import rows_02_baseline as made

from edgekit.analyze import roofline
from edgekit.studies.baseline import tables

ROWS = made.rows(models=("pocket-900k", "shape:qwen2.5-0.5b"), energy=True)
FRAME = made.store.to_frame(ROWS)
TABLES = [roofline.speed_table, tables.memory_table, tables.share_table, roofline.utilisation_table,
          tables.accuracy_table, roofline.energy_table]


def values(metric, **condition):
    """Brute force: the values of a metric whose condition holds all of these, in order of repeats."""
    found = [row for row in ROWS if row.metric == metric and condition.items() <= row.condition.items()]
    return [row.value for row in sorted(found, key=lambda row: row.repeat)]


def line(table, **condition):
    kept = table[np.logical_and.reduce([table[name] == value for name, value in condition.items()])]
    assert len(kept) == 1
    return kept.iloc[0]


AT = {"model": "shape:qwen2.5-0.5b", "engine": "llama_cpp", "prompt_tokens": 170, "output_tokens": 740}


def test_a_seven_billion_model_in_16_bit_has_the_ceiling_that_division_gives():
    # 13.48 GB of weights on a 102.4 GB/s board
    ceiling = roofline.decode_ceiling_tok_per_s(102.4e9, roofline.step_bytes(2 * 6.74e9, 0, 0))
    assert ceiling == pytest.approx(7.6, abs=0.01)


def test_mean_context_is_the_mean_over_the_steps():
    steps = [170 + i - 1 for i in range(2, 741)]
    assert roofline.mean_context(170, 740) == statistics.mean(steps)


def test_a_batch_reads_the_weights_once_and_raises_only_the_arithmetic():
    assert roofline.step_bytes(1e9, 1e3, 100, batch=8) == 1e9 + 8e5
    one, eight = (roofline.compute_utilisation(1e9, 0.1, 1e12, batch) for batch in (1, 8))
    assert (one, eight) == (pytest.approx(0.02), pytest.approx(0.16))


def test_utilisation_is_speed_over_ceiling():
    size = roofline.step_bytes(1e9, 1e4, 500)
    assert roofline.bandwidth_utilisation(size, 0.1, 33e9) == pytest.approx(
        (1 / 0.1) / roofline.decode_ceiling_tok_per_s(33e9, size))


def test_windows_leave_keys_and_values_unread():
    """A window of 101 tokens in 3 of 4 layers: the other layer's 250 bytes of each token, and 750 of the last 100."""
    facts = dict(kv_bytes_per_token=1000, local_kv_bytes_per_token=750, window_tokens=101)
    for tokens in (1, 100, 101, 400.5):
        assert tokens * roofline.kv_per_token(facts, tokens) == pytest.approx(250 * tokens + 750 * min(tokens, 100))
    assert roofline.kv_per_token(dict(kv_bytes_per_token=1000), 400) == 1000


def test_speed_table_is_the_geometric_mean_over_runs():
    table = roofline.speed_table(FRAME)
    found = line(table, **AT)
    rates = [1 / value for value in values("tpot_s", **AT)]
    assert found.n == len(rates) == 4
    assert found.decode_tok_per_s == pytest.approx(statistics.geometric_mean(rates))
    half = 3.182446 * statistics.stdev(map(math.log, rates)) / 2                              # t(0.975, 3)
    assert found.decode_tok_per_s_high == pytest.approx(statistics.geometric_mean(rates) * math.exp(half), rel=1e-6)
    first = line(table, **(AT | {"output_tokens": 1}))
    assert first.ttft_s == pytest.approx(statistics.geometric_mean(values("ttft_s", **(AT | {"output_tokens": 1}))))
    assert math.isnan(first.tpot_s)
    assert len(table) == 2 * 2 * (6 + 3) and table.model.iloc[0] == "pocket-900k"
    assert not table.unstable.any()


def test_shares_pair_the_phases_of_one_run():
    found = line(tables.share_table(FRAME), **AT)
    ratios = [decode / ttft for decode, ttft in zip(values("decode_s", **AT), values(
        "ttft_s", **(AT | {"output_tokens": 1})), strict=True)]
    geometric = statistics.geometric_mean(ratios)
    assert found.decode_over_prefill == pytest.approx(geometric)
    assert found.prefill_share == pytest.approx(1 / (1 + geometric))
    assert found.decode_share + found.prefill_share == pytest.approx(1)
    assert found.decode_share_low < found.decode_share < found.decode_share_high < 1
    assert found.prefill_share_low == pytest.approx(1 - found.decode_share_high)


def test_utilisation_finds_the_share_that_the_rows_were_made_with():
    table = roofline.utilisation_table(FRAME)
    found = line(table, **AT)
    weights, kv = made.MODELS[AT["model"]][0] * 2, made.MODELS[AT["model"]][1]
    assert found.step_bytes == weights + kv * (170 + 370)
    bandwidth = statistics.median(values("memory_bandwidth_byte_per_s", task="speed"))
    assert found.ceiling_tok_per_s == pytest.approx(bandwidth / found.step_bytes)
    tpot = statistics.geometric_mean(values("tpot_s", **AT))
    beside = values("memory_bandwidth_byte_per_s", **{name: AT[name] for name in ("model", "engine")}, task="speed")
    shares = [found.step_bytes / t / b for t, b in zip(values("tpot_s", **AT), beside, strict=True)]
    assert found.bandwidth_utilisation == pytest.approx(statistics.geometric_mean(shares))
    assert found.bandwidth_utilisation_low < 0.86 < found.bandwidth_utilisation_high
    # speeds drift by 15 % here, the share of the bandwidth does not
    assert statistics.stdev(shares) / statistics.mean(shares) < 0.06
    assert statistics.stdev(values("tpot_s", **AT)) / tpot > 0.06
    # float16 has no rate of its own: the slowest measured one stands for it
    assert found.flop_dtype == "float32"
    slowest = statistics.median(values("matmul_flop_per_s", dtype="float32"))
    assert found.compute_utilisation == pytest.approx(2 * 4.94e8 / tpot / slowest)
    assert line(table, **(AT | {"engine": "transformers"})).flop_dtype == "bfloat16"


def test_utilisation_and_memory_leave_out_what_windows_leave_behind():
    kv = made.MODELS[AT["model"]][1]
    same = (FRAME.model == AT["model"]) & (FRAME.engine == AT["engine"]) & (FRAME.metric == "kv_bytes_per_token")
    more = [FRAME[same].assign(metric=metric, value=value)
            for metric, value in (("window_tokens", 41), ("local_kv_bytes_per_token", kv / 2))]
    frame = pd.concat([FRAME, *more], ignore_index=True)
    whole, windowed = (line(roofline.utilisation_table(one), **AT).step_bytes for one in (FRAME, frame))
    assert whole - windowed == pytest.approx(kv / 2 * (170 + 370 - 40))
    where = {name: AT[name] for name in ("model", "engine")}
    whole, windowed = (line(tables.memory_table(one), **where) for one in (FRAME, frame))
    assert whole.kv_bytes - windowed.kv_bytes == pytest.approx(kv / 2 * (whole.context_tokens - 40))


def test_runs_without_a_bandwidth_of_their_own_have_no_utilisation():
    kept = FRAME[~((FRAME.metric == "memory_bandwidth_byte_per_s") & (FRAME.task == "speed"))]
    assert roofline.utilisation_table(kept).empty


def test_memory_is_accounted_for():
    found = line(tables.memory_table(FRAME), model=AT["model"], engine="llama_cpp")
    assert found.kv_bytes == made.MODELS[AT["model"]][1] * (170 + 1318)
    parts = found.base_memory_bytes + found.weight_bytes + found.kv_bytes + found.other_bytes
    assert parts == pytest.approx(found.peak_memory_bytes)
    assert found.peak_memory_bytes == pytest.approx(statistics.mean(values(
        "peak_memory_bytes", model=AT["model"], engine="llama_cpp")))


def test_accuracy_counts_items():
    found = line(tables.accuracy_table(FRAME), model="pocket-900k", mode="think", depth=2)
    right = values("correct", model="pocket-900k", mode="think", depth=2)
    assert (found.correct, found.n, found.accuracy) == (sum(right), 60, sum(right) / 60)
    assert found.accuracy_low < found.accuracy < found.accuracy_high


def test_energy_a_token_is_power_times_time_a_token():
    found = line(roofline.energy_table(FRAME), **AT)
    assert found.joule_per_token == pytest.approx(40 * statistics.mean(values("tpot_s", **AT)))
    assert found.net_joule_per_token == pytest.approx(found.joule_per_token * 25 / 40)
    assert (found.power_w, found.idle_power_w) == (pytest.approx(40), 15)


def test_sources_are_never_averaged_together():
    both = pd.concat([FRAME, made.frame(models=("pocket-900k",), source="modelled")])
    counts = roofline.speed_table(both).groupby("source")["n"].max()
    assert dict(counts) == {"measured": 4, "modelled": 4}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("rows", [pd.DataFrame(), FRAME[FRAME.task == "device"]], ids=["no rows", "device only"])
def test_a_study_without_the_rows_gives_a_table_without_lines(table, rows):
    found = table(rows)
    assert found.empty and list(found.columns) == list(table(FRAME).columns)


def test_one_run_has_a_value_and_no_interval():
    found = line(roofline.utilisation_table(FRAME[(FRAME.repeat == 0) | (FRAME.task == "device")]), **AT)
    assert found.n == 1 and found.bandwidth_utilisation > 0.5
    assert math.isnan(found.bandwidth_utilisation_low) and math.isnan(found.decode_tok_per_s_high)


# Roofs that are passed


def old_processor(bfloat16=1.3e9, float32=(70e9, 75e9, 72e9), tok_per_s=40.0, model="shape:qwen2.5-0.5b", cache=None):
    """Rows of a processor without bfloat16 instructions: llama.cpp decodes in float16, which it multiplies as float32."""
    rows = [row for row in made.rows(models=(model,), engines=("llama_cpp",), repeats=3, lengths=[(16, 32)])
            if row.metric != "matmul_flop_per_s"]
    for repeat, rate in enumerate(float32):
        for dtype, value in (("float32", rate), ("bfloat16", bfloat16)):
            rows.append(made.store.Row("run-1", "02_baseline", {"task": "device", "threads": 2, "dtype": dtype},
                                       "matmul_flop_per_s", value, repeat))
    frame = made.store.to_frame(rows)
    if tok_per_s:
        size = roofline.step_bytes(2 * made.MODELS[model][0], made.MODELS[model][1], roofline.mean_context(16, 32))
        frame.loc[frame.metric == "memory_bandwidth_byte_per_s", "value"] = 1.25 * size * tok_per_s
        frame.loc[frame.metric == "tpot_s", "value"] = 1 / tok_per_s
    return frame if cache is None else frame.assign(last_level_cache_bytes=float(cache))


def test_arithmetic_is_compared_with_the_fastest_rate_that_the_kernel_can_use():
    [found] = roofline.utilisation_table(old_processor()).to_dict("records")
    # 2 * 494 million operations 40 times a second, of 72 GFLOP/s: not the 3,000 % of what the processor only emulates
    assert found["flop_dtype"] == "float32" and found["compute_utilisation"] == pytest.approx(2 * 4.94e8 * 40 / 72e9)
    assert found["void"] == "" and found["bandwidth_utilisation"] == pytest.approx(0.8)


@pytest.mark.parametrize("dtype, rates, used", [
    ("bfloat16", {"float32": 70e9, "bfloat16": 1.3e9}, "float32"),       # emulated: widened instead
    ("bfloat16", {"float32": 70e9, "bfloat16": 300e9}, "bfloat16"),
    ("float16", {"float32": 70e9, "bfloat16": 300e9}, "float32"),        # no kernel turns float16 into bfloat16
    ("float16", {"float32": 70e9, "float16": 140e9}, "float16"),
    ("float32", {"float32": 70e9, "bfloat16": 300e9, "float16": 300e9}, "float32"),
    ("float16", {"bfloat16": 300e9}, None),
    ("Q4_0", {"float32": 70e9, "bfloat16": 300e9}, None),                # multiplies integers, and has no long prompt here
])
def test_the_types_that_a_kernel_can_multiply_in(dtype, rates, used):
    frame = old_processor()
    frame.loc[frame.engine.notna(), "dtype"] = dtype
    device = pd.DataFrame([dict(task="device", threads=2, dtype=name, metric="matmul_flop_per_s", value=rate, repeat=repeat,
                                source="measured", run="run-1") for name, rate in rates.items() for repeat in range(3)])
    [found] = roofline.utilisation_table(pd.concat([frame[frame.metric != "matmul_flop_per_s"], device])).to_dict("records")
    if used is None:
        assert found["flop_dtype"] is None and math.isnan(found["compute_utilisation"])
    else:
        assert found["flop_dtype"] == used
        assert found["compute_utilisation"] == pytest.approx(2 * 4.94e8 * 40 / rates[used])


def test_integer_kernels_are_compared_with_what_they_reach_in_prefill():
    """No roof of integers is measured; 128 tokens in 2 s are 2 * 494 million * 64 operations a second, of which decoding 40
    tokens a second takes 40 / 64."""
    frame = old_processor()
    frame.loc[frame.engine.notna(), "dtype"] = "Q4_0"
    longer = frame[frame.metric == "ttft_s"].assign(prompt_tokens=128, value=2.0)
    [found] = roofline.utilisation_table(pd.concat([frame, longer])).to_dict("records")
    assert found["flop_dtype"] == roofline.PREFILL and found["compute_utilisation"] == pytest.approx(40 / 64)
    assert found["memory_over_arithmetic"] == pytest.approx(found["bandwidth_utilisation"] / (40 / 64), rel=0.02)
    [found] = roofline.utilisation_table(frame).to_dict("records")
    assert found["flop_dtype"] is None, "a prompt of 16 tokens is not limited by arithmetic"


@pytest.mark.parametrize("float32, told", [((3e9, 3.1e9, 3e9), "alike: the rate is void"), ((3e9,), "one process measured"),
                                           ((1e9, 3e9, 3e9), "differently: the roof is void")])
def test_a_share_of_arithmetic_above_its_roof_is_void(float32, told):
    [found] = roofline.utilisation_table(old_processor(float32=float32)).to_dict("records")
    assert told in found["void"] and "1,320 % of the float32" in found["void"]
    void = ("compute_utilisation", "compute_utilisation_high", "memory_over_arithmetic")
    assert all(math.isnan(found[name]) for name in void)
    assert found["bandwidth_utilisation"] == pytest.approx(0.8)          # the other roof stands


def test_a_share_within_what_a_probe_may_miss_is_kept():
    [found] = roofline.utilisation_table(old_processor(float32=(36e9, 36e9, 36e9))).to_dict("records")
    assert found["compute_utilisation"] == pytest.approx(39.52 / 36) and found["void"] == ""


@pytest.mark.parametrize("cache, kept", [(None, False), (1e6, False), (2e9, True)])
def test_no_share_above_the_bandwidth_of_the_memory_is_told_and_what_a_cache_holds_says_so(cache, kept):
    frame = old_processor(cache=cache)
    frame.loc[frame.metric == "memory_bandwidth_byte_per_s", "value"] /= 2                 # 160 % of it
    [found] = roofline.utilisation_table(frame).to_dict("records")
    assert found["cached"] is (None if cache is None else kept)
    if kept:
        assert math.isnan(found["bandwidth_utilisation"]) and math.isnan(found["memory_over_arithmetic"])
        assert found["void"].startswith("in cache: 988 MB are read from a last-level cache of 2,000 MB")
        frame.loc[frame.metric == "memory_bandwidth_byte_per_s", "value"] *= 2             # 80 % of it is possible anyway
        [found] = roofline.utilisation_table(frame).to_dict("records")
        assert found["cached"] and found["bandwidth_utilisation"] == pytest.approx(0.8) and found["void"] == ""
    else:
        assert math.isnan(found["bandwidth_utilisation"]) and math.isnan(found["memory_over_arithmetic"])
        assert "160 % of the read bandwidth" in found["void"] and ("not on record" in found["void"]) == (cache is None)
        assert found["compute_utilisation"] == pytest.approx(2 * 4.94e8 * 40 / 72e9)


def test_the_cache_of_each_run_comes_from_its_manifest(tmp_path):
    from edgekit import provenance

    path = tmp_path / "02_baseline.jsonl"
    for run, size in (("run-1", 1 << 25), ("run-2", {"unavailable": "not readable"})):
        machine = {"cpu": {"last_level_cache_bytes": size}}
        provenance.write_manifest(path, provenance.Manifest(run, "02_baseline", {}, 0, "c", False, {}, machine, "p", [1e9], {},
                                                            "2026"))
    runs = pd.DataFrame({"run": ["run-1", "run-2", "run-3"]})
    seen = provenance.with_machine(runs, path).last_level_cache_bytes
    assert seen[0] == 1 << 25 and seen[1:].isna().all()


def test_the_devices_rates_are_medians_over_processes_with_least_and_most():
    table = tables.rates_table(FRAME).set_index("rate")
    assert list(table.index) == ["read bandwidth (GB/s)", "float32 products (GFLOP/s)", "bfloat16 products (GFLOP/s)"]
    of = [row.value / 1e9 for row in ROWS if row.metric == "matmul_flop_per_s" and row.condition["dtype"] == "bfloat16"]
    found = table.loc["bfloat16 products (GFLOP/s)"]
    assert (found["median"], found.least, found.most, found.n) == (
        pytest.approx(statistics.median(of)), pytest.approx(min(of)), pytest.approx(max(of)), len(of))


def test_the_fastest_cell_is_paired_with_the_slowest_by_repeat():
    table = tables.fastest_table(FRAME, 170, 740)
    found = line(table, model=AT["model"])
    fast, slow = (values("tpot_s", **(AT | {"engine": engine})) for engine in ("llama_cpp", "transformers"))
    assert (found.fastest, found.slowest) == ("llama_cpp float16", "transformers bfloat16")
    assert found.factor == pytest.approx(math.exp(np.mean(np.log(np.array(slow) / np.array(fast))))) and found.factor > 2
    assert tables.fastest_table(FRAME[FRAME.engine != "llama_cpp"], 170, 740).empty
    assert set(tables.at_lengths(roofline.speed_table(FRAME), 170, 740).model) == set(table.model)


def test_of_each_cell_the_longest_prompt_and_output_is_shown():
    table = tables.longest_table(roofline.utilisation_table(FRAME))
    assert len(table) == 4 and set(zip(table.prompt_tokens, table.output_tokens, strict=True)) == {(512, 128)}


def test_answers_of_cells_are_paired_over_what_all_of_them_answered():
    cell = FRAME[FRAME.task == "accuracy"]
    other = cell.assign(engine="transformers", dtype="bfloat16")
    other.loc[other.index[:40], "value"] = 1 - other.value[:40]
    both = pd.concat([FRAME, other[other.item != 7]])
    found = tables.paired_answers(both)
    assert len(found) == 1 and found.iloc[0].cell == "transformers bfloat16" and found.iloc[0].less == "llama_cpp float16"
    right = [frame[(frame.metric == "correct") & (frame.item != 7)].value.sum() for frame in (cell, other)]
    n = (cell[cell.metric == "correct"].item != 7).sum()
    assert found.iloc[0].n == n and found.iloc[0].difference == pytest.approx((right[1] - right[0]) / n)
    assert tables.paired_answers(FRAME).empty and tables.paired_answers(FRAME[:0]).empty
