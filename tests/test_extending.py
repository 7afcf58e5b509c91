"""What an engine, an experiment and a claim take: added to a copy of the kit, run there, and what was touched is counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import toy_kit

from edgekit import store

ENGINE = '''"""An engine that says the last token of its prompt again and again."""

from __future__ import annotations

import numpy as np

from edgekit.engines.base import Engine, EngineInfo, Step


class Parrot(Engine):
    def __init__(self, artifact, *, dtype, threads, device, context):
        vocabulary = artifact.spec.architecture.vocabulary
        self.info = EngineInfo("parrot", np.__version__, "none", device, dtype, threads, vocabulary, context, 0)

    def score(self, tokens):
        return np.eye(self.info.vocabulary, dtype=np.float32)[list(tokens)]

    def stream(self, prompt, max_new_tokens):
        self.require_room(prompt, max_new_tokens)
        for _ in range(max_new_tokens):
            yield Step(prompt[-1])
'''
ENTRY = '''    "parrot": EngineEntry("edgekit.engines.parrot", "Parrot", Runtime(("numpy",)), ("safetensors",), "0.3", "1",
                          "2"),
}


@dataclass(frozen=True, slots=True)
class BuiltinEntry'''
STUDY = {
    "__init__.py": '"""90: how fast a parrot is."""\n',
    "plan.py": '''"""How fast a parrot is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.studies.cells import Cell
from edgekit.studies.config import MeasuringConfig, cell_with, known_model, parameter
from edgekit.studies.runner import Unit
from edgekit.studies.units import speed_unit, study_run

STUDY = "90_parrot"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    model: str = parameter("what is timed", each=known_model)
    cells: tuple[str, ...] = parameter("engine/dtype pairs", each=cell_with())
    repeats: int = parameter("processes per cell", least=1)
    warmups: int = parameter("most warm-up streams", least=1)


def plan(config: Config) -> Iterator[Unit]:
    config = config.with_threads()
    for cell in map(Cell.parse, config.cells):
        for repeat in range(config.repeats):
            yield speed_unit(config, dict(model=config.model), cell.chain(config.model), {8: [4]}, repeat, engine=cell.engine,
                             dtype=cell.weights)


run = study_run(STUDY, VERSION, plan)
''',
    "quantities.py": '''"""The quantity by which claims about parrots are judged."""

from __future__ import annotations

from edgekit.analyze import roofline
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, estimate_of


def parrot_speed(frame, setting, accepted):
    table = roofline.speed_table(frame).dropna(subset=["tpot_s"])
    table = table[table.engine == "parrot"]
    if table.empty:
        raise NotMeasured("decode times of a parrot")
    line = table.iloc[0]
    speed = estimate_of(line, "decode_tok_per_s", "tokens/s", "decode speed")
    return [Observation(speed, line.model, (line.model,), "repeats", line.model)]


QUANTITIES = {"parrot_speed": Quantity(parrot_speed, "time")}
''',
    "figures.py": '''"""The figure of 90_parrot."""

from __future__ import annotations

from edgekit.analyze import roofline
from edgekit.plots.figure import Figure
from edgekit.plots.style import engine_style, styled


@styled
def decode(table):
    from matplotlib.figure import Figure as Drawing

    fig = Drawing(figsize=(4, 2))
    ax = fig.subplots()
    for line in table.itertuples():
        ax.plot(line.engine, line.decode_tok_per_s, engine_style(line.engine, "float32")[1])
    ax.set_ylabel("decode (tokens/s)")
    return fig, table


FIGURES = (Figure("decode", lambda frame: (roofline.speed_table(frame).dropna(subset=["tpot_s"]),), decode, "decode times",
                  "Decode speed of a parrot."),)
''',
}
PARAMS = """profile: ci
rows: measure
seed: 0
device: cpu
threads: 1
timeout_s: 600.0
memory_share: 0.8
model: pocket-200k
cells: [parrot/float32, transformers/float32]
repeats: 2
warmups: 3
"""
CELLS = [("markdown", "# A parrot\n\n## Question and claims\n\nHow fast is an engine that only repeats what it hears?"),
         ("markdown", "## Parameters\n\nAs small as it goes."),
         ("parameters", "".join(f"{name} = {json.dumps(value)}\n" for name, value in dict(
             profile="ci", rows="measure", seed=0, device="cpu", threads=1, timeout_s=600.0, memory_share=0.8,
             model="pocket-200k", cells=["parrot/float32", "transformers/float32"], repeats=2, warmups=3).items())),
         ("markdown", "## Setup\n\nChecked."),
         ("code", 'from edgekit.report.notebook import Experiment\n\nstudy = Experiment("90_parrot", globals())'),
         ("markdown", "## Run or load\n\nSeconds."), ("code", "study.run()"),
         ("markdown", "## What we saw\n\nIt is fast."), ("code", 'study.figure("decode")'),
         ("markdown", "## Verdicts\n\nOne claim."), ("code", "study.verdicts()"),
         ("markdown", "## Limits\n\nIt knows nothing."), ("markdown", "## Provenance\n\nHere."), ("code", "study.provenance()")]
CLAIM = '''
  - id: P.1
    name: parrots are fast
    document: S1
    locator: nowhere
    statement: A parrot says more than a thousand tokens a second.
    study: 90_parrot
    figure: decode
    published: []
    tests:
      - quantity: parrot_speed
        expect: {at_least: 1000}
        tolerance: {absolute: 0, reason: "as it is stated"}
    setting:
      platforms: any
      models: [pocket]
    needs: a parrot
'''


def lists() -> dict[str, list[str]]:
    """The places that docs/extending.md names, by its headings; `<…>` stands for any name."""
    text = (store.ROOT / "docs/extending.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0]: re.findall(r"^- `([^`]+)`", part, flags=re.MULTILINE) for part in parts}


def contents(home) -> dict[str, bytes]:
    """Every file that a hand may touch."""
    return {path.relative_to(home).as_posix(): path.read_bytes()
            for folder in ("edgekit", "notebooks", "params", "tests", "data/published")
            for path in (home / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def places(touched: set[str], named: list[str]) -> set[str]:
    """Which of the named places the touched files are; a file that is none of them stands for itself."""
    patterns = {place: re.sub(r"<\w+>", r"\\w+", re.escape(place)) + (".*" if place.endswith("/") else "") for place in named}
    return {next((place for place, pattern in patterns.items() if re.fullmatch(pattern, file)), file) for file in touched}


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A copy of the kit with a new engine, experiment and claim: (its folder, what each of them touched)."""
    home = tmp_path_factory.mktemp("kit")
    (home / "data").mkdir()
    for folder in ("edgekit", "notebooks", "docs", "data/published"):
        shutil.copytree(store.ROOT / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(store.ROOT / "params/ci", home / "params/ci")
    (home / "tests").mkdir()
    for folder in (store.ROOT / "data").iterdir():
        if folder.name not in ("published", "results"):
            (home / "data" / folder.name).symlink_to(folder)
    touched = {}
    for what, add in (("An engine", _engine), ("An experiment", _experiment), ("A claim", _claim)):
        before = contents(home)
        add(home)
        after = contents(home)
        touched[what] = {name for name in after if after[name] != before.get(name)}
    return home, touched


def _engine(home):
    (home / "edgekit/engines/parrot.py").write_text(ENGINE)
    registry = home / "edgekit/catalog/engines.py"
    text = registry.read_text()
    assert text.count("}\n\n\n@dataclass(frozen=True, slots=True)\nclass BuiltinEntry") == 1
    registry.write_text(text.replace("}\n\n\n@dataclass(frozen=True, slots=True)\nclass BuiltinEntry", ENTRY))


def _experiment(home):
    for name, text in STUDY.items():
        path = home / "edgekit/studies/parrot" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    nbformat.write(toy_kit.notebook(CELLS), home / "notebooks/90_parrot.ipynb")
    (home / "params/ci/90_parrot.yaml").write_text(PARAMS)
    (home / "tests/test_parrot.py").write_text("def test_parrot():\n    assert True\n")
    studies = home / "edgekit/studies/__init__.py"
    line = '    "06_speculative": "edgekit.studies.speculative",\n'
    studies.write_text(studies.read_text().replace(line, line + '    "90_parrot": "edgekit.studies.parrot",\n'))


def _claim(home):
    claims = home / "data/published/claims.yaml"
    claims.write_text(claims.read_text().rstrip() + "\n" + CLAIM)
    sentences = home / "data/published/sentences.yaml"
    sentences.write_text(sentences.read_text().rstrip() + "\n  - {at: ER 8 p9 s1, says: A parrot is fast., claims: [P.1]}\n")


@pytest.mark.parametrize("what", ["An engine", "An experiment", "A claim"])
def test_what_was_touched_is_what_the_page_lists(kit, what):
    named = lists()[what]
    assert places(kit[1][what], named) == set(named)


def test_an_engine_is_one_file_and_one_entry_and_an_experiment_one_line_beside_its_own_files(kit):
    touched = kit[1]
    assert touched["An engine"] == {"edgekit/engines/parrot.py", "edgekit/catalog/engines.py"}
    mine = {name for name in touched["An experiment"] if "parrot" in name}
    assert touched["An experiment"] - mine == {"edgekit/studies/__init__.py"} and len(touched["A claim"]) == 2


def test_what_was_added_runs_is_judged_and_shown(kit):
    home = kit[0]
    environment = {**os.environ, "EDGEKIT_HOME": str(home), "EDGEKIT_OUTPUT": str(home / "out"), "PYTHONPATH": str(home)}

    def edgekit(*words):
        done = subprocess.run([sys.executable, "-c", "import sys; from edgekit.cli import main; sys.exit(main(sys.argv[1:]))",
                               *words], env=environment, cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    edgekit("run", "90_parrot", "--profile", "ci")
    rows, skips = store.read(home / "out/runs/ci/90_parrot.jsonl")
    assert {row.condition["engine"] for row in rows} == {"parrot", "transformers"} and not skips
    [manifest] = json.loads((home / "out/runs/ci/90_parrot.manifest.json").read_text()).values()
    assert list(manifest["inputs"]) == ["pocket-200k"] and "parrot float32" in manifest["engines"]
    edgekit("report", "--profile", "ci")
    page, index = ((home / "out/reports" / name).read_text() for name in ("90_parrot.html", "index.html"))
    assert '<figure id="fig-decode">' in page and "<svg" not in page and "data:image/svg+xml" in page
    verdict = re.search(r'data-claim="P.1" data-verdict="([^"]+)"', index)[1]
    assert verdict in ("holds at scale model", "does not hold at scale model", "undecided")
    derivation = (home / "out/reports/claims/P.1.html").read_text()
    assert "tokens/s" in derivation and "over repeats" in derivation and "90_parrot.html#fig-decode" in derivation


def test_the_places_of_a_method_are_those_that_name_the_methods():
    for place in lists()["A method of quantization"]:
        path = store.ROOT / place.replace("<name>", "awq")
        assert path.exists() and "awq" in path.read_text(encoding="utf-8").lower(), place
