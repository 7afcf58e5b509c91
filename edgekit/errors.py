"""Failures that are told in one sentence: one base class, which knows the exit status, its two kinds, and the sentence about a
name that is not known.

The message of each says what was expected, what came and what to do, so it stands alone, in the terminal or as the reason of a
skip. An exception of any other class is a fault of the kit and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgekitError(Exception):
    """Something that can go wrong without a fault in the kit. `exit_code`: what the command line ends with."""

    exit_code = 1


class InvalidRequest(EdgekitError, ValueError):
    """What was asked for cannot be: an unknown name, a value out of range, a model or device that is not here."""

    exit_code = 2


class RunFailed(EdgekitError, RuntimeError):
    """It failed while it ran, or what it found on disk cannot be used."""

    exit_code = 1


def unknown_name(what: str, name: object, known: Iterable[object], or_else: str = "") -> str:
    """That `name` is no `what`: the known ones, what would do beside them, and the known one that was meant, where one is
    spelled much alike."""
    names = list(map(str, known))
    near = difflib.get_close_matches(str(name), names, n=1)
    said = f"unknown {what} {name!r}" if what else f"unknown {name!r}"
    return f"{said}; known: {', '.join(names)}{or_else}" + "".join(f"; did you mean {one}?" for one in near)
