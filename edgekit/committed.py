"""Rows and figures that are committed with the project: where they lie.

Those of the profile `reference` lie in a platform's (or the figures') own folder, those of each other profile in a folder of
its own there: rows of two profiles are never joined, since a machine is not the same on another day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit import store

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Rows:
    """A committed rows file: where it was measured, by which profile, and where it lies."""

    platform: str
    profile: str
    study: str
    path: Path

    @property
    def of(self) -> str:
        """What tells it from the reference rows of its platform, for titles; nothing for these."""
        return f", profile {self.profile}" if self.profile != REFERENCE else ""

    @property
    def figures(self) -> Path:
        """The folder of the figures that are drawn from it."""
        return figures(self.profile) / self.study


def results(platform: str, profile: str) -> Path:
    """The folder of the rows that a profile measured on a platform."""
    return _of(profile, store.ROOT / "data" / "results" / platform)


def figures(profile: str) -> Path:
    """The folder of the figures that are drawn from a profile's rows, in it a folder a notebook."""
    return _of(profile, store.ROOT / "figures")


def _of(profile: str, folder: Path) -> Path:
    return folder if profile == REFERENCE else folder / profile


def files() -> Iterator[Rows]:
    """Every committed rows file, by platform, with those of the profile `reference` first."""
    folder = store.ROOT / "data" / "results"
    found = [path for depth in ("*/*", "*/*/*") for kind in ("jsonl", "jsonl.gz") for path in folder.glob(f"{depth}.{kind}")]
    for path in sorted(found, key=lambda path: (path.relative_to(folder).parts[0], len(path.parts), path)):
        platform, *profile = path.relative_to(folder).parts[:-1]
        yield Rows(platform, *(profile or [REFERENCE]), store.study_of(path), path)
