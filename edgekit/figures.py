"""The committed figures, drawn again from the committed rows: without an engine, and only those that something changed for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import apart, committed, params, provenance, store, studies
from edgekit.analyze.once import remembering
from edgekit.claims import judged, judgement, text

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("matplotlib",)  # which draws, beside those that compute


def again(notebooks: Container[str]) -> Iterator[Path]:
    """Draw the committed figures of some notebooks, all of their platforms and profiles; yields the files that are others now.

    Several folders are drawn at a time, in processes of their own. Raises ClaimsError, and StoreError for damaged rows.
    """
    folders = [(rows.path, rows.study, rows.figures) for rows in committed.files() if rows.study in notebooks]
    folders += [(params.path_of(committed.REFERENCE, study), study, committed.figures(committed.REFERENCE) / study)
                for study in studies.STUDIES if study in notebooks and not studies.measures(study)]
    before = {folder: _hashes(folder) for _, _, folder in folders}
    waiting = [list(map(str, one)) for one in folders if not _is_drawn(*one)]
    if len(waiting) > 1 and (os.cpu_count() or 1) > 1:
        apart.run("edgekit.figures:draw_if_changed", waiting)
    for source, study, folder in folders:
        draw_if_changed(str(source), study, str(folder))
        yield from (folder / name for name, hash in _hashes(folder).items() if before[folder].get(name) != hash)


def draw_if_changed(source: str, study: str, folder: str) -> None:
    """Draw a folder of figures unless what lies there was drawn by this code from this source: a rows file, or the parameters
    of a study that computes."""
    one = Path(source), study, Path(folder)
    if _is_drawn(*one):
        return
    if studies.measures(study):
        draw(study, one[0], one[2])
    else:
        computed(study, committed.REFERENCE)
    mark = _mark(*one)
    for old in mark.parent.glob(f"{mark.name.split('.')[0]}.*.json"):
        old.unlink(missing_ok=True)
    store.write_atomically(mark, json.dumps(_hashes(one[2])))


def draw(notebook: str, rows_path: Path, folder: Path) -> list[Path]:
    """Draw all figures of a notebook from a rows file into `folder`, each as SVG and CSV, with the verdicts that link to it."""
    with remembering():  # a table that claims and figures ask for is computed once
        cells = judged.cells(rows_path, notebook, provenance.platform_of(rows_path))
        return _draw(notebook, judged.frame(rows_path), folder, cells)


def computed(notebook: str, profile: str) -> list[Path]:
    """The same of a study that measures nothing: from the published numbers, by the profile's choices. Raises ParamsError."""
    study = studies.module(notebook)
    config = params.of_profile(study.Config, profile, notebook)
    with remembering():
        cells = text.cells(judgement.audited(judgement.load(), config.assumed))
        return _draw(notebook, study.tables(config), committed.figures(profile) / notebook, cells)


def _draw(notebook: str, frame: pd.DataFrame, folder: Path, cells: Iterable[Mapping]) -> list[Path]:
    for old in folder.glob("*"):
        old.unlink()
    for figure in studies.module(notebook, "figures").FIGURES:
        figure.show(frame, folder, cells)
    return sorted(folder.iterdir())


def _is_drawn(source: Path, study: str, folder: Path) -> bool:
    mark = _mark(source, study, folder)
    return mark.exists() and json.loads(mark.read_text(encoding="utf-8")) == _hashes(folder)


def _mark(source: Path, study: str, folder: Path) -> Path:
    """What says which files were drawn: `<folder>.<hash of all that decides them>.json`."""
    what = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
    return store.OUTPUT / "artifacts" / "drawn" / f"{what}.{judged.hash_of(source, study, libraries=LIBRARIES)}.json"


def _hashes(folder: Path) -> dict[str, str]:
    """The files of a folder by name."""
    return {file.name: hashlib.blake2b(file.read_bytes(), digest_size=12).hexdigest() for file in sorted(folder.glob("*"))}
