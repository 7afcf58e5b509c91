"""Units to rows: what every study does the same way.

A unit is one condition, once, in one process (its own where times or memory are measured). Units run in shuffled order
within each repeat, so that drift of the machine is noise and not bias; finished ones are skipped on a rerun; a failed one
becomes a `Skip` and the rest go on. What failed or was too slow is tried again when that is asked for (RETRY), and stands until
then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import provenance, store
from edgekit.catalog import boards, platforms
from edgekit.compress import variant
from edgekit.console import Console, Progress, fields
from edgekit.measure import device, readiness
from edgekit.measure.device import DeviceError
from edgekit.measure.monitor import Monitor, Stood
from edgekit.measure.worker import JobFailed, Worker, run_job
from edgekit.provenance import Manifest
from edgekit.store import Row, Skip, Store, StoreError
from edgekit.studies import needs
from edgekit.studies.needs import Held

BUILD_TIMEOUT_S = 3600.0
RETRY = "EDGEKIT_RETRY"  # set in the environment, which notebooks inherit, by --retry
ACCEPT = "EDGEKIT_ACCEPT"  # and by --accept


@dataclass(frozen=True, slots=True)
class Unit:
    """One condition, once. `function` and `arguments` are the worker's job.

    `refusal`: a reason, known beforehand, not to start it; `planned` says whether that is as it should be (a sensor or
    memory that is not there) or a failure (a model that could not be had). artifact and task are the hashes of what is
    measured and of what is asked of it; both belong to the key. `shared`: its numbers do not depend on what its process did
    before (answers and losses: yes; times and memory: no), so it may share a process with other such units. `first`: what it
    makes is used by others, so it comes before those of its repeat that are not. `variants`: the chains that the job opens,
    built before it starts, each in a process of its own and outside of the unit's time limit, unless `makes` says that it
    builds them itself. `reads`: other inputs that the manifest names, with their hashes. `source`: how its rows know (see
    schema.SOURCES). `holds`: what its process has in memory, in turn, each time together; a unit for which that is too much is
    refused before it starts (see needs.py).
    """

    condition: Mapping[str, str | int | float | bool]
    repeat: int
    function: str
    arguments: dict
    artifact: str
    task: str
    refusal: str | None = None
    planned: bool = True
    shared: bool = False
    first: bool = False
    variants: tuple[str, ...] = ()
    makes: bool = False
    reads: tuple[tuple[str, str], ...] = ()
    source: str = "measured"
    holds: tuple[tuple[Held, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a study's file holds after a run: where it lies, its rows and standing skips, and how much was new."""

    path: Path
    platform: str
    rows: list[Row]
    skips: list[Skip]
    measured: int
    reused: int

    @property
    def unexpected(self) -> list[Skip]:
        """Skips that nobody planned: each is a failure to be looked at."""
        return [skip for skip in self.skips if not skip.expected]

    @property
    def tried(self) -> list[Skip]:
        """Skips of units that were started, failed or too slow: what --retry starts again."""
        return [skip for skip in self.skips if skip.tried]


@contextlib.contextmanager
def retrying(retry: bool) -> Iterator[None]:
    """Whether studies that run meanwhile, in notebooks too, start units again that failed or were too slow."""
    with _flag(RETRY, retry):
        yield


@contextlib.contextmanager
def accepting(accept: bool) -> Iterator[None]:
    """Whether studies that run meanwhile, in notebooks too, measure on a board that is not as it should be, and say so in their
    rows (see edgekit.measure.readiness)."""
    with _flag(ACCEPT, accept):
        yield


@contextlib.contextmanager
def _flag(name: str, truth: bool) -> Iterator[None]:
    before = os.environ.pop(name, None)
    if truth:
        os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def task_hash(task: dict) -> str:
    """Content address of what is asked of an artifact (lengths, seed, items)."""
    return hashlib.blake2b(store.canonical(task).encode(), digest_size=8).hexdigest()


def keys_of(study: str, version: int, units: Sequence[Unit], platform: str | None = None) -> dict[str, Unit]:
    """The units by their keys on a platform, by default on this machine."""
    platform = platform or platforms.current().slug
    return {store.condition_key(study, version, unit.condition, repeat=unit.repeat, artifact=unit.artifact, task=unit.task,
                                platform=platform): unit for unit in units}


def run_units(study: str, version: int, config, units: Sequence[Unit]) -> Result:
    """Measure what `units` lack in runs/<profile>/<study>.jsonl and return all that the file then holds of them.

    `config` is the study's Config: its profile and seed are read, and what one unit may take at most, `timeout_s` and
    `memory_share` of the device's free memory. Units that failed or were too slow in an earlier run are left alone, and their
    skips stand, unless RETRY is set. Of a profile that is made for a board, the board is checked before anything is measured.
    Raises BoardError and NotReady as readiness.require; StoreError when rows cannot be written; DeviceError when the device
    that was asked for is not there. KeyboardInterrupt passes through with everything measured so far kept.
    """
    memory_limit_bytes = int(config.memory_share * device.free_memory_bytes(config.device))
    free = needs.free_here(config.memory_share, device.total_memory_bytes(config.device))
    units = needs.fitting(units, memory_limit_bytes, free)
    platform = platforms.current().slug
    path = store.runs_folder(config.profile) / f"{study}.jsonl"
    keys = keys_of(study, version, units)
    measured, console = 0, Console(sys.stderr)
    with Store(path) as file:
        store.write_plan(path, keys)
        waiting = {key: unit for key, unit in keys.items() if key not in file.done and not _stands(file, key, unit)}
        reused = len(file.done & keys.keys())
        if waiting:
            caveats = _caveats(config.profile, waiting.values(), console)
            manifest = _manifest(study, version, config, units, waiting.values(), platform, reused, caveats)
            started = time.monotonic()
            built: set[str] = set()
            provenance.write_manifest(path, manifest)
            progress = Progress(console.now, study, [kind_of(unit) for unit in waiting.values()])
            with _Processes(config.timeout_s, memory_limit_bytes) as processes:
                ahead = _order(waiting, config.seed)
                while ahead:
                    key, unit = ahead.pop(0)
                    progress.begins(kind_of(unit), unit.condition)
                    has_rows = _measure(file, key, unit, study, built, manifest, processes)
                    progress.ends(kind_of(unit), has_rows)
                    if not has_rows and (skip := file.standing(key)) is not None and not skip.expected:
                        console.stays(f"{study}: failed: {fields(unit.condition)}: {skip.reason}")
                    measured += has_rows
                    manifest.completed, manifest.skipped = measured, manifest.skipped + (not has_rows)
                    manifest.duration_s = time.monotonic() - started
                    for copy in needs.passing(unit, [other for _, other in ahead]):
                        variant.forget(copy)
                    # After each unit, so that a killed run's rows have their manifest too.
                    provenance.write_manifest(path, manifest)
            console.clear()
    rows, skips = store.read(path)
    return Result(path, platform, rows, skips, measured, reused)


def _caveats(profile: str, waiting: Iterable[Unit], console: Console) -> list[str]:
    """In what the board of a profile is not as it should be; nothing for one that runs anywhere, or where nothing starts."""
    board = boards.of_profile(profile)
    if board is None or all(unit.refusal for unit in waiting):
        return []
    return readiness.require(board, ACCEPT in os.environ, say=console.now)


def kind_of(unit: Unit) -> str:
    """What a unit is, in words that its repeats share and units that take as long."""
    return " ".join(str(unit.condition[name]) for name in ("task", "model", "engine", "dtype", "threads")
                    if name in unit.condition)


def _stands(file: Store, key: str, unit: Unit) -> bool:
    """Whether there is nothing to do for a unit without rows: its refusal is on record already, in the same words; or it was
    tried, and nobody asks for it again."""
    standing = file.standing(key)
    if standing is None:
        return False
    return standing.reason == unit.refusal if unit.refusal is not None else standing.tried and RETRY not in os.environ


def _order(waiting: dict[str, Unit], seed: int) -> list[tuple[str, Unit]]:
    shuffled = list(waiting.items())
    random.Random(seed).shuffle(shuffled)
    ordered = sorted(shuffled, key=lambda item: (item[1].repeat, not item[1].first))  # stable: shuffled within each repeat
    # Units that open the same copy come one after the other, where the first of them stands: one copy is there at a time.
    places: dict[str, int] = {}
    at = [min((places.setdefault(copy, place) for copy in needs.copies(unit)), default=place)
          for place, (_, unit) in enumerate(ordered)]
    return [item for _, item in sorted(zip(at, ordered, strict=True), key=lambda pair: pair[0])]


class _Processes:
    """Where units run: each in a process of its own, or those that may share one in one after another."""

    def __init__(self, timeout_s: float, memory_limit_bytes: int):
        self.limits = dict(timeout_s=timeout_s, memory_limit_bytes=memory_limit_bytes)
        self._shared: dict[int, Worker] = {}
        self._took: dict[str, float] = {}

    def run(self, unit: Unit) -> dict:
        """The answer of a unit's job. Raises JobFailed. What a unit took foretells what its other repeats take."""
        same, began = store.canonical(dict(unit.condition)), time.monotonic()
        answer = self._run(unit, self._took.get(same))
        self._took[same] = max(time.monotonic() - began, self._took.get(same, 0.0))
        return answer

    def _run(self, unit: Unit, foretold_s: float | None) -> dict:
        threads, limits = unit.condition["threads"], self.limits | dict(foretold_s=foretold_s)
        environment = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        if not unit.shared:
            return run_job(unit.function, unit.arguments, environment=environment, **limits)
        if threads not in self._shared or not self._shared[threads].alive:
            self._end(threads)
            self._shared[threads] = Worker(environment)
        return self._shared[threads].run(unit.function, unit.arguments, **limits)

    def _end(self, threads: int) -> None:
        if worker := self._shared.pop(threads, None):
            worker.close()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_) -> None:
        for threads in list(self._shared):
            self._end(threads)


def _measure(file: Store, key: str, unit: Unit, study: str, built: set[str], manifest: Manifest,
             processes: _Processes) -> bool:
    """Measure one unit and write its rows, or why there are none. True if there are rows.

    What the engine says of itself (version, kernel) and what the job warns of go into the manifest; `built` grows.
    """
    run = manifest.run

    began = time.monotonic()

    def skip(reason: str, expected: bool, tried: bool = True) -> bool:
        file.skip(Skip(run, study, unit.condition, reason, expected, key, tried))
        return False

    if unit.refusal:
        return skip(unit.refusal, expected=unit.planned, tried=False)
    try:
        for chain in () if unit.makes else unit.variants:
            if chain not in built and variant.is_made(chain):
                run_job("edgekit.compress.variant:build_path", {"text": chain}, timeout_s=BUILD_TIMEOUT_S)
                built.add(chain)
        answer, stood = _watched(unit, processes)
    except JobFailed as failure:
        if failure.kind == "disk":  # the next unit would fail as well
            raise StoreError(f"{failure}; what was measured before is kept: free some space, in {tempfile.gettempdir()} too, "
                             "and run the same command again") from failure
        return skip(str(failure), expected=failure.kind == "slow")
    try:
        marks = _marks(manifest, stood)
        rows = [Row(run, study, {**unit.condition, **marks, **{name: value for name, value in seen.items()
                                                               if name not in ("metric", "value")}},
                    seen["metric"], seen["value"], unit.repeat, unit.source) for seen in answer["observations"]]
    except StoreError as error:
        return skip(f"gave a number that cannot be kept: {error}", expected=False)
    if not rows:
        return skip("gave no observations", expected=False)
    file.append(key, rows, round(time.monotonic() - began, 3))
    if "engine" in answer:
        manifest.engines[f"{answer['engine']['name']} {answer['engine']['dtype']}"] = answer["engine"]
    if stood is not None:
        manifest.states[key] = dataclasses.asdict(stood)
    manifest.warnings += [told for told in answer.get("warnings", ()) if told not in manifest.warnings]
    return True


def _watched(unit: Unit, processes: _Processes) -> tuple[dict, Stood | None]:
    """The answer of a unit's job, and how the device stood meanwhile, of those that may be timed. Raises JobFailed."""
    if unit.shared:
        return processes.run(unit), None
    with Monitor() as monitor:
        answer = processes.run(unit)
    return answer, monitor.stood()


def _marks(manifest: Manifest, stood: Stood | None) -> dict[str, str]:
    """The coordinates that say in what a number is to be doubted: a board that was not as it should be, a device that held
    itself back meanwhile."""
    held = list(stood.throttled) if stood else []
    if stood and readiness.fixes_clocks(boards.of_profile(manifest.params["profile"])):
        held += stood.moved()
    marks = dict(caveat="; ".join(manifest.caveats), throttled=", ".join(held))
    return {name: told for name, told in marks.items() if told}


def _manifest(study: str, version: int, config, units: Sequence[Unit], waiting: Iterable[Unit], platform: str, reused: int,
              caveats: list[str]) -> Manifest:
    """What a run is made of; its inputs are the artifacts of what it measures, not of what earlier runs did."""
    now = datetime.datetime.now(datetime.UTC)
    commit, dirty = provenance.git_state()
    asked = [unit for unit in waiting if unit.refusal is None]
    opened = dict.fromkeys(chain for unit in asked for chain in unit.variants)
    read = {name: digest[:16] for unit in asked for name, digest in unit.reads}
    try:
        bandwidth = run_job("edgekit.measure.roofs:bandwidth_samples",
                            dict(threads=units[0].condition["threads"], device=config.device), timeout_s=300)
    except JobFailed as failure:
        raise DeviceError(str(failure)) from failure
    return Manifest(
        run=f"{now:%Y%m%dT%H%M%S}-{task_hash({'t': now.isoformat(), 'p': platform})[:6]}", study=study,
        params=dataclasses.asdict(config), seed=config.seed, git_commit=commit, git_dirty=dirty,
        packages=provenance.packages(), machine=device.describe(), platform=platform, memory_bandwidth_byte_per_s=bandwidth,
        inputs={chain: variant.content_hash(chain) for chain in opened} | read, started=now.isoformat(timespec="seconds"),
        planned=len(units), reused=reused, version=version, caveats=caveats)
