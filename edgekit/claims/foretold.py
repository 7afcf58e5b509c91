"""The wind tunnel judged by the flight: where both the kit's own models and real ones were measured, did the first foretell the
second?

Made of the cells of text.py, so it judges nothing and needs no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from edgekit.claims.text import MEASURED

TUNNEL, FLIGHT = ("pocket", "shape"), ("small", "real")
YES, NO, OPEN = "foretold", "not foretold", "open"
ALIKE, APART = "alike", "apart"
COLUMNS = ("claim", "name", "what", "tunnel", "on_tunnel", "flight", "on_flight", "accepted", "word", "size")


def table(cells: Iterable[Mapping]) -> pd.DataFrame:
    """A line a quantity of a claim that was measured on both: the tunnel's number (`tunnel`, on pocket models or shapes) and
    the flight's (`flight`, on real models), with the platforms, what is accepted, and a word.

    Foretold: both intervals lie wholly inside of what is accepted, or both wholly outside. Not foretold: one lies inside and
    the other outside. Open: one of them lies across, so it could be either. The verdict can be foretold and the size not, up to
    a gain that becomes a loss: `size` is alike where the two intervals meet, apart where they do not, empty without them.
    """
    lines = []
    for claim, both in _by_quantity(cells).items():
        for tunnel, flight in ((tunnel, flight) for tunnel in both[TUNNEL] for flight in both[FLIGHT]):
            id, name, _ = claim
            lines.append(dict(
                claim=id, name=name, what=flight["what"], tunnel=tunnel["ours"], on_tunnel=_on(tunnel), flight=flight["ours"],
                on_flight=_on(flight), accepted=flight["accepted"], word=_word(tunnel["lies"], flight["lies"]),
                size=_size(tunnel["numbers"], flight["numbers"])))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def told(found: pd.DataFrame) -> str:
    """How often, in one sentence."""
    if found.empty:
        return "Nothing was measured on both yet."
    count = found.word.value_counts()
    apart = found[found["size"] == APART]
    return (f"Of {len(found)} quantities of {found.claim.nunique()} claims that were measured on both, "
            + ", ".join(f"{count.get(word, 0)} {words}" for word, words in (
                (YES, "came out as the scale models and shapes had foretold"), (NO, "came out the other way"),
                (OPEN, "are open, since an interval lies across the edge of what is accepted")))
            + f". In size {len(apart)} lie apart" + f" ({', '.join(dict.fromkeys(apart.claim))})" * bool(len(apart)) + ".")


def _by_quantity(cells: Iterable[Mapping]) -> dict[tuple, dict[tuple, list[dict]]]:
    """The lines of each claim's quantity that were measured in the tunnel and in flight, each once."""
    found: dict[tuple, dict[tuple, list[dict]]] = {}
    for cell in cells:
        for part in (part for part in cell["parts"] if part["platform"]):
            for line in part["lines"]:
                at = found.setdefault((cell["id"], cell["name"], line["quantity"]), {TUNNEL: [], FLIGHT: []})
                side = TUNNEL if line["scale"] in TUNNEL else FLIGHT
                one = {**line, "platform": part["platform"]}
                at[side] += [] if one in at[side] else [one]
    return found


def _on(line: Mapping) -> str:
    return f"{line['scale']}, {line['platform']}"


def _word(tunnel: str, flight: str) -> str:
    if MEASURED["across"] in (tunnel, flight):
        return OPEN
    return YES if tunnel == flight else NO


def _size(tunnel: Mapping, flight: Mapping) -> str:
    ends = [one[end] for one in (tunnel, flight) for end in ("low", "high")]
    if None in ends:
        return ""
    return ALIKE if tunnel["low"] <= flight["high"] and flight["low"] <= tunnel["high"] else APART
