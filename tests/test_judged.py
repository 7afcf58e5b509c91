"""Judged once: the second report reads what the first one judged, until rows, claims or code are others."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from edgekit import committed, provenance, publish, store
from edgekit.analyze import stats
from edgekit.analyze.once import once, remembering
from edgekit.claims import judged
from edgekit.claims import judgement as claims
from edgekit.claims import text as verdict_text

STUDY = "02_baseline"


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """How often rows were judged; nothing is kept from before."""
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    calls = []
    real = claims.judge
    monkeypatch.setattr(claims, "judge", lambda *arguments: calls.append(arguments) or real(*arguments))
    return calls


@pytest.fixture
def copied(tmp_path):
    """A copy of a committed rows file with its manifest: (path, platform)."""
    [rows] = [rows for rows in committed.files() if (rows.study, rows.profile) == (STUDY, committed.REFERENCE)]
    for file in (rows.path, provenance.manifest_path(rows.path)):
        shutil.copy(file, tmp_path)
    return tmp_path / rows.path.name, rows.platform


def test_each_file_is_judged_once_and_read_from_then_on(counted, monkeypatch):
    small = [rows for rows in committed.files() if rows.study in ("01_scale_models", STUDY)
             and rows.profile == committed.REFERENCE]
    monkeypatch.setattr(committed, "files", lambda: small)
    first = publish.findings(publish.committed_cells())
    assert len(counted) == 3  # two files, and all claims on no rows
    assert publish.findings(publish.committed_cells()) == first and len(counted) == 3


def test_what_is_kept_is_what_is_judged(counted, copied):
    path, platform = copied
    frame = provenance.with_machine(store.to_frame(store.read(path)[0]), path)
    expected = verdict_text.cells(claims.judge(claims.load(STUDY), frame, platform))
    assert judged.cells(path, STUDY, platform) == judged.cells(path, STUDY, platform) == expected and len(counted) == 2


@pytest.mark.parametrize("change", ["rows", "manifest", "plan", "claims", "code", "library", "torn"])
def test_what_decides_a_verdict_has_it_judged_anew(counted, copied, monkeypatch, tmp_path, change):
    path, platform = copied
    before = judged.cells(path, STUDY, platform)
    if change == "rows":
        path.write_bytes(gzip.compress(b""))
    elif change == "manifest":
        provenance.manifest_path(path).write_text("{}")
    elif change == "plan":
        store.write_plan(path, [])
    elif change in ("claims", "code"):
        names = {"claims": ("data/published", "ROOT"), "code": ("edgekit", "__file__")}[change]
        shutil.copytree(store.ROOT / names[0], tmp_path / "kit" / names[0], ignore=shutil.ignore_patterns("__pycache__"))
        some = next((tmp_path / "kit" / names[0]).rglob("claims.yaml" if change == "claims" else "judgement.py"))
        some.write_text(some.read_text() + "\n# another\n")
        if change == "claims":
            monkeypatch.setattr(store, "ROOT", tmp_path / "kit")
        else:
            monkeypatch.setattr(judged, "__file__", str(tmp_path / "kit/edgekit/claims/judged.py"))
    elif change == "library":
        monkeypatch.setattr(judged, "LIBRARIES", ("numpy", "pandas"))
    else:
        [kept] = (store.OUTPUT / "artifacts/judged").iterdir()
        kept.write_bytes(kept.read_bytes()[:-9])
    after = judged.cells(path, STUDY, platform)
    assert len(counted) == 2 and len(list((store.OUTPUT / "artifacts/judged").iterdir())) == 1
    assert (after != before) == (change in ("rows", "plan"))


def test_a_table_is_computed_once_a_frame_and_belongs_to_its_caller():
    calls = []

    @once
    def table(frame, column, *more):
        calls.append(column)
        return frame[[column]] * 2

    one, other = pd.DataFrame({"a": [1, 2], "b": [3, 4]}), pd.DataFrame({"a": [5], "b": [6]})
    with remembering():
        mine = table(one, "a")
        mine["a"] = 0
        with remembering():
            assert table(one, "a").a.to_list() == [2, 4] and table(one, "b").b.to_list() == [6, 8] and calls == ["a", "b"]
        assert table(other, "a").a.to_list() == [10] and table(one, "a", ["x"]).a.to_list() == [2, 4] and len(calls) == 4
        for n in range(20):  # frames of the moment, one after another in the same place of the memory
            assert table(pd.DataFrame({"a": [n]}), "a").a.to_list() == [2 * n]
    one.loc[0, "a"] = 7
    assert table(one, "a").a.to_list() == [14, 4], "a frame that was changed gives another table"


def test_clusters_are_the_sums_of_each_cell():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.integers(0, 3, 200), "y": rng.choice(["p", "q"], 200), "item": rng.integers(0, 5, 200),
                         "value": rng.random(200), "of": rng.integers(1, 9, 200)})
    rows.loc[7, "y"] = None  # a coordinate that is missing belongs to no cell
    found = dict(stats.clusters(rows, ["x", "y"], "item", ["value", "of"]))
    for key, here in rows.groupby(["x", "y"]):
        sums = here.groupby("item")[["value", "of"]].sum()
        assert found.pop(key)["value"].tolist() == sums.value.to_list()
        assert len(sums) and here["of"].sum() == sums["of"].sum()
    assert not found


def test_a_function_of_coordinates_is_called_once_for_each():
    calls = []
    column = pd.Series(["a", None, "b", "a", None])
    assert stats.mapped(column, lambda value: calls.append(value) or f"<{'' if pd.isna(value) else value}>") == [
        "<a>", "<>", "<b>", "<a>", "<>"]
    assert len(calls) == 3
