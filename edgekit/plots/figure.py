"""A figure of an experiment: the tables that it shows, how they are drawn, and its caption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edgekit.analyze import doubts, origin
from edgekit.plots import verdict
from edgekit.plots.style import Drawn, Picture, PlotError, save


@dataclass(frozen=True)
class Missing:
    """A figure that these rows cannot fill, where the figure would stand: what they lack, in words."""

    name: str
    needs: str

    def _repr_html_(self) -> str:
        return f'<figure id="fig-{self.name}"><figcaption>No figure here: this run has no {self.needs}.</figcaption></figure>'


@dataclass(frozen=True)
class Figure:
    """One figure, with one message.

    tables: from a study's rows to what is drawn, the arguments of `draw`; a figure is missing where one of them is empty.
    needs: what rows it takes, in words, for where it is missing.
    """

    name: str
    tables: Callable[[pd.DataFrame], tuple]
    draw: Callable[..., Drawn]
    needs: str
    caption: str

    def filled(self, frame: pd.DataFrame) -> tuple | None:
        """What is to be drawn of these rows; None where it is missing."""
        tables = self.tables(frame) if len(frame) else ((),)
        return tables if all(len(table) for table in tables) else None

    def drawn(self, frame: pd.DataFrame) -> Drawn | None:
        """The matplotlib figure, free to be changed, and the table of exactly what it shows; None where it is missing."""
        tables = self.filled(frame)
        return None if tables is None else self.draw(*tables)

    def show(self, frame: pd.DataFrame, folder: Path, claims: Iterable[Mapping] = ()) -> Picture | Missing:
        """Store it in `folder` as SVG and CSV, and return what shows it in a notebook.

        claims: cells (see claims/text.py) of verdicts on the same rows; those that link to this figure stand below its panels.
        """
        drawn = self.drawn(frame)
        if drawn is None:
            return Missing(self.name, self.needs)
        fig = verdict.underline(drawn[0], [cell for cell in claims if cell["figure"].endswith(f"#fig-{self.name}")])
        came = origin.told(frame, _names(drawn[1]))
        told = " ".join(filter(None, (self.caption, came, doubts.told(frame))))
        return save(fig, self.name, drawn[1], folder, told)


def _names(table: pd.DataFrame) -> set[str]:
    """Every text in a table: what it may be drawn of."""
    texts = table.select_dtypes(exclude="number")
    return {value for name in texts for value in texts[name].unique() if isinstance(value, str)}


def named(figures: Iterable[Figure], name: str) -> Figure:
    """One of an experiment's figures. Raises PlotError for an unknown name."""
    known = {figure.name: figure for figure in figures}
    if name not in known:
        raise PlotError(f"no figure {name!r}; known: {', '.join(known)}")
    return known[name]
