"""Rows: what was varied, what was seen, and how we know. Append-only JSONL with content-addressed resume.

A study appends one *block* a unit of measurement: its rows and a closing `Done` line, in a single write. A killed run
therefore leaves whole blocks and at most one torn one, which the next opening drops (with a warning) and measures
again. Nothing on disk is an average: statistics are computed on read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import gzip
import hashlib
import itertools
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import RunFailed, unknown_name
from edgekit.schema import METRICS, SOURCES

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(os.environ.get("EDGEKIT_HOME") or Path(__file__).parents[1]).resolve()
# Where runs/, artifacts/ and reports/ are written: the repository, unless the environment says otherwise.
OUTPUT = Path(os.environ.get("EDGEKIT_OUTPUT") or ROOT).resolve()


class StoreError(RunFailed):
    """A rows file cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One observed number. `value` is finite and in the unit that `metric` names; a missing one is a `Skip`."""

    run: str
    study: str
    condition: Mapping[str, str | int | float | bool]
    metric: str
    value: float
    repeat: int = 0
    source: str = "measured"
    key: str = ""

    def __post_init__(self):
        if self.metric not in METRICS:
            raise StoreError(unknown_name("metric", self.metric, METRICS))
        if self.source not in SOURCES:
            raise StoreError(unknown_name("source", self.source, SOURCES))
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not math.isfinite(self.value):
            raise StoreError(f"{self.metric}: a value must be a finite number, got {self.value!r}; "
                             "write a Skip with its reason for a missing one")


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a planned unit has no rows. `expected`: no failure, but known beforehand (too little memory, no sensor) or too slow
    for this machine. `tried`: it was started, and is started again only when that is asked for."""

    run: str
    study: str
    condition: Mapping[str, str | int | float | bool]
    reason: str
    expected: bool = True
    key: str = ""
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Closes the block of one unit: `rows` says how many rows stand before it; took_s: the wall time of the unit in seconds,
    with what was built for it, None in files of before it was kept."""

    key: str
    rows: int
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What a rows file says of a unit beside its numbers: its run, the `task` of its rows (a unit may have several), the first
    row's condition, and its wall time in seconds as in Done."""

    run: str
    tasks: frozenset[str]
    condition: Mapping[str, str | int | float | bool]
    took_s: float | None


def canonical(value) -> str:
    """JSON with sorted keys and no blanks: the text that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def condition_key(study: str, version: int, condition: Mapping, *, repeat: int, artifact: str, task: str,
                  platform: str) -> str:
    """Content address of one unit: a change of any of these makes another key, so rows of before are not taken for it.

    Code and package versions are not among them, except where a study puts them into `artifact` or `task`; each run's are in
    its manifest.
    """
    made_of = dict(study=study, version=version, condition=dict(condition), repeat=repeat, artifact=artifact,
                   task=task, platform=platform)
    return hashlib.blake2b(canonical(made_of).encode(), digest_size=8).hexdigest()


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents, in name order."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def write_atomically(path: Path, text: str | bytes) -> None:
    """Replace `path` by `text`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; the old file is untouched") from error


def line(record: Row | Skip | Done) -> str:
    """A record as it stands in a file; a time that is not known is left out."""
    told = dataclasses.asdict(record)
    return canonical({name: value for name, value in told.items() if (name, value) != ("took_s", None)}) + "\n"


ROW, SKIP, DONE = ({field.name for field in dataclasses.fields(kind)} for kind in (Row, Skip, Done))


def _parse(line: bytes, where: str) -> Row | Skip | Done:
    try:
        record = json.loads(line)
        kind = Done if "rows" in record else Skip if "reason" in record else Row
        return kind(**record)
    except (ValueError, TypeError, StoreError) as error:
        raise StoreError(f"{where}: not a row, skip or done record ({error}); restore the file, or delete the line's "
                         "unit to measure it again") from error


def _is_row(record: dict) -> bool:
    """Whether `Row(**record)` would have it: the same checks, without the making of it."""
    return (record.keys() == ROW and record["metric"] in METRICS and record["source"] in SOURCES
            and type(record["value"]) in (int, float) and math.isfinite(record["value"]))


def _records(path: Path) -> tuple[list[dict], bytes]:
    """The whole lines of a file as records, each of them checked, and what stands behind the last one."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        *lines, torn = file.read().split(b"\n")
    collecting = gc.isenabled()
    gc.disable()  # half a million dictionaries that all stay: looking for rubbish among them doubles the time
    try:
        records = json.loads(b"[" + b",".join(lines) + b"]")
        if len(records) == len(lines) and all(isinstance(record, dict) and (
                _is_row(record) or {"key", "rows"} <= record.keys() <= DONE or (record.keys() <= SKIP and "reason" in record))
                for record in records):
            return records, torn
    except ValueError:
        pass  # one of the lines is wrong; below it is named
    finally:
        if collecting:
            gc.enable()
    return [dataclasses.asdict(_parse(line, f"{path}, line {number}")) for number, line in enumerate(lines, 1)], torn


def _blocks(path: Path) -> tuple[list[dict], dict[str, Skip], dict[str, float | None], int, int]:
    """Rows of whole blocks, the standing skip of each key, the finished keys with their seconds, the number of lines up to the
    end of the last whole block, and the number of lines after it, a torn one with them."""
    rows, skips, done, pending = [], {}, {}, []
    end = 0
    records, torn = _records(path)
    for number, record in enumerate(records, 1):
        if "metric" in record:
            pending.append(record)
            continue
        if "rows" in record:
            block = [row for row in pending if row["key"] == record["key"]]
            if len(block) != record["rows"]:
                raise StoreError(f"{path}, line {number}: block {record['key']} says {record['rows']} rows, {len(block)} "
                                 "stand before it; restore the file, or delete that block to measure it again")
            rows += block
            done[record["key"]] = record.get("took_s")
            skips.pop(record["key"], None)
        elif record["key"] not in done:
            skips[record["key"]] = Skip(**record)
        pending, end = [], number
    return rows, skips, done, end, len(records) - end + bool(torn)


def plan_of(rows_path: Path) -> set[str] | None:
    """The keys of the plan beside a rows file; None where there is none."""
    path = plan_path(rows_path)
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _read(path: Path) -> tuple[list[dict], list[Skip]]:
    path = Path(path)
    if not path.exists():
        raise StoreError(f"no rows at {path}; run the study first (edgekit run, or edgekit measure)")
    rows, skips, _, _, torn = _blocks(path)
    if torn:
        warnings.warn(f"{path}: {torn} line(s) of an unfinished unit at the end are not read", stacklevel=3)
    standing = list(skips.values())
    if (planned := plan_of(path)) is not None:
        rows = [row for row in rows if row["key"] in planned]
        standing = [skip for skip in standing if skip.key in planned]
    return rows, standing


def read(path: Path) -> tuple[list[Row], list[Skip]]:
    """Rows of finished units and the skips that still stand.

    Where a plan lies beside the file, only what it asks for: rows of earlier parameters stay on disk and out of tables.
    Raises StoreError for a damaged line, naming it.
    """
    rows, skips = _read(path)
    return [Row(**row) for row in rows], skips


def missing_share(path: Path, planned: set[str]) -> float:
    """How much of a plan has neither rows in a file nor a reason there for having none; 1 where there is no file."""
    if not path.exists():
        return 1.0
    _, skips, done, _, _ = _blocks(path)
    return len(planned - done.keys() - skips.keys()) / max(len(planned), 1)


def read_frame(path: Path) -> tuple[pd.DataFrame, list[Skip]]:
    """The same with the rows as the table that `to_frame` makes of them, in half of the time."""
    rows, skips = _read(path)
    return _frame(rows), skips


def skim(path: Path, wanted: Callable[[bytes], bool]) -> tuple[pd.DataFrame, list[Skip]]:
    """Some rows of a committed file, all of whose units are whole, as the table that `to_frame` makes of them; and its skips.
    `wanted` tells a row by its line: reading one in twenty takes a tenth of the time of all. Raises StoreError."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        lines = [line for line in file.read().split(b"\n") if b'"reason":' in line or (b'"metric":' in line and wanted(line))]
    records = [_parse(line, str(path)) for line in lines]
    return to_frame(one for one in records if isinstance(one, Row)), [one for one in records if isinstance(one, Skip)]


def finished(path: Path) -> tuple[dict[str, Finished], dict[str, Skip]]:
    """The units of a rows file that have rows, and the standing skips, by key, whatever plan lies beside; of a file that is not
    there, none. Raises StoreError for a damaged line."""
    if not Path(path).exists():
        return {}, {}
    rows, skips, took, _, _ = _blocks(Path(path))
    units = {}
    for key, block in itertools.groupby(rows, key=lambda row: row["key"]):
        first, *others = block
        tasks = frozenset(row["condition"].get("task", "") for row in (first, *others))
        units[key] = Finished(first["run"], tasks, first["condition"], took[key])
    return units, skips


def rows_of(path: Path, keys: Container[str]) -> list[Row]:
    """The rows of some units that are finished, whatever plan lies beside; of a file that is not there, none. Raises StoreError
    for a damaged line."""
    return [Row(**row) for row in _blocks(Path(path))[0] if row["key"] in keys] if Path(path).exists() else []


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """A pandas table: one line a row, the condition's names as columns beside metric, value, repeat, source and run."""
    return _frame(dict(condition=row.condition, metric=row.metric, value=row.value, repeat=row.repeat, source=row.source,
                       run=row.run) for row in rows)


def _frame(rows: Iterable[dict]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([{**row["condition"], "metric": row["metric"], "value": row["value"], "repeat": row["repeat"],
                          "source": row["source"], "run": row["run"]} for row in rows])


class Store:
    """The rows file of one study, open for appending by one process.

    Opening drops the torn end that a kill left, with a warning. Raises StoreError when another process has it open.
    """

    def __init__(self, path: Path):
        from filelock import FileLock, Timeout

        self.path = Path(path)
        self._lock = FileLock(str(self.path) + ".lock", timeout=0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise StoreError(f"{self.path} is being written by another run; wait for it or stop it first") from error
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            self.path.touch()
            rows, self._skips, took, end, torn = _blocks(self.path)
        except BaseException:
            self._lock.release()
            raise
        self.done = set(took)
        self.size = len(rows)
        if torn:
            print(f"{self.path}: dropped {torn} line(s) of a unit that a killed run left unfinished; "
                  "it is measured again", file=sys.stderr)
            os.truncate(self.path, _end_of_line(self.path, end))

    def append(self, key: str, rows: Iterable[Row], took_s: float | None = None) -> None:
        """Write one unit: all of its rows and the closing line, which keeps `took_s`, its wall time in seconds; or nothing.
        Raises StoreError (disk full, doubled)."""
        rows = [dataclasses.replace(row, key=key) for row in rows]
        if not rows:
            raise StoreError(f"unit {key} has no rows; write a Skip with its reason instead")
        if key in self.done:
            raise StoreError(f"unit {key} has its rows already")
        self._write([*rows, Done(key, len(rows), took_s)])
        self.done.add(key)
        self._skips.pop(key, None)
        self.size += len(rows)

    def standing(self, key: str) -> Skip | None:
        """Why a unit has no rows so far, if that was written."""
        return self._skips.get(key)

    def skip(self, skip: Skip) -> None:
        """Write why a unit has no rows, once for each reason."""
        standing = self._skips.get(skip.key)
        if standing is None or dataclasses.replace(standing, run=skip.run) != skip:
            self._write([skip])
            self._skips[skip.key] = skip

    def _write(self, records: list) -> None:
        # One write of whole lines: a kill leaves a prefix, which the next opening recognises as unfinished.
        data = "".join(map(line, records)).encode()
        before = self.path.stat().st_size
        try:
            with open(self.path, "ab", buffering=0) as file:
                written = file.write(data)
                if written != len(data):
                    raise OSError(28, "No space left on device")
                os.fsync(file.fileno())
        except OSError as error:
            os.truncate(self.path, before)
            raise StoreError(f"cannot write to {self.path}: {error.strerror}; what was measured before is kept: free "
                             "some space and run the same command again") from error

    def close(self) -> None:
        self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _end_of_line(path: Path, number: int) -> int:
    """Bytes up to the end of a line, counted from 1; 0 for line 0."""
    with open(path, "rb") as file:
        return sum(len(line) for line in itertools.islice(file, number))


def plan_path(rows_path: Path) -> Path:
    return beside(rows_path, "plan")


def beside(rows_path: Path, what: str) -> Path:
    """The JSON file that lies beside a rows file and says `what` of it."""
    return Path(rows_path).with_name(f"{study_of(rows_path)}.{what}.json")


def study_of(rows_path: Path) -> str:
    """The study whose rows lie in `<study>.jsonl`, or compressed in `<study>.jsonl.gz`."""
    return Path(rows_path).name.removesuffix(".gz").removesuffix(".jsonl")


def find(place: str, study: str) -> Path:
    """The rows file of a study that `place`, a file or a folder, names; a relative one is looked for from the kit's folder.

    Raises StoreError where there is none.
    """
    at = ROOT / Path(place).expanduser()
    for path in [at / f"{study}.jsonl", at / f"{study}.jsonl.gz"] if at.is_dir() else [at]:
        if path.is_file() and study_of(path) == study:
            return path
    raise StoreError(f"rows: expected {study}.jsonl or {study}.jsonl.gz, or a folder that holds it, got {place}")


def write_plan(rows_path: Path, keys: Iterable[str]) -> None:
    """Say which units the present parameters ask for: `read` then leaves out those of earlier ones."""
    write_atomically(plan_path(rows_path), json.dumps(sorted(keys), indent=0) + "\n")


def runs_folder(profile: str) -> Path:
    """Where the rows, executed notebooks and logs of a profile lie."""
    return OUTPUT / "runs" / profile
