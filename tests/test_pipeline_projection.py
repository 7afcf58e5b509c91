"""What memory allows a 7B on the document's platforms: by hand from bytes and bandwidths, and labelled as what it is."""

from __future__ import annotations

import pandas as pd
import pytest

from edgekit import store
from edgekit.analyze import roofline
from edgekit.analyze.stats import Estimate
from edgekit.catalog import models, platforms
from edgekit.schema import RUNTIME
from edgekit.store import Row
from edgekit.studies.pipeline import tables_projection as projection
from edgekit.studies.pipeline.tables_projection import BASELINE, EXPECTED, FULL, GENEROUS, OPTIMIZED, PRINTED, Share

SHARE = Share(Estimate(0.8, 0.7, 0.9, 3), "a model", "float16", "a-machine")
READ = 6_738_415_616 - (32_000 - 1) * 4096  # weights of Llama-2-7B less all lines but one of its input embedding


@pytest.fixture(autouse=True)
def share(monkeypatch):
    monkeypatch.setattr(projection, "achieved_share", lambda: SHARE)


def rows(drafted=(0.5, 0.8)):
    """A model whose pipeline leaves a fifth of its bytes, and drafts by which requests take these shares of their time."""
    where = dict(model="pocket-10m", engine="llama_cpp")
    sizes = [Row("r", "s", dict(task="size", techniques=techniques, **where), metric, value)
             for techniques, metric, value in ((RUNTIME, "stored_bits_per_weight", 16.0), (RUNTIME, "parameters", 1e7),
                                               (FULL, "stored_bits_per_weight", 4.0), (FULL, "parameters", 8e6))]
    times = [Row("r", "s", dict(task="stages", techniques=FULL, draft=draft, length=length, item=f"p{i}", **where), "request_s",
                 factor * (1 + i)) for i in range(3)
             for draft, length, factor in (("none", 0, 1.0), ("lookup", 2, drafted[0]), ("lookup", 4, drafted[1]))]
    return store.to_frame([*sizes, *times])


def table(frame):
    return projection.projection_table(frame).set_index(["platform", "stage", "kind"])


def test_the_most_generous_rates_are_bandwidth_over_bytes_by_hand():
    assert models.architectures()["llama-2-7b"].read_per_step == READ
    found = table(rows())
    for name, bandwidth in (("apple-m2-pro", 200e9), ("jetson-orin-nx", 102.4e9)):
        assert platforms.get(name).memory_bandwidth_byte_per_s == bandwidth
        assert found.tok_per_s[name, BASELINE, GENEROUS] == pytest.approx(bandwidth / (2 * READ))
        assert found.tok_per_s[name, OPTIMIZED, GENEROUS] == pytest.approx(2.1 * bandwidth / (0.5 * READ * 0.7))


def test_three_of_the_eight_published_rates_are_above_even_that():
    found = table(rows()).reset_index()
    above = found[found.above & (found.kind == PRINTED)]
    assert set(zip(above.platform, above.stage, strict=True)) == {
        ("intel-core-ultra", BASELINE), ("jetson-orin-nx", BASELINE), ("jetson-orin-nx", OPTIMIZED)}
    assert len(found[found.kind == PRINTED]) == 8
    for line in found.itertuples():
        printed = found[(found.platform == line.platform) & (found.stage == line.stage) & (found.kind == PRINTED)]
        assert line.over == pytest.approx(printed.tok_per_s.iloc[0] / line.tok_per_s)


def test_the_expected_rates_are_the_share_that_was_reached_of_what_is_left_to_read():
    found = table(rows())
    ceiling = 102.4e9 / (2 * READ)
    before, after = (found.loc["jetson-orin-nx", stage, EXPECTED] for stage in (BASELINE, OPTIMIZED))
    assert (before.tok_per_s, before.tok_per_s_low, before.tok_per_s_high) == pytest.approx(
        (0.8 * ceiling, 0.7 * ceiling, 0.9 * ceiling))
    # a fifth of the bytes (4 of 16 bits, 8 of 10 million weights), and requests in half of the time by the best draft
    assert after.tok_per_s == pytest.approx(0.8 * ceiling * 5 * 2) and after.tok_per_s_low == pytest.approx(7 * ceiling)


def test_a_draft_that_costs_more_than_it_gains_is_left_out():
    made = projection.measured_gain(rows(drafted=(1.4, 1.2)))
    assert made.drafting == 1.0 and made.bytes_left == pytest.approx(0.2) and made.model == "pocket-10m"


@pytest.mark.parametrize("without", ["size", "stages"])
def test_without_the_pipelines_rows_there_is_no_expected_rate_after_optimization(without):
    frame = rows()
    found = projection.projection_table(frame[frame.task != without])
    assert set(found[found.kind == EXPECTED].stage) == {BASELINE} and len(found) == 8 + 8 + 4


def test_without_a_committed_share_nothing_is_expected(monkeypatch):
    monkeypatch.setattr(projection, "achieved_share", lambda: None)
    assert set(projection.projection_table(rows()).kind) == {PRINTED, GENEROUS}
    assert "share" not in " ".join(projection.basis_table(rows()).what)


def test_only_what_was_printed_is_published_and_all_else_is_modelled():
    found = projection.projection_table(rows())
    assert set(found[found.kind == PRINTED].source) == {"published"}
    assert set(found[found.kind != PRINTED].source) == {"modelled"}


def test_what_the_rates_rest_on_is_told():
    basis = projection.basis_table(rows())
    assert list(basis.value) == pytest.approx([0.8, 0.2, 2.0]) and list(basis["where"])[0] == "a model, float16, a-machine"


def test_the_share_is_that_of_the_largest_model_that_no_cache_holds(monkeypatch):
    monkeypatch.undo()
    lines = pd.DataFrame([
        dict(engine="llama_cpp", parameters=9e9, cached=True, void="", bandwidth_utilisation=2.0),
        dict(engine="llama_cpp", parameters=8e9, cached=False, void="the roof is void", bandwidth_utilisation=1.5),
        dict(engine="transformers", parameters=8e9, cached=False, void="", bandwidth_utilisation=0.3),
        dict(engine="llama_cpp", parameters=5e8, cached=False, void="", bandwidth_utilisation=0.75),
        dict(engine="llama_cpp", parameters=1e8, cached=False, void="", bandwidth_utilisation=0.9)]).assign(
        model="m", prompt_tokens=32, n=3, dtype="float16")
    lines = lines.assign(bandwidth_utilisation_low=lines.bandwidth_utilisation - 0.1,
                         bandwidth_utilisation_high=lines.bandwidth_utilisation + 0.4)
    monkeypatch.setattr(roofline, "utilisation_table", lambda frame: lines)
    found = projection.achieved_share.__wrapped__()
    assert found.estimate.value == 0.75 and found.estimate.low == pytest.approx(0.65)
    assert found.estimate.high == 1.0, "none reads faster than the memory"
