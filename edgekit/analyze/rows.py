"""Rows as a table with every coordinate as a column: rows of few units lack some, and of another study most."""

from __future__ import annotations

import pandas as pd

from edgekit import schema
from edgekit.analyze.once import once

# What the manifests say of a run's machine stands among the columns; see provenance.with_machine.
COLUMNS = (*schema.COORDINATES, *schema.COLUMNS, "last_level_cache_bytes")


@once
def rows_of(frame: pd.DataFrame, *tasks: str, metrics: tuple[str, ...] = ()) -> pd.DataFrame:
    """The rows of `tasks`, all metrics or some of them, but those of a time in which the device held itself back (doubts.py
    tells of them). A column that the frame lacks is there and empty."""
    frame = frame[frame.task.isin(tasks)] if "task" in frame else frame.iloc[:0]
    if "throttled" in frame:
        frame = frame[frame.throttled.isna()]
    rows = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *COLUMNS])))
    return rows[rows.metric.isin(metrics)] if metrics else rows


def in_reference(table: pd.DataFrame) -> pd.Series:
    """Which lines were measured in the reference engine and float type."""
    return (table.engine == schema.ENGINE) & (table["dtype"] == schema.DTYPE)
