"""How long notebooks take, said before they begin: by what they took elsewhere, and how fast processes start here.

Most of a notebook's time goes into processes that load their libraries and models of a few megabytes: of two machines, one of
which multiplies twice as fast, they took the same.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import statistics
import time
from collections.abc import Iterable, Mapping

from edgekit import params, provenance, store, studies
from edgekit.console import duration
from edgekit.measure.worker import run_job
from edgekit.studies.runner import keys_of

FILE = "durations.json"  # under data/results: a line a platform, profile and notebook that ran whole with nothing beside it


def expected(notebooks: Iterable[str], profile: str) -> dict[str, float | None]:
    """Seconds that each notebook should take here, what has its rows already left out; None where nobody knows."""
    known, found = measured(), {}
    for notebook in notebooks:
        missing = _missing(notebook, profile)
        seconds = [_here(entry) for entry in known if (entry["notebook"], entry["profile"]) == (notebook, profile)] \
            if missing else [0.0]
        found[notebook] = missing * statistics.median(seconds) if seconds else None
    return found


def _missing(notebook: str, profile: str) -> float:
    """How much of what a notebook asks for with the present parameters was not measured yet. The plan beside its rows is taken
    where the newest run had these parameters, since making one takes seconds."""
    rows = store.runs_folder(profile) / f"{notebook}.jsonl"
    if not studies.measures(notebook) or not rows.exists():
        return 1.0
    study = studies.module(notebook)
    config = params.of_profile(study.Config, profile, notebook)
    planned, runs = store.plan_of(rows), list(provenance.read_manifests(rows).values())
    if planned is None or not runs or store.canonical(runs[-1]["params"]) != store.canonical(dataclasses.asdict(config)):
        planned = set(keys_of(study.STUDY, study.VERSION, list(study.plan(config))))
    return store.missing_share(rows, planned)


def told(seconds: Iterable[float | None]) -> str:
    """The sum of what is expected, in words."""
    seconds = list(seconds)
    if None in seconds:
        return "how long they take is not known" if not any(seconds) else \
            f"at least {duration(sum(filter(None, seconds)))}; of some it is not known"
    return f"about {duration(sum(seconds))}"


def left(expected: Mapping[str, float | None], ahead: Iterable[str], so_far: float) -> str:
    """What is left, corrected by how the notebooks before went; nothing where it is not known."""
    ahead = list(ahead)
    behind = [expected[name] for name in expected if name not in ahead]
    seconds = [expected[name] for name in ahead]
    if None in (*behind, *seconds):
        return ""
    pace = so_far / sum(behind) if sum(behind) >= 60 else 1.0
    return f", about {duration(pace * sum(seconds))} left"


def measured() -> list[dict]:
    """What is on record: platform, profile, notebook, seconds, and the machine's start_s."""
    path = store.ROOT / "data" / "results" / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _here(entry: Mapping) -> float:
    """What took so long where it was measured, scaled to this machine; arithmetic on printed numbers is not."""
    return entry["seconds"] * (start_s() / entry["start_s"] if studies.measures(entry["notebook"]) else 1.0)


def load() -> str:
    """A worker's job: load what most units load."""
    return importlib.import_module("edgekit.engines.transformers").__name__


@functools.cache
def start_s() -> float:
    """Seconds from the start of a process until it has loaded the engine of most units; the second time, since the first one
    reads from the disk."""
    for _ in range(2):
        begun = time.monotonic()
        run_job("edgekit.studies.durations:load", {}, timeout_s=300)
    return time.monotonic() - begun
