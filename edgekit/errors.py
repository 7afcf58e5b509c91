"""Failures that are told in one sentence: one base class, which knows the exit status, and its two kinds.

The message of each says what was expected, what came and what to do, so it stands alone, in the terminal or as the reason of a
skip. An exception of any other class is a fault of the kit and keeps its traceback.
"""

from __future__ import annotations


class EdgekitError(Exception):
    """Something that can go wrong without a fault in the kit. `exit_code`: what the command line ends with."""

    exit_code = 1


class InvalidRequest(EdgekitError, ValueError):
    """What was asked for cannot be: an unknown name, a value out of range, a model or device that is not here."""

    exit_code = 2


class RunFailed(EdgekitError, RuntimeError):
    """It failed while it ran, or what it found on disk cannot be used."""

    exit_code = 1
