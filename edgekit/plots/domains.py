"""Colour and marker of what prompts are about: the same in every figure, told apart in grey by the marker."""

from __future__ import annotations

from collections.abc import Iterable

DOMAINS = {"chain direct": ("#0072B2", "o"), "chain think": ("#E69F00", "s"), "letters": ("#009E73", "^"),
           "prices": ("#CC79A7", "D"), "prose": ("#D55E00", "v"), "tracking": ("0.45", "P")}
OTHERS = [("#56B4E9", "<"), ("#1A1A6C", ">"), ("0.7", "X")]


def looks(domains: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each domain: the kit's have theirs everywhere, others get the next free one."""
    domains = list(dict.fromkeys(domains))
    others = [domain for domain in domains if domain not in DOMAINS]
    return {domain: DOMAINS.get(domain) or OTHERS[others.index(domain) % len(OTHERS)] for domain in domains}
