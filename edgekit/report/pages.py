"""One executed notebook to the content of one page: prose, tables and figures lead, code is folded away."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from edgekit.report import headings, machine, tables
from edgekit.report.frame import TEMPLATES
from edgekit.report.headings import Section
from edgekit.report.run import read_executed


@dataclass(frozen=True, slots=True)
class Page:
    """The content of one rendered notebook.

    body: what stands in its main part. sections: its headings. notes: what its execution noted of itself. facts: where it comes
    from, for its footer. figures: the names that it shows.
    """

    notebook: str
    title: str
    body: str
    sections: tuple[Section, ...]
    notes: dict
    facts: dict[str, str]
    figures: tuple[str, ...]


def page(executed: Path) -> Page:
    """Render one executed notebook. Output on stderr (progress bars) is left out; a failed one says so on top.

    So does one that was torn while it was written, in place of its content.
    """
    from nbformat import v4

    node = read_executed(executed)
    if node is None:
        sentence = "this file was torn while it was written (a kill, or a full disk); run edgekit run again"
        node = v4.new_notebook(metadata={"edgekit": {"state": "failed", "sentence": sentence}})
    node.cells = [cell for cell in node.cells if not _is_papermill_notice(cell)]
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notes = dict(node.metadata.get("edgekit", {}))
    failed = notes.get("state", "executed") not in ("executed", "unchanged")
    html = _exporter().from_notebook_node(node, resources={"page": {
        "failure": notes.get("sentence", "stopped") if failed else ""}})[0]
    html = html if "<h1" in html else f"{html}\n<h1>{executed.stem}</h1>"
    body, sections = headings.anchored(tables.tidied(html))
    figures = tuple(dict.fromkeys(re.findall(r'<figure id="fig-([^"]+)"', body)))
    return Page(executed.stem, _title(node) or executed.stem, body, sections, notes, provenance(executed, notes), figures)


def provenance(executed: Path, notes: dict) -> dict[str, str]:
    """What a page's footer says of where it comes from."""
    return {"Profile": notes.get("profile", executed.parent.name), "Run": notes.get("run") or "no rows",
            "Notebook source (SHA-256)": notes.get("source", "unknown")[:12],
            "Commit": machine.commit(notes.get("commit", "unknown"), notes.get("dirty", True)),
            "Executed": notes.get("finished", "outside of edgekit run")}


def _exporter():
    from nbconvert import HTMLExporter

    warnings.filterwarnings("ignore", message="Alternative text is missing", module="nbconvert")
    return HTMLExporter(template_name="page", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True)


def _title(node) -> str:
    for cell in node.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^# +(.+)$", cell.source, flags=re.M)):
            return found.group(1).strip()
    return ""


def _is_papermill_notice(cell) -> bool:
    return any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", []))
