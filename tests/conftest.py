"""Fixtures that several test files share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Every notebook executed with the profile `ci`, and the report of it, once a session, in a temporary folder."""
    from edgekit import report, store, studies

    output = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "OUTPUT", output)
        outcomes = report.run_notebooks(list(studies.STUDIES), "ci")
        index = report.render("ci")
    return SimpleNamespace(outcomes=outcomes, index=index, reports=index.parent, runs=output / "runs" / "ci")
