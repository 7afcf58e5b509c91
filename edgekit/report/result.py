"""What came out, before any table: the numbers, the clearest misses, and every claim that has a value in one figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.analyze.stats import number
from edgekit.claims import forest as outcomes

# Outcome -> what stands below its number.
WORDS = {"stands": "stand", "falls": "fall", "open": "are open", "contradicts itself": "contradict themselves",
         "agrees with itself": "agree with themselves, and nothing was measured for them"}


def result(lines: Sequence[Mapping], out: Path) -> dict:
    """Of one table of verdicts, what the front page leads with. Stores the figure as claims.svg and claims.csv in `out`."""
    from edgekit.plots import forest, save

    table = outcomes.table(lines)
    drawn = save(*forest.claims(table)[:1], "claims", table, out, forest.CAPTION)._repr_html_() if len(table) else ""
    cells = {line["id"]: line for line in lines}
    return {
        "total": len(lines), "numbers": [_number(outcome, count) for outcome, count in outcomes.tally(lines).items()],
        "misses": [cells[miss.claim] | {"sentence": sentence(miss)} for miss in outcomes.clearest(table).itertuples()],
        "figure": drawn, "values": [_value(line, cells[line.claim]) for line in table.itertuples()]}


def sentence(miss) -> str:
    """How far a test (a line of `forest.table`) misses what is accepted."""
    below = miss.value < miss.edge
    near = miss.high if below else miss.low
    ends = miss.low != miss.high
    seen = ("even the near end of its interval, " if ends else "") + f"{number(near)} {miss.unit}".rstrip() + "," * ends
    far = "has the other sign than" if math.isinf(miss.missed) else (
        f"is {number(miss.missed)} times {'less' if below else 'more'} than")
    return f"{miss.what[0].upper()}{miss.what[1:]}: {seen} {far} what is accepted, {miss.accepted}."


def _number(outcome: str, count: Mapping[str, int]) -> dict:
    several = [f"{many} {verdict}" for verdict, many in count.items()]
    return {"count": sum(count.values()), "words": WORDS[outcome], "verdicts": ", ".join(several) * (len(several) > 1)}


def _value(line, cell: Mapping) -> dict:
    ends = "" if math.isnan(line.low) or line.low == line.high else f" ({number(line.low)} to {number(line.high)})"
    return {"id": line.claim, "what": line.what, "ours": f"{number(line.value)} {line.unit}".rstrip() + ends,
            "accepted": line.accepted, "verdict": line.verdict, "kind": cell["kind"]}
