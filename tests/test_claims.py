"""Verdicts against rows whose truth is known, and the file of claims against its own rules."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
import rows_02_baseline as made
import yaml

from edgekit.analyze import claims, quantities, roofline, stats

BOARD = "jetson-orin-nx"
CLAIMS = claims.load("02_baseline")


def judge(claim_id, frame, platform="some-laptop"):
    [verdict] = claims.judge([claim for claim in CLAIMS if claim.id == claim_id], frame, platform)
    return verdict


def entry(**changes):
    """A claim as the file holds it, with one thing changed."""
    good = {"id": "X.1", "document": "D", "locator": "page 1", "statement": "Fast.", "study": "02_baseline",
            "figure": "shares", "needs": "a board", "setting": {"platforms": "any", "models": ["pocket"]},
            "published": [{"quantity": "ttft_s", "value": 1, "unit": "s", "label": "printed"}],
            "tests": [{"quantity": "ttft_s", "expect": {"at_most": 1}, "tolerance": {"absolute": 0, "reason": "none"}}]}
    return good | changes


def write(tmp_path, *entries):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"documents": {"D": {"title": "A document"}}, "claims": list(entries)}))
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
        assert claim.locator and claim.needs and claim.figure and claim.title
        assert all(test.tolerance_reason and test.low < test.high for test in claim.tests)


def test_the_interval_decides():
    test = claims.Comparison("ttft_s", 5, 12, 0.5, "rounded")

    def outcome(value, low, high):
        return test.outcome(quantities.Observation(stats.Estimate(value, low, high, 3), "", "real"))

    assert outcome(8, 4.6, 12.4) == "inside"              # the tolerance counts
    assert outcome(14, 13, 15) == "outside" and outcome(3, 2, 4) == "outside"
    assert outcome(8, 4, 10) == "across" and outcome(8, 1, 20) == "across"
    assert outcome(8, None, None) == "across"             # one run decides nothing


@pytest.mark.parametrize("rate, verdict", [(8.0, "reproduced"), (20.0, "not reproduced"), (2.0, "not reproduced"),
                                           (12.5, "undecided")])
def test_the_baseline_claim_on_a_board(rate, verdict):
    assert judge("S1.3", board_rows(rate), BOARD).verdict == verdict


def test_the_baseline_claim_elsewhere_names_what_is_missing_and_shows_our_value():
    verdict = judge("S1.3", board_rows(8.0))
    assert verdict.verdict == "not testable here"
    assert "Jetson Orin NX" in verdict.reason and "orientation" in verdict.reason and "some-laptop" in verdict.reason
    assert verdict.seen[0].estimate.value == pytest.approx(8, rel=0.05)
    assert "prompt length is not published" in verdict.reason


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
    assert verdict.verdict == ("not reproduced" if ratio.high < 100 else "reproduced")
    assert "% of the time" in verdict.reason


def test_a_faster_prefill_reproduces_the_dominance_of_decoding():
    frame = made.frame(models=("shape:qwen2.5-0.5b",))
    frame.loc[frame.metric == "ttft_s", "value"] /= 5
    assert judge("S3.1", frame).verdict == "reproduced"


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
    assert verdict.verdict == "reproduced"
    assert verdict.seen[0].estimate.value == pytest.approx(0.86, rel=0.05)
    assert "llama-3.2-1b" in verdict.seen[0].where and "overhead" in verdict.reason
    # Only the slow engine: neither limit is near, so the claim fails on the first comparison.
    assert judge("S3.9", frame[frame.engine != "llama_cpp"]).verdict == "not reproduced"


def test_decoding_that_computes_more_than_it_reads_is_not_limited_by_memory():
    frame = made.frame(models=("shape:qwen2.5-0.5b",), engines=("llama_cpp",))
    frame.loc[frame.metric == "matmul_flop_per_s", "value"] /= 20
    verdict = judge("S3.9", frame)
    assert verdict.verdict == "not reproduced" and verdict.seen[1].estimate.high < 1


def test_without_rows_it_says_what_was_not_measured():
    for frame in (pd.DataFrame(), made.frame(models=())):
        for verdict in claims.judge(CLAIMS, frame, BOARD):
            assert verdict.verdict == "not testable here" and not verdict.seen
            assert "ot measured in this run" in verdict.reason
    no_rate = made.frame(models=("pocket-3m",))
    assert "matrix-multiplication" in judge("S3.9", no_rate[no_rate.metric != "matmul_flop_per_s"]).reason


@pytest.mark.parametrize("source", ["published", "modelled", "replayed"])
def test_only_measured_rows_count(source):
    frame = made.frame(models=("shape:llama-2-7b",), source=source, accuracy=False)
    assert {verdict.verdict for verdict in claims.judge(CLAIMS, frame, BOARD)} == {"not testable here"}


def test_cells_and_table_carry_verdict_interval_and_figure():
    verdicts = claims.judge(CLAIMS, made.frame(models=("shape:qwen2.5-0.5b",), accuracy=False), "some-laptop")
    cells = claims.cells(verdicts)
    assert [cell["id"] for cell in cells] == [claim.id for claim in CLAIMS]
    shares = next(cell for cell in cells if cell["id"] == "S3.1")
    assert shares["figure"] == "02_baseline.html#fig-shares"
    assert " to " in shares["ours"] and "521" in shares["published"]
    assert all(cell["verdict"] in claims.VERDICTS and cell["reason"] for cell in cells)
    lines = claims.markdown_table(verdicts).splitlines()
    assert len(lines) == 2 + len(cells) and all(line.count("|") - line.count("\\|") == 6 for line in lines)


def test_published_numbers_are_the_printed_ones():
    printed = claims.published("S1.3", "decode_tok_per_s")
    boards = printed.dropna(subset=["platform"]).set_index("platform").value
    assert boards.to_dict() == {"apple-m2-pro": 11.2, "snapdragon-8-gen3": 5.8, "intel-core-ultra": 8.4,
                                "jetson-orin-nx": 12.6}
    assert (printed.low.dropna().item(), printed.high.dropna().item()) == (5, 12)
    assert set(claims.published("S3.1", "decode_over_prefill").value) == {521, 192, 569}
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
    ({"setting": {"platforms": "any", "models": ["toy"]}}, "unknown kind of model 'toy'"),
    ({"setting": {"platforms": "jetson-orin-nx", "models": ["real"]}}, "`any` or a list"),
    ({"published": [{"quantity": "ttft_s", "unit": "s", "label": "x"}]}, "expected a value, or low and high"),
])
def test_a_claim_that_cannot_be_judged_is_refused(tmp_path, changes, message):
    assert len(claims.load(path=write(tmp_path, entry()))) == 1
    with pytest.raises(claims.ClaimsError, match=message):
        claims.load(path=write(tmp_path, entry(**changes)))


def test_a_claim_stands_there_once(tmp_path):
    with pytest.raises(claims.ClaimsError, match="twice"):
        claims.load(path=write(tmp_path, entry(), entry()))
    with pytest.raises(claims.ClaimsError, match="unknown claim 'S9.9'; known: S1.3"):
        claims.published("S9.9")


def test_judging_needs_neither_torch_nor_a_plotting_library():
    code = "import sys, edgekit.analyze.claims; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
