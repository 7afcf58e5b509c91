"""The command `edgekit`: run, measure, report, publish, doctor, models, claims, parameters.

Every expected failure is one sentence on standard error and a non-zero exit: 2 for something wrong with what was asked,
1 for something that failed while it ran, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Iterable, Sequence

import edgekit
from edgekit.errors import EdgekitError, unknown_name


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="edgekit", description="Reproduce experiments with language models on edge devices.")
    top.add_argument("--version", action="version", version=f"edgekit {edgekit.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    run = command("run", "Execute notebooks by papermill; what has been measured already is not measured again.")
    run.add_argument("notebooks", nargs="*", metavar="notebook", help="e.g. 02_baseline")
    run.add_argument("--all", action="store_true", help="every notebook")
    run.add_argument("--profile", default="pocket", help="a folder of params/ (default: pocket)")
    run.add_argument("--force", action="store_true", help="execute notebooks again although nothing changed")
    run.add_argument("--retry", action="store_true", help="try again what failed or was too slow before")
    measure = command("measure", "Measure a study's rows without Jupyter; its notebook then finds them.")
    measure.add_argument("study", help="e.g. baseline or 02_baseline")
    measure.add_argument("--profile", required=True, help="a folder of params/")
    measure.add_argument("--retry", action="store_true", help="try again what failed or was too slow before")
    report = command("report", "Render the executed notebooks and the index of claims into reports/.")
    report.add_argument("--profile", default="pocket", help="a folder of runs/ (default: pocket)")
    publish = command("publish", "Copy a run's rows and figures to data/results/ and figures/, to be committed.")
    publish.add_argument("notebook", help="e.g. 02_baseline")
    publish.add_argument("--profile", default="reference", help="a folder of runs/ (default: reference)")
    command("doctor", "Print what this machine has: engines, processor, memory, bandwidth, sensors.")
    claims = command("claims", "Print the claims with verdicts from the committed rows, or all that one of them comes from.")
    claims.add_argument("id", nargs="?", help="e.g. S2.2")
    claims.add_argument("--write", action="store_true", help="bring README.md and docs/claims/ up to date")
    parameters = command("parameters", "Print what every parameter is, or write it beside the parameters and into "
                         "docs/reference.md.")
    parameters.add_argument("--write", action="store_true", help="bring notebooks, params files and the reference up to date")
    models = command("models", "List, check or train the shipped models.")
    actions = models.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="the shipped models, with accuracy by depth")
    actions.add_parser("check", help="compare all files with the hashes in their cards")
    train = actions.add_parser("train", help="train one model as its card says; goes on where it was interrupted")
    train.add_argument("name", help="e.g. pocket-200k")
    train.add_argument("--device", default=None, choices=("cpu", "cuda"), help="default: cuda where there is one")
    train.add_argument("--steps", type=int, default=None, help="of one cycle; default: the size's own number")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", default=None, metavar="FOLDER", help="default: data/models")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = parser().parse_args(arguments)
    try:
        return globals()[f"_{options.command}"](options)
    except KeyboardInterrupt:
        print("edgekit: stopped; what was measured is kept: run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"edgekit: cannot write {error.filename}: {error.strerror}; what was measured before is kept", file=sys.stderr)
        return 1
    except EdgekitError as error:
        print(f"edgekit: {error}", file=sys.stderr)
        return error.exit_code


def _run(options) -> int:
    from edgekit import params, report, studies

    if options.all == bool(options.notebooks):
        raise params.ParamsError(f"name notebooks, or --all; known: {', '.join(studies.STUDIES)}")
    return report.exit_code(report.run_notebooks(options.notebooks or list(studies.STUDIES), options.profile,
                                                 force=options.force, retry=options.retry))


def _measure(options) -> int:
    from edgekit import params, studies
    from edgekit.studies import runner
    from edgekit.studies.config import MEASURE

    study = studies.module(options.study)
    if not studies.measures(options.study):
        raise studies.StudyError(f"{study.STUDY} measures nothing, it computes; run its notebook: edgekit run {study.STUDY}")
    config = params.of_profile(study.Config, options.profile, study.STUDY)
    params.require(config.rows == MEASURE, f"{study.STUDY}: rows are opened from {config.rows}, so there is nothing to "
                   f"measure; set `rows: {MEASURE}` in params/{options.profile}")
    with runner.retrying(options.retry):
        result = study.run(config)
    print(f"{study.STUDY}: {result.measured} conditions measured, {result.reused} reused, {len(result.skips)} skipped; "
          f"rows in {result.path}")
    for skip in result.unexpected:
        print(f"edgekit: skipped: {' '.join(map(str, skip.condition.values()))}: {skip.reason}", file=sys.stderr)
    if result.tried and not options.retry:
        print(f"edgekit: to try again what failed or was too slow: edgekit measure {options.study} --profile {options.profile} "
              "--retry", file=sys.stderr)
    return 1 if result.unexpected else 0


def _report(options) -> int:
    from edgekit import report

    print(f"report: {report.render(options.profile)}")
    return 0


def _publish(options) -> int:
    from edgekit import publish, studies

    for path in publish.publish(studies.module(options.notebook).STUDY, options.profile):
        print(path)
    return 0


def _doctor(options) -> int:
    from edgekit import doctor

    print(doctor.doctor())
    return 0


def _claims(options) -> int:
    from edgekit import generated, publish
    from edgekit.catalog import published
    from edgekit.params import require

    known = [entry["id"] for entry in published.entries()]
    require(options.id in (None, *known), unknown_name("claim", options.id, known))
    if options.write:
        _listed(generated.write(publish.files()))
    elif options.id is None:
        print(publish.findings(publish.committed_cells()), end="")
    else:
        print(publish.derivation(publish.committed_cells()[options.id]), end="")
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
    from edgekit.pocket import card

    if options.action == "train":
        root = Path(options.out or store.ROOT / "data/models")
        folder = card.train_and_card(options.name, root=root, steps=options.steps, seed=options.seed, device=options.device)
        print(f"{card.summary(folder.name, root)}\n{folder}")
        return 0
    if options.action == "list":
        for name in card.list_models():
            print(card.summary(name))
        return 0
    problems = [problem for name in card.list_models() for problem in card.check(name)]
    for problem in problems:
        print(f"edgekit: {problem}", file=sys.stderr)
    if not problems:
        print(f"{', '.join(card.list_models())}: all files as in their cards")
    return 1 if problems else 0
