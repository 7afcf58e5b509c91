"""Which folder may import which: the arrows of the house, read from the imports themselves."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import store

PACKAGE = store.ROOT / "edgekit"
BASE = {"errors", "schema", "text_files", "params", "store", "building", "provenance", "catalog", "committed",
        "apart"}
WORKS = {"compress", "engines", "decode", "measure", "route"}
EVERYWHERE = {"progress", "columns", "console"}  # whatever works may say so, and whatever is printed in columns
# part -> parts that it may import beside itself
MAY = {
    "progress": set(), "columns": set(), "console": set(), "errors": set(), "schema": set(), "text_files": {"errors", "store"},
    "params": {"errors", "store", "text_files"}, "store": {"errors", "schema"}, "building": {"errors", "store"},
    "committed": {"store"}, "apart": {"store"}, "provenance": {"errors", "store", "catalog"},
    "catalog": {"errors", "store", "text_files", "building"},
    "training": {"errors"},  # one loop for what pocket trains and what compress distils
    "compress": BASE | {"training"}, "pocket": BASE | {"engines", "training"}, "questions": set(),
    "engines": BASE | {"compress"},
    "decode": BASE | {"compress", "engines"}, "measure": BASE | {"compress", "engines", "decode"},
    "route": BASE | {"engines"},  # who answers a query; what is counted of it, studies count
    "analyze": {"errors", "schema", "store", "text_files", "catalog"},
    "plots": {"errors", "schema", "store", "catalog", "analyze"},
    "studies": BASE | WORKS,  # what every study does the same way; each one's own modules go by their role, below
    "claims": BASE | {"analyze", "studies"}, "compare": BASE | {"studies", "analyze", "claims"},
    "exchange": BASE | {"studies"},
    "report": BASE | {"studies", "analyze", "plots", "claims", "compare"},
    "figures": BASE | {"studies", "analyze", "plots", "claims"},
    "publish": BASE | {"studies", "analyze", "plots", "claims", "figures"},
    "fleet": BASE | {"compress", "engines", "measure", "studies"},  # nothing that measures imports it, or Dask
    "unattended": BASE | {"studies", "report"},
    "generated": {"store"}, "plan": BASE | {"studies"}, "advice": BASE, "environment": set(), "arguments": BASE | {"studies"},
    "doctor": BASE | {"advice", "compress", "measure", "engines"}, "cli": None,
}
# role of a study's module, the beginning of its name -> (parts that it may import, roles of its own study)
ROLES = {
    "plan": (BASE | WORKS | {"studies"}, {"plan"}), "jobs": (BASE | WORKS, {"jobs"}),
    "tables": (BASE | {"analyze"}, {"tables", "printed"}), "printed": (BASE | {"analyze"}, {"printed"}),
    "quantities": (BASE | {"analyze"}, {"tables", "printed", "quantities"}),
    "drawings": (BASE | {"analyze", "plots"}, {"tables", "drawings"}),
    "figures": (BASE | {"analyze", "plots"}, {"tables", "drawings"}), "__init__": (set(), set()),
}
COMPUTES = {"published_claims"}  # studies that measure nothing: their plan is their tables
DECIDES = {"pipeline"}  # studies whose plan goes on from what their rows say: it reads them as the tables do
# No model is touched in these, and of the studies in the roles below.
LIGHT = ("analyze", "catalog", "claims", "compare", "exchange", "plots", "report")
LIGHT_ROLES = ("tables", "printed", "quantities", "drawings", "figures")
HEAVY = ("torch", "transformers", "lm_eval", "llama_cpp", "vllm", "datasets", "gguf", "safetensors", "openai", "httpx2")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def role_of(path: Path) -> str:
    """plan, jobs, tables, … of a module in a study's own folder."""
    return "__init__" if path.stem == "__init__" else path.stem.split("_")[0]


def of_a_study(path: Path) -> bool:
    return part_of(path) == "studies" and len(path.relative_to(PACKAGE).parts) == 3


def imported(path: Path) -> set[str]:
    """Modules of the package that a module imports anywhere, inside functions too, but for types."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name for name in names if name.startswith("edgekit.") and not name.startswith("edgekit.__")}
    return {name if name in NAMES else name.rpartition(".")[0] for name in found}


def imported_parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if "." in name}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")
NAMES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


@pytest.mark.parametrize("path", [path for path in MODULES if not of_a_study(path)],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_imports_only_what_stands_below_it(path):
    part = part_of(path)
    assert part in MAY, f"{part} has no place in the house: add it to the table"
    allowed = MAY[part]
    if allowed is not None:
        assert imported_parts(path) - {part, *EVERYWHERE} <= allowed


@pytest.mark.parametrize("path", [path for path in MODULES if of_a_study(path)],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_of_a_study_imports_what_its_role_may(path):
    study, role = path.parent.name, role_of(path)
    assert role in ROLES, f"{path.name}: its name begins with none of the roles {', '.join(ROLES)}"
    parts, roles = ROLES[role]
    if study in COMPUTES and role == "plan":
        parts, roles = parts | {"analyze"}, roles | {"tables", "printed"}
    if study in DECIDES and role == "plan":
        parts, roles = parts | {"analyze"}, roles | {"tables"}
    own = f"edgekit.studies.{study}"
    for name in imported(path):
        if name == own or name.startswith(f"{own}."):
            assert role_of(NAMES[name]) in roles, f"{role} may not import {name}"
        elif name.startswith("edgekit.studies."):
            assert role == "plan" and not of_a_study(NAMES[name]), f"{name} is another study's, or not for a {role}"
        else:
            assert name.split(".")[1] in parts | EVERYWHERE, f"{role} may not import {name}"


def test_no_module_imports_itself_by_way_of_others():
    below = {name: imported(path) - {name} for name, path in NAMES.items()}
    sorter = graphlib.TopologicalSorter(below)
    sorter.prepare()  # raises CycleError, which names the circle


def test_every_function_that_is_named_as_text_is_there():
    """Jobs and probes are named `module:function`, so that nothing that plans imports them."""
    named = {(path, node.value) for path in MODULES for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)
             and re.fullmatch(r"edgekit(\.\w+)+:\w+", node.value)}
    assert len(named) > 15
    for path, text in named:
        module, function = text.split(":")
        there = {node.name for node in ast.parse(NAMES[module].read_text()).body if isinstance(node, ast.FunctionDef)}
        assert function in there, f"{path.name} names {text}"


def test_the_check_sees_a_forbidden_import(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from edgekit.measure import latency\n    import edgekit.plots.style\n    return latency\n")
    assert imported_parts(bad) == {"measure", "plots"}
    assert not imported_parts(bad) <= MAY["compress"]


def test_what_reads_and_draws_needs_neither_a_model_nor_its_libraries():
    """Every light module, in a fresh interpreter without any of them, as on a reviewer's laptop."""
    light = [name for name, path in NAMES.items() if name in ("edgekit", "edgekit.cli", "edgekit.publish",
                                                                           "edgekit.figures")
             or part_of(path) in LIGHT or (of_a_study(path) and role_of(path) in LIGHT_ROLES)]
    assert len(light) > 60
    program = f"""
import importlib, sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
for module in {light}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_a_fleet_knows_of_what_connects_its_boards():
    text = {path: path.read_text() for path in MODULES}
    assert {part_of(path) for path, source in text.items() if re.search(r"^\s*(from|import) (dask|distributed)\b", source, re.M)
            } == {"fleet"}
    assert {part_of(path) for path in MODULES if "fleet" in imported_parts(path)} == {"fleet", "cli"}


def test_help_imports_nothing_heavy():
    """What makes a command slow to start, told by name and not by the clock."""
    program = ("import sys, edgekit.cli\ntry: edgekit.cli.main(['--help'])\nexcept SystemExit: pass\n"
               "heavy = {'numpy', 'pandas', 'torch', 'matplotlib', 'scipy', 'yaml', 'IPython'} & set(sys.modules)\n"
               "print('\\n' + ','.join(heavy))")
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_plan_is_made_without_the_libraries_that_it_plans_for():
    """A notebook makes plans in its kernel: what is imported there takes its seconds, and warns of what the kernel lacks."""
    plans = [name for name, path in NAMES.items() if of_a_study(path) and role_of(path) == "plan"]
    assert len(plans) > 6
    program = f"import importlib, sys\nfor name in {plans}: importlib.import_module(name)\n" + (
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets', 'huggingface_hub', 'vllm', 'llama_cpp', 'tqdm.auto'}\n"
        "print(','.join(heavy & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("first", ["", "import edgekit\n"])
def test_a_kernel_is_not_warned_of_widgets_that_nobody_asked_for(first):
    """The hub's library and others take tqdm's bars for notebooks where there is a kernel."""
    pytest.importorskip("ipykernel")
    program = f"import sys\nsys.modules['ipywidgets'] = None\nimport ipykernel.zmqshell\n{first}import tqdm.auto"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ("IProgress not found" in done.stderr) is (first == "")


def test_an_engine_of_transformers_loads_no_library_that_it_does_not_use():
    """What a model's class brings with it: scikit-learn alone would be a thousand modules."""
    program = ("import sys, edgekit.engines.transformers\n"
               "from transformers import LlamaForCausalLM\n"
               "from transformers.generation import candidate_generator\n"
               "print(','.join({'sklearn', 'scipy', 'pandas'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
