"""Headings that can be linked to: readable ids that stay as long as the words do, and the list of them for the sidebar."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

HEADING = re.compile(r"<h(?P<level>[1-6])(?P<attributes>[^>]*)>(?P<text>.*?)</h(?P=level)>", re.S)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading below the page's title: `level` is 2 or more, `text` is without markup."""

    level: int
    id: str
    text: str


def anchored(body: str) -> tuple[str, tuple[Section, ...]]:
    """A page's content in which each heading has an id and is a link to itself, and its sections in order.

    A heading that has an id keeps it.
    """
    taken = set(re.findall(r'\sid="([^"]*)"', body))
    sections = []

    def replace(found: re.Match) -> str:
        text = html.unescape(re.sub(r"<[^>]+>", "", found["text"])).strip()
        own = re.search(r'\sid="([^"]*)"', found["attributes"])
        name = own[1] if own else _free(slug(text), taken)
        taken.add(name)
        if found["level"] != "1":
            sections.append(Section(int(found["level"]), name, text))
        words = found["text"] if "<a" in found["text"] else f'<a class="self" href="#{name}">{found["text"]}</a>'
        return f'<h{found["level"]} id="{name}">{words}</h{found["level"]}>'

    return HEADING.sub(replace, body), tuple(sections)


def slug(text: str) -> str:
    """A heading's words as an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
