"""The documents' printed numbers, what has to be assumed beside them, and the ceilings that follow from both.

A printed number is a span over its rounding. Facts of platforms and sizes of models come from data/published with their
sources; what the documents leave open is in `Assumptions`, and a notebook may change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit.analyze import audit, roofline
from edgekit.analyze.audit import Span
from edgekit.catalog import models, platforms, published


class NotPrinted(LookupError):
    """A number that an audit needs is not among the printed ones; the message says which."""


@dataclass(frozen=True)
class Assumptions:
    """What the documents leave open. `model` is what a 7B stands for; bits are of a weight; shares are 0 to 1."""

    model: str = "llama-2-7b"
    baseline_bits: int = 16
    quantized_bits: int = 4
    group_size: int = 128
    usable_share: float = 0.85
    longest_draft: int = 12

    @property
    def architecture(self) -> models.Architecture:
        return models.architectures()[self.model]


class Numbers:
    """Printed numbers by quantity and platform, as spans of their rounding."""

    def __init__(self, entries: Iterable[Mapping]):
        self.entries = [entry for entry in entries if "value" in entry]

    def _of(self, quantity: str) -> list[Mapping]:
        found = [entry for entry in self.entries if entry["quantity"] == quantity]
        if not found:
            raise NotPrinted(f"no printed value of {quantity}")
        return found

    def one(self, quantity: str) -> Span:
        """The only printed value of a quantity. Raises NotPrinted for none or several."""
        found = self._of(quantity)
        if len(found) > 1:
            raise NotPrinted(f"{len(found)} printed values of {quantity}, expected one")
        return audit.as_printed(found[0]["value"])

    def name(self, platform: str) -> str:
        """The platform's name beside its printed baseline, or its id."""
        return next((entry["label"] for entry in self.entries
                     if entry["quantity"] == "baseline_tok_per_s" and entry.get("platform") == platform), platform)

    def by(self, quantity: str, key: str = "platform") -> dict[str, Span]:
        """The printed values of a quantity by platform (or by label)."""
        return {entry[key]: audit.as_printed(entry["value"]) for entry in self._of(quantity) if key in entry}


def baseline_bytes(a: models.Architecture, bits: int) -> Span:
    """Bytes of one decode step: at least what must be read (no row of the input embedding but one), at most all weights."""
    return Span(a.parameters * bits / 8, a.read_per_step * bits / 8, a.parameters * bits / 8)


def optimized_bytes(numbers: Numbers, assumed: Assumptions) -> Span:
    """Bytes of one step of the quantized model, less the share that pruning is said to remove."""
    chosen = (assumed.architecture, assumed.quantized_bits, assumed.group_size)
    whole = audit.quantized_bytes(*chosen)
    sizes = Span(whole, audit.quantized_bytes(*chosen, read_per_step=True), whole)
    kept = 1 - Span(*(end / 100 for end in ends(numbers.one("compute_removed"))))
    return sizes * kept


def ends(span: Span) -> tuple[float, float, float]:
    return span.value, span.low, span.high


def ceilings(numbers: Numbers, assumed: Assumptions, platform: str) -> dict[str, float]:
    """Tokens/s that the nominal bandwidth of a platform allows a 7B: as it is, in 4 bits, and in 4 bits, pruned, drafted."""
    rate = platforms.get(platform).memory_bandwidth_byte_per_s
    quantized = audit.quantized_bytes(assumed.architecture, assumed.quantized_bits, assumed.group_size)
    pruned = optimized_bytes(numbers, assumed).value
    return {"baseline": roofline.decode_ceiling_tok_per_s(rate, baseline_bytes(assumed.architecture,
                                                                               assumed.baseline_bits).value),
            "quantized": roofline.decode_ceiling_tok_per_s(rate, quantized),
            "optimized": roofline.decode_ceiling_tok_per_s(rate, pruned) * numbers.one("speculative_speedup").value}


def bandwidth_share(numbers: Numbers, assumed: Assumptions, platform: str, stage: str) -> Span:
    """Share of the platform's nominal bandwidth that its printed rate at a stage needs: bytes a second over bytes a second. The
    optimized rate has 4-bit weights, the printed share pruned and the printed gain of drafting."""
    speed = numbers.by(f"{stage}_tok_per_s")[platform]
    if stage == "baseline":
        read = speed * baseline_bytes(assumed.architecture, assumed.baseline_bits)
    else:
        read = speed / numbers.one("speculative_speedup") * optimized_bytes(numbers, assumed)
    return read / audit.exact(platforms.get(platform).memory_bandwidth_byte_per_s)


def bits_allowed(numbers: Numbers, assumed: Assumptions, platform: str) -> float:
    """The most bits a weight with which the baseline's rate fits into the usable share of the bandwidth."""
    budget = assumed.usable_share * platforms.get(platform).memory_bandwidth_byte_per_s
    return 8 * budget / numbers.by("baseline_tok_per_s")[platform].value / assumed.architecture.read_per_step


def draft_cost_in_16_bits(numbers: Numbers, assumed: Assumptions) -> float:
    """Bytes of a draft step in 16 bits over those of the optimized target: its cost ratio where memory is the limit."""
    return numbers.one("draft_billions").value * 1e9 * 2 / optimized_bytes(numbers, assumed).value


def efficiencies(numbers: Numbers, rates: str) -> dict[str, Span]:
    """Tokens/s over the printed power, by platform."""
    power = numbers.by("power_w")
    return {name: speed / power[name] for name, speed in numbers.by(rates).items()}


def printed_numbers() -> Numbers:
    """All printed numbers of data/published/claims.yaml, since a claim may rest on what another one prints."""
    return Numbers(published.printed())
