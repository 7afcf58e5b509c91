"""Put what a profile measured into one archive, and merge such archives into runs/."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import edgekit
from edgekit import params, provenance, store, studies
from edgekit.errors import RunFailed
from edgekit.exchange import archive, scrub
from edgekit.exchange.archive import Archive, ArchiveError


class PackError(RunFailed):
    """There is nothing to pack; the message says what to run first."""


class MergeConflict(RunFailed):
    """Something in an archive and something here say different things under one name; the message names it."""


def packed(profile: str) -> Archive:
    """Everything that runs/<profile>/ holds of studies, failed units too, without a name of this machine.

    Raises PackError without rows, StoreError for damaged ones or for rows of several platforms, and ScrubError.
    """
    folder = store.runs_folder(profile)
    files = [path for path in sorted(folder.glob("*.jsonl")) if store.study_of(path) in studies.STUDIES]
    if not files:
        raise PackError(f"no rows in {folder}; run edgekit run or edgekit measure first, or name another --profile")
    platforms = {provenance.platform_of(path) for path in files}
    if len(platforms) != 1:
        raise PackError(f"{folder}: rows of several platforms ({', '.join(sorted(platforms))}); pack each where it was "
                        "measured")
    members = {}
    for path in files:
        store.read(path)  # a damaged file is told here, and not on another machine
        members[f"rows/{path.name}"] = scrub.scrubbed_rows(path.read_text(encoding="utf-8"), str(path))
        for beside in (provenance.manifest_path(path), store.plan_path(path)):
            if beside.exists():
                members[f"rows/{beside.name}"] = scrub.scrubbed(beside.read_text(encoding="utf-8"))
    for notebook in studies.STUDIES:
        if (executed := folder / f"{notebook}.ipynb").exists():
            members[f"notebooks/{executed.name}"] = scrub.scrubbed(executed.read_text(encoding="utf-8"))
        if (values := store.ROOT / "params" / profile / f"{notebook}.yaml").exists():
            members[f"params/{values.name}"] = values.read_text(encoding="utf-8")
    return Archive(edgekit.__version__, profile, platforms.pop(), {name: text.encode() for name, text in members.items()})


def pack(profile: str, out: Path | None = None) -> Path:
    """Write the archive of a profile; where it lies. Raises as `packed`."""
    found = packed(profile)
    path = Path(out).expanduser() if out else Path(f"{profile}-{found.platform}.tar")
    store.write_atomically(path, archive.written(found))
    return path


@dataclass(frozen=True)
class Merged:
    """What one study got: units that are new here, and those that were here already, the same."""

    study: str
    path: Path
    new: int
    known: int


def unpack(paths: Iterable[Path], into: str | None = None) -> list[Merged]:
    """Merge archives into runs/<into>, by default that of each archive's profile. All are read and compared before the first
    line is written.

    Raises ArchiveError for an archive that was changed or of another version, and MergeConflict where a unit, a run or a
    notebook that is here already says something else.
    """
    read = [archive.read(Path(path).expanduser()) for path in paths]
    if into is not None:
        params.require_profile_name(into)
    steps = []
    for one in read:
        params.require_profile_name(one.profile)
        folder = store.runs_folder(into or one.profile)
        for name in (*one.rows(), *(Path(member).stem for member in one.members if member.endswith((".ipynb", ".yaml")))):
            if name not in studies.STUDIES:
                raise ArchiveError(f"{name} is no notebook of this kit; known: {', '.join(studies.STUDIES)}")
        steps.append((one, folder))
    merged: dict[Path, _Study] = {}
    others: dict[Path, bytes] = {}
    for one, folder in steps:
        for study in one.rows():
            path = folder / f"{study}.jsonl"
            merged.setdefault(path, _Study.here(study, path)).add(one)
        for target, content in _beside(one, folder):
            if others.setdefault(target, content) != content or (target.exists() and target.read_bytes() != content):
                raise MergeConflict(f"{target} is here with other content than in the archive of {one.platform}; move it away, "
                                    "or unpack with --into another profile")
    for study in merged.values():
        study.write()
    for target, content in others.items():
        store.write_atomically(target, content)
    return [Merged(one.name, one.path, len(one.fresh), one.known) for one in merged.values()]


def _beside(one: Archive, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Executed notebooks and parameters, and where they go."""
    for name, content in one.members.items():
        kind, _, file = name.partition("/")
        if kind != "rows":
            yield (folder / file if kind == "notebooks" else folder / "params" / file), content


class _Study:
    """The units of one study by key: those that are here, and those that archives add."""

    def __init__(self, name: str, path: Path, units: dict[str, list[bytes]], runs: dict, plan: set[str] | None):
        self.name, self.path, self.units, self.runs, self.plan = name, path, units, runs, plan
        self.fresh: dict[str, list[bytes]] = {}
        self.known = 0

    @classmethod
    def here(cls, name: str, path: Path) -> _Study:
        if not path.exists():
            return cls(name, path, {}, {}, None)
        store.read(path)
        return cls(name, path, _units(path.read_bytes(), str(path)), provenance.read_manifests(path), store.plan_of(path))

    def add(self, one: Archive) -> None:
        """Take an archive's units. Raises MergeConflict and ArchiveError."""
        rows, beside = one.rows()[self.name], {kind: one.members.get(f"rows/{self.name}.{kind}.json") for kind in
                                               ("manifest", "plan")}
        _require_rows(self.name, rows)
        runs = json.loads(beside["manifest"] or b"{}")
        platforms = {facts["platform"] for facts in (*runs.values(), *self.runs.values())}
        if len(platforms) > 1:
            raise MergeConflict(f"{self.path}: the archive's rows are from {one.platform}, and rows of "
                                f"{', '.join(sorted(platforms))} in one file would be taken for one machine's; unpack with "
                                "--into another profile")
        for run, facts in runs.items():
            if self.runs.setdefault(run, facts) != facts:
                raise MergeConflict(f"{self.path}: run {run} has another manifest here than in the archive of {one.platform}; "
                                    "unpack with --into another profile")
        for key, lines in _units(rows, f"the archive of {one.platform}, {self.name}").items():
            there = self.units.get(key)
            if there is None or (_skipped(there) and not _skipped(lines)):
                self.units[key] = self.fresh[key] = lines
            elif there == lines or _skipped(lines):
                self.known += 1
            else:
                condition = json.loads(lines[0])["condition"]
                raise MergeConflict(f"{self.path}: unit {key} ({store.canonical(condition)}) has other rows here (run "
                                    f"{json.loads(there[0])['run']}) than in the archive (run {json.loads(lines[0])['run']}); "
                                    "unpack with --into another profile, and compare the two")
        planned = set(json.loads(beside["plan"])) if beside["plan"] else set(_units(rows, self.name))
        if self.plan is not None:
            self.plan |= planned
        elif beside["plan"]:
            self.plan = planned

    def write(self) -> None:
        with store.Store(self.path):  # drops a torn end, and keeps a run from writing meanwhile
            fresh = b"".join(line + b"\n" for lines in self.fresh.values() for line in lines)
            store.write_atomically(self.path, self.path.read_bytes() + fresh)
        if self.runs:
            told = json.dumps(self.runs, indent=1, ensure_ascii=False) + "\n"
            store.write_atomically(provenance.manifest_path(self.path), told)
        if self.plan is not None:
            store.write_plan(self.path, self.plan)


def _require_rows(study: str, content: bytes) -> None:
    """Raise StoreError for rows that this kit cannot read, before they stand among others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{study}.jsonl"
        path.write_bytes(content)
        store.read(path)


def _units(content: bytes, where: str) -> dict[str, list[bytes]]:
    """The lines of each unit by its key: its rows and what closes them, or its newest skip. A torn end is left out."""
    found: dict[str, list[bytes]] = {}
    pending: list[tuple[str, bytes]] = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            record: Mapping = json.loads(line)
            key = record["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArchiveError(f"{where}, line {number}: not a row, skip or done record ({error})") from error
        if "metric" in record:
            pending.append((key, line))
            continue
        if "rows" in record:
            found[key] = [*(row for of, row in pending if of == key), line]
        elif key not in found or _skipped(found[key]):
            found[key] = [line]
        pending = []
    return found


def _skipped(lines: list[bytes]) -> bool:
    return len(lines) == 1
