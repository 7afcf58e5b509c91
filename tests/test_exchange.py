"""Archives: the same bytes for the same runs, no name of the machine in them, nothing unpacked that is not what was packed."""

from __future__ import annotations

import dataclasses
import getpass
import hashlib
import io
import json
import tarfile

import pytest

import edgekit
from edgekit import cli, provenance, store
from edgekit.exchange import archive, pack, scrub

STUDY, HOST, USER = "02_baseline", "labbench7", "mfischer"


def manifest(run: str = "r1", platform: str = "board-a", **changes) -> dict:
    facts = dict(run=run, study=STUDY, params={"profile": "pocket"}, seed=0, git_commit="a" * 40, git_dirty=False, packages={},
                 machine={"os": f"Linux on {HOST}"}, platform=platform, memory_bandwidth_byte_per_s=[3e10], inputs={},
                 started="2026-01-02T03:04:05+00:00", version=2)
    return dataclasses.asdict(provenance.Manifest(**(facts | changes)))


def row(value: float, repeat: int = 0, model: str = "pocket-3m", run: str = "r1") -> store.Row:
    return store.Row(run, STUDY, {"task": "speed", "model": model}, "ttft_s", value, repeat)


def write(profile: str, units: dict[str, list], *runs: dict, skips=()) -> None:
    path = store.runs_folder(profile) / f"{STUDY}.jsonl"
    with store.Store(path) as file:
        for key, rows in units.items():
            file.append(key, rows, 1.5)
        for skip in skips:
            file.skip(skip)
    provenance.manifest_path(path).write_text(json.dumps({one["run"]: one for one in runs}))
    store.write_plan(path, [*units, *(skip.key for skip in skips)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine whose host, user and folders are known, with a profile that was run: two units, a failed one, a notebook."""
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "home" / USER / "work")
    monkeypatch.setattr(scrub.platform, "node", lambda: f"{HOST}.example.org")
    monkeypatch.setattr(scrub.getpass, "getuser", lambda: USER)
    failed = store.Skip("r1", STUDY, {"task": "speed", "model": "big"},
                        f"killed: /home/{USER}/.cache/x.log on {HOST}, user {USER}", False, "k3", True)
    write("pocket", {"k1": [row(0.5)], "k2": [row(0.25, 1)]}, manifest(), skips=[failed])
    executed = {"cells": [{"cell_type": "code", "outputs": [{"text": f"rows in {store.OUTPUT}/runs, {USER}@{HOST}"}]}]}
    (store.runs_folder("pocket") / f"{STUDY}.ipynb").write_text(json.dumps(executed))
    return tmp_path


def rows_of(profile: str) -> tuple[list, list]:
    return store.read(store.runs_folder(profile) / f"{STUDY}.jsonl")


def test_the_same_runs_are_the_same_bytes_and_come_back_whole(here):
    first, second = pack.pack("pocket", here / "a.tar"), pack.pack("pocket", here / "b.tar")
    assert first.read_bytes() == second.read_bytes()
    [merged] = pack.unpack([first], into="theirs")
    assert (merged.new, merged.known) == (3, 0) and rows_of("theirs")[0] == rows_of("pocket")[0]
    [skip] = rows_of("theirs")[1]
    assert skip.key == "k3" and not skip.expected and store.finished(merged.path)[0]["k1"].took_s == 1.5
    assert provenance.read_manifests(merged.path)["r1"]["git_commit"] == "a" * 40
    assert (store.runs_folder("theirs") / "params/02_baseline.yaml").read_text() == (
        store.ROOT / "params/pocket/02_baseline.yaml").read_text()
    before = {path: path.read_bytes() for path in store.runs_folder("theirs").rglob("*") if path.is_file()}
    assert [(one.new, one.known) for one in pack.unpack([first, second], into="theirs")] == [(0, 6)]
    assert before == {path: path.read_bytes() for path in store.runs_folder("theirs").rglob("*") if path.is_file()}


def test_no_host_no_user_and_no_home_folder_is_in_an_archive(here):
    found = pack.packed("pocket")
    text = b"\n".join(found.members.values()).decode()
    for word in (HOST, USER, str(here), "/home/", str(store.OUTPUT), getpass.getuser()):
        assert word not in text, word
    assert "killed: ~/.cache/x.log on [host], user [user]" in text and "rows in ./runs, [user]@[host]" in text
    assert HOST in provenance.manifest_path(store.runs_folder("pocket") / f"{STUDY}.jsonl").read_text(), "the original stays"


def test_a_condition_is_never_renamed_by_scrubbing(here):
    named = store.line(row(1.0, model=f"pocket-{USER}")).strip()
    assert scrub.scrubbed(named) == named, "a part of a word is no name"
    with pytest.raises(scrub.ScrubError, match=f"line 1: model={USER} has the name"):
        scrub.scrubbed_rows(store.line(row(1.0, model=USER)), "rows")
    path = scrub.scrubbed_rows(store.line(row(1.0, model=f"/home/{USER}/models/mine")), "rows")
    assert json.loads(path)["condition"]["model"] == "~/models/mine"


def repacked(path, change) -> None:
    """An archive anew, with its members (name, bytes, TarInfo) as `change` gives them back."""
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, content in change(members):
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def contents(members, **changes):
    (head, told), *rest = members
    facts = json.loads(told) | changes
    facts["sha256"] = {member.name: hashlib.sha256(content).hexdigest() for member, content in rest}
    return [(head, json.dumps(facts).encode()), *rest]


def with_member(name: str, **attributes):
    """Another member under a name, which the contents name too."""
    def change(members):
        member = tarfile.TarInfo(name)
        for attribute, value in attributes.items():
            setattr(member, attribute, value)
        return contents([*members, (member, b"" if attributes else b"x")])
    return change


@pytest.mark.parametrize("change, says", [
    (with_member("../outside.jsonl"), "'../outside.jsonl' is no name of a member"),
    (with_member("rows/../../outside.jsonl"), "is no name of a member"),
    (with_member("/etc/cron.d/x.yaml"), "is no name of a member"),
    (with_member("rows/deep/er.jsonl"), "is no name of a member"),
    (with_member("rows/a.sh"), "is no name of a member"),
    (with_member("rows/link.jsonl", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link, a folder or a device"),
    (with_member("rows/hard.jsonl", type=tarfile.LNKTYPE, linkname="contents.json"), "is a link, a folder or a device"),
    (with_member("rows/pipe.jsonl", type=tarfile.FIFOTYPE), "is a link, a folder or a device"),
    (lambda members: [*members, members[-1]], "is in it twice"),
    (lambda members: members[:-1], "is in its contents and not there"),
    (lambda members: [members[0], *members[2:], (tarfile.TarInfo("rows/99_new.jsonl"), b"")], "is"),
    (lambda members: members[1:], "whose first member is contents.json"),
    (lambda members: contents(members, kit="0.0.9"), "was packed by edgekit 0.0.9 (form 1), this is edgekit"),
    (lambda members: contents(members, form=2), "(form 2), this is"),
    (lambda members: [(members[0][0], b"{}"), *members[1:]], "contents.json: cannot be read"),
    (lambda members: contents([(m, b"{}\n" if m.name.endswith("jsonl") else c) for m, c in members]), "not a row, skip"),
    (lambda members: contents(members, profile="../up"), "expected a plain folder name")])
def test_what_was_changed_is_refused_and_nothing_is_written(here, change, says):
    path = pack.pack("pocket", here / "a.tar")
    repacked(path, change)
    before = sorted(here.rglob("*"))
    with pytest.raises(edgekit.errors.EdgekitError) as refused:
        pack.unpack([path])
    assert says in str(refused.value), refused.value
    assert sorted(here.rglob("*")) == before


def test_every_flipped_byte_of_a_member_is_seen(here):
    path = pack.pack("pocket", here / "a.tar")
    whole = path.read_bytes()
    content = pack.packed("pocket").members["rows/02_baseline.jsonl"]
    begin = whole.index(content)
    for place in range(begin, begin + len(content), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(archive.ArchiveError, match="rows/02_baseline.jsonl is not what was packed"):
            archive.read(path)
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(archive.ArchiveError):
        archive.read(path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(archive.ArchiveError, match="not an archive of edgekit pack"):
        archive.read(path)


def test_archives_of_two_kits_are_refused_together(here, monkeypatch):
    ours = pack.pack("pocket", here / "a.tar")
    monkeypatch.setattr(edgekit, "__version__", "9.9.9")
    theirs = pack.pack("pocket", here / "b.tar")
    with pytest.raises(archive.ArchiveError, match="a.tar was packed by edgekit .*, this is edgekit 9.9.9"):
        pack.unpack([theirs, ours], into="theirs")
    assert not store.runs_folder("theirs").exists()


def test_archives_are_merged_by_unit_and_a_unit_that_failed_gives_way_to_one_that_did_not(here):
    first = pack.pack("pocket", here / "a.tar")
    write("later", {"k1": [row(0.5)], "k3": [row(2.0, model="big", run="r2")]}, manifest(), manifest("r2"))
    second = pack.pack("later", here / "b.tar")
    for order, into in (((first, second), "one"), ((second, first), "other")):
        pack.unpack(order, into=into)
        rows, skips = rows_of(into)
        assert sorted(one.key for one in rows) == ["k1", "k2", "k3"] and not skips
        assert set(provenance.read_manifests(store.runs_folder(into) / f"{STUDY}.jsonl")) == {"r1", "r2"}


@pytest.mark.parametrize("units, runs, says", [
    ({"k1": [row(0.75, run="r2")]}, [manifest("r2")],
     'unit k1 ({"model":"pocket-3m","task":"speed"}) has other rows here (run r1)'),
    ({"k9": [row(0.75)]}, [manifest(seed=7)], "run r1 has another manifest here"),
    ({"k9": [row(0.75, run="r2")]}, [manifest("r2", "board-b")], "rows of board-a, board-b in one file")])
def test_what_says_two_things_under_one_name_is_named_and_nothing_is_written(here, units, runs, says):
    write("other", units, *runs)
    path = pack.pack("other", here / "a.tar")
    before = {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file()}
    with pytest.raises(pack.MergeConflict) as conflict:
        pack.unpack([path], into="pocket")
    assert says in str(conflict.value) and "--into" in str(conflict.value)
    assert before == {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file()}


def test_the_commands_say_what_came_and_what_is_missing(here, capsys, monkeypatch):
    monkeypatch.chdir(here)
    assert cli.main(["pack"]) == 0 and capsys.readouterr().out == "pocket-board-a.tar\n"
    assert cli.main(["unpack", "pocket-board-a.tar", "--into", "theirs"]) == 0
    assert "02_baseline: 3 units new, 0 here already" in capsys.readouterr().out
    assert cli.main(["pack", "--profile", "ci"]) == 1 and "no rows in" in capsys.readouterr().err
    assert cli.main(["unpack", "gone.tar"]) == 2 and "no archive at gone.tar" in capsys.readouterr().err
