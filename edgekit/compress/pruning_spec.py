"""Ways to prune: shares of heads and neurons with a score and its calibration, as a step of a variant and as coordinates."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgekit.building import BuildError
from edgekit.catalog.models import ModelSpec
from edgekit.compress import removal, shorten
from edgekit.compress.saliency import RUNNING
from edgekit.schema import NONE

INFLUENCE = "influence"  # the score of whole layers that looks at calibration texts


@dataclass(frozen=True, slots=True)
class PruningSpec:
    """One way to prune; None where a score has no such thing. `calibration_seed` draws the sequences, or `random` scores."""

    score: str
    heads: float
    mlp: float
    calibration: str | None = None
    samples: int | None = None
    calibration_seed: int | None = None
    rounds: int | None = None
    allocation: str | None = None
    layers: float | None = None  # share of whole layers that goes, alone: heads and mlp are then 0

    def condition(self) -> dict:
        """What of it stands in rows; of the whole model only that it is whole."""
        if self.score == NONE:
            return dict(score=NONE)
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def chain(self, model: str, length: int, multiple: int) -> str:
        """The variant that stores `model` so; calibration sequences are `length` tokens long."""
        if self.score == NONE:
            return model
        drawn = {"seed": self.calibration_seed} if self.calibration_seed is not None else {}
        if self.score in (*RUNNING, INFLUENCE):
            drawn |= dict(calibration=self.calibration, samples=self.samples, length=length)
        if self.rounds is not None:
            drawn |= dict(rounds=self.rounds)
        if self.allocation == "global":
            drawn |= dict(allocation="global", form="masked")
        if self.layers is not None:
            given = dict(layers=self.layers, score=self.score) | drawn
            return f"{model} > shortened({', '.join(f'{name}={value}' for name, value in given.items())})"
        given = dict(heads=self.heads, mlp=self.mlp, score=self.score, multiple=multiple) | drawn
        return f"{model} > pruned({', '.join(f'{name}={value}' for name, value in given.items())})"

    def refusal(self, spec: ModelSpec, multiple: int) -> str | None:
        """Why no checkpoint of a model can be so, known beforehand; None where it can."""
        try:
            if self.layers is not None:
                shorten.kept(spec.architecture, self.layers)
                return None
            removal.kept(spec.architecture, heads=self.heads, mlp=self.mlp, unit="heads", multiple=multiple)
        except BuildError as error:
            return f"{spec.name}: {error}"
        return None
