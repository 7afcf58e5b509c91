"""What claims can be judged by: the quantities of all studies, each of which has its own beside its tables."""

from __future__ import annotations

import importlib.util

from edgekit import studies
from edgekit.analyze.observed import Quantity


def _of(package: str) -> dict[str, Quantity]:
    """The quantities of a study; none where it has no such module, or only audits of printed numbers."""
    name = f"{package}.quantities"
    return getattr(importlib.import_module(name), "QUANTITIES", {}) if importlib.util.find_spec(name) else {}


QUANTITIES = {name: quantity for package in studies.STUDIES.values() for name, quantity in _of(package).items()}
