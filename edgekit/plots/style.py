"""How every figure looks, and how it is stored: one place for colours, marks, text sizes and the SVG's bytes."""

from __future__ import annotations

import functools
import html
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from edgekit import store
from edgekit.catalog import engines as catalog
from edgekit.errors import RunFailed
from edgekit.plots import svg
from edgekit.schema import STORED

WIDTH = 6.8  # inches: the text width of a two-column page
RC = {
    "font.family": "DejaVu Sans", "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "0.88", "grid.linewidth": 0.5, "axes.grid.which": "major",
    "lines.linewidth": 1.2, "lines.markersize": 4.5, "hatch.linewidth": 0.6, "figure.facecolor": "white",
    # Letters as outlines: a browser without the font, on a phone say, then shows the same figure.
    "svg.fonttype": "path", "svg.hashsalt": "edgekit", "figure.constrained_layout.use": True,
    "text.hinting": "no_hinting",  # letters are measured as wide as their outlines are, so that none is cut off
}

ENGINES = catalog.ENGINES | catalog.BUILTIN_SPECULATIVE
# Quantization methods: colour and marker.
METHODS = {"rtn": ("0.45", "D"), "awq": ("#0072B2", "o"), "gptq": ("#CC79A7", "s"), "gguf": ("#E69F00", "^"),
           "gguf_imatrix": ("#D55E00", "v")}
# Scores that pruning goes by: colour and marker.
SCORES = {"taylor": ("#0072B2", "o"), "gate": ("#009E73", "s"), "activation": ("#E69F00", "^"), "magnitude": ("#CC79A7", "D"),
          "random": ("0.45", "P")}
# Ways in which a student learns: colour, marker and line.
LEARNINGS = {"none": ("0.45", "p", "-"), "fine-tuning": ("#E69F00", "^", "--"), "logits": ("#0072B2", "o", "-"),
             "logits and texts": ("#56B4E9", "D", "-."), "teacher's texts": ("#CC79A7", "s", ":"),
             "teacher's logits and texts": ("#009E73", "v", (0, (4, 1, 1, 1, 1, 1))), "least squares": ("#8C510A", "P", "-")}
# Techniques of a pipeline, and none: colour, hatch of bars and marker.
TECHNIQUES = {"none": ("0.45", "", "o"), "runtime": ("#0072B2", "", "s"), "bits": ("#E69F00", "///", "^"),
              "pruning": ("#CC79A7", "...", "D"), "draft": ("#009E73", "\\\\\\", "P"),
              "runtime and bits": ("#56B4E9", "xxx", "v")}
# Stages of a pipeline: colour, line and hatch, so that they are told apart in grey too.
STAGES = {"baseline": ("#0072B2", "-", ""), "quantized": ("#E69F00", "--", "///"), "optimized": ("#009E73", "-.", "...")}
DTYPES = {"bfloat16": "-", "float16": "--", "float32": ":", STORED: "-."}
PACKED = (0, (3, 1, 1, 1))  # the line of any other weights: of few bits
FILL = {"measured": "full", "modelled": "none", "replayed": "left"}
ABOVE = {"color": "#D55E00"}  # of what was published and lies above what is possible
PUBLISHED = {"marker": "X", "color": "black", "linestyle": "none", "markersize": 5.5, "markeredgecolor": "white",
             "markeredgewidth": 0.5}


PLAIN = FuncFormatter(lambda value, _: f"{value:g}")  # 0.01 and 1000, not powers of ten

Drawn = tuple[Figure, pd.DataFrame]  # a figure and exactly what it shows


class PlotError(RunFailed):
    """A table cannot be drawn; the message says what it should hold."""


@dataclass(frozen=True)
class Picture:
    """A stored figure: shows itself in a notebook and, as an element that can be linked to, in the rendered report."""

    name: str
    caption: str
    path: Path

    def _repr_html_(self) -> str:
        alt, text = html.escape(self.caption, quote=True), html.escape(self.caption, quote=False)
        return (f'<figure id="fig-{self.name}"><img alt="{alt}" src=\'{svg.address(self.path.read_text())}\' '
                f'style="max-width: 100%; height: auto"/><figcaption>{text}</figcaption></figure>')

    def __repr__(self) -> str:
        return f"Figure {self.name}: {self.caption} ({self.name}.svg, {self.name}.csv)"


def save(fig: Figure, name: str, frame: pd.DataFrame, folder: Path, caption: str) -> Picture:
    """Write `<name>.svg` and the table of what it shows, `<name>.csv`. The same values give the same bytes.

    The caption is also the text for readers who do not see the picture. Raises PlotError for a table without lines.
    """
    if frame.empty:
        raise PlotError(f"figure {name}: there is nothing in its table; leave the figure out and say why")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(RC):
        freeze(fig)
        drawn = io.StringIO()
        fig.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "edgekit"})
    store.write_atomically(folder / f"{name}.svg", svg.compact(drawn.getvalue()))
    store.write_atomically(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.8g", lineterminator="\n"))
    return Picture(name, caption, folder / f"{name}.svg")


def freeze(fig: Figure) -> None:
    """Lay the figure out once, and to round numbers: a second pass, or the solver's own order of sums (it follows the addresses
    of its variables), would move axes by a hair, and the bytes with them."""
    if fig.get_layout_engine() is not None:
        fig.get_layout_engine().execute(fig)
        fig.set_layout_engine("none")
        for ax in fig.axes:
            ax.set_position([round(float(end), 6) for end in ax.get_position(original=True).bounds])


def styled(draw: Callable) -> Callable:
    """Run a drawing function under the kit's settings without touching those of the notebook."""
    @functools.wraps(draw)
    def inside(*arguments, **named):
        with matplotlib.rc_context(RC):
            return draw(*arguments, **named)

    return inside


def engine_style(engine: str, dtype: str) -> tuple[str, str]:
    """Colour and marker of an engine at a precision. Raises PlotError for one that has none yet."""
    if engine not in ENGINES:
        raise PlotError(f"no colour for engine {engine!r}; known: {', '.join(ENGINES)} (edgekit/catalog/engines.py)")
    entry = ENGINES[engine]
    return entry.colour, entry.full if dtype == "float32" else entry.half


def line_of(dtype: str) -> str | tuple:
    """The line of a precision."""
    return DTYPES.get(dtype, PACKED)


def model_label(model: str) -> str:
    """A model's name for an axis: a shape without its prefix, a hub id without its owner."""
    return model.removeprefix("shape:").rsplit("/", 1)[-1]


def require(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table, if it has lines. Raises PlotError."""
    if table.empty:
        raise PlotError(f"{name}: the table has no lines to draw; leave the figure out and say why")
    return table


def series(ax: Axes, lines: pd.DataFrame, x: str, y: str, *, colour: str, marker: str, linestyle: str = "none") -> None:
    """Marks with their intervals (`y_low`, `y_high`; none where empty), filled by how we know."""
    for source, part in lines.groupby("source"):
        errors = np.vstack([part[y] - part[f"{y}_low"], part[f"{y}_high"] - part[y]])
        clip_ends(ax.errorbar(part[x], part[y], errors, color=colour, marker=marker, linestyle=linestyle, elinewidth=0.8,
                              capsize=2, fillstyle=FILL[source], markeredgecolor=colour, clip_on=False, zorder=3))


def clip_ends(marks: ErrorbarContainer) -> None:
    """Let intervals end at the edge of their panel, and marks on the edge be drawn whole."""
    _, caps, bars = marks
    for end in (*caps, *bars):
        end.set_clip_on(True)


def level(ax: Axes, line, column: str, place: float, least: float = -math.inf, **look) -> None:
    """A value of a table's line and its interval, not below `least`, lying along the horizontal axis."""
    value, low, high = (getattr(line, name) for name in (column, f"{column}_low", f"{column}_high"))
    ends = None if pd.isna(low) else [[value - max(low, least)], [high - value]]
    ax.errorbar(value, place, xerr=ends, capsize=2, elinewidth=0.8, linestyle="none", **look)


def key(table: pd.DataFrame, lines: bool = True) -> list[Line2D]:
    """Legend entries for the engines and dtypes of a table."""
    found = sorted(set(zip(table["engine"], table["dtype"], strict=True)))
    looks = [(engine, dtype, *engine_style(engine, dtype)) for engine, dtype in found]
    return [Line2D([], [], color=colour, marker=marker, linestyle=line_of(dtype) if lines else "none",
                   label=f"{engine}, {dtype}") for engine, dtype, colour, marker in looks]


def panels(count: int, columns: int, height: float, **options) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`, each `height` inches high."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    fig = Figure(figsize=(WIDTH if columns > 1 else WIDTH * 0.85, height * rows + 0.5))
    axes = fig.subplots(rows, columns, squeeze=False, **options).ravel()
    for unused in axes[count:]:
        unused.remove()
    return fig, list(axes[:count])


def apart(positions: Iterable[float], gap: float) -> list[float]:
    """The positions, moved as little as needed in order, so that neighbours stand at least `gap` apart."""
    order = np.argsort(list(positions), kind="stable")
    wanted = np.asarray(list(positions), dtype=float)[order]
    groups: list[list[float]] = []           # runs of touching labels, each spread around its own centre
    for position in wanted:
        groups.append([position])
        while len(groups) > 1 and _start(groups[-1], gap) - _end(groups[-2], gap) < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [_start(group, gap) + gap * i for group in groups for i in range(len(group))]
    result = np.empty(len(placed))
    result[order] = placed
    return result.tolist()


def _start(group: list[float], gap: float) -> float:
    return float(np.mean(group)) - gap * (len(group) - 1) / 2


def _end(group: list[float], gap: float) -> float:
    return float(np.mean(group)) + gap * (len(group) - 1) / 2
