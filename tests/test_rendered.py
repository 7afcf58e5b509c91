"""What a reviewer opens: the pages of two notebooks that were run for real, one of which failed."""

from __future__ import annotations

import itertools
import json
import re
import sys
import urllib.parse
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import toy_kit

from edgekit import provenance, report, store
from edgekit.claims import forest as outcomes
from edgekit.report import frame, verdicts
from edgekit.report.links import Source, relative

SHAPE, SMALL = "shape:qwen2.5-0.5b", "qwen2.5-coder-0.5b-instruct"
SPEED = {"task": "speed", "engine": "llama_cpp", "dtype": "float16", "threads": 2, "batch": 1, "device": "cpu"}


def write_speed_rows(path: Path, ratios: dict[str, float]) -> None:
    """Four repeats in which decoding takes so many times as long as prefill (within 1 %), by model."""
    with store.Store(path) as file:
        for (model, ratio), repeat in itertools.product(ratios.items(), range(4)):
            near = 1 + (repeat - 1.5) / 200
            seen = [({}, "parameters", 4.94e8), ({"prompt_tokens": 170, "output_tokens": 1}, "ttft_s", 0.2),
                    ({"prompt_tokens": 170, "output_tokens": 800}, "decode_s", 0.2 * ratio * near),
                    ({"prompt_tokens": 170, "output_tokens": 800}, "tpot_s", 0.2 * ratio * near / 799)]
            file.append(f"{model} {repeat}", [store.Row("r", "02_baseline", {"model": model} | SPEED | more, metric, value,
                                                        repeat) for more, metric, value in seen])
    provenance.write_manifest(path, provenance.Manifest(
        run="r", study="02_baseline", params={}, seed=0, git_commit="0" * 40, git_dirty=False,
        packages={"torch": "9.9"}, machine={"cpu": {"name": "a fast one"}, "governor": {"unavailable": "no cpufreq"}},
        platform=path.parent.name, memory_bandwidth_byte_per_s=[3.3e10, 3.4e10], inputs={},
        started="2026-01-02T03:04:05+00:00"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Two notebooks run for real, the first one failing, and rendered. The user has a broken python3 kernel."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("toy")
        broken = folder / "jupyter" / "kernels" / "python3"
        broken.mkdir(parents=True)
        spec = {"argv": ["/bin/false"], "display_name": "broken", "language": "python"}
        (broken / "kernel.json").write_text(json.dumps(spec))
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        home = toy_kit.build(folder / "kit", patch, ["90_toy", "91_other"])
        toy_kit.set_param(home, "fault", "error")
        write_speed_rows(store.runs_folder("ci") / "02_baseline.jsonl", {SHAPE: 200})
        write_speed_rows(home / "data/results/far-board/02_baseline.jsonl", {SHAPE: 20, SMALL: 200})
        outcomes = report.run_notebooks(["90_toy", "91_other"], "ci")
        index = report.render("ci")
        yield {"home": home, "outcomes": outcomes, "index": index, "runs": store.runs_folder("ci")}


def test_a_failing_notebook_is_kept_and_the_others_still_run(toy):
    failed, other = toy["outcomes"]
    assert (failed.state, other.state, report.exit_code(toy["outcomes"])) == ("failed", "executed", 1)
    assert "ValueError: the toy broke" in failed.sentence and "\n" not in failed.sentence
    assert "runs/ci/90_toy.ipynb" in failed.sentence
    kept = nbformat.read(failed.executed, as_version=4)
    errors = [output for cell in kept.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    assert [error.ename for error in errors] == ["ValueError"]
    assert len(store.read(toy["runs"] / "90_toy.jsonl")[0]) == 2


def test_the_kernel_is_this_interpreter_and_its_progress_is_in_the_log(toy):
    log = (toy["runs"] / "91_other.log").read_text()
    assert f"interpreter {sys.executable}" in log
    assert "condition 0" in (toy["runs"] / "90_toy.log").read_text()


def rendered(toy) -> dict[Path, str]:
    """Every page of the report and its text."""
    return {path: path.read_text() for path in sorted(toy["index"].parent.rglob("*.html"))}


def test_pages_lead_with_prose_and_fold_code(toy):
    page = toy["index"].with_name("91_other.html").read_text()
    body = page[page.index("<main"):]
    assert all(section in body for section in toy_kit.SECTIONS)
    assert body.count("<details class=\"code\">") == body.count('class="highlight') == 5 + 1  # and the injected values
    assert body.index("</details>") < body.index('<figure id="fig-toy">')
    assert "condition 0" not in page and '<div class="scroll"' in page
    footer = page[page.index("<footer"):]
    source = store.hash_files([toy["home"] / "notebooks/91_other.ipynb"])
    assert source[:12] in footer and "<dd>ci</dd>" in footer


def test_every_page_names_the_version_that_made_it_once(toy):
    assert len(rendered(toy)) > 40
    for path, text in rendered(toy).items():
        assert text.count(f"Report made by edgekit {metadata.version('edgekit')}") == 1, path.name


def test_a_failed_notebooks_page_says_so_first(toy):
    page = toy["index"].with_name("90_toy.html").read_text()
    assert "the toy broke" in page[page.index('class="failure"'):page.index("<h1")]
    assert "90_toy failed" in re.sub(r"<[^>]+>", "", toy["index"].read_text())


def test_no_page_names_a_folder_of_this_machine(toy):
    for path, text in rendered(toy).items():
        for folder in (toy["home"], toy["home"].parent, sys.prefix, Path.home(), "/home/", "/Users/", "/tmp/", "/root"):
            assert str(folder) not in text, f"{path.name} names {folder}"
    # the replaced forms show that there was something to replace
    assert "rows in ./" in toy["index"].with_name("91_other.html").read_text()


def test_paths_are_replaced_as_whole_components(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "ROOT", Path("/opt/kit"))
    monkeypatch.setattr(store, "OUTPUT", Path("/opt/kit/out"))
    assert frame.without_paths("/opt/kit/data, /opt/kit/out/runs, /opt/kitchen, x/opt/kit") == \
        "./data, ./runs, /opt/kitchen, x/opt/kit"


def test_pages_load_nothing_from_elsewhere(toy):
    for path, text in rendered(toy).items():
        assert text.count("<script>") == text.count("<script") == (path == toy["index"]) and "@import" not in text
        for picture in re.findall(r"src='data:image/svg\+xml,([^']*)'", text):
            drawn = urllib.parse.unquote(picture)
            assert all(to.startswith("#") for to in re.findall(r'href="([^"]*)', drawn) + re.findall(r"url\(([^)]*)\)", drawn))
        text = re.sub(r"src='data:image/svg\+xml,[^']*'", "", text)
        loads = re.findall(r'<(?!a\b)\w+[^>]*?\s(?:src|href)="([^"]*)', text) + re.findall(r"url\(([^)]*)\)", text)
        assert [load for load in loads if not load.startswith("data:")] == [], path.name


def test_every_link_leads_to_a_file_and_every_fragment_to_an_element(toy):
    ids = {path: set(re.findall(r'\sid="([^"]*)"', text)) for path, text in rendered(toy).items()}
    followed = 0
    for path, text in rendered(toy).items():
        assert len(ids[path]) == len(re.findall(r'\sid="', text)), f"{path.name} has an id twice"
        for link in re.findall(r'<a\b[^>]*\shref="([^"]*)', text):
            file, _, fragment = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.is_file(), f"{path.name}: {link}"
            assert not fragment or fragment in ids[target], f"{path.name}: {link}"
            followed += 1
    assert followed > 500


def links_of(toy, block: str, claim: str) -> dict[str, str]:
    """The links under a verdict of the index, by their words."""
    text = toy["index"].read_text()
    line = re.search(rf'<tbody class="claim" id="{block}-{re.escape(claim)}".*?</tbody>', text, flags=re.S)[0]
    return {word: address for address, word in re.findall(r'<a href="([^"]+)">(\w+)</a>', re.search(
        r'<span class="links">(.*?)</span>', line)[1])}


def test_figure_table_rows_and_code_of_a_verdict_are_one_click_away(toy):
    """This run has no page of 02_baseline, and nothing was drawn of the platform: what is not there is not linked."""
    assert links_of(toy, "here", "S3.1") == {
        "why": "claims/S3.1.html", "rows": "../runs/ci/02_baseline.jsonl", "code": "claims/S3.1.html#code"}
    assert links_of(toy, "reference-far-board", "S3.1") == {
        "why": "claims/S3.1.html", "rows": "../../data/results/far-board/02_baseline.jsonl", "code": "claims/S3.1.html#code"}


def test_no_cell_of_a_table_is_a_paragraph(toy):
    """Reasons stand on the page of a claim; a table is read cell by cell."""
    cells = 0
    for path, text in rendered(toy).items():
        for cell in re.findall(r"<t[dh]\b.*?</t[dh]>", text, flags=re.S):
            words = " ".join(re.sub(r"<[^>]+>", "", cell).split())
            assert len(words) <= 300, f"{path.name}: {words}"
            cells += 1
    assert cells > 200


@pytest.mark.parametrize("shown", [True, False])
def test_a_figure_is_linked_where_it_is_shown_else_as_it_was_drawn(tmp_path, monkeypatch, shown):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    (tmp_path / "figures/02_baseline").mkdir(parents=True)
    for file in ("shares.svg", "shares.csv", "../../rows.jsonl"):
        (tmp_path / "figures/02_baseline" / file).touch()
    anchor = "02_baseline.html#fig-shares"
    source = Source({"02_baseline": tmp_path / "rows.jsonl"}, tmp_path / "figures", frozenset([anchor] if shown else []))
    part = {"figure": anchor, "platform": "board"}
    figure = anchor if shown else "../figures/02_baseline/shares.svg"
    assert source.links(part, "02_baseline", tmp_path / "reports") == [
        ("figure", figure), ("table", "../figures/02_baseline/shares.csv"), ("rows", "../rows.jsonl")]
    assert source.links(part | {"platform": ""}, "03_other", tmp_path / "reports", "../")[0] == ("figure", f"../{figure}")
    assert len(source.links(part | {"platform": ""}, "02_baseline", tmp_path / "reports")) == 2
    assert source.links({"figure": "", "platform": ""}, "02_baseline", tmp_path / "reports") == []
    monkeypatch.setattr(store, "ROOT", tmp_path / "elsewhere")
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "reports")
    assert relative(tmp_path / "rows.jsonl", tmp_path / "reports") == "", "an address that would name the machine's folders"


def test_a_verdict_without_rows_says_why(toy):
    text = toy["index"].read_text()
    for verdict, words in (("inconsistent", "no rows: arithmetic on printed numbers"), ("not yet run", "nothing was measured")):
        line = re.search(rf'data-verdict="{verdict}">.*?</tbody>', text, flags=re.S)[0]
        assert words in line


def test_a_claims_page_leads_to_its_rows_and_shows_its_code(toy):
    page = toy["index"].parent / "claims/S3.1.html"
    text = page.read_text()
    assert "Measured on ci, in this run: holds on a shape" in text and "anchor-link" not in text
    of_the_board = [text.index(f"Measured on far-board: {told}") for told in (
        "holds on small real models", "does not hold on a shape")]
    assert of_the_board == sorted(of_the_board), "the headline first"
    links = set(re.findall(r'<a\b[^>]*\shref="([^"]*)', text))
    rows = {"../../runs/ci/02_baseline.jsonl", "../../../data/results/far-board/02_baseline.jsonl"}
    assert rows | {"../index.html"} <= links
    code = text[text.index('id="code"'):]
    assert '<details class="code">' in code and "decode_over_prefill" in re.sub(r"<[^>]+>", "", code)
    assert "edgekit/studies/baseline/quantities.py, line" in code


def test_code_is_shown_of_every_claim_that_something_judges(toy):
    from edgekit.claims import judgement as claims

    for claim in claims.load():
        text = (toy["index"].parent / f"claims/{claim.id}.html").read_text()
        asked = {test.quantity for test in (*claim.tests, *(claim.audit.checks if claim.audit else ()))}
        assert ('id="code"' in text) == bool(asked) and all(f"<summary>{name} <small>" in text for name in asked), claim.id


def test_the_sidebar_lists_notebooks_and_the_sections_of_the_page_that_is_open(toy):
    for path, text in rendered(toy).items():
        side = re.search(r'<nav class="side".*?</nav>', text, flags=re.S)[0]
        menu = re.search(r'<details class="menu">.*?</nav></details>', text, flags=re.S)[0]
        up = "../" * (path.parent.name == "claims")
        entries = [f'href="{up}{name}.html"' for name in ("index", "90_toy", "91_other")]
        assert all(entry in side and entry in menu for entry in entries), path.name
        assert side.count('aria-current="page"') == (not up)
    text = toy["index"].with_name("91_other.html").read_text()
    side = re.search(r'<nav class="side".*?</nav>', text, flags=re.S)[0]
    own = re.findall(r'<li class="l2"><a href="#([\w-]+)">([^<]+)</a>', side)
    assert [words for _, words in own] == toy_kit.SECTIONS and own[4] == ("what-we-saw", "What we saw")
    assert 'aria-label="Sections of A toy study"' in side and 'href="90_toy.html#limits"' in side


def test_notebook_pages_lead_to_the_one_before_and_the_one_after(toy):
    first, last = (toy["index"].with_name(f"{name}.html").read_text() for name in ("90_toy", "91_other"))
    turns = [re.findall(r'<a class="(\w+)" href="([^"]+)"', re.search(r'<nav class="turn".*?</nav>', text, flags=re.S)[0])
             for text in (first, last)]
    assert turns == [[("next", "91_other.html")], [("previous", "90_toy.html")]]
    assert all('class="turn"' not in text for path, text in rendered(toy).items() if path.stem not in ("90_toy", "91_other"))


def test_every_page_has_its_landmarks_a_way_past_the_sidebar_and_headings_in_order(toy):
    for path, text in rendered(toy).items():
        assert [text.count(f"<{tag}") for tag in ("main", "footer")] == [1, 1] and text.count('<nav class="side"') == 1
        assert text.index('<a class="skip" href="#main">') < text.index("<header") and '<main id="main"' in text
        levels = [int(level) for level in re.findall(r"<h([1-6])\b", text)]
        assert levels[0] == 1 and levels.count(1) == 1, path.name
        assert all(below - above <= 1 for above, below in zip(levels, levels[1:], strict=False)), path.name
        assert not re.search(r"<img(?![^>]*\salt=\"[^\"]+\")", text) and not re.search(r"<th(?![^>]*\sscope=)[ >]", text)


def test_the_index_says_first_what_came_out(toy):
    text = toy["index"].read_text()
    body = text[text.index("<main"):]
    assert body.index('id="what-came-out"') < body.index('id="fig-claims"') < body.index('data-claim="')
    numbers = re.findall(r"<dt>([^<]+?) ?(?:<small>[^<]*</small>)?</dt><dd>(\d+)</dd>", body[:body.index("</dl>")])
    shown = re.findall(r'data-claim="[^"]+" data-verdict="([^"]+)"', re.search(
        r'<section class="block this".*?</section>', text, flags=re.S)[0])
    counts = {words: int(count) for words, count in numbers}
    assert sum(counts.values()) == len(shown) and counts["contradict themselves"] == shown.count("inconsistent")
    assert counts["stand"] == sum(outcomes.COMES_TO[verdict] == "stands" for verdict in shown) > 0
    lines = re.findall(r'<tr><td><a href="claims/([^"]+)\.html">\1</a></td>', body)
    assert "S3.1" in lines and "S1.3" not in lines
    assert (toy["index"].parent / "claims.csv").read_text().count("\n") == len(lines) + 1


def test_claims_table_is_the_judgement_of_the_rows(toy):
    from edgekit.claims import judgement as claims

    text = toy["index"].read_text()
    blocks = re.findall(r'<section class="block.*?</section>', text, flags=re.S)
    assert len(blocks) == 2
    shown = [dict(re.findall(r'data-claim="([^"]+)" data-verdict="([^"]+)"', block)) for block in blocks]
    for path, platform, told in ((toy["runs"] / "02_baseline.jsonl", "ci", shown[0]),
                                     (toy["home"] / "data/results/far-board/02_baseline.jsonl", "far-board", shown[1])):
        judged = claims.judge(claims.load("02_baseline"), store.to_frame(store.read(path)[0]), platform)
        assert {verdict.claim.id: verdict.verdict for verdict in judged}.items() <= told.items()
    everything = claims.load()
    assert sorted(shown[0]) == sorted(claim.id for claim in everything)        # here all of them, from elsewhere the measured
    assert list(shown[1]) == [claim.id for claim in everything if claim.tests and claim.study == "02_baseline"]
    assert (shown[0]["S3.1"], shown[1]["S3.1"]) == ("holds on a shape", "holds on small real models")
    assert "<small>shape: does not hold</small>" in blocks[1] and ": does not hold</small>" not in blocks[0]
    assert "200 " in blocks[0] and "far-board" in blocks[1]
    # claims come before everything else
    places = [text.index(mark) for mark in ('data-claim="', 'id="machine"', 'id="skipped"', 'id="notebooks"')]
    assert places == sorted(places)


def test_what_is_not_yet_run_is_folded_and_stands_behind_every_verdict(toy):
    text = toy["index"].read_text()
    here = re.search(r'<section class="block this".*?</section>', text, flags=re.S).group(0)
    first, folded = here.split('<details class="waiting">')
    words = [re.findall(r'data-verdict="([^"]+)"', part) for part in (first, folded)]
    assert set(words[1]) == {"not yet run"} and not set(words[0]) & {"not yet run"}
    computed = words[0].index("inconsistent"), words[0].index("consistent")
    assert max(index for index, word in enumerate(words[0]) if word not in ("consistent", "inconsistent")) < min(computed)
    assert f"<small>{len(words[1])} claims</small>" in folded
    for word in ("consistent", "inconsistent", "not yet run"):
        count = re.search(rf'<button type="button" class="badge \w+" aria-pressed="false" data-show="{word}" disabled>(\d+) '
                          rf'{word}</button>', first)
        assert int(count[1]) == (words[0] + words[1]).count(word)


def test_every_verdict_has_a_badge_and_a_meaning():
    from edgekit.claims import judgement as claims

    assert set(verdicts.VERDICTS) == set(claims.VERDICTS)
    assert all(badge == "none" or f".badge.{badge} " in frame.style() for badge, _ in verdicts.VERDICTS.values())


def test_index_tells_machine_and_skips(toy):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", toy["index"].read_text()))
    assert "a fast one" in text and "not readable: no cpufreq" in text and "33.5 GB/s" in text and "torch 9.9" in text
    skipped = text[text.index("What was skipped, and why"):]
    assert "Not planned for Nothing." in skipped and "1 × no energy sensor on this machine" in skipped
