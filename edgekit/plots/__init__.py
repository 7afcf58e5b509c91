"""Tables in, figures out. A figure never reads a file and never measures: it draws the lines of a table it is given.

Filled marks are measured, open ones modelled, crosses published; an engine has one colour and one marker
everywhere. Each function returns the figure and a table of exactly what it shows, for `save`.
"""

from edgekit.plots.baseline import (
    accuracy_by_depth,
    baseline_7b,
    energy,
    memory,
    shares,
    tpot_vs_context,
    ttft_vs_prompt,
    utilisation,
)
from edgekit.plots.figures import FIGURES, drawable, show
from edgekit.plots.style import Picture, PlotError, save

__all__ = ["FIGURES", "Picture", "PlotError", "accuracy_by_depth", "baseline_7b", "drawable", "energy", "memory",
           "save", "shares", "show", "tpot_vs_context", "ttft_vs_prompt", "utilisation"]
