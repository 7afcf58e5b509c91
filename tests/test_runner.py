"""A study that is killed and run again has the rows of an unbroken one: none lost, none doubled."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import known_bandwidth
import psutil
import pytest

from edgekit import provenance, store
from edgekit.compress import foreseen, variant
from edgekit.studies import local, runner
from edgekit.studies.order import ordered
from edgekit.studies.runner import Unit, run_units

HERE = Path(__file__).parent
NUMBERS = range(4)
REPEATS = range(3)

PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import known_bandwidth, test_runner
known_bandwidth.tell()
test_runner.run_study()
"""


@dataclasses.dataclass(frozen=True)
class Config:
    profile: str = "test"
    seed: int = 5
    device: str = "cpu"
    timeout_s: float = 60.0
    memory_share: float = 0.9


def units(function="jobs:slow_square", **arguments):
    return [Unit({"task": "speed", "model": f"m{number}", "threads": 1}, repeat, function, {"number": number, **arguments},
                 artifact="a", task="t") for repeat in REPEATS for number in NUMBERS]


def run_study(planned=None):
    return run_units("toy", 1, Config(), planned or units())


@pytest.fixture(autouse=True)
def own_output(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    known_bandwidth.tell(monkeypatch.setattr)


def content(path):
    rows, skips = store.read(path)
    assert not skips
    return Counter((row.key, row.metric, row.value, row.repeat, store.canonical(dict(row.condition))) for row in rows)


def test_kill_9_and_rerun_gives_the_rows_of_an_unbroken_run(tmp_path):
    unbroken = run_study()
    assert unbroken.measured == len(NUMBERS) * len(REPEATS)
    expected = content(unbroken.path)
    assert len(expected) == 2 * len(NUMBERS) * len(REPEATS) and set(expected.values()) == {1}

    broken = tmp_path / "broken"
    rows_file = broken / "runs/test/toy.jsonl"
    environment = os.environ | {"EDGEKIT_OUTPUT": str(broken), "PYTHONPATH": str(HERE)}
    rng = random.Random(1)
    kills = 0
    for _ in range(60):
        child = subprocess.Popen([sys.executable, "-c", PROGRAM.format(here=str(HERE))], env=environment,
                                 stderr=subprocess.DEVNULL)
        before = rows_file.stat().st_size if rows_file.exists() else 0
        while kills < 4 and child.poll() is None and (not rows_file.exists() or rows_file.stat().st_size == before):
            time.sleep(0.01)
        if kills < 4 and child.poll() is None:
            time.sleep(rng.random() * 0.4)
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            if rows_file.exists() and kills == 2:  # as a kill in the middle of a write would leave it
                os.truncate(rows_file, rows_file.stat().st_size - 20)
        elif child.wait() == 0:
            break
    assert kills >= 3
    assert content(rows_file) == expected
    assert len(provenance.read_manifests(unbroken.path)) == 1
    assert {row.run for row in store.read(rows_file)[0]} <= set(provenance.read_manifests(rows_file))


def test_units_that_may_share_a_process_do_and_fail_alone():
    def unit(number, function="jobs:pid", shared=True):
        condition = {"task": "speed", "model": f"m{number}", "threads": 1}
        return Unit(condition, 0, function, {}, artifact="a", task="t", shared=shared)

    together = [unit(0), unit(1), unit(2, "jobs:break_down"), unit(3), unit(4, shared=False)]
    result = run_study(together)
    pids = {row.condition["model"]: row.value for row in result.rows}
    assert pids["m0"] == pids["m1"] == pids["m3"] != pids["m4"]
    assert [(skip.condition["model"], skip.reason) for skip in result.skips] == [("m2", "KeyError: 'missing'")]
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.values()), "nothing runs on after the study"


def test_what_jobs_warn_of_stands_once_in_the_manifest_of_their_run():
    def unit(number, told):
        return Unit({"task": "speed", "model": f"m{number}", "threads": 1}, 0, "jobs:warn", {"told": told}, "a", "t")

    result = run_study([unit(0, ["too large"]), unit(1, ["too large", "too old"]), unit(2, [])])
    [manifest] = provenance.read_manifests(result.path).values()
    assert sorted(manifest["warnings"]) == ["too large", "too old"] and result.measured == 3
    result = run_study([unit(3, ["too new"])])
    assert [sorted(facts["warnings"]) for facts in provenance.read_manifests(result.path).values()] == [
        ["too large", "too old"], ["too new"]]


def test_what_a_unit_opens_is_built_once_before_it_and_its_rows_say_how_they_know(monkeypatch):
    built = []

    def recorded(function, arguments, **limits):
        if function == "edgekit.compress.variant:build_path":
            built.append(arguments["text"])
            return {}
        return run_job(function, arguments, **limits)

    run_job = local.run_job
    monkeypatch.setattr(local, "run_job", recorded)
    chains = ("pocket-200k > rtn(bits=4, group=32)", "shape:smollm2-135m", "pocket-200k")
    made = [dataclasses.replace(unit, variants=chains, source="modelled") for unit in units("jobs:square")[:2]]
    itself = dataclasses.replace(units("jobs:square")[2], variants=("pocket-900k > rtn(bits=4, group=32)",), makes=True)
    result = run_study([*made, itself])
    assert built == list(chains[:2]), "what is there already is not built, nor what a job makes itself"
    [manifest] = provenance.read_manifests(result.path).values()
    assert manifest["inputs"] == {chain: variant.content_hash(chain) for chain in (*chains, *itself.variants)}
    assert [row.source for row in result.rows].count("modelled") == 4 and len(result.rows) == 6


def test_a_float_copy_of_quantized_weights_goes_with_the_last_unit_that_opens_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_OUTPUT", str(tmp_path))  # where the processes that build it look
    packed = "pocket-200k > packed_gptq(bits=4, group=32)"
    stood, copy = [], packed + variant.DEQUANTIZED

    def seen(function, arguments, **limits):
        if function == "jobs:square":
            stood.append(foreseen.whole(copy).is_built())
        return run_job(function, arguments, **limits)

    run_job = local.run_job
    monkeypatch.setattr(local, "run_job", seen)
    opens = [dataclasses.replace(unit, variants=(copy,)) for unit in units("jobs:square")[:2]]
    run_study([*opens, dataclasses.replace(units("jobs:square")[2], repeat=1)])
    assert stood == [True, True, False], "opened by two, and gone before the third"
    assert foreseen.whole(packed).is_built() and not foreseen.whole(copy).is_built()
    run_study([*opens, *units("jobs:square")[2:4]])
    assert not foreseen.whole(copy).is_built(), "what has its rows builds nothing again"


def test_a_second_run_measures_nothing(monkeypatch):
    first = run_study(units("jobs:square"))
    monkeypatch.setattr(local, "run_job", lambda *_, **__: pytest.fail("measured again"))
    before = first.path.read_bytes()
    second = run_study(units("jobs:square"))
    assert (second.measured, second.reused) == (0, 12)
    assert first.path.read_bytes() == before and second.rows == first.rows


def test_a_changed_condition_is_measured_and_the_old_rows_are_not_shown():
    run_study(units("jobs:square"))
    changed = [dataclasses.replace(unit, task="u") for unit in units("jobs:square")]
    second = run_study(changed)
    assert (second.measured, second.reused) == (12, 0)
    assert len(second.rows) == 24


def test_a_failing_unit_is_a_skip_with_its_reason_and_the_rest_goes_on():
    result = run_study(units("jobs:fail_on", bad=2))
    assert result.measured == 9 and len(result.rows) == 18
    assert {skip.condition["model"] for skip in result.unexpected} == {"m2"}
    assert all("out of memory" in skip.reason for skip in result.unexpected)
    manifest = json.loads(provenance.manifest_path(result.path).read_text()).popitem()[1]
    assert (manifest["planned"], manifest["completed"], manifest["skipped"]) == (12, 9, 3)
    mended = run_study(units("jobs:fail_on", bad=2)[:4] + units("jobs:square")[4:])
    assert len(mended.unexpected) == 3 and mended.measured == 0, "nobody asked to try it again"
    with runner.retrying(True):
        mended = run_study(units("jobs:fail_on", bad=2)[:4] + units("jobs:square")[4:])
    assert len(mended.unexpected) == 1 and mended.measured == 2


def test_what_was_interrupted_or_refused_has_not_failed_and_is_measured_at_the_next_run():
    refused = [dataclasses.replace(unit, refusal="no memory now") for unit in units("jobs:square")[:2]]
    absent = [dataclasses.replace(unit, refusal="cannot be had", planned=False) for unit in units("jobs:square")[2:3]]
    first = run_study([*refused, *absent])
    assert not first.tried and len(first.skips) == 3
    assert run_study(units("jobs:square")).measured == 12


def test_a_unit_may_have_a_time_limit_of_its_own_below_the_studys():
    [slow] = [dataclasses.replace(unit, arguments={"seconds": 30}, most_s=1.0) for unit in units("jobs:spin", seconds=30)[:1]]
    [skip] = run_units("toy", 1, Config(), [slow]).skips
    assert skip.tried and re.match("slow: stopped after . s, the longest", skip.reason)


def test_a_unit_that_is_too_slow_is_no_failure_and_stands_until_it_is_asked_for(monkeypatch):
    slow = units("jobs:spin", seconds=30)[:1]
    slow = [dataclasses.replace(unit, arguments={"seconds": 30}) for unit in slow]
    asked = Config(timeout_s=1.0)
    result = run_units("toy", 1, asked, slow)
    [skip] = result.skips
    assert skip.expected and skip.tried and re.match("slow: stopped after . s, the longest", skip.reason)
    assert not result.unexpected and result.tried == [skip]
    monkeypatch.setattr(local, "run_job", lambda *_, **__: pytest.fail("tried again"))
    assert run_units("toy", 1, asked, slow).skips == [skip]
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(store, "OUTPUT", result.path.parents[2])
    with runner.retrying(True):
        quick = [dataclasses.replace(unit, function="jobs:square", arguments={"number": 1}) for unit in slow]
        assert run_units("toy", 1, asked, quick).measured == 1


def test_what_a_unit_took_foretells_its_other_repeats(monkeypatch):
    foretold = []

    def recorded(function, arguments, **limits):
        if function == "jobs:square":
            foretold.append(limits["foretold_s"])
        return run_job(function, arguments, **limits)

    run_job = local.run_job
    monkeypatch.setattr(local, "run_job", recorded)
    run_study(units("jobs:square"))
    assert foretold[:4] == [None] * 4 and all(0 < seconds < 60 for seconds in foretold[4:])


def test_a_planned_refusal_is_expected_and_starts_nothing():
    refused = [dataclasses.replace(unit, refusal="needs 28 GB", planned=unit.condition["model"] != "m0")
               for unit in units()]
    result = run_study(refused)
    assert result.measured == 0 and len(result.skips) == 12
    assert {skip.condition["model"] for skip in result.unexpected} == {"m0"}


def test_units_run_in_another_order_each_repeat_and_the_same_each_time(monkeypatch):
    waiting = {str(i): unit for i, unit in enumerate(units() * 1)}
    order = [(unit.repeat, unit.condition["model"]) for _, unit in ordered(waiting, seed=5)]
    assert order == [(unit.repeat, unit.condition["model"]) for _, unit in ordered(waiting, seed=5)]
    assert [repeat for repeat, _ in order] == sorted(repeat for repeat, _ in order)
    rounds = [[model for r, model in order if r == repeat] for repeat in REPEATS]
    assert len({tuple(models) for models in rounds}) > 1 and all(sorted(models) == sorted(rounds[0]) for models in rounds)


def test_ctrl_c_keeps_what_was_measured(monkeypatch):
    real, calls = local.run_job, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 5:  # the first is the bandwidth for the manifest
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(local, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(units("jobs:square"))
    path = store.runs_folder("test") / "toy.jsonl"
    assert len(store.read(path)[0]) == 6
    assert provenance.read_manifests(path).popitem()[1]["completed"] == 3


@pytest.mark.parametrize("function, says", [("jobs:give_nan", "finite number"), ("jobs:give_nothing", "no observations")])
def test_a_number_that_cannot_be_kept_is_a_skip_and_the_rest_goes_on(function, says):
    result = run_study(units(function)[:1] + units("jobs:square")[1:])
    assert result.measured == 11
    assert len(result.unexpected) == 1 and says in result.unexpected[0].reason


def test_a_device_that_is_not_there_stops_the_study_with_one_sentence():
    import torch

    from edgekit.measure.device import DeviceError

    if torch.cuda.is_available():
        pytest.skip("this machine has the device that the test wants absent")
    with pytest.raises(DeviceError, match="device 'cuda' is not there: expected one of cpu"):
        run_units("toy", 1, Config(device="cuda"), units())
