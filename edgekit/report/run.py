"""Execute notebooks: each failure is kept and told in one sentence, and the others still run.

A notebook whose sources and rows did not change since it was executed is not executed again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit import params, provenance, store, studies
from edgekit.catalog import fetch, weights
from edgekit.console import Console
from edgekit.report import closing
from edgekit.report.check import check, source_path
from edgekit.report.execute import execute, shown
from edgekit.studies import durations, runner
from edgekit.studies.config import MEASURE


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one notebook ended. `unexpected`: the reason of each unit without rows that nobody planned for. `tried`: how many
    units were started and have no rows, failed or too slow."""

    notebook: str
    state: Literal["executed", "unchanged", "failed", "interrupted"]
    seconds: float
    executed: Path
    sentence: str = ""
    unexpected: tuple[str, ...] = ()
    tried: int = 0


def run_notebooks(notebooks: Iterable[str], profile: str, *, force: bool = False, retry: bool = False) -> list[Outcome]:
    """Execute notebooks into runs/<profile>/, one after the other, and say how each ended.

    All of them are checked before the first kernel starts (ParamsError). A failing one is kept with its error and the
    others still run; Ctrl-C ends the list with an `interrupted` outcome. `force` executes unchanged ones too; `retry` starts
    units again that failed or were too slow, which are otherwise left as they are and told.
    """
    values = {notebook: check(notebook, profile) for notebook in notebooks}
    fetch_named(value for parameters in values.values() for value in parameters.values())
    expected = durations.expected(values, profile)
    begun, outcomes, pictured = time.monotonic(), [], False
    print(f"{closing.notebooks(len(values))}, profile {profile}: {durations.told(expected.values())}", flush=True)
    for number, notebook in enumerate(values, 1):
        left = durations.left(expected, list(values)[number - 1:], time.monotonic() - begun)
        where = f"[{number}/{len(values)}] {notebook}"
        print(f"{where}: begins{left} (log: {shown(_executed(notebook, profile).with_suffix('.log'))})", flush=True)
        with runner.retrying(retry):
            outcomes.append(_run(notebook, profile, values[notebook], force, retry))
        print(f"{where}: {closing.ended(outcomes[-1])}", flush=True)
        if not pictured and (picture := closing.first_figure(notebook, profile)):
            print(f"a first figure: {picture.as_uri()}", flush=True)
            pictured = True
        if outcomes[-1].state == "interrupted":
            break
    return outcomes


def fetch_named(values: Iterable[object]) -> None:
    """Bring the trained weights that parameters name, before anything is timed. What is not to be had is told, and its units
    are skipped with the same sentence."""
    try:
        fetch.fetch_all(weights.named_in(values), Console(sys.stdout))
    except fetch.FetchError as error:
        print(f"edgekit: {error}", file=sys.stderr, flush=True)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """130 after Ctrl-C, 1 if a notebook failed or left out something that nobody planned for, else 0."""
    outcomes = list(outcomes)
    if any(outcome.state == "interrupted" for outcome in outcomes):
        return 130
    return int(any(outcome.state == "failed" or outcome.unexpected for outcome in outcomes))


def _run(notebook: str, profile: str, values: dict, force: bool, retry: bool) -> Outcome:
    import nbformat

    executed = _executed(notebook, profile)
    made_of = _sources(notebook, profile)
    elsewhere = values.get("rows", MEASURE) != MEASURE
    stamp = _stamp(executed)
    skips, refused = _skips(notebook, profile), _refused(notebook, profile)
    again = force or refused or (retry and skips["tried"])
    unchanged = not again and stamp.get("made_of") == [made_of, _rows_hash(notebook, profile, values)]
    if unchanged and (elsewhere or plans_the_same(notebook, profile)):
        return Outcome(notebook, "unchanged", stamp["seconds"], executed,
                       f"nothing changed since {shown(executed)} was made; not executed again", **skips)
    begun = time.monotonic()
    state, sentence = execute(notebook, profile, values, executed)
    seconds = time.monotonic() - begun
    if executed.exists() and (node := read_executed(executed)) is not None:
        node.metadata["edgekit"] = {
            "profile": profile, "state": state, "sentence": sentence, "seconds": round(seconds, 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "run": _newest_run(notebook, profile),
            "source": store.hash_files([source_path(notebook)]), **_commit(),
            "made_of": [made_of, _rows_hash(notebook, profile, values)] if state == "executed" else None}
        store.write_atomically(executed, nbformat.writes(node))
    return Outcome(notebook, state, seconds, executed, sentence, **_skips(notebook, profile))


def _executed(notebook: str, profile: str) -> Path:
    return store.runs_folder(profile) / f"{notebook}.ipynb"


def _sources(notebook: str, profile: str) -> str:
    """Hash of all that an executed notebook is made of, rows apart: any doubt is a reason to execute it again."""
    files = [source_path(notebook), params.path_of(profile, notebook)]
    for folder in (Path(__file__).parents[1], store.ROOT / "data"):
        files += [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    installed = sorted(f"{dist.name}=={dist.version}" for dist in importlib.metadata.distributions())
    digest = hashlib.sha256(store.canonical([installed, sys.version, platform.platform(), os.cpu_count()]).encode())
    for path in files:
        digest.update(f"{path}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def plans_the_same(notebook: str, profile: str) -> bool:
    """Whether the study asks for the units of the plan beside its rows: a model, task or text outside of this folder may be
    another now, or a runtime another build, and all that decides a number is in the units' keys."""
    if not studies.measures(notebook):
        return True
    study = studies.module(notebook)
    planned = runner.keys_of(study.STUDY, study.VERSION, list(study.plan(params.of_profile(study.Config, profile, notebook))))
    return store.plan_of(_rows_path(notebook, profile)) == set(planned)


def _rows_path(notebook: str, profile: str) -> Path:
    return store.runs_folder(profile) / f"{notebook}.jsonl"


def _rows_hash(notebook: str, profile: str, values: dict) -> str:
    """Hash of the rows that a notebook shows, its own or those that its parameters name."""
    rows = values.get("rows", MEASURE)
    path = _rows_path(notebook, profile) if rows == MEASURE else store.find(rows, notebook)
    return store.hash_files([path]) if path.exists() else ""


def _standing(notebook: str, profile: str) -> list[store.Skip]:
    path = _rows_path(notebook, profile)
    return store.read(path)[1] if path.exists() else []


def _refused(notebook: str, profile: str) -> bool:
    """Whether something that nobody planned for was not even started, as a model that could not be had: it may be there now."""
    return any(not skip.expected and not skip.tried for skip in _standing(notebook, profile))


def _skips(notebook: str, profile: str) -> dict:
    """What an Outcome tells of the units without rows."""
    skips = _standing(notebook, profile)
    return dict(unexpected=tuple(skip.reason for skip in skips if not skip.expected),
                tried=sum(skip.tried for skip in skips))


def _stamp(executed: Path) -> dict:
    """What was noted in an executed notebook, {} if there is none."""
    node = read_executed(executed) if executed.exists() else None
    return {} if node is None else node.metadata.get("edgekit", {})


def read_executed(executed: Path):
    """An executed notebook; None for one that a kill or a full disk left torn while papermill was writing it."""
    import nbformat
    from nbformat.reader import NotJSONError

    try:
        return nbformat.read(executed, as_version=4)
    except (NotJSONError, UnicodeDecodeError, nbformat.ValidationError):
        return None


def _newest_run(notebook: str, profile: str) -> str:
    runs = provenance.read_manifests(_rows_path(notebook, profile))
    return list(runs)[-1] if runs else ""


def _commit() -> dict:
    """Commit of the sources, and whether tracked files differ from it."""
    commit, dirty = provenance.git_state()
    return {"commit": commit, "dirty": dirty}
