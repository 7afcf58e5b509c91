"""A table is computed once while several claims or figures ask for it.

Only inside of `remembering()`, where nobody writes into a frame: whoever changes one in a notebook gets a new table each time.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator

import pandas as pd

# By frame, what was computed of it; each frame is held, since the identity of one that is gone may be another's. None: not now.
_tables: dict[int, tuple[pd.DataFrame, dict[Hashable, pd.DataFrame]]] | None = None


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Compute each table of a frame once until the end of this block; then forget them all."""
    global _tables
    if _tables is not None:
        yield
        return
    _tables = {}
    try:
        yield
    finally:
        _tables = None


def once(table: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """`table(frame, …)` that remembers what it gave for a frame, inside of `remembering()`. Other arguments are text, numbers,
    or lists of them. Each caller gets a copy, which is its own."""
    name = f"{table.__module__}.{table.__qualname__}"

    @functools.wraps(table)
    def remembered(frame: pd.DataFrame, *arguments, **named) -> pd.DataFrame:
        if _tables is None:
            return table(frame, *arguments, **named)
        asked = (name, *map(_plain, arguments), *sorted((key, _plain(value)) for key, value in named.items()))
        _, tables = _tables.setdefault(id(frame), (frame, {}))
        if asked not in tables:
            tables[asked] = table(frame, *arguments, **named)
        return tables[asked].copy(deep=False)  # pandas copies what a caller writes to

    return remembered


def _plain(value):
    return tuple(value) if isinstance(value, list) else value
