"""What every notebook promises, checked on its source; and that each one runs to its end with the smallest profile."""

from __future__ import annotations

import ast
import copy
import os
import re
import subprocess
import sys

import nbformat
import papermill
import pytest
import toy_kit
from conftest import SITE

from edgekit import params, store, studies
from edgekit.params import ParamsError
from edgekit.report.check import literals

NOTEBOOKS = sorted((store.ROOT / "notebooks").glob("*.ipynb"))
BANNED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try)


def broken_promises(node: nbformat.NotebookNode, profiles: dict[str, dict]) -> list[str]:
    """What a notebook's source breaks of the contract; `profiles` holds the names and values of each params file."""
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    prose = [cell.source for cell in node.cells if cell.cell_type == "markdown"]
    wrong = []
    if node.metadata.get("kernelspec", {}).get("name") != "python3":
        wrong.append("kernelspec is not python3")
    if [cell.get("id") for cell in node.cells] != [f"c{number:02d}" for number in range(len(node.cells))]:
        wrong.append("cell ids are not c00, c01, ...")
    if any(cell.outputs for cell in code):
        wrong.append("has outputs")
    if any(cell.execution_count is not None for cell in code):
        wrong.append("has execution counts")
    headings = re.findall(r"^## +(.+?) *$", "\n".join(prose), flags=re.M)
    if headings != toy_kit.SECTIONS:
        wrong.append(f"sections are {headings}")
    if sum(len(text.split()) for text in prose) <= sum(len(cell.source.split()) for cell in code):
        wrong.append("code outweighs prose")
    if any(re.search(r"(?<!\\)\$[^$\n]+\$|\$\$", text) for text in prose):
        wrong.append("has LaTeX, which pages without a network cannot show")
    if any(re.search(r"!\[[^]]*\]\(|<(img|script|iframe|link)\b", text) for text in prose):
        wrong.append("loads a file from prose")
    return wrong + _broken_in_code(code, profiles)


def _broken_in_code(code: list, profiles: dict[str, dict]) -> list[str]:
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        return [f"{len(tagged)} cells are tagged parameters"]
    if magic := [line for cell in code for line in cell.source.splitlines() if re.match(r"\s*[%!]|.*\?\s*$", line)]:
        return [f"magic or shell line {magic[0]!r}"]
    rest = ast.parse("\n".join(cell.source for cell in code if cell is not tagged[0]))
    wrong = [f"{type(part).__name__} in line {part.lineno} of the code" for part in ast.walk(rest)
             if isinstance(part, BANNED)]
    imported = [name for part in ast.walk(rest) if isinstance(part, (ast.Import, ast.ImportFrom))
                for name in ([part.module or ""] if isinstance(part, ast.ImportFrom) else [a.name for a in part.names])]
    wrong += [f"imports {name}" for name in imported if name.split(".")[0] in ("torch", "transformers", "llama_cpp")]
    try:
        values = literals(tagged[0].source, "notebook")
    except ParamsError as error:
        return [*wrong, str(error)]
    uncommented = [line for line in tagged[0].source.splitlines() if re.match(r"\w+ =", line) and "#" not in line]
    wrong += [f"no unit, range or meaning in a comment: {line}" for line in uncommented]
    read = {part.id for part in ast.walk(rest) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    bound = {part.id for part in ast.walk(rest) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    bound |= {alias.asname or alias.name for part in ast.walk(rest) if isinstance(part, (ast.Import, ast.ImportFrom))
              for alias in part.names}
    if "globals" not in read:  # which hands all of them over
        wrong += [f"parameter {name} is never read" for name in sorted(set(values) - read)]
    wrong += [f"parameter {name} is assigned again" for name in sorted(set(values) & bound)]
    for profile, given in profiles.items():
        wrong += [f"profile {profile}: {name} is in one of cell and params file only" for name in
                  sorted(set(values) ^ set(given))]
    if "pocket" in profiles:
        wrong += [f"{name} is {value!r} here and {profiles['pocket'][name]!r} in params/pocket"
                  for name, value in values.items()
                  if name in profiles["pocket"] and repr(profiles["pocket"][name]) != repr(value)]
    return wrong


def profiles_of(notebook: str) -> dict[str, dict]:
    files = sorted((store.ROOT / "params").glob(f"*/{notebook}.yaml"))
    return {file.parent.name: params.read_yaml(file) for file in files}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_its_promises(path):
    profiles = profiles_of(path.stem)
    assert {"ci", "pocket", "reference"} <= set(profiles)
    assert broken_promises(nbformat.read(path, as_version=4), profiles) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_knows_every_parameter_and_so_warns_of_none(path):
    assert set(papermill.inspect_notebook(path)) == set(profiles_of(path.stem)["pocket"])


def test_every_notebook_has_a_study_and_the_other_way_round():
    assert [path.stem for path in NOTEBOOKS] == sorted(studies.STUDIES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_profile_is_accepted_and_names_itself(path):
    for profile in profiles_of(path.stem):
        config = params.load(studies.module(path.stem).Config, params.path_of(profile, path.stem))
        assert config.profile == profile


GOOD = toy_kit.notebook()
VALUES = {"profile": "ci", "repeats": 2, "seconds": 0.0, "fault": "none"}


def test_a_good_notebook_breaks_nothing():
    assert broken_promises(GOOD, {"pocket": VALUES}) == []


def replaced(number: int, old: str, new: str):
    def change(node):
        assert old in node.cells[number].source
        node.cells[number].source = node.cells[number].source.replace(old, new)
    return change


def appended(source: str):
    return lambda node: setattr(node.cells[6], "source", f"{node.cells[6].source}\n{source}")


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lambda node: node.cells[4].metadata.update(tags=["parameters"]), "2 cells are tagged"),
    (lambda node: node.cells[2].metadata.pop("tags"), "0 cells are tagged"),
    (replaced(2, "repeats = 2", "repeats = 1 + 1"), "'repeats' is not a literal"),
    (replaced(2, "repeats = 2", "repeats: int = 2"), "without annotation"),
    (replaced(2, "repeats = 2", "repeats = twice = 2"), "expected `name = literal`"),
    (replaced(2, "# of sleep", ""), "no unit, range or meaning"),
    (replaced(4, "repeats, seconds", "1, seconds"), "repeats is never read"),
    (appended("repeats = 3"), "repeats is assigned again"),
    (appended("for repeats in range(3):\n    print(repeats)"), "repeats is assigned again"),
    (appended("from toy_study import Config as repeats"), "repeats is assigned again"),
    (appended("def helper():\n    return 1"), "FunctionDef"),
    (appended("class Helper:\n    pass"), "ClassDef"),
    (appended("try:\n    frame\nfinally:\n    pass"), "Try"),
    (appended("%matplotlib inline"), "magic or shell line"),
    (appended("!ls"), "magic or shell line"),
    (appended("frame?"), "magic or shell line"),
    (appended("import torch"), "imports torch"),
    (appended("from torch.nn import Linear"), "imports torch.nn"),
    (lambda node: node.cells[8].outputs.append(nbformat.v4.new_output("stream", text="2")), "has outputs"),
    (lambda node: node.cells[8].update(execution_count=3), "has execution counts"),
    (lambda node: node.cells[3].update(id="8f2c1a"), "cell ids"),
    (lambda node: node.metadata.kernelspec.update(name="my-env"), "kernelspec"),
    (replaced(12, "## Limits", "## Caveats"), "sections are"),
    (replaced(12, "## Limits", "### Limits"), "sections are"),
    (appended("print(" + ", ".join(["1"] * 200) + ")"), "code outweighs prose"),
    (replaced(12, "A toy", "$x^2$: a toy"), "LaTeX"),
    (replaced(12, "A toy", "![a toy](toy.png)"), "loads a file"),
    (replaced(2, "repeats = 2", "repeats = 3"), "repeats is 3 here and 2 in params/pocket"),
    (replaced(2, "seconds = 0.0", "seconds = 0"), "seconds is 0 here and 0.0 in params/pocket"),
    (replaced(2, "repeats = 2", "more = 1  # of it\nrepeats = 2"), "more is in one of cell and params file only"),
    (replaced(2, "fault =", "flaw ="), "fault is in one of cell and params file only"),
])
def test_a_broken_promise_is_named(spoil, complaint):
    node = copy.deepcopy(GOOD)
    spoil(node)
    assert any(complaint in sentence for sentence in broken_promises(node, {"pocket": VALUES}))


def test_one_process_executes_the_notebooks(request):
    """Of two processes that test at once one makes `site`: all files that ask for it are one piece of work."""
    asks = {item.path.name for item in request.session.items if "site" in item.fixturenames}
    assert asks <= set(SITE), "a file of these is not in SITE of tests/conftest.py"


@pytest.mark.notebook
def test_every_notebook_runs_with_the_smallest_profile(site):
    assert {outcome.notebook: outcome.state for outcome in site.outcomes} == dict.fromkeys(studies.STUDIES, "executed")
    assert [outcome.unexpected for outcome in site.outcomes] == [()] * len(studies.STUDIES)
    for outcome in site.outcomes:
        rows = site.runs / f"{outcome.notebook}.jsonl"
        assert store.read(rows)[0] if studies.measures(outcome.notebook) else not rows.exists()


@pytest.mark.notebook
def test_every_claim_of_a_notebook_points_at_a_figure_that_its_page_shows(site):
    from edgekit.claims import judgement as claims

    for claim in claims.load():
        for notebook, figure in ((claim.study, claim.figure), (claims.AUDIT_NOTEBOOK, claim.audit and claim.audit.figure)):
            if notebook in studies.STUDIES and figure:
                page = (site.reports / f"{notebook}.html").read_text(encoding="utf-8")
                assert f'<figure id="fig-{figure}"' in page, claim.id


@pytest.mark.notebook
def test_rendered_notebooks_have_no_errors_and_no_progress_bars(site):
    for path in site.reports.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        body = text[text.index("<main"):]
        assert 'class="failure"' not in body and "Traceback" not in body
        assert "condition/s]" not in body and "s/condition]" not in body


@pytest.mark.notebook
def test_the_report_names_a_draft_that_is_larger_than_its_target(site):
    page = (site.reports / "06_speculative.html").read_text(encoding="utf-8")
    assert re.search(r"warning: the draft pocket-900k.*is larger than its target pocket-200k", page)


@pytest.mark.notebook
def test_measure_without_jupyter_writes_the_rows_that_a_notebook_would(site):
    """The rows of `edgekit measure` and of the executed notebook are the same units, under the same keys."""
    path = site.runs / "02_baseline.jsonl"
    (rows, _), before = store.read(path), path.read_bytes()
    program = "from edgekit.cli import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", program, "measure", "baseline", "--profile", "ci"], capture_output=True,
                          text=True, env=os.environ | {"EDGEKIT_OUTPUT": str(site.runs.parents[1])})
    assert done.returncode == 0, done.stderr
    assert "0 conditions measured" in done.stdout
    assert path.read_bytes() == before and len(rows) > 50
