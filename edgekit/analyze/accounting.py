"""What a model costs by arithmetic: weights, multiply–accumulates and bytes, of an architecture and of its pruned form.

Exact for the counts that an architecture has; `audit.pruned_share` is the same for ratios, projections only. Norms, rotary
embedding, softmax and activations are left out: they are no matrix products, and under a hundredth of the work.
"""

from __future__ import annotations

from edgekit.analyze import audit, roofline
from edgekit.catalog.models import Architecture


def projection_macs(a: Architecture) -> int:
    """Multiply–accumulates of the layers' projections for one token: one for each of their weights."""
    return audit.attention_weights(a) + audit.mlp_weights(a)


def attention_macs(a: Architecture, pairs: int) -> int:
    """Multiply–accumulates of all layers for `pairs` of a query token and a token it attends to: scores and weighted values."""
    return 2 * a.layers * a.heads * a.head_dim * pairs


def prefill_macs(a: Architecture, tokens: int) -> int:
    """Multiply–accumulates from a prompt to the logits of its last token, each token attending to itself and those before."""
    return tokens * projection_macs(a) + attention_macs(a, tokens * (tokens + 1) // 2) + a.embeddings


def decode_macs(a: Architecture, context: int) -> int:
    """Multiply–accumulates of one decode step with `context` earlier tokens."""
    return projection_macs(a) + attention_macs(a, context + 1) + a.embeddings


def decode_bytes(a: Architecture, context: int, *, weight_bytes: float, kv_bytes: float = 2) -> float:
    """Bytes that one decode step reads: the weights at `weight_bytes` each, keys and values at `kv_bytes` an element."""
    return roofline.step_bytes(a.read_per_step * weight_bytes, a.kv_elements_per_token() * kv_bytes, context)


def saved(whole: Architecture, pruned: Architecture, *, prompt_tokens: int, context: int,
          weight_bytes: float) -> dict[str, float]:
    """Shares that pruning saves (0 to 1): weights, multiply–accumulates without and with what does not shrink, bytes.

    `projections` are those of the layers alone, as a printed share of "compute" is read most kindly; `prefill` and `decode`
    count attention over the context and the output head too; `decode_bytes` is the least time that a step can take where
    memory is the limit.
    """
    counts = {
        "parameters": lambda a: a.parameters,
        "projections": projection_macs,
        "prefill": lambda a: prefill_macs(a, prompt_tokens),
        "decode": lambda a: decode_macs(a, context),
        "decode_bytes": lambda a: decode_bytes(a, context, weight_bytes=weight_bytes),
        "kv_bytes": lambda a: a.kv_elements_per_token(),
    }
    return {name: 1 - count(pruned) / count(whole) for name, count in counts.items()}
