"""When drafting pays: expected tokens, speed-up, break-even and best draft length, from acceptance and costs.

Leviathan, Kalman and Matias 2023 (arXiv:2211.17192), with the two simplifications of its section 3.3 taken back: a pass over a
block may cost more than a step of the target, and the loop around the models costs something. Each drafted token is accepted
with the same probability, independently, until the first refusal; `expected_tokens_of` does without that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize


@dataclass(frozen=True)
class Costs:
    """Times over the time of one plain step of the target, for blocks of one draft length.

    draft: one step of the draft. verify: the target's pass over the drafted tokens and one more. overhead: what else a block
    takes. Raises ValueError for a negative one, or a pass that costs nothing.
    """

    draft: float
    verify: float = 1.0
    overhead: float = 0.0

    def __post_init__(self):
        if not (self.draft >= 0 and self.verify > 0 and self.overhead >= 0):
            raise ValueError(f"costs: expected draft and overhead of at least 0 and verify above 0, got {self}")

    def block(self, drafted: int) -> float:
        """The time of a whole block with `drafted` tokens."""
        return drafted * self.draft + self.verify + self.overhead


def expected_tokens(acceptance: float, drafted: int) -> float:
    """Expected tokens that one verification yields: (1 - a^(g+1)) / (1 - a), with g drafted tokens (equation 1)."""
    _require(acceptance, drafted)
    if acceptance == 1:
        return drafted + 1.0
    return (1 - acceptance ** (drafted + 1)) / (1 - acceptance)


def expected_tokens_of(acceptances: Sequence[float]) -> float:
    """The same where the i-th drafted token is accepted with a probability of its own, given that those before it were."""
    return 1.0 + float(np.cumprod(np.asarray(acceptances, dtype=float)).sum())


def expected_speedup(acceptance: float, drafted: int, costs: Costs) -> float:
    """Expected gain in wall time over decoding without a draft; with the default costs, theorem 3.8."""
    return expected_tokens(acceptance, drafted) / costs.block(drafted)


def acceptance_for(gain: float, drafted: int, costs: Costs) -> float | None:
    """The least acceptance at which the expected speed-up is `gain`, 1 for the break-even; None where none is enough.

    0 where a block without any accepted token is fast enough already.
    """
    needed = gain * costs.block(drafted)
    if needed > drafted + 1:
        return None
    if needed <= 1:
        return 0.0
    return float(optimize.brentq(lambda acceptance: expected_tokens(acceptance, drafted) - needed, 0.0, 1.0, xtol=1e-12))


def draft_cost_for(gain: float, acceptance: float, drafted: int, costs: Costs) -> float | None:
    """The most that a draft step may cost for a speed-up of `gain`; None where even a free one is too dear."""
    left = expected_tokens(acceptance, drafted) / gain - costs.verify - costs.overhead
    return left / drafted if left >= 0 else None


def best_length(acceptance: float, costs: Mapping[int, Costs]) -> tuple[int, float]:
    """(drafted tokens, expected speed-up) of the best draft length in `costs`; (0, 1.0), plain decoding, where none gains."""
    gains = [(expected_speedup(acceptance, drafted, of), -drafted) for drafted, of in costs.items()]
    gain, drafted = max([(1.0, 0), *gains])
    return -drafted, gain


def overlap(target: np.ndarray, draft: np.ndarray) -> np.ndarray:
    """Chance that a drawn draft token is accepted, from distributions (..., vocabulary): the sum of min(p, q), which is one
    less their total variation distance (theorem 3.5)."""
    return np.minimum(target, draft).sum(-1)


def least_overlap(divergence: float) -> float:
    """The smallest overlap that a Kullback-Leibler divergence of `divergence` nats, in either direction, leaves possible.

    Pinsker's inequality for small divergences, that of Bretagnolle and Huber 1979 for large ones.
    """
    if divergence < 0:
        raise ValueError(f"a divergence is at least 0, got {divergence}")
    return 1 - min(math.sqrt(divergence / 2), math.sqrt(-math.expm1(-divergence)))


def _require(acceptance: float, drafted: int) -> None:
    if not 0 <= acceptance <= 1 or drafted < 0:
        raise ValueError(f"expected an acceptance in 0..1 and at least 0 drafted tokens, got {acceptance} and {drafted}")
