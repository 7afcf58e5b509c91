"""Several boards measure for one, on this machine: whatever happens to them, each unit has its rows once."""

from __future__ import annotations

import ast
import datetime
import json
import random
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy_nights
from loopback import loopback

from edgekit import cli, provenance, store, unattended
from edgekit.catalog import platforms
from edgekit.errors import EdgekitError
from edgekit.fleet import board, executor, members, security, settings, ship
from edgekit.fleet.errors import FleetError, FleetLost
from edgekit.fleet.executor import Fleet, scope_of
from edgekit.fleet.placing import Placing
from edgekit.studies import night
from edgekit.studies.local import Allowed
from edgekit.studies.night import Bounds, Task
from edgekit.studies.runner import Unit

PATIENCE_S = 60.0


class Told:
    """A watch that remembers."""

    def __init__(self):
        self.began, self.ended = [], []

    def begins(self, task, where, *_):
        self.began.append((task.key, where))

    def ends(self, task, outcome):
        self.ended.append((task.key, outcome))


def run_on(address: str, certificates: Path | None = None, patience_s: float = PATIENCE_S, kind: str | None = None):
    """A night of the toy study on a fleet: its tally, what was told, and what was said of the boards."""
    said, told = [], Told()
    with Fleet(address, certificates, kind or platforms.current().slug, scope_of("ci"), patience_s, said.append) as fleet:
        [tally] = night.run([toy_nights.STUDY], "ci", fleet, Bounds(), told)
    return tally, told, said


def values(tally) -> dict[str, float]:
    """The first number of each unit, which is its own; each metric of each unit stands once."""
    counts = Counter((row.key, row.metric) for row in tally.result.rows)
    assert set(counts.values()) == {1}
    return {row.condition["model"]: row.value for row in tally.result.rows if row.metric == "ttft_s"}


@pytest.fixture
def quiet(monkeypatch):
    """The search for the kit's own commit is of no interest here."""
    monkeypatch.setattr(provenance, "git_state", lambda: ("none", True))


def test_a_night_on_boards_that_are_killed_and_come_again_is_complete_and_says_so(tmp_path, monkeypatch, capsys):
    """`edgekit run --fleet` with two notebooks, one of which goes on from its rows."""
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=15, rounds=2, function="jobs:slow_square")
    monkeypatch.setattr(unattended, "check", lambda *_: {})
    monkeypatch.setattr(unattended, "plans_the_same", lambda *_: False)
    log, begins, began = tmp_path / "night.jsonl", unattended.Watch.begins, []

    def disturbed(self, task, where, *rest):
        """Every so often the board that has just begun is killed in the middle of it, and comes again."""
        begins(self, task, where, *rest)
        began.append(task.key)
        if len(began) in (9, 34):
            threading.Timer(0.05, lambda: (fleet.kill(where), fleet.start(where))).start()

    monkeypatch.setattr(unattended.Watch, "begins", disturbed)
    with loopback(tmp_path, ["a-1", "a-2"]) as fleet:
        for name in fleet.boards:
            fleet.joined(name)
        assert cli.main(["run", *toy_nights.STUDIES, "--profile", "ci", "--fleet", fleet.address, "--log", str(log)]) == 0
    said, boards = capsys.readouterr(), set()
    for study, units in ((toy_nights.STUDY, 30), (toy_nights.OTHER, 15)):
        path = store.runs_folder("ci") / f"{study}.jsonl"
        rows, skips = store.read(path)
        counts = Counter((row.key, row.metric) for row in rows)
        assert len(counts) == 2 * units and set(counts.values()) == {1} and not skips
        assert {row.key for row in rows} == store.plan_of(path)
        assert {row.condition["model"]: row.value for row in rows if row.metric == "ttft_s"} == {
            f"m{number}": number**2 + 0.5 for number in range(units)}
        assert {row.run for row in rows} <= provenance.read_manifests(path).keys()
        boards |= {row.run.rsplit(".")[-1] for row in rows}
        assert re.search(rf"^{study} +{units} +{units} +{units}$", said.out, re.M), "planned, with rows, new"
        assert json.loads(log.read_text().splitlines()[-1])["notebooks"][study] == {
            "planned": units, "with rows": units, "new": units, "skipped": 0, "failed": 0, "left": 0}
    assert boards == {"a-1", "a-2"}
    assert len(began) > 45 and sum(line.endswith(" left") for line in said.err.splitlines()) == 2, "nobody was disturbed"


def test_one_that_is_not_what_it_says_or_runs_another_kit_is_named_and_not_asked(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=4)
    with loopback(tmp_path) as fleet:
        fleet.start("liar", "kind=jetson-orin-nx")
        fleet.start("old", "edgekit=0.0.9")
        fleet.start("true")
        for name in fleet.boards:
            fleet.joined(name)
        tally, told, said = run_on(fleet.address)
        assert {where for _, where in told.began} == {"true"} and len(values(tally)) == 4
        slug = platforms.current().slug
        assert f"liar is not taken: it says it is jetson-orin-nx, and its platform is {slug}" in said
        assert any(line.startswith("old is not taken: it runs another kit (edgekit 0.0.9 there, 0.") for line in said)
        with pytest.raises(FleetLost, match="no board of the kind apple-m2-pro joined .* within 4 s; join one: edgekit fleet"):
            run_on(fleet.address, patience_s=4, kind="apple-m2-pro")


def test_two_kits_differ_by_what_their_numbers_depend_on():
    one = dict(edgekit="1", code="a", python="3.11.7")
    assert members.different(one, dict(edgekit="1", code="a", python="3.11.9")) == ""
    assert members.different(one, dict(edgekit="2", code="b", python="3.12.1")) == (
        "edgekit 2 there, 1 here, code b there, a here, python 3.12 there, 3.11 here")


def test_where_every_board_vanishes_what_waits_is_skipped_with_the_reason_and_measured_by_the_next_run(tmp_path, monkeypatch):
    """The board goes when it has measured and before its answer is fetched: that is not lost, and nobody waits for it."""
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=8, function="jobs:slow_square", shared=False)
    with loopback(tmp_path, ["a-1"]) as fleet:
        begins, fetch, began = Told.begins, members.Members._fetch, []

        def counted(self, task, where, *rest):
            begins(self, task, where, *rest)
            began.append(task.key)

        def third(self, member, *rest):
            if len(began) == 3:
                fleet.kill("a-1")
            fetch(self, member, *rest)

        fleet.joined("a-1")
        with monkeypatch.context() as patch:
            patch.setattr(Told, "begins", counted)
            patch.setattr(members.Members, "_fetch", third)
            tally, _, said = run_on(fleet.address, patience_s=3)
        assert tally.result.measured == 2 and "a-1 left" in said
        assert {(skip.reason, skip.expected, skip.tried) for skip in tally.result.skips} == {
            (f"no board of the kind {platforms.current().slug} was there for 3 s", False, False)}
        fleet.start("a-1")
        tally, told, _ = run_on(fleet.address)
        assert len(values(tally)) == 8 and not tally.result.skips
        assert told.began[0][0] == began[2], "what waits there is fetched first"


def test_a_board_that_is_silent_in_the_middle_of_a_unit_is_done_without_and_goes_on_when_it_is_back(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=24, function="jobs:slow_square")
    monkeypatch.setenv("TOY_TTL", "2s")  # a board may be silent so long; Dask adds some
    with loopback(tmp_path, ["a-1", "a-2"]) as fleet:
        for name in fleet.boards:
            fleet.joined(name)
        begins, silent = Told.begins, []

        def cut(self, task, where, *rest):
            begins(self, task, where, *rest)
            if len(self.began) == 8:
                silent.append((task.key, where))
                fleet.boards[where].send_signal(signal.SIGSTOP)
                threading.Timer(11, fleet.boards[where].send_signal, [signal.SIGCONT]).start()
            if where in [name for _, name in silent] and len(self.began) > 8:
                silent.append((task.key, where))
            if len(self.began) > 8 and len(silent) == 1:
                time.sleep(1)  # there is still something to do when it is back

        monkeypatch.setattr(Told, "begins", cut)
        tally, told, said = run_on(fleet.address)
    assert len(values(tally)) == 24 and tally.result.measured == 24
    assert f"{silent[0][1]} left" in said and len(silent) > 1, "it was given units again"
    assert len([key for key, _ in told.began if key == silent[0][0]]) == 2


def test_what_a_board_measured_for_a_run_that_is_gone_is_not_measured_again(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=5)
    with loopback(tmp_path, ["a-1"]) as fleet:
        first, _, _ = run_on(fleet.address)
        keys = sorted({row.key for row in first.result.rows})
        outbox = tmp_path / "a-1" / "fleet" / "a-1" / "outbox" / scope_of("ci")
        assert not list(outbox.glob("*")), "it forgets what the run has"
        first.result.path.unlink()
        facts = json.loads(store.canonical(list(provenance.read_manifests(first.result.path).values())[0]["machine"]))
        key = keys[-1]
        kept = dict(outcome=dict(facts=dict(board="a-1", platform=platforms.current().slug, machine=facts, packages={},
                                            git_commit="c", git_dirty=False, bandwidth=[1.0]), reason="", expected=True,
                                 answer={"observations": [{"metric": "load_s", "value": 0.25}]}, tried=True, left=False,
                                 took_s=1.0), built=[])
        outbox.mkdir(parents=True, exist_ok=True)
        (outbox / f"{key}.json").write_text(json.dumps(kept))
        second, told, _ = run_on(fleet.address)
        again = {row.key: row.value for row in second.result.rows if row.metric == "load_s"}
        assert again[key] == 0.25 and len(again) == 5 and told.began[0][0] == key


def test_a_scheduler_that_is_none_or_not_there_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    with pytest.raises(FleetLost, match=r"no scheduler answers at tcp://127.0.0.1:9 .*edgekit fleet start"):
        Fleet("tcp://127.0.0.1:9", None, "any", "ab", 1.0, print)
    with pytest.raises(FleetError, match="expected tls:// with --certificates FOLDER, or tcp:// without"):
        Fleet("tls://127.0.0.1:9", None, "any", "ab", 1.0, print)


def test_only_members_with_a_valid_certificate_of_the_same_authority_are_let_in(tmp_path, monkeypatch):
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=4)
    desk, board, guest = security.make(tmp_path / "ours", ["desk", "a-1", "guest"], 30)
    [stranger] = security.make(tmp_path / "theirs", ["a-2"], 30)
    assert (desk / "key.pem").stat().st_mode & 0o77 == 0
    with loopback(tmp_path, certificates=desk) as fleet:
        fleet.start("a-1", f"certificates={board}")
        fleet.start("a-2", f"certificates={stranger}")
        fleet.joined("a-1")
        tally, told, _ = run_on(fleet.address, guest)
        assert len(values(tally)) == 4 and {where for _, where in told.began} == {"a-1"}
        assert fleet.boards["a-2"].wait(60) != 0
        assert "FleetError" in fleet.log("a-2") and "the certificates do not agree" in fleet.log("a-2")
        with pytest.raises(FleetError, match="the certificates do not agree"):
            run_on(fleet.address, stranger)
        with pytest.raises(FleetError, match="expected tls:// with --certificates"):
            run_on(fleet.address)
        with monkeypatch.context() as patch:
            patch.setattr(security.datetime, "datetime", Earlier)
            [late] = security.make(tmp_path / "ours", ["late"], 1)
        monkeypatch.setattr(security, "_require_valid", lambda _: None)
        with pytest.raises(FleetError, match="the certificates do not agree"):  # where it does not look itself
            run_on(fleet.address, late)


class Earlier(datetime.datetime):
    """A clock that is nine days late."""

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - datetime.timedelta(days=9)


def test_a_certificate_that_is_out_of_date_or_of_another_authority_is_named_before_anything_is_asked(tmp_path, monkeypatch):
    [own] = security.make(tmp_path / "ours", ["a-1"], 1)
    [other] = security.make(tmp_path / "theirs", ["a-1"], 1)
    address = "tls://127.0.0.1:1"
    assert security.load(own, address).tls_worker_cert == str(own / "cert.pem")
    with pytest.raises(FleetError, match="holds a certificate that is valid until"):
        security.make(tmp_path / "ours", ["a-1"], 1)
    with pytest.raises(FleetError, match="expected a name of a-z"):
        security.make(tmp_path / "ours", ["A 1"], 1)

    with monkeypatch.context() as patch:
        patch.setattr(security.datetime, "datetime", Earlier)
        [late] = security.make(tmp_path / "ours", ["late"], 1)
    with pytest.raises(FleetError, match="cert.pem was valid until .* UTC; make another one"):
        security.load(late, address)
    (own / "ca.pem").write_bytes((other / "ca.pem").read_bytes())
    with pytest.raises(FleetError, match="cert.pem is not of the authority in ca.pem"):
        security.load(own, address)
    (own / "key.pem").unlink()
    with pytest.raises(FleetError, match="key.pem is not there"):
        security.load(own, address)


def test_a_board_runs_the_jobs_of_studies_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    here = board.Board("a-1", "any", tmp_path / "a-1")
    unit = dict(condition=dict(threads=1), repeat=0, function="os:system", arguments=dict(command="true"), artifact="", task="",
                refusal=None, planned=True, shared=False, first=False, variants=[], makes=False, reads=[], source="measured",
                holds=[])
    request = dict(scope="ab", finished=[], key="k", unit=unit, allowed={}, within_s=None, built=[])
    for function in ("os:system", "edgekit.cli:main", "edgekit.measure.worker:run_job", "edgekit.measure.a:measure_b;x",
                     "edgekit.studies.frontier.jobs_parallel:clock_copies"):
        with pytest.raises(EdgekitError, match="is no job of a study"):
            here.measure(request | dict(unit=unit | dict(function=function)))
    with pytest.raises(EdgekitError, match="no scope of a run"):
        here.measure(request | dict(scope="../x"))


def test_what_a_board_would_run_is_what_units_name_and_no_more():
    home = store.ROOT / "edgekit"
    planned, jobs = {"": (home / "studies/units.py").read_text()}, []
    for path in (home / "studies").glob("*/plan*.py"):
        planned[path.parent.name] = planned.get(path.parent.name, "") + path.read_text()
    named = [name for text in planned.values() for name in re.findall(r':(\w+)"', text)]
    assert len(named) > 25 and all(name.startswith("measure_") for name in named)
    for path in [*(home / "measure").glob("*.py"), *(home / "studies").glob("*/jobs*.py")]:
        module = ".".join(path.relative_to(home.parent).with_suffix("").parts)
        jobs += [(path.parent.name, node.name) for node in ast.parse(path.read_text()).body
                 if isinstance(node, ast.FunctionDef) and board.MEASURES.fullmatch(f"{module}:{node.name}")]
    assert len(jobs) > 35
    for folder, name in jobs:
        text = planned.get(folder) or "".join(planned.values())
        assert re.search(rf'[:"]{name}"', text), f"a board would run {folder} {name}, which no unit names: call it otherwise"


def test_artifacts_travel_in_pieces_and_what_did_not_arrive_whole_is_thrown_away(tmp_path, monkeypatch):
    monkeypatch.setattr(ship, "PIECE_BYTES", 1000)
    address, there, here = "0123456789abcdef", tmp_path / "there", tmp_path / "here"
    folder = there / "artifacts" / address
    folder.mkdir(parents=True)
    content = {"weights.bin": bytes(range(256)) * 20, "empty.txt": b""}
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "artifact.json").write_text(json.dumps({"files": {name: len(data) for name, data in content.items()}}))

    def answered(damage=lambda call, data: data):
        """Pull as a board at `there` answers it."""
        talk, answer = ship.pull(address), None
        while True:
            monkeypatch.setattr(store, "OUTPUT", here)
            try:
                call, request, _ = talk.send(answer)
            except StopIteration:
                return
            monkeypatch.setattr(store, "OUTPUT", there)
            answer = (ship.listing(address), b"") if call == "listing" else (
                {}, damage(request, ship.read(address, request["file"], request["at"])))

    with pytest.raises(ship.ShipError, match="weights.bin did not arrive as it was sent"):
        answered(lambda request, data: data[::-1] if request["at"] == 1000 else data)
    assert not (here / "artifacts" / address).exists() and not list((here / "artifacts").glob(".arriving*"))
    answered()
    assert {name: (here / "artifacts" / address / name).read_bytes() for name in content} == content
    monkeypatch.setattr(store, "OUTPUT", here)
    assert ship.here() == [address] and ship.listing(address)["weights.bin"][0] == 5120
    for wrong in ("../x", "0123", ""):
        with pytest.raises(ship.ShipError, match="no address"):
            ship.place(wrong)
    with pytest.raises(ship.ShipError, match="no name of a file"):
        ship.read(address, "../artifact.json", 0)


def test_blocks_stay_on_a_board_and_each_unit_is_given_once_whoever_comes_and_goes():
    rng = random.Random(5)
    for _ in range(30):
        blocks = [rng.choice([None, *range(6)]) for _ in range(200)]
        placing, boards, has, done = Placing(blocks), ["a", "b", "c", "d"], {}, []
        where: dict[int, str] = {}
        while placing.left or has:
            name = rng.choice(boards)
            if name in has:
                place = has.pop(name)
                if rng.random() < 0.1:  # the board is gone, and comes again
                    placing.gone(name)
                    where = {block: board for block, board in where.items() if board != name}
                    placing.back(place)
                else:
                    done.append(place)
            elif (place := placing.next(name, lambda place: rng.random() < 0.9)) is not None:
                has[name] = place
                if blocks[place] is not None:
                    assert where.setdefault(blocks[place], name) == name
        assert sorted(done) == list(range(200))
    alone, order = Placing([None, 0, 0, 1, None]), []
    while (place := alone.next("a", lambda _: True)) is not None:
        order.append(place)
    assert order == [0, 1, 2, 3, 4]
    held = Placing([None, None, 0])
    assert held.next("a", lambda place: place != 0) == 1 and held.take(2) and not held.take(2) and held.left == 1


def test_a_unit_with_which_boards_vanished_twice_comes_after_all_others_in_and_out_of_blocks():
    def task(number: int, shared: bool) -> Task:
        return Task("toy", str(number), Unit(dict(threads=1), 0, "jobs:square", {}, "a", "t", shared=shared),
                    Allowed(60.0, 0.9, "cpu"), 1.0)

    tasks = [task(0, True), task(1, False), task(2, False), task(3, True)]
    at = executor._Round(SimpleNamespace(opens=lambda task: [], _members=None), tasks, None)
    at._lost |= {0: executor.LATE, 3: executor.LATE - 1}
    assert [at._next(members.Member("a-1")) for _ in range(5)] == [1, 2, 3, 0, None]
    at._placing.back(1)
    at._lost[1] = executor.LATE
    assert [at._next(members.Member("a-1")) for _ in range(2)] == [1, None], "it is tried again"


def test_what_dask_sets_for_its_processes_does_not_reach_a_measurement(tmp_path, monkeypatch):
    environment = dict.fromkeys(settings.LIMITS, "1") | {"HOME": "/"}
    settings.undo_limits(environment)
    assert environment == {"HOME": "/"}
    toy_nights.build(tmp_path / "home", monkeypatch, jobs=1, function="jobs:limits", threads=3)
    with loopback(tmp_path, ["a-1"]) as fleet:
        tally, _, _ = run_on(fleet.address)
    assert {row.metric: row.value for row in tally.result.rows} == {"ttft_s": 3.0, "load_s": 0.0}
