"""The page of one claim: what each platform's rows say of it, and the code that judges it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgekit.claims import pages
from edgekit.report.frame import fragment
from edgekit.report.plain import without_tags

UP = "../"  # from claims/ to the report's folder


def bodies(blocks: Iterable[Mapping], out: Path) -> dict[str, tuple[str, str]]:
    """(title, content) of the page of each claim by its id: this run's verdict first, then those of the platforms."""
    found: dict[str, list[dict]] = {}
    for block in blocks:
        for line in block["lines"]:
            # arithmetic is the same for every platform, and told once
            of = {"source": block["source"], "of": block["source"].of}
            parts = [part | of if part["platform"] else part for part in line["parts"]]
            found.setdefault(line["id"], []).append(line | {"parts": parts})
    here = next(iter(blocks))["source"]

    def links(part: Mapping, claim: Mapping) -> list[str]:
        source = part.get("source", here)
        return [f"[{word}]({address})" for word, address in source.links(part, claim["study"], out, UP)]

    return {name: (f"{name}: {cells[0]['name']}", _body(pages.derivation(cells, links), cells[0]["quantities"]))
            for name, cells in found.items()}


def _body(markdown: str, quantities: Iterable[str]) -> str:
    from nbconvert.filters import markdown2html

    text = re.sub(r'<a class="anchor-link".*?</a>', "", markdown2html(without_tags(markdown)))
    text = re.sub(r'(<h\d) id="[^"]*"', r"\1", text)
    return text + fragment("code.html.j2", functions=[_function(name) for name in quantities])


def _function(quantity: str) -> dict:
    """The source of what a quantity is computed by, and where it stands."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    from edgekit.claims.quantities import QUANTITIES
    from edgekit.studies.published_claims.quantities import AUDITS

    function = inspect.unwrap(QUANTITIES[quantity].function if quantity in QUANTITIES else AUDITS[quantity])
    lines, first = inspect.getsourcelines(function)
    code = Path(__file__).parents[1]
    return {"name": quantity, "file": Path(inspect.getsourcefile(function)).relative_to(code.parent).as_posix(), "line": first,
            "length": len(lines), "html": highlight("".join(lines), PythonLexer(), HtmlFormatter())}
