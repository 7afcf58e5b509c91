"""Rows are whole or absent, and a rerun adds what is missing and nothing else."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from edgekit import provenance, store
from edgekit.store import Row, Skip, Store, StoreError


def row(value: float, repeat: int = 0, **condition) -> Row:
    return Row("r", "study", condition or {"model": "m"}, "ttft_s", value, repeat)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.jsonl"


def test_what_is_appended_is_read_back_in_order(path):
    with Store(path) as file:
        file.append("a", [row(1.5), row(2.5, 1)])
        file.append("b", [row(3.5)])
    rows, skips = store.read(path)
    assert [(r.key, r.value, r.repeat) for r in rows] == [("a", 1.5, 0), ("a", 2.5, 1), ("b", 3.5, 0)]
    assert skips == []


def test_the_time_of_a_unit_is_kept_and_files_without_it_are_read_and_written_as_before(path):
    with Store(path) as file:
        file.append("a", [row(1.5), row(2.5, 1, task="size")], 12.25)
        file.append("b", [row(3.5, task="speed")])
    assert json.loads(path.read_text().splitlines()[2]) == {"key": "a", "rows": 2, "took_s": 12.25}
    assert json.loads(path.read_text().splitlines()[4]) == {"key": "b", "rows": 1}
    units, skips = store.finished(path)
    assert {key: unit.took_s for key, unit in units.items()} == {"a": 12.25, "b": None} and not skips
    assert units["a"].tasks == {"", "size"} and units["b"].condition == {"task": "speed"} and units["a"].run == "r"
    assert [r.value for r in store.read(path)[0]] == [1.5, 2.5, 3.5]
    assert store.finished(path.with_name("none.jsonl")) == ({}, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1.0", True])
def test_a_value_that_is_no_finite_number_is_refused(value):
    with pytest.raises(StoreError, match="finite number"):
        row(value)


def test_unknown_metric_and_source_list_the_known_ones():
    with pytest.raises(StoreError, match="tpot_s"):
        Row("r", "s", {}, "speed", 1.0)
    with pytest.raises(StoreError, match="published"):
        Row("r", "s", {}, "ttft_s", 1.0, source="guessed")


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_costs_one_unit_and_nothing_before_it(path, cut, capsys):
    """Cut anywhere inside the last block: the blocks before it stand, the torn one is to be measured again."""
    with Store(path) as file:
        file.append("a", [row(1.0)])
        whole = path.stat().st_size
        file.append("b", [row(2.0), row(3.0)])
    data = path.read_bytes()
    block = len(data) - whole
    path.write_bytes(data[: len(data) - min(block - 1, cut * block // 60 + 1)])
    with Store(path) as file:
        assert file.done == {"a"}
        file.append("b", [row(2.0), row(3.0)])
    assert "measured again" in capsys.readouterr().err
    assert path.read_bytes() == data


def test_reading_a_torn_file_warns_and_gives_the_whole_units(path):
    with Store(path) as file:
        file.append("a", [row(1.0)])
        file.append("b", [row(2.0)])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="unfinished"):
        rows, _ = store.read(path)
    assert [r.key for r in rows] == ["a"]


def test_a_damaged_line_in_the_middle_is_named(path):
    with Store(path) as file:
        file.append("a", [row(1.0)])
        file.append("b", [row(2.0)])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "{broken\n" + "".join(lines[2:]))
    with pytest.raises(StoreError, match="line 2"):
        Store(path)


def test_a_lost_row_inside_a_block_is_noticed(path):
    with Store(path) as file:
        file.append("a", [row(1.0), row(2.0, 1)])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    with pytest.raises(StoreError, match="says 2 rows, 1"):
        store.read(path)


def test_a_unit_is_never_doubled(path):
    with Store(path) as file:
        file.append("a", [row(1.0)])
        with pytest.raises(StoreError, match="already"):
            file.append("a", [row(1.0)])
    assert len(store.read(path)[0]) == 1


def test_a_skip_stands_until_its_unit_has_rows_and_is_written_once(path):
    skip = Skip("r", "study", {"model": "m"}, "no memory", True, "a")
    with Store(path) as file:
        file.skip(skip)
        file.skip(skip)
        assert len(path.read_text().splitlines()) == 1
    assert store.read(path)[1] == [skip]
    with Store(path) as file:
        file.append("a", [row(1.0)])
    assert store.read(path)[1] == []


def test_two_writers_at_once_are_refused(path):
    with Store(path), pytest.raises(StoreError, match="another run"):
        Store(path)
    with Store(path):
        pass


def test_a_full_disk_keeps_what_was_measured_and_says_so(path):
    """A real ENOSPC-like failure: the process may not write files past a limit."""
    program = f"""
import resource, signal
from edgekit.store import Row, Store, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = [Row("r", "s", {{"model": "m" * 50}}, "ttft_s", 1.0, i) for i in range(20)]
with Store({str(path)!r}) as file:
    file.append("a", rows[:2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
    try:
        file.append("b", rows)
    except StoreError as error:
        print(error)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "is kept" in done.stdout and "run the same command again" in done.stdout
    rows, _ = store.read(path)
    assert [r.key for r in rows] == ["a", "a"]


def test_every_part_of_a_condition_changes_its_key():
    def key(**changed):
        made = dict(study="s", version=1, condition={"model": "m"}, repeat=0, artifact="x", task="t", platform="p") | changed
        return store.condition_key(made.pop("study"), made.pop("version"), made.pop("condition"), **made)

    changes = [dict(study="s2"), dict(version=2), dict(condition={"model": "n"}), dict(repeat=1), dict(artifact="y"),
               dict(task="u"), dict(platform="q")]
    keys = {key()} | {key(**change) for change in changes}
    assert len(keys) == len(changes) + 1
    assert key(condition={"a": 1, "b": 2}) == key(condition={"b": 2, "a": 1})


def test_manifests_of_several_runs_stand_side_by_side(path):
    def manifest(run):
        return provenance.Manifest(run=run, study="s", params={}, seed=0, git_commit="c", git_dirty=False, packages={},
                              machine={}, platform="p", memory_bandwidth_byte_per_s=[1.0], inputs={}, started="now")

    provenance.write_manifest(path, manifest("one"))
    provenance.write_manifest(path, manifest("two"))
    assert list(provenance.read_manifests(path)) == ["one", "two"]
    assert json.loads(provenance.manifest_path(path).read_text())["two"]["git_commit"] == "c"


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "file.txt"
    store.write_atomically(target, "old")
    monkeypatch.setattr(store.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="No space left"):
        store.write_atomically(target, "new")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
