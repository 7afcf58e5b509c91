"""Probabilistic context-free grammars whose entropy is computed, and the one that the models' prose comes from.

The derivations of a grammar form a branching process, so the entropy of one derivation solves a linear system: a symbol's
entropy is that of its choice of rule plus the expected entropies of what the rule produces (Grenander 1976; Chi 1999,
"Statistical properties of probabilistic context-free grammars"). Where every text has one derivation only, this is the
entropy of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import log
from random import Random

import numpy as np

from edgekit.pocket import words

Rules = Mapping[str, Sequence[tuple[float, tuple[str, ...]]]]


class GrammarError(ValueError):
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
        radius = max(abs(np.linalg.eigvals(self._expected_children())))
        if radius >= 1:
            raise GrammarError(f"derivations do not end: a symbol leads to {radius:.3g} symbols on average, expected < 1")

    def probabilities(self, symbol: str) -> list[float]:
        """The chance of each rule of a symbol."""
        total = sum(weight for weight, _ in self.rules[symbol])
        return [weight / total for weight, _ in self.rules[symbol]]

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
        solved = np.linalg.solve(np.eye(len(self.rules)) - self._expected_children(), at_once)
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

    def draw(self, rng: Random) -> tuple[list[str], float]:
        """Draw one derivation: its terminals and its log-probability in nats."""
        found, log_p, pending = [], 0.0, [self.start]
        tables = _tables(self)
        while pending:
            symbol = pending.pop()
            if symbol not in tables:
                found.append(symbol)
                continue
            cumulative, logs, produced = tables[symbol]
            i = rng.choices(range(len(logs)), cum_weights=cumulative)[0]
            log_p += logs[i]
            pending.extend(reversed(produced[i]))
        return found, log_p

    def __hash__(self) -> int:
        return id(self)


@cache
def _tables(grammar: Grammar) -> dict[str, tuple[list[float], list[float], list[tuple[str, ...]]]]:
    return {
        symbol: (
            list(accumulate(grammar.probabilities(symbol))),
            [log(p) for p in grammar.probabilities(symbol)],
            [produced for _, produced in rules],
        )
        for symbol, rules in grammar.rules.items()
    }


def _zipf(terminals: Sequence[str]) -> list[tuple[float, tuple[str, ...]]]:
    """One rule a word, weights 1 / (rank + 2): some words are common, none decides everything."""
    return [(1 / (rank + 2), tuple(word.split())) for rank, word in enumerate(terminals)]


def _story_rules() -> Rules:
    rules: dict[str, list[tuple[float, tuple[str, ...]]]] = {
        "Story": [(1, (f"Story:{topic}",)) for topic in words.TOPICS],
        "Adjective": _zipf(words.ADJECTIVES),
        "Quality": _zipf(words.QUALITIES),
        "Adverb": _zipf(words.ADVERBS),
        "Time": _zipf(words.TIMES),
        "Before": _zipf(words.PLACES_BEFORE),
    }
    for topic, kinds in words.TOPICS.items():
        t = f":{topic}"
        rules |= {
            f"Story{t}": [(0.75, (f"Sentence{t}", f"Story{t}")), (0.25, (f"Sentence{t}",))],
            f"Sentence{t}": [
                (0.5, (f"Subject{t}", f"Does{t}", ".")),
                (0.2, (f"Subject{t}", f"Does{t}", "Time", ".")),
                (0.2, (f"Subject{t}", f"Does{t}", "and", f"Does{t}", ".")),
                (0.1, (f"Subject{t}", "and", f"Subject{t}", "rest", "Before", "the", f"Place{t}", ".")),
            ],
            f"Subject{t}": [
                (0.5, ("the", f"Person{t}")),
                (0.35, ("the", "Adjective", f"Person{t}")),
                (0.15, ("the", f"Person{t}", "who", f"Does{t}", ",")),
            ],
            f"Does{t}": [
                (0.45, (f"Verb{t}", f"Goods{t}")),
                (0.25, ("Adverb", f"Verb{t}", f"Goods{t}")),
                (0.3, (f"Verb{t}", f"Goods{t}", "Before", "the", f"Place{t}")),
            ],
            f"Goods{t}": [
                (0.4, ("the", f"Object{t}")),
                (0.4, ("the", "Quality", f"Object{t}")),
                (0.2, ("every", f"Object{t}")),
            ],
            f"Person{t}": _zipf(kinds["person"]),
            f"Verb{t}": _zipf(kinds["verb"]),
            f"Object{t}": _zipf(kinds["object"]),
            f"Place{t}": _zipf(kinds["place"]),
        }
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
