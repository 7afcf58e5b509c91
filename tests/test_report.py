"""Running and rendering, on a small study in a temporary folder."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import toy_kit
from nbclient.exceptions import DeadKernelError

from edgekit import params, provenance, report, store
from edgekit.params import ParamsError
from edgekit.report import pages, run
from edgekit.studies import StudyError


@pytest.fixture
def home(tmp_path, monkeypatch):
    return toy_kit.build(tmp_path / "kit", monkeypatch)


@pytest.fixture
def no_kernel(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a kernel was started")
    monkeypatch.setattr(run, "execute", refuse)


@pytest.fixture
def stand_in(monkeypatch):
    """In place of papermill: notes what would be executed, and leaves a notebook as papermill does."""
    started = []

    def execute(notebook, profile, values, executed):
        started.append((notebook, values))
        executed.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(toy_kit.notebook(), executed)
        return "executed", "done"
    monkeypatch.setattr(run, "execute", execute)
    return started


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("file", "old", "new", "named"), [
    ("params/ci/90_toy.yaml", "repeats: 2", "repeets: 2", "'repeets'"),
    ("params/ci/90_toy.yaml", "repeats: 2\n", "", "'repeats'"),
    ("params/ci/90_toy.yaml", "seconds: 0.0", "seconds: 1e-3", "seconds"),
    ("params/ci/90_toy.yaml", "repeats: 2", "repeats: 2.5", "repeats"),
    ("params/ci/90_toy.yaml", "repeats: 2", "repeats: 0", "repeats"),
    ("notebooks/90_toy.ipynb", "repeats = 2", "repets = 2", "'repets'"),
    ("notebooks/90_toy.ipynb", "repeats = 2", "extra = 1\\nrepeats = 2", "'extra'"),
    ("notebooks/90_toy.ipynb", "repeats = 2", "repeats = 1 + 1", "'repeats' is not a literal"),
    ("notebooks/90_toy.ipynb", "repeats = 2", "repeats: int = 2", "`name = literal`"),
    ("notebooks/90_toy.ipynb", "repeats = 2", "seconds = 2", "'seconds' is set twice"),
    ("notebooks/90_toy.ipynb", '"parameters"', '"params"', "found 0"),
])
def test_a_wrong_parameter_is_named_before_a_kernel_starts(home, no_kernel, file, old, new, named):
    change(home / file, old, new)
    with pytest.raises(ParamsError) as error:
        report.run_notebooks([toy_kit.NOTEBOOK], "ci")
    assert named in str(error.value) and file.split("/")[-1] in str(error.value)


def test_a_wrong_notebook_stops_all_before_a_kernel_starts(tmp_path, monkeypatch, no_kernel):
    home = toy_kit.build(tmp_path / "kit", monkeypatch, ["90_toy", "91_other"])
    toy_kit.set_param(home, "repeats", "many", "91_other")
    with pytest.raises(ParamsError, match=r"91_other\.yaml.*repeats"):
        report.run_notebooks(["90_toy", "91_other"], "ci")


def test_unknown_names_list_the_known_ones(home, no_kernel):
    with pytest.raises((ParamsError, StudyError), match="12_nothing.*90_toy"):
        report.run_notebooks(["12_nothing"], "ci")
    with pytest.raises(ParamsError, match="'jetson'.*ci"):
        report.run_notebooks([toy_kit.NOTEBOOK], "jetson")


@pytest.mark.parametrize("file", ["params/ci/90_toy.yaml", "notebooks/90_toy.ipynb", "data/results/new.txt",
                                  "output/runs/ci/90_toy.jsonl"])
def test_nothing_is_executed_twice_until_something_changes(home, stand_in, file):
    def states(**kwargs):
        return [outcome.state for outcome in report.run_notebooks([toy_kit.NOTEBOOK], "ci", **kwargs)]

    assert [states(), states()] == [["executed"], ["unchanged"]]
    assert [states(force=True), states()] == [["executed"], ["unchanged"]]
    with open(home / file, "a") as changed:
        changed.write("\n" if file.endswith(("yaml", "ipynb")) else "")
    if file.endswith(".jsonl"):
        with store.Store(home / file) as rows:
            rows.append("k", [store.Row("r", "toy", {}, "ttft_s", 1.0)])
    assert [states(), states()] == [["executed"], ["unchanged"]]
    assert stand_in[0] == (toy_kit.NOTEBOOK, params.read_yaml(home / "params/ci/90_toy.yaml"))


def test_a_skip_that_nobody_planned_ends_non_zero_and_what_was_refused_is_looked_at_again(home, stand_in, capsys):
    with store.Store(home / "output/runs/ci/90_toy.jsonl") as rows:
        rows.skip(store.Skip("r", "toy", {"model": "a"}, "no sensor", True, "k1"))
    assert report.exit_code(report.run_notebooks([toy_kit.NOTEBOOK], "ci")) == 0
    with store.Store(home / "output/runs/ci/90_toy.jsonl") as rows:
        rows.skip(store.Skip("r", "toy", {"model": "b"}, "killed by signal 9", False, "k2"))
    for _ in range(2):
        outcomes = report.run_notebooks([toy_kit.NOTEBOOK], "ci")
        assert (outcomes[0].state, outcomes[0].unexpected, report.exit_code(outcomes)) == (
            "executed", ("killed by signal 9",), 1)
    assert "[1/1] 90_toy: done with 1 failure: killed by signal 9 (" in capsys.readouterr().out


def test_what_failed_or_was_too_slow_is_tried_again_when_asked_and_told_until_then(home, stand_in, capsys):
    def states(**asked):
        outcomes = report.run_notebooks([toy_kit.NOTEBOOK], "ci", **asked)
        print(report.closing.block(outcomes, "ci", None, retry="retry" in asked))
        return outcomes[0].state, report.exit_code(outcomes)

    def skip(key, reason, expected):
        with store.Store(home / "output/runs/ci/90_toy.jsonl") as rows:
            rows.skip(store.Skip("r", "toy", {"model": key}, reason, expected, key, tried=True))

    skip("k1", "slow: stopped", True)
    assert [states(), states(), states(retry=True)] == [("executed", 0), ("unchanged", 0), ("executed", 0)]
    capsys.readouterr()
    skip("k2", "killed by signal 9", False)
    assert [states(), states()] == [("executed", 1), ("unchanged", 1)]
    told = capsys.readouterr().out
    assert told.count("with 1 failure: killed by signal 9 (") == 2
    assert told.count("90_toy    1 failure: killed by signal 9") == 2
    assert told.count("next      edgekit run --profile ci --retry 90_toy  # tries again what failed or was too slow") == 2
    assert states(retry=True) == ("executed", 1) and "--retry" not in capsys.readouterr().out


SPEED = {"task": "speed", "model": "shape:qwen2.5-0.5b", "engine": "llama_cpp", "dtype": "float16", "threads": 2,
         "batch": 1, "device": "cpu"}


def write_speed_rows(path: Path, ratio: float) -> None:
    """Four repeats in which decoding takes `ratio` times as long as prefill (within 1 %)."""
    with store.Store(path) as file:
        for repeat in range(4):
            near = 1 + (repeat - 1.5) / 200
            seen = [({}, "parameters", 4.94e8), ({"prompt_tokens": 170, "output_tokens": 1}, "ttft_s", 0.2),
                    ({"prompt_tokens": 170, "output_tokens": 800}, "decode_s", 0.2 * ratio * near),
                    ({"prompt_tokens": 170, "output_tokens": 800}, "tpot_s", 0.2 * ratio * near / 799)]
            file.append(f"{repeat}", [store.Row("r", "02_baseline", SPEED | more, metric, value, repeat)
                                      for more, metric, value in seen])
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
        write_speed_rows(store.runs_folder("ci") / "02_baseline.jsonl", 200)
        write_speed_rows(home / "data/results/far-board/02_baseline.jsonl", 20)
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
    pages_made = list(toy["index"].parent.glob("*.html"))
    assert len(pages_made) == 3
    for path in pages_made:
        text = re.sub(r"</dt><dd>", " ", path.read_text())
        assert text.count(f"Report made by edgekit {metadata.version('edgekit')}") == 1, path.name


def test_a_failed_notebooks_page_says_so_first(toy):
    page = toy["index"].with_name("90_toy.html").read_text()
    assert "the toy broke" in page[page.index('class="failure"'):page.index("<h1")]
    assert "90_toy failed" in re.sub(r"<[^>]+>", "", toy["index"].read_text())


def test_no_page_names_a_folder_of_this_machine(toy):
    rendered = list(toy["index"].parent.glob("*.html"))
    assert len(rendered) == 3
    for path in rendered:
        text = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", path.read_text())
        for folder in (toy["home"], toy["home"].parent, sys.prefix, Path.home(), "/home/", "/Users/", "/tmp/", "/root"):
            assert str(folder) not in text, f"{path.name} names {folder}"
    # the replaced forms show that there was something to replace
    assert "rows in ./" in toy["index"].with_name("91_other.html").read_text()


def test_paths_are_replaced_as_whole_components(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "ROOT", Path("/opt/kit"))
    monkeypatch.setattr(store, "OUTPUT", Path("/opt/kit/out"))
    assert pages.without_paths("/opt/kit/data, /opt/kit/out/runs, /opt/kitchen, x/opt/kit") == \
        "./data, ./runs, /opt/kitchen, x/opt/kit"


def test_pages_load_nothing_from_elsewhere(toy):
    for path in toy["index"].parent.glob("*.html"):
        text = path.read_text()
        assert "<script" not in text and "@import" not in text
        loads = re.findall(r'<(?!a\b)\w+[^>]*?\s(?:src|href)="([^"]*)', text) + re.findall(r"url\(([^)]*)\)", text)
        assert [load for load in loads if not load.startswith("data:")] == []
        links = re.findall(r'<a\b[^>]*\shref="([^"]*)', text)
        assert links and all((path.parent / link.split("#")[0]).exists() for link in links)


def test_a_claims_page_leads_to_its_rows_and_its_figure(toy):
    page = toy["index"].parent / "claims/S3.1.html"
    text = page.read_text()
    assert "Measured on ci" in text and "Measured on far-board" in text and "anchor-link" not in text
    links = re.findall(r'<a\b[^>]*\shref="([^"]*)', text)
    assert "../index.html" in links and "../../runs/ci/02_baseline.jsonl" in links
    assert all((page.parent / link.split("#")[0]).exists() for link in links)
    assert f'href="claims/{page.name}"' in toy["index"].read_text()


def test_claims_table_is_the_judgement_of_the_rows(toy):
    from edgekit.claims import judgement as claims

    text = toy["index"].read_text()
    blocks = re.findall(r'<section class="block.*?</section>', text, flags=re.S)
    assert len(blocks) == 2
    shown = [dict(re.findall(r'data-claim="([^"]+)" data-verdict="([^"]+)"', block)) for block in blocks]
    for path, platform, verdicts in ((toy["runs"] / "02_baseline.jsonl", "ci", shown[0]),
                                     (toy["home"] / "data/results/far-board/02_baseline.jsonl", "far-board", shown[1])):
        judged = claims.judge(claims.load("02_baseline"), store.to_frame(store.read(path)[0]), platform)
        assert {verdict.claim.id: verdict.verdict for verdict in judged}.items() <= verdicts.items()
    everything = claims.load()
    assert sorted(shown[0]) == sorted(claim.id for claim in everything)        # here all of them, from elsewhere the measured
    assert list(shown[1]) == [claim.id for claim in everything if claim.tests and claim.study == "02_baseline"]
    assert (shown[0]["S3.1"], shown[1]["S3.1"]) == ("reproduced", "not reproduced")
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
        assert re.search(rf'<span class="badge \w+">\d+ {word}</span>', first)


def test_every_verdict_has_a_badge_and_a_meaning():
    from edgekit.claims import judgement as claims
    from edgekit.report import index

    assert set(index.VERDICTS) == set(claims.VERDICTS)
    style = pages.style()
    assert all(badge == "none" or f".badge.{badge} " in style for badge, _ in index.VERDICTS.values())


def test_index_tells_machine_and_skips(toy):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", toy["index"].read_text()))
    assert "a fast one" in text and "not readable: no cpufreq" in text and "33.5 GB/s" in text and "torch 9.9" in text
    skipped = text[text.index("What was skipped, and why"):]
    assert "Not planned for Nothing." in skipped and "1 × no energy sensor on this machine" in skipped


def test_nothing_to_render_says_what_to_run(home):
    with pytest.raises(report.ReportError, match="edgekit run"):
        report.render("ci")


def test_a_killed_kernel_is_one_sentence(home):
    toy_kit.set_param(home, "fault", "death")
    outcomes = report.run_notebooks([toy_kit.NOTEBOOK], "ci")
    assert outcomes[0].state == "failed" and "process died" in outcomes[0].sentence
    assert len(store.read(store.runs_folder("ci") / "90_toy.jsonl")[0]) == 2


def test_what_ctrl_c_orphans_ends_in_the_log_and_not_on_the_terminal(home, capfd):
    """The wait for the kernel's reply is left behind and dies with the kernel: a race, here as its smallest input."""
    from jupyter_core.utils import ensure_event_loop

    report.run_notebooks([toy_kit.NOTEBOOK], "ci")

    async def waits_for_a_dead_kernel():
        raise DeadKernelError("Kernel died")

    loop = ensure_event_loop()
    waiting = loop.create_task(waits_for_a_dead_kernel())
    loop.run_until_complete(asyncio.sleep(0))
    del waiting
    gc.collect()
    assert "DeadKernelError" in (store.runs_folder("ci") / "90_toy.log").read_text()
    assert "DeadKernelError" not in "".join(capfd.readouterr())


INTERRUPTED = """
import sys
from pathlib import Path
import pytest, toy_kit
from edgekit import report
home = toy_kit.build(Path(sys.argv[1]), pytest.MonkeyPatch(), ["90_toy", "91_other"])
toy_kit.set_param(home, "seconds", "1.5")
toy_kit.set_param(home, "repeats", "400")
sys.exit(report.exit_code(report.run_notebooks(["90_toy", "91_other"], "ci")))
"""


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing_behind(tmp_path):
    rows = tmp_path / "kit" / "output" / "runs" / "ci" / "90_toy.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "kit")], cwd=Path(__file__).parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 120
    while not (rows.exists() and '"rows":' in rows.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "what was measured is kept" in output and "Traceback" not in output and "91_other" not in output
    kept = len(store.read(rows)[0])
    assert kept >= 1
    time.sleep(2)  # longer than one condition: a kernel left behind would write another row
    assert len(store.read(rows)[0]) == kept
