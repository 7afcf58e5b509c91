"""`edgekit fleet …`, and `edgekit run --fleet`, as they were typed."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from edgekit.catalog import platforms
from edgekit.console import Console
from edgekit.fleet import join, scheduler, security
from edgekit.fleet.executor import Fleet, scope_of
from edgekit.studies import runner


def run(options: argparse.Namespace) -> None:
    """Make certificates; or be the scheduler or a board, until Ctrl-C. Raises FleetError, and NotReady of a board."""
    said = functools.partial(print, flush=True)
    if options.action == "certificates":
        for folder in security.make(Path(options.folder).expanduser(), options.names, options.days):
            said(folder)
    elif options.action == "start":
        scheduler.run(options.address, _certificates(options), lambda address: said(f"boards join {address}"))
    else:
        with runner.accepting(options.accept):
            join.run(options.address, options.name, options.kind, _certificates(options), said)


def executor(options: argparse.Namespace, patience_s: float) -> Fleet:
    """The boards that a run asks: of the kind that is named, else of the profile's, else of this machine's. Raises FleetError
    and FleetLost as Members."""
    kind = options.kind or (options.profile if options.profile in platforms.load() else platforms.current().slug)
    return Fleet(options.fleet, _certificates(options), kind, scope_of(options.profile), patience_s, Console(sys.stderr).stays)


def _certificates(options: argparse.Namespace) -> Path | None:
    return None if options.certificates is None else Path(options.certificates).expanduser()
