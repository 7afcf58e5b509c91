"""What a quantity is asked and what it answers: where a claim can be tested, and what was seen there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from edgekit.analyze.stats import Estimate
from edgekit.catalog import weights

# What a measurement was made on, the weakest evidence about the documents' models first: models that the kit trained, published
# architectures with random weights, trained weights that the kit knows by name, and all others.
SCALES = ("pocket", "shape", "small", "real")


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

    where: on what, in words. models: whose rows it comes from, none for what was printed. samples: what the interval is over
    (repeats, seeds, texts, problems, prompts), "" for what was counted or printed. artifact: what was measured, in the words of
    all observations of the same thing. note: what to add.
    """

    estimate: Estimate
    where: str
    models: tuple[str, ...]
    samples: str
    artifact: str
    note: str = ""

    @property
    def scale(self) -> str:
        """The weakest of SCALES among its models, or printed."""
        return weakest(map(kind, self.models)) or "printed"


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


def base(model: str) -> str:
    """The model that a chain or a pair begins with."""
    return re.split(r"\s*[<>]\s*", model, maxsplit=1)[0]


def kind(model: str) -> str:
    """Which of SCALES a model, a chain or a pair is: by its name, or that of the model that it begins with."""
    name = base(model)
    ours = next((one for one in ("pocket", "shape") if name.startswith((f"{one}-", f"{one}:"))), "")
    return ours or ("small" if name in weights.listed() else "real")


def weakest(scales: Iterable[str]) -> str:
    """The first of SCALES among these, "" of none."""
    return min(scales, key=SCALES.index, default="")


def estimate_of(line: pd.Series, name: str, unit: str, what: str) -> Estimate:
    """A column of a table's line, its interval (`name_low`, `name_high`) and `n` as an estimate. Raises NotMeasured where the
    line has no value."""
    if pd.isna(line[name]):
        raise NotMeasured(what)
    low, high = (None if pd.isna(line[f"{name}_{end}"]) else float(line[f"{name}_{end}"]) for end in ("low", "high"))
    return Estimate(float(line[name]), low, high, int(line.n), unit, what)
