"""What a person sees of a run: on a terminal, in a log, and when it ends."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from edgekit import console, params, provenance, store, studies
from edgekit.report import closing
from edgekit.report.execute import _Told
from edgekit.report.run import Outcome
from edgekit.studies import durations

ROOT = Path(__file__).parents[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """The lines of a terminal after all that was written: a carriage return and `erase to the end` begin a line anew."""
    return [re.split(r"\r\x1b\[K", line)[-1] for line in written.split("\n")]


def test_a_terminal_has_one_line_that_changes_and_a_log_has_every_line():
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        shown = console.Console(stream)
        for number in (1, 2, 3):
            shown.now(f"study [{number}/3] speed: model=m")
        shown.stays("study: failed: speed: model=m: killed")
        shown.now("study [3/3] speed: model=n")
        shown.clear()
    assert screen(terminal.getvalue()) == ["study: failed: speed: model=m: killed", ""]
    assert "\r" not in log.getvalue() and log.getvalue().count("\n") == 5


def test_a_line_is_never_wider_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    console.Console(terminal).now("x" * 100)
    assert screen(terminal.getvalue()) == ["x" * 38 + "…"]


def test_what_a_notebook_says_is_kept_whole_and_shown_by_the_line():
    terminal, log = Terminal(), io.StringIO()
    told = _Told(log, console.Console(terminal))
    for part in ("02_baseline [1/2] speed: mod", "el=m\n02_baseline [2/2] speed: model=n\nWarn", "ing: x\n"):
        told.write(part)
    assert log.getvalue() == "02_baseline [1/2] speed: model=m\n02_baseline [2/2] speed: model=n\nWarning: x\n"
    assert screen(terminal.getvalue()) == ["Warning: x", ""]


def test_a_unit_is_told_with_the_names_of_its_fields_and_with_what_is_left(monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    progress = console.Progress(said.append, "02_baseline", ["fast", "slow", "slow", "fast"])
    for kind, seconds in (("slow", 100.0), ("fast", 2.0), ("slow", 100.0)):
        progress.begins(kind, {"task": "speed", "model": kind, "threads": 2, "search": None})
        clock[0] += seconds
        progress.ends(kind, True)
    assert progress.seconds_left() == pytest.approx(2.0)
    refused = console.Progress(said.append, "02_baseline", ["energy", "slow"])
    refused.begins("energy", {"task": "energy"})
    refused.ends("energy", False)
    assert refused.seconds_left() is None and said.pop() == "02_baseline [1/2] energy"
    assert said == ["02_baseline [1/4] speed: model=slow threads=2",
                    "02_baseline [2/4] speed: model=fast threads=2; about 5 min left",  # 3 units by the mean of one
                    "02_baseline [3/4] speed: model=slow threads=2; about 2 min left"]
    assert all(console.PROGRESS.match(line) for line in said)


@pytest.mark.parametrize("seconds, words", [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (5399, "1 h 30 min"),
                                            (7300, "2 h 2 min")])
def test_durations_are_told_as_people_do(seconds, words):
    assert console.duration(seconds) == words


def outcome(notebook, *unexpected, state="executed", sentence="done", tried=0):
    return Outcome(notebook, state, 721.0, Path("x.ipynb"), sentence, unexpected, tried)


def test_failures_are_counted_and_the_most_frequent_come_first():
    assert closing.ended(outcome("02")) == "done (12 min)"
    assert closing.ended(outcome("02", "a", "b", "b")) == "done with 3 failures: 2 × b; a (12 min)"
    assert closing.failed(["a", "b", "c", "d", "e", "e"]).endswith("and 2 more reasons")


def test_the_last_words_are_verdicts_failures_the_report_and_the_next_command(tmp_path):
    cells = [{"verdict": word} for word in ("undecided", "reproduced", "reproduced")]
    outcomes = [outcome("01"), outcome("02", "killed", tried=1), outcome("03", state="failed", sentence="failed: no disk")]
    lines = closing.block(outcomes, "pocket", cells, tmp_path / "index.html", retry=False).split("\n")
    assert [line.split()[0] for line in lines if line] == ["verdicts", "02", "03", "report", "next"]
    assert lines[1].endswith("2 reproduced, 1 undecided") and "1 failure: killed" in lines[2]
    assert lines[4].endswith((tmp_path / "index.html").as_uri())
    assert "edgekit run --profile pocket --retry 02" in lines[5]


def test_a_tally_counts_every_claim_once():
    from edgekit import report
    from edgekit.claims import file

    counted = sum(int(part.split()[0]) for part in closing.tally(report.cells_here("nobody-ran-this")).split(", "))
    assert counted == len(file.load())


def test_a_start_is_timed_when_the_disk_was_read_once(monkeypatch):
    now = iter([0.0, 20.0, 23.0])
    asked = []
    monkeypatch.setattr(durations, "run_job", lambda function, arguments, **limits: asked.append(function))
    monkeypatch.setattr(durations.time, "monotonic", lambda: next(now))
    assert durations.start_s.__wrapped__() == 3.0 and len(asked) == 2
    module, _, name = asked[0].partition(":")
    assert module == durations.__name__ and getattr(durations, name) is durations.load


def test_what_a_notebook_took_elsewhere_is_scaled_to_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setattr(durations, "start_s", lambda: 6.0)
    file = tmp_path / "data/results" / durations.FILE
    file.parent.mkdir(parents=True)
    entry = dict(platform="p", profile="pocket", start_s=3.0)
    file.write_text(json.dumps([entry | dict(notebook="02_baseline", seconds=60), entry | dict(
        notebook="00_published_claims", seconds=8)]))
    found = durations.expected(["00_published_claims", "02_baseline", "03_quantization"], "pocket")
    assert found == {"00_published_claims": 8, "02_baseline": 120, "03_quantization": None}
    assert durations.told([8, 120]) == "about 2 min" and "not known" in durations.told([8, None])
    known = {"00": 20.0, "02": 100.0, "03": 100.0}
    assert durations.left(known, ["02", "03"], 20.0) == ", about 3 min left"
    assert durations.left(known, ["03"], 240.0) == ", about 3 min left", "twice as slow as foretold"
    assert durations.left(known | {"03": None}, ["03"], 1.0) == ""
    rows = tmp_path / "runs/pocket/02_baseline.jsonl"
    with store.Store(rows) as kept:
        kept.append("a", [store.Row("r", "02_baseline", {}, "ttft_s", 1.0)])
    store.write_plan(rows, ["a", "b", "c", "d"])
    for folder in ("data/published", "data/models", "params", "data/tasks"):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        (tmp_path / folder).symlink_to(ROOT / folder)
    study = studies.module("02_baseline")
    config = params.of_profile(study.Config, "pocket", "02_baseline")

    def ran(run: str, **asked) -> None:
        provenance.write_manifest(rows, provenance.Manifest(
            run=run, study="02_baseline", params=dataclasses.asdict(config) | asked, seed=0, git_commit="c" * 40,
            git_dirty=False, packages={}, machine={}, platform="p", memory_bandwidth_byte_per_s=[1e9], inputs={},
            started="2026-01-01"))

    ran("r")
    assert durations.expected(["02_baseline"], "pocket") == {"02_baseline": pytest.approx(90)}
    ran("s", repeats=17)
    assert durations.expected(["02_baseline"], "pocket") == {"02_baseline": 120}, "an old plan says nothing of new parameters"
