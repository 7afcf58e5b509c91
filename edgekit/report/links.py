"""What a verdict was made from, each one click away: figure, its table, rows, code. Only what is there is linked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import store


@dataclass(frozen=True)
class Source:
    """Where the verdicts of one table come from.

    rows: the rows file of each study. drawn: the folder that holds each notebook's figures as SVG and CSV. shown: the figures
    that pages of this report show, as `<page>.html#fig-<figure>`. of: which rows they are, for the titles of claims' pages.
    """

    rows: Mapping[str, Path]
    drawn: Path
    shown: frozenset[str] = frozenset()
    of: str = ""

    def links(self, part: Mapping, study: str, out: Path, up: str = "") -> list[tuple[str, str]]:
        """(word, address) for one part of a verdict, seen from a page that lies `up` from the report's folder `out`."""
        page, _, figure = part["figure"].partition(".html#fig-")
        drawn = self.drawn / page / figure
        shown = part["figure"] if part["figure"] in self.shown else relative(drawn.with_name(f"{figure}.svg"), out)
        found = {"figure": shown, "table": relative(drawn.with_name(f"{figure}.csv"), out)} if figure else {}
        if part["platform"] and study in self.rows:
            found["rows"] = relative(self.rows[study], out)
        return [(word, up + address) for word, address in found.items() if address]


def relative(target: Path, out: Path) -> str:
    """The address of a file seen from the report's folder; "" for one that is not there, or that lies where an address would
    name folders of this machine."""
    inside = any(target.is_relative_to(tree) and out.is_relative_to(tree) for tree in (store.ROOT, store.OUTPUT))
    return Path(os.path.relpath(target, out)).as_posix() if inside and target.is_file() else ""


def missing(cell: Mapping) -> str:
    """Why a verdict has no rows, in words; "" where it has some."""
    part = cell["parts"][0]
    if part["platform"]:
        return ""
    return "no rows: arithmetic on printed numbers" if part["lines"] else "nothing was measured for it"
