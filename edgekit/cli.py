"""The command `edgekit`: run, measure, plan, report, publish, figures, compare, pack, unpack, doctor, models, claims,
parameters, fleet.

Every expected failure is one sentence on standard error and a non-zero exit: 2 for something wrong with what was asked,
1 for something that failed while it ran, 130 after Ctrl-C, 141 where nobody reads standard output any more.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Iterable, Sequence

from edgekit import arguments as known
from edgekit.console import fields
from edgekit.errors import EdgekitError, unknown_name

CLOSED = 141  # what a shell says of a program that ended for want of a reader


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    top = known.parser()
    if "_ARGCOMPLETE" in os.environ:  # set by the shell when somebody presses Tab
        import argcomplete

        argcomplete.autocomplete(top)
    try:
        options = top.parse_args(arguments)
        status = globals()[f"_{options.command}"](options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("edgekit: stopped; what was measured is kept: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if not _is_closed(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write at exit has no reader either
        return CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"edgekit: cannot write {error.filename}: {error.strerror}; what was measured before is kept", file=sys.stderr)
        return 1
    except EdgekitError as error:
        print(f"edgekit: {error}", file=sys.stderr)
        return error.exit_code


def _is_closed(stream) -> bool:
    """Whether the reader of a pipe is gone; other pipes break too, as those to a process that died."""
    import select

    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _named(options) -> list[str]:
    """The notebooks that were asked for, by their whole names. Raises ParamsError for none, StudyError for unknown ones."""
    from edgekit import params, studies

    if options.notebooks == ["all"]:
        options.notebooks, options.all = [], True
    if options.all == bool(options.notebooks):
        raise params.ParamsError(f"name notebooks, or --all; known: {', '.join(studies.STUDIES)}")
    return [studies.full_name(notebook) for notebook in options.notebooks] or list(studies.STUDIES)


def _plan(options) -> int:
    from edgekit import plan

    found = plan.forecasts(_named(options), options.profile)
    print(plan.data(found) if options.json else plan.text(found))
    return 0


def _run(options) -> int:
    from edgekit.studies import runner

    with runner.accepting(options.accept):
        return _run_accepting(options)


def _run_accepting(options) -> int:
    from edgekit import report

    if options.unattended or options.keep_free is not None or any(
            getattr(options, name) for name in ("budget", "deadline", "log", "fleet")):
        return _unattended(options)
    outcomes = report.run_notebooks(_named(options), options.profile, force=options.force, retry=options.retry)
    page = report.render(options.profile) if options.report else None
    print(report.closing.block(outcomes, options.profile, report.cells_here(options.profile), page, retry=options.retry))
    return report.exit_code(outcomes)


def _unattended(options) -> int:
    from edgekit import unattended

    if options.fleet is None:
        return unattended.as_asked(_named(options), options, unattended.here)
    from edgekit.fleet import command

    boards = functools.partial(command.executor, options, unattended.seconds(options.patience, "--patience"))
    return unattended.as_asked(_named(options), options, boards)


def _fleet(options) -> int:
    from edgekit.fleet import command

    command.run(options)
    return 0


def _measure(options) -> int:
    from edgekit import params, studies
    from edgekit.studies import runner
    from edgekit.studies.config import MEASURE

    study = studies.module(options.notebook)
    if not studies.measures(options.notebook):
        raise studies.StudyError(f"{study.STUDY} measures nothing, it computes; run its notebook: edgekit run {study.STUDY}")
    config = params.of_profile(study.Config, options.profile, study.STUDY)
    params.require(config.rows == MEASURE, f"{study.STUDY}: rows are opened from {config.rows}, so there is nothing to "
                   f"measure; set `rows: {MEASURE}` in params/{options.profile}")
    with runner.retrying(options.retry), runner.accepting(options.accept):
        result = study.run(config)
    print(f"{study.STUDY}: {result.measured} conditions measured, {result.reused} reused, {len(result.skips)} skipped; "
          f"rows in {result.path}")
    for skip in result.unexpected:
        print(f"edgekit: skipped: {fields(skip.condition)}: {skip.reason}", file=sys.stderr)
    if result.tried and not options.retry:
        print(f"edgekit: to try again what failed or was too slow: edgekit measure {options.notebook} --profile "
              f"{options.profile} --retry", file=sys.stderr)
    return 1 if result.unexpected else 0


def _report(options) -> int:
    from edgekit import report

    print(f"report: {report.render(options.profile)}")
    return 0


def _publish(options) -> int:
    from edgekit import publish, studies

    for path in publish.publish(studies.full_name(options.notebook), options.profile):
        print(path)
    return 0


def _doctor(options) -> int:
    from edgekit import doctor

    if options.board:
        return _doctor_of_board(options)
    found = doctor.diagnose()
    print(doctor.data(found) if options.json else doctor.text(found))
    for sentence in found.broken:
        print(f"edgekit: {sentence}", file=sys.stderr)
    return 1 if found.broken else 0


def _doctor_of_board(options) -> int:
    from edgekit import doctor

    found = doctor.board(options.board)
    print(doctor.board_data(found) if options.json else doctor.board_text(found))
    return 0 if found.ready else 1


def _claims(options) -> int:
    from edgekit import generated, publish
    from edgekit.claims import ledger
    from edgekit.params import ParamsError

    if options.id is not None and options.id not in (ids := known.claim_ids()):
        raise ParamsError(unknown_name("claim", options.id, ids))
    if options.write:
        _listed(generated.write(publish.files()))
    elif options.id is None:
        print(ledger.text(publish.headlines(publish.committed_cells())), end="")
    else:
        print(publish.told(publish.committed_cells()[options.id]), end="")
    return 0


def _figures(options) -> int:
    from edgekit import figures, studies

    _listed(figures.again([studies.full_name(notebook) for notebook in options.notebooks] or list(studies.STUDIES)))
    return 0


def _compare(options) -> int:
    from edgekit.compare import comparison, text

    found = comparison.compare(options.a, options.b)
    print(text.data(found) if options.json else text.text(found), end="\n" if options.json else "")
    return 0


def _pack(options) -> int:
    from edgekit.exchange import pack

    print(pack.pack(options.profile, options.out))
    return 0


def _unpack(options) -> int:
    from edgekit.exchange import pack

    for one in pack.unpack(options.archives, options.into):
        print(f"{one.study}: {one.new} units new, {one.known} here already; rows in {one.path}")
    return 0


def _parameters(options) -> int:
    from edgekit import generated
    from edgekit.report import parameters

    _listed(generated.write(parameters.files()) if options.write else [parameters.reference()])
    return 0


def _listed(things: Iterable) -> None:
    """Each on a line of its own; nothing for none."""
    for thing in things:
        print(thing)


def _models(options) -> int:
    from pathlib import Path

    from edgekit import store
    from edgekit.catalog import weights
    from edgekit.pocket import card

    if options.action == "train":
        root = Path(options.out or store.ROOT / "data/models")
        folder = card.train_and_card(options.name, root=root, steps=options.steps, seed=options.seed, device=options.device)
        _listed([*card.table([folder.name], root), folder])
        return 0
    if options.action == "list":
        _listed([*card.table(card.list_models()), "", *weights.table()])
        return 0
    if options.action == "fetch":
        return _fetch(options)
    here = [one.name for one in weights.listed().values() if one.path.is_file()]
    problems = [problem for name in card.list_models() for problem in card.check(name)]
    problems += filter(None, map(weights.damage, here))
    for problem in problems:
        print(f"edgekit: {problem}", file=sys.stderr)
    if not problems:
        print(f"{', '.join([*card.list_models(), *here])}: all files as in their cards and lists")
    return 1 if problems else 0


def _fetch(options) -> int:
    from pathlib import Path

    from edgekit.catalog import fetch, weights
    from edgekit.console import Console
    from edgekit.params import ParamsError

    wanted = [weights.named(name) for name in dict.fromkeys(options.names)]
    if options.file and len(wanted) > 1:
        raise ParamsError("--file is one file: name one model with it")
    console = Console(sys.stderr)
    fetch.fetch_all(wanted, console, file=Path(options.file).expanduser() if options.file else None)
    _listed(one.path for one in wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
