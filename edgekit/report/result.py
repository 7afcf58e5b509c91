"""What came out, before any table: the numbers, the clearest misses, and every claim that has a value in one figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.analyze.stats import number
from edgekit.claims import forest as outcomes
from edgekit.claims import ledger

# Outcome -> what stands below its number.
WORDS = {"stands": "stand", "falls": "fall", "open": "are open", "contradicts itself": "contradict themselves",
         "agrees with itself": "agree with themselves"}
UNMEASURED = ("contradicts itself", "agrees with itself")


def result(lines: Sequence[Mapping], out: Path) -> dict:
    """Of one table of verdicts, what the front page leads with. Stores the figure as claims.svg and claims.csv in `out`."""
    from edgekit.plots import forest, save

    table = outcomes.table(lines)
    drawn = save(*forest.claims(table)[:1], "claims", table, out, forest.CAPTION)._repr_html_() if len(table) else ""
    cells = {line["id"]: line for line in lines}
    return {
        "decided": ledger.headline(lines),
        "numbers": [_number(outcome, count) for outcome, count in outcomes.tally(lines).items()],
        "misses": [cells[miss.claim] | {"missed": _ours(miss), "sentence": sentence(miss)}
                   for miss in outcomes.clearest(table).itertuples()],
        "figure": drawn, "values": [_value(line, cells[line.claim]) for line in table.itertuples()]}


def sentence(miss) -> str:
    """How far a test (a line of `forest.table`) misses what is accepted."""
    below = miss.value < miss.edge
    near = f"{number(miss.high if below else miss.low)} {miss.unit}".rstrip()
    seen = f"{miss.what[0].upper()}{miss.what[1:]}: " + (
        f"it is {near}" if miss.low == miss.high else f"even the near end of its interval is {near}")
    if math.isinf(miss.missed):
        return f"{seen}, which has the other sign than what is accepted, {miss.accepted}."
    if below:
        return f"{seen}, and the least that is accepted, {miss.edge:g}, is {number(miss.missed)} times as much."
    return f"{seen}, {number(miss.missed)} times the most that is accepted, {miss.edge:g}."


def _number(outcome: str, count: Mapping[str, int]) -> dict:
    told = ", ".join(f"{many} {verdict}" for verdict, many in count.items()) if len(count) > 1 else ""
    return {"count": sum(count.values()), "words": WORDS[outcome],
            "told": "by arithmetic on what they print" if outcome in UNMEASURED else told}


def _value(line, cell: Mapping) -> dict:
    return {"id": line.claim, "what": line.what, "ours": _ours(line), "accepted": line.accepted, "verdict": line.verdict,
            "kind": cell["kind"]}


def _ours(line) -> str:
    ends = "" if math.isnan(line.low) or line.low == line.high else f" ({number(line.low)} to {number(line.high)})"
    return f"{number(line.value)} {line.unit}".rstrip() + ends
