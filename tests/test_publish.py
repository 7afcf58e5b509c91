"""What is committed: rows, figures that come out of them, and the README's table."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from edgekit import plots, provenance, publish, store

COMMITTED = list(store.committed())


def test_there_are_committed_rows():
    assert COMMITTED


@pytest.mark.parametrize("platform, study, path", COMMITTED, ids=str)
def test_committed_rows_come_with_the_manifest_of_every_run(platform, study, path):
    rows, skips = store.read(path)
    manifests = provenance.read_manifests(path)
    assert {row.run for row in rows} <= set(manifests)
    assert {row.study for row in rows} == {study}
    assert {facts["platform"] for facts in manifests.values()} == {platform}
    assert all(skip.expected for skip in skips)
    for facts in manifests.values():
        assert len(facts["git_commit"]) == 40 and facts["packages"]["torch"] != "not installed"
        assert min(facts["memory_bandwidth_byte_per_s"]) > 1e8


@pytest.mark.parametrize("platform, study, path", COMMITTED, ids=str)
def test_committed_files_name_no_place_on_a_machine(platform, study, path):
    for text in (gzip.decompress(path.read_bytes()).decode(), provenance.manifest_path(path).read_text()):
        assert len(text) > 1000
        assert not [word for word in ("/home/", "/Users/", "/root/", "/tmp/", str(store.ROOT)) if word in text]


def test_the_committed_figures_are_those_of_the_committed_rows(tmp_path):
    """Each figure's table, made again from the rows, is the committed one. (SVG bytes differ between font versions.)"""
    platform, study, path = COMMITTED[0]
    drawn = publish.draw(study, path, tmp_path)
    committed = store.ROOT / "figures" / study
    assert sorted(file.name for file in drawn) == sorted(file.name for file in committed.iterdir())
    for table in tmp_path.glob("*.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(table), pd.read_csv(committed / table.name), check_exact=False, rtol=1e-9)


def test_the_committed_figures_of_the_audit_are_those_of_the_published_numbers(tmp_path, monkeypatch):
    import shutil

    committed = store.ROOT / "figures/00_published_claims"
    for folder in ("data/published", "params"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    drawn = publish.publish("00_published_claims", "reference")
    assert drawn and all(path.is_relative_to(tmp_path / "figures") for path in drawn)
    assert sorted(file.name for file in drawn) == sorted(file.name for file in committed.iterdir())
    for table in (path for path in drawn if path.suffix == ".csv"):
        pd.testing.assert_frame_equal(pd.read_csv(table), pd.read_csv(committed / table.name), check_exact=False, rtol=1e-9)


def test_the_readme_holds_the_table_of_the_committed_rows():
    text = (store.ROOT / "README.md").read_text()
    between = text.split(publish.START)[1].split(publish.END)[0]
    assert between.strip() == publish.claims_table().strip()


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A kit that may be written to: one run of the profile `reference`, and a README with its markers."""
    import shutil

    import rows_02_baseline

    for folder in ("data/published", "params"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    source = store.runs_folder("reference") / "02_baseline.jsonl"
    with store.Store(source) as file:
        for number, row in enumerate(rows_02_baseline.rows()):
            file.append(f"k{number}", [row])
    run = next(iter(store.read(source)[0])).run
    provenance.write_manifest(source, provenance.Manifest(
        run=run, study="02_baseline", params={}, seed=0, git_commit="c" * 40, git_dirty=False, packages={"torch": "2"},
        machine={}, platform="board-x", memory_bandwidth_byte_per_s=[1e9], inputs={}, started="2026-01-01"))
    return source


def test_publishing_copies_what_the_plan_asks_for_and_draws_it(kit):
    rows, _ = store.read(kit)
    store.write_plan(kit, {row.key for row in rows[:-3]})
    written = publish.publish("02_baseline", "reference")
    target = store.ROOT / "data/results/board-x/02_baseline.jsonl.gz"
    assert list(store.committed()) == [("board-x", "02_baseline", target)]
    assert target.with_name("02_baseline.manifest.json") in written and target.stat().st_size < kit.stat().st_size / 10
    assert target in written and store.read(target)[0] == rows[:-3]
    assert json.loads(provenance.manifest_path(target).read_text()).keys() == {rows[0].run}
    names = {path.stem for path in written if path.suffix == ".svg"}
    assert names == set(plots.drawable("02_baseline", store.to_frame(rows[:-3])))
    again = {path: path.read_bytes() for path in publish.publish("02_baseline", "reference")}
    assert all(path.read_bytes() == data for path, data in again.items())


def test_a_run_with_failures_is_not_published(kit):
    with store.Store(kit) as file:
        file.skip(store.Skip("r", "02_baseline", {"model": "m"}, "killed by signal 9", False, "kx"))
    with pytest.raises(publish.PublishError, match="1 conditions failed .killed by signal 9."):
        publish.publish("02_baseline", "reference")


def test_the_table_goes_between_its_markers_and_nothing_else_changes(kit):
    publish.publish("02_baseline", "reference")
    readme = store.ROOT / "README.md"
    readme.write_text(f"before\n{publish.START}\nold\n{publish.END}\nafter\n")
    publish.write_readme()
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert all(f"| {claim} " in text for claim in ("S1.3", "S3.1", "S3.9", "S1.1", "S2.2"))
    assert "more claims are not yet run" in text and "**S1.5** " in text and "| S1.5 " not in text
    readme.write_text("no markers")
    with pytest.raises(publish.PublishError, match="put them back"):
        publish.write_readme()
