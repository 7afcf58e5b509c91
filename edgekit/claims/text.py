"""Verdicts as texts: for the tables of notebooks, README and report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.analyze.observed import Observation
    from edgekit.analyze.origin import Origin
    from edgekit.claims.file import Claim
    from edgekit.claims.judgement import Outcome, Verdict

# What a verdict is to be read with, by the names that stand in it.
CAVEATS = {
    "scale time": "A scale model is smaller, so overhead and caches count for more than in the document's models",
    "scale quality": "A scale model is smaller and knows a generated language only, so a method may change more or less of the "
                     "document's models",
    "scale size": "Embeddings, scales and heads are other shares of a scale model than of the document's models",
    "shape": "Random weights cost what those of the published model would, and say nothing of quality",
    "small": "Small real models are smaller than the document's, and their weights came rounded{came}",
    "board": "The board was not as it should be, which was accepted: {accepted}",
    "throttled": "Repeats in which the device held itself back are left out",
    "several artifacts": "Not one artifact is judged: {claim.several_artifacts}",
}
NAMING = ("does not hold", "holds")  # how a verdict begins that says itself what it was measured on
# What the others were measured on, by their scale: a few words for headings.
MODELS = {"pocket": "pocket models", "shape": "shapes", "small": "small real models", "real": "real models"}
MEASURED = {"inside": "wholly inside of", "outside": "wholly outside of", "across": "not decided against"}
COMPUTED = {"inside": "wholly inside of", "outside": "in no reading inside of", "across": "in some readings inside of"}


def cells(verdicts: Iterable[Verdict]) -> list[dict]:
    """One dictionary of texts a verdict, for tables and pages: `figure` is the link to the figure in the rendered report,
    `audit` is yes for a claim that has arithmetic on printed numbers; `short` and `ours_short` are published and ours in a
    few words, `mark` is on what kind of models it was judged, `also` is what the same rows say on models of other kinds,
    `quantities` are what it is judged by; `parts` are all verdicts with their outcomes, the one of `verdict` first."""
    return [{
        "id": verdict.claim.id, "name": verdict.claim.name, "document": verdict.claim.title, "locator": verdict.claim.locator,
        "statement": verdict.claim.statement, "published": _printed(verdict.claim), "short": _short(verdict.claim),
        "ours": "; ".join(f"{seen.estimate.what}: {seen.estimate}" for seen in verdict.seen) or "none",
        "ours_short": "; ".join(seen.estimate.short for seen in verdict.seen) or "none",
        "where": "; ".join(dict.fromkeys(seen.where for seen in verdict.seen)), "platform": verdict.platform,
        "mark": ", ".join(dict.fromkeys(seen.scale for seen in verdict.seen)),
        "verdict": verdict.verdict, "also": _beside(verdict.others), "reason": reason(verdict), "study": verdict.claim.study,
        "needs": verdict.claim.needs,
        "audit": "yes" if verdict.claim.audit else "", "tests": "yes" if verdict.claim.tests else "", "figure": verdict.figure,
        "quantities": _quantities(verdict.claim),
        "parts": _parts(verdict),
    } for verdict in verdicts]


def markdown_table(table: list[dict]) -> str:
    """`cells` as Markdown: a short line a claim (published, ours or computed, verdict), and below the reasons, an item each."""
    ours = "ours (95 % interval)" if any(cell["platform"] for cell in table) else "computed (range of its readings)"
    lines = [f"| claim | published | {ours} | verdict |", "|---|---|---|---|"]
    for cell in table:
        texts = (f"{cell['id']} {cell['name']}", cell["short"], cell["ours_short"],
                 f"**{cell['verdict']}**" + f"; {cell['also']}" * bool(cell["also"]))
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |")
    lines.append("")
    for cell in table:
        on = f" on {cell['platform']}" if cell["platform"] else ""
        lines.append(f"- **{cell['id']}, {cell['verdict']}{on}.** {cell['statement']} {cell['reason']}".replace("\n", " "))
    return "\n".join(lines) + "\n"


def reason(verdict: Verdict) -> str:
    """Why: what was seen against what is accepted, what was missing, and what to read it with."""
    claim = verdict.claim
    if not verdict.platform and claim.audit and verdict.verdict in ("consistent", "inconsistent"):
        told = [_computed(outcome) for outcome in verdict.outcomes]
        told += [claim.audit.remark, _to_come(claim) if claim.planned else ""]
    elif verdict.verdict == "not yet run":
        told = [_to_come(claim)]
    else:
        absent = f"not measured in this run: {'; '.join(verdict.missing)}" if verdict.missing else ""
        if verdict.elsewhere:
            here = f"these rows are from {verdict.platform}" if verdict.platform else "no row was measured yet"
            told = [f"needs {claim.needs}; {here}", *map(_orientation, verdict.seen), absent]
        elif verdict.verdict == "not comparable":
            told = [f"not judged: {'; '.join(verdict.missing)}"]
        elif verdict.verdict == "not testable here":
            told = [absent, f"Needs {claim.needs}", *map(_measured, verdict.outcomes)]
        else:
            told = [absent, *map(_measured, verdict.outcomes)]
        told += _caveats(verdict)
    sentences = " ".join(text[0].upper() + text[1:] + "." for text in told if text)
    more = [f" {one.verdict.capitalize()}: {reason(one)}" for one in (*verdict.others, verdict.beside) if one]
    return sentences + "".join(more)


def _beside(others: Iterable[Verdict]) -> str:
    """What models of other kinds say, in a few words: "pocket: holds"."""
    return "; ".join(dict.fromkeys(f"{one.scale}: {in_short(one.verdict)}" for one in others))


def in_short(verdict: str) -> str:
    """A verdict without what it was measured on."""
    return next(filter(verdict.startswith, NAMING), verdict)


def _caveats(verdict: Verdict) -> list[str]:
    told = dict(claim=verdict.claim, came=_came(verdict.origins), accepted="; ".join(verdict.accepted))
    return [CAVEATS[name].format(**told) for name in verdict.caveats]


def _came(origins: Iterable[Origin]) -> str:
    """Bits and formats that small models came with, as far as rows say."""
    told = [", ".join((f"{one.model}: {' or '.join(f'{bits:.3g}' for bits in one.bits)} bits a weight", *one.stored_as))
            for one in origins if one.bits]
    return f" ({'; '.join(told)})" if told else ""


def _parts(verdict: Verdict) -> list[dict]:
    """A verdict, those on models of other kinds, and the one beside it."""
    parts = [_part(one, MODELS[one.scale] if verdict.others and not one.verdict.startswith(NAMING) else "")
             for one in (verdict, *verdict.others)]
    return parts + (_parts(verdict.beside) if verdict.beside else [])


def _part(verdict: Verdict, on: str) -> dict:
    """One verdict with its outcomes, a line each, and what else is to be read with it. on: what tells it from those on models
    of other kinds."""
    lies = MEASURED if verdict.platform else COMPUTED
    lines = [{
        "quantity": outcome.wanted.quantity, "artifact": outcome.seen.artifact, "scale": outcome.seen.scale,
        "models": list(outcome.seen.models),
        "what": outcome.seen.estimate.what, "ours": str(outcome.seen.estimate), "samples": outcome.seen.samples,
        "accepted": outcome.wanted.wanted, "word": outcome.word, "lies": lies[outcome.word],
        "on": outcome.seen.where, "note": outcome.seen.note, "numbers": _numbers(outcome, verdict.claim)}
        for outcome in verdict.outcomes]
    claim, absent = verdict.claim, "Not judged" if verdict.verdict == "not comparable" else "Not measured in this run"
    told = [f"{absent}: {one}" for one in verdict.missing]
    if verdict.verdict == "not yet run":
        told.append(_to_come(claim)[0].upper() + _to_come(claim)[1:])
    elif verdict.verdict == "not testable here":
        told.append(f"Needs {claim.needs}")
    if verdict.elsewhere and lines:
        told.append("For orientation only, since this is not the platform that the claim is about")
    told += _caveats(verdict)
    if not verdict.platform and claim.audit and claim.audit.remark:
        told.append(claim.audit.remark)
    return {"verdict": verdict.verdict, "platform": verdict.platform, "on": on, "figure": verdict.figure, "lines": lines,
            "told": told, "caveats": list(verdict.caveats)}


def _numbers(outcome: Outcome, claim: Claim) -> dict:
    """What an outcome's figure draws, in the quantity's unit: ours with its interval, the least and the most that is accepted
    (None for an open end), and the printed values that the test is about."""
    seen, (least, most) = outcome.seen.estimate, outcome.wanted.accepted
    printed = [entry[end] for entry in claim.published if entry["quantity"] == outcome.wanted.published
               for end in ("value", "low", "high") if end in entry]
    return {"value": seen.value, "low": seen.low, "high": seen.high, "unit": seen.unit,
            "least": least if math.isfinite(least) else None, "most": most if math.isfinite(most) else None,
            "published": printed}


def _quantities(claim: Claim) -> list[str]:
    """Names of what the tests and the checks of a claim ask for."""
    checks = claim.audit.checks if claim.audit else ()
    return list(dict.fromkeys(test.quantity for test in (*claim.tests, *checks)))


def _short(claim: Claim) -> str:
    """What the document prints, in a few words: the least and the most of each quantity."""
    found: dict[tuple[str, str], list[float]] = {}
    for entry in claim.published:
        ends = [entry[end] for end in ("value", "low", "high") if end in entry]
        found.setdefault((entry["quantity"], entry["unit"]), []).extend(ends)
    spans = [" to ".join(dict.fromkeys(f"{end:,.0f}" if end >= 1e5 else f"{end:g}" for end in (min(ends), max(ends))))
             + f" {unit}" * bool(unit) for (_, unit), ends in found.items()]
    return "; ".join(spans) or "no number"


def _to_come(claim: Claim) -> str:
    where = (f"to be measured in {claim.study} ({claim.planned})" if claim.planned
             else f"there are no rows of {claim.study}; edgekit run {claim.study} measures them")
    return f"{where}; needs {claim.needs}"


def _computed(outcome: Outcome) -> str:
    reading = outcome.seen
    return (f"{reading.estimate.what} is {reading.estimate}, {COMPUTED[outcome.word]} what is accepted: "
            f"{outcome.wanted.wanted}. Computed from {reading.where}{_also(reading)}")


def _measured(outcome: Outcome) -> str:
    seen, more = outcome.seen, ""
    if outcome.word == "across":
        more = (f"; it takes at least two {seen.samples} to have an interval" if seen.estimate.low is None
                else f"; more {seen.samples} would narrow the interval")
    return (f"{seen.estimate.what} is {seen.estimate}, {MEASURED[outcome.word]} what is accepted: "
            f"{outcome.wanted.wanted}{more}. Measured on {seen.where}{_also(seen)}")


def _orientation(seen: Observation) -> str:
    return f"For orientation, here {seen.where}: {seen.estimate.what} {seen.estimate}{_also(seen)}"


def _also(seen: Observation) -> str:
    return f"; {seen.note}" if seen.note else ""


def _printed(claim: Claim) -> str:
    """The document's numbers in one line: its own words where they are given, else value and label."""
    def one(entry: Mapping) -> str:
        if "text" in entry:
            return entry["text"]
        value = f"{entry['value']:g}" if "value" in entry else f"{entry['low']:g} to {entry['high']:g}"
        return f"{value}{' ' if entry['unit'] else ''}{entry['unit']} ({entry['label']})"

    return "; ".join(map(one, claim.published)) or "no number"
