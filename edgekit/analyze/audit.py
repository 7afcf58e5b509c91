"""Closed forms behind the audit of published numbers: pruned work, quantized bytes, mixtures of cost.

Everything here is arithmetic on numbers that somebody printed; nothing is measured and nothing is read from a file. A
printed number stands for a whole interval, half a unit of its last digit to either side, and `Span` carries that interval
through the arithmetic, so a verdict never hangs on a rounded digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from edgekit.catalog.models import Architecture

AWQ_SCALE_BITS, AWQ_ZERO_BITS = 16, 4  # one scale (FP16) and one packed zero point for each group of weights


@dataclass(frozen=True)
class Span:
    """A positive value with the ends between which it lies."""

    value: float
    low: float
    high: float

    def __post_init__(self):
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError(f"expected 0 <= low <= value <= high, got {self.low}, {self.value}, {self.high}")

    def __truediv__(self, other: Span) -> Span:
        return Span(self.value / other.value, self.low / other.high, self.high / other.low)

    def __mul__(self, other: Span) -> Span:
        return Span(self.value * other.value, self.low * other.low, self.high * other.high)

    def __rsub__(self, whole: float) -> Span:
        return Span(whole - self.value, whole - self.high, whole - self.low)


def exact(value: float) -> Span:
    return Span(value, value, value)


def as_printed(value: float) -> Span:
    """A printed number with half a unit of its last digit to either side: 8.3 is 8.25 to 8.35, 78 is 77.5 to 78.5."""
    half = float(Decimal(1).scaleb(Decimal(repr(value)).as_tuple().exponent)) / 2
    return Span(value, max(0.0, value - half), value + half)


def mean(spans: list[Span]) -> Span:
    """Arithmetic mean, with the ends that it has when all parts lie at theirs."""
    return Span(*(sum(getattr(span, end) for span in spans) / len(spans) for end in ("value", "low", "high")))


def attention_weights(a: Architecture) -> int:
    """Weights of the query, key, value and output projections, all layers: multiplications a token, one each."""
    return a.layers * a.width * a.head_dim * (2 * a.heads + 2 * a.kv_heads)


def mlp_weights(a: Architecture) -> int:
    """Weights of the gate, up and down projections, all layers."""
    return a.layers * 3 * a.width * a.mlp_width


def pruned_share(a: Architecture, heads: float, mlp: float, of: str = "multiplications") -> float:
    """Share of the work or size that goes when `heads` of the attention heads and `mlp` of the MLP width go (0 to 1 each).

    Every projection is linear in the number of heads or in the MLP width, so the share is the weighted mean of the two.
    of = "multiplications": those of the layers' projections; "weights": of all weights, embeddings included. Key and value
    heads go in proportion, which is exact without grouping and generous with it.
    """
    removed = heads * attention_weights(a) + mlp * mlp_weights(a)
    return removed / {"multiplications": attention_weights(a) + mlp_weights(a), "weights": a.parameters}[of]


def quantized_bits(bits: int, group_size: int) -> float:
    """Bits stored for one weight: its own, and its part of the group's scale and zero point (AWQ: 16 and 4 bits)."""
    return bits + (AWQ_SCALE_BITS + AWQ_ZERO_BITS) / group_size


def quantized_bytes(a: Architecture, bits: int, group_size: int, other_bits: int = 16, *, read_per_step: bool = False) -> float:
    """Bytes of a model whose projections are quantized; embeddings, output head, norms and biases keep `other_bits`.

    read_per_step: without the input embedding, of which a decode step reads one line (a tied one is the output head too).
    """
    projections = attention_weights(a) + mlp_weights(a)
    others = (a.read_per_step if read_per_step else a.parameters) - projections
    return (projections * quantized_bits(bits, group_size) + others * other_bits) / 8


def memory_saved(a: Architecture, bits: int, group_size: int, other_bits: int = 16) -> float:
    """Share of the bytes at `other_bits` a weight that quantization saves (0 to 1)."""
    return 1 - quantized_bytes(a, bits, group_size, other_bits) / (a.parameters * other_bits / 8)


def cost_of_kept_over_sent(kept_queries: Span, saved_cost: Span) -> Span:
    """Mean cost of a query kept on the device over that of one sent to the cloud, both at the cloud's prices.

    Of queries costing 1 together, the kept share q would have cost s (what is saved), the others 1 - s:
    (s / q) / ((1 - s) / (1 - q)). It is 1 where the saving equals the share of queries.
    """
    return (saved_cost / kept_queries) / ((1 - saved_cost) / (1 - kept_queries))
