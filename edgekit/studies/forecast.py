"""What a plan takes before anything of it runs: units, downloads, disk, memory, minutes, and what will be refused.

Nothing is downloaded, built or measured, but for the read bandwidth of this machine where times of another one are scaled.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import engines, params, store, studies
from edgekit.catalog import boards, folder_data, hub, models, platforms, real_texts, tasks
from edgekit.catalog.hub import Download
from edgekit.compress import foreseen
from edgekit.errors import EdgekitError
from edgekit.measure import device as devices
from edgekit.studies import history, needs
from edgekit.studies.config import MEASURE
from edgekit.studies.history import Estimate
from edgekit.studies.needs import Need
from edgekit.studies.runner import Unit, keys_of

BANDWIDTH_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plan is to run; here: on this machine. Memory in bytes: all, and what is free (of a board elsewhere all)."""

    slug: str
    name: str
    here: bool
    total_bytes: float
    free_bytes: float

    def words(self, share: float) -> str:
        """Its memory, as needs.too_large wants it."""
        if self.here:
            return needs.free_here(share, self.total_bytes)
        return f"memory_share ({share:.0%}) of the {needs.size(self.total_bytes)} that {self.name} has"


@dataclass(frozen=True, slots=True)
class Group:
    """Units of one task, engine and dtype: all of them, those that have rows, those that are refused, those that were tried in
    vain before (--retry starts them again), and those that are left; seconds: of these, None where it is not known of all."""

    task: str
    engine: str
    dtype: str
    planned: int
    rows: int
    refused: int
    tried: int
    left: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Disk:
    """Artifacts that are still to be built, and the most that they take at a time, about; what is free, None where that is not
    known."""

    artifacts: int
    nbytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Memory:
    """The most that one of the units that are left needs, and what one process may take."""

    most: Need | None
    limit_bytes: float
    limit: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why units are not started; planned: that is as it should be here, and no failure."""

    reason: str
    units: int
    planned: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one notebook takes with one profile. words: the profile's own, of its params file. said: why there is nothing to
    measure, empty where there is."""

    notebook: str
    profile: str
    words: str
    place: Place | None = None
    groups: tuple[Group, ...] = ()
    downloads: tuple[Download, ...] = ()
    disk: Disk | None = None
    memory: Memory | None = None
    time: Estimate | None = None
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    said: str = ""


def place_of(profile: str, device: str) -> Place:
    """This machine; or the published board that a profile is made for, where that is another."""
    here, made_for = platforms.current(), boards.of_profile(profile)
    board = made_for and made_for.platform
    if board is None or board.id == here.slug:
        return Place(here.slug, here.name, True, devices.total_memory_bytes(device), devices.free_memory_bytes(device))
    return Place(board.id, board.name, False, board.memory_bytes, board.memory_bytes)


def forecast(notebook: str, profile: str) -> Forecast:
    """What a notebook takes with a profile. Raises StudyError, ParamsError, StoreError as running it does."""
    name = studies.full_name(notebook)
    study = studies.module(name)
    config, words = params.of_profile(study.Config, profile, name), params.said_of(profile, name)
    if not studies.measures(name):
        return Forecast(name, profile, words, said="measures nothing: it computes from published numbers, in seconds")
    if config.rows != MEASURE:
        return Forecast(name, profile, words, said=f"measures nothing: its rows are opened from {config.rows}")
    place = place_of(profile, config.device)
    limit, memory = config.memory_share * place.free_bytes, place.words(config.memory_share)
    with (models.without_downloads() as absent, real_texts.without_downloads() as away,
          engines.assumed(not place.here)):
        keys = keys_of(study.STUDY, study.VERSION, needs.fitting(study.plan(config), limit, memory), place.slug)
        done, skips = store.finished(store.runs_folder(profile) / f"{name}.jsonl")
        states = {key: _state(unit, key in done, key in skips and skips[key].tried) for key, unit in keys.items()}
        left = [unit for key, unit in keys.items() if states[key] == "left"]
        took = history.estimate([dict(unit.condition) for unit in left], history.sources(name, profile, place.slug), profile,
                                place.slug, functools.cache(_bandwidth(place, config.device)))
        made, failing = to_build(left, place.here)
        most = needs.largest(left)
    return Forecast(
        name, profile, words, place, groups_of(keys.values(), states.values(), took),
        (*map(hub.download, absent), *_texts(away), *_task_items(getattr(config, "tasks", ()))),
        Disk(len(made), _at_a_time(made, left), _free_bytes() if place.here else None), Memory(most, limit, memory), took,
        (*refusals_of(unit for key, unit in keys.items() if states[key] == "refused"), *failing),
        tuple(_notes(config.device, place)))


def _state(unit: Unit, has_rows: bool, tried: bool) -> str:
    return "rows" if has_rows else "refused" if unit.refusal else "tried" if tried else "left"


def groups_of(units: Iterable[Unit], states: Iterable[str], took: Estimate) -> tuple[Group, ...]:
    """Units by task, engine and dtype, tasks in the order in which they come. `took`: of those that are left, in order."""
    seconds = iter(took.by_unit)
    found: dict[tuple[str, str, str], list[tuple[str, float | None]]] = {}
    for unit, state in zip(units, states, strict=True):
        at = tuple(str(unit.condition.get(name, "")) for name in ("task", "engine", "dtype"))
        found.setdefault(at, []).append((state, next(seconds) if state == "left" else None))
    groups, order = [], list(dict.fromkeys(task for task, _, _ in found))
    for at, members in sorted(found.items(), key=lambda item: order.index(item[0][0])):
        count = [state for state, _ in members].count
        times = [time for state, time in members if state == "left"]
        groups.append(Group(*at, len(members), count("rows"), count("refused"), count("tried"), count("left"),
                            None if None in times else sum(times)))
    return tuple(groups)


def refusals_of(units: Iterable[Unit]) -> tuple[Refusal, ...]:
    """Refused units by their reason, those that are failures first, then the most frequent."""
    counts: dict[tuple[str, bool], int] = {}
    for unit in units:
        counts[unit.refusal, unit.planned] = counts.get((unit.refusal, unit.planned), 0) + 1
    return tuple(Refusal(reason, count, planned) for (reason, planned), count
                 in sorted(counts.items(), key=lambda item: (item[0][1], -item[1])))


def to_build(units: Sequence[Unit], here: bool) -> tuple[dict[str, int], tuple[Refusal, ...]]:
    """The artifacts that units need and that are not there yet, with their bytes; and units that will fail, since a step
    refuses what they ask it for. `here`: whether artifacts/ of this machine counts."""
    links = functools.cache(foreseen.links)
    made: dict[str, int] = {}
    failing: dict[str, int] = {}
    for unit in units:
        try:
            for chain in sorted(needs.opened(unit)):
                made |= {link.variant: link.nbytes for link in links(chain) if link.made}
        except EdgekitError as error:
            failing[str(error)] = failing.get(str(error), 0) + 1
    waiting = {chain: size for chain, size in made.items() if not (here and links(chain)[-1].is_built())}
    return waiting, tuple(Refusal(reason, count, False) for reason, count in failing.items())


def _at_a_time(made: Mapping[str, int], units: Sequence[Unit]) -> int:
    """The most bytes that artifacts take together: the copies that pass (see needs.passing) are there a unit at a time."""
    passing = set().union(*map(needs.copies, units)) & made.keys()
    beside = max((sum(made.get(copy, 0) for copy in needs.copies(unit)) for unit in units), default=0)
    return sum(size for chain, size in made.items() if chain not in passing) + beside


def _task_items(names: Iterable[str]) -> Iterable[Download]:
    """The items of tasks that lie in data sets of the hub."""
    for name in names:
        if tasks.is_fetched(name):
            yield Download(f"items of {name}", None, None, "fetched once, where the local cache does not have them")


def _texts(names: Iterable[str]) -> Iterable[Download]:
    """Texts that are not here."""
    for name in sorted(names):
        yield Download(f"texts of {name}", None, None, "fetched once, or read from the folder that "
                                                         f"{folder_data.VARIABLE} names")


def _bandwidth(place: Place, device: str) -> Callable[[], float]:
    """Read bandwidth in bytes/s: of this machine measured, of a board elsewhere as published."""
    def measured() -> float:
        return max(devices.memory_bandwidth(seconds=BANDWIDTH_S, on=device).byte_per_s)

    return measured if place.here else lambda: platforms.get(place.slug).memory_bandwidth_byte_per_s


def _free_bytes() -> int:
    there: Path = next(folder for folder in (store.OUTPUT, *store.OUTPUT.parents) if folder.exists())
    return shutil.disk_usage(there).free


def _notes(device: str, place: Place) -> Iterable[str]:
    if not place.here:
        yield (f"{place.name} is not this machine: its engines and sensors are taken to be there, its disk is not known, and "
               "rows that it has are not seen from here")
    elif device == "cuda" and not platforms.gpu_name():
        yield "device cuda: no NVIDIA GPU was found here, so a run would end before its first unit"
