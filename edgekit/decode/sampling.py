"""How a token follows from logits, and the rule by which a drafted one is kept (Leviathan, Kalman and Matias 2023).

Probabilities are float64, one row of the vocabulary at a time: a refused draft makes the later rows worthless.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.engines.base import EngineError, EngineInfo


@dataclass(frozen=True, slots=True)
class Decoding:
    """When a text ends, and how its tokens are chosen.

    It ends with the first token in `stop` or after `max_new_tokens`. temperature 0: the likeliest token; above: drawn from the
    logits over the temperature, cut to the fewest tokens that hold `top_p` of the probability. Ids from `vocabulary` on are
    never chosen: models pad theirs, and a draft and its target differently. Raises EngineError.
    """

    max_new_tokens: int
    stop: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    vocabulary: int | None = None

    def __post_init__(self):
        if self.max_new_tokens < 1:
            raise EngineError(f"max_new_tokens: expected at least 1, got {self.max_new_tokens}")
        if not 0 <= self.temperature < float("inf"):
            raise EngineError(f"temperature: expected 0 (the likeliest token) or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise EngineError(f"top_p: expected more than 0 and at most 1 (no cut), got {self.top_p}")

    def require_known(self, info: EngineInfo) -> None:
        """Raise EngineError for a model that has fewer ids than may be chosen."""
        if self.vocabulary is not None and self.vocabulary > info.vocabulary:
            raise EngineError(f"{info.name}: {self.vocabulary} ids may be chosen, the model has {info.vocabulary}: give the "
                              "ids that draft and target share")

    def distribution(self, logits: np.ndarray) -> np.ndarray:
        """What tokens are drawn from after `logits` (of the model's vocabulary), for a temperature above 0."""
        scaled = logits[:self.vocabulary].astype(np.float64)
        scaled -= scaled.max()
        p = np.exp(scaled / self.temperature)
        p /= p.sum()
        if self.top_p < 1:
            order = np.argsort(-p, kind="stable")
            # The token that passes the share is kept (Holtzman et al. 2020, section 3.1), so at least one always is.
            kept = int(np.searchsorted(p[order].cumsum(), self.top_p)) + 1
            p[order[kept:]] = 0
            p /= p.sum()
        return p


def draw(p: np.ndarray, u: float) -> int:
    """The token at which the cumulative sum of `p` (not necessarily of sum 1) passes the share `u` (0 <= u < 1)."""
    cumulative = p.cumsum()
    return min(int(np.searchsorted(cumulative, u * cumulative[-1], side="right")), len(p) - 1)


def accepts(p: float, q: float, u: float) -> bool:
    """Whether a token of probability p for the target, drafted with probability q, is kept at the uniform number u.

    Algorithm 1 there: kept with probability min(1, p/q).
    """
    return u * q < p


def residual(p: np.ndarray, q: np.ndarray | None, token: int) -> np.ndarray:
    """What replaces the refused `token`: max(0, p - q), without its sum. q: None where the draft was certain of the token."""
    if q is None:
        rest = p.copy()
        rest[token] = 0
    else:
        rest = np.maximum(p - q, 0)
    # Refusing takes p < q somewhere; distributions that differ in their last bit only may leave nothing above zero.
    return rest if rest.any() else p
