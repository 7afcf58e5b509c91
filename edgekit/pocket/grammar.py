"""Probabilistic context-free grammars whose entropy is computed, and the one that the models' prose comes from.

The derivations of a grammar form a branching process, so the entropy of one derivation solves a linear system: a symbol's
entropy is that of its choice of rule plus the expected entropies of what the rule produces (Grenander 1976; Chi 1999,
"Statistical properties of probabilistic context-free grammars"). Where every text has one derivation only, this is the
entropy of the texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import log
from random import Random

import numpy as np

from edgekit.errors import InvalidRequest
from edgekit.pocket import words

Rules = Mapping[str, Sequence[tuple[float, tuple[str, ...]]]]


class GrammarError(InvalidRequest):
    """The rules are no proper grammar; the message says which symbol is at fault."""


@dataclass(frozen=True)
class Grammar:
    """Rules by symbol: (weight, right-hand side) pairs. What has no rules is a terminal. Weights need not sum to 1."""

    rules: Rules
    start: str

    def __post_init__(self) -> None:
        if self.start not in self.rules:
            raise GrammarError(f"no rules for the start symbol {self.start!r}; symbols: {', '.join(self.rules)}")
        for symbol, rules in self.rules.items():
            if not rules or any(weight <= 0 for weight, _ in rules):
                raise GrammarError(f"{symbol}: expected at least one rule and weights above 0, got {rules!r}")
        # (1 - M) has an inverse without negative entries exactly if derivations end on average
        size = np.linalg.solve(np.eye(len(self.rules)) - self._expected_children, np.ones(len(self.rules)))
        if not (np.isfinite(size).all() and (size >= 1).all()):
            raise GrammarError("derivations do not end: a symbol leads to one or more symbols like itself on average")

    def probabilities(self, symbol: str) -> list[float]:
        """The chance of each rule of a symbol."""
        total = sum(weight for weight, _ in self.rules[symbol])
        return [weight / total for weight, _ in self.rules[symbol]]

    @cached_property
    def _expected_children(self) -> np.ndarray:
        """Entry (i, j): how many symbols j one rewriting of symbol i gives on average."""
        index = {symbol: i for i, symbol in enumerate(self.rules)}
        children = np.zeros((len(index), len(index)))
        for symbol, rules in self.rules.items():
            for chance, (_, produced) in zip(self.probabilities(symbol), rules, strict=True):
                for child in produced:
                    if child in index:
                        children[index[symbol], index[child]] += chance
        return children

    def _expectation(self, at_once: list[float]) -> float:
        """The expected sum over a derivation of a quantity that each symbol adds when it is rewritten."""
        solved = np.linalg.solve(np.eye(len(self.rules)) - self._expected_children, at_once)
        return float(solved[list(self.rules).index(self.start)])

    @property
    def entropy(self) -> float:
        """Entropy of one derivation from the start symbol, in nats."""
        return self._expectation([-sum(p * log(p) for p in self.probabilities(symbol)) for symbol in self.rules])

    @property
    def expected_words(self) -> float:
        """Expected number of terminals of one derivation."""
        terminals = [
            sum(p * sum(child not in self.rules for child in produced)
                for p, (_, produced) in zip(self.probabilities(symbol), rules, strict=True))
            for symbol, rules in self.rules.items()
        ]  # fmt: skip
        return self._expectation(terminals)

    @cached_property
    def _tables(self) -> dict[str, tuple[list[float], list[float], list[tuple[str, ...]]]]:
        return {
            symbol: (
                list(accumulate(self.probabilities(symbol))),
                [log(p) for p in self.probabilities(symbol)],
                [produced for _, produced in rules],
            )
            for symbol, rules in self.rules.items()
        }

    def draw(self, rng: Random) -> tuple[list[str], float]:
        """Draw one derivation: its terminals and its log-probability in nats."""
        found, log_p, pending = [], 0.0, [self.start]
        while pending:
            symbol = pending.pop()
            if symbol not in self._tables:
                found.append(symbol)
                continue
            cumulative, logs, produced = self._tables[symbol]
            i = rng.choices(range(len(logs)), cum_weights=cumulative)[0]
            log_p += logs[i]
            pending.extend(reversed(produced[i]))
        return found, log_p


def _choice(of: Sequence[str], given: str = "", made: str = "{}") -> list[tuple[float, tuple[str, ...]]]:
    """One rule an item, with weights 1 / rank^1.3. Which item is the commonest depends on `given`, by a hash: habits that
    have no rule behind them and must be learnt one by one."""
    ranked = of if not given else sorted(
        of, key=lambda item: hashlib.blake2b(f"{given}/{item}".encode(), digest_size=8).digest()
    )  # fmt: skip
    return [((rank + 1) ** -1.3, tuple(made.format(item).split())) for rank, item in enumerate(ranked)]


def _story_rules() -> Rules:
    """Stories of one topic. Who does what to what is a habit of the person, and of the person and verb together."""
    rules: dict[str, list[tuple[float, tuple[str, ...]]]] = {
        "Story": [(1, (f"Story:{topic}",)) for topic in words.TOPICS],
        "Time": _choice(words.TIMES),
        "Before": _choice(words.PLACES_BEFORE),
    }
    for topic, kinds in words.TOPICS.items():
        rules[f"Story:{topic}"] = [(0.75, (f"Sentence:{topic}", f"Story:{topic}")), (0.25, (f"Sentence:{topic}",))]
        rules[f"Sentence:{topic}"] = _choice(kinds["person"], made="Clause:{}")
        rules[f"Friend:{topic}"] = _choice(kinds["person"])
        for person in kinds["person"]:
            rules |= {
                f"Clause:{person}": [
                    (0.5, (f"Subject:{person}", f"Does:{person}", ".")),
                    (0.2, (f"Subject:{person}", f"Does:{person}", "Time", ".")),
                    (0.2, (f"Subject:{person}", f"Does:{person}", "and", f"Does:{person}", ".")),
                    (0.1, (f"Subject:{person}", "and", "the", f"Friend:{topic}", "rest", f"Where:{person}", ".")),
                ],
                f"Subject:{person}": [
                    (0.5, ("the", person)),
                    (0.35, ("the", f"Adjective:{person}", person)),
                    (0.15, ("the", person, "who", f"Does:{person}", ",")),
                ],
                f"Adjective:{person}": _choice(words.ADJECTIVES, person),
                f"Does:{person}": _choice(kinds["verb"], person, made=f"Act:{person}:{{}}"),
                f"Where:{person}": [(1, ("Before", "the", f"Place:{person}"))],
                f"Place:{person}": _choice(kinds["place"], person),
            }
            for verb in kinds["verb"]:
                goods = f"Goods:{person}:{verb}"
                rules[f"Act:{person}:{verb}"] = [
                    (0.45, (verb, goods)),
                    (0.25, (f"Adverb:{verb}", verb, goods)),
                    (0.3, (verb, goods, f"Where:{person}")),
                ]
                rules[goods] = _choice(kinds["object"], f"{person}/{verb}", made="Thing:{}")
        rules |= {f"Adverb:{verb}": _choice(words.ADVERBS, verb) for verb in kinds["verb"]}
        for thing in kinds["object"]:
            described = ("the", f"Quality:{thing}", thing)
            rules[f"Thing:{thing}"] = [(0.4, ("the", thing)), (0.4, described), (0.2, ("every", thing))]
            rules[f"Quality:{thing}"] = _choice(words.QUALITIES, thing)
    return rules


PROSE = Grammar(_story_rules(), "Story")


def join(terminals: Sequence[str]) -> str:
    """Words into prose: sentences begin with a capital, no blank before a full stop or comma."""
    text, capital = "", True
    for word in terminals:
        if word in ".,":
            text += word
        else:
            text += (" " if text else "") + (word.capitalize() if capital else word)
        capital = word == "."
    return text
