"""The cells that are the same in every notebook, and rows that were measured elsewhere."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from edgekit import committed, params, plots, provenance, store
from edgekit.params import ParamsError
from edgekit.report.notebook import Experiment, shown
from edgekit.store import StoreError

COMMITTED = {rows.study: (rows.platform, rows.path) for rows in committed.files() if rows.profile == committed.REFERENCE}
PLATFORM, ROWS = COMMITTED["02_baseline"]


def names(**changes) -> dict:
    """What a notebook's globals hold: the parameters, and more."""
    return params.read_yaml(params.path_of("ci", "02_baseline")) | changes | {"Experiment": Experiment}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Rows of a board in a folder, and a kit that may measure nothing."""
    from edgekit.studies.baseline import plan

    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    monkeypatch.setattr(plan, "run", lambda config: pytest.fail("measured"))
    for file in (ROWS, provenance.manifest_path(ROWS)):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["folder", "file", "committed"])
def test_rows_that_were_measured_elsewhere_are_opened_and_shown(elsewhere, place):
    rows = {"folder": str(elsewhere), "file": str(elsewhere / ROWS.name), "committed": f"data/results/{PLATFORM}"}[place]
    study = Experiment("02_baseline", names(rows=rows))
    told = study.run().data
    assert "Nothing was measured here" in told and PLATFORM in told and f"{len(study.frame):,} rows" in told
    pd.testing.assert_frame_equal(study.frame.drop(columns="last_level_cache_bytes"), store.read_frame(ROWS)[0])
    assert isinstance(study.figure("utilisation"), plots.Picture)
    assert "S3.9" in study.verdicts().data and "seed" in study.provenance().data and "artifacts" in study.provenance().data
    assert (study.folder / "utilisation.svg").exists()


@pytest.mark.parametrize("place, told", [
    ("nowhere", "expected 02_baseline.jsonl or 02_baseline.jsonl.gz, or a folder that holds it, got nowhere"),
    ("data/models", "or a folder that holds it, got data/models"),
    ("data/results/intel-xeon-emerald-rapids-2c/03_quantization.jsonl.gz", "expected 02_baseline.jsonl")])
def test_rows_that_are_not_there_or_of_another_study_are_refused(elsewhere, place, told):
    with pytest.raises(StoreError, match=told):
        Experiment("02_baseline", names(rows=place)).run()


def test_rows_without_the_manifest_beside_them_are_refused(elsewhere):
    provenance.manifest_path(elsewhere / ROWS.name).unlink()
    with pytest.raises(StoreError, match="manifests of one platform beside the rows, got none; copy the file"):
        Experiment("02_baseline", names(rows=str(elsewhere))).run()


def test_a_parameter_that_is_missing_or_wrong_is_named_before_anything_runs():
    with pytest.raises(ParamsError, match="02_baseline, parameters cell: missing repeats, warmups"):
        Experiment("02_baseline", {name: value for name, value in names().items() if name not in ("repeats", "warmups")})
    with pytest.raises(ParamsError, match="repeats: expected at least 1, got 0"):
        Experiment("02_baseline", names(repeats=0))


def test_a_study_that_measures_nothing_has_tables_and_every_audit():
    study = Experiment("00_published_claims", params.read_yaml(params.path_of("ci", "00_published_claims")))
    assert "computed from printed numbers" in study.run().data and len(study.frame)
    assert study.verdicts().data.count("\n| S") + study.verdicts().data.count("\n| ER") >= 14
    assert "edgekit " in study.provenance().data and "claims.yaml" in study.provenance().data
    assert study.skips().data == "Nothing was skipped."


def test_tables_show_some_columns_under_other_headings_in_their_units():
    table = pd.DataFrame({"model": ["m", "n"], "ttft_s": [0.00123, None], "share": [0.5, 0.25], "n": [3, 3]})
    text = shown(table, {"model": "model", "ttft_s": "TTFT (ms)", "share": "share (%)"},
                 factors={"ttft_s": 1e3, "share": 100}, missing="none").to_html()
    assert "TTFT (ms)" in text and ">1.230<" in text and ">none<" in text and ">50<" in text and "n</th>" not in text
    assert text.count('class="data row0 col1 number"') == 1 and "row0 col0 number" not in text, "numbers stand to the right"
    assert shown(table[:0], {"model": "model"}, empty="Not in this profile.").data == "Not in this profile."


def test_a_value_and_its_interval_stand_in_one_cell():
    table = pd.DataFrame({"kl": [0.00042, 0.5], "kl_low": [0.0, 0.45], "kl_high": [0.013, 0.55], "speed_up": [5.9, 2.0],
                          "speed_up_low": [5.1e-6, 1.9], "speed_up_high": [6.83e6, 2.1], "n": [2, 2]})
    text = shown(table, {"kl": "KL (nats)", "speed_up": "times"}).to_html()
    assert ">0.000 (0.000 to 0.013)<" in text and ">0.50 (0.45 to 0.55)<" in text
    assert ">5.900 (too noisy)<" in text and ">2.00 (1.90 to 2.10)<" in text and "6,830,000" not in text
    one = pd.DataFrame({"kl": [0.5], "kl_low": [None], "kl_high": [None], "n": [1]})
    assert ">0.5000<" in shown(one, {"kl": "KL (nats)"}).to_html(), "one process has no interval"
