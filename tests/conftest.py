"""Fixtures that several test files share, and what each of two processes that test at once is given (`make test`)."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded: two processes have two cores between them
SITE = ("test_browser.py", "test_notebooks.py")  # the files that ask for `site`: one process makes it, and begins at once
LONG = ("test_vllm.py", "test_publish.py", "test_fleet.py")  # these begin early, so that none runs alone at the end


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What takes longest comes first."""
    items.sort(key=lambda item: (item.path.name not in SITE, item.path.name not in LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `--dist loadfile` a file is one piece of work, and the files of SITE together are one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "site" if file.endswith(SITE) else file

    return Files(config, log)


@pytest.fixture
def own_artifacts(tmp_path, monkeypatch):
    """What a test builds lies in its own folder."""
    from edgekit import store

    monkeypatch.setattr(store, "OUTPUT", tmp_path)


@pytest.fixture
def shared_artifacts(tmp_path_factory, monkeypatch):
    """What a test builds lies where every test with this fixture finds it again."""
    from edgekit import store

    monkeypatch.setattr(store, "OUTPUT", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def module_artifacts(tmp_path_factory):
    """What the tests of a file, and its fixtures of that scope, build lies in one folder."""
    from edgekit import store

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", tmp_path_factory.mktemp("output"))
        yield


@pytest.fixture(scope="session")
def judged_rows(tmp_path_factory):
    """An output folder in which every committed rows file is judged, once a session, whichever process asks first: that takes
    half a minute."""
    from filelock import FileLock

    from edgekit import publish, store

    folder = tmp_path_factory.getbasetemp()
    output = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "judged"
    with FileLock(f"{output}.lock"), pytest.MonkeyPatch.context() as patch:
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
