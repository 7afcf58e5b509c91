"""The quantities by which claims about the whole pipeline are judged; see observed.Quantity for what one is."""

from __future__ import annotations

from edgekit.analyze.observed import Quantity
from edgekit.studies.pipeline import quantities_matrix

QUANTITIES: dict[str, Quantity] = {**quantities_matrix.QUANTITIES}
