"""Verdicts as pages: a line a claim for the README, and a page a claim with all that its verdict comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

MARKS = {"pocket": "pocket", "shape": "shape", "real": "real", "printed": "arithmetic"}  # what a verdict rests on


def findings(cells: Iterable[dict], page: str) -> str:
    """A Markdown table: claim, published, ours, verdict and on what; `page` is where the page of `{id}` lies."""
    lines = ["| claim | published | ours (95 % interval) | verdict |", "|---|---|---|---|"]
    for cell in cells:
        on = ", ".join(MARKS[mark] for mark in cell["mark"].split(", ") if mark)
        texts = (f"[{cell['id']}]({page.format(id=cell['id'])}) {cell['name']}", cell["short"], cell["ours_short"],
                 f"**{cell['verdict']}**" + f" ({on})" * bool(on))
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


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
    title = f"Measured on {part['platform']}{part.get('of', '')}" if part["platform"] else (
        "By arithmetic on printed numbers" if part["lines"] else without)
    lines = [f"## {title}: {part['verdict']}", ""]
    for line in part["lines"]:
        lines += [f"- **{line['what']}: {line['ours']}**" + f", over {line['samples']}" * bool(line["samples"]),
                  f"  - accepted: {line['accepted']}; this is {line['lies']} it", f"  - on: {line['on']}"]
        lines += [f"  - {line['note']}"] if line["note"] else []
    lines += [f"- {told}" for told in part["told"]]
    return [*lines, "", *([links, ""] if links else [])]
