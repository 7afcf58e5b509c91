"""Toy studies are told a read bandwidth for their manifests: measuring it takes seconds a run, and says nothing of them."""

from __future__ import annotations

from edgekit.studies import local

BYTE_PER_S = [2e10, 2e10, 2e10]
_run_job = local.run_job


def run_job(function: str, arguments: dict, **limits):
    """As local.run_job, with this answer at hand."""
    if function == "edgekit.measure.roofs:bandwidth_samples" and arguments["device"] == "cpu":
        return BYTE_PER_S
    return _run_job(function, arguments, **limits)


def tell(patch=setattr) -> None:
    """Have every study of this process told it; `patch` sets an attribute."""
    patch(local, "run_job", run_job)
