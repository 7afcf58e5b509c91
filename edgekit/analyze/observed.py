"""What a quantity is asked and what it answers: where a claim can be tested, and what was seen there."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from edgekit.analyze.stats import Estimate


class NotMeasured(LookupError):
    """The rows that a quantity needs are not in this frame; the message says which."""


class Void(NotMeasured):
    """The rows are there and contradict each other, so no verdict may rest on them; the message says how."""


@dataclass(frozen=True)
class Setting:
    """Where a claim can be tested. Empty fields ask nothing; `platforms` is empty for any platform."""

    models: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    parameters: tuple[float, float] | None = None
    prompt_tokens: int | None = None
    output_tokens: tuple[int, int] | None = None


@dataclass(frozen=True)
class Observation:
    """What we saw for one quantity: the estimate, on what, at which scale (real, shape or pocket), and what to add."""

    estimate: Estimate
    where: str
    scale: str
    note: str = ""


def kind(model: str) -> str:
    """pocket (trained by the kit), shape (published architecture, random weights) or real."""
    return next((name for name in ("pocket", "shape") if model.startswith((f"{name}-", f"{name}:"))), "real")


def estimate_of(line: pd.Series, name: str, unit: str, what: str) -> Estimate:
    """A column of a table's line, its interval (`name_low`, `name_high`) and `n` as an estimate."""
    low, high = (None if pd.isna(line[f"{name}_{end}"]) else float(line[f"{name}_{end}"]) for end in ("low", "high"))
    return Estimate(float(line[name]), low, high, int(line.n), unit, what)
