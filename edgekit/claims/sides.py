"""The rows that a claim is judged on, by what they were measured on: each kind of trained weights on its own.

Shapes have no kind of trained weights to belong to, so they belong to each: where trained models of one kind alone decide
nothing, they are asked together with the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from edgekit.analyze.observed import kind

ORDER = (("real",), ("small",), ("pocket", "shape"))  # the strongest evidence first


@dataclass(frozen=True)
class Side:
    """kinds: the models that it is about. frames: the rows to judge on; the first that decide count."""

    kinds: tuple[str, ...]
    frames: tuple[pd.DataFrame, ...]


def sides(frame: pd.DataFrame) -> list[Side]:
    """The sides that these rows have, the strongest evidence first; none for rows of no model."""
    if "model" not in frame:
        return []
    kinds = frame.model.map({name: kind(name) for name in frame.model.dropna().unique()})

    def rows(*wanted: str) -> pd.DataFrame:
        chosen = kinds.isna() | kinds.isin(wanted)
        return frame if chosen.all() else frame[chosen]

    with_shapes = (kinds == "shape").any()
    return [Side(own, (rows(*own),) + ((rows(*own, "shape"),) if with_shapes and "shape" not in own else ()))
            for own in ORDER if kinds.isin(own).any()]
