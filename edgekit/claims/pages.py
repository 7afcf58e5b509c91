"""Verdicts as pages: a line a claim for the README, and a page a claim with all that its verdict comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

# What a verdict rests on, and the words of a verdict that say so themselves.
MARKS = {"pocket": "pocket", "shape": "shape", "small": "small real", "real": "real", "printed": "arithmetic"}
SAID = {"pocket": "at scale model", "shape": "on a shape", "small": "on small real models"}


def findings(cells: Iterable[dict], page: str) -> str:
    """A Markdown table: claim, published, ours, verdict, on what, and what models of other kinds say; `page`: where the page of
    `{id}` lies."""
    lines = ["| claim | published | ours (95 % interval) | verdict |", "|---|---|---|---|"]
    for cell in cells:
        texts = (f"[{cell['id']}]({page.format(id=cell['id'])}) {cell['name']}", cell["short"], cell["ours_short"],
                 f"**{cell['verdict']}**" + _on(cell["mark"], cell["verdict"]) + f"; {cell['also']}" * bool(cell["also"]))
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def unmeasured(cells: Mapping[str, Sequence[dict]]) -> str:
    """A Markdown list of the claims that no row judges, a line a verdict."""
    lines = []
    for verdict, told in cells.items():
        names = ", ".join(cell["id"] for cell in told)
        rests = "" if told[0]["platform"] else _on(told[0]["mark"], verdict)
        lines.append(f"- {verdict[0].upper()}{verdict[1:]}{rests}: {names}")
    return "\n".join(lines) + "\n"


def _on(marks: str, verdict: str) -> str:
    """In brackets what a verdict rests on, where its words do not say so."""
    said = not marks or (marks in SAID and verdict.endswith(SAID[marks]))
    return "" if said else f" ({', '.join(MARKS[mark] for mark in marks.split(', '))})"


def derivation(cells: Sequence[dict], links: Callable[[dict, dict], Iterable[str]]) -> str:
    """All of one claim as Markdown: what was published, and a part for each platform and for the arithmetic.

    cells: the claim's from each platform that judged it, or the only one; a part may say which rows it is `of`. links: from a
    part and the claim to the Markdown links that stand below it.
    """
    claim = cells[0]
    parts = [part for cell in cells for part in cell["parts"]]
    unique = [part for number, part in enumerate(parts) if part not in parts[:number]]  # arithmetic is told once
    lines = [f"# {claim['id']}: {claim['name']}", "", claim["statement"], "",
             f"- where: {claim['document']}; {claim['locator']}", f"- printed: {claim['published']}",
             f"- notebook: {claim['study']}", ""]
    for part in unique:
        lines += _part(part, " · ".join(links(part, claim)))
    return "\n".join(lines).rstrip() + "\n"


def _part(part: dict, links: str) -> list[str]:
    without = "To come" if part["verdict"] == "not yet run" else "Not measured"
    on = f", {part['on']}" * bool(part["on"])
    title = f"Measured on {part['platform']}{part.get('of', '')}{on}" if part["platform"] else (
        "By arithmetic on printed numbers" if part["lines"] else without)
    lines = [f"## {title}: {part['verdict']}", ""]
    for line in part["lines"]:
        lines += [f"- **{line['what']}: {line['ours']}**" + f", over {line['samples']}" * bool(line["samples"]),
                  f"  - accepted: {line['accepted']}; this is {line['lies']} it", f"  - on: {line['on']}"]
        lines += [f"  - {line['note']}"] if line["note"] else []
    lines += [f"- {told}" for told in part["told"]]
    return [*lines, "", *([links, ""] if links else [])]
