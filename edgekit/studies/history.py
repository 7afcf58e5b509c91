"""How long units took in earlier runs, and what units to come will take by that.

A unit's wall time stands in the line that closes its rows. Older files have none: each unit then took the mean of its run, as
the manifest has it. A unit to come takes the mean of those that are most like it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit import committed, provenance, store

WHO = ("model", "engine", "dtype", "device")  # coordinates without which two units are not alike
LEFT_OUT = {"task", "threads"}  # `task` may be another in the rows of a unit than in its plan


@dataclass(frozen=True, slots=True)
class Past:
    """A unit of an earlier run: what it was, and its seconds."""

    tasks: frozenset[str]
    condition: dict
    seconds: float


@dataclass(frozen=True, slots=True)
class Source:
    """A rows file of earlier runs: where it lies, its platform, the profiles of its runs, its units, and the highest read
    bandwidth that its runs measured, in bytes/s: what ran beside them makes it no higher."""

    path: Path
    platform: str
    profiles: tuple[str, ...]
    units: tuple[Past, ...]
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that `units` of the units to come will take; `without`: how many nothing is known of; sources: by what, in words.

    `by_unit`: the seconds of each, in their order, None for those without.
    """

    seconds: float
    units: int
    without: int
    sources: tuple[str, ...]
    by_unit: tuple[float | None, ...]


def paths(study: str, profile: str, platform: str) -> list[Path]:
    """Rows files of a study, nearest first: the profile's own, other profiles' of this folder, the committed ones of the
    platform, and those of others."""
    runs = store.runs_folder(profile).parent
    own = store.runs_folder(profile) / f"{study}.jsonl"
    others = sorted(path for path in runs.glob(f"*/{study}.jsonl") if path != own)
    elsewhere = [(rows.platform != platform, rows.profile != profile, rows.path) for rows in committed.files()
                 if rows.study == study]
    return [path for path in (own, *others, *(path for *_, path in sorted(elsewhere))) if path.exists()]


def read(path: Path) -> Source | None:
    """The units of a rows file with their times; None where no manifest says on which machine, or no run finished a unit.

    Raises StoreError for a damaged file.
    """
    manifests = provenance.read_manifests(path)
    means = {run: facts["duration_s"] / facts["completed"] for run, facts in manifests.items() if facts["completed"]}
    units = tuple(Past(unit.tasks, dict(unit.condition), means[unit.run] if unit.took_s is None else unit.took_s)
                  for unit in store.finished(path)[0].values() if unit.run in means or unit.took_s is not None)
    if not units or len({facts["platform"] for facts in manifests.values()}) != 1:
        return None
    rates = [max(facts["memory_bandwidth_byte_per_s"]) for facts in manifests.values()]
    profiles = tuple(dict.fromkeys(facts["params"]["profile"] for facts in manifests.values()))
    return Source(path, provenance.platform_of(path), profiles, units, max(rates))


class Likeness:
    """The times of a source's units by what they are like."""

    def __init__(self, units: Iterable[Past]):
        self._units = tuple(units)
        self._tasks = frozenset().union(*(unit.tasks for unit in self._units))
        self._indices: dict[tuple, dict[tuple, list[float]]] = {}  # made as they are asked for

    def seconds(self, condition: dict) -> float | None:
        """The mean of the units at the same coordinates, else of those with the same WHO; of its task, where that stands in
        rows. None where there are none."""
        task = condition["task"] if condition["task"] in self._tasks else None
        whole = tuple(sorted(set(condition) - LEFT_OUT))
        for names in (whole, tuple(name for name in WHO if name in condition)):
            if (names, task) not in self._indices:
                self._indices[names, task] = self._index(names, task)
            if found := self._indices[names, task].get(tuple(condition[name] for name in names)):
                return statistics.fmean(found)
        return None

    def _index(self, names: tuple[str, ...], task: str | None) -> dict[tuple, list[float]]:
        found: dict[tuple, list[float]] = {}
        for unit in self._units:
            if task is None or task in unit.tasks:
                found.setdefault(tuple(unit.condition.get(name) for name in names), []).append(unit.seconds)
        return found


def estimate(conditions: Iterable[dict], sources: Iterable[Source], profile: str, platform: str,
             bandwidth: Callable[[], float]) -> Estimate:
    """What units of a profile at `conditions` will take, each by the first source that has one like it.

    Times of another platform are scaled by read bandwidth: theirs over `bandwidth()` of this one, in bytes/s, which is asked
    for only then.
    """
    conditions = list(conditions)
    seconds: list[float | None] = [None] * len(conditions)
    told = []
    for source in sources:
        like = Likeness(source.units)
        found = {i: took for i, condition in enumerate(conditions)
                 if seconds[i] is None and (took := like.seconds(condition)) is not None}
        if not found:
            continue
        scale, scaled = 1.0, "" if source.profiles == (profile,) else ", whose units may be larger or smaller"
        if source.platform != platform:
            scale = source.bandwidth / bandwidth()
            scaled += f", scaled by read bandwidth, {source.bandwidth / 1e9:.1f} GB/s there to {bandwidth() / 1e9:.1f} here now"
        for i, took in found.items():
            seconds[i] = took * scale
        units = "unit" if len(found) == 1 else "units"
        told.append(f"{len(found)} {units} by the rows of profile {', '.join(source.profiles)} on {source.platform}{scaled}")
        if None not in seconds:
            break
    known = [took for took in seconds if took is not None]
    return Estimate(sum(known), len(known), len(seconds) - len(known), tuple(told), tuple(seconds))


def sources(study: str, profile: str, platform: str) -> Iterator[Source]:
    """The sources of `paths`, each read when it is asked for."""
    for path in paths(study, profile, platform):
        if (source := read(path)) is not None:
            yield source
