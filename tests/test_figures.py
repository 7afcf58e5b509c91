"""Committed figures are drawn again where something that decides them changed, and nowhere else."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest

from edgekit import committed, figures, provenance, store
from edgekit.claims import judged
from edgekit.plots import style


@pytest.fixture
def one(tmp_path, monkeypatch):
    """The smallest committed rows file in another place: (source, study, folder) of its figures, and what was drawn."""
    rows = min(committed.files(), key=lambda rows: rows.path.stat().st_size)
    for file in (rows.path, provenance.manifest_path(rows.path)):
        shutil.copy(file, tmp_path)
    drawn = []

    def draw(study, path, folder):
        drawn.append(study)
        folder.mkdir(exist_ok=True)
        (folder / "some.svg").write_text("<svg/>")

    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    monkeypatch.setattr(figures, "draw", draw)
    return (str(tmp_path / rows.path.name), rows.study, str(tmp_path / "figures")), drawn


@pytest.mark.parametrize("change", ["rows", "manifest", "libraries", "a figure by hand", "a figure is gone"])
def test_a_folder_is_drawn_again_where_what_decides_it_changed(one, change, tmp_path, monkeypatch):
    call, drawn = one
    for _ in range(3):
        figures.draw_if_changed(*call)
    assert len(drawn) == 1
    if change == "rows":
        (tmp_path / call[0]).write_bytes(gzip.compress(b""))
    elif change == "manifest":
        provenance.manifest_path(tmp_path / call[0]).write_text("{}")
    elif change == "libraries":
        monkeypatch.setattr(figures, "LIBRARIES", ())
    elif change == "a figure by hand":
        (tmp_path / "figures/some.svg").write_text("<svg>prettier</svg>")
    else:
        (tmp_path / "figures/some.svg").unlink()
    for _ in range(3):
        figures.draw_if_changed(*call)
    assert len(drawn) == 2 and len(list((tmp_path / "artifacts/drawn").iterdir())) == 1


def test_rows_are_read_once_for_verdicts_and_figures_and_again_when_they_changed(one):
    (source, _, _), _ = one
    path = Path(source)
    first = judged.frame(path)
    assert len(first) and "last_level_cache_bytes" in first and judged.frame(path) is first
    path.write_bytes(gzip.compress(b""))
    assert judged.frame(path).empty


@pytest.mark.parametrize("path", sorted((store.ROOT / "figures").rglob("*.svg")), ids=lambda path: path.stem)
def test_no_committed_figure_is_taller_than_a_page_of_its_width(path):
    width, height = (float(re.search(rf'\b{name}="([\d.]+)pt"', path.read_text())[1]) for name in ("width", "height"))
    assert height / max(width, 72 * style.WIDTH) < 1.45, "text of 6.8 by 9.8 inches"
