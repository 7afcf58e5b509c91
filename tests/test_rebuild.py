"""Ledger, pages and figures come out of rows anew on a reviewer's laptop: no model, no engine, none of their libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from test_imports import HEAVY

from edgekit import committed, store

PROGRAM = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
from edgekit import cli, committed, publish
assert cli.main(["claims", "--write"]) == 0
for rows in committed.files():
    assert publish.draw(rows.study, rows.path, rows.figures)
"""


def test_ledger_and_figures_are_made_from_rows_without_a_model_or_its_libraries(tmp_path):
    """Of the small committed files, in another place; what is written is what is committed for them."""
    home = tmp_path / "home"
    small = [rows for rows in committed.files() if rows.profile == "real"]
    assert len({rows.study for rows in small}) > 3
    for folder in ("data/published", "params", "notebooks"):
        shutil.copytree(store.ROOT / folder, home / folder)
    for rows in small:
        at = home / rows.path.relative_to(store.ROOT).parent
        shutil.copytree(rows.path.parent, at, dirs_exist_ok=True)
    shutil.copy(store.ROOT / "README.md", home)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ | {
        "EDGEKIT_HOME": str(home), "EDGEKIT_OUTPUT": str(tmp_path / "out")})
    assert done.returncode == 0, done.stderr
    for rows in small:
        drawn, kept = home / rows.figures.relative_to(store.ROOT), rows.figures
        assert sorted(file.name for file in drawn.iterdir()) == sorted(file.name for file in kept.iterdir())
    assert "small real: does not hold" in (home / "docs/ledger.md").read_text()
    assert (home / "figures/claims.svg").stat().st_size > 10_000 and (home / "docs/claims/S1.7.md").exists()
