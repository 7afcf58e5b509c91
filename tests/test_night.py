"""A night without anybody there: the cheapest first, within its time and disk, and the next one goes on."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy_nights

from edgekit import cli, provenance, store, unattended
from edgekit.catalog import platforms
from edgekit.studies import history, night, order, runner
from edgekit.studies.local import Facts, Local, Outcome
from edgekit.studies.night import Bounds, Here
from edgekit.studies.runner import Unit

HERE = Path(__file__).parent
NOW = datetime.datetime(2026, 3, 1, 22, 0)


def unit(model: str, repeat: int = 0, *, first: bool = False, refusal: str | None = None) -> Unit:
    return Unit(dict(task="speed", model=model, threads=1), repeat, "jobs:square", {}, "a", "t", first=first, refusal=refusal)


class Watch:
    """Remembers what it was told."""

    def __init__(self):
        self.began, self.ended = [], []

    def begins(self, task, where, number, total, left_s, within_s):
        self.began.append((task.unit.condition["model"], number, total, left_s, within_s))

    def ends(self, task, outcome):
        self.ended.append((task.unit.condition["model"], outcome))


class Modelled:
    """An executor whose units take as long as `truth` says, on a clock of its own."""

    def __init__(self, truth: dict[str, float], clock: list[float], units: list[Unit]):
        self._truth, self._clock, self._units = truth, clock, units

    def plan(self, study, config):
        return night.Planned(study, 1, config, self._units, "here", lambda: 1.0, lambda chain: chain)

    def outcomes(self, tasks, gate):
        facts = Facts("", "here", {}, {}, "c", False, [1.0])
        for task in tasks:
            if reason := gate.closed(task):
                yield task, night.left(reason)
            elif task.unit.refusal:
                yield task, Outcome(facts, reason=task.unit.refusal, tried=False)
            else:
                gate.begins(task, "")
                took = self._truth[task.unit.condition["model"]]
                self._clock[0] += took
                yield task, Outcome(facts, {"observations": [{"metric": "load_s", "value": took}]}, took_s=took)


@pytest.fixture
def modelled(tmp_path, monkeypatch):
    """A function that runs a night of units with these true times and forecasts, and gives its tally and what was told."""
    toy_nights.build(tmp_path / "home", monkeypatch)
    clock = [1000.0]
    monkeypatch.setattr(night, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def run(units, truth, foretold, ends=None):
        def estimate(conditions, *_):
            seconds = tuple(foretold[condition["model"]] for condition in conditions)
            return history.Estimate(0.0, 0, 0, (), seconds)

        monkeypatch.setattr(night.history, "estimate", estimate)
        watch = Watch()
        [tally] = night.run([toy_nights.STUDY], "ci", Modelled(truth, clock, units), Bounds(ends), watch)
        return tally, watch
    return run


def test_units_that_take_least_come_first_whichever_study_they_are_of_and_what_others_use_before_those():
    rng, waiting, seconds = random.Random(1), {}, {}
    for study in ("a", "b", "c"):
        for number in range(40):
            at = study, str(number)
            waiting[at] = unit(f"m{number}", number % 3)
            seconds[at] = None if number % 10 == 9 else rng.uniform(1, 5000)
    found = [at for at, _ in order.cheapest_first(waiting, seconds, 7)]
    assert sorted(found) == sorted(waiting), "each once"
    known = [seconds[at] for at in found if seconds[at] is not None]
    assert all(seconds[at] is None for at in found[len(known):]), "what nobody knows of comes last"
    assert all(later > earlier / order.RATIO for i, earlier in enumerate(known) for later in known[i:])
    assert {study for study, _ in found[:8]} == {"a", "b", "c"}
    repeats = [waiting[at].repeat for at in found if seconds[at] is not None and seconds[at] < order.RATIO]
    assert repeats == sorted(repeats)
    assert found != [at for at, _ in order.cheapest_first(waiting, seconds, 8)]

    waiting = {("a", "train"): unit("t", first=True), ("a", "use"): unit("u"), ("b", "other"): unit("o"),
               ("a", "no"): unit("n", refusal="too large")}
    seconds = {("a", "train"): 900.0, ("a", "use"): 1.0, ("b", "other"): 100.0, ("a", "no"): None}
    assert [key for (_, key), _ in order.cheapest_first(waiting, seconds, 1)] == ["no", "other", "train", "use"]


def test_a_unit_whose_forecast_does_not_fit_is_left_with_the_reason_and_no_time_is_overrun(modelled):
    seconds = {f"m{number}": float(4**number) for number in range(6)}  # 1, 4, 16, 64, 256, 1024 s
    units = [unit(name) for name in seconds]
    tally, watch = modelled(units, seconds, seconds, ends=1000.0 + 150)
    assert [name for name, *_ in watch.began] == ["m0", "m1", "m2", "m3"]
    assert dict(tally.left) == {"takes about 4 min, which is more than was left": 1,
                                "takes about 17 min, which is more than was left": 1}
    assert tally.result.measured == 4 and not tally.result.skips, "what is left is no skip"
    assert [round(left) for *_, left, _ in watch.began] == [1365, 1364, 1360, 1344]
    tally, watch = modelled(units, seconds, seconds)
    assert (tally.result.measured, tally.result.reused, dict(tally.left)) == (2, 4, {})


def test_forecasts_are_corrected_by_how_the_night_went_and_unknown_units_by_their_kind(modelled):
    seconds = {f"m{number}": 20.0 for number in range(9)}
    tally, watch = modelled([unit(name) for name in seconds], dict.fromkeys(seconds, 60.0), seconds, ends=1000.0 + 460)
    assert len(watch.began) == 7 and sum(tally.left.values()) == 2, "three times slower: the eighth would not fit"

    repeats = [unit("slow", repeat) for repeat in range(5)]
    units = [dataclass_with(one, task="u") for one in repeats]
    tally, watch = modelled(units, {"slow": 100.0}, {"slow": None}, ends=1000.0 + 420 + 250)
    assert watch.began[0][3] is None and len(watch.began) >= 2
    assert sum(tally.left.values()) == 5 - len(watch.began)


def dataclass_with(one, **changed):
    import dataclasses

    return dataclasses.replace(one, **changed)


@pytest.fixture
def frozen(monkeypatch):
    """The clock that ends are counted on stands still."""
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(night, "time", clock)
    monkeypatch.setattr(unattended, "time", clock)


def test_a_budget_and_a_deadline_are_read_and_the_earlier_one_counts(frozen):
    def hours(budget=None, deadline=None):
        found = unattended.bounds(budget, deadline, 1.0, NOW).within_s()
        return None if found is None else found / 3600

    assert hours() is None and hours("8h") == 8 and hours("1h30min") == 1.5 and hours("90min") == 1.5
    assert hours(deadline="06:30") == 8.5 and hours(deadline="23:00") == 1 and hours(deadline="22:00") == 24
    assert hours(deadline="2026-03-02T06:30") == 8.5
    assert hours("8h", "06:30") == 8 and hours("9h", "06:30") == 8.5
    for wrong in ({"budget": "8"}, {"budget": "h"}, {"budget": "0h"}, {"deadline": "25:00"}, {"deadline": "soon"},
                  {"deadline": "2026-02-01T06:30"}):
        with pytest.raises(unattended.BoundsError, match="expected|past"):
            hours(**wrong)


def test_an_end_stays_where_it_is_in_the_night_of_summer_time_and_when_the_clock_is_set(frozen, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        for evening, to_630, to_its_23_in_winter_time in (("2026-03-28", 7.5, 1.0), ("2026-10-24", 9.5, 2.0)):
            for deadline, hours in (("06:30", to_630), (f"{evening}T23:00+01:00", to_its_23_in_winter_time)):
                found = unattended.bounds(None, deadline, 1.0, datetime.datetime.fromisoformat(f"{evening}T22:00"))
                assert found.within_s() == 3600 * hours
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_that_is_set_in_the_night_moves_no_end(modelled, monkeypatch):
    jumps = itertools.cycle([1e9, 0.0, 2e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    seconds = {f"m{number}": 40.0 for number in range(6)}
    tally, watch = modelled([unit(name) for name in seconds], seconds, seconds, ends=1000.0 + 130)
    assert [within for *_, within in watch.began] == [130.0, 90.0, 50.0] and sum(tally.left.values()) == 3


def test_with_too_little_disk_a_night_does_not_begin_and_stops_cleanly(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    free = [10e9]
    monkeypatch.setattr(night.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free[0]}))

    class Fills(Watch):
        def ends(self, task, outcome):
            super().ends(task, outcome)
            free[0] -= 0.0 if outcome.left else 4e9

    with Local() as here:
        [tally] = night.run([toy_nights.STUDY], "ci", Here(here), Bounds(least_free_bytes=5e9), Fills())
    assert tally.result.measured == 2 and list(tally.left.values()) == [4]
    [reason] = tally.left
    assert "2.0 GB are free in" in reason and "less than the 5.0 GB that are to stay free" in reason
    with Local() as here, pytest.raises(night.NightError, match="GB are free in .*make room"):
        night.run([toy_nights.STUDY], "ci", Here(here), Bounds(least_free_bytes=5e9), Watch())


def test_a_plan_that_goes_on_from_its_rows_is_made_again_until_it_asks_for_nothing_new(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=2, rounds=3)
    took = {f"m{number}": 1.0 for number in range(6)}

    class Growing(Modelled):
        def plan(self, study, config):
            return night.Planned(study, 1, config, list(toy_nights.plan(config)), platforms.current().slug, lambda: 1.0,
                                 lambda chain: chain)

    def tallies():
        watch = Watch()
        found = night.run(toy_nights.STUDIES, "ci", Growing(took, [0.0], []), Bounds(), watch)
        return [(tally.planned, tally.result.measured, tally.result.reused, len(tally.result.rows)) for tally in found], watch

    counts, watch = tallies()
    assert counts == [(6, 6, 0, 6), (2, 2, 0, 2)]
    assert [name for name, *_ in watch.began][:4].count("m2") == 0, "the first of every notebook comes first"
    assert tallies()[0] == [(6, 0, 6, 6), (2, 0, 2, 2)]


def test_a_plan_that_goes_on_waits_for_what_was_left(modelled, monkeypatch):
    monkeypatch.setattr(toy_nights.run, "grows", True, raising=False)
    tally, watch = modelled([unit("m0"), unit("m1")], {"m0": 5.0, "m1": 5.0}, {"m0": 5.0, "m1": 100.0}, ends=1000.0 + 50)
    assert len(watch.began) == 1 and sum(tally.left.values()) == 1


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import pytest, toy_nights
from edgekit import store, unattended
from edgekit.studies.local import Local
from edgekit.studies.night import Bounds, Here
toy_nights.register()
unattended.check = lambda *_: {{}}
unattended.plans_the_same = lambda *_: False
with Local() as here:
    sys.exit(unattended.run([toy_nights.STUDY], "ci", Bounds(), Here(here), log=Path({log!r})))
"""


def test_a_night_that_is_cut_off_at_any_moment_goes_on_and_has_each_row_once(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=8, repeats=2, function="jobs:slow_square")
    log = tmp_path / "night.log"
    environment = os.environ | {"EDGEKIT_HOME": str(store.ROOT), "EDGEKIT_OUTPUT": str(store.OUTPUT), "PYTHONPATH": str(HERE)
                                + os.pathsep + str(HERE.parent)}
    rows, rng, kills = store.runs_folder("ci") / "90_toy.jsonl", random.Random(2), 0
    for _ in range(12):
        before = rows.stat().st_size if rows.exists() else 0
        child = subprocess.Popen([sys.executable, "-c", PROGRAM.format(here=str(HERE), log=str(log))], env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while kills < 3 and child.poll() is None and (not rows.exists() or rows.stat().st_size == before):
            time.sleep(0.01)
        if kills < 3 and child.poll() is None:
            time.sleep(rng.random() * 0.3)
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            continue
        said, errors = child.communicate()
        break
    assert kills == 3 and child.returncode == 0, errors
    found, skips = store.read(rows)
    counts = Counter((row.key, row.metric) for row in found)
    assert len(counts) == 2 * 16 and set(counts.values()) == {1} and not skips
    assert {row.run for row in found} <= set(provenance.read_manifests(rows))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert Counter(event["event"] for event in events)["night"] >= 4
    assert events[-1]["event"] == "over" and events[-1]["status"] == 0
    counted = events[-1]["notebooks"]["90_toy"]
    assert 0 < counted.pop("new") < 16
    assert counted == {"planned": 16, "with rows": 16, "skipped": 0, "failed": 0, "left": 0}
    assert "90_toy" in said and "planned" in said


def test_an_engine_that_hangs_is_ended_and_recorded_and_the_night_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=3, shared=False)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(unattended, "check", lambda *_: {})
    monkeypatch.setattr(unattended, "plans_the_same", lambda *_: False)
    from edgekit.measure import waiting

    monkeypatch.setattr(waiting.Limits.__init__, "__defaults__", (None, None, 2.0, 120.0))
    real = toy_nights.plan

    def plan(config):
        for one in real(config):
            hangs = one.condition["model"] == "m1"
            yield dataclass_with(one, function="jobs:hang", arguments={}) if hangs else one

    monkeypatch.setattr(toy_nights, "plan", plan)
    log = tmp_path / "log.jsonl"
    began = time.monotonic()
    with Local() as here:
        assert unattended.run([toy_nights.STUDY], "ci", Bounds(), Here(here), log=log) == 1
    assert time.monotonic() - began < 60
    [skip] = store.read(store.runs_folder("ci") / "90_toy.jsonl")[1]
    assert skip.reason.startswith("hung: no sign of life for 2 s") and not skip.expected and skip.tried
    assert "90_toy: 1 failed: hung: no sign of life" in capsys.readouterr().out
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events if event["event"] in ("rows", "failed")].count("rows") == 2
    with Local() as here:
        [tally] = night.run([toy_nights.STUDY], "ci", Here(here), Bounds(), Watch())
    assert tally.result.measured == 0, "it is not tried again until somebody asks"


def test_what_the_end_of_the_time_cuts_is_left_and_not_called_slow(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=1, shared=False)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    spins = dataclass_with(unit("m0"), function="jobs:spin", arguments={"seconds": 60})
    monkeypatch.setattr(toy_nights, "plan", lambda config: [spins])
    with Local() as here:
        here.facts(1, "cpu")
        [tally] = night.run([toy_nights.STUDY], "ci", Here(here), Bounds(time.monotonic() + 3), Watch())
    assert dict(tally.left) == {"stopped when the time was up": 1} and not tally.result.skips


def test_a_log_does_not_outgrow_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(unattended, "LOG_BYTES", 2000)
    watch = unattended.Watch(unattended.Console(sys.stderr), tmp_path / "log")
    for number in range(500):
        watch.says("rows", number=number)
    watch.close()
    files = list(tmp_path.iterdir())
    assert len(files) == 2 and all(0 < file.stat().st_size <= 2000 for file in files)
    assert json.loads((tmp_path / "log").read_text().splitlines()[-1])["number"] == 499


def test_run_all_is_run_dash_dash_all_and_a_limit_asks_for_a_night(monkeypatch):
    asked = []
    monkeypatch.setattr(unattended, "run", lambda notebooks, *rest, **named: asked.append((notebooks, named)) or 0)
    assert cli.main(["run", "all", "--profile", "ci", "--budget", "1h"]) == 0
    assert cli.main(["run", "--all", "--profile", "ci", "--unattended", "--log", "x"]) == 0
    assert asked[0][0] == asked[1][0] and len(asked[0][0]) > 5 and asked[1][1]["log"] == Path("x")
    assert cli.main(["run", "all", "--profile", "ci", "--deadline", "soon"]) == 2
    assert runner.RETRY not in os.environ
