"""Fixtures that several test files share, and what each of several processes that test at once is given."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded: two processes have two cores between them
SHARED = {"site", "judged_rows"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """With `--dist loadgroup`, what shares a fixture of the session is one group, which begins first since it takes longest; of
    everything else a file is one."""
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        shares = SHARED & {*item.fixturenames}
        item.add_marker(pytest.mark.xdist_group("site" if shares else item.path.stem))
    items.sort(key=lambda item: not SHARED & {*item.fixturenames})


@pytest.fixture(scope="session")
def judged_rows(tmp_path_factory):
    """An output folder in which every committed rows file is judged, once a session: that takes half a minute."""
    from edgekit import publish, store

    output = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", output)
        publish.committed_cells()
    return output


@pytest.fixture(scope="session")
def site(tmp_path_factory, judged_rows):
    """Every notebook executed with the profile `ci`, and the report of it, once a session, in a temporary folder."""
    from edgekit import report, store, studies

    output = tmp_path_factory.mktemp("site")
    shutil.copytree(judged_rows / "artifacts", output / "artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", output)
        outcomes = report.run_notebooks(list(studies.STUDIES), "ci")
        index = report.render("ci")
    return SimpleNamespace(outcomes=outcomes, index=index, reports=index.parent, runs=output / "runs" / "ci")
