"""Before a kernel starts: the parameters cell, the params file and the study's Config must name the same parameters.

papermill itself accepts a misspelt parameter and runs with the default, so names and types are settled here.
"""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

from edgekit import params, store, studies
from edgekit.params import ParamsError, require


def source_path(notebook: str) -> Path:
    """The notebook's source. Raises ParamsError for one that no study is registered for, or that is not there."""
    require(notebook in studies.STUDIES, f"unknown notebook {notebook!r}; known: {', '.join(studies.STUDIES)}")
    path = store.ROOT / "notebooks" / f"{notebook}.ipynb"
    require(path.exists(), f"no notebook at {path}; restore it")
    return path


def literals(source: str, where: str) -> dict:
    """Names and values of a parameters cell. Raises ParamsError unless every line is `name = literal`, a name once."""
    values = {}
    for statement in ast.parse(source).body:
        plain = isinstance(statement, ast.Assign) and len(statement.targets) == 1
        require(plain and isinstance(statement.targets[0], ast.Name),
                f"{where}, parameters cell, line {statement.lineno}: expected `name = literal`, without annotation")
        name = statement.targets[0].id
        require(name not in values, f"{where}, parameters cell, line {statement.lineno}: {name!r} is set twice")
        try:
            values[name] = ast.literal_eval(statement.value)
        except ValueError as error:
            raise ParamsError(f"{where}, parameters cell, line {statement.lineno}: {name!r} is not a literal, so "
                              "papermill would not know its value") from error
    return values


def parameters_cell(path: Path) -> dict:
    """The parameters that a notebook declares, with its defaults. Raises ParamsError unless it has one tagged cell."""
    import nbformat

    cells = [cell for cell in nbformat.read(path, as_version=4).cells
             if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])]
    require(len(cells) == 1, f"{path}: expected one code cell tagged `parameters`, found {len(cells)}")
    return literals(cells[0].source, str(path))


def check(notebook: str, profile: str) -> dict:
    """The values that a profile gives a notebook, as its Config accepts them. Raises ParamsError naming file and key.

    The names in the parameters cell, in the params file and in the Config must be the same set: a name that one of
    them lacks would silently run with a default.
    """
    source, path = source_path(notebook), params.path_of(profile, notebook)
    config_class = studies.module(notebook).Config
    params.of_profile(config_class, profile, notebook)
    values = params.read_yaml(path)
    fields = {field.name for field in dataclasses.fields(config_class)}
    declared = set(parameters_cell(source))
    require(not declared - fields, f"{source}: unknown parameter {min(declared - fields, default='')!r}; "
                                   f"known: {', '.join(sorted(fields))}")
    require(not fields - declared, f"{source}: missing parameter {min(fields - declared, default='')!r}; "
                                   "the parameters cell and each params file name every field of the Config")
    return values
