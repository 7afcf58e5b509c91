"""The search over chains of the pipeline: its space, and which evaluations the rows so far ask for next.

A variant is measured a little, the better ones more (analyze/halving.py). Each evaluation is a unit with rows of its own, and
what comes next is computed from rows alone, so a search that was killed goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgekit import store
from edgekit.analyze import halving
from edgekit.analyze.halving import Schedule, Seen, State
from edgekit.catalog import prompts, tasks
from edgekit.compress import variant as variants
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import BITS, LOOKUP, NONE, PRUNE_FIRST, PRUNING, QUANTIZE_FIRST, RUNTIME, techniques
from edgekit.studies.cells import FLOATS, Cell
from edgekit.studies.config import asking
from edgekit.studies.pipeline import tables_search
from edgekit.studies.pipeline.plan_stages import shaped
from edgekit.studies.pipeline.plan_units import with_drafts
from edgekit.studies.runner import Unit, keys_of, task_hash
from edgekit.studies.units import by_depth, timed_unit

ORDERS = (PRUNE_FIRST, QUANTIZE_FIRST)
RUNGS = ("search_items", "search_prompts", "search_limits_s")  # parameters with a value a rung


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant of the search. order: NONE where it is not both pruned and quantized."""

    weights: str
    pruning: str = NONE
    order: str = NONE
    draft: str = NONE
    length: int = 0

    @property
    def name(self) -> str:
        return tables_search.named(self.weights, self.pruning, self.order, self.draft, self.length)

    def condition(self, config) -> dict:
        """Its coordinates."""
        used = [RUNTIME] + [BITS] * (self.weights not in FLOATS) + [PRUNING] * (self.pruning != NONE)
        return dict(model=config.model, techniques=techniques(used), weights=self.weights, pruning=self.pruning,
                    learning=NONE if self.pruning == NONE else config.healing, order=self.order, draft=self.draft,
                    length=self.length)

    def chain(self, config) -> str:
        """The variant that the fast runtime loads. What was quantized first is pruned as floats that lie on the quantized
        grid, and stored in the same format again."""
        start = shaped(config, self.pruning, self.weights not in FLOATS)
        if self.order == QUANTIZE_FIRST:
            made = variants.parse(start)
            before = [str(step) for step in made.steps]
            at = next(place for place, step in enumerate(made.steps) if step.name == "pruned")
            quantized = [f"gguf_quantized(type={self.weights})", "dequantized()"]
            start = " > ".join([made.model, *before[:at], *quantized, *before[at:]])
        return Cell(engine_of(config), self.weights).chain(start, config.group)

    def draft_chain(self, config) -> str:
        """What the runtime opens as its draft; NONE, and the lookup, which opens nothing, are themselves."""
        return self.draft if self.draft in (NONE, LOOKUP) else Cell(engine_of(config), config.draft_weights).chain(self.draft)


def engine_of(config) -> str:
    """The fast runtime."""
    return Cell.parse(config.fast_cell).engine


def check(config) -> None:
    """Raise ParamsError for a search that cannot be."""
    rungs = [len(getattr(config, name)) for name in RUNGS]
    require(len(set(rungs)) == 1, f"{', '.join(RUNGS)}: expected a value a rung each, got {rungs} values")
    if not config.search_weights:
        return
    whole = Cell.parse(config.fast_cell).weights
    require(rungs[0] > 0 and bool(config.search_orders), f"{RUNGS[0]}, search_orders: expected at least one, where "
                                                         "search_weights asks for a search")
    require(bool(config.tasks), "tasks: a search needs problems, which say what a variant loses")
    for name in RUNGS:
        values = getattr(config, name)
        require(list(values) == sorted(set(values)), f"{name}: expected more on each rung than on the one before, got {values}")
    require(all(weights == whole or weights not in FLOATS for weights in config.search_weights),
            f"search_weights: expected GGUF types or {whole}, that of fast_cell, which is what losses are against; got "
            f"{list(config.search_weights)}")
    require(bool(config.search_drafts) == bool(config.search_lengths),
            "search_drafts, search_lengths: expected both or none of them")
    require(config.search_budget_s >= sum(config.search_limits_s),
            f"search_budget_s: expected at least the sum of search_limits_s, {sum(config.search_limits_s):g} s, got "
            f"{config.search_budget_s:g}")


def space(config) -> list[Candidate]:
    """Every variant: the model as it is in the fast runtime first, then all weights, prunings, orders, and drafts with their
    lengths, in an order that `seed` draws, so that no kind of them is the last where time runs out."""
    drafts = [(NONE, 0), *((draft, length) for draft in config.search_drafts for length in config.search_lengths)]
    found = [Candidate(Cell.parse(config.fast_cell).weights)]
    for weights in config.search_weights:
        for pruning in (NONE, *config.search_prunings):
            orders = config.search_orders if pruning != NONE and weights not in FLOATS else (NONE,)
            found += [Candidate(weights, pruning, order, draft, length) for order in orders for draft, length in drafts]
    whole, *others = dict.fromkeys(found)
    random.Random(config.seed).shuffle(others)
    return [whole, *others]


def search_units(config, study: str, version: int) -> Iterator[Unit]:
    """The evaluations that the rows in the profile's file ask for: those that were made and counted, and what comes next; and,
    once a rung, for how many no time was left."""
    if not config.search_weights:
        return
    candidates = {one.name: one for one in space(config)}
    hashes = {name: tasks.content_hash(name) for name in config.tasks} | {
        name: prompts.content_hash(name) for name in config.domains}
    units = {(name, rung): unit for name, one in candidates.items() for rung, unit in enumerate(_units(config, one, hashes))}
    now = _state(config, list(candidates), units, study, version)
    for rung, (counted, unreached) in enumerate(zip(now.counted, now.unreached, strict=True)):
        yield from (units[name, rung] for name in counted)
        if unreached:
            yield Unit(dict(task="search", model=config.model, rung=rung, **config.where), 0, "", {}, "", "",
                       refusal=f"search_budget_s ({config.search_budget_s:g} s in all) left no time for {len(unreached)} of "
                               f"{len(counted) + len(unreached)} variants: {'; '.join(unreached)}")
    yield from (units[name, now.rung] for name in now.ahead)


def _state(config, names: list[str], units: dict[tuple[str, int], Unit], study: str, version: int) -> State:
    """How far the search is by the rows of the profile's file."""
    keys = {key: at for at, unit in units.items() for key in keys_of(study, version, [unit])}
    path = store.runs_folder(config.profile) / f"{study}.jsonl"
    seen: dict[tuple[str, int], Seen | None] = {
        keys[key]: None for key, skip in store.finished(path)[1].items() if key in keys}
    seen |= tables_search.seen(tables_search.evaluation_table(store.to_frame(store.rows_of(path, keys))))
    schedule = Schedule(config.search_limits_s, tables_search.KEEP, tables_search.LOSSES, config.search_budget_s)
    return halving.state(names, schedule, seen)


def _units(config, one: Candidate, hashes: Mapping[str, str]) -> Iterator[Unit]:
    """The evaluations of a variant, one a rung, each in a process of its own, which builds what it needs: its time, and the
    limit of that, are all of it. `hashes`: of the tasks and prompts that it is asked."""
    of, asked, chain = Cell(engine_of(config), one.weights), asking(config.prompt_form), one.chain(config)
    work = dict(draft=one.draft, draft_variant=one.draft_chain(config), length=one.length, domains=list(config.domains),
                output_tokens=config.output_tokens, tasks=by_depth(config.tasks, config.depths), **asked)
    drafts = [] if one.draft in (NONE, LOOKUP) else [(one.draft, work["draft_variant"])]
    condition = dict(task="search", **one.condition(config), **asked)
    unit = timed_unit(config, condition, chain, "edgekit.studies.pipeline.jobs_search:measure_candidate", work, 0,
                      tokens=MOST_CONTEXT, engine=of.engine, dtype=of.dtype(config.activations),
                      refusal=of.refusal(chain, *(draft for _, draft in drafts)))
    unit = with_drafts(unit, drafts)
    for rung, (items, count, most_s) in enumerate(zip(*(getattr(config, name) for name in RUNGS), strict=True)):
        more = dict(prompts=count, items_per_depth=items)
        yield dataclasses.replace(unit, condition=unit.condition | dict(rung=rung), arguments=unit.arguments | more, makes=True,
                                  task=task_hash({**work, **more, "hashes": hashes, "most_s": most_s}), most_s=most_s)
