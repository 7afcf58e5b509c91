"""Units of one stage: its requests timed, their energy, and its answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from edgekit import engines
from edgekit.catalog import prompts, tasks
from edgekit.catalog.engines import ENGINES
from edgekit.compress import variant as variants
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import DRAFT, LOOKUP, NONE, TECHNIQUES
from edgekit.studies.config import asking
from edgekit.studies.needs import Held
from edgekit.studies.pipeline.plan_stages import Stage, drafting
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import by_depth, timed_unit

JOBS = "edgekit.studies.pipeline.jobs"


def stage_units(config, stage: Stage, blind: bool) -> Iterator[Unit]:
    """Times of a stage in each repeat, plainly and with every draft in one process; energy where there is a sensor."""
    drafts = drafting(config, stage)
    where = stage.where(config)
    asked = asking(config.prompt_form)
    if config.drafts and not drafts:
        yield Unit(dict(task="stages", **stage.condition(config), draft=DRAFT, engine=where["engine"], dtype=where["dtype"],
                        **config.where), 0, "", {}, "", "", refusal=engines.no_rollback(stage.cell.engine))
    work = dict(drafts=[list(one) for one in drafts], lengths=list(config.draft_lengths), domains=list(config.domains),
                prompts=config.prompts, output_tokens=config.output_tokens, first_token_prompt=config.first_token_prompt,
                seed=config.seed, **asked)
    for task, job in (("stages", "measure_stage"), *([] if blind else [("energy", "measure_stage_energy")])):
        for repeat in range(config.repeats):
            unit = timed_unit(config, dict(task=task, **stage.condition(config), **asked), stage.chain(config), f"{JOBS}:{job}",
                              work, repeat, tokens=MOST_CONTEXT, **where)
            hashes = {domain: prompts.content_hash(domain) for domain in config.domains}
            yield with_drafts(dataclasses.replace(unit, task=task_hash({**work, "texts": hashes})), drafts)


def answer_units(config, stage: Stage) -> Iterator[Unit]:
    """Answers of a stage; where it has all that comes before drafting, with each draft too, at the longest length."""
    drafts = drafting(config, stage) if set(stage.used) == set(TECHNIQUES) - {DRAFT} else []
    where, chain, asked = stage.where(config), stage.chain(config), asking(config.prompt_form)
    refusal = where.pop("refusal")
    work = dict(tasks=by_depth(config.tasks, config.depths), items_per_depth=config.items_per_depth, **asked)
    hashes = {name: tasks.content_hash(name) for name in config.tasks}
    for name, drafted in [(NONE, NONE), *drafts] if config.tasks else ():
        length = 0 if name == NONE else max(config.draft_lengths)
        more = work | dict(draft=drafted, length=length)
        condition = dict(task="accuracy", **stage.condition(config), draft=name, length=length, **asked)
        unit = Unit(condition | where | config.where, 0, f"{JOBS}:measure_answers",
                    dict(variant=chain, **where, **config.where, **more),
                    f"{variants.content_hash(chain)} {engines.runtime(where['engine'])}", task_hash({**more, "hashes": hashes}),
                    refusal, shared=ENGINES[where["engine"]].shares_process, variants=(chain,),
                    holds=() if refusal else ((Held(chain, where["engine"], where["dtype"], MOST_CONTEXT),),))
        yield with_drafts(unit, [] if name == NONE else [(name, drafted)])


def with_drafts(unit: Unit, drafts: list[tuple[str, str]]) -> Unit:
    """A unit with the variants that draft: built before it, part of its key, and in memory beside its own."""
    chains = [chain for _, chain in drafts if chain != LOOKUP]
    if not chains or unit.refusal:
        return unit
    beside = tuple(Held(chain, unit.condition["engine"], unit.condition["dtype"], MOST_CONTEXT) for chain in chains)
    return dataclasses.replace(unit, artifact=" ".join([unit.artifact, *map(variants.content_hash, chains)]),
                               variants=(*unit.variants, *chains), holds=tuple((*held, *beside) for held in unit.holds))
