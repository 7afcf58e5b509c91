"""How a pocket model is trained: everything that decides its weights."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from edgekit.pocket.chain import MAX_DEPTH
from edgekit.pocket.language import AGAIN, EARLY, LATE, Mixture
from edgekit.pocket.sizes import Size, known_size
from edgekit.training import loop as training


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. Two runs with equal recipes on one machine give equal weights."""

    size: Size
    steps: int
    seed: int
    device: str
    compiled: bool
    shallow_share: float = 0.3  # over this share of the steps the greatest depth grows from 1 to its full value
    late_share: float = 5 / 9  # after this share of the steps the mixture turns to answers without reasoning
    prompt_weight: float = 0.25  # the numbers in a prompt are random: a smaller weight makes the gradient quieter
    warmup_share: float = 0.05
    final_lr_share: float = 0.02
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    validate_every_tokens: int = 409_600
    checkpoint_every_tokens: int = 409_600

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all cycles."""
        return self.steps * self.size.cycles

    def learning_rate(self, step: int) -> float:
        """In each cycle a linear warm-up to its peak, then a cosine down to `final_lr_share` of it."""
        cycle, step = divmod(step, self.steps)
        return training.learning_rate(self.size.peak_lrs[cycle], step, self.steps, warmup_share=self.warmup_share,
                                      final_share=self.final_lr_share)

    def mixture(self, step: int) -> Mixture:
        """What the texts of a step are made of."""
        if step >= self.steps:
            return AGAIN
        return EARLY if step < round(self.late_share * self.steps) else LATE

    def max_depth(self, step: int) -> int:
        """The greatest depth of the problems of a step: reading one sentence is learnt first, then chains."""
        return min(MAX_DEPTH, 1 + int(MAX_DEPTH * step / (self.shallow_share * self.steps)))


def recipe_of(name: str, *, steps: int | None = None, seed: int = 0, device: str | None = None) -> Recipe:
    """The recipe of a family member; arguments as in `train`. It is compiled where there is a compiler for it."""
    import torch

    size = known_size(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    compiled = device != "cpu" or any(map(shutil.which, ("g++", "clang++")))
    return Recipe(size, steps or size.steps, seed, device, compiled)
