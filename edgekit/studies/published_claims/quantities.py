"""Quantities that follow from printed numbers alone: what a document's own tables say about its sentences.

Each takes the printed numbers, what has to be assumed, and the platform that the claim is about, and gives a reading: the
value by the plain reading, and the ends over rounding and over the readings that favour or burden the claim most.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.analyze import audit
from edgekit.analyze.audit import Span
from edgekit.analyze.observed import Observation
from edgekit.analyze.speculation import Costs, expected_speedup
from edgekit.analyze.stats import number
from edgekit.catalog import models, platforms
from edgekit.studies.published_claims import quantities_laws
from edgekit.studies.published_claims.printed import (
    Assumptions,
    Numbers,
    bandwidth_share,
    baseline_bytes,
    bits_allowed,
    ceilings,
    draft_cost_in_16_bits,
    efficiencies,
    ends,
    optimized_bytes,
)
from edgekit.studies.published_claims.printed_reading import Reading


def _seen(span: Span, what: str, unit: str, n: int, where: str, note: str = "") -> Observation:
    return Observation(Reading(span.value, span.low, span.high, n, unit, what), where, (), "", "", note)


def _listed(numbers: Numbers, spans: Mapping[str, Span]) -> str:
    return ", ".join(f"{numbers.name(platform)} {number(span.value)}" for platform, span in spans.items())


def mean_speedup(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Mean over platforms of optimized over baseline tokens/s."""
    before, after = numbers.by("baseline_tok_per_s"), numbers.by("optimized_tok_per_s")
    ratios = {name: after[name] / before[name] for name in before}
    return _seen(audit.mean(list(ratios.values())), "mean of the rows' speed-ups", "times", len(ratios),
                 "the rows of the results table", _listed(numbers, ratios))


def largest_accuracy_loss(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """The largest loss of accuracy in the rows, in per cent of the baseline's."""
    losses = {name: 100 - kept for name, kept in numbers.by("accuracy_retained").items()}
    worst = max(losses.values(), key=lambda loss: loss.value)
    return _seen(worst, "largest loss of accuracy", "%", len(losses), "the rows of the results table", _listed(numbers, losses))


def slowest_first_token(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """The longest time to first token in the rows, in seconds."""
    times = numbers.by("first_token_s")
    return _seen(max(times.values(), key=lambda time: time.value), "longest time to first token", "s", len(times),
                 "the rows of the results table", "the prompt length is not printed, so this says nothing about another one")


def compute_removed(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Share of the multiplications that go with the pruned heads and MLP dimensions, in per cent.

    The low end counts all weights, embeddings included; the high end is the larger of the two pruned shares, which no
    architecture and no context can pass, since every product is linear in the one or in the other.
    """
    heads, mlp = numbers.one("heads_removed"), numbers.one("mlp_removed")
    shares = {of: 100 * audit.pruned_share(assumed.architecture, heads.value / 100, mlp.value / 100, of)
              for of in ("multiplications", "weights")}
    span = Span(shares["multiplications"], min(shares.values()), max(heads.high, mlp.high))
    return _seen(span, "share of the multiplications that goes", "%", 2, f"the architecture {assumed.model}",
                 f"of all weights it is {number(shares['weights'])} %; a mean of two shares can pass neither, so no "
                 f"architecture comes above {number(max(heads.value, mlp.value))} %")


def best_speculative_speedup(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Expected gain of drafting at the printed acceptance, at the number of drafted tokens that is best for it."""
    acceptance = Span(*(end / 100 for end in ends(numbers.one("acceptance"))))
    cost = numbers.one("draft_billions") / numbers.one("target_billions")

    def best(alpha: float, ratio: float) -> tuple[float, int]:
        return max((expected_speedup(alpha, drafted, Costs(ratio)), drafted)
                   for drafted in range(1, assumed.longest_draft + 1))

    value, drafted = best(acceptance.value, cost.value)
    two = expected_speedup(acceptance.value, 2, Costs(cost.value))
    heavy = draft_cost_in_16_bits(numbers, assumed)
    span = Span(value, best(acceptance.low, cost.high)[0], best(acceptance.high, cost.low)[0])
    return _seen(span, "best expected speed-up", "times", 3, "the expectation of Leviathan et al. 2023",
                 f"reached with {drafted} drafted tokens, and {number(two)} with two; a draft left in 16 bits beside the "
                 f"4-bit pruned target costs {number(heavy)} of its step and could give "
                 f"{number(best(acceptance.value, heavy)[0])} at best")


def compression_share_needed(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """What drafting leaves of the whole speed-up, over the ratio of bytes by quantization and pruning."""
    left = mean_speedup(numbers, assumed, platform).estimate
    left = Span(left.value, left.low, left.high) / numbers.one("speculative_speedup")
    fewer = baseline_bytes(assumed.architecture, assumed.baseline_bits) / optimized_bytes(numbers, assumed)
    return _seen(left / fewer, "share of the byte ratio that quantization and pruning must turn into speed", "", 2,
                 f"the architecture {assumed.model}", f"they must give {number(left.value)} times; the bytes shrink "
                                                      f"{number(fewer.value)} times")


def baseline_bandwidth_share(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Bytes a second that the printed baseline reads, over the nominal bandwidth."""
    speed, share = numbers.by("baseline_tok_per_s")[platform], bandwidth_share(numbers, assumed, platform, "baseline")
    ceiling = ceilings(numbers, assumed, platform)["baseline"]
    return _seen(share, "share of the nominal bandwidth that the baseline needs", "", 1, _at(platform, assumed),
                 f"the {assumed.baseline_bits}-bit ceiling is {number(ceiling)} tokens/s; within "
                 f"{100 * assumed.usable_share:.0f} % of the bandwidth {number(speed.value)} tokens/s takes weights of at most "
                 f"{number(bits_allowed(numbers, assumed, platform))} bits")


def optimized_bandwidth_share(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """The same for the optimized rate, with 4-bit weights, the printed share pruned and the printed gain of drafting."""
    share = bandwidth_share(numbers, assumed, platform, "optimized")
    ceiling = ceilings(numbers, assumed, platform)["optimized"]
    return _seen(share, "share of the nominal bandwidth that the optimized rate needs", "", 3, _at(platform, assumed),
                 f"the ceiling in {assumed.quantized_bits} bits, pruned and drafted as printed, is {number(ceiling)} tokens/s")


def _at(platform: str, assumed: Assumptions) -> str:
    rate = platforms.get(platform).memory_bandwidth_byte_per_s
    return f"{assumed.model} at {rate / 1e9:g} GB/s"


def throughput_over_next(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Optimized tokens/s of the platform over the largest of the others'."""
    return _over_best_other(numbers, numbers.by("optimized_tok_per_s"), platform, "its throughput over the best of the others",
                            "tokens/s")


def efficiency_over_best_other(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Optimized tokens/s a watt of the platform table, over the largest of the others'."""
    return _over_best_other(numbers, efficiencies(numbers, "optimized_tok_per_s"), platform,
                            "its tokens/s a watt over the best of the others'", "tokens/s/W")


def _over_best_other(numbers: Numbers, values: dict[str, Span], platform: str, what: str, unit: str) -> Observation:
    others = {name: span for name, span in values.items() if name != platform}
    best = max(others.values(), key=lambda span: span.value)
    return _seen(values[platform] / best, what, "times", len(values), "the rows of the tables",
                 f"{_listed(numbers, values)} {unit}")


def kept_over_sent_cost(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Mean cost of a query kept on the device over that of one sent away, for the printed shares to agree."""
    kept, saved = (Span(*(end / 100 for end in ends(numbers.one(name)))) for name in ("queries_kept", "cost_saved"))
    return _seen(audit.cost_of_kept_over_sent(kept, saved), "cost of a kept query over that of a sent one", "times", 2,
                 "the two printed shares", f"a kept one costs {number((saved / kept).value)} of the average query; they agree "
                                           "only if the kept queries are the cheaper ones")


def quantized_memory_saved(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Per cent of the bytes in 16 bits that quantization saves: of the 7B, and the least and most over all architectures."""
    saved = {name: 100 * audit.memory_saved(a, assumed.quantized_bits, assumed.group_size, assumed.baseline_bits)
             for name, a in models.architectures().items()}
    bits = audit.quantized_bits(assumed.quantized_bits, assumed.group_size)
    span = Span(saved[assumed.model], min(saved.values()), max(saved.values()))
    return _seen(span, "memory saved", "%", len(saved), "the published architectures",
                 f"{bits:.2f} bits a quantized weight would save {number(100 * (1 - bits / assumed.baseline_bits))} % without "
                 "embeddings; " + ", ".join(f"{name} {number(share)} %" for name, share in saved.items()))


def energy_ratio(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Energy a token of the hungriest model over that of the most frugal one, at the same lengths."""
    energies = numbers.by("joule_per_token", "label")
    ratio = max(energies.values(), key=lambda e: e.value) / min(energies.values(), key=lambda e: e.value)
    return _seen(ratio, "energy a token, largest over smallest model", "times", len(energies), "the released traces",
                 ", ".join(f"{name} {number(span.value)} J" for name, span in energies.items()))


def stated_over_vendor_compute(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """The stated rate of a unit over what its maker states for that unit, where they are furthest apart."""
    stated, makers = numbers.by("compute_tops"), numbers.by("vendor_compute_tops")
    ratios = {name: stated[name] / makers[name] for name in makers}
    worst = max(ratios.values(), key=lambda ratio: max(ratio.value, 1 / ratio.value))
    return _seen(worst, "stated rate over the maker's, where they differ most", "times", len(ratios), "the platform table",
                 _listed(numbers, ratios))


AUDITS = {function.__name__: function for function in (
    mean_speedup, largest_accuracy_loss, slowest_first_token, compute_removed, best_speculative_speedup,
    compression_share_needed, baseline_bandwidth_share, optimized_bandwidth_share, throughput_over_next,
    efficiency_over_best_other, kept_over_sent_cost, quantized_memory_saved, energy_ratio, stated_over_vendor_compute)
} | quantities_laws.AUDITS
# What each can be at all, in its unit: a test that accepts all of it is none.
PER_CENT = ("largest_accuracy_loss", "compute_removed", "quantized_memory_saved")
DOMAINS = {name: (0.0, 100.0 if name in PER_CENT else float("inf"))
           for name in AUDITS} | quantities_laws.DOMAINS
