"""A kit in a temporary folder with one small study, for tests of running and rendering: no model, no clock.

The study writes two rows and a skip; the notebook has the eight sections of every notebook, a table and a figure.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import nbformat

from edgekit import store, studies

NOTEBOOK = "90_toy"
SECTIONS = ["Question and claims", "Parameters", "Setup", "Run or load", "What we saw", "Verdicts", "Limits",
            "Provenance"]

MODULE = '''
"""A study without a model: each repeat takes `seconds`, and says so."""
import sys
import time
from dataclasses import dataclass

from edgekit import store
from edgekit.params import require

VERSION = 1
DRAWING = ('<svg xmlns="http://www.w3.org/2000/svg" width="640" height="240">'
           '<rect x="20" y="20" width="400" height="60" fill="#0b5cad"/>'
           '<text x="20" y="130" font-size="18">decode [tokens/s]</text></svg>')


@dataclass(frozen=True)
class Config:
    profile: str
    repeats: int
    seconds: float
    fault: str

    def __post_init__(self):
        require(self.repeats > 0, f"repeats must be positive, got {self.repeats}")


class Picture:
    def _repr_html_(self):
        import base64
        data = base64.b64encode(DRAWING.encode()).decode()
        return (f'<figure id="fig-toy"><img alt="a bar" src="data:image/svg+xml;base64,{data}">'
                '<figcaption>One bar.</figcaption></figure>')


def rows_path(config):
    return store.runs_folder(config.profile) / "90_toy.jsonl"


def measure(config):
    with store.Store(rows_path(config)) as rows:
        for repeat in range(config.repeats):
            key = f"{repeat}-{config.seconds}"
            if key in rows.done:
                continue
            print(f"condition {repeat}", file=sys.stderr)
            time.sleep(config.seconds)
            rows.append(key, [store.Row("r1", "toy", {"task": "speed", "model": "toy"}, "ttft_s", 0.5, repeat)])
        rows.skip(store.Skip("r1", "toy", {"task": "energy"}, "no energy sensor on this machine", True, "k1"))
        if config.fault == "skip":
            rows.skip(store.Skip("r1", "toy", {"task": "speed", "model": "big"}, "killed by signal 9", False, "k2"))
    if config.fault == "error":
        raise ValueError(f"the toy broke in {store.ROOT}")
    if config.fault == "death":
        import os
        os.kill(os.getpid(), 9)
    rows, _ = store.read(rows_path(config))
    print(f"rows in {rows_path(config)}, interpreter {sys.executable}")
    return store.to_frame(rows)
'''

CELLS = [("markdown", f"# A toy study\n\n## {SECTIONS[0]}\n\nHow long does a sleep take? It takes as long as told."),
         ("markdown", f"## {SECTIONS[1]}\n\nA profile changes values only."),
         ("parameters", 'profile = "ci"  # which params were given\nrepeats = 2      # 1 to 9\n'
                        'seconds = 0.0    # of sleep\nfault = "none"   # none, skip, error, death'),
         ("markdown", f"## {SECTIONS[2]}\n\nThe values are checked once more where they are used."),
         ("code", "from toy_study import plan as toy_study\n\nconfig = toy_study.Config(profile, repeats, seconds, fault)"),
         ("markdown", f"## {SECTIONS[3]}\n\nRows that are there already are not measured again."),
         ("code", "frame = toy_study.measure(config)"),
         ("markdown", f"## {SECTIONS[4]}\n\nA table first, with every row that the study has written so far."),
         ("code", "frame"), ("markdown", "Then the figure, with a paragraph before and after."),
         ("code", "toy_study.Picture()"), ("markdown", f"## {SECTIONS[5]}\n\nNobody published anything on toys."),
         ("markdown", f"## {SECTIONS[6]}\n\nA toy is a toy."), ("markdown", f"## {SECTIONS[7]}\n\nThe rows say it.")]

PARAMS = 'profile: ci\nrepeats: 2\nseconds: 0.0\nfault: "none"\n'


def notebook(cells=CELLS) -> nbformat.NotebookNode:
    """A clean notebook of (kind, source) pairs; the kind `parameters` is a tagged code cell."""
    node = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3",
                                                             "language": "python"}})
    for number, (kind, source) in enumerate(cells):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        node.cells.append(make(source, id=f"c{number:02d}"))
        if kind == "parameters":
            node.cells[-1].metadata["tags"] = ["parameters"]
    return node


def build(home: Path, patch, names=(NOTEBOOK,)) -> Path:
    """Lay the kit out in `home` and make it the root of this process and of its kernels, as long as `patch` lasts."""
    real = store.ROOT
    for folder in ("notebooks", "params/ci", "data/results", "code"):
        (home / folder).mkdir(parents=True)
    (home / "data" / "published").symlink_to(real / "data" / "published")
    (home / "code" / "toy_study").mkdir()
    (home / "code" / "toy_study" / "__init__.py").touch()
    (home / "code" / "toy_study" / "plan.py").write_text(MODULE)
    for name in names:
        nbformat.write(notebook(), home / "notebooks" / f"{name}.ipynb")
        (home / "params" / "ci" / f"{name}.yaml").write_text(PARAMS)
        patch.setitem(studies.STUDIES, name, "toy_study")
    patch.setattr(store, "ROOT", home)
    patch.setattr(store, "OUTPUT", home / "output")
    patch.setenv("PYTHONPATH", str(home / "code"))
    patch.syspath_prepend(str(home / "code"))
    for module in ("toy_study", "toy_study.plan"):
        patch.delitem(sys.modules, module, raising=False)
    importlib.invalidate_caches()
    return home


def set_param(home: Path, name: str, value: str, notebook: str = NOTEBOOK) -> None:
    """Replace one line of the toy's params file."""
    path = home / "params" / "ci" / f"{notebook}.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}:")]
    path.write_text("\n".join([*lines, f"{name}: {value}"]) + "\n")
