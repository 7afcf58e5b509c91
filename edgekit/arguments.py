"""What the command `edgekit` may be given, and what a shell completes it with. Nothing heavy is imported for that."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import edgekit
from edgekit.errors import InvalidRequest, unknown_name


class Parser(argparse.ArgumentParser):
    """One whose complaints are InvalidRequests: a sentence, as of all else that is asked wrongly."""

    def error(self, message: str) -> None:
        raise InvalidRequest(f"{message}; {self.prog} --help says what there is")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise InvalidRequest(unknown_name(action.metavar or action.dest, value, action.choices))


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="edgekit", description="Reproduce experiments with language models on edge devices.")
    top.add_argument("--version", action="version", version=f"edgekit {edgekit.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, text: str, *parts: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=parts)

    several, one, profile, retry, accept, as_json = _parts()
    command("plan", "Say what notebooks would take before anything runs: units, downloads, disk, memory, minutes, refusals.",
            several, profile, as_json)
    run = command("run", "Execute notebooks by papermill; what has been measured already is not measured again.", several,
                  profile, retry, accept)
    run.add_argument("--force", action="store_true", help="execute notebooks again although nothing changed")
    run.add_argument("--report", action="store_true", help="render the report afterwards, also when a notebook failed")
    _unattended(run)
    command("measure", "Measure a notebook's rows without Jupyter; the notebook then finds them.", one, profile, retry, accept)
    report = command("report", "Render the executed notebooks and the index of claims into reports/.")
    _profile(report, "pocket", "runs/")
    publish = command("publish", "Copy a run's rows and figures to data/results/ and figures/, to be committed.", one)
    _profile(publish, "reference", "runs/")
    doctor = command("doctor", "Print what this machine has and what follows: engines, processor, memory, bandwidth, sensors, "
                     "advice; or whether it is ready to be measured on as a board.", as_json)
    doctor.add_argument("--board", metavar="NAME", help="check this machine as a board of data/boards.yaml").completer = _boards
    claims = command("claims", "Print the claims with verdicts from the committed rows, or all that one of them comes from.")
    claims.add_argument("id", nargs="?", help="e.g. S2.2").completer = claim_ids
    claims.add_argument("--write", action="store_true", help="bring README.md and docs/claims/ up to date")
    figures = command("figures", "Draw the committed figures again from the committed rows, where something changed; list "
                      "those that are others now.")
    figures.add_argument("notebooks", nargs="*", metavar="notebook", help="default: all").completer = _notebooks
    compare = command("compare", "Compare two folders of rows: what changed beyond chance, which verdicts did, what their "
                      "machines and versions differ in.", as_json)
    for side in ("a", "b"):
        compare.add_argument(side, metavar=side.upper(), help="a folder of rows, a profile of runs/, or a platform of "
                             "data/results/").completer = places
    pack = command("pack", "Put rows, manifests, parameters and executed notebooks of a profile into one archive.")
    _profile(pack, "pocket", "runs/")
    pack.add_argument("--out", default=None, metavar="FILE", help="default: <profile>-<platform>.tar in this folder")
    unpack = command("unpack", "Check archives and merge what is in them into runs/.")
    unpack.add_argument("archives", nargs="+", metavar="archive", help="what edgekit pack wrote")
    unpack.add_argument("--into", default=None, metavar="PROFILE", help="a folder of runs/ (default: that of the archive)")
    parameters = command("parameters", "Print what every parameter is, or write it beside the parameters and into "
                         "docs/reference.md.")
    parameters.add_argument("--write", action="store_true", help="bring notebooks, params files and the reference up to date")
    models = command("models", "List, check or train the shipped models.")
    _models_actions(models.add_subparsers(dest="action", required=True, metavar="action"))
    fleet = command("fleet", "Several boards as one: start what they join, join, or make their certificates.")
    _fleet_actions(fleet.add_subparsers(dest="action", required=True, metavar="action"), accept)
    return top


def _parts() -> list[argparse.ArgumentParser]:
    """Arguments that several commands have: notebooks, one notebook, a profile, --retry, --accept, --json."""
    several, one, profile, retry, accept, as_json = (Parser(add_help=False) for _ in range(6))
    several.add_argument("notebooks", nargs="*", metavar="notebook", help="e.g. 02_baseline or baseline").completer = _notebooks
    several.add_argument("--all", action="store_true", help="every notebook")
    one.add_argument("notebook", help="e.g. 02_baseline or baseline").completer = _notebooks
    _profile(profile, "pocket", "params/")
    retry.add_argument("--retry", action="store_true", help="try again what failed or was too slow before")
    accept.add_argument("--accept", action="store_true",
                        help="measure on a board that is not as it should be, and say so in every row")
    as_json.add_argument("--json", action="store_true", help="for programs: bytes, seconds, null for what is not known")
    return [several, one, profile, retry, accept, as_json]


def _profile(command: argparse.ArgumentParser, default: str, folder: str) -> None:
    command.add_argument("--profile", default=default, help=f"a folder of {folder} (default: {default})").completer = _profiles


def _unattended(run: argparse.ArgumentParser) -> None:
    night = run.add_argument_group("nobody looks", "Rows are measured first, the cheapest of every notebook before the others, "
                                   "and those notebooks are executed that have all of theirs. Any of these but --certificates, "
                                   "--kind and --patience asks for it.")
    night.add_argument("--unattended", action="store_true", help="do so without a limit of time")
    night.add_argument("--budget", metavar="TIME", help="as long as this: 8h, 90min, 1h30min")
    night.add_argument("--deadline", metavar="TIME", help="until 06:30, the next one, or 2026-03-01T06:30")
    night.add_argument("--keep-free", type=float, metavar="GB", help="of the disk; stop before it gets less (default: 1)")
    night.add_argument("--log", metavar="FILE", help="a line of JSON for all that happens; at most 16 MB, and 16 of before")
    night.add_argument("--fleet", metavar="ADDRESS", help="the boards of this scheduler measure, as tls://desk:8786")
    _certificates(night)
    night.add_argument("--kind", help="kind of board (default: the profile's, else this machine's)").completer = _platforms
    night.add_argument("--patience", default="30min", metavar="TIME", help="give up where no board is there so long "
                       "(default: 30min)")


def _certificates(command) -> None:
    command.add_argument("--certificates", metavar="FOLDER", help="of this member, made by edgekit fleet certificates")


def _fleet_actions(actions, accept: argparse.ArgumentParser) -> None:
    start = actions.add_parser("start", help="be the scheduler of a fleet, until Ctrl-C")
    start.add_argument("address", help="to listen at, as tls://0.0.0.0:8786")
    _certificates(start)
    join = actions.add_parser("join", parents=[accept],
                              help="be a board of a fleet, until Ctrl-C; comes back after whatever breaks")
    join.add_argument("address", help="of the scheduler, as tls://desk:8786")
    join.add_argument("--name", required=True, help="of this board, its own in the fleet, as orin-1")
    join.add_argument("--kind", help="what it should be; refused where the machine is another").completer = _platforms
    _certificates(join)
    make = actions.add_parser("certificates", help="make the certificates of members, a folder each")
    make.add_argument("folder", help="where the authority of the fleet and the members' folders go")
    make.add_argument("names", nargs="+", metavar="name", help="of a member, as desk or orin-1")
    make.add_argument("--days", type=int, default=365, help="that they are valid (default: 365)")


def _platforms(**_) -> Iterable[str]:
    from edgekit.catalog import platforms

    return platforms.load()


def _models_actions(actions) -> None:
    actions.add_parser("list", help="the shipped models, with accuracy by depth, and weights that can be had by name")
    actions.add_parser("check", help="compare all files with the hashes in their cards and lists")
    fetch = actions.add_parser("fetch", help="bring trained weights that are listed by name")
    fetch.add_argument("names", nargs="+", metavar="name", help="e.g. smollm2-135m-instruct").completer = _weights
    fetch.add_argument("--file", default=None, metavar="PATH", help="take a file that is here; its content must be the same")
    train = actions.add_parser("train", help="train one model as its card says; goes on where it was interrupted")
    train.add_argument("name", help="e.g. pocket-200k").completer = _pocket_models
    train.add_argument("--device", default=None, choices=("cpu", "cuda"), help="default: cuda where there is one")
    train.add_argument("--steps", type=int, default=None, help="of one cycle; default: the size's own number")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", default=None, metavar="FOLDER", help="default: data/models")


def _notebooks(**_) -> Iterable[str]:
    from edgekit import studies

    return studies.STUDIES


def _profiles(**_) -> Iterable[str]:
    from edgekit import params

    return params.profiles()


def _boards(**_) -> Iterable[str]:
    from edgekit.catalog import boards

    return boards.load()


def claim_ids(**_) -> Iterable[str]:
    from edgekit.catalog import published

    return [entry["id"] for entry in published.entries()]


def places(**_) -> Iterable[str]:
    from edgekit import committed, store

    runs = store.OUTPUT / "runs"
    here = [folder.name for folder in sorted(runs.iterdir()) if folder.is_dir()] if runs.is_dir() else []
    there = dict.fromkeys(rows.platform + f"/{rows.profile}" * bool(rows.of) for rows in committed.files())
    return [*here, *there]


def _weights(**_) -> Iterable[str]:
    from edgekit.catalog import weights

    return weights.listed()


def _pocket_models(**_) -> Iterable[str]:
    from edgekit.catalog import models

    return models.pocket_names()
