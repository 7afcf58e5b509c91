"""Boards are checked before anything is measured on them: on recorded readings in the tools' own formats, and this machine."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from test_device import tree

from edgekit import cli, committed, params, provenance, store, studies
from edgekit.analyze import doubts
from edgekit.analyze.rows import rows_of
from edgekit.catalog import boards, platforms
from edgekit.catalog.boards import BoardError
from edgekit.catalog.platforms import Device
from edgekit.claims import judgement, text
from edgekit.measure import monitor, readiness, sensors
from edgekit.measure.readiness import AMISS, HIDDEN, MET, NotReady
from edgekit.report import machine
from edgekit.studies import runner
from edgekit.studies.runner import Unit, run_units

HERE = Path(__file__).parent
CPUFREQ, GPU = "sys/devices/system/cpu/cpufreq/policy0/", "sys/class/devfreq/17000000.gpu/"
# A Jetson Orin NX as its demands want it: 25 W, jetson_clocks, cool, no swap, nothing in its way
READY = {
    CPUFREQ + "scaling_min_freq": "1497600\n", CPUFREQ + "scaling_max_freq": "1497600\n",
    GPU + "min_freq": "408000000\n", GPU + "max_freq": "408000000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "47312\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n", "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n", "sys/class/thermal/cooling_device0/cur_state": "3\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n", "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "proc/meminfo": "MemTotal:       16000000 kB\nSwapTotal:       7800000 kB\nSwapFree:        7800000 kB\n"}
NVPMODEL = "#!/bin/sh\necho 'NVPM WARN: fan mode is not set!'\necho 'NV Power Mode: {}'\necho {}\n"


@pytest.fixture
def jetson(tmp_path, monkeypatch):
    """A recorded Orin NX; called with what differs, it gives the findings by what was demanded."""
    monkeypatch.setattr(sensors, "_nvml", lambda: "NVML: no driver")
    monkeypatch.setattr(readiness, "busy_share", lambda: 0.01)
    monkeypatch.setattr(readiness.device, "memory", lambda root: {"total_bytes": 16e9, "available_bytes": 14.2e9})
    monkeypatch.setattr(readiness, "require_board", lambda board: None)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    def findings(changed=(), mode=("25W", 3)):
        root = tree(tmp_path, READY | dict(changed))
        program = tree(tmp_path, {"bin/nvpmodel": NVPMODEL.format(*mode)}) / "bin/nvpmodel"
        program.chmod(0o755)
        return {found.demand.what: found for found in readiness.check(boards.get("jetson-orin-nx"), root)}

    findings.root = tmp_path
    return findings


def test_a_board_that_is_as_demanded_is_ready(jetson):
    found = jetson()
    assert {one.state for one in found.values()} == {MET}
    assert found["temperature"].seen == "47 °C" and found["power mode"].seen == "NV Power Mode: 25W"
    assert readiness.require(boards.get("jetson-orin-nx"), accept=False, root=jetson.root) == []


@pytest.mark.parametrize(("changed", "what", "seen", "mend"), [
    ({GPU + "max_freq": "918000000\n"}, "clocks", "gpu 0.41 to 0.92 GHz", "sudo jetson_clocks"),
    ({CPUFREQ + "scaling_min_freq": "729600\n"}, "clocks", "cpu0 0.73 to 1.50 GHz", "sudo jetson_clocks"),
    ({"sys/class/thermal/thermal_zone0/temp": "71500\n"}, "temperature", "72 °C", "let it cool"),
    ({"sys/class/thermal/thermal_zone0/temp": "-4000\n"}, "temperature", "-4 °C", "let it cool"),
    ({"proc/meminfo": "SwapTotal: 7800000 kB\nSwapFree: 5800000 kB\n"}, "swap in use", "2.0 GB", "sudo swapoff -a"),
    ({"sys/class/thermal/cooling_device1/cur_state": "2\n"}, "throttling", "cooling by cpufreq-cpu0", "let it cool"),
])
def test_each_demand_that_is_not_met_stops_a_run_with_what_mends_it(jetson, changed, what, seen, mend, monkeypatch):
    monkeypatch.setattr(readiness, "COOLING_S", 0.0)
    found = jetson(changed)
    assert [name for name, one in found.items() if one.state != MET] == [what]
    assert (found[what].state, found[what].seen) == (AMISS, seen)
    with pytest.raises(NotReady, match=rf"board jetson-orin-nx is not ready: {what}: expected .*, it is {seen}; mend: {mend}"):
        readiness.require(boards.get("jetson-orin-nx"), accept=False, root=jetson.root)
    assert readiness.require(boards.get("jetson-orin-nx"), accept=True, root=jetson.root) == [f"{what} {seen}"]


def test_another_power_mode_is_told_with_the_command_that_sets_the_right_one(jetson):
    found = jetson(mode=("MAXN", 0))["power mode"]
    assert found.state == AMISS and found.demand.mend == "sudo nvpmodel -m 3"
    assert readiness.sentence(found) == ("power mode: expected 25W, it is NV Power Mode: MAXN; mend: sudo nvpmodel -m 3")


def test_memory_and_load_are_numbers_between_their_ends(jetson, monkeypatch):
    monkeypatch.setattr(readiness, "busy_share", lambda: 0.3)
    monkeypatch.setattr(readiness.device, "memory", lambda root: {"total_bytes": 16e9, "available_bytes": 14e9,
                                                                  "limit_bytes": 4e9})
    found = jetson()
    assert found["background load"].seen == "30%" and found["free memory"].seen == "4.0 GB"
    assert found["background load"].stops and found["free memory"].stops


def test_what_cannot_be_read_stops_a_board_that_shows_it_and_marks_one_that_may_hide_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sensors, "_nvml", lambda: "NVML: no driver")
    monkeypatch.setattr(readiness, "busy_share", lambda: 0.01)
    monkeypatch.setattr(readiness, "require_board", lambda board: None)
    bare = tree(tmp_path, {"proc/meminfo": "SwapTotal: 0 kB\nSwapFree: 0 kB\n"})
    board = boards.get("x86-cpu")
    hidden = [one for one in readiness.check(board, bare) if one.state == HIDDEN]
    assert {one.demand.what for one in hidden} == set(board.may_hide) and not any(one.stops for one in hidden)
    caveats = readiness.require(dataclasses.replace(board, demands=tuple(one.demand for one in hidden)), False, root=bare)
    assert caveats == ["governor not readable", "temperature not readable", "throttling not readable"]
    with pytest.raises(NotReady, match=r"governor: expected performance, it could not be read \(no cpufreq in /sys"):
        readiness.require(dataclasses.replace(board, may_hide=()), False, root=bare)


@pytest.mark.parametrize(("status", "seen", "on_laptop", "on_phone"), [
    ("Discharging", "battery at 61 %", AMISS, MET), ("Charging", "mains", MET, AMISS), ("Full", "mains", MET, AMISS)])
def test_a_laptop_wants_mains_and_a_phone_its_battery(tmp_path, status, seen, on_laptop, on_phone):
    supply = "sys/class/power_supply/BAT0/"
    root = tree(tmp_path, {supply + "type": "Battery\n", supply + "status": status + "\n", supply + "capacity": "61\n",
                           "sys/class/power_supply/mouse/type": "Battery\n", "sys/class/power_supply/mouse/scope": "Device\n"})
    for name, state in (("intel-core-ultra", on_laptop), ("snapdragon-8-gen3", on_phone)):
        [demand] = [one for one in boards.get(name).demands if one.what == "power supply"]
        found = readiness.judged(demand, readiness.READERS["power supply"](root), False)
        assert (found.seen, found.state) == (seen, state)
    assert readiness.READERS["power supply"](tmp_path / "desktop") == "mains"


def test_a_board_that_is_too_warm_is_waited_for_and_no_longer_than_it_takes(jetson, monkeypatch):
    warm = "sys/class/thermal/thermal_zone0/temp"
    jetson({warm: "71500\n"})
    waited, said = [], []

    def sleep(seconds):
        if seconds != readiness.COOLING_POLL_S:  # somebody else's
            return
        waited.append(seconds)
        tree(jetson.root, {warm: f"{71500 - 6000 * len(waited)}\n"})

    monkeypatch.setattr(readiness.time, "sleep", sleep)
    assert readiness.require(boards.get("jetson-orin-nx"), accept=False, say=said.append, root=jetson.root) == []
    assert len(waited) == 3 and len(said) == 1, "71.5 - 3 * 6 is the first below 55; told once"
    assert said[0].startswith("jetson-orin-nx: 72 °C, waiting until it has cooled to 55 °C")


# Who a board is


ORIN = Device("jetson-orin-nx", "NVIDIA Jetson Orin NX", "jetson-orin-nx")
XEON = Device("intel-xeon-2c", "Intel Xeon", None)


@pytest.mark.parametrize(("board", "device", "machine", "gpu", "right"), [
    ("jetson-orin-nx", ORIN, "aarch64", "", True), ("jetson-orin-nx", XEON, "x86_64", "", False),
    ("jetson-agx-orin", ORIN, "aarch64", "", False), ("x86-cpu", XEON, "x86_64", "", True),
    ("x86-cpu", XEON, "AMD64", "", True), ("x86-cpu", ORIN, "aarch64", "", False),
    ("nvidia-gpu", XEON, "x86_64", "NVIDIA H100", True), ("nvidia-gpu", XEON, "x86_64", "", False)])
def test_a_board_that_claims_what_it_is_not_is_refused_by_name(board, device, machine, gpu, right):
    if right:
        boards.require_is(boards.get(board), device, machine, gpu)
    else:
        with pytest.raises(BoardError, match=rf"board {board}: expected .*, this machine is {device.name} \({device.slug}"):
            boards.require_is(boards.get(board), device, machine, gpu)


def test_every_profile_of_a_board_has_its_demands_its_page_and_all_notebooks():
    anywhere = {"ci", "pocket", "real", "reference"}
    assert set(boards.load()) == set(params.profiles()) - anywhere
    complete = set(studies.STUDIES)
    for board in boards.load().values():
        assert {path.stem for path in (store.ROOT / "params" / board.id).glob("*.yaml")} == complete
        assert {one.what for one in board.demands} <= set(readiness.READERS)
        page = (store.ROOT / f"docs/boards/{board.id}.md").read_text().replace(r"\|", "|")
        for demand in board.demands:
            command = re.match(r"(?:sudo|echo) [^(;,]*\w", demand.mend)
            assert not command or command[0] in page, f"{board.id}.md does not say {command[0]}"
    for known in platforms.load().values():
        board = boards.get(known.profile)
        assert board.gpu or known.id in board.platforms


@pytest.mark.parametrize(("entry", "says"), [
    ("toaster: {name: T, demands: [], platforms: []}", "toaster: wrong or missing: may_hide; an entry has"),
    ("toaster: {name: T, demands: [], platforms: [], may_hide: [heat]}", "toaster, may_hide: unknown demand 'heat'"),
    ("toaster: {name: T, demands: [{what: heat, mend: wait}], platforms: [], may_hide: []}", "demand 1: expected what, mend"),
    ("toaster: {name: T, demands: [{what: heat, mend: m, wanted: a, most: 1}], platforms: [], may_hide: []}", "demand 1"),
])
def test_a_wrong_entry_is_named(tmp_path, monkeypatch, entry, says):
    tree(tmp_path, {"data/boards.yaml": entry + "\n"})
    monkeypatch.setattr(boards.store, "ROOT", tmp_path)
    with pytest.raises(BoardError, match=says):
        boards.load()


def test_a_demand_that_nobody_can_read_is_told():
    board = dataclasses.replace(boards.get("x86-cpu"), demands=(boards.Demand("humidity", "air the room", most=0.5),))
    with pytest.raises(BoardError, match="x86-cpu: unknown demand 'humidity'; known: power mode, governor"):
        readiness.check(board)


# The command line, on this machine


def test_the_doctor_checks_this_machine_and_refuses_to_call_it_another(capsys, monkeypatch):
    if platforms.current().published == "jetson-orin-nx":
        pytest.skip("this is the board that others are refused as")
    assert cli.main(["doctor", "--board", "jetson-orin-nx"]) == 2
    assert re.search(r"edgekit: board jetson-orin-nx: expected NVIDIA Jetson Orin NX", capsys.readouterr().err)
    assert cli.main(["doctor", "--board", "orin"]) == 2
    assert "unknown board 'orin'; known: jetson-orin-nx" in capsys.readouterr().err
    if os.uname().machine == "x86_64":
        monkeypatch.setattr(readiness, "busy_share", lambda: 0.9)
        assert cli.main(["doctor", "--board", "x86-cpu", "--json"]) == 1
        facts = json.loads(capsys.readouterr().out)
        assert not facts["ready"] and "background load" in [one["demand"]["what"] for one in facts["findings"] if one["stops"]]
        cli.main(["doctor", "--board", "x86-cpu"])
        said = capsys.readouterr().out
        assert "background load  not met: expected at most 5%, it is 90%; mend: stop what runs beside it" in said


# What was accepted goes into every row


@dataclasses.dataclass(frozen=True)
class Config:
    profile: str = "here"
    seed: int = 5
    device: str = "cpu"
    timeout_s: float = 60.0
    memory_share: float = 0.9


def unit(number, repeat=0):
    return Unit({"task": "speed", "model": f"m{number}", "threads": 1}, repeat, "jobs:square", {"number": number}, "a", "t")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """This machine as a board that demands fewer degrees than it has."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setattr(readiness, "COOLING_S", 0.0)
    demand = boards.Demand("temperature", "let it cool", most=40)
    board = boards.Board("here", "This Machine", (demand,), (), (), None)
    monkeypatch.setattr(boards, "of_profile", lambda profile: board if profile == "here" else None)
    monkeypatch.setitem(readiness.READERS, "temperature", lambda root: 66.0)
    return tmp_path


def test_nothing_is_measured_on_a_board_that_is_not_ready(here):
    with pytest.raises(NotReady, match="temperature: expected at most 40 °C, it is 66 °C; mend: let it cool"):
        run_units("toy", 1, Config(), [unit(1)])
    assert store.read(here / "runs/here/toy.jsonl") == ([], [])
    elsewhere = run_units("toy", 1, Config(profile="anywhere"), [unit(1)])
    assert elsewhere.measured == 1 and "caveat" not in elsewhere.rows[0].condition


def test_what_was_accepted_stands_in_manifest_rows_tables_and_verdicts(here):
    with runner.accepting(True):
        result = run_units("toy", 1, Config(), [unit(1), unit(2)])
    assert runner.ACCEPT not in os.environ
    [manifest] = provenance.read_manifests(result.path).values()
    assert manifest["caveats"] == ["temperature 66 °C"]
    assert machine.facts(manifest)["Not as demanded, and accepted"] == "temperature 66 °C"
    assert {row.condition["caveat"] for row in result.rows} == {"temperature 66 °C"} and len(result.rows) == 4
    frame = store.to_frame(result.rows)
    assert doubts.told(frame) == "Measured on a board that was not as it should be, which was accepted: temperature 66 °C."
    assert len(rows_of(frame, "speed")) == 4, "they are shown, and told"
    again = run_units("toy", 1, Config(), [unit(1), unit(2)])
    assert (again.measured, again.reused) == (0, 2), "rows that are there are shown on a board that is not ready"


@pytest.fixture(scope="module")
def measured():
    """Rows of the baseline, its platform, and its verdicts by claim."""
    [rows] = [rows for rows in committed.files() if (rows.study, rows.profile) == ("02_baseline", committed.REFERENCE)]
    frame = store.read_frame(rows.path)[0]
    return frame, rows.platform, judge(frame, rows.platform)


def judge(frame, platform):
    return {verdict.claim.id: verdict for verdict in judgement.judge(judgement.load("02_baseline"), frame, platform)}


def test_a_verdict_says_what_was_accepted(measured):
    frame, platform, before = measured
    after = judge(frame.assign(caveat="swap in use 2.0 GB"), platform)
    decided = [name for name, verdict in after.items() if verdict.seen and verdict.caveats]
    assert decided and any("board" in after[name].caveats for name in decided)
    for name in decided:
        assert after[name].verdict == before[name].verdict and "board" not in before[name].caveats
        if "board" in after[name].caveats:
            assert "The board was not as it should be, which was accepted: swap in use 2.0 GB." in text.reason(after[name])


def test_a_throttled_repeat_is_kept_and_moves_no_verdict(measured):
    """Repeats ten times as slow beside the others: kept in the rows, told, and in no headline."""
    frame, platform, before = measured
    slow = frame[(frame.task == "speed") & (frame.repeat == 0)].assign(throttled="cooling by cpufreq-cpu0", repeat=99)
    slow.loc[slow.metric.isin(("tpot_s", "ttft_s", "decode_s")), "value"] *= 10
    both = pd.concat([frame, slow], ignore_index=True)
    after = judge(both, platform)
    assert len(slow) > 20 and len(rows_of(both, "speed")) == len(rows_of(frame, "speed"))
    for name, verdict in before.items():
        assert [str(seen.estimate) for seen in verdict.seen] == [str(seen.estimate) for seen in after[name].seen]
    assert any("throttled" in verdict.caveats for verdict in after.values())
    assert re.search(r"held itself back meanwhile: cooling by cpufreq-cpu0 \(\d+ repeats\)", doubts.told(both))


@pytest.mark.parametrize(("holding", "clocks", "says"), [
    ({"cooling by cpufreq-cpu0"}, [1.98e9] * 9, "cooling by cpufreq-cpu0"),
    (set(), [1.98e9, 0.73e9], "cpu clock fell from 1.98 to 0.73 GHz"), (set(), [1.98e9] * 9, "")])
def test_a_repeat_in_which_the_device_held_itself_back_is_marked(here, monkeypatch, holding, clocks, says):
    """On a board whose clocks are fixed before a run, a clock that moves is held back by something, whoever says so."""
    fixed = boards.Board("here", "This Machine", (boards.Demand("clocks", "fix them", wanted="fixed"),), (), (), None)
    monkeypatch.setattr(boards, "of_profile", lambda profile: fixed)
    monkeypatch.setitem(readiness.READERS, "clocks", lambda root: "fixed")
    seen = itertools.chain(clocks, itertools.repeat(clocks[-1]))
    monkeypatch.setattr(monitor.sensors, "read_clocks", lambda root: {"cpu": [next(seen)]})
    monkeypatch.setattr(monitor.throttle, "active", lambda root: holding)
    result = run_units("toy", 1, Config(), [unit(1)])
    assert {row.condition.get("throttled", "") for row in result.rows} == {says} and result.measured == 1
    [manifest] = provenance.read_manifests(result.path).values()
    [stood] = manifest["states"].values()
    assert stood["samples"] >= 2 and stood["clocks_hz"]["cpu"][2] == 1.98e9
    told = machine.facts(manifest)["While 1 unit ran"]
    assert f"cpu {clocks[-1] / 1e9:.2f} to 1.98 GHz" in told and ("held back in 1 of them" in told) is bool(holding)
    frame = store.to_frame(result.rows)
    assert len(rows_of(frame, "speed")) == (0 if says else 2) and ("Left out" in doubts.told(frame)) is bool(says)
