"""The instrument itself: what the pocket models can do by size, and where they behave like real models.

Accuracy by task and depth, excess loss on prose, activation peaks, the loss by round-to-nearest at 8 to 2 bits, and the
acceptance between all pairs. Nothing is timed, so a busy machine does no harm; everything is seeded and greedy or drawn
from seeded numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines, store
from edgekit.catalog import models, tasks
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.catalog.tasks import TaskError
from edgekit.compress import rtn
from edgekit.compress import variant as variants
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_limits, require_profile_name
from edgekit.schema import DTYPE, ENGINE
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "01_scale_models"
# A change of what is measured must change it: old rows are then never reused.
VERSION = 1
CHAIN = "pocket_chain_"
DOMAINS = ("chain think", "chain direct", "prices", "tracking", "letters", "prose")


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of the study; the notebook's parameters cell says what each is, with its unit."""

    profile: str
    seed: int
    device: Literal["cpu", "cuda", "mps"]
    threads: int
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    items_per_depth: int
    stories: int
    rounded_models: tuple[str, ...]
    bits: tuple[int, ...]
    groups: tuple[int, ...]
    rounded_tasks: tuple[str, ...]
    rounded_depths: tuple[int, ...]
    rounded_items: int
    rounded_stories: int
    domains: tuple[str, ...]
    prompts: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("models", "tasks", "rounded_models", "bits", "groups", "rounded_tasks", "rounded_depths",
                                 "domains"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require(len(self.models) >= 2, f"models: expected at least two to compare, got {list(self.models)}")
        require(set(self.rounded_models) <= set(self.models),
                f"rounded_models: expected some of models, got {list(self.rounded_models)}")
        require(bool(self.tasks), "tasks: expected at least one")
        require(bool(self.rounded_tasks) and set(self.rounded_tasks) <= set(self.tasks),
                f"rounded_tasks: expected some of tasks, whose unrounded answers they are paired with, got "
                f"{list(self.rounded_tasks)}")
        require(all(bits in rtn.BITS for bits in self.bits), f"bits: expected {rtn.BITS[0]} to {rtn.BITS[-1]}, got {self.bits}")
        require(all(group >= 1 for group in self.groups), f"groups: expected at least 1 weight, got {self.groups}")
        require(1 <= self.rounded_items <= self.items_per_depth,
                f"rounded_items: expected 1 to items_per_depth ({self.items_per_depth}), got {self.rounded_items}")
        require(1 <= self.rounded_stories <= self.stories,
                f"rounded_stories: expected 1 to stories ({self.stories}), got {self.rounded_stories}")
        require(set(self.domains) <= set(DOMAINS), f"domains: expected some of {', '.join(DOMAINS)}, got {self.domains}")
        require(self.prompts >= 2, f"prompts: expected at least two, an interval needs them, got {self.prompts}")
        try:
            for name in self.tasks:
                tasks.load(name)
            tasks.stories(self.stories)
            specs = [models.resolve(name) for name in self.models]
            for spec in specs:
                spec.require_weights("accuracy")
        except (ModelError, TaskError) as error:
            raise ParamsError(str(error)) from error
        for spec in specs:
            require(spec.name not in self.rounded_models or bool(groups_of(self, spec)),
                    f"groups: none of {list(self.groups)} divides the widths of {spec.name}; these do: "
                    f"{rtn.groups_that_fit(spec.architecture)}")


def groups_of(config: Config, spec: ModelSpec) -> list[int]:
    """The groups that divide every input width of a model; a larger one is left out for a narrow model."""
    widths = rtn.input_widths(spec.architecture).values()
    return [group for group in config.groups if all(width % group == 0 for width in widths)]


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config)))


def plan(config: Config) -> Iterator[Unit]:
    """All units: each model as it is, each rounded, and all pairs at once."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    specs = [models.resolve(name) for name in config.models]
    hashes = {name: tasks.load(name).hash for name in config.tasks} | {"prose": store.hash_files([tasks.prose_file()])}
    cell = dict(engine=ENGINE, dtype=DTYPE, threads=config.threads, device=config.device)

    def unit(kind: str, job: str, artifact: str, work: dict, **named) -> Unit:
        asked = task_hash({**work, "hashes": hashes})
        return Unit(dict(task=kind, **named, **cell), 0, f"edgekit.measure.{job}", {**cell, **work}, artifact, asked)

    runtime = engines.runtime(ENGINE)
    for spec in specs:
        artifact = f"{variants.content_hash(spec.name)} {runtime}"
        work = dict(variant=spec.name, tasks=list(config.tasks), items_per_depth=config.items_per_depth,
                    stories=config.stories)
        yield unit("ladder", "scale:measure_ladder", artifact, work, model=spec.name)
        if spec.name in config.rounded_models:
            depths = {name: list(config.rounded_depths) if name.startswith(CHAIN) else None for name in config.rounded_tasks}
            work = dict(variant=spec.name, bits=list(config.bits), groups=groups_of(config, spec), tasks=depths,
                        items_per_depth=config.rounded_items, stories=config.rounded_stories)
            # What building would write is part of the address, so a change of the rounding measures anew.
            made = " ".join(variants.content_hash(f"{spec.name} > rtn(bits={bits}, group={group})")
                            for group in work["groups"] for bits in config.bits)
            yield unit("rounded", "scale:measure_rounded", f"{task_hash({'made': made})} {runtime}", work, model=spec.name)
    if config.domains:
        work = dict(models=list(config.models), domains=list(config.domains), prompts=config.prompts, seed=config.seed)
        artifact = " ".join([*(variants.content_hash(name) for name in config.models), runtime])
        yield unit("acceptance", "acceptance:measure_acceptance", artifact, work)
