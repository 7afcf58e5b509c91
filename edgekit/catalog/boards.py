"""Boards: what a machine must be, and be like, for the profile that is made for it (data/boards.yaml).

A demand says what is to be read and what it must be; edgekit/measure/readiness.py reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import platforms
from edgekit.catalog.platforms import Device
from edgekit.errors import InvalidRequest, unknown_name

GPU = "nvidia"


class BoardError(InvalidRequest):
    """A board is unknown, its entry is wrong, or this machine is another."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a board must be like: a text that is `wanted`, or a number from `least` to `most` (°C, bytes, a share).
    mend: how that is brought about."""

    what: str
    mend: str
    wanted: str | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """platforms: the published ones that it may be; where there are none, machine and gpu say what it must have. may_hide: the
    demands that such machines may not show."""

    id: str
    name: str
    demands: tuple[Demand, ...]
    may_hide: tuple[str, ...]
    platforms: tuple[str, ...]
    machine: str | None = None
    gpu: str | None = None

    @property
    def platform(self) -> platforms.Platform | None:
        """What is published of it; None for a kind of machine."""
        return platforms.get(self.platforms[0]) if self.platforms else None


def path() -> Path:
    return store.ROOT / "data" / "boards.yaml"


def load() -> dict[str, Board]:
    """Boards by the profile that is made for each. Raises BoardError for an entry that is wrong."""
    return {key: _board(key, entry) for key, entry in text_files.yaml_of(path(), BoardError).items()}


def _board(key: str, entry: dict) -> Board:
    known = {field.name for field in fields(Board)} - {"id"}
    if wrong := (set(entry) - known) | ({"name", "demands", "may_hide", "platforms"} - set(entry)):
        raise BoardError(f"{path()}, {key}: wrong or missing: {', '.join(sorted(wrong))}; an entry has "
                         f"{', '.join(sorted(known))}")
    demands = []
    for number, one in enumerate(entry["demands"], 1):
        names = {field.name for field in fields(Demand)}
        ends = [name for name in ("wanted", "least", "most") if name in one]
        if not {"what", "mend"} <= set(one) <= names or not ends or ("wanted" in ends and len(ends) > 1):
            raise BoardError(f"{path()}, {key}, demand {number}: expected what, mend, and wanted or least and most, got "
                             f"{', '.join(one)}")
        demands.append(Demand(**one))
    if unknown := set(entry["may_hide"]) - {demand.what for demand in demands}:
        raise BoardError(f"{path()}, {key}, may_hide: " + unknown_name("demand", unknown.pop(), [one.what for one in demands]))
    return Board(id=key, **{**entry, "demands": tuple(demands), "may_hide": tuple(entry["may_hide"]),
                            "platforms": tuple(entry["platforms"])})


def get(name: str) -> Board:
    """A board by name. Raises BoardError, listing the known ones."""
    if name not in load():
        raise BoardError(unknown_name("board", name, load()))
    return load()[name]


def of_profile(profile: str) -> Board | None:
    """The board that a profile is made for; None for one that runs anywhere."""
    return load().get(profile)


def require_is(board: Board, device: Device, machine: str, gpu: str) -> None:
    """Raise BoardError unless this machine is that board. device: what it is; machine: its processor's architecture; gpu: the
    name of its first NVIDIA GPU, or nothing."""
    if board.platforms:
        right = device.published in board.platforms
        wanted = board.name
    else:
        same = {"amd64": "x86_64"}.get(machine.lower(), machine)
        right = board.machine in (None, same) and (board.gpu is None or bool(gpu))
        parts = (board.machine and f"a processor of {board.machine}", board.gpu and "an NVIDIA GPU")
        wanted = " with ".join(filter(None, parts))
    if not right:
        raise BoardError(f"board {board.id}: expected {wanted}, this machine is {device.name} ({device.slug}, {machine}"
                         f"{', ' + gpu if gpu else ''}); use the profile that edgekit doctor names, or pocket or real, which "
                         "run anywhere")
