"""What a figure says about the claims that link to it: a strip a claim below the panels, so that the picture alone tells it.

A strip has the claim in words, the verdict, and for each test an axis with what is accepted as a band, what was printed as a
cross, and ours as a dot with its interval, in the colour of this test's own outcome. Where a panel has the band of a test too,
a triangle at its edge marks ours there.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.ticker import EngFormatter

from edgekit.analyze.stats import number, span, told
from edgekit.plots import claim, style

# Verdict: colour and marker, here and in the figure of all claims.
# Green or bluish stands, red or orange falls; the second where it rests on less than models of the documents' size.
LESS, LESS_FALLS = "#0F6273", "#B35900"
LOOKS = {"reproduced": ("#12693A", "o"), "holds on small real models": (LESS, "P"), "holds on a shape": (LESS, "p"),
         "holds at scale model": (LESS, "^"), "undecided": ("#6B5A00", "D"), "not reproduced": ("#A11D24", "s"),
         "does not hold on small real models": (LESS_FALLS, "*"), "does not hold on a shape": (LESS_FALLS, "d"),
         "does not hold at scale model": (LESS_FALLS, "v"), "inconsistent": ("#63309A", "s"), "consistent": ("0.35", "o"),
         "not testable here": ("0.35", "o"), "not comparable": ("0.35", "o"), "not yet run": ("0.35", "o")}
NOT_JUDGED = ("not testable here", "not comparable", "not yet run")
# How a test of a measured claim lies to what is accepted: the verdict that it alone would give
ALONE = {"inside": "holds at scale model", "outside": "does not hold at scale model", "across": "undecided"}
ALONE_REAL = ALONE | {"inside": "reproduced", "outside": "not reproduced"}
COMPUTED = {"inside": "consistent", "across": "consistent", "outside": "inconsistent"}
TITLE, LINE, AXIS, TEST = 0.20, 0.14, 0.15, 0.46  # inches: a verdict's line, one of its words, an axis, and all of a test
LEFT, GAP = 0.12, 0.15  # inches beside the words, and above a strip
ASIDE = 0.45  # of half an axis's height: what was printed stands above ours, which it would hide
LETTERS, BOLD, SMALL = 17, 13, 20  # letters of a claim's words, of its name and of the last line, in an inch
LARGE = 1e5  # from here on an axis tells thousands and millions by their letters
FOOT = 0.14  # a line of what says how strips are read
HEADS = {"y": "<", "x": "v"}  # of the triangle at a panel's right or upper edge, by the axis of the test
MANY = 3  # claims of one figure that have axes of their own; of more, a line each tells the outcome beside the panels


def underline(fig: Figure, cells: Sequence[Mapping]) -> Figure:
    """`fig`, taller by a strip for each of the claims (cells of edgekit.claims.text); as it is without any."""
    with matplotlib.rc_context(style.RC):
        many = len(cells) > MANY
        inches = fig.get_size_inches()[0] - 2 * LEFT
        words = [_in_one_line(cell) if many else _words(cell, inches) for cell in cells]
        heights = [GAP + TITLE * len(_titles(cell, fig)) + LINE * len(lines) + TEST * len(_lines(cell)) * (not many)
                   for cell, lines in zip(cells, words, strict=True)]
        marked = sum(_judged(ax, cell) for ax in fig.axes for cell in cells)
        foot = textwrap.wrap(_foot([] if many else cells, marked=marked > 0), int(SMALL * inches))
        _make_room(fig, sum(heights) + FOOT * len(foot))
        for place, (cell, lines) in enumerate(zip(cells, words, strict=True)):
            _strip(fig, cell, lines, sum(heights[place:]) + FOOT * len(foot), axes=not many)
        if foot:
            width, height = fig.get_size_inches()
            fig.text(LEFT / width, 0.05 / height, "\n".join(foot), va="bottom", fontsize=6.5, color="0.35")
    return fig


def _titles(cell: Mapping, fig: Figure) -> list[list[str]]:
    """A claim's name and its verdict, in one line where both have room in it."""
    told = [f"{cell['id']}: {cell['name']}", cell["verdict"]]
    return [told] if len(" ".join(told)) < BOLD * (fig.get_size_inches()[0] - 2 * LEFT) else [[told[0], ""], ["", told[1]]]


def _judged(ax: Axes, cell: Mapping) -> int:
    """Mark ours at the edge of a panel that has the band of one of the claim's tests; how many there were."""
    lines = {line["quantity"]: line for line in _lines(cell)}
    marked = 0
    for name, quantity, along, factor, models in claim.judged_in(ax):
        if name != cell["id"] or quantity not in lines or (models and not models & set(lines[quantity]["models"])):
            continue
        low, high = sorted(ax.get_xlim() if along == "x" else ax.get_ylim())
        at = factor * lines[quantity]["numbers"]["value"]
        if not low <= at <= high:
            continue
        place, transform = ((at, 1.0), ax.get_xaxis_transform()) if along == "x" else ((1.0, at), ax.get_yaxis_transform())
        ax.plot(*place, transform=transform, marker=HEADS[along], markersize=6, color=_colour(cell, lines[quantity]),
                markeredgecolor="white", markeredgewidth=0.6, clip_on=False, zorder=6, gid="judged", scalex=False, scaley=False)
        marked += 1
    return marked


def _foot(cells: Sequence[Mapping], *, marked: bool) -> str:
    """How strips with axes, and triangles, are read; nothing where there is none."""
    told = {True: "its 95 % interval", False: "the range of its readings"}
    kinds = sorted({cell["platform"] != "" for cell in cells if _lines(cell)}, reverse=True)
    parts = [f"Dots: ours with {' or '.join(told[kind] for kind in kinds)}; green: accepted; cross: published"] if kinds else []
    parts += ["consistent: some reading is accepted"] if any(cell["verdict"] == "consistent" for cell in cells) else []
    return "; ".join(parts + ["triangle at a panel's edge: ours"] * marked)


def _make_room(fig: Figure, extra: float) -> None:
    """Add `extra` inches below everything."""
    if not extra:
        return
    style.freeze(fig)
    width, height = fig.get_size_inches()
    fig.set_size_inches(width, height + extra)
    scale = height / (height + extra)
    places = [ax.get_position(original=True).bounds for ax in fig.axes]  # all before any: twins move together
    for ax, (x, y, w, h) in zip(fig.axes, places, strict=True):
        ax.set_position([x, 1 - (1 - y) * scale, w, h * scale])
    for text in fig.texts:
        x, y = text.get_position()
        text.set_position((x, 1 - (1 - y) * scale))


def _words(cell: Mapping, width: float) -> list[str]:
    more = [f"Needs {cell['needs']}."] if cell["verdict"] in NOT_JUDGED or not _lines(cell) else []
    more += [_others(cell)] if cell["also"] else []
    return [line for text in (cell["statement"], *more) for line in textwrap.wrap(text, int(LETTERS * width))]


def _others(cell: Mapping) -> str:
    return f"On other models: {cell['also']}."


def _in_one_line(cell: Mapping) -> list[str]:
    """What is accepted and ours, for a figure whose panels show both."""
    told = [f"{line['what']}: {_ours(line['numbers'])}, accepted: {_accepted(line['numbers'])}" for line in _lines(cell)]
    return told + ([_others(cell)] if cell["also"] else [])


def _ours(numbers: Mapping) -> str:
    return told(numbers["value"], numbers["low"], numbers["high"], numbers["unit"])


def _accepted(numbers: Mapping) -> str:
    return f"{span(numbers['least'], numbers['most'])} {numbers['unit']}".rstrip()


def colour_of(verdict: str, word: str, scale: str, *, measured: bool) -> str:
    """Of one test: by how ours lies to what is accepted (`word`), whatever the claim's other tests say."""
    if verdict in NOT_JUDGED:
        return LOOKS[verdict][0]
    words = COMPUTED if not measured else ALONE_REAL if scale == "real" else ALONE
    return LOOKS[words[word]][0]


def _colour(cell: Mapping, line: Mapping) -> str:
    return colour_of(cell["verdict"], line["word"], line["scale"], measured=cell["platform"] != "")


def _lines(cell: Mapping) -> list[Mapping]:
    return cell["parts"][0]["lines"]


def _strip(fig: Figure, cell: Mapping, words: Sequence[str], top: float, *, axes: bool) -> None:
    """The strip of one claim, `top` inches above the lower edge."""
    width, height = fig.get_size_inches()
    colour, _ = LOOKS[cell["verdict"]]
    top -= GAP

    def write(x: float, y: float, text: str, **look) -> None:
        fig.text(x / width, y / height, text, va="top", **look)

    fig.add_artist(matplotlib.lines.Line2D([LEFT / width, 1 - LEFT / width], [(top + 0.06) / height] * 2, color="0.75",
                                           linewidth=0.6))
    for name, word in _titles(cell, fig):
        write(LEFT, top, name, fontsize=8, fontweight="bold")
        write(width - LEFT, top, word, fontsize=8, fontweight="bold", color=colour, ha="right")
        top -= TITLE
    for line in words:
        write(LEFT, top, line, fontsize=7.5, color="0.25")
        top -= LINE
    for line in _lines(cell) if axes else ():
        numbers = line["numbers"]
        printed = ", ".join(number(value) for value in numbers["published"])
        text = f"{line['what']}: {_ours(numbers)}" + f"; published: {printed}" * bool(printed)
        write(LEFT, top - 0.09, "\n".join(textwrap.wrap(text, 52)), fontsize=7.5)
        ax = fig.add_axes((3.05 / width, (top - 0.13 - AXIS) / height, (width - 3.3) / width, AXIS / height), label="verdict")
        _axis(ax, numbers, _colour(cell, line))
        top -= TEST


def _axis(ax: Axes, numbers: Mapping, colour: str) -> None:
    """Accepted range, printed values and ours; an arrow where the interval goes on beyond the axis."""
    left, right = _span(numbers)
    ax.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", labelsize=7, pad=1, length=2)
    if max(abs(left), abs(right)) > LARGE:
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.grid(visible=False)
    ends = [end for end in (numbers["least"], numbers["most"]) if end is not None]
    low = left if numbers["least"] is None else numbers["least"]
    high = right if numbers["most"] is None else numbers["most"]
    ax.axvspan(low, high, **claim.BAND)
    for end in ends:
        ax.axvline(end, **claim.EDGE)
    room = 0.3 * (right - left)  # for the words: they begin at the band's edge, or end at the panel's
    if low > left:
        place, side = (low, "left") if low < right - room else (right, "right")
    else:
        place, side = (high, "right") if high > left + room else (left, "left")
    ax.annotate(f"accepted: {_accepted(numbers)}", (place, 1), xytext=(2 if side == "left" else -2, 1),
                textcoords="offset points", ha=side, va="bottom", fontsize=6.5, color=claim.EDGE["color"])
    ax.plot(numbers["published"], [ASIDE] * len(numbers["published"]), **style.PUBLISHED, zorder=5, clip_on=False)
    level = -ASIDE if numbers["published"] else 0.0
    ours_low, ours_high = (numbers["value"] if numbers[end] is None else numbers[end] for end in ("low", "high"))
    look = dict(color=colour, markeredgecolor=colour, clip_on=False, zorder=4)
    ax.plot(np.clip([ours_low, ours_high], left, right), [level, level], linewidth=1.4, **look)
    for beyond, end, head in ((ours_low < left, left, CARETLEFT), (ours_high > right, right, CARETRIGHT)):
        if beyond:
            ax.plot(end, level, marker=head, markersize=5, **look)
    ax.plot(numbers["value"], level, marker="o", markersize=5, **look)


def _span(numbers: Mapping) -> tuple[float, float]:
    """An axis over the points and the ends of what is accepted, and over the interval as far as it goes no further than three
    times their distance, or a quarter of the largest where they lie close together."""
    points = [numbers["value"], *numbers["published"], *(end for end in (numbers["least"], numbers["most"]) if end is not None)]
    left, right = min(points), max(points)
    room = max(3 * (right - left), max(map(abs, points)) / 4) or 1.0
    for end in (numbers["low"], numbers["high"]):
        if end is not None:
            left, right = min(left, max(end, left - room)), max(right, min(end, right + room))
    room = 0.12 * ((right - left) or abs(right) or 1.0)
    return left - room, right + room
