"""What the drawings of the routing study share: looks of policies, names of sets, panels."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from edgekit.catalog import recorded_answers
from edgekit.plots import style
from edgekit.schema import CONFIDENT, TEXT
from edgekit.studies.routing import tables

# Policies: colour, marker and line, so that they are told apart in grey too.
LOOKS = {tables.LENGTH: ("#E69F00", "^", (0, (1, 1))), TEXT: ("#0072B2", "o", "-"), tables.CONFIDENCE: ("#CC79A7", "s", "-."),
         CONFIDENT: ("#D55E00", "D", (0, (4, 1.5))), tables.ORACLE: ("0.2", "*", "-"), tables.RANDOM: ("0.45", "p", "--")}
TITLES = {tables.RECORDED: "recorded here", "routellm-gsm8k": "GSM8K, published",
          "routellm-mmlu": "MMLU, published"}
NAMES = {recorded_answers.WEAK: "Mixtral 8x7B", recorded_answers.STRONG: "GPT-4"}
WORDS = {tables.CONFIDENCE: "confidence alone (cascade)", tables.LENGTH: "length alone", TEXT: "text",
         CONFIDENT: "text and confidence (cascade)", tables.RANDOM: "random", tables.ORACLE: "oracle"}
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g}")


def entitle(ax: Axes, line) -> None:
    """Whose answers a panel shows, above it."""
    device, cloud = (NAMES.get(name, style.model_label(name)) for name in (line.model, line.cloud))
    ax.set_title(f"{TITLES.get(line.set, line.set)}\ndevice: {device}\ncloud: {cloud}", fontsize=7.5)


def key(fig: Figure, policies: Iterable[str], *more, lines: bool = True) -> None:
    """Legend entries of policies above the panels."""
    there = set(policies)
    handles = [Line2D([], [], color=colour, marker="" if lines else marker, linestyle=dashes if lines else "none",
                      label=WORDS[name]) for name, (colour, marker, dashes) in LOOKS.items() if name in there]
    fig.legend(handles=[*handles, *more], loc="outside upper center", ncols=3)
