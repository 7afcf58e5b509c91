"""How trained weights came: rounded to how many bits, and in which formats, as far as rows say so."""

from __future__ import annotations

from collections.abc import Iterable
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


def told(frame: pd.DataFrame, among: Iterable[str] | None = None) -> str:
    """Which models' weights came rounded, in a sentence; "" where none did, or nothing says so. among: names, chains or pairs,
    to tell of the models that these begin with alone."""
    rows = rows_of(frame, "size", "speed", metrics=(BITS,)) if len(frame) else frame
    if not len(rows):
        return ""
    wanted = None if among is None else set(map(base, among))
    models = [model for model in dict.fromkeys(map(base, rows.model.dropna())) if wanted is None or model in wanted]
    each = [f"{one.model}, {' or '.join(f'{bits:.3g}' for bits in one.bits)} bits a weight"
            for one in (origin(frame, model) for model in models)]
    return f"Weights that came rounded, so that what was lost before is not seen here: {'; '.join(each)}." if each else ""


def origin(frame: pd.DataFrame, model: str) -> Origin:
    """What the rows of sizes and times say of how a model's weights came; the rows of its variants say so too."""
    rows = rows_of(frame, "size", "speed", metrics=(BITS,)).dropna(subset=["model"])
    rows = rows[rows.model.map(base) == model]
    return Origin(model, tuple(sorted(map(float, rows.value.unique()))), tuple(sorted(rows.stored_as.dropna().unique())))
