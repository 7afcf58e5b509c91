"""What an experiment's figures draw from a table of rows."""

from __future__ import annotations

from edgekit.plots import claim


def drawable(figures, frame) -> list[str]:
    """Names of the figures that the rows can fill."""
    return [figure.name for figure in figures if figure.filled(frame) is not None]


def drawn_from(figures, frame) -> dict:
    """{name: (matplotlib figure, table)} of those."""
    found = {figure.name: figure.drawn(frame) for figure in figures}
    return {name: pair for name, pair in found.items() if pair is not None}


def edges(ax, along: str) -> set[float]:
    """Where the edges of what a claim accepts were drawn in a panel, along an axis."""
    dashes = [line for line in ax.lines if line.get_color() == claim.EDGE["color"]]
    return {float(line.get_xydata()[0]["xy".index(along)]) for line in dashes
            if len(set(line.get_xdata() if along == "x" else line.get_ydata())) == 1}
