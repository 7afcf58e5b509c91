"""One folder an experiment. Rows carry the notebook's name as their study.

plan: the `Config`, `plan(config)`, all units, and `run(config)`; one that measures nothing has `tables(config)` in place of
`run`. jobs: what a worker does. tables: from rows to tidy tables. quantities: what claims are judged by. figures: what is
shown, and drawings: how. A module whose name goes on behind such a word, as plan_grid, belongs to it.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from edgekit.errors import InvalidRequest, unknown_name

STUDIES = {
    "00_published_claims": "edgekit.studies.published_claims",
    "01_scale_models": "edgekit.studies.scale_models",
    "02_baseline": "edgekit.studies.baseline",
    "03_quantization": "edgekit.studies.quantization",
    "04_pruning": "edgekit.studies.pruning",
    "05_distillation": "edgekit.studies.distillation",
    "06_speculative": "edgekit.studies.speculative",
    "07_pipeline": "edgekit.studies.pipeline",
    "08_latency_law": "edgekit.studies.latency_law",
    "09_frontier": "edgekit.studies.frontier",
    "10_runtimes": "edgekit.studies.runtimes",
    "11_routing": "edgekit.studies.routing",
}


class StudyError(InvalidRequest):
    """No such study; the message lists the known ones."""


def full_name(notebook: str) -> str:
    """The name of a notebook that may be given without its number (`baseline`). Raises StudyError for an unknown one."""
    name = {name.split("_", 1)[1]: name for name in STUDIES}.get(notebook, notebook)
    if name not in STUDIES:
        raise StudyError(unknown_name("notebook", notebook, STUDIES))
    return name


def module(notebook: str, part: str = "plan") -> ModuleType:
    """A part of the study behind a notebook, whose number may be left out. Raises StudyError."""
    return importlib.import_module(f"{STUDIES[full_name(notebook)]}.{part}")


def measures(notebook: str) -> bool:
    """Whether a notebook's study measures rows, or only computes tables from published numbers. Raises StudyError."""
    return hasattr(module(notebook), "run")


def grows(notebook: str) -> bool:
    """Whether a study's plan goes on from the rows that it has (see units.growing_run). Raises StudyError."""
    return measures(notebook) and hasattr(module(notebook).run, "grows")
