"""A table of a frame is computed once, however many claims and figures ask for it.

Frames are kept apart by identity, so what is asked of a frame must not depend on changes made inside of it afterwards: the kit
makes new frames and never writes into one. Each caller gets a copy of the table, which is its own.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import pandas as pd

_TABLES: dict[int, dict[Hashable, Any]] = {}


def once(table: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """`table(frame, …)` that remembers what it gave for a frame, as long as the frame lives. Other arguments are text,
    numbers, or lists of them."""
    name = f"{table.__module__}.{table.__qualname__}"

    @functools.wraps(table)
    def remembered(frame: pd.DataFrame, *arguments, **named) -> pd.DataFrame:
        asked = (name, len(frame), *map(_plain, arguments), *sorted((key, _plain(value)) for key, value in named.items()))
        if id(frame) not in _TABLES:
            _TABLES[id(frame)] = {}
            weakref.finalize(frame, _TABLES.pop, id(frame), None)
        tables = _TABLES[id(frame)]
        if asked not in tables:
            tables[asked] = table(frame, *arguments, **named)
        return tables[asked].copy(deep=False)  # pandas copies what a caller writes to

    return remembered


def _plain(value):
    return tuple(value) if isinstance(value, list) else value
