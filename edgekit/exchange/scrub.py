"""Texts without what would tell whose machine it was: folders, the home folder, the user and the host.

Names are taken out as whole words, and paths as whole components. What rows were measured at must not change by that: a user
called as a model is would rename it, so such a text is refused.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from edgekit import store
from edgekit.errors import RunFailed

HOST, USER = "[host]", "[user]"
NOBODY = ("root", "localhost", "")  # names of every machine
HOMES = re.compile(r"(?<![\w.-])(/home|/Users|[A-Z]:\\\\?Users)[/\\]+[^/\\\s\"'<>:]+")


class ScrubError(RunFailed):
    """A text names the user or the host where it cannot be taken out; the message says where."""


def names() -> dict[str, str]:
    """The words of this machine that say whose it is, and what stands for each."""
    host = platform.node()
    found = dict.fromkeys((host, host.partition(".")[0]), HOST)
    with contextlib.suppress(KeyError, OSError):  # a user id without a name says nothing
        found[getpass.getuser()] = USER
    return {word: instead for word, instead in found.items() if word not in NOBODY}


def folders() -> dict[str, str]:
    """This machine's folders, the longest first, and what stands for each."""
    own = {store.ROOT: ".", store.OUTPUT: ".", Path(__file__).parents[2]: ".", Path(sys.prefix): "[python]",
           Path(sys.base_prefix): "[python]", Path.home(): "~"}
    found = {str(form): short for folder, short in own.items() for form in (folder, folder.resolve())
             if form not in (Path("/"), Path("/usr"), Path("/opt"))}
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def scrubbed(text: str) -> str:
    """`text` without the folders and names of this machine, and without any home folder."""
    for folder, short in folders().items():
        text = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?=$|[^\w.-])", lambda _, short=short: short, text)
    text = HOMES.sub("~", text)
    for word, instead in names().items():
        text = re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", lambda _, instead=instead: instead, text)
    return text


def scrubbed_rows(text: str, where: str) -> str:
    """The same of lines of rows and skips. Raises ScrubError where a condition changes other than in a path: it would be that
    of other rows."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        clean = scrubbed(line)
        if clean != line and (changed := _renamed(json.loads(line), json.loads(clean))):
            raise ScrubError(f"{where}, line {number}: {changed} has the name of this machine's user or host in it, so it "
                             "cannot be taken out without making other rows; pack it under another user or host")
        lines.append(clean)
    return "\n".join(lines) + "\n" * bool(lines)


def _renamed(before: Mapping, after: Mapping) -> str:
    """What of a record, its reason apart, was changed where no path stands; "" for nothing."""
    for name in before.keys() - {"reason", "condition"}:
        if before[name] != after.get(name):
            return name
    ours, theirs = before.get("condition", {}), after.get("condition", {})
    return next((f"{name}={value}" for name, value in ours.items()
                 if theirs.get(name) != value and not (isinstance(value, str) and re.search(r"[/\\]", value))), "")
