"""What a model costs by arithmetic: weights, multiply–accumulates and bytes, of an architecture and of its pruned form.

Exact for the counts that an architecture has; `audit.pruned_share` is the same for ratios, projections only. Norms, rotary
embedding, softmax and activations are left out: they are no matrix products, and under a hundredth of the work.
"""

from __future__ import annotations

from edgekit.analyze import audit
from edgekit.catalog.models import Architecture


def projection_macs(a: Architecture) -> int:
    """Multiply–accumulates of the layers' projections for one token: one for each of their weights."""
    return audit.attention_weights(a) + audit.mlp_weights(a)


def pairs(a: Architecture, tokens: int, context: int = 0) -> int:
    """Pairs of a query token and a token that it attends to, itself among them, summed over the layers, of `tokens` queries
    after `context` earlier tokens: all before it, or in a local layer its window."""
    end = context + tokens
    everything = _first(end) - _first(context)
    behind = _first(end - a.window) - _first(context - a.window)  # what a window leaves out
    return a.layers * everything - a.local_layers * behind


def _first(n: int) -> int:
    """1 + 2 + … + n; 0 below that."""
    return max(n, 0) * (n + 1) // 2


def attention_macs(a: Architecture, pairs: int) -> int:
    """Multiply–accumulates for `pairs` of a query token and a token it attends to: scores and weighted values."""
    return 2 * a.heads * a.head_dim * pairs


def prefill_macs(a: Architecture, tokens: int) -> int:
    """Multiply–accumulates from a prompt to the logits of its last token, each token attending to itself and those before."""
    return tokens * projection_macs(a) + attention_macs(a, pairs(a, tokens)) + a.embeddings


def decode_macs(a: Architecture, context: int) -> int:
    """Multiply–accumulates of one decode step with `context` earlier tokens."""
    return projection_macs(a) + attention_macs(a, pairs(a, 1, context)) + a.embeddings


def decode_bytes(a: Architecture, context: int, *, weight_bytes: float, kv_bytes: float = 2) -> float:
    """Bytes that one decode step reads: the weights at `weight_bytes` each, keys and values at `kv_bytes` an element."""
    return a.read_per_step * weight_bytes + a.kv_elements(context) * kv_bytes


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
