"""What came out of all claims together: how many stand and fall, which fall clearest, and the table of the forest plot.

Made of the cells of text.py, so it judges nothing and needs no rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from edgekit.analyze.stats import span

# What a verdict comes to.
COMES_TO = {"reproduced": "stands", "holds on small real models": "stands", "holds on a shape": "stands",
            "holds at scale model": "stands", "not reproduced": "falls", "does not hold on small real models": "falls",
            "does not hold on a shape": "falls", "does not hold at scale model": "falls", "undecided": "open",
            "not testable here": "open", "not comparable": "open", "not yet run": "open", "inconsistent": "contradicts itself",
            "consistent": "agrees with itself"}
ORDER = ("falls", "open", "stands", "contradicts itself", "agrees with itself")  # from top to bottom of the figure
# What such a claim has was seen on another platform, or for a part of it.
WITHOUT_VALUE = ("not testable here", "not comparable", "not yet run")
COLUMNS = ("claim", "name", "platform", "verdict", "source", "quantity", "what", "value", "low", "high", "unit", "accepted",
           "lies", "kind", "edge", "x", "x_low", "x_high", "accepted_low", "accepted_high", "published_low", "published_high",
           "missed", "word", "scale")


def tally(cells: Iterable[Mapping]) -> dict[str, Counter]:
    """How many claims come to what: {outcome: {verdict: count}}, with every outcome."""
    found = {outcome: Counter() for outcome in dict.fromkeys(COMES_TO.values())}
    for cell in cells:
        found[COMES_TO[cell["verdict"]]][cell["verdict"]] += 1
    return found


def table(cells: Iterable[Mapping]) -> pd.DataFrame:
    """A line a test of every claim whose verdict rests on a value: what was measured first, and the clearest misses on top.

    `edge` is the accepted end that lies nearest to our value. Where it is above zero, `x` and its kin are the numbers over it
    (kind "ratio"); where it is zero or below, a ratio means nothing, and they are the numbers less it (kind "difference").
    `missed`: by which factor the whole interval lies outside of what is accepted; empty inside, across, and for differences.
    """
    lines = [_line(cell, line) for cell in cells if cell["verdict"] not in WITHOUT_VALUE for line in cell["parts"][0]["lines"]]
    found = pd.DataFrame(lines, columns=COLUMNS)
    found["rank"] = [ORDER.index(COMES_TO[verdict]) for verdict in found.verdict]
    found["worst"] = found.groupby(["claim", "platform"]).missed.transform("max").fillna(0)
    found["computed"] = found.source == "computed"
    return found.sort_values(["computed", "rank", "worst"], ascending=[True, True, False], kind="stable",
                             ignore_index=True)[list(COLUMNS)]


def clearest(found: pd.DataFrame, count: int = 3) -> pd.DataFrame:
    """Of the claims that fall by what was measured, those whose interval misses what is accepted by the largest factor."""
    falls = found[found.verdict.map(COMES_TO).eq("falls")].dropna(subset="missed")
    return falls.sort_values("missed", ascending=False, kind="stable").drop_duplicates("claim").head(count)


def _line(cell: Mapping, line: Mapping) -> dict:
    seen = {name: math.nan if seen is None else seen for name, seen in line["numbers"].items()}
    ends = [end for end in (seen["least"], seen["most"]) if not math.isnan(end)]
    edge = min(ends, key=lambda end: abs(end - seen["value"]))
    ratio = edge > 0

    def along(value: float) -> float:
        return value / edge if ratio else value - edge

    printed = seen["published"] or [math.nan]
    return {
        "claim": cell["id"], "name": cell["name"], "platform": cell["platform"], "verdict": cell["verdict"],
        "source": "measured" if cell["platform"] else "computed", "quantity": line["quantity"], "what": line["what"],
        "value": seen["value"], "low": seen["low"], "high": seen["high"], "unit": seen["unit"],
        "accepted": span(line["numbers"]["least"], line["numbers"]["most"]),
        "lies": line["lies"], "word": line["word"], "scale": line["scale"],
        "kind": "ratio" if ratio else "difference", "edge": edge, "x": along(seen["value"]), "x_low": along(seen["low"]),
        "x_high": along(seen["high"]), "accepted_low": along(seen["least"]), "accepted_high": along(seen["most"]),
        "published_low": along(min(printed)), "published_high": along(max(printed)),
        "missed": _missed(seen) if ratio else math.nan}


def _missed(seen: Mapping) -> float:
    """By which factor an interval lies outside; infinite where it has the other sign, not a number where it does not."""
    if seen["high"] < seen["least"]:
        return seen["least"] / seen["high"] if seen["high"] > 0 else math.inf
    return seen["low"] / seen["most"] if seen["low"] > seen["most"] else math.nan
