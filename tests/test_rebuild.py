"""Ledger, pages, figures and report come out of rows anew on a reviewer's laptop: no model, no engine, no library of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from test_imports import HEAVY

from edgekit import committed, store

# In every process of the test, since folders of figures are drawn in processes of their own.
ABSENT = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
"""
PROGRAM = """
import sys
import nbformat
from edgekit import cli, committed, store
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("this environment has what it should not have")
notebook = store.runs_folder("real") / "02_baseline.ipynb"
notebook.parent.mkdir(parents=True)
notebook.write_bytes((store.ROOT / "notebooks/02_baseline.ipynb").read_bytes())
assert cli.main(["figures", *{rows.study for rows in committed.files()}]) == 0
assert cli.main(["claims", "--write"]) == 0
assert cli.main(["report", "--profile", "real"]) == 0
"""


def test_ledger_figures_and_report_are_made_from_rows_without_a_model_or_its_libraries(tmp_path):
    """Of the small committed files, in another place; what is written is what is committed for them."""
    home, output = tmp_path / "home", tmp_path / "out"
    small = [rows for rows in committed.files() if rows.profile == "real"]
    assert len({rows.study for rows in small}) > 3
    for folder in ("data/published", "params", "notebooks"):
        shutil.copytree(store.ROOT / folder, home / folder)
    for rows in small:
        at = home / rows.path.relative_to(store.ROOT).parent
        shutil.copytree(rows.path.parent, at, dirs_exist_ok=True)
    shutil.copy(store.ROOT / "README.md", home)
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/sitecustomize.py").write_text(ABSENT)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ | {
        "EDGEKIT_HOME": str(home), "EDGEKIT_OUTPUT": str(output),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path / "absent"), os.environ.get("PYTHONPATH"))))})
    assert done.returncode == 0, done.stderr
    for rows in small:
        drawn, kept = home / rows.figures.relative_to(store.ROOT), rows.figures
        assert sorted(file.name for file in drawn.iterdir()) == sorted(file.name for file in kept.iterdir())
        assert all(f"{file}\n" in done.stdout for file in drawn.iterdir()), "what is new is listed"
    assert "small real: does not hold" in (home / "docs/ledger.md").read_text()
    assert (home / "figures/claims.svg").stat().st_size > 10_000 and (home / "docs/claims/S1.7.md").exists()
    index = (output / "reports/index.html").read_text()
    assert 'data-verdict="does not hold on small real models"' in index and (output / "reports/claims/S1.7.html").exists()
