"""What scoring texts is everywhere: as how much context, and how scores become log-probabilities."""

from __future__ import annotations

import numpy as np

MOST_CONTEXT = 2048  # tokens of prompt and output that models are asked with, where they would take more


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities in nats, in double precision, over the last axis."""
    logits = logits.astype(np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
