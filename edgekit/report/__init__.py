"""From notebooks to a site that a reviewer can open from a folder: execute (papermill), render (nbconvert), index."""

from edgekit.report import closing
from edgekit.report.index import ReportError, cells_here, render
from edgekit.report.run import Outcome, exit_code, run_notebooks

__all__ = ["closing", "Outcome", "ReportError", "cells_here", "exit_code", "render", "run_notebooks"]
