"""One module names all that rows hold: nothing stands in a committed row, a study's plan or a figure that it does not know."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pandas as pd
import pytest

from edgekit import committed, params, schema, store, studies
from edgekit.analyze.rows import COLUMNS, in_reference, rows_of
from edgekit.plots import style


@pytest.mark.parametrize("path", [rows.path for rows in committed.files()], ids=lambda path: f"{path.parent.name} {path.name}")
def test_every_coordinate_of_committed_rows_is_known(path):
    rows, skips = store.read(path)
    assert rows
    assert {name for record in (*rows, *skips) for name in record.condition} <= set(schema.COORDINATES)


@pytest.mark.parametrize("notebook", [name for name in studies.STUDIES if studies.measures(name)])
def test_every_coordinate_that_a_study_varies_is_known(notebook):
    study = studies.module(notebook)
    config = params.of_profile(study.Config, "ci", notebook)
    units = list(study.plan(config))
    varied = {name for unit in units for name in unit.condition}
    assert "task" in varied and varied <= set(schema.COORDINATES)
    for module, function in {tuple(unit.function.split(":")) for unit in units if unit.function}:
        assert callable(getattr(importlib.import_module(module), function)), "a job is named as text, and has to be there"


def test_each_way_to_know_a_number_has_its_mark():
    assert {*style.FILL, "published"} == set(schema.SOURCES)  # what was printed is a cross


def test_the_rows_of_a_task_have_every_column_and_no_other_task():
    frame = pd.DataFrame([dict(task="speed", metric="tpot_s", value=0.1), dict(task="speed", metric="ttft_s", value=0.2),
                          dict(task="energy", metric="energy_j", value=3.0)])
    found = rows_of(frame, "speed", metrics=("ttft_s",))
    assert list(found.value) == [0.2] and set(found.columns) == set(COLUMNS) and found.engine.isna().all()
    assert list(rows_of(frame, "speed", "energy").value) == [0.1, 0.2, 3.0]
    assert rows_of(store.to_frame([]), "speed").empty


def test_the_reference_is_an_engine_with_its_float_type():
    table = pd.DataFrame(dict(engine=[schema.ENGINE, schema.ENGINE, "llama_cpp"], dtype=[schema.DTYPE, "bfloat16", "float32"]))
    assert list(in_reference(table)) == [True, False, False]


def test_the_words_import_nothing_heavy():
    program = "import sys, edgekit.schema; print({'numpy', 'pandas', 'torch', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
