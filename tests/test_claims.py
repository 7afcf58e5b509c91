"""Verdicts against rows whose truth is known, and the file of claims against its own rules."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import subprocess
import sys

import pandas as pd
import pytest
import rows_02_baseline as made
import yaml

from edgekit.analyze import observed, roofline, stats
from edgekit.catalog import published
from edgekit.claims import judgement as claims
from edgekit.claims import quantities
from edgekit.claims import text as verdict_text
from edgekit.studies.published_claims import printed
from edgekit.studies.published_claims import quantities as audit_quantities

BOARD = "jetson-orin-nx"
CLAIMS = claims.load("02_baseline")


def judge(claim_id, frame, platform="some-laptop"):
    [verdict] = claims.judge([claim for claim in CLAIMS if claim.id == claim_id], frame, platform)
    return verdict


def entry(**changes):
    """A claim as the file holds it, with one thing changed."""
    good = {"id": "X.1", "name": "speed", "document": "D", "locator": "page 1", "statement": "Fast.", "study": "02_baseline",
            "figure": "shares", "needs": "a board", "setting": {"platforms": "any", "models": ["pocket"]},
            "published": [{"quantity": "ttft_s", "value": 1, "unit": "s", "label": "printed"}],
            "tests": [{"quantity": "ttft_s", "expect": {"at_most": 1}, "tolerance": {"absolute": 0, "reason": "none"}}]}
    return good | changes


def write(tmp_path, *entries):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({
        "documents": {"D": {"title": "A document"}}, "planned": {"09_later": "what comes later"},
        "units": {"ttft_s": "s", "speedup": "times"}, "claims": list(entries)}))
    return path


def board_rows(tok_per_s, **choices):
    """Rows of a 7B model through transformers that decodes at a chosen rate."""
    size = 2 * made.MODELS["shape:llama-2-7b"][0]
    reached = size / made.BANDWIDTH / (1 / tok_per_s - 8e-3)
    return made.frame(models=("shape:llama-2-7b",), engines=("transformers",), reached={"transformers": reached},
                      lengths=[(16, 32)], **choices)


def test_every_claim_has_a_known_quantity_a_figure_and_a_reason():
    assert {"S1.3", "S3.1", "S3.9"} <= {claim.id for claim in CLAIMS}
    for claim in claims.load():
        assert claim.locator and claim.needs and claim.title and (claim.figure or not claim.tests)
        assert all(test.tolerance_reason and test.low - test.tolerance < test.high for test in claim.tests)


INVENTORY = [f"S1.{i}" for i in range(1, 25)] + [f"S2.{i}" for i in range(1, 6)] + [f"S3.{i}" for i in range(1, 10)] + [
    f"ER.{i}" for i in range(1, 5)]


def test_every_published_claim_is_in_the_file_and_has_a_verdict():
    everything = claims.load()
    assert [claim.id for claim in everything] == INVENTORY
    verdicts = {verdict.claim.id: verdict for verdict in claims.judge(everything, None, BOARD)}
    assert list(verdicts) == INVENTORY
    for claim in everything:
        word = verdicts[claim.id].verdict
        assert (word in ("consistent", "inconsistent")) == (claim.audit is not None)
        assert (word == "not yet run") == (claim.audit is None)
        if not claim.tests and claim.study != claims.AUDIT_NOTEBOOK:
            reason = verdict_text.reason(verdicts[claim.id])
            assert claim.planned and claim.study in reason and claim.needs in reason


def test_a_planned_study_is_not_in_the_kit_and_each_other_one_is():
    from edgekit import studies

    for claim in claims.load():
        assert bool(claim.planned) == (claim.study not in studies.STUDIES), claim.id


def test_what_was_measured_decides_before_arithmetic_and_arithmetic_where_nothing_can_be_measured():
    audited = next(claim for claim in claims.load() if claim.id == "S1.15")
    tested = next(claim for claim in CLAIMS if claim.id == "S1.3")
    both = dataclasses.replace(tested, audit=audited.audit)
    [here] = claims.judge([both], board_rows(8.0), "some-laptop")
    assert (here.verdict, here.platform) == ("inconsistent", "")
    assert "Not testable here: Needs one of the four" in verdict_text.reason(here)
    assert here.figure == "00_published_claims.html#fig-ceilings"
    [there] = claims.judge([both], board_rows(8.0), BOARD)
    assert there.verdict == "holds on a shape" and "Inconsistent: Share of the nominal" in verdict_text.reason(there)
    assert there.figure == "02_baseline.html#fig-baseline_7b"


def test_the_interval_decides():
    test = claims.Comparison("ttft_s", 5, 12, 0.5, "rounded")

    def outcome(value, low, high):
        return test.outcome(observed.Observation(stats.Estimate(value, low, high, 3), "", ("owner/7b",), "repeats", ""))

    assert outcome(8, 4.6, 12.4) == "inside"              # the tolerance counts
    assert outcome(14, 13, 15) == "outside" and outcome(3, 2, 4) == "outside"
    assert outcome(8, 4, 10) == "across" and outcome(8, 1, 20) == "across"
    assert outcome(8, None, None) == "across"             # one run decides nothing


@pytest.mark.parametrize("rate, verdict", [(8.0, "holds on a shape"), (20.0, "does not hold on a shape"),
                                           (2.0, "does not hold on a shape"), (12.5, "undecided")])
def test_the_baseline_claim_on_a_board(rate, verdict):
    assert judge("S1.3", board_rows(rate), BOARD).verdict == verdict


def test_the_baseline_claim_elsewhere_names_what_is_missing_and_shows_our_value():
    verdict = judge("S1.3", board_rows(8.0))
    assert verdict.verdict == "not testable here"
    assert verdict.elsewhere and all(told in verdict_text.reason(verdict)
                                     for told in ("Jetson Orin NX", "orientation", "some-laptop"))
    assert verdict.seen[0].estimate.value == pytest.approx(8, rel=0.05)
    assert "prompt length is not published" in verdict_text.reason(verdict)


def test_the_first_token_is_taken_at_the_prompt_length_that_favours_the_claim():
    frame = made.frame(models=("shape:llama-2-7b",), engines=("transformers",))
    table = roofline.speed_table(frame).dropna(subset=["ttft_s"]).set_index("prompt_tokens").ttft_s
    assert table[16] < 2.4 < table[170]
    assert judge("S1.3", frame, BOARD).seen[1].estimate.value == table[16]


def test_decode_over_prefill_is_that_of_the_largest_model_and_its_fastest_engine():
    frame = made.frame(models=("pocket-3m", "shape:qwen2.5-0.5b", "shape:llama-3.2-1b"))
    verdict = judge("S3.1", frame)
    runs = frame[(frame.model == "shape:llama-3.2-1b") & (frame.engine == "llama_cpp") & (frame.prompt_tokens == 170)]
    decode = runs[(runs.metric == "decode_s") & (runs.output_tokens == 1318)].sort_values("repeat").value
    ttft = runs[runs.metric == "ttft_s"].sort_values("repeat").value
    ratio = stats.ratio_interval(decode, ttft)
    assert verdict.seen[0].estimate.value == pytest.approx(ratio.value)
    assert verdict.seen[0].estimate.low == pytest.approx(ratio.low)
    assert verdict.verdict == ("does not hold on a shape" if ratio.high < 100 else "holds on a shape")
    assert "% of the time" in verdict_text.reason(verdict)


def test_a_faster_prefill_reproduces_the_dominance_of_decoding():
    frame = made.frame(models=("shape:qwen2.5-0.5b",))
    frame.loc[frame.metric == "ttft_s", "value"] /= 5
    assert judge("S3.1", frame).verdict == "holds on a shape"


def test_pocket_models_alone_judge_at_scale():
    frame = made.frame(models=("pocket-900k",))
    assert judge("S3.1", frame).verdict == "holds at scale model"
    frame.loc[frame.metric == "ttft_s", "value"] *= 50
    assert judge("S3.1", frame).verdict == "does not hold at scale model"
    assert "scale model" in judge("S3.9", frame).verdict
    assert judge("S1.3", frame, BOARD).verdict == "not testable here"      # it is about 7B


def test_memory_bandwidth_is_the_limit_where_the_fastest_engine_comes_near_it():
    frame = made.frame(models=("shape:qwen2.5-0.5b", "shape:llama-3.2-1b"))
    verdict = judge("S3.9", frame)
    assert verdict.verdict == "holds on a shape"
    assert verdict.seen[0].estimate.value == pytest.approx(0.86, rel=0.05)
    assert "llama-3.2-1b" in verdict.seen[0].where and "overhead" in verdict_text.reason(verdict)
    # Only the slow engine: neither limit is near, so the claim fails on the first comparison.
    assert judge("S3.9", frame[frame.engine != "llama_cpp"]).verdict == "does not hold on a shape"


def test_decoding_that_computes_more_than_it_reads_is_not_limited_by_memory():
    frame = made.frame(models=("shape:qwen2.5-0.5b",), engines=("llama_cpp",))
    slow = frame.metric == "matmul_flop_per_s"
    frame.loc[slow, "value"] /= 20
    limit = frame[slow & (frame["dtype"] == "float32")].value.median() / (2 * made.MODELS["shape:qwen2.5-0.5b"][0])
    frame.loc[frame.metric == "tpot_s", "value"] = 1 / (0.9 * limit)
    verdict = judge("S3.9", frame)
    assert verdict.verdict == "does not hold on a shape" and verdict.seen[1].estimate.high < 1


def test_a_processor_without_bfloat16_does_not_make_arithmetic_the_limit():
    from test_roofline import old_processor

    assert judge("S3.9", old_processor()).verdict == "holds on a shape"


@pytest.mark.parametrize("changes, told", [
    (dict(float32=(3e9, 3.1e9)), "1,300 % of the float32 matrix-multiplication rate"),
    (dict(float32=(1e9, 3e9)), "the roof is void"),
    (dict(cache=2e9), "that the last-level cache does not hold")])
def test_no_verdict_rests_on_a_share_that_passes_its_roof_or_on_a_cache(changes, told):
    from test_roofline import old_processor

    verdict = judge("S3.9", old_processor(**changes))
    assert verdict.verdict == "not testable here" and told in verdict_text.reason(verdict)


def test_without_rows_it_says_what_was_not_measured():
    for frame in (pd.DataFrame(), made.frame(models=())):
        for verdict in claims.judge(CLAIMS, frame, BOARD):
            assert verdict.verdict == "not testable here" and not verdict.seen
            assert "ot measured in this run" in verdict_text.reason(verdict)
    no_rate = made.frame(models=("pocket-3m",))
    assert "matrix-multiplication" in verdict_text.reason(judge("S3.9", no_rate[no_rate.metric != "matmul_flop_per_s"]))


@pytest.mark.parametrize("source", ["published", "modelled", "replayed"])
def test_only_measured_rows_count(source):
    frame = made.frame(models=("shape:llama-2-7b",), source=source, accuracy=False)
    assert {verdict.verdict for verdict in claims.judge(CLAIMS, frame, BOARD)} == {"not testable here"}


def test_cells_and_table_carry_verdict_interval_and_figure():
    verdicts = claims.judge(CLAIMS, made.frame(models=("shape:qwen2.5-0.5b",), accuracy=False), "some-laptop")
    cells = verdict_text.cells(verdicts)
    assert [cell["id"] for cell in cells] == [claim.id for claim in CLAIMS]
    shares = next(cell for cell in cells if cell["id"] == "S3.1")
    assert shares["figure"] == "02_baseline.html#fig-shares"
    assert " to " in shares["ours"] and "521" in shares["published"] and shares["quantities"] == ["decode_over_prefill"]
    [line] = shares["parts"][0]["lines"]
    numbers = line["numbers"]
    assert numbers["low"] < numbers["value"] < numbers["high"] and (numbers["least"], numbers["most"]) == (100, None)
    assert sorted(numbers["published"]) == [192, 521, 569]
    assert all(cell["verdict"] in claims.VERDICTS and cell["reason"] for cell in cells)
    lines = verdict_text.markdown_table(verdict_text.cells(verdicts)).splitlines()
    table, reasons = lines[:2 + len(cells)], lines[3 + len(cells):]
    assert all(line.count("|") - line.count("\\|") == 5 for line in table) and len(reasons) == len(cells)
    assert all(cell["reason"] in reason and cell["verdict"] in line
               for cell, line, reason in zip(cells, table[2:], reasons, strict=True))
    assert max(len(text) for line in table for text in line.split(" | ")) < 200, "a table is not read cell by cell"


def test_published_numbers_are_the_printed_ones():
    printed = published.numbers("S1.3", "decode_tok_per_s")
    boards = printed.dropna(subset=["platform"]).set_index("platform").value
    assert boards.to_dict() == {"apple-m2-pro": 11.2, "snapdragon-8-gen3": 5.8, "intel-core-ultra": 8.4,
                                "jetson-orin-nx": 12.6}
    assert (printed.low.dropna().item(), printed.high.dropna().item()) == (5, 12)
    assert set(published.numbers("S3.1", "decode_over_prefill").value) == {521, 192, 569}
    assert set(printed.source) == {"published"}


@pytest.mark.parametrize("changes, message", [
    ({"verdict": "reproduced"}, "unknown key 'verdict'; known: id"),
    ({"document": "E"}, "unknown document 'E'; known: D"),
    ({"tests": []}, "at least one test"),
    ({"tests": [{"quantity": "speed", "expect": {"at_most": 1}, "tolerance": {"absolute": 0, "reason": "x"}}]},
     "unknown quantity 'speed'; known: decode_tok_per_s"),
    ({"tests": [{"quantity": "ttft_s", "expect": {"about": 1}, "tolerance": {"absolute": 0, "reason": "x"}}]},
     "expected one of at_least"),
    ({"tests": [{"quantity": "ttft_s", "expect": {"at_most": 1}, "tolerance": {"absolute": 0}}]},
     "missing key 'reason'"),
    ({"tests": [{"quantity": "ttft_s", "expect": {"at_most": 1}, "tolerance": {"absolute": 0, "reason": "x"},
                 "published": "y"}]}, "unknown printed quantity 'y'; known: ttft_s"),
    ({"setting": {"platforms": "any", "models": ["toy"]}}, "unknown kind of model 'toy'"),
    ({"setting": {"platforms": "jetson-orin-nx", "models": ["real"]}}, "`any` or a list"),
    ({"published": [{"quantity": "ttft_s", "unit": "s", "label": "x"}]}, "expected a value, or low and high"),
    ({"published": [{"quantity": "haste", "value": 1, "unit": "s", "label": "x"}]}, "unknown quantity 'haste'; known: speedup"),
    ({"published": [{"quantity": "ttft_s", "value": 1, "unit": "ms", "label": "x"}]}, "expected ttft_s in 's', got 'ms'"),
    ({"published": [{"quantity": "ttft_s", "value": "fast", "unit": "s", "label": "x"}]}, "finite number, got 'fast'"),
    ({"locator": " "}, "expected a text for 'locator', got ' '; say where in the document"),
    ({"locator": None}, "expected a text for 'locator', got None"),
    ({"study": "09_later"}, "has tests although 09_later is planned; take the study out"),
    ({"audit": {"checks": []}}, "at least one check"),
    ({"audit": {"checks": [{"quantity": "ttft_s", "expect": {"at_most": 1}, "tolerance": {"absolute": 0, "reason": "x"}}]}},
     "audit, checks: unknown quantity 'ttft_s'; known: mean_speedup"),
])
def test_a_claim_that_cannot_be_judged_is_refused(tmp_path, changes, message):
    assert len(claims.load(path=write(tmp_path, entry()))) == 1
    with pytest.raises(claims.ClaimsError, match=message):
        claims.load(path=write(tmp_path, entry(**changes)))


def test_a_claim_without_a_locator_is_refused(tmp_path):
    without = {key: value for key, value in entry().items() if key != "locator"}
    with pytest.raises(claims.ClaimsError, match="claim 1: missing key 'locator'; expected: id"):
        claims.load(path=write(tmp_path, without))


def untested(**changes):
    return {key: value for key, value in entry(**changes).items() if key not in ("tests", "setting", "figure")}


def test_a_claim_needs_no_test_only_while_its_study_is_planned_or_where_arithmetic_decides(tmp_path):
    [later] = claims.load(path=write(tmp_path, untested(study="09_later")))
    [verdict] = claims.judge([later], pd.DataFrame(), "x")
    assert verdict.verdict == "not yet run" and "09_later (what comes later); needs a board" in verdict_text.reason(verdict)
    assert verdict.figure == "" and verdict_text.cells([verdict])[0]["ours"] == "none"
    with pytest.raises(claims.ClaimsError, match=r"at least one test, or an audit, or a study that is planned \(09_later\)"):
        claims.load(path=write(tmp_path, untested()))
    check = {"quantity": "mean_speedup", "expect": {"at_least": 2}, "tolerance": {"absolute": 0, "reason": "x"}}
    [claim] = claims.load(path=write(tmp_path, untested(audit={"checks": [check]})))
    with pytest.raises(claims.ClaimsError, match="claim X.1, mean_speedup: no printed value of baseline_tok_per_s"):
        claims.audited([claim], numbers=printed.Numbers([]))


@pytest.mark.parametrize("expect, tolerance, message", [
    ({"at_least": 0}, 0, "accepts 0 to inf, which is all that it can be"),
    ({"at_least": 100}, 100, "accepts 0 to inf, which is all"),
    ({"between": [5, 12]}, 7, "tolerance below 5"),
    ({"at_most": 1}, 1, "tolerance below 1, the way from 1 to the end"),
    ({"at_most": 1}, math.inf, "finite number, got "),
    ({"at_most": 1}, math.nan, "finite number, got "),
    ({"at_most": 1}, -0.1, "tolerance of at least 0"),
    ({"at_most": 1}, "wide", "finite number, got 'wide'"),
    ({"at_most": math.inf}, 0, "finite number, got "),
    ({"at_most": -1}, 0, "where it cannot be .* no row could pass"),
    ({"between": [5, 12]}, 5, "tolerance below 5"),
    ({"between": [12, 5]}, 0, "low <= high"),
    ({"between": [5]}, 0, "two numbers"),
    ({"between": 5}, 0, "two numbers"),
    ({"at_least": True}, 0, "finite number, got True"),
])
def test_a_test_that_cannot_fail_or_cannot_pass_is_refused(tmp_path, expect, tolerance, message):
    test = {"quantity": "ttft_s", "expect": expect, "tolerance": {"absolute": tolerance, "reason": "x"}}
    with pytest.raises(claims.ClaimsError, match=message) as caught:
        claims.load(path=write(tmp_path, entry(tests=[test])))
    assert ("X.1" in str(caught.value) or "claims.yaml, line 2" in str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("expect, tolerance, fails", [({"at_most": 100}, 0, True), ({"between": [0, 100]}, 0, True),
                                                      ({"at_least": 95}, 94, False), ({"at_most": 97}, 3, True),
                                                      ({"between": [72.5, 77.5]}, 22.5, True), ({"at_most": 3}, 0, False)])
def test_a_share_ends_at_both_sides(tmp_path, expect, tolerance, fails):
    check = {"quantity": "compute_removed", "expect": expect, "tolerance": {"absolute": tolerance, "reason": "x"}}
    path = write(tmp_path, untested(audit={"checks": [check]}))
    with pytest.raises(claims.ClaimsError) if fails else contextlib.nullcontext():
        claims.load(path=path)


@pytest.mark.parametrize("text", ["- one", "documents: {}", "claims: all", "claims: [{id: S1.1}]"])
def test_a_file_without_printed_numbers_is_told_in_one_sentence(tmp_path, monkeypatch, text):
    (tmp_path / "data/published").mkdir(parents=True)
    (tmp_path / "data/published/claims.yaml").write_text(text)
    monkeypatch.setattr(published.store, "ROOT", tmp_path)
    with pytest.raises(published.PublishedError, match="claims.yaml: expected `claims`, a list of entries with id"):
        published.printed()


def test_every_quantity_declares_what_it_can_be():
    assert list(audit_quantities.AUDITS) == list(audit_quantities.DOMAINS)
    assert all(low < high for low, high in audit_quantities.DOMAINS.values())
    assert all(quantity.low < quantity.high for quantity in quantities.QUANTITIES.values())


def at_each_group(**of):
    """Quantities that saw two artifacts: `{name: {artifact: (value, low, high)}}`, the first one first."""
    def quantity(seen):
        return observed.Quantity(lambda frame, setting, accepted: [
            observed.Observation(stats.Estimate(*ends, 9), artifact, ("owner/7b",), "texts", artifact)
            for artifact, ends in seen.items()], "quality")
    return {name: quantity(seen) for name, seen in of.items()}


@pytest.mark.parametrize("kept, saved, word, judged", [
    ({"g32": (99, 98, 99.5), "g128": (96, 95.5, 97)}, {"g128": (75, 75, 75), "g32": (68, 68, 68)}, "reproduced", "g128"),
    ({"g32": (99, 98, 99.5), "g128": (94, 93, 96)}, {"g128": (75, 75, 75), "g32": (68, 68, 68)}, "undecided", "g128"),
    ({"g32": (99, 98, 99.5), "g128": (90, 89, 91)}, {"g128": (75, 75, 75), "g32": (68, 68, 68)}, "not reproduced", "g32"),
    ({"g32": (99, 98, 99.5)}, {"g128": (75, 75, 75)}, "not testable here", None)])
def test_a_verdict_with_several_tests_judges_one_artifact(monkeypatch, kept, saved, word, judged):
    """Accuracy at one group size and memory at another would make a model that nobody has."""
    monkeypatch.setattr(claims, "QUANTITIES", at_each_group(awq_accuracy_retained=kept, awq_memory_saved=saved))
    both = [claim for claim in claims.load() if claim.id == "S2.2"]
    [verdict] = claims.judge([dataclasses.replace(both[0], audit=None)], pd.DataFrame(), "here")
    assert verdict.verdict == word and {seen.artifact for seen in verdict.seen} == ({judged} if judged else set())
    assert bool(verdict.missing) == (judged is None)


def test_what_would_narrow_an_interval_is_named_by_its_samples(monkeypatch):
    monkeypatch.setattr(claims, "QUANTITIES", at_each_group(draft_acceptance={"a": (78, 70, 85)}))
    [verdict] = claims.judge([claim for claim in claims.load() if claim.id == "S1.9"], pd.DataFrame(), "here")
    assert (verdict.verdict, verdict.outcomes[0].word) == ("undecided", "across")
    assert "more texts would narrow" in verdict_text.reason(verdict) and "repeats" not in verdict_text.reason(verdict)


def test_a_claim_stands_there_once(tmp_path):
    with pytest.raises(claims.ClaimsError, match="twice"):
        claims.load(path=write(tmp_path, entry(), entry()))
    with pytest.raises(published.PublishedError, match="unknown claim 'S9.9'; known: S1.1"):
        published.numbers("S9.9")


def test_judging_needs_neither_torch_nor_a_plotting_library():
    code = "import sys, edgekit.claims.judgement; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
