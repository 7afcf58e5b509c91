"""Verdicts as texts: for the tables of notebooks, README and report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.analyze.claims import Verdict
    from edgekit.analyze.claims_file import Claim


def cells(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """One dictionary of texts a verdict, for tables: `figure` is the link to the figure in the rendered report, `audit` is yes
    for a claim that has arithmetic on printed numbers."""
    return [{
        "id": verdict.claim.id, "document": verdict.claim.title, "locator": verdict.claim.locator,
        "statement": verdict.claim.statement, "published": _printed(verdict.claim),
        "ours": "; ".join(f"{seen.estimate.what}: {seen.estimate}" for seen in verdict.seen) or "none",
        "where": "; ".join(dict.fromkeys(seen.where for seen in verdict.seen)), "platform": verdict.platform,
        "verdict": verdict.verdict, "reason": verdict.reason, "study": verdict.claim.study,
        "audit": "yes" if verdict.claim.audit else "", "tests": "yes" if verdict.claim.tests else "", "figure": verdict.figure,
    } for verdict in verdicts]


def markdown_table(table: list[dict[str, str]]) -> str:
    """`cells` as a Markdown table: claim, published, ours (or computed), verdict and why."""
    ours = "ours (95 % interval)" if any(cell["platform"] for cell in table) else "computed (range of its readings)"
    lines = [f"| claim | published | {ours} | verdict | why |", "|---|---|---|---|---|"]
    for cell in table:
        texts = (f"{cell['id']} {cell['statement']}", cell["published"], cell["ours"],
                 f"**{cell['verdict']}**" + f" on {cell['platform']}" * bool(cell["platform"]), cell["reason"])
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |")
    return "\n".join(lines) + "\n"


def _printed(claim: Claim) -> str:
    """The document's numbers in one line: its own words where they are given, else value and label."""
    def one(entry: Mapping) -> str:
        if "text" in entry:
            return entry["text"]
        value = f"{entry['value']:g}" if "value" in entry else f"{entry['low']:g} to {entry['high']:g}"
        return f"{value}{' ' if entry['unit'] else ''}{entry['unit']} ({entry['label']})"

    return "; ".join(map(one, claim.published)) or "no number"
