"""What an experiment's figures draw from a table of rows."""

from __future__ import annotations


def drawable(figures, frame) -> list[str]:
    """Names of the figures that the rows can fill."""
    return [figure.name for figure in figures if figure.filled(frame) is not None]


def drawn_from(figures, frame) -> dict:
    """{name: (matplotlib figure, table)} of those."""
    found = {figure.name: figure.drawn(frame) for figure in figures}
    return {name: pair for name, pair in found.items() if pair is not None}
