"""Hybrid routing: which queries can stay on the device, what that saves, what it risks, and whether a router is worth it.

Both models, and any fixed model between them, answer the same items; the answers are recorded once and everything that routes
is learnt from them, judged on items that it never saw, and compared on the same items. Times are taken apart from answers, of
each model alone, in processes of their own. What the way to the cloud does to a query is in plan_cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit import engines
from edgekit.catalog import models, recorded_answers, tasks
from edgekit.compress import variant as variants
from edgekit.measure import energy
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import FEATURES, TEXT
from edgekit.studies.cells import Cell
from edgekit.studies.config import asking, known_model, parameter, require_form, require_language
from edgekit.studies.needs import Held
from edgekit.studies.routing.plan_cloud import LOOPBACK, CloudConfig, cloud_units, endpoint_asked, endpoint_unit
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import absent_unit, resolved, speed_unit, study_run

STUDY = "11_routing"
VERSION = 1
JOBS = "edgekit.studies.routing.jobs"


@dataclass(frozen=True, slots=True)
class Config(CloudConfig):
    """Parameters of the study."""

    fixed_models: tuple[str, ...] = parameter("models between the two, of which one alone may beat the router at equal cost",
                                              each=known_model)
    tasks: tuple[str, ...] = parameter("what both models are asked: shipped tasks, or humaneval, whose answers are run",
                                     each=tasks.require_recorded, needed=1)
    items_per_depth: int = parameter("items of each depth or level of each task, the same for every model", least=1)
    features: tuple[str, ...] = parameter("what the estimator sees: the text, or the confidence of the device's answer too",
                                          known=FEATURES, needed=1)
    folds: int = parameter("parts of the items; each is judged by an estimator of the others, of which one calibrates it",
                           least=3)
    steps: int = parameter("steps of an estimator's training, of 64 queries each", least=1)
    left_out: bool = parameter("whether each task is judged too by an estimator that saw none of it")
    replayed: tuple[str, ...] = parameter("published answers that are replayed, from the folder that EDGEKIT_DATA names",
                                          each=recorded_answers.require_known)
    replayed_items: int = parameter("most of them, drawn; 0: all", least=0)
    decisions: int = parameter("decisions of the estimator that are timed", least=1)
    decision_tokens: int = parameter("tokens of the query that they are timed on, by the device's tokenizer", least=1)
    timed_items: int = parameter("recorded answers, drawn, that each of the two models writes again under a clock", least=1)
    timed_models: tuple[str, ...] = parameter("models of which the longest answer within the time limit is looked for",
                                              each=known_model)
    prompt_tokens: int = parameter("prompt length for that, in tokens", least=1)
    output_tokens: tuple[int, ...] = parameter("output lengths for that, in tokens, at least 2", least=2, needed=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)
    repeats: int = parameter("processes for each timed model, in shuffled order", least=1)

    def check(self) -> None:
        CloudConfig.check(self)
        require(self.edge_model != self.cloud_model,
                f"cloud_model: expected another model than edge_model, got {self.edge_model}")
        here = list(self.answering)
        require_form(self.prompt_form, here)
        require_language(here, self.tasks)
        for name in here:
            if not models.is_hub_id(name):
                models.resolve(name).require_weights("accuracy")

    @property
    def answering(self) -> tuple[str, ...]:
        """The models that answer on this machine: the device's, the cloud's where it is here, and the fixed ones."""
        return tuple(dict.fromkeys((self.edge_model, *[self.cloud_model] * (self.cloud_url == LOOPBACK), *self.fixed_models)))


def plan(config: Config) -> Iterator[Unit]:
    """All units: recorded answers first, then what is learnt from them, the clocks, the replay of published answers, and the
    cloud."""
    config = config.with_threads()
    _, absent = resolved(dict.fromkeys((*config.answering, *config.timed_models)))
    for name, reason in absent.items():
        yield absent_unit(config, "answers", name, reason)
    for name in config.answering:
        if name not in absent:
            yield from (_answers(config, name, task) for task in config.tasks)
    if config.cloud_url != LOOPBACK:
        yield from (endpoint_unit(config, task, config.items_per_depth) for task in config.tasks)
    if not {config.edge_model, config.cloud_model} & set(absent):
        for features in config.features:
            yield _estimator(config, features)
        for repeat in range(config.repeats):
            yield from (_replies(config, name, repeat) for name in (config.edge_model, config.cloud_model)
                        if name in config.answering)
            yield _decisions(config, repeat)
    for repeat in range(config.repeats):
        yield from (_speed(config, name, repeat) for name in config.timed_models if name not in absent)
    for name in config.replayed:
        yield _replayed(config, name)
    yield from cloud_units(config)


run = study_run(STUDY, VERSION, plan)


def _recording(config: Config, name: str) -> dict:
    """The fields of answers.Recording of a model, but the task."""
    of = Cell.parse(config.cell)
    return dict(variant=of.chain(name), engine=of.engine, dtype=of.weights, threads=config.threads, device=config.device,
                items_per_depth=config.items_per_depth, prompt_form=config.prompt_form, confidence=name == config.edge_model)


def _task_hash(config: Config, work: dict) -> str:
    return task_hash({**work, "hashes": {name: tasks.content_hash(name) for name in config.tasks}})


def _unit(config: Config, condition: dict, names: tuple[str, ...], function: str, arguments: dict, work: dict, repeat: int = 0,
          **named) -> Unit:
    """A unit in the study's cell whose job opens or has opened these models."""
    of = Cell.parse(config.cell)
    chains = tuple(of.chain(name) for name in names)
    refusal = of.refusal(*chains) or engines.no_rollback(of.engine)
    artifact = "" if refusal else " ".join([*map(variants.content_hash, chains), str(engines.runtime(of.engine))])
    return Unit(dict(engine=of.engine, dtype=of.weights, **condition, **asking(config.prompt_form), **config.where), repeat,
                function, arguments, artifact, _task_hash(config, work), refusal, variants=chains,
                holds=() if refusal else ((Held(chains[0], of.engine, of.weights, MOST_CONTEXT),),), **named)


def _answers(config: Config, name: str, task: str) -> Unit:
    recording = dict(task=task, **_recording(config, name))
    return _unit(config, dict(task="answers", model=name, task_name=task), (name,), "edgekit.measure.answers:measure_answers",
                 recording, recording, shared=True, first=True)


def _estimator(config: Config, features: str) -> Unit:
    here = config.cloud_url == LOOPBACK
    edge = _recording(config, config.edge_model)
    cloud = _recording(config, config.cloud_model) if here else endpoint_asked(config, config.items_per_depth)
    work = dict(tasks=list(config.tasks), features=features, folds=config.folds, steps=config.steps, seed=config.seed,
                left_out=config.left_out)
    return _unit(config, dict(task="estimator", model=config.edge_model, cloud=config.cloud_model, features=features),
                 (config.edge_model, config.cloud_model)[:1 + here], f"{JOBS}:measure_estimator",
                 dict(edge=edge, cloud=cloud, **work, **config.where), dict(edge=edge, cloud=cloud, **work), shared=True)


def _replies(config: Config, name: str, repeat: int) -> Unit:
    work = dict(recording=_recording(config, name), tasks=list(config.tasks), items=config.timed_items,
                seed=config.seed + repeat, warmups=config.warmups)
    return _unit(config, dict(task="reply", model=name), (name,), f"{JOBS}_times:measure_replies", work, work, repeat)


def _decisions(config: Config, repeat: int) -> Unit:
    """On one core, whatever the models have."""
    config = config.with_threads(1)
    work = dict(recording=_recording(config, config.edge_model), tasks=list(config.tasks), tokens=config.decision_tokens,
                decisions=config.decisions, seed=config.seed)
    sensed = not isinstance(energy.sensors(config.device), energy.Unavailable)
    return _unit(config, dict(task="decision", model=config.edge_model), (config.edge_model,),
                 f"{JOBS}_times:measure_decisions", dict(**work, sensed=sensed), work, repeat)


def _speed(config: Config, name: str, repeat: int) -> Unit:
    of = Cell.parse(config.cell)
    chain = of.chain(name)
    return speed_unit(config, dict(model=name), chain, {config.prompt_tokens: list(config.output_tokens)}, repeat,
                      engine=of.engine, dtype=of.weights, refusal=of.refusal(chain))


def _replayed(config: Config, name: str) -> Unit:
    """No model is opened: only the estimator learns, and the answers are the published ones."""
    work = dict(name=name, items=config.replayed_items, folds=config.folds, steps=config.steps, seed=config.seed)
    refusal = None if engines.are_assumed() else recorded_answers.absence(name)
    artifact = "" if refusal or engines.are_assumed() else recorded_answers.content_hash(name)
    return Unit(dict(task="replay", model=recorded_answers.WEAK, cloud=recorded_answers.STRONG, features=TEXT, recorded=name,
                     **config.where), 0, f"{JOBS}:measure_replayed", dict(**work, **config.where), artifact, task_hash(work),
                refusal, shared=True, source="replayed", reads=((name, artifact),) if artifact else ())
