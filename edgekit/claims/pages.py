"""Verdicts as pages: a line a claim for the README, and a page a claim with all that its verdict comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def derivation(cells: Sequence[dict], rows: str = "", figure: str = "") -> str:
    """All of one claim as Markdown: what was published, and a part for each platform and for the arithmetic.

    cells: the claim's from each platform that judged it, or the only one. rows, figure: where the rows of `{platform}` and
    `{study}`, and a figure `{page}` and `{figure}` lie; "" for no link. A part may hold the link to its own `rows`.
    """
    claim = cells[0]
    parts = [part for cell in cells for part in cell["parts"]]
    told = [part | {"figure": "", "rows": ""} for part in parts]  # arithmetic is told once, not beside each platform
    unique = [part for number, part in enumerate(parts) if told[number] not in told[:number]]
    lines = [f"# {claim['id']}: {claim['name']}", "", claim["statement"], "",
             f"- where: {claim['document']}; {claim['locator']}", f"- printed: {claim['published']}",
             f"- notebook: {claim['study']}", ""]
    for part in unique:
        lines += _part(part, claim, rows, figure)
    return "\n".join(lines).rstrip() + "\n"


def _part(part: dict, claim: dict, rows: str, figure: str) -> list[str]:
    title = f"Measured on {part['platform']}" if part["platform"] else (
        "By arithmetic on printed numbers" if part["lines"] else "To come")
    lines = [f"## {title}: {part['verdict']}", ""]
    for line in part["lines"]:
        lines += [f"- **{line['what']}: {line['ours']}**" + f", over {line['samples']}" * bool(line["samples"]),
                  f"  - accepted: {line['accepted']}; this is {line['lies']} it", f"  - on: {line['on']}"]
        lines += [f"  - {line['note']}"] if line["note"] else []
    lines += [f"- {told}" for told in part["told"]]
    links = [part["rows"]] if "rows" in part else []
    if rows and part["platform"]:
        links.append(rows.format(platform=part["platform"], study=claim["study"]))
    if figure and part["figure"]:
        page, _, name = part["figure"].partition("#fig-")
        links.append(figure.format(page=page.removesuffix(".html"), figure=name))
    return [*lines, "", *([" · ".join(links), ""] if links else [])]
