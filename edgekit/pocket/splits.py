"""Train, validation and test: a fixed function of what a text is about, so that they are disjoint by construction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from edgekit.errors import InvalidRequest, unknown_name

SPLITS = ("train", "validation", "test")


Drawn = TypeVar("Drawn")


class SplitError(InvalidRequest):
    """No split of that name; the message lists the known ones."""


def split_of(key: str) -> str:
    """`train` (70 %), `validation` (10 %) or `test` (20 %): whatever the seed, one key lies in one split."""
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % 10
    return "train" if bucket < 7 else "validation" if bucket == 7 else "test"


def draw_from(split: str, draw: Callable[[], Drawn], key: Callable[[Drawn], str]) -> Drawn:
    """The first draw whose `key` lies in `split`; others are thrown away. Raises SplitError for an unknown split."""
    if split not in SPLITS:
        raise SplitError(unknown_name("split", split, SPLITS))
    while True:
        drawn = draw()
        if split_of(key(drawn)) == split:
            return drawn
