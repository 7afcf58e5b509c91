"""Two folders of rows, study by study: joined, refused where protocols differ, compared, with verdicts and environments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit import provenance, store, studies
from edgekit.analyze import protocol
from edgekit.claims import judged
from edgekit.compare import effects, join
from edgekit.compare.effects import Effect
from edgekit.compare.environment import Line, checklist
from edgekit.errors import InvalidRequest


class CompareError(InvalidRequest):
    """There is nothing to compare; the message says what was looked for."""


@dataclass(frozen=True)
class Verdicts:
    """What the rows of both sides say of a claim, with its value in a few words."""

    id: str
    name: str
    a: str
    b: str
    a_value: str
    b_value: str


@dataclass(frozen=True)
class Study:
    """One study in both folders.

    effects, with `changed` beside them: cells of both. unpaired: cells without a common item. refused: rows of B by the reason
    for which they are not compared with those of A, with how many. only_a, only_b: cells of one side. verdicts: of the claims
    that both sides' rows were asked about.
    """

    name: str
    effects: list[Effect]
    changed: list[bool]
    unpaired: int
    refused: Mapping[str, int]
    refused_metrics: Mapping[str, list[str]]
    only_a: int
    only_b: int
    verdicts: list[Verdicts]
    checklist: list[Line]

    @property
    def moved(self) -> list[Verdicts]:
        """The verdicts that are not the same."""
        return [one for one in self.verdicts if one.a != one.b]


@dataclass(frozen=True)
class Comparison:
    """Two places, the studies that both have, and those that one has."""

    a: str
    b: str
    studies: list[Study]
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)


def files(place: str | Path) -> dict[str, Path]:
    """The rows files in a folder, by study, or the one that is named: a path, a profile of runs/, or a platform (with a
    profile behind a slash) of data/results/. Raises CompareError where there are none."""
    tried = [Path(place).expanduser(), store.OUTPUT / "runs" / place, store.ROOT / "data" / "results" / place]
    for at in tried:
        found = sorted((*at.glob("*.jsonl"), *at.glob("*.jsonl.gz"))) if at.is_dir() else [at] if at.is_file() else []
        if named := {store.study_of(path): path for path in found if store.study_of(path) in studies.STUDIES}:
            return named
    raise CompareError(f"no rows at {place}: expected a folder with <notebook>.jsonl or <notebook>.jsonl.gz, such a file, a "
                       "profile of runs/, or a platform of data/results/")


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare all studies that both places have. Raises CompareError for a place without rows, or where no study is in both,
    and StoreError for a damaged file."""
    ours, theirs = files(a), files(b)
    common = [name for name in ours if name in theirs]
    if not common:
        raise CompareError(f"no study is in both: {a} has {', '.join(ours)}, {b} has {', '.join(theirs)}")
    return Comparison(str(a), str(b), [study(name, ours[name], theirs[name]) for name in common],
                      [name for name in ours if name not in theirs], [name for name in theirs if name not in ours])


def study(name: str, a: Path, b: Path) -> Study:
    """Compare the rows files of one study. Raises StoreError for a damaged one, or one without manifests."""
    runs = [provenance.read_manifests(path) for path in (a, b)]
    for path, manifests, rows in zip((a, b), runs, (read := [store.read(path)[0] for path in (a, b)]), strict=True):
        if missing := {row.run for row in rows} - manifests.keys():
            raise store.StoreError(f"{provenance.manifest_path(path)}: no manifest of run {min(missing)}, so nobody knows by "
                                   "which protocol its rows were measured; copy the file that lies beside them")
    ours, theirs = (join.cells(rows, manifests) for rows, manifests in zip(read, runs, strict=True))
    found, unpaired = [], 0
    refused, metrics = Counter(), {}
    for cell in ours:
        if cell not in theirs:
            continue
        reasons = _reasons(ours[cell], theirs[cell], *runs)
        for reason in reasons:
            refused[reason] += len(theirs[cell].values)
            metrics.setdefault(reason, []).append(cell[0])
        if not reasons:
            one = effects.effect(cell, ours[cell], theirs[cell])
            found += [one] if one else []
            unpaired += one is None
    return Study(name, found, effects.changed(found), unpaired, dict(refused),
                 {reason: sorted(set(names)) for reason, names in metrics.items()}, len(ours.keys() - theirs.keys()),
                 len(theirs.keys() - ours.keys()), _verdicts(name, a, b), checklist(runs[0].values(), runs[1].values()))


def _reasons(a: join.Samples, b: join.Samples, ours: Mapping, theirs: Mapping) -> list[str]:
    """Why a cell is not compared; a cell may hold rows of several runs, each of which counts."""
    return list(dict.fromkeys(reason for one in sorted(a.runs) for other in sorted(b.runs)
                              for reason in protocol.differences(a.condition, ours[one], theirs[other])))


def _verdicts(name: str, a: Path, b: Path) -> list[Verdicts]:
    ours, theirs = ({cell["id"]: cell for cell in judged.cells(path, name, provenance.platform_of(path)) if cell["tests"]}
                    for path in (a, b))
    return [Verdicts(claim, ours[claim]["name"], ours[claim]["verdict"], theirs[claim]["verdict"], ours[claim]["ours_short"],
                     theirs[claim]["ours_short"]) for claim in ours]
