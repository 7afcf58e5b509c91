"""The tables and quantities of the speculative study give back the truth that made-up rows were drawn with."""

from __future__ import annotations

import pandas as pd
import pytest
import rows_06_speculative as made

from edgekit import store
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.analyze.speculation import acceptance_for, best_length, expected_tokens, least_overlap
from edgekit.catalog.engines import ENGINES
from edgekit.claims import judgement as claims
from edgekit.decode import builtin
from edgekit.studies.speculative import tables as t
from edgekit.studies.speculative import tables_speed as speeds
from edgekit.studies.speculative.quantities import QUANTITIES

FRAME = made.frame()
POCKET = Setting(("pocket",))


def only(table: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_acceptance_counts_only_what_was_judged_with_prompts_as_samples():
    table = t.acceptance_table(FRAME)
    for (draft, domain), chance in made.ACCEPTED.items():
        line = only(table, draft=draft, domain=domain, engine="llama_cpp", temperature=0.0)
        assert line.acceptance == pytest.approx(chance, abs=0.01) and line.n == 8 and line.length == "8"
        assert line.acceptance_low < line.acceptance < line.acceptance_high < line.acceptance + 0.05
    by = t.acceptance_table(FRAME, by_position=True)
    one = by[(by.draft == "pocket-900k") & (by.domain == "prose") & (by.engine == "llama_cpp") & (by.temperature == 1)]
    assert list(one.position) == list(range(1, 9)) and one.acceptance.between(0.83, 0.87).all()
    assert one.judged.is_monotonic_decreasing and one.judged.iloc[0] == 8 * made.JUDGED


def test_one_prompt_has_no_interval_and_a_draft_that_was_never_judged_no_line():
    one = FRAME[(FRAME.item == "p0") | FRAME.item.isna()]
    assert t.acceptance_table(one).acceptance_low.isna().all()
    never = FRAME.assign(judged=FRAME.judged.where(FRAME.draft != "lookup", 0), value=FRAME.value.where(
        (FRAME.draft != "lookup") | (FRAME.metric != "accepted"), 0))
    assert "lookup" not in set(t.acceptance_table(never).draft)


def test_theory_stands_beside_what_was_counted():
    table = t.theory_table(FRAME)
    assert "lookup" not in set(table.draft) and set(table.temperature) == {0.0, 1.0}
    for line in table.itertuples():
        chance = made.ACCEPTED[line.draft, line.domain]
        assert line.expected == pytest.approx(chance) and line.overlap == pytest.approx(chance)
        assert line.kl == pytest.approx(made.KL * (1 - chance) ** 2) and line.least == pytest.approx(least_overlap(line.kl))
        assert line.least < line.acceptance


def test_losslessness_counts_texts_and_ties():
    table = t.lossless_table(FRAME)
    ours = only(table, engine="llama_cpp")
    assert (ours.texts, ours.differ, ours.prompts) == (len(made.ACCEPTED) * 8, 2, 16)
    assert ours.gap_widest == pytest.approx(2e-4) and ours.gap_median == pytest.approx(1.5e-4)
    assert only(table, engine="llama-cpp-python").differ == 0 and table.noise.isna().all() and pd.isna(ours.beyond)
    at = dict(task="acceptance", model=made.TARGET, engine="llama_cpp", dtype=made.DTYPE["llama_cpp"], temperature=0.0,
              length=2, source="measured")
    noise = pd.DataFrame([dict(at, metric="gap_noise", value=value) for value in (0.2e-4, 0.7e-4)])
    found = only(t.lossless_table(pd.concat([FRAME, noise], ignore_index=True)), engine="llama_cpp")
    assert found.noise == pytest.approx(0.7e-4) and found.beyond == 1, "one of the two parts within twice the noise"


def test_passes_that_change_no_bit_are_exact_and_the_others_have_their_mean():
    at = dict(task="blocks", model=made.TARGET, engine="llama_cpp", dtype="stored", metric="block_noise", source="measured")
    rows = [dict(at, pass_tokens=size, item=item, value=value) for size, values in ((2, (0.0, 0.0)), (5, (0.0, 0.03)))
            for item, value in zip("ab", values, strict=True)]
    line = only(t.block_table(pd.concat([FRAME, pd.DataFrame(rows)], ignore_index=True)))
    assert (line["2 tokens"], line["5 tokens"]) == ("exact", "0.015") and line.model == made.TARGET
    assert t.block_table(FRAME).empty


def test_speed_ups_are_paired_and_expected_from_costs_and_counts():
    table = speeds.speed_table(FRAME)
    for draft, domain in made.ACCEPTED:
        for length in made.LENGTHS:
            line = only(table, draft=draft, domain=domain, engine="llama_cpp", length=str(length))
            truth = made.gain(draft, domain, "llama_cpp", length)
            assert line.decode == pytest.approx(truth, rel=0.03) and line.expected == pytest.approx(truth, rel=0.06)
            assert line.speed_up == pytest.approx(330 / (300 / truth + 30), rel=0.03) and line.n == 3
            cost = made.costs(draft, "llama_cpp", length)
            assert (line.draft_cost, line.verify_cost) == pytest.approx((cost.draft, cost.verify), rel=0.03, abs=1e-9)
    theirs = table[table.engine == "llama-cpp-python"]
    assert len(theirs) and theirs.expected.isna().all() and theirs.decode.isna().all() and theirs.speed_up.notna().all()


def test_a_lookup_that_finds_nothing_to_draft_in_half_of_its_blocks_is_expected_to_gain_half_the_tokens():
    mine = (FRAME.draft == "lookup") & (FRAME.metric == "accepted")
    table = speeds.speed_table(FRAME.assign(value=FRAME.value.where(~mine, FRAME.value / 2),
                                            judged=FRAME.judged.where(~mine, FRAME.judged / 2)))
    for domain, length in ((domain, length) for domain in ("prose", "chain think") for length in made.LENGTHS):
        tokens = 1 + (expected_tokens(made.ACCEPTED["lookup", domain], length) - 1) / 2
        line = only(table, draft="lookup", domain=domain, engine="llama_cpp", length=str(length))
        assert line.expected == pytest.approx(tokens / made.costs("lookup", "llama_cpp", length).block(length), rel=0.06)


def test_lengths_beyond_what_was_counted_have_no_expectation():
    short = FRAME[~((FRAME.metric == "accepted") & (FRAME.position > 4))]
    table = speeds.speed_table(short)
    ours = table[table.engine == "llama_cpp"]
    assert ours.expected.isna().equals(ours.length == "8")


def test_the_best_length_is_predicted_and_found():
    table = speeds.best_table(FRAME)
    for (draft, domain), chance in made.ACCEPTED.items():
        line = only(table, draft=draft, domain=domain, engine="llama_cpp")
        costs = {length: made.costs(draft, "llama_cpp", length) for length in made.LENGTHS}
        predicted, gain = best_length(chance, costs)
        truth = {0: 1.0} | {length: made.gain(draft, domain, "llama_cpp", length) for length in made.LENGTHS}
        assert line.predicted_gain == pytest.approx(gain, rel=0.06)
        assert line.found_gain == pytest.approx(max(truth.values()), rel=0.04)
        assert truth[line.predicted] > 0.95 * truth[predicted] and truth[line.found] > 0.95 * max(truth.values())
        at = line.found or 1
        assert line.break_even == pytest.approx(acceptance_for(1.0, at, costs[at]), rel=0.1)
    assert only(table, draft="lookup", domain="prose", engine="transformers").found == 0, "nothing gains"


def test_ours_stands_beside_the_runtimes_own_on_the_same_pair_and_length():
    table = speeds.builtin_table(FRAME)
    assert {entry.engine for entry in builtin.BUILTIN_SPECULATIVE.values()} <= set(ENGINES)
    for loop, (_, slower) in made.NATIVE.items():
        here = table[table.engine == loop]
        assert set(here.length) == {str(length) for length in made.LENGTHS} and set(here.n) == {3}
        assert here.ours_over_builtin.to_numpy() == pytest.approx(slower)
    passes = t.pass_table(FRAME)
    assert set(passes[passes.engine == "llama-cpp-python"].tokens) == {2.5}


def test_speed_ups_of_several_texts_are_over_as_many_without_a_draft():
    table = speeds.batch_table(store.to_frame(made.batched_rows()))
    assert len(table) == 2 * len(made.BATCHES) * 2 and list(table.batch.unique()) == [1, 2, 8]
    for line in table.itertuples():
        truth = made.batch_gain(line.draft, line.batch, int(line.length))
        assert line.speed_up == pytest.approx(truth) and line.decode == pytest.approx(truth) and line.n == 3
        assert line.rate == pytest.approx(line.plain_rate * truth) and line.texts == 2 * 8 * 3
        assert line.plain_rate == pytest.approx(line.batch ** 0.5 / made.STEP["llama_cpp"], rel=0.1)
    differing = table[table.differ > 0]
    assert list(zip(differing.draft, differing.batch, differing.length, differing.differ, strict=True)) == [
        ("pocket-200k", 8, "4", 2 * 3)] and differing.gap_widest.iloc[0] == pytest.approx(1e-4)


@pytest.mark.parametrize("label, model, draft", [
    ("n-gram lookup", "m", "lookup"), ("pocket-200k", "m", "pocket-200k"),
    ("d, distilled in 100 steps", "m", "d > distilled(data=logits, teacher=m, steps=100, tokens=64)"),
    ("itself, Q4_0", "m", "m > gguf_quantized(type=Q4_0)"),
    ("itself, rounded to 3 bits, group=64", "m", "m > rtn(bits=3, group=64)")])
def test_drafts_have_names_for_readers(label, model, draft):
    assert t.draft_label(model, draft) == label


def test_quantities_take_the_best_smaller_model_over_all_domains():
    seen = QUANTITIES["draft_acceptance"](FRAME, POCKET, (77.5, 100.0))
    assert seen.where.startswith("pocket-900k for pocket-10m") and seen.scale == "pocket"
    assert 75 < seen.estimate.value < 85 and seen.estimate.n == 16 and "prose 85" in seen.note
    seen = QUANTITIES["speculative_speed_up"](FRAME, POCKET, (2.05, 9.0))
    best = max((made.gain(draft, "prose", "llama_cpp", length) * made.gain(draft, "chain think", "llama_cpp", length)) ** 0.5
               for draft in ("pocket-200k", "pocket-900k") for length in made.LENGTHS)
    assert seen.estimate.value == pytest.approx(330 / (300 / best + 30), rel=0.04) and seen.estimate.n == 3
    for quantity in QUANTITIES.values():
        with pytest.raises(NotMeasured, match="smaller model"):
            quantity(FRAME[FRAME.draft.isin(["lookup", made.ITSELF])], POCKET, (0.0, 1.0))
        with pytest.raises(NotMeasured, match="smaller model"):
            quantity(FRAME, Setting(("real",)), (0.0, 1.0))


@pytest.mark.parametrize("chance, verdict", [(0.6, "does not hold at scale model"), (0.9, "holds at scale model")])
def test_s1_9_is_decided_both_ways(chance, verdict, monkeypatch):
    monkeypatch.setattr(made, "ACCEPTED", dict.fromkeys(made.ACCEPTED, chance))
    told = {one.claim.id: one for one in claims.judge(claims.load("06_speculative"), made.frame(), "here")}
    assert told["S1.9"].verdict == verdict


@pytest.mark.parametrize("free, verdict", [(False, "does not hold at scale model"), (True, "holds at scale model")])
def test_s1_10_is_decided_both_ways_beside_its_arithmetic(free, verdict, monkeypatch):
    monkeypatch.setattr(made, "ACCEPTED", dict.fromkeys(made.ACCEPTED, 0.95 if free else 0.5))
    [told] = [one for one in claims.judge(claims.load("06_speculative"), made.frame(), "here") if one.claim.id == "S1.10"]
    assert told.verdict == verdict and told.beside.verdict == "consistent"


def test_tables_of_no_rows_have_no_lines():
    empty = FRAME[:0]
    assert speeds.batch_table(FRAME).empty, "rows of one text at a time"
    for table in (t.acceptance_table, t.pass_table, t.overlap_table, t.theory_table, t.lossless_table, speeds.speed_table,
                  speeds.best_table, speeds.builtin_table, speeds.batch_table, speeds.replay_table):
        assert table(empty).empty
