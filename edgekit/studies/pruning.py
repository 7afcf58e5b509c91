"""Structured pruning: which heads and neurons can go, what that costs, and what it really saves.

Quality is that of the pruned model in the reference engine against the whole one, on the same texts and problems. What is saved
is counted from the sizes of the pruned model and measured with the clock on sliced models, whole and pruned in turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import models, tasks, texts
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.catalog.tasks import TaskError
from edgekit.compress import calibration, removal, saliency
from edgekit.compress import variant as variants
from edgekit.compress.artifact import BuildError
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_known, require_limits, require_profile_name
from edgekit.schema import DTYPE, ENGINE, NONE
from edgekit.studies.cells import FLOATS, Cell
from edgekit.studies.cuts import Cut, ablations, compared, sweep
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "04_pruning"
# A change of what is measured must change it: old rows are then never reused.
VERSION = 1
CHAIN = "pocket_chain_"  # tasks that have depths


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of the study; the notebook's parameters cell says what each is, with its unit."""

    profile: str
    seed: int
    device: Literal["cpu", "cuda", "mps"]
    threads: int
    models: tuple[str, ...]
    heads: float
    mlp: float
    multiple: int
    scores: tuple[str, ...]
    calibration: str
    samples: int
    length: int
    calibration_seeds: tuple[int, ...]
    random_seeds: tuple[int, ...]
    ablated_models: tuple[str, ...]
    ablated_scores: tuple[str, ...]
    ablated_rounds: tuple[int, ...]
    sweep_models: tuple[str, ...]
    sweep_score: str
    sweep_heads: tuple[float, ...]
    sweep_mlp: tuple[float, ...]
    ranking_models: tuple[str, ...]
    ranking_scores: tuple[str, ...]
    ranking_samples: tuple[int, ...]
    ranking_most: int
    stream: str
    texts: int
    blocks: int
    tasks: tuple[str, ...]
    depths: tuple[int, ...]
    items_per_depth: int
    counted_models: tuple[str, ...]
    speed_models: tuple[str, ...]
    speed_cells: tuple[str, ...]
    prompt_tokens: tuple[int, ...]
    output_tokens: int
    batch_cells: tuple[str, ...]
    batches: tuple[int, ...]
    repeats: int
    warmups: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("models", "scores", "calibration_seeds", "random_seeds", "ablated_models", "ablated_scores",
                                 "ablated_rounds", "sweep_models", "sweep_heads", "sweep_mlp", "ranking_models",
                                 "ranking_scores", "ranking_samples", "tasks", "depths", "counted_models", "speed_models",
                                 "speed_cells", "prompt_tokens", "batch_cells", "batches"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require_known("scores", self.scores, saliency.METHODS)
        for name in ("ablated_scores", "ranking_scores"):
            require_known(name, getattr(self, name), saliency.RUNNING)
        require_known("sweep_score", [self.sweep_score], saliency.RUNNING)
        for name in ("ablated_models", "sweep_models", "ranking_models"):
            require_known(name, getattr(self, name), self.models)
        require_known("batch_cells", self.batch_cells, self.speed_cells)
        require(bool(self.models) and bool(self.scores) and bool(self.calibration_seeds),
                "models, scores, calibration_seeds: expected at least one each")
        require("random" not in self.scores or bool(self.random_seeds), "random_seeds: expected at least one for random scores")
        require(self.heads > 0 or self.mlp > 0, "heads, mlp: expected at least one above 0: the point where something goes")
        require(2 <= self.blocks <= self.texts, f"blocks: expected 2 to texts ({self.texts}), got {self.blocks}")
        require(all(rounds > 1 for rounds in self.ablated_rounds),
                f"ablated_rounds: expected more than 1 each (1 is the comparison itself), got {self.ablated_rounds}")
        require(bool(self.ranking_samples) or not self.ranking_models, "ranking_samples: expected at least one")
        require(bool(self.prompt_tokens) and all(n >= 1 for n in self.prompt_tokens) and self.output_tokens >= 2,
                "prompt_tokens: expected at least one, each at least 1; output_tokens at least 2 (TPOT needs a second token)")
        require(all(n > 1 for n in self.batches), f"batches: expected more than 1 each (1 is timed anyway), got {self.batches}")
        require(all(n >= 1 for n in (self.multiple, self.ranking_most, self.repeats, self.warmups,
                                     self.items_per_depth)),
                "multiple, ranking_most, repeats, warmups, items_per_depth: expected at least 1")
        require(bool(self.batches) == bool(self.batch_cells), "batch_cells, batches: expected both or none of them")
        for cell in self.speed_cells:
            Cell.parse(cell, FLOATS)
        try:
            for name, shares in (("heads", (self.heads, *self.sweep_heads)), ("mlp", (self.mlp, *self.sweep_mlp))):
                for share in shares:
                    removal.require_ratio(name, share)
            for name in self.tasks:
                tasks.require_known(name)
            texts.load(self.stream, self.texts)
            calibration.Calibration(self.calibration, self.samples, self.length, 0)
            for name in (name for name in self._named() if not models.is_hub_id(name)):
                spec = models.resolve(name)
                if name in self.models:
                    spec.require_weights("divergence")
        except (ModelError, TaskError, BuildError) as error:
            raise ParamsError(str(error)) from error

    def _named(self) -> list[str]:
        return list(dict.fromkeys((*self.models, *self.counted_models, *self.speed_models)))


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config)))


def plan(config: Config) -> Iterator[Unit]:
    """All units: losses by way to prune, rankings by calibration size, sizes, and speed of whole and pruned models in turn."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    where = dict(threads=config.threads, device=config.device)
    specs = {}
    for name in config._named():
        try:
            specs[name] = models.resolve(name)
        except ModelError as error:
            yield Unit(dict(task="loss", model=name, **where), 0, "", {}, "", "", refusal=str(error), planned=False)
    for spec in (specs[name] for name in config.models if name in specs):
        cuts = [Cut(NONE, 0, 0), *compared(config)]
        cuts += ablations(config) if spec.name in config.ablated_models else ()
        cuts += sweep(config) if spec.name in config.sweep_models else ()
        for cut in dict.fromkeys(cuts):
            yield _loss(config, spec, cut)
        for seed in config.calibration_seeds if spec.name in config.ranking_models else ():
            yield _ranking(config, spec, seed)
    point = Cut("random", config.heads, config.mlp, calibration_seed=0)  # speed and sizes do not depend on which units go
    for spec in specs.values():
        for cut in (Cut(NONE, 0, 0), point):
            yield _sizes(config, spec, cut)
    timed = [specs[name] for name in config.speed_models if name in specs]
    for repeat in range(config.repeats):
        for spec in timed:
            for cut in (Cut(NONE, 0, 0), point):
                for cell in config.speed_cells:
                    yield _speed(config, spec, cut, cell, repeat)
                for cell in config.batch_cells:
                    yield _batches(config, spec, cut, cell, repeat)


def _loss(config: Config, spec: ModelSpec, cut: Cut) -> Unit:
    """A pruned model against the whole one in the reference engine."""
    chain = cut.chain(spec.name, config.length, config.multiple)
    depths = {name: list(config.depths) if name.startswith(CHAIN) else None for name in config.tasks}
    work = dict(base=spec.name, stream=config.stream, texts=config.texts, blocks=config.blocks, tasks=depths,
                items_per_depth=config.items_per_depth)
    hashes = {name: tasks.content_hash(name) for name in config.tasks} | {"stream": texts.stream_hash(config.stream)}
    where = dict(engine=ENGINE, dtype=DTYPE, threads=config.threads, device=config.device)
    refusal = cut.refusal(spec, config.multiple)
    artifact = "" if refusal else f"{variants.content_hash(chain)} {engines.runtime(ENGINE)}"
    job = "edgekit.measure.quantized:measure_loss" if cut.score == NONE else "edgekit.measure.pruned:measure_pruned"
    return Unit(dict(task="loss", model=spec.name, **cut.condition(), **where), 0, job, dict(chain=chain, **where, **work),
                artifact, task_hash({**work, "hashes": hashes}), refusal, shared=True)


def _ranking(config: Config, spec: ModelSpec, seed: int) -> Unit:
    work = dict(scores=list(config.ranking_scores), samples=list(config.ranking_samples), most=config.ranking_most,
                calibration=config.calibration, length=config.length, seed=seed)
    drawn = calibration.Calibration(config.calibration, config.ranking_most, config.length, seed)
    where = dict(threads=config.threads, device=config.device)
    return Unit(dict(task="ranking", model=spec.name, calibration=config.calibration, calibration_seed=seed, **where), 0,
                "edgekit.measure.pruned:measure_ranking", dict(model=spec.name, **where, **work),
                variants.content_hash(spec.name), task_hash({**work, "drawn": drawn.hash}), shared=True)


def _sizes(config: Config, spec: ModelSpec, cut: Cut) -> Unit:
    work = dict(heads=cut.heads, mlp=cut.mlp, multiple=config.multiple)
    condition = dict(task="shape", model=spec.name, heads=cut.heads, mlp=cut.mlp, threads=config.threads, device=config.device)
    return Unit(condition, 0, "edgekit.measure.pruned:measure_shape", dict(model=spec.name, **work), spec.identity,
                task_hash(work), cut.refusal(spec, config.multiple), shared=True)


def _speed(config: Config, spec: ModelSpec, cut: Cut, cell: str, repeat: int) -> Unit:
    work = dict(grid=[[n, [config.output_tokens]] for n in config.prompt_tokens], seed=config.seed, warmups=config.warmups)
    return _timed(config, spec, cut, cell, repeat, "edgekit.measure.latency:measure_speed", dict(task="speed", batch=1), work)


def _batches(config: Config, spec: ModelSpec, cut: Cut, cell: str, repeat: int) -> Unit:
    work = dict(batches=list(config.batches), prompt_tokens=list(config.prompt_tokens), output_tokens=config.output_tokens,
                seed=config.seed)
    return _timed(config, spec, cut, cell, repeat, "edgekit.measure.batches:measure_batches", dict(task="batches"), work)


def _timed(config: Config, spec: ModelSpec, cut: Cut, cell: str, repeat: int, job: str, task: dict, work: dict) -> Unit:
    of = Cell.parse(cell, FLOATS)
    engine, dtype = of.engine, of.weights
    chain = engines.variant_for(engine, cut.chain(spec.name, config.length, config.multiple), dtype)
    where = dict(engine=engine, dtype=dtype, threads=config.threads, device=config.device)
    refusal = cut.refusal(spec, config.multiple) or of.refusal(chain)
    artifact = "" if refusal else f"{variants.content_hash(chain)} {engines.runtime(engine)}"
    return Unit(dict(model=spec.name, heads=cut.heads, mlp=cut.mlp, **task, **where), repeat, job,
                dict(variant=chain, **where, **work), artifact, task_hash(work), refusal)
