"""Running notebooks, on a small study in a temporary folder."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import toy_kit
from nbclient.exceptions import DeadKernelError

from edgekit import params, report, store
from edgekit.params import ParamsError
from edgekit.report import run
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
        print(report.closing.block(outcomes, "ci", [], None, retry="retry" in asked))
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


def test_nothing_to_render_says_what_to_run(home):
    with pytest.raises(report.ReportError, match="edgekit run"):
        report.render("ci")
    with pytest.raises(ParamsError, match="unknown profile 'nope'; known: ci"):
        report.render("nope")


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
