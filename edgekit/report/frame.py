"""What stands around every page of the report: head, sidebar, footer. A page needs nothing else to be read.

No script, no font and no style comes from elsewhere, and no path or name of the machine goes out: the folder of the
project becomes `.`, the interpreter's `<python>`, the home folder `~`.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import store
from edgekit.report import machine
from edgekit.report.headings import Section
from edgekit.report.plain import policy

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that the sidebar lists: `name` is its file's without ending."""

    name: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Frame:
    """What all pages of one report share. entries: the index and the notebooks, in their order."""

    profile: str
    made: str
    entries: tuple[Entry, ...]

    def page(self, title: str, body: str, *, current: str = "", up: str = "", width: str = "index",
             facts: Mapping[str, str] | None = None, code: bool = False) -> str:
        """A whole page. current: the entry that it is, "" for none. up: the way to the report's folder. facts: what its
        footer says beside the kit's version. code: whether it shows any."""
        names = [entry.name for entry in self.entries]
        place = names.index(current) if current in names else 0
        beside = {word: self.entries[number] for word, number in (("Previous", place - 1), ("Next", place + 1))
                  if place and 0 < number < len(names)}
        return without_paths(templates().get_template("frame.html.j2").render(
            frame=self, title=title, body=body, current=current, up=up, width=width, facts=facts or {}, beside=beside,
            css=style() + (code_style() if code else ""), kit=machine.kit(),
            policy=policy(*([script()] if current == "index" else []))))


def listed(title: str) -> str:
    """A notebook's title as the sidebar has it: what stands before its question."""
    return title.partition(":")[0]


def fragment(name: str, **values) -> str:
    """A template of the content of a page, filled in."""
    return templates().get_template(name).render(**values)


@functools.cache
def templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@functools.cache
def script() -> str:
    """The one script of a report, that of its front page."""
    return (TEMPLATES / "index.js").read_text(encoding="utf-8")


@functools.cache
def style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


@functools.cache
def code_style() -> str:
    """Colours of highlighted code, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
    light = light.replace("#A2F", "#9016E0")  # too pale on the tint
    # the page's own tint stays behind the code
    light, dark = (re.sub(r"^\.highlight \{[^}]*\}|^pre \{[^}]*\}|/\*.*?\*/", "", css, flags=re.M)
                   for css in (light, dark))
    return f"\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


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
