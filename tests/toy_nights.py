"""Studies of jobs that take as long as they are told, for tests of nights and fleets: no model, no notebook.

They are registered as `90_toy` and `91_toy`, which are alike, in a kit whose parameters lie in a temporary folder.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import known_bandwidth
import yaml

from edgekit import store, studies
from edgekit.studies.config import MeasuringConfig, parameter
from edgekit.studies.runner import Unit, keys_of
from edgekit.studies.units import study_run

STUDIES = STUDY, OTHER = "90_toy", "91_toy"
VERSION = 1
TOY = dict(profile="ci", rows="measure", seed=1, device="cpu", threads=1, timeout_s=60.0, memory_share=0.9, jobs=6, repeats=1,
           rounds=1, function="jobs:square", arguments="", shared=True)


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    jobs: int = parameter("units of each repeat")
    repeats: int = parameter("repeats")
    rounds: int = parameter("how often the plan goes on with as many units")
    function: str = parameter("the job")
    arguments: str = parameter("its arguments beside its number, as name=value with blanks between")
    shared: bool = parameter("whether units share a process")


def plan(config: Config):
    """The units of one round, and those of the next where the rows of STUDY have all of it."""
    given = {name: float(value) for name, value in (pair.split("=") for pair in config.arguments.split())}
    for turn in range(config.rounds):
        units = [Unit(dict(task="speed", model=f"m{number}", **config.where), repeat, config.function,
                      dict(number=number, **given), "a", "t", shared=config.shared)
                 for repeat in range(config.repeats) for number in range(turn * config.jobs, (turn + 1) * config.jobs)]
        yield from units
        has, _ = store.finished(store.runs_folder(config.profile) / f"{STUDY}.jsonl")
        if not keys_of(STUDY, VERSION, units).keys() <= has.keys():
            return


run = study_run(STUDY, VERSION, plan)


def register() -> None:
    """Make the study known in this process."""
    known_bandwidth.tell()
    module = sys.modules[__name__]
    sys.modules["toy_nights.plan"] = module
    studies.STUDIES.update(dict.fromkeys(STUDIES, "toy_nights"))


def build(home: Path, patch, **changed) -> None:
    """A kit in `home` with these parameters of both studies, the root of this process as long as `patch` lasts. Of more than
    one round, the first study goes on from its rows, and the other has one."""
    for study in STUDIES:
        patch.setitem(studies.STUDIES, study, "toy_nights")
    patch.setitem(sys.modules, "toy_nights.plan", sys.modules[__name__])
    for folder in ("params/ci", "data/results"):
        (home / folder).mkdir(parents=True)
    for name in ("published", "boards.yaml"):
        (home / "data" / name).symlink_to(store.ROOT / "data" / name)
    patch.setattr(store, "ROOT", home)
    patch.setattr(store, "OUTPUT", home / "output")
    known_bandwidth.tell(patch.setattr)
    values = TOY | changed
    if values["rounds"] > 1:
        patch.setattr(run, "grows", True, raising=False)
    for study, rounds in ((STUDY, values["rounds"]), (OTHER, 1)):
        (home / f"params/ci/{study}.yaml").write_text("# Profile ci: seconds\n" + yaml.safe_dump(values | dict(rounds=rounds)))
    assert asdict(Config(**values)) == values
