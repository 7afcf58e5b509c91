"""How trained weights came: rounded to how many bits, and in which formats, as far as rows say so."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from edgekit.analyze.observed import base
from edgekit.analyze.rows import rows_of

BITS = "source_bits_per_weight"


@dataclass(frozen=True)
class Origin:
    """bits: bits a weight that `model` came with; stored_as: formats of its file with their shares. Each as often as rows
    differ, and empty where none says."""

    model: str
    bits: tuple[float, ...] = ()
    stored_as: tuple[str, ...] = ()


def origin(frame: pd.DataFrame, model: str) -> Origin:
    """What the rows of sizes and times say of how a model's weights came; the rows of its variants say so too."""
    rows = rows_of(frame, "size", "speed", metrics=(BITS,)).dropna(subset=["model"])
    rows = rows[rows.model.map(base) == model]
    return Origin(model, tuple(sorted(map(float, rows.value.unique()))), tuple(sorted(rows.stored_as.dropna().unique())))
