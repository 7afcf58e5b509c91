"""The audit of published numbers against oracles: models that are cut and counted, tables by hand."""

from __future__ import annotations

import dataclasses
import math
import random

import pandas as pd
import pytest
import torch
import transformers

from edgekit import params, store
from edgekit.analyze import audit
from edgekit.analyze.audit import Span
from edgekit.analyze.speculation import Costs, expected_speedup
from edgekit.catalog import models, platforms
from edgekit.claims import judgement as claims
from edgekit.claims import text as verdict_text
from edgekit.studies.published_claims import plan as published_claims
from edgekit.studies.published_claims import printed
from edgekit.studies.published_claims import quantities as audit_quantities
from edgekit.studies.published_claims import tables as printed_tables

NUMBERS = printed.printed_numbers()
ASSUMED = printed.Assumptions()
LLAMA_2 = models.architectures()["llama-2-7b"]
VERDICTS = {verdict.claim.id: verdict for verdict in claims.audited(claims.load())}
REASONS = {name: verdict_text.reason(verdict) for name, verdict in VERDICTS.items()}
# The results table and the platform table, typed from the paper once more.
ROWS = {"apple-m2-pro": (11.2, 89.4, 45, 97.8, 30, 200.0), "snapdragon-8-gen3": (5.8, 52.1, 72, 97.1, 10, 76.8),
        "intel-core-ultra": (8.4, 67.8, 58, 97.4, 28, 89.6), "jetson-orin-nx": (12.6, 104.7, 38, 98.2, 25, 102.4)}


def reading(quantity, platform="", **changes):
    return audit_quantities.AUDITS[quantity](NUMBERS, dataclasses.replace(ASSUMED, **changes), platform).estimate


# -- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value, low, high", [(8.3, 8.25, 8.35), (78, 77.5, 78.5), (0.045, 0.0445, 0.0455), (100, 99.5, 100.5),
                                              (5.0, 4.95, 5.05), (0, 0, 0.5)])
def test_a_printed_number_is_what_rounds_to_it(value, low, high):
    span = audit.as_printed(value)
    assert (span.value, span.low, span.high) == pytest.approx((value, low, high))


def test_spans_hold_every_result_of_what_they_hold():
    generator = random.Random(0)
    a, b = Span(8, 7, 10), Span(2, 1.5, 2.5)
    for _ in range(500):
        x, y = generator.uniform(a.low, a.high), generator.uniform(b.low, b.high)
        for span, value in ((a / b, x / y), (a * b, x * y), (20 - a, 20 - x), (audit.mean([a, b]), (x + y) / 2)):
            assert span.low <= value <= span.high
    assert (a / b).high == 10 / 1.5 and (20 - a).low == 10           # and not more than that
    with pytest.raises(ValueError, match="low <= value <= high"):
        Span(1, 2, 3)


def small_llama(heads: int, mlp_width: int) -> torch.nn.Module:
    """A Llama of torch with 10 heads of 8 at full size, cut to `heads` and `mlp_width`: what pruning leaves."""
    config = transformers.LlamaConfig(hidden_size=80, head_dim=8, num_attention_heads=heads, num_key_value_heads=heads,
                                      intermediate_size=mlp_width, num_hidden_layers=2, vocab_size=60,
                                      tie_word_embeddings=False)
    with torch.device("meta"):
        return transformers.LlamaForCausalLM(config)


def counted(model: torch.nn.Module) -> tuple[int, int]:
    """(multiplications a token in the layers' linear maps, all weights)."""
    linear = [part for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and name != "lm_head"]
    return sum(part.in_features * part.out_features for part in linear), sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("heads, mlp", [(0.2, 0.15), (0.5, 0.0), (0.0, 0.5), (0.5, 0.9)])
def test_pruned_shares_are_those_of_a_model_that_is_cut(heads, mlp):
    whole, cut = small_llama(10, 200), small_llama(10 - round(10 * heads), 200 - round(200 * mlp))
    a = models.Architecture.from_hf(whole.config.to_dict(), "test")
    for of, before, after in zip(("multiplications", "weights"), counted(whole), counted(cut), strict=True):
        assert audit.pruned_share(a, heads, mlp, of) == pytest.approx(1 - after / before, rel=1e-12)


def test_no_architecture_loses_more_than_the_larger_of_the_two_shares():
    for a in models.architectures().values():
        assert 0.15 <= audit.pruned_share(a, 0.20, 0.15) <= 0.20
        assert audit.pruned_share(a, 0.3, 0.3) == pytest.approx(0.3)
        assert 0 < audit.pruned_share(a, 0.20, 0.15, "weights") < audit.pruned_share(a, 0.20, 0.15)


@pytest.mark.parametrize("name", models.architectures())
def test_quantized_bytes_are_those_of_the_tensors_one_by_one(name):
    """Each projection in groups of 128 with a scale and a zero point, everything else in 16 bits."""
    a = models.architectures()[name]
    total = 0.0
    for tensor, size in a.tensors():
        count = math.prod(size)
        if tensor.endswith("_proj.weight"):
            assert count % 128 == 0
            total += count * 4 / 8 + count // 128 * (2 + 0.5)
        else:
            total += 2 * count
    assert audit.quantized_bytes(a, 4, 128) == pytest.approx(total, rel=1e-12)
    assert audit.memory_saved(a, 4, 128) == pytest.approx(1 - total / (2 * a.parameters))
    read = total - (0 if a.tied else 2 * (a.vocabulary - 1) * a.width)
    assert audit.quantized_bytes(a, 4, 128, read_per_step=True) == pytest.approx(read)
    assert audit.quantized_bits(4, 128) == 4.15625


def test_the_cost_of_kept_queries_is_that_of_a_list_of_bills():
    bills = [1.45] * 22 + [1.0] * 78                                     # sent, then kept
    saved = sum(bills[22:]) / sum(bills)
    span = audit.cost_of_kept_over_sent(audit.exact(0.78), audit.exact(saved))
    assert span.value == pytest.approx(1.0 / 1.45)
    assert audit.cost_of_kept_over_sent(audit.exact(0.6), audit.exact(0.6)).value == pytest.approx(1)


# -- the documents' numbers --------------------------------------------------------------------------------------------


def test_the_stored_rows_are_those_of_the_paper():
    for quantity, column in (("baseline_tok_per_s", 0), ("optimized_tok_per_s", 1), ("accuracy_retained", 3), ("power_w", 4)):
        assert {name: span.value for name, span in NUMBERS.by(quantity).items()} == {
            name: row[column] for name, row in ROWS.items()}
    assert {name: 1000 * span.value for name, span in NUMBERS.by("first_token_s").items()} == pytest.approx(
        {name: row[2] for name, row in ROWS.items()})
    for name, row in ROWS.items():
        assert platforms.get(name).memory_bandwidth_byte_per_s == row[5] * 1e9
        assert len(platforms.get(name).where("memory bandwidth")) > 20


# The inventory's own arithmetic: verdict and value of each, with how closely it is stated there.
@pytest.mark.parametrize("claim, check, verdict, value, within", [
    ("S1.1", 0, "consistent", 8.34, 0.005), ("S1.2", 0, "consistent", 100 - 97.1, 1e-6),
    ("S1.6", 0, "inconsistent", 16.7, 0.05),
    ("S1.10", 0, "consistent", 2.62, 0.005), ("S1.11", 0, "consistent", 3.97 / 4.95, 0.002),
    ("S1.12", 0, "consistent", 11.2 / 14.8, 0.005), ("S1.13", 0, "inconsistent", 1.02, 0.005),
    ("S1.14", 0, "inconsistent", 1.26, 0.005), ("S1.15", 0, "inconsistent", 1.66, 0.005),
    ("S1.15", 1, "inconsistent", 104.7 / 78.8, 0.005), ("S1.16", 0, "consistent", 0.072, 1e-9),
    ("S1.17", 0, "consistent", 104.7 / 89.4, 1e-9), ("S1.18", 0, "inconsistent", 2.98 / 5.21, 1e-9),
    ("S1.22", 0, "consistent", (72 / 78) / (28 / 22), 1e-9), ("S2.2", 0, "inconsistent", 71.1, 0.05),
    ("S3.3", 0, "inconsistent", 5.271 / 0.607, 1e-9), ("S1.4", 0, "inconsistent", 34 / 11, 1e-9),
    ("S3.2", 0, "inconsistent", 0.374, 5e-4), ("S3.2", 1, "inconsistent", 3.79, 0.01), ("ER.1", 0, "inconsistent", 16.45, 0.01),
    ("ER.1", 1, "inconsistent", 184.6, 0.1), ("ER.2", 0, "inconsistent", 3.325, 1e-3),
    ("ER.2", 1, "inconsistent", 0.538, 1e-3), ("ER.3", 0, "inconsistent", 0.374, 5e-4),
    ("ER.4", 0, "consistent", (8.69 / 3.63 + 32.59 / 14.27 + 58.3 / 25.13) / 3, 1e-9)])
def test_verdicts_are_those_of_the_inventory(claim, check, verdict, value, within):
    seen = VERDICTS[claim].seen[check].estimate
    assert VERDICTS[claim].verdict == verdict
    assert seen.value == pytest.approx(value, abs=within)
    assert seen.low <= seen.value <= seen.high and seen.n >= 1


def test_all_audited_claims_are_in_the_list_above():
    [mark] = [mark for mark in test_verdicts_are_those_of_the_inventory.pytestmark if mark.name == "parametrize"]
    assert {case[0] for case in mark.args[1]} == set(VERDICTS)


def test_ceilings_are_bandwidth_over_bytes():
    size, optimized = 2 * 6_738_415_616, (6_476_005_376 * 4.15625 / 8 + 2 * 262_410_240) * 0.7
    for name, row in ROWS.items():
        allowed = printed.ceilings(NUMBERS, ASSUMED, name)
        assert allowed["baseline"] == pytest.approx(row[5] * 1e9 / size)
        assert allowed["optimized"] == pytest.approx(row[5] * 1e9 / optimized * 2.1, rel=1e-6)
        bits = printed.bits_allowed(NUMBERS, ASSUMED, name)
        step = bits / 8 * LLAMA_2.read_per_step
        assert row[0] * step == pytest.approx(0.85 * row[5] * 1e9)
    assert printed.ceilings(NUMBERS, ASSUMED, "jetson-orin-nx")["optimized"] == pytest.approx(78.8, abs=0.3)


def test_the_ends_are_the_readings_that_favour_and_burden_a_claim():
    low, high = ((5.8 + half) * bytes_read / 76.8e9 for half, bytes_read in
                 ((-0.05, 2 * LLAMA_2.read_per_step), (0.05, 2 * LLAMA_2.parameters)))
    seen = reading("baseline_bandwidth_share", "snapdragon-8-gen3")
    assert (seen.low, seen.high) == pytest.approx((low, high))
    assert 0.95 < seen.low < 1 < seen.high                              # at the peak: the reason must say so
    assert "nominal peak itself" in REASONS["S1.13"] and "13.6 bits" in REASONS["S1.13"]
    removed = reading("compute_removed")
    assert removed.low == pytest.approx(16.0, abs=0.05) and removed.high == 20.5
    drafted = [expected_speedup(alpha, drafted, Costs(draft / target)) for alpha in (0.775, 0.785) for draft in (0.45, 0.55)
               for target in (6.5, 7.5) for drafted in range(1, 13)]
    assert reading("best_speculative_speedup").high == pytest.approx(max(drafted))


def test_remarks_say_what_another_reading_gives():
    step = 2 * LLAMA_2.parameters
    assert f"{8.4 * step / 119.5e9:.2f} of the peak" in REASONS["S1.14"]
    agx = platforms.get("jetson-agx-orin-64gb").memory_bandwidth_byte_per_s
    assert 12.6 * step / agx < 0.85 and 104.7 / printed.ceilings(NUMBERS, ASSUMED, "jetson-agx-orin-64gb")["optimized"] < 0.85
    assert f"{agx / 1e9:g} GB/s" in REASONS["S1.15"]
    assert "1.38 at best" in REASONS["S1.10"] and "2.09 with two" in REASONS["S1.10"]


def test_every_audit_gives_a_value_that_counts():
    for verdict in VERDICTS.values():
        for seen in verdict.seen:
            assert seen.estimate.value > 0 and math.isfinite(seen.estimate.value) and seen.scale == "printed"
        assert verdict.platform == "" and verdict_text.reason(verdict).endswith(".")


def test_another_assumption_gives_another_verdict():
    """In 8 bits the Jetson's baseline fits under its ceiling: the verdict follows the numbers, not the claim's name."""
    jetson = [claim for claim in claims.load() if claim.id == "S1.15"]
    assert claims.audited(jetson, dataclasses.replace(ASSUMED, baseline_bits=8))[0].seen[0].estimate.value == pytest.approx(
        1.66 / 2, abs=0.005)
    audit_of_baseline = dataclasses.replace(jetson[0].audit, checks=jetson[0].audit.checks[:1])
    baseline_only = [dataclasses.replace(jetson[0], audit=audit_of_baseline)]
    assert claims.audited(baseline_only, dataclasses.replace(ASSUMED, baseline_bits=8))[0].verdict == "consistent"
    assert claims.audited(baseline_only)[0].verdict == "inconsistent"


def test_a_changed_table_turns_a_verdict():
    """The efficiency sentence becomes consistent when the M2 Pro is given 10 W and the Snapdragon 30 W."""
    entries = [entry | {"value": {"apple-m2-pro": 10, "snapdragon-8-gen3": 30}.get(entry["platform"], entry["value"])}
               if entry["quantity"] == "power_w" else entry for entry in NUMBERS.entries]
    [claim] = [claim for claim in claims.load() if claim.id == "S1.18"]
    assert claims.audited([claim], numbers=printed.Numbers(entries))[0].verdict == "consistent"


def test_a_missing_or_doubled_number_is_named():
    with pytest.raises(printed.NotPrinted, match="no printed value of speed_of_light"):
        NUMBERS.one("speed_of_light")
    with pytest.raises(printed.NotPrinted, match="4 printed values of power_w"):
        NUMBERS.one("power_w")


# -- tables and the study ----------------------------------------------------------------------------------------------


def test_each_table_survives_the_common_frame():
    together = published_claims.tables()
    for task, table in printed_tables.TABLES.items():
        pd.testing.assert_frame_equal(printed_tables.part(together, task), table(NUMBERS, ASSUMED).drop(columns="task"),
                                      check_dtype=False, check_like=True)


def test_the_verdicts_of_the_report_are_those_of_every_profile():
    for profile in params.profiles():
        config = params.of_profile(published_claims.Config, profile, published_claims.STUDY)
        assert config.assumed == printed.Assumptions()


@pytest.mark.parametrize("changed, says", [
    (dict(model="gpt-5"), "unknown architecture 'gpt-5'; known: .*llama-2-7b"), (dict(usable_share=1.2), "usable_share"),
    (dict(quantized_bits=16), "the first below the second"), (dict(group_size=0), "group_size"),
    (dict(longest_draft=0), "longest_draft"), (dict(profile="../elsewhere"), "plain folder name"),
    (dict(model="llama-2-7b", bits=3), "unknown parameter 'bits'")])
def test_the_audit_refuses_what_it_does_not_know(changed, says):
    values = params.read_yaml(params.path_of("pocket", published_claims.STUDY)) | changed
    with pytest.raises(params.ParamsError, match=says):
        params.validate(published_claims.Config, values, where="here")


def test_the_file_of_claims_holds_no_verdict():
    text = (store.ROOT / "data/published/claims.yaml").read_text().split("\nclaims:\n")[1]
    assert "verdict" not in text and "consistent" not in text
