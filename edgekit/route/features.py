"""What the estimator sees of a query: hashed n-grams of its text, its length, and how much of it is known from training.

Words and pairs of words, and runs of 3 to 5 bytes, each hashed to a bucket (Weinberger et al. 2009, arXiv:0902.2206; runs of
letters as in fastText, Bojanowski et al. 2017): no vocabulary has to be kept, and no query has a word that it cannot be read
by.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgekit.errors import InvalidRequest

BUCKETS = 1 << 15
RUNS = (3, 4, 5)
MOST_CHARACTERS = 8000  # of which n-grams are taken, half from either end; the length counts all
_WORD = re.compile(r"\w+|[^\w\s]")


class QueryError(InvalidRequest):
    """A query that nobody can answer; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query's n-grams: buckets of words and pairs as they occur, and all buckets once; characters, words and numerals that it
    has."""

    words: np.ndarray
    grams: np.ndarray
    characters: int
    length: int
    numerals: int


def cleaned(text: str) -> str:
    """A query as text: control characters and others that are not printed are blanks. Raises QueryError for anything that is no
    text, or has none."""
    if not isinstance(text, str):
        raise QueryError(f"query: expected a text, got {type(text).__name__}")
    plain = "".join(" " if unicodedata.category(one).startswith("C") else one for one in text) if not text.isprintable() \
        else text
    if not plain.strip():
        raise QueryError("query: expected a text with something to read in it, got none")
    return plain


def read(text: str) -> Query:
    """The n-grams of a query. Raises QueryError."""
    plain = cleaned(text)
    kept = plain if len(plain) <= MOST_CHARACTERS else plain[:MOST_CHARACTERS // 2] + plain[-MOST_CHARACTERS // 2:]
    words = _WORD.findall(kept.lower())
    pairs = [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)]
    hashed = _hashed(words + pairs)
    return Query(hashed, np.unique(np.concatenate([hashed, _runs(" ".join(words))])), len(plain), len(words),
                 sum(word.isdigit() for word in words))


def _hashed(texts: list[str]) -> np.ndarray:
    found = (zlib.crc32(one.encode("utf-8", "replace")) % BUCKETS for one in texts)
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def _runs(text: str) -> np.ndarray:
    """Buckets of all runs of bytes of each length in RUNS, by a polynomial of the bytes and a mixing of its bits."""
    raw = np.frombuffer(f"<{text}>".encode("utf-8", "replace"), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    found = []
    for length in RUNS:
        if len(raw) < length:
            continue
        value = np.zeros(len(raw) - length + 1, dtype=np.uint64)
        for i in range(length):
            value = value * np.uint64(0x100000001B3) + raw[i:len(raw) - length + 1 + i]
        value ^= value >> np.uint64(29)
        value *= np.uint64(0x9E3779B97F4A7C15)
        found.append(((value >> np.uint64(40)) % np.uint64(BUCKETS)).astype(np.int64))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Known:
    """How many training queries hold each bucket of words and pairs: (BUCKETS,)."""

    counts: np.ndarray

    @classmethod
    def of(cls, queries: Iterable[Query]) -> Known:
        counts = np.zeros(BUCKETS, dtype=np.int32)
        for query in queries:
            counts[np.unique(query.words)] += 1
        return cls(counts)

    def coverage(self, query: Query, own: bool = False) -> float:
        """Share of the query's words and pairs that another training query holds; `own`: it is one of them itself. 0 for a
        query without words."""
        return float((self.counts[query.words] > own).mean()) if len(query.words) else 0.0
