"""Tables in, figures out. A figure never reads a file and never measures: it draws the lines of a table it is given.

Filled marks are measured, open ones modelled, crosses published; an engine has one colour and one marker everywhere. Each
drawing function returns the figure and a table of exactly what it shows. What an experiment shows is in its own figures.py.
"""

from edgekit.plots.figure import Figure, Missing, named
from edgekit.plots.style import Picture, PlotError, save

__all__ = ["Figure", "Missing", "Picture", "PlotError", "named", "save"]
