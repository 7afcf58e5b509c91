"""Units to rows: what every study does the same way.

A unit is one condition, once. Where it runs is for others to know (local.py, and the boards of a fleet); here it is decided
what there is to run, and what comes back is kept: finished units are skipped on a rerun; a failed one becomes a `Skip` and the
rest go on. What failed or was too slow is tried again when that is asked for (RETRY), and stands until then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import provenance, store
from edgekit.catalog import boards, platforms
from edgekit.compress import variant
from edgekit.console import Console, Progress, fields
from edgekit.measure import readiness
from edgekit.measure.monitor import Stood
from edgekit.provenance import Manifest
from edgekit.store import Row, Skip, Store, StoreError
from edgekit.studies import needs
from edgekit.studies.local import ACCEPT, Facts, Local, Outcome, allowed_of
from edgekit.studies.needs import Held
from edgekit.studies.order import ordered

SAVE_S = 5.0  # a manifest's counts are written as often: those of a fleet are many, and rows name what is there already
RETRY = "EDGEKIT_RETRY"  # set in the environment, which notebooks inherit, by --retry


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
    console, allowed = Console(sys.stderr), allowed_of(config)
    with Local() as here, Sitting(study, version, config, here.fitting(units, allowed)) as sitting:
        ahead = ordered(sitting.waiting, config.seed)
        here.require_ready(config.profile, sitting.waiting.values(), console.now)
        progress = Progress(console.now, study, [kind_of(unit) for _, unit in ahead])
        while ahead:
            key, unit = ahead.pop(0)
            progress.begins(kind_of(unit), unit.condition)
            has_rows = sitting.keep(key, here.run(unit, allowed))
            progress.ends(kind_of(unit), has_rows)
            if not has_rows and (skip := sitting.file.standing(key)) is not None and not skip.expected:
                console.stays(f"{study}: failed: {fields(unit.condition)}: {skip.reason}")
            for copy in needs.passing(unit, [other for _, other in ahead]):
                variant.forget(copy)
        console.clear()
    return sitting.result()


class Sitting:
    """A study at work: its rows file open for writing, the units that wait, and a manifest of each machine that measures.

    Opening it writes the plan. `platform`: of the keys, by default this machine's; `content_hash`: of a chain, for manifests.
    Also a context manager, which closes the file. Raises StoreError.
    """

    def __init__(self, study: str, version: int, config, units: Sequence[Unit], platform: str | None = None,
                 content_hash: Callable[[str], str] = variant.content_hash):
        self.study, self.version, self.config, self.units = study, version, config, list(units)
        self.platform = platform or platforms.current().slug
        self._content_hash = content_hash
        self.path = store.runs_folder(config.profile) / f"{study}.jsonl"
        self.keys = keys_of(study, version, self.units, self.platform)
        self.file = Store(self.path)
        self.measured, self.reused = 0, len(self.file.done & self.keys.keys())
        self._saved = self._began = time.monotonic()
        self._now = datetime.datetime.now(datetime.UTC)
        self._manifests: dict[str, Manifest] = {}
        try:
            store.write_plan(self.path, self.keys)
        except BaseException:
            self.file.close()
            raise
        self.waiting = {key: unit for key, unit in self.keys.items()
                        if key not in self.file.done and not _stands(self.file, key, unit)}

    def keep(self, key: str, outcome: Outcome) -> bool:
        """Write the rows of a unit, or why there are none. True if there are rows.

        What the engine says of itself (version, kernel) and what the job warns of go into the manifest of who measured.
        """
        manifest = self._manifest(outcome.facts)
        has_rows = self._write(key, self.keys[key], outcome, manifest)
        self.measured += has_rows
        manifest.completed, manifest.skipped = manifest.completed + has_rows, manifest.skipped + (not has_rows)
        manifest.duration_s = time.monotonic() - self._began
        if time.monotonic() - self._saved > SAVE_S:
            self._save()
        return has_rows

    def _save(self) -> None:
        provenance.write_manifest(self.path, *self._manifests.values())
        self._saved = time.monotonic()

    def _write(self, key: str, unit: Unit, outcome: Outcome, manifest: Manifest) -> bool:
        run, answer = manifest.run, outcome.answer

        def skip(reason: str, expected: bool, tried: bool = True) -> bool:
            self.file.skip(Skip(run, self.study, unit.condition, reason, expected, key, tried))
            return False

        if answer is None:
            return skip(outcome.reason, outcome.expected, outcome.tried)
        try:
            marks = _marks(manifest, outcome.stood)
            rows = [Row(run, self.study, {**unit.condition, **marks, **{name: value for name, value in seen.items()
                                                                        if name not in ("metric", "value")}},
                        seen["metric"], seen["value"], unit.repeat, unit.source) for seen in answer["observations"]]
        except StoreError as error:
            return skip(f"gave a number that cannot be kept: {error}", expected=False)
        if not rows:
            return skip("gave no observations", expected=False)
        self.file.append(key, rows, outcome.took_s)
        if "engine" in answer:
            manifest.engines[f"{answer['engine']['name']} {answer['engine']['dtype']}"] = answer["engine"]
        if outcome.stood is not None:
            manifest.states[key] = dataclasses.asdict(outcome.stood)
        manifest.warnings += [told for told in answer.get("warnings", ()) if told not in manifest.warnings]
        return True

    def _manifest(self, facts: Facts) -> Manifest:
        """The manifest of this sitting on one machine; on disk before the first row that names it."""
        if facts.board not in self._manifests:
            stamp = task_hash({"t": self._now.isoformat(), "p": self.platform})[:6]
            run = f"{self._now:%Y%m%dT%H%M%S}-{stamp}" + f".{facts.board}" * bool(facts.board)
            asked = [unit for unit in self.waiting.values() if unit.refusal is None]
            opened = dict.fromkeys(chain for unit in asked for chain in unit.variants)
            read = {name: digest[:16] for unit in asked for name, digest in unit.reads}
            self._manifests[facts.board] = Manifest(
                run=run, study=self.study, params=dataclasses.asdict(self.config), seed=self.config.seed,
                git_commit=facts.git_commit, git_dirty=facts.git_dirty, packages=dict(facts.packages),
                machine=dict(facts.machine), platform=facts.platform, memory_bandwidth_byte_per_s=facts.bandwidth,
                inputs={chain: self._content_hash(chain) for chain in opened} | read,
                started=self._now.isoformat(timespec="seconds"), planned=len(self.units), reused=self.reused,
                version=self.version, caveats=list(facts.caveats))
            self._save()
        return self._manifests[facts.board]

    def result(self) -> Result:
        """What the file now holds of the plan."""
        rows, skips = store.read(self.path)
        return Result(self.path, self.platform, rows, skips, self.measured, self.reused)

    def __enter__(self) -> Sitting:
        return self

    def __exit__(self, *_) -> None:
        try:
            if self._manifests:
                self._save()
        finally:
            self.file.close()


def _marks(manifest: Manifest, stood: Stood | None) -> dict[str, str]:
    """The coordinates that say in what a number is to be doubted: a board that was not as it should be, a device that held
    itself back meanwhile."""
    held = list(stood.throttled) if stood else []
    if stood and readiness.fixes_clocks(boards.of_profile(manifest.params["profile"])):
        held += stood.moved()
    marks = dict(caveat="; ".join(manifest.caveats), throttled=", ".join(held))
    return {name: told for name, told in marks.items() if told}


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
