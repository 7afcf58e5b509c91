"""One executed notebook to one HTML page that needs nothing else: prose, tables and figures lead, code is folded away.

No script, no font and no style comes from elsewhere, and no path or name of the machine goes out: the folder of the
project becomes `.`, the interpreter's `<python>`, the home folder `~`.
"""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from edgekit import store
from edgekit.report import machine
from edgekit.report.run import read_executed

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Page:
    """One rendered notebook: `notes` is what its execution noted of itself, `figures` the names that it shows."""

    notebook: str
    title: str
    html: str
    notes: dict
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
    title = _title(node) or executed.stem
    failed = notes.get("state", "executed") not in ("executed", "unchanged")
    html = _exporter().from_notebook_node(node, resources={"page": {
        "title": title, "notebook": executed.stem, "css": style() + _code_style(), "facts": provenance(executed, notes),
        "failure": notes.get("sentence", "stopped") if failed else ""}})[0]
    html = re.sub(r"<table.*?</table>", r'<div class="scroll" tabindex="0">\g<0></div>', html, flags=re.S)
    html = without_paths(html)
    figures = tuple(dict.fromkeys(re.findall(r'<figure id="fig-([^"]+)"', html)))
    return Page(executed.stem, title, html, notes, figures)


def provenance(executed: Path, notes: dict) -> dict[str, str]:
    """What a page's footer says of where it comes from."""
    return {"Profile": notes.get("profile", executed.parent.name), "Run": notes.get("run") or "no rows",
            "Notebook source (SHA-256)": notes.get("source", "unknown")[:12],
            "Commit": machine.commit(notes.get("commit", "unknown"), notes.get("dirty", True)),
            "Executed": notes.get("finished", "outside of edgekit run"), "Report made by": machine.kit()}


def style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


def without_paths(text: str) -> str:
    """`text` without the folders of this machine."""
    folders = {store.ROOT: ".", store.OUTPUT: ".", Path(__file__).parents[2]: ".", Path(sys.prefix): "<python>",
               Path(sys.base_prefix): "<python>", Path.home(): "~"}
    names = {str(form): short for folder, short in folders.items() for form in (folder, folder.resolve())
             if form not in (Path("/"), Path("/usr"), Path("/opt"))}
    for name in sorted(names, key=len, reverse=True):
        # whole components only: /root is not the start of /rooted
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?=$|[^\w.-])", names[name].replace("<", "&lt;"), text)
    return text


def _exporter():
    from nbconvert import HTMLExporter

    warnings.filterwarnings("ignore", message="Alternative text is missing", module="nbconvert")
    return HTMLExporter(template_name="page", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True)


def _code_style() -> str:
    """Colours of highlighted code, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
    # the page's own tint stays behind the code
    light, dark = (re.sub(r"^\.highlight \{[^}]*\}|^pre \{[^}]*\}|/\*.*?\*/", "", css, flags=re.M)
                   for css in (light, dark))
    return f"\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _title(node) -> str:
    for cell in node.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^# +(.+)$", cell.source, flags=re.M)):
            return found.group(1).strip()
    return ""


def _is_papermill_notice(cell) -> bool:
    return any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", []))
