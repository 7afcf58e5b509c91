"""Which folder may import which: the arrows of the house, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import store

PACKAGE = store.ROOT / "edgekit"
BASE = {"errors", "schema", "text_files", "params", "store", "provenance", "catalog"}
EVERYWHERE = {"progress"}  # whatever works may say so
# part -> parts that it may import beside itself
MAY = {
    "progress": set(), "errors": set(), "schema": set(), "text_files": {"errors", "store"},
    "params": {"errors", "store", "text_files"}, "store": {"errors", "schema"},
    "provenance": {"errors", "store", "catalog"}, "catalog": {"errors", "store", "text_files"},
    "training": {"errors"},  # one loop for what pocket trains and what compress distils
    "compress": BASE | {"training"}, "pocket": BASE | {"engines", "training"}, "engines": BASE | {"compress"},
    "decode": BASE | {"compress", "engines"}, "measure": BASE | {"compress", "engines", "decode"},
    "analyze": {"errors", "schema", "store", "text_files", "catalog"},
    "plots": {"errors", "schema", "store", "catalog", "analyze"},
    "studies": BASE | {"compress", "engines", "decode", "measure", "analyze"},
    "judged": BASE | {"analyze"}, "report": BASE | {"studies", "analyze", "plots", "judged"},
    "publish": BASE | {"studies", "analyze", "plots", "judged"},
    "doctor": BASE | {"measure", "engines"}, "environment": set(), "cli": None,
}
WITHOUT_TORCH = ["edgekit", "edgekit.schema", "edgekit.cli", "edgekit.store", "edgekit.params", "edgekit.catalog.models",
                 "edgekit.analyze.claims", "edgekit.plots", "edgekit.report", "edgekit.publish"]


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a module imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "edgekit" and len(parts) > 1 and not parts[1].startswith("__"):
                found.add(parts[1])
    return found


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_imports_only_what_stands_below_it(path):
    part = part_of(path)
    assert part in MAY, f"{part} has no place in the house: add it to the table"
    allowed = MAY[part]
    if allowed is not None:
        assert imported_parts(path) - {part, *EVERYWHERE} <= allowed


def test_the_check_sees_a_forbidden_import(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from edgekit.measure import latency\n    import edgekit.plots.style\n    return latency\n")
    assert imported_parts(bad) == {"measure", "plots"}
    assert not imported_parts(bad) <= MAY["compress"]


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_reading_and_drawing_need_no_torch(module):
    """In a fresh interpreter that has no torch at all, as on a reviewer's laptop."""
    program = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
import {module}
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_help_imports_nothing_heavy():
    """What makes a command slow to start, told by name and not by the clock."""
    program = ("import sys, edgekit.cli\ntry: edgekit.cli.main(['--help'])\nexcept SystemExit: pass\n"
               "heavy = {'numpy', 'pandas', 'torch', 'matplotlib', 'scipy', 'yaml', 'IPython'} & set(sys.modules)\n"
               "print('\\n' + ','.join(heavy))")
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == ""
