"""Queries of other domains: who has a thing now, what a thing costs in a town; and two that no model is taught.

Each has a level, its difficulty: hand-overs to follow (`tracking`), rarity in training (`prices`), words to count
(`letters`), steps (`large`). They are answered directly. `letters` and `large` lie outside of what the models learn, so a
router has queries that ought to leave the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edgekit.errors import InvalidRequest, unknown_name
from edgekit.pocket.splits import draw_from
from edgekit.pocket.words import NAMES, THINGS, TOPICS, TOWNS


class DomainError(InvalidRequest):
    """No domain of that name; the message lists the known ones."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question with one short answer. `key` says what it is about, and with that its split."""

    domain: str
    level: int
    question: str
    answer: str
    key: str


def _tracking(rng: Random, level: int) -> Query:
    """`level` hand-overs among level + 2 people who hold one thing each at first."""
    people = rng.sample(NAMES, level + 2)
    things = rng.sample(THINGS, level + 2)
    holder = dict(zip(things, people, strict=True))
    told = [f"{name} has the {thing}." for thing, name in holder.items()]
    for _ in range(level):
        thing = rng.choice(things)
        other = rng.choice([name for name in people if name != holder[thing]])
        told.append(f"{holder[thing]} hands the {thing} to {other}.")
        holder[thing] = other
    asked = rng.choice(things)
    question = f"{' '.join(told)} Who has the {asked} now?"
    return Query("tracking", level, question, holder[asked], question)


# Every pair of town and thing has a price. Rank 0 is asked for most often: weights fall as 1 / (rank + 8).
PRICES = tuple(
    sorted(((town, thing) for town in TOWNS for thing in THINGS),
           key=lambda pair: hashlib.blake2b("/".join(pair).encode(), digest_size=8).digest())
)  # fmt: skip
PRICE_WEIGHTS = tuple(1 / (rank + 8) for rank in range(len(PRICES)))
PRICE_BANDS = 4
PRICE_WORDINGS = (
    "What does a {thing} cost in {town}?", "In {town}, what does a {thing} cost?",
    "What is the price of a {thing} in {town}?", "How much is a {thing} in {town}?",
    "In {town}, how much is a {thing}?", "In {town}, what is the price of a {thing}?",
    "Tell me the price of a {thing} in {town}.", "What do they ask for a {thing} in {town}?",
)  # fmt: skip


def price_of(town: str, thing: str) -> int:
    """What a thing costs in a town, 1..99: a fixed fact of this world without any rule behind it."""
    return 1 + int.from_bytes(hashlib.blake2b(f"price/{town}/{thing}".encode(), digest_size=8).digest(), "big") % 99


def _price_at(rng: Random, rank: int) -> Query:
    town, thing = PRICES[rank]
    wording = rng.randrange(len(PRICE_WORDINGS))
    band = 1 + rank * PRICE_BANDS // len(PRICES)
    question = PRICE_WORDINGS[wording].format(thing=thing, town=town)
    return Query("prices", band, question, str(price_of(town, thing)), f"{town}/{thing}/{wording}")


def _prices(rng: Random, level: int) -> Query:
    """A fact of one of four bands of equal size, the commonest first. Held out is the wording, not the fact."""
    share = len(PRICES) // PRICE_BANDS
    first = (level - 1) * share
    return _price_at(rng, rng.choices(range(first, first + share), PRICE_WEIGHTS[first : first + share])[0])


LETTERS_WORDINGS = (
    "How many letters are in {words}?", "How many letters do you write for {words}?", "Count the letters of {words}.",
    "What is the number of letters in {words}?", "How long is {words}?", "To write {words}, how many letters do you need?",
)  # fmt: skip


def _letters(rng: Random, level: int) -> Query:
    """The number of letters of `level` words together."""
    known = sorted({*THINGS, *(word for kinds in TOPICS.values() for group in kinds.values() for word in group)})
    chosen = rng.sample(known, level)
    question = rng.choice(LETTERS_WORDINGS).format(words=" and ".join(chosen))
    return Query("letters", level, question, str(sum(map(len, chosen))), question)


def _large(rng: Random, level: int) -> Query:
    """`level` additions and losses of numbers of three digits."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    value = rng.randint(200, 999)
    told = [f"{name} has {value} {thing}s."]
    for _ in range(level):
        n = rng.randint(100, 999)
        gain = n > value or rng.random() < 0.5
        told.append(f"{name} {'finds' if gain else 'loses'} {n} {thing}s.")
        value += n if gain else -n
    question = f"{' '.join(told)} How many {thing}s does {name} have now?"
    return Query("large", level, question, str(value), question)


_DRAW: dict[str, Callable[[Random, int], Query]] = {
    "tracking": _tracking,
    "prices": _prices,
    "letters": _letters,
    "large": _large,
}
DOMAINS = tuple(_DRAW)
LEVELS = (1, 2, 3, 4)


def draw_query(rng: Random, *, domain: str, level: int, split: str) -> Query:
    """Draw one query of a domain and level (1 to 4) from a split."""
    if domain not in _DRAW:
        raise DomainError(unknown_name("domain", domain, _DRAW))
    if level not in LEVELS:
        raise DomainError(f"{domain}: expected a level of {LEVELS[0]} to {LEVELS[-1]}, got {level}")
    return draw_from(split, lambda: _DRAW[domain](rng, level), lambda query: query.key)


def draw_price(rng: Random, *, split: str) -> Query:
    """Draw a price as often as the world asks for it: rank r with weight 1 / (r + 8)."""
    ranks = range(len(PRICES))
    return draw_from(split, lambda: _price_at(rng, rng.choices(ranks, PRICE_WEIGHTS)[0]), lambda query: query.key)
