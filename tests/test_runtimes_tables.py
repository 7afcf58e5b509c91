"""Tables, quantities and figures of the study of runtimes, on rows whose truth is known."""

from __future__ import annotations

import math

import pytest
import rows_10_runtimes as made
from drawing import drawable, drawn_from, edges

from edgekit import store
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.catalog import platforms
from edgekit.claims import judgement
from edgekit.studies.runtimes import quantities, tables, tables_agreement, tables_facts, tables_overhead
from edgekit.studies.runtimes.figures import FIGURES

FRAME = made.frame()
EMPTY = store.to_frame([])


def line_of(table, **at):
    for name, value in at.items():
        table = table[table[name] == value]
    [line] = table.itertuples()
    return line


def test_a_request_is_its_first_token_and_the_steps_behind_it():
    line = line_of(tables.runtime_table(FRAME), model="pocket-10m", engine="llama_cpp", dtype="Q4_0")
    mood = math.prod(made.MOOD) ** (1 / 3)
    step, token = made.step_s("pocket-10m", ("llama_cpp", "Q4_0")), 2.5e-4
    assert line.prompt_tokens == 128 and line.output_tokens == 24 and line.n == 3
    assert line.request_s == pytest.approx(mood * (128 * token + 23 * step))
    assert line.decode_tok_per_s == pytest.approx(1 / (mood * step)) and line.ttft_s == pytest.approx(mood * 128 * token)
    assert line.model_memory_bytes == 2e8 and line.load_s == pytest.approx(0.5)
    # The bandwidth was measured in the same mood, so their ratio is the share without it.
    assert line.bandwidth_utilisation == pytest.approx(line.step_bytes / step / made.BANDWIDTH)


def test_a_gain_is_paired_by_round_and_says_whether_the_weights_are_the_same():
    table = tables.gain_table(FRAME)
    line = line_of(table, model="pocket-3m", engine="llama_cpp", dtype="float32", what="decoding")
    ratio = made.step_s("pocket-3m", ("transformers", "float32")) / made.step_s("pocket-3m", ("llama_cpp", "float32"))
    assert line.same and line.gain == pytest.approx(ratio)
    assert line.gain_low == pytest.approx(line.gain_high), "the mood of a round is in both and cancels"
    bits = line_of(table, model="pocket-3m", engine="llama_cpp", dtype="Q4_0", what="first token")
    assert not bits.same and bits.over == "float32" and bits.gain == pytest.approx(1e-3 / 2.5e-4)
    assert not (table.engine == "transformers").any()


def test_batches_are_compared_with_one_prompt_and_threads_with_all():
    table = tables.batch_table(FRAME)
    four = line_of(table, batch=4)
    assert four.gain == pytest.approx(4 / 2.0) and line_of(table, batch=1).gain == pytest.approx(1)
    threads = tables.thread_table(FRAME)
    one, two = (line_of(threads, threads=count) for count in (1, 2))
    assert two.decode_tok_per_s / one.decode_tok_per_s == pytest.approx(1.5) and one.ttft_s / two.ttft_s == pytest.approx(2)
    assert set(threads.model) == {"pocket-10m"} and set(threads.engine) == {"transformers"}


def test_acceleration_is_compared_with_the_least_of_the_same_cell():
    table = tables.acceleration_table(FRAME)
    for what, gain in (("prefill", 8.0), ("decoding", 5.0 / 1.5)):
        line = line_of(table, dtype="Q4_0", what=what, acceleration="everything")
        assert line.gain == pytest.approx(gain) and line.over == "sse4" and line.kernel == "kernels of everything"
        assert math.isnan(line_of(table, dtype="Q4_0", what=what, acceleration="sse4").gain)


def test_the_overhead_that_was_planted_is_found_by_the_law_that_it_follows():
    table = tables_overhead.overhead_table(FRAME)
    mood = sum(made.MOOD) / 3
    per_step = line_of(table, engine="vllm")
    assert per_step.law == "bytes and steps" and per_step.overhead_s == pytest.approx(mood * 1e-3, rel=1e-3)
    assert per_step.kernel_share == pytest.approx(0.6, rel=1e-3) and per_step.error < 0.1
    assert per_step.byte_per_s_low < 0.6 * made.BANDWIDTH < per_step.byte_per_s_high < made.BANDWIDTH
    # The mood is in both the overhead and the rate, so the bytes at which both take as long have none of it.
    assert per_step.even_bytes == pytest.approx(1e-3 * 0.6 * made.BANDWIDTH, rel=1e-3)
    assert per_step.even_bytes_high == pytest.approx(per_step.even_bytes_low, rel=1e-3)
    per_layer = line_of(table, engine="transformers")
    assert per_layer.law == "bytes and layers" and per_layer.layers == 24
    assert per_layer.overhead_s == pytest.approx(mood * 24 * 4e-4, rel=1e-3)


def test_a_rate_above_the_memory_s_has_no_share_of_it_where_a_cache_holds_models():
    kept = {"memory_bandwidth_byte_per_s": 0.5}  # a memory of half the bandwidth: the planted rate is 120 % of it
    slow = FRAME.assign(value=FRAME.value * FRAME.metric.map(kept).fillna(1.0))
    assert line_of(tables_overhead.overhead_table(slow), engine="vllm").kernel_share == pytest.approx(1.2, rel=1e-3)
    line = line_of(tables_overhead.overhead_table(slow.assign(last_level_cache_bytes=33e6)), engine="vllm")
    assert math.isnan(line.kernel_share) and line.void.startswith("in cache: ") and line.byte_per_s > 0
    assert line_of(tables_overhead.overhead_table(FRAME.assign(last_level_cache_bytes=33e6)), engine="vllm").void == ""


def test_the_share_of_a_step_is_what_its_bytes_do_not_explain():
    table = tables_overhead.share_table(FRAME)
    for model in made.MODELS:
        line = line_of(table, engine="vllm", model=model)
        expected = 1e-3 / made.step_s(model, ("vllm", "float32"))
        assert line.law_share == pytest.approx(expected, rel=1e-2)  # means of two kinds
    shares = table[table.engine == "vllm"].law_share
    assert shares.is_monotonic_decreasing and shares.iloc[0] > 0.8 > 0.02 > shares.iloc[-1]


def test_two_models_tell_no_overhead():
    table = tables_overhead.overhead_table(made.frame(models=("pocket-3m", "pocket-10m")))
    assert set(table.refused) == {"needs 3 models of different sizes, got 2"} and table.overhead_s.isna().all()
    assert tables_overhead.share_table(made.frame(models=("pocket-3m", "pocket-10m"))).empty


def test_agreement_is_by_position_given_the_text_and_by_whole_texts_that_were_written():
    pairs = tables_agreement.pair_table(FRAME)
    at = dict(model="pocket-10m", first="transformers/float32", second="llama_cpp/Q4_0")
    assert line_of(pairs, **at, what="likeliest token").agreement == pytest.approx(0.7)
    assert line_of(pairs, **at, what="written text").agreement == pytest.approx(2 / 4)
    same = dict(model="pocket-10m", first="transformers/float32", second="llama_cpp/float32")
    assert line_of(pairs, **same, what="likeliest token").agreement == 1
    assert len(pairs) == 2 * 3 and (pairs.agreement_low <= pairs.agreement).all()
    # Those that part from the reference at the same place in text 1 still part from each other in text 0.
    both = line_of(pairs, model="pocket-10m", first="llama_cpp/Q4_0", second="llama_cpp/float32", what="written text")
    assert both.agreement == pytest.approx(3 / 4)


def test_a_text_that_parts_where_two_tokens_are_as_likely_is_a_tie():
    table = tables_agreement.reference_table(FRAME)
    exact = line_of(table, engine="llama_cpp", dtype="float32")
    assert (exact.texts, exact.part, exact.at_ties) == (4, 1, 1) and exact.agreement == 1 and exact.kl == 0
    rounded = line_of(table, engine="llama_cpp", dtype="Q4_0")
    assert (rounded.part, rounded.at_ties) == (2, 1) and rounded.agreement == pytest.approx(0.7)
    assert rounded.kl == pytest.approx(0.03) and rounded.written_alike == pytest.approx(0.5)


def test_what_a_library_said_stands_beside_the_call_that_did_not_run():
    table = tables_facts.listing_table(FRAME)
    assert table.values.tolist() == [["S2, quantization", "import", "ran", ""],
                                     ["S2, quantization", "load", "did not run", "ImportError: none"]]


def test_every_published_unit_of_computation_is_one_that_can_be_asked_for_or_not():
    table = tables_facts.reach_table()
    assert len(table) == len(platforms.load()) and set(table.unit) <= set(tables_facts.ASKED_AS)
    neural = line_of(table, unit="Neural Engine")
    assert neural.engines == tables_facts.NOBODY
    assert "vllm" in line_of(table, unit="tensor cores, dense BF16").engines


def test_the_claim_of_acceleration_is_judged_on_the_runtimes_that_it_names():
    claims = {claim.id: claim for claim in judgement.load("10_runtimes")}
    [verdict] = judgement.judge([claims["S2.4"]], FRAME, "some-laptop")
    assert verdict.verdict == "holds at scale model"
    assert [round(seen.estimate.value, 3) for seen in verdict.seen] == [8.0, 3.333]
    found = quantities.prefill_acceleration(FRAME, Setting(("pocket",)), (2, math.inf))
    assert [one.estimate.value for one in found] == pytest.approx([8, 8])
    with pytest.raises(NotMeasured, match="engines onnxruntime"):
        quantities.decode_acceleration(FRAME, Setting(("pocket",), engines=("onnxruntime",)), (2, math.inf))


def test_vllm_on_a_processor_is_told_and_decides_nothing():
    claims = {claim.id: claim for claim in judgement.load("10_runtimes")}
    [verdict] = judgement.judge([claims["S3.8"]], FRAME, "some-laptop")
    assert verdict.verdict == "not testable here"
    assert any("on this CPU, which is another setting" in said for said in verdict.missing)
    [there] = judgement.judge([claims["S3.8"]], made.frame(device="cuda"), "some-gpu")
    assert there.verdict == "not testable here" and any("tensorrt-llm" in said for said in there.missing)
    [seen] = there.seen
    model, whole = "shape:qwen2.5-0.5b", {}
    for engine in ("vllm", "transformers"):
        whole[engine] = 128 * made.CELLS[engine, "float32"][4] + 23 * made.step_s(model, (engine, "float32"))
    assert seen.models == (model,) and seen.estimate.value == pytest.approx(whole["transformers"] / whole["vllm"])


def test_every_figure_is_drawn_and_none_of_nothing():
    assert set(drawable(FIGURES, FRAME)) == {figure.name for figure in FIGURES}
    assert drawable(FIGURES, EMPTY) == []


@pytest.mark.parametrize(("cache", "dotted", "solid"), [(0, False, True), (1e15, True, False), (2e7, True, True)])
def test_a_ceiling_is_no_limit_where_a_cache_holds_what_a_step_reads(cache, dotted, solid):
    fig, table = drawn_from(FIGURES, FRAME.assign(last_level_cache_bytes=cache))["decode_by_bytes"]
    lines = {line.get_linestyle(): line for line in fig.axes[0].lines if line.get_gid() == "ceiling"}
    assert (":" in lines or "--" in lines, "-" in lines) == (dotted, solid) and len(lines) == dotted + solid
    for style, line in lines.items():
        at, rate = line.get_xdata(), line.get_ydata()
        assert rate * at * 1e6 == pytest.approx([made.BANDWIDTH] * 2, rel=0.5) and at[0] < at[1]
        beyond = table.step_mb[~table.cached] if style == "-" else table.step_mb[table.cached]
        assert ((at[0] <= beyond) & (beyond <= at[1])).all() and len(beyond)
    assert table.cached.eq(table.step_mb * 1e6 <= cache).all()


def test_figures_show_the_numbers_of_their_tables():
    drawn = drawn_from(FIGURES, FRAME)
    fig, table = drawn["decode_by_bytes"]
    assert {"ceiling"} <= {line.get_gid() for line in fig.axes[0].lines} and len(table) == len(made.MODELS) * len(made.CELLS)
    fig, table = drawn["overhead"]
    laws = [line for ax in fig.axes for line in ax.lines if line.get_gid() == "law"]
    assert len(laws) == len(made.CELLS) and fig.axes[0].get_xscale() == "log"
    assert {value for line in laws for value in line.get_ydata()} == set(table.law_share)
    fig, _ = drawn["acceleration"]
    assert [edges(ax, "x") for ax in fig.axes] == [{2.0}, {1.25}]
    assert any(text.get_text().endswith("tokens/s") for text in fig.axes[0].texts)
    fig, table = drawn["agreement"]
    cells = {text.get_text() for text in fig.axes[0].texts}
    assert {"70", "50", "100", "75"} <= cells
    fig, table = drawn["gains"]
    assert len(fig.axes) == 3 and set(table.engine) == {"llama_cpp", "vllm"}
