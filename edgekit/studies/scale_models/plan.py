"""The instrument itself: what the pocket models can do by size, and where they behave like real models.

Accuracy by task and depth, excess loss on prose, activation peaks, the loss by round-to-nearest at 8 to 2 bits, and the
acceptance between all pairs. Nothing is timed, so a busy machine does no harm; everything is seeded and greedy or drawn
from seeded numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit import engines, store
from edgekit.catalog import models, tasks
from edgekit.catalog import prompts as catalog
from edgekit.catalog.models import ModelSpec
from edgekit.compress import rtn
from edgekit.compress import variant as variants
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import DTYPE, ENGINE, REFERENCE
from edgekit.studies.config import MeasuringConfig, parameter, require_language, trained_for
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import by_depth, study_run

STUDY = "01_scale_models"
VERSION = 1
JOBS = "edgekit.studies.scale_models.jobs"


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights, at least two to compare", needed=2,
                                        each=trained_for("accuracy"))
    tasks: tuple[str, ...] = parameter("shipped tasks", needed=1, each=tasks.load)
    items_per_depth: int = parameter("items of each depth or level of each task, at most 150")
    stories: int = parameter("test stories whose excess loss is measured, at most 300",
                             each=lambda count: tasks.stories(count))
    rounded_models: tuple[str, ...] = parameter("models that are also rounded", some_of="models")
    bits: tuple[int, ...] = parameter(f"bits of a rounded weight, {rtn.BITS[0]} to {rtn.BITS[-1]}", least=rtn.BITS[0],
                                      most=rtn.BITS[-1])
    groups: tuple[int, ...] = parameter("weights that share a scale; left out for a model whose widths it does not divide",
                                        least=1)
    rounded_tasks: tuple[str, ...] = parameter("tasks that rounded models answer, some of tasks, whose answers they are paired "
                                               "with", needed=1, some_of="tasks")
    rounded_depths: tuple[int, ...] = parameter("depths of their word problems, in steps; other tasks keep all levels")
    rounded_items: int = parameter("items of each of these depths and levels, at most items_per_depth", least=1)
    rounded_stories: int = parameter("stories for them, at most `stories`", least=1)
    domains: tuple[str, ...] = parameter("sets of prompts, by name, or a .jsonl file, on which acceptance is measured",
                                         each=catalog.require_known)
    prompts: int = parameter("prompts of each of these domains, at least 2 (an interval needs them)", least=2)

    def check(self) -> None:
        require_language(self.models, (catalog.STORIES, *self.tasks, *self.domains))
        require(self.rounded_items <= self.items_per_depth,
                f"rounded_items: expected 1 to items_per_depth ({self.items_per_depth}), got {self.rounded_items}")
        require(self.rounded_stories <= self.stories,
                f"rounded_stories: expected 1 to stories ({self.stories}), got {self.rounded_stories}")
        for spec in map(models.resolve, self.rounded_models):
            require(bool(groups_of(self, spec)),
                    f"groups: none of {list(self.groups)} divides the widths of {spec.name}; these do: "
                    f"{rtn.groups_that_fit(spec.architecture)}")


def groups_of(config: Config, spec: ModelSpec) -> list[int]:
    """The groups that divide every input width of a model; a larger one is left out for a narrow model."""
    widths = rtn.input_widths(spec.architecture).values()
    return [group for group in config.groups if all(width % group == 0 for width in widths)]


def plan(config: Config) -> Iterator[Unit]:
    """All units: each model as it is, each rounded, and all pairs at once."""
    config = config.with_threads()
    specs = [models.resolve(name) for name in config.models]
    hashes = {name: tasks.load(name).hash for name in config.tasks} | {"prose": store.hash_files([tasks.prose_file()])}
    cell = dict(engine=ENGINE, dtype=DTYPE, **config.where)

    def unit(kind: str, job: str, artifact: str, work: dict, opens: tuple[str, ...], holds=None, told=hashes,
             **named) -> Unit:
        asked = task_hash({**work, "hashes": told})
        return Unit(dict(task=kind, **named, **cell), 0, job, {**cell, **work}, artifact, asked, shared=True, variants=opens,
                    holds=holds or (tuple(Held(name, *REFERENCE, MOST_CONTEXT) for name in opens),))

    runtime = engines.runtime(ENGINE)
    for spec in specs:
        artifact = f"{variants.content_hash(spec.name)} {runtime}"
        work = dict(variant=spec.name, tasks=list(config.tasks), items_per_depth=config.items_per_depth,
                    stories=config.stories)
        yield unit("ladder", f"{JOBS}:measure_ladder", artifact, work, (spec.name,), model=spec.name)
        if spec.name in config.rounded_models:
            work = dict(variant=spec.name, bits=list(config.bits), groups=groups_of(config, spec),
                        tasks=by_depth(config.rounded_tasks, config.rounded_depths),
                        items_per_depth=config.rounded_items, stories=config.rounded_stories)
            # What building would write is part of the address, so a change of the rounding measures anew.
            rounded = [f"{spec.name} > rtn(bits={bits}, group={group})" for group in work["groups"] for bits in config.bits]
            made = " ".join(map(variants.content_hash, rounded))
            yield unit("rounded", f"{JOBS}:measure_rounded", f"{task_hash({'made': made})} {runtime}", work, (spec.name,),
                       tuple((Held(chain, *REFERENCE, MOST_CONTEXT),) for chain in rounded), model=spec.name)
    if config.domains:
        work = dict(models=list(config.models), domains=list(config.domains), prompts=config.prompts, seed=config.seed)
        artifact = " ".join([*(variants.content_hash(name) for name in config.models), runtime])
        # Those of the pocket language are hashed with the tasks that they come from.
        more = {name: catalog.content_hash(name) for name in config.domains if name not in catalog.POCKET}
        yield unit("acceptance", "edgekit.measure.acceptance:measure_acceptance", artifact, work, config.models,
                   told=hashes | more)


run = study_run(STUDY, VERSION, plan)
