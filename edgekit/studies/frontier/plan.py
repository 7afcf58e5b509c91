"""The frontier of accuracy and time: over models, precisions and ways to reason; and votes over parallel samples.

Answers are counted in processes that units share, since no clock is read there, and each item keeps how many tokens it took.
Times come from streams of known lengths and from real requests, in processes of their own; pools of drawn answers from one
question are what votes of any size are computed from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import tasks
from edgekit.catalog.engines import ENGINES
from edgekit.catalog.models import ModelSpec
from edgekit.compress import variant as variants
from edgekit.decode import budgets, parallel
from edgekit.decode.budgets import BudgetError, Mode
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.studies.cells import UNPACKED, Cell
from edgekit.studies.config import (
    PROMPT_FORM,
    MeasuringConfig,
    asking,
    cell_with,
    parameter,
    require_form,
    require_language,
    trained_for,
)
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import absent_unit, energy_unit, no_sensor, resolved, roofs_unit, speed_unit, study_run, timed_unit

STUDY = "09_frontier"
VERSION = 1
JOBS = "edgekit.studies.frontier.jobs"  # and the module whose name goes on behind it


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights, smallest first", each=trained_for("accuracy"), needed=1)
    cells: tuple[str, ...] = parameter("engine/weights in which they answer and are timed", each=cell_with(UNPACKED), needed=1)
    families: tuple[str, ...] = parameter("questions: pocket_chain, english, or lm-eval:NAME of a task that is generated",
                                          each=budgets.require_family, needed=1)
    prompt_form: Literal["plain", "chat"] = parameter(PROMPT_FORM)
    depths: tuple[int, ...] = parameter("steps of the questions of shipped families", least=1, needed=1)
    items_per_depth: int = parameter("questions of each depth, the same for all; of a task of lm-eval, all that are asked",
                                     least=2)
    most_tokens: int = parameter("most tokens of reasoning in full; less where the task allows less", least=2)
    answer_tokens: int = parameter("most tokens of an answer that is asked for behind a cut", least=1)
    hard_budgets: tuple[int, ...] = parameter("tokens after which reasoning is cut and an answer is asked for, below "
                                              "most_tokens", least=1)
    soft_budgets: tuple[int, ...] = parameter("tokens that the question asks for at most, which nothing enforces", least=1)
    trained_budgets: tuple[int, ...] = parameter("budgets of models that were trained on them: lines (pocket), tokens (L1)",
                                                 least=1)
    vote_models: tuple[str, ...] = parameter("models whose answers are drawn several times and voted on", some_of="models")
    vote_cells: tuple[str, ...] = parameter("engine/weights in which they are", some_of="cells")
    samples: int = parameter("answers drawn of each question: the pool of all votes on it", least=2)
    pools: int = parameter("such pools, each with another seed", least=1)
    temperature: float = parameter("of the draws", above=0)
    top_p: float = parameter("share of the probability that drawn tokens are cut to; 1: no cut", above=0, most=1)
    parallel: tuple[int, ...] = parameter("samples at a time, whose speed is measured for the voting models; 1 is what a gain "
                                          "is over", least=1)
    parallel_cells: tuple[str, ...] = parameter("engine/weights in which it is", each=cell_with(UNPACKED))
    prompt_tokens: tuple[int, ...] = parameter("prompt lengths of timed streams, in tokens, the shortest and the longest that "
                                               "questions have among them", least=1, needed=2)
    output_tokens: tuple[int, ...] = parameter("output lengths of timed streams, in tokens, at least 2", least=2, needed=1)
    timed_items: int = parameter("questions of each depth whose requests are timed in each way to reason; 0: none", least=0)
    repeats: int = parameter("processes for each timed unit, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)

    def check(self) -> None:
        require_form(self.prompt_form, self.models)
        shipped = [f"{name}_think" for name in self.families if tasks.is_shipped(name)]
        require_language(self.models, [*shipped, *(name for name in self.families if not tasks.is_shipped(name))])
        require(all(budget < self.most_tokens for budget in self.hard_budgets),
                f"hard_budgets: expected each below most_tokens ({self.most_tokens}), got {list(self.hard_budgets)}")
        require(bool(self.vote_models) == bool(self.vote_cells), "vote_models, vote_cells: expected both or none of them")
        require(not self.parallel_cells or 1 in self.parallel,
                f"parallel: expected 1 among the numbers of samples, which gains are over, got {list(self.parallel)}")
        require(all(number <= self.samples for number in self.parallel),
                f"parallel: expected at most samples ({self.samples}) each, got {list(self.parallel)}")

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The ways to reason that have a unit of their own; hard budgets cut what `think` wrote."""
        return (Mode(budgets.THINK), Mode(budgets.DIRECT), *(Mode(budgets.SOFT, n) for n in self.soft_budgets),
                *(Mode(budgets.TRAINED, n) for n in self.trained_budgets))


def plan(config: Config) -> Iterator[Unit]:
    """All units of the study."""
    config = config.with_threads()
    blind = no_sensor(config)
    if blind:
        yield blind
    specs, absent = resolved(config.models)
    for name, reason in absent.items():
        yield absent_unit(config, "reasoning", name, reason)
    for repeat in range(config.repeats):
        yield roofs_unit(config, repeat)
        for spec in specs.values():
            for cell in config.cells:
                yield from _timed(config, spec, cell, repeat, blind is None)
            for cell in config.parallel_cells if spec.name in config.vote_models else ():
                for samples in config.parallel:
                    yield _parallel(config, spec, cell, samples, repeat)
    for family in config.families:
        for spec in specs.values():
            for cell in config.cells:
                yield from (_answers(config, spec, cell, family, mode) for mode in config.modes)
                if spec.name in config.vote_models and cell in config.vote_cells:
                    yield from (_pool(config, spec, cell, family, pool) for pool in range(config.pools))


run = study_run(STUDY, VERSION, plan)


def _cell(spec: ModelSpec, cell: str) -> tuple[str, dict]:
    """(variant, {engine, dtype, refusal}) of a model in a cell."""
    of = Cell.parse(cell, UNPACKED)
    chain = of.chain(spec.name)
    return chain, dict(engine=of.engine, dtype=of.weights, refusal=of.refusal(chain))


def _timed(config: Config, spec: ModelSpec, cell: str, repeat: int, has_sensor: bool) -> Iterator[Unit]:
    """Streams of known lengths, energy where there is a sensor, and real requests in each way to reason."""
    chain, of = _cell(spec, cell)
    condition = dict(model=spec.name)
    yield speed_unit(config, condition, chain, dict.fromkeys(config.prompt_tokens, config.output_tokens), repeat, **of)
    if has_sensor:
        yield energy_unit(config, condition, chain, max(config.prompt_tokens), max(config.output_tokens), repeat, **of)
    refusal = of.pop("refusal") or _no_requests(of["engine"])
    # The requests check the times that the streams foretell: once is enough.
    for family in config.families if config.timed_items and not repeat else ():
        modes = [str(mode) for mode in (*config.modes, *(Mode(budgets.HARD, n) for n in config.hard_budgets))
                 if not _why_not(family, mode, spec.name)]
        asked = asking(config.prompt_form)
        work = _work(config, spec, family) | dict(modes=modes, items=config.timed_items, answer_tokens=config.answer_tokens)
        yield timed_unit(config, dict(task="requests", model=spec.name, domain=family, **asked), chain,
                         f"{JOBS}:measure_requests", work, repeat, tokens=MOST_CONTEXT, refusal=refusal, **of)


def _no_requests(engine: str) -> str | None:
    """Why no real requests are timed in an engine; None where they are."""
    return None if engine in engines.take_back() else (
        f"{engine}: it holds no text open to which the words behind a cut could be added, so real requests are not timed; "
        f"engines that do: {', '.join(engines.take_back())}")


def _why_not(family: str, mode: Mode, model: str) -> str | None:
    try:
        budgets.asked(family, mode, model)
    except BudgetError as error:
        return str(error)
    return None


def _work(config: Config, spec: ModelSpec, family: str) -> dict:
    """What all units have that ask a family of questions."""
    return dict(model=spec.name, family=family, items=config.items_per_depth, depths=list(config.depths),
                most_tokens=config.most_tokens, prompt_form=config.prompt_form)


def _answers(config: Config, spec: ModelSpec, cell: str, family: str, mode: Mode) -> Unit:
    hard = list(config.hard_budgets) if mode.kind == budgets.THINK else []
    work = _work(config, spec, family) | dict(mode=str(mode), hard_budgets=hard, answer_tokens=config.answer_tokens)
    return _asks(config, spec, cell, family, f"{JOBS}:measure_answers", work, dict(task="reasoning", mode=str(mode)),
                 _why_not(family, mode, spec.name))


def _pool(config: Config, spec: ModelSpec, cell: str, family: str, pool: int) -> Unit:
    at_once, context = max(config.parallel, default=config.samples), max(config.prompt_tokens) + config.most_tokens
    work = _work(config, spec, family) | dict(samples=config.samples, at_once=at_once, temperature=config.temperature,
                                              top_p=config.top_p, context=context, seed=config.seed + 1000 * pool)
    return _asks(config, spec, cell, family, f"{JOBS}:measure_pool", work, dict(task="pool"),
                 parallel.refusal(Cell.parse(cell, UNPACKED).engine), texts=at_once, context=context, repeat=pool)


def _asks(config: Config, spec: ModelSpec, cell: str, family: str, job: str, work: dict, named: dict, why_not: str | None, *,
          texts: int = 1, context: int = MOST_CONTEXT, repeat: int = 0) -> Unit:
    """A unit whose answers are counted and not timed."""
    chain, of = _cell(spec, cell)
    refusal = why_not or of["refusal"]
    where = dict(engine=of["engine"], dtype=of["dtype"], **config.where)
    names = [budgets.asked(family, Mode.parse(work.get("mode", budgets.THINK)), spec.name).task] if not why_not else []
    asked = asking(config.prompt_form)
    return Unit(dict(**named, model=spec.name, domain=family, **asked, **where), repeat, job,
                dict(variant=chain, **where, **work), f"{variants.content_hash(chain)} {engines.runtime(of['engine'])}",
                task_hash({**work, "hashes": {name: tasks.content_hash(name) for name in names}}), refusal,
                shared=ENGINES[of["engine"]].shares_process, variants=(chain,),
                holds=() if refusal else ((Held(chain, of["engine"], of["dtype"], texts * context, texts),),))


def _parallel(config: Config, spec: ModelSpec, cell: str, samples: int, repeat: int) -> Unit:
    chain, of = _cell(spec, cell)
    of["refusal"] = parallel.refusal_to_time(of["engine"]) or of["refusal"]
    prompt_tokens, output_tokens = max(config.prompt_tokens), max(config.output_tokens)
    work = dict(samples=samples, prompt_tokens=prompt_tokens, output_tokens=output_tokens, seed=config.seed)
    return timed_unit(config, dict(task="parallel", model=spec.name, batch=samples), chain,
                      f"{JOBS}_parallel:measure_parallel", work, repeat,
                      tokens=samples * (prompt_tokens + output_tokens), texts=samples, **of)
