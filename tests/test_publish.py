"""What is committed: rows, figures that come out of them, and the README's table."""

from __future__ import annotations

import gzip
import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from drawing import drawable, drawn_from
from matplotlib.figure import Figure

from edgekit import committed, generated, params, provenance, publish, store, studies
from edgekit.analyze.once import remembering
from edgekit.catalog import engines as registry
from edgekit.claims import judged
from edgekit.claims import judgement as claims
from edgekit.claims.quantities import QUANTITIES
from edgekit.plots import verdict
from edgekit.plots.figure import named
from edgekit.schema import NONE
from edgekit.studies.baseline import figures as baseline

COMMITTED = list(committed.files())
DRAWN = tuple(named(baseline.FIGURES, name) for name in ("shares", "utilisation"))  # those of S3.1 and S3.9
TAKE_A_MINUTE = [("reference", study) for study in ("04_pruning", "05_distillation", "06_speculative")]


def named_of(rows: committed.Rows) -> str:
    return f"{rows.platform} {rows.profile} {rows.study}"


@pytest.fixture(scope="module", params=COMMITTED, ids=named_of)
def read(request):
    """A committed rows file with its `records`, `skips` and `manifests`, read once for the tests of it."""
    records, skips = store.read(request.param.path)
    return SimpleNamespace(file=request.param, records=records, skips=skips,
                           manifests=provenance.read_manifests(request.param.path))


def test_there_are_committed_rows():
    assert COMMITTED


def test_committed_rows_come_with_the_manifest_of_every_run(read):
    rows, manifests = read.file, read.manifests
    assert {record.run for record in read.records} <= set(manifests)
    assert {record.study for record in read.records} == {rows.study}
    assert {facts["platform"] for facts in manifests.values()} == {rows.platform}
    assert {facts["params"]["profile"] for facts in manifests.values()} == {rows.profile}
    assert all(skip.expected for skip in read.skips)
    config_class = studies.module(rows.study).Config
    for facts in manifests.values():
        assert len(facts["git_commit"]) == 40 and facts["packages"]["torch"] != "not installed"
        assert min(facts["memory_bandwidth_byte_per_s"]) > 1e8
        params.validate(config_class, facts["params"], where=facts["run"])  # what a rerun would be asked


def test_every_manifest_names_each_artifact_with_its_hash_and_each_engine_with_its_version(read):
    manifests, rows = read.manifests, read.records
    engines = {run: {f"{told['name']} {told['version']}" for told in facts["engines"].values()}
               for run, facts in manifests.items()}
    for run, facts in manifests.items():
        assert facts["inputs"] and all(re.fullmatch("[0-9a-f]{16}", hash) for hash in facts["inputs"].values()), run
        assert all(told["version"] for told in facts["engines"].values())
        models = {row.condition["model"] for row in rows if row.run == run and "model" in row.condition
                  and row.source != "replayed"}
        replayed = {row.condition["recorded"] for row in rows if row.run == run and row.source == "replayed"}
        assert replayed <= set(facts["inputs"])
        opened = {chain.split(" > ")[0] for chain in facts["inputs"]}
        assert models <= opened, f"{run} has rows of {models - opened}, which its manifest does not name"
        for name in {row.condition.get("engine", NONE) for row in rows if row.run == run} - {NONE}:
            assert any(told.startswith(f"{name} ") for told in engines[run]), f"{run} ran {name}"
        installed = {package for package, version in facts["packages"].items() if version != "not installed"}
        for told in facts["engines"].values():
            packages = registry.BUILTIN_SPECULATIVE[told["name"]].engine if (
                told["name"] in registry.BUILTIN_SPECULATIVE) else told["name"]
            assert installed & set(registry.ENGINES[packages].runtime.packages), f"{run}: {told['name']} is in no package"


@pytest.mark.parametrize("rows", COMMITTED, ids=named_of)
def test_committed_files_name_no_place_on_a_machine(rows):
    for text in (gzip.decompress(rows.path.read_bytes()).decode(), provenance.manifest_path(rows.path).read_text()):
        assert len(text) > 1000
        assert not [word for word in ("/home/", "/Users/", "/root/", "/tmp/", str(store.ROOT)) if word in text]


@pytest.mark.parametrize("rows", [rows for rows in COMMITTED if (rows.profile, rows.study) not in TAKE_A_MINUTE], ids=named_of)
def test_the_committed_figures_are_those_of_the_committed_rows(rows, tmp_path):
    """Each figure's table, made again from the rows, is the committed one. (SVG bytes differ between font versions.)"""
    frame = judged.frame(rows.path)
    with remembering():
        tables = {name: table for name, (_, table) in drawn_from(studies.module(rows.study, "figures").FIGURES, frame).items()}
    assert sorted(f"{name}.{kind}" for name in tables for kind in ("csv", "svg")) == sorted(
        file.name for file in rows.figures.iterdir())
    for name, table in tables.items():
        table.to_csv(tmp_path / name, index=False, float_format="%.8g")  # as `plots.save` does
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / name), pd.read_csv(rows.figures / f"{name}.csv"),
                                      check_exact=False, rtol=1e-7)


def test_the_committed_figures_of_the_audit_are_those_of_the_published_numbers(tmp_path, monkeypatch):
    import shutil

    there = store.ROOT / "figures/00_published_claims"
    for folder in ("data/published", "params"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    drawn = publish.publish("00_published_claims", "reference")
    assert drawn and all(path.is_relative_to(tmp_path / "figures") for path in drawn)
    assert sorted(file.name for file in drawn) == sorted(file.name for file in there.iterdir())
    for table in (path for path in drawn if path.suffix == ".csv"):
        pd.testing.assert_frame_equal(pd.read_csv(table), pd.read_csv(there / table.name), check_exact=False, rtol=1e-9)


def test_the_readme_and_the_pages_of_the_claims_are_those_of_the_committed_rows(judged_rows, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    stale = [path for path, _ in generated.stale(publish.files())]
    assert [path for path in stale if path.suffix != ".svg"] == [], "run `edgekit claims --write`"  # its bytes: see above
    kept = {path.stem for path in (store.ROOT / "docs/claims").glob("*.md")}
    assert kept == set(publish.committed_cells()), "a page of a claim that is gone"


def test_committed_verdicts_judge_one_artifact_each_and_say_what_a_scale_model_is_unlike_in(judged_rows, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    excused = {claim.id for claim in claims.load() if claim.several_artifacts}
    measured = [(name, part, " ".join(part["told"])) for name, cells in publish.committed_cells().items() for cell in cells
                for part in cell["parts"] if part["platform"] and part["verdict"] != "not testable here"]
    assert len(measured) >= 10
    for name, part, told in measured:
        several = len({line["artifact"] for line in part["lines"]}) > 1
        assert not several or name in excused, name
        about = {QUANTITIES[line["quantity"]].about for line in part["lines"] if line["scale"] == "pocket"}
        kinds = {line["scale"] for line in part["lines"]} & {"shape", "small"}
        assert set(part["caveats"]) == {f"scale {one}" for one in about} | kinds | ({"several artifacts"} if several else set())
        assert ("Random weights" in told) == ("shape" in kinds) and ("came rounded" in told) == ("small" in kinds)
        assert ("overhead and caches" in told) == ("scale time" in part["caveats"])


def test_every_link_of_readme_and_docs_leads_somewhere():
    """From a finding to its derivation, and from there to rows, figure and notebook: one click each."""
    for page in [store.ROOT / "README.md", *(store.ROOT / "docs").rglob("*.md")]:
        links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")) if "://" not in link]
        assert [link for link in links if not (page.parent / link).exists()] == [], page
        if page.parent.name == "claims" and "## Measured on" in page.read_text(encoding="utf-8"):
            assert {"rows", "figure", "notebook"} <= set(re.findall(r"\[(\w+)\]\(", page.read_text(encoding="utf-8")))


def test_the_readme_shows_the_figure_of_all_claims():
    assert re.search(r"^!\[.{20,}\]\(figures/claims\.svg\)$", (store.ROOT / "README.md").read_text(encoding="utf-8"), re.M)


def test_the_readme_is_short_enough_to_be_read():
    text = (store.ROOT / "README.md").read_text(encoding="utf-8")
    block = text[text.index(publish.START):text.index(publish.END)]
    assert 3_000 <= len(text.encode()) - len(block.encode()) <= 4_700
    assert max(len(line.encode()) for line in block.splitlines()) <= 420


def test_no_interval_leaves_what_its_quantity_can_be(judged_rows, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    seen = 0
    for cells in publish.committed_cells().values():
        for line in (line for cell in cells for part in cell["parts"] for line in part["lines"] if part["platform"]):
            quantity, numbers = QUANTITIES[line["quantity"]], line["numbers"]
            assert quantity.low <= numbers["value"] <= quantity.high, line
            ends = [numbers[end] for end in ("low", "high") if numbers[end] is not None]
            assert all(quantity.low <= end <= quantity.high for end in ends), line
            seen += len(ends)
    assert seen > 20


def test_every_figure_that_a_verdict_links_to_shows_what_its_claim_accepts_and_ours(judged_rows, monkeypatch):
    """Each linked figure is one of its notebook's, is committed, and has below it a line or an axis for each test."""
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    linked: dict[tuple[str, str], list[dict]] = {}
    for cells in publish.committed_cells().values():
        for cell in cells:
            if cell["figure"]:
                page, _, name = cell["figure"].partition(".html#fig-")
                linked.setdefault((page, name), []).append(cell)
    assert len(linked) >= 12
    for (page, name), cells in linked.items():
        named(studies.module(page, "figures").FIGURES, name)
        drawn = {committed.figures(committed.REFERENCE), *(rows.figures.parent for rows in committed.files()
                                                           if rows.study == page)}
        assert any((folder / page / f"{name}.svg").exists() for folder in drawn), name
        fig = verdict.underline(Figure(layout="constrained"), cells)
        texts = [*fig.texts, *(text for ax in fig.axes for text in ax.texts)]
        said = " ".join(text.get_text().replace("\n", " ") for text in texts)
        for cell in cells:
            assert f"{cell['id']}: {cell['name']}" in said and cell["verdict"] in said
            assert said.count("accepted: ") >= len(cell["parts"][0]["lines"])


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A kit that may be written to: one run of the profile `reference`, and the two figures of DRAWN."""
    import shutil

    import rows_02_baseline

    for folder in ("data/published", "params"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setattr(baseline, "FIGURES", DRAWN)
    monkeypatch.setattr(store.os, "fsync", lambda _: None)  # waits for the disk once a row
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
    assert list(committed.files()) == [committed.Rows("board-x", "reference", "02_baseline", target)]
    assert target.with_name("02_baseline.manifest.json") in written and target.stat().st_size < kit.stat().st_size / 10
    assert target in written and store.read(target)[0] == rows[:-3]
    assert json.loads(provenance.manifest_path(target).read_text()).keys() == {rows[0].run}
    names = {path.stem for path in written if path.suffix == ".svg"}
    assert names == set(drawable(DRAWN, store.to_frame(rows[:-3]))) == {one.name for one in DRAWN}
    again = {path: path.read_bytes() for path in publish.publish("02_baseline", "reference")}
    assert all(path.read_bytes() == data for path, data in again.items())


def test_a_run_with_failures_is_not_published(kit):
    with store.Store(kit) as file:
        file.skip(store.Skip("r", "02_baseline", {"model": "m"}, "killed by signal 9", False, "kx"))
    with pytest.raises(publish.PublishError, match="1 conditions failed .killed by signal 9."):
        publish.publish("02_baseline", "reference")


def test_the_findings_go_between_their_markers_and_nothing_else_changes(kit):
    publish.publish("02_baseline", "reference")
    readme = store.ROOT / "README.md"
    readme.write_text(f"before\n{publish.START}\nold\n{publish.END}\nafter\n")
    written = generated.write(publish.files())
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert all(f"| [{claim}](docs/claims/{claim}.md) " in text for claim in ("S3.1", "S3.9"))
    lists = dict(line[2:].split(": ", 1) for line in text.splitlines() if line.startswith("- "))
    for words, name in (("Not yet run", "S1.19"), ("Consistent (arithmetic)", "S1.1"), ("Inconsistent (arithmetic)", "S1.4"),
                        ("Not testable here", "S1.3")):
        assert name in lists[words].split(", "), text
    listed = [name for names in lists.values() for name in names.split(", ")]
    tabled = re.findall(r"^\| \[(.*?)\]", text, re.M)
    assert sorted(listed + tabled) == sorted(publish.committed_cells()), "each claim once"
    page = (store.ROOT / "docs/claims/S3.1.md").read_text()
    assert "## Measured on board-x: " in page and "over repeats" in page
    assert "(../../data/results/board-x/02_baseline.jsonl.gz)" in page
    assert {"claims.csv", "claims.svg"} <= {path.name for path in written} and "S3.1" in (
        store.ROOT / "figures/claims.csv").read_text()
    assert len(written) == 4 + len(publish.committed_cells()) and generated.write(publish.files()) == []
    readme.write_text("no markers")
    with pytest.raises(publish.PublishError, match="put them back"):
        generated.write(publish.files())


def test_rows_of_two_profiles_of_one_machine_stand_beside_each_other(kit):
    """A machine is not the same on another day, so what one profile measured is never judged with the roofs of another."""
    import shutil

    publish.publish("02_baseline", "reference")
    shutil.copytree(kit.parent, store.runs_folder("real"))
    shutil.copytree(store.ROOT / "params/reference", store.ROOT / "params/real", dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in sorted((store.ROOT / "figures").rglob("*.svg"))}
    written = publish.publish("02_baseline", "real")
    target = store.ROOT / "data/results/board-x/real/02_baseline.jsonl.gz"
    assert [(rows.profile, rows.path) for rows in committed.files()] == [
        ("reference", store.ROOT / "data/results/board-x/02_baseline.jsonl.gz"), ("real", target)]
    drawn = [path for path in written if path.suffix == ".svg"]
    assert drawn and all(path.parent == store.ROOT / "figures/real/02_baseline" for path in drawn)
    assert all(path.read_bytes() == data for path, data in before.items())
    [told] = [line for line in publish.findings(publish.committed_cells()).splitlines() if "[S3.1]" in line]
    assert told.endswith("**does not hold on a shape**; board-x, profile real: does not hold |")
    (store.ROOT / "README.md").write_text(f"{publish.START}\n{publish.END}\n")
    page = dict(publish.files())[store.ROOT / "docs/claims/S3.1.md"]
    assert "## Measured on board-x: " in page and "## Measured on board-x, profile real: " in page
    assert "../../data/results/board-x/real/02_baseline.jsonl.gz" in page and "../../figures/real/02_baseline/" in page


def test_the_headline_is_the_strongest_evidence_that_decides_and_the_others_stand_beside_it():
    def cell(mark: str, verdict: str, platform: str) -> dict:
        return {"id": "S1.7", "name": "n", "mark": mark, "verdict": verdict, "platform": platform, "of": "", "also": "",
                "short": "1 %", "ours_short": "2 %", "audit": ""}

    pocket = cell("pocket", "holds at scale model", "a")
    small = cell("small", "does not hold on small real models", "b")
    real = cell("real", "reproduced", "c")
    unable = cell("real", "not testable here", "d")
    mixed = cell("shape, small", "holds on a shape", "e")

    def line(*cells: dict) -> str:
        return publish.findings({"S1.7": list(cells)}).splitlines()[4].split(" | ")[-1]

    assert line(pocket, small) == line(pocket, unable, small) == "**does not hold on small real models**; pocket: holds |"
    assert line(pocket, small, real).startswith("**reproduced** (real); pocket: holds; small: does not hold")
    assert line(pocket, pocket | {"platform": "z"}) == "**holds at scale model**; z: holds |"
    assert line(mixed, small).startswith("**does not hold on small real models**; shape, small: holds")
    assert line(unable, pocket) == "**holds at scale model** |"
    printed = cell("printed", "inconsistent", "") | {"audit": "yes"}
    assert line(pocket, printed) == "**holds at scale model** |", "arithmetic is on the claim's page"
