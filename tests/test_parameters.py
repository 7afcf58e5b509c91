"""What a parameter is stands in its study's Config; every other place where people read it is made from there."""

from __future__ import annotations

import shutil

import pytest
import yaml

from edgekit import generated, params, store, studies
from edgekit.params import ParamsError
from edgekit.report import parameters
from edgekit.report.check import literals
from edgekit.studies import config

TEXTS = {"name": "who", "counts": "how many"}


def test_every_comment_and_the_reference_say_what_the_configs_say():
    assert generated.stale(parameters.files()) == [], "run `edgekit parameters --write`"


def test_a_text_that_is_changed_anywhere_is_stale_and_written_anew(tmp_path, monkeypatch):
    for folder in ("params", "notebooks", "docs"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    (tmp_path / "data").symlink_to(store.ROOT / "data")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    asked = [tmp_path / "params/ci/02_baseline.yaml", tmp_path / "notebooks/02_baseline.ipynb", tmp_path / "docs/reference.md"]
    for path in asked:
        text = path.read_text(encoding="utf-8")
        assert "processes per cell" in text
        path.write_text(text.replace("processes per cell", "runs", 1), encoding="utf-8")
    assert {path for path, _ in generated.stale(parameters.files())} == set(asked) == set(generated.write(parameters.files()))
    assert generated.stale(parameters.files()) == [] and "processes per cell" in asked[0].read_text(encoding="utf-8")


def test_a_cell_keeps_its_values_and_loses_its_old_comments():
    made = parameters.in_cell('name = "a # b"  # old\ncounts = [  # old\n    1, 2]', TEXTS)
    assert made == 'name = "a # b"  # who\ncounts = [  # how many\n    1, 2]'
    assert literals(made, "here") == {"name": "a # b", "counts": [1, 2]}


def test_a_line_that_grows_too_long_goes_on_in_the_next():
    items = ", ".join(map(str, range(1000, 1018)))
    made = parameters.in_cell(f"counts = [{items}]", {"counts": "how many of them there are"})
    assert max(map(len, made.splitlines())) <= parameters.WIDTH and literals(made, "here")["counts"][-1] == 1017


def test_a_params_file_keeps_its_values_and_its_head():
    made = parameters.in_file('# Head\nname: "a # b"  # old\ncounts: [1, 2]\n', TEXTS)
    assert made == '# Head\nname: "a # b"  # who\ncounts: [1, 2]  # how many\n'
    assert yaml.safe_load(made) == {"name": "a # b", "counts": [1, 2]}
    with pytest.raises(ParamsError, match="parameter 'nmae': expected one of name, counts"):
        parameters.in_file("nmae: a\n", TEXTS)


@pytest.mark.parametrize("notebook", studies.STUDIES)
def test_the_reference_has_a_line_for_every_parameter(notebook):
    section = parameters.reference().split(f"### {notebook}\n")[1].split("###")[0]
    names = config.parameters(studies.module(notebook).Config)
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(names)
    assert set(params.read_yaml(params.path_of("ci", notebook))) == set(names)
