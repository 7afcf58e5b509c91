"""Units, outcomes and facts as JSON and back: what travels between a run and its boards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from edgekit.measure.monitor import Stood
from edgekit.studies.local import Allowed, Facts, Outcome
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit


def unit(told: Mapping) -> Unit:
    """A unit from `dataclasses.asdict` of one, by way of JSON."""
    whole = dict(told)
    whole["variants"] = tuple(whole["variants"])
    whole["reads"] = tuple((name, digest) for name, digest in whole["reads"])
    whole["holds"] = tuple(tuple(Held(**held) for held in together) for together in whole["holds"])
    return Unit(**whole)


def outcome(told: Mapping) -> Outcome:
    """An outcome, as above."""
    facts, stood = told["facts"], told.get("stood")  # what waits on a board may be older
    return Outcome(**{**told, "facts": facts and Facts(**facts), "stood": stood and Stood(**stood)})


def job(unit: Unit, key: str, allowed: Allowed, within_s: float | None, built: Sequence[str]) -> dict:
    """What a board is told of a unit that it is to measure. built: addresses of the artifacts that it opens."""
    return dict(key=key, unit=dataclasses.asdict(unit), allowed=dataclasses.asdict(allowed), within_s=within_s,
                built=list(built))
