"""What a quantity is asked and what it answers: where a claim can be tested, and what was seen there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
    """What we saw for one quantity.

    where: on what, in words. scale: real, shape, pocket, or printed. samples: what the interval is over (repeats, seeds, texts,
    problems, prompts), "" for what was counted or printed. artifact: what was measured, in the words of all observations of the
    same thing. note: what to add.
    """

    estimate: Estimate
    where: str
    scale: str
    samples: str
    artifact: str
    note: str = ""


@dataclass(frozen=True)
class Quantity:
    """What a claim can be judged by.

    function: takes a study's measured rows, the claim's setting and the range that the claim accepts, and gives an observation
    of each artifact that could stand for the claim, the one that favours it most first; raises NotMeasured, in words, when the
    rows that it needs are not there, and never falls back to other rows. about: what a scale model is unlike in (time, quality
    or size). low, high: the least and the most that it can be at all, in its unit: a test that accepts all of it cannot fail.
    """

    function: Callable[[pd.DataFrame, Setting, tuple[float, float]], list[Observation]]
    about: Literal["time", "quality", "size"]
    low: float = 0.0
    high: float = math.inf

    def __call__(self, frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> Observation:
        """The observation that favours the claim most. Raises NotMeasured."""
        return self.function(frame, setting, accepted)[0]


def kind(model: str) -> str:
    """pocket (trained by the kit), shape (published architecture, random weights) or real."""
    return next((name for name in ("pocket", "shape") if model.startswith((f"{name}-", f"{name}:"))), "real")


def estimate_of(line: pd.Series, name: str, unit: str, what: str) -> Estimate:
    """A column of a table's line, its interval (`name_low`, `name_high`) and `n` as an estimate."""
    low, high = (None if pd.isna(line[f"{name}_{end}"]) else float(line[f"{name}_{end}"]) for end in ("low", "high"))
    return Estimate(float(line[name]), low, high, int(line.n), unit, what)
