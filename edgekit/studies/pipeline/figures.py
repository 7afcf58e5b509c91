"""The figures of 07_pipeline."""

from __future__ import annotations

from edgekit.plots.figure import Figure

FIGURES: tuple[Figure, ...] = ()
