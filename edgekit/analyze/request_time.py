"""How long a request takes, from timed streams of known lengths: two straight lines, one for the prompt and one for a step.

The first token takes `first_s` and `prompt_s` for each token of the prompt; a further one `step_s` and `context_s` for each
token before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True, slots=True)
class RequestTime:
    """The coefficients, in seconds and seconds a token."""

    first_s: float
    prompt_s: float
    step_s: float
    context_s: float

    def seconds(self, prompt: np.ndarray | float, written: np.ndarray | float) -> np.ndarray | float:
        """Time of requests of so many prompt and written tokens (at least one), in seconds."""
        steps = np.asarray(written, dtype=float) - 1
        # step j of 1..steps has prompt + j tokens before it
        return (self.first_s + self.prompt_s * np.asarray(prompt, dtype=float) + steps * self.step_s
                + self.context_s * (steps * prompt + steps * (steps + 1) / 2))


def fit(prompts: Sequence[float], ttft_s: Sequence[float], contexts: Sequence[float], tpot_s: Sequence[float]) -> RequestTime:
    """The lines through first-token times by prompt length and step times by mean context, no coefficient below zero, since
    noise of two points must not make longer requests shorter. One length alone gives a time without a slope.

    Raises ValueError without a time of each kind.
    """
    if not len(prompts) or not len(contexts):
        raise ValueError("a request's time needs timed first tokens and timed steps of at least one length each, got "
                         f"{len(prompts)} and {len(contexts)}")
    return RequestTime(*_line(prompts, ttft_s), *_line(contexts, tpot_s))


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    # Relative errors are alike, so that short lengths count as much as long ones.
    found, _ = nnls(np.stack([1 / y, x / y], axis=1), np.ones_like(y))
    return float(found[0]), float(found[1])
