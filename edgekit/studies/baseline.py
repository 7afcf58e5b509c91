"""The baseline: how fast and how large unoptimized models are, through transformers and llama.cpp.

A cell is an engine and a dtype. Every model is timed in its cells over a grid of prompt and output lengths; pocket models
also answer problems (accuracy is a separate process from speed); energy is measured where there is a sensor; and the two
roofs of the device (read bandwidth, matrix multiplication) are measured beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import models, tasks
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant as variants
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.measure import device as devices
from edgekit.measure import energy
from edgekit.params import ParamsError, require, require_each_once, require_limits, require_profile_name
from edgekit.studies.cells import FLOATS, Cell
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "02_baseline"
# A change of what is measured must change it: old rows are then never reused.
VERSION = 2
# Memory beside the weights: the interpreter with its libraries, caches, activations.
OVERHEAD_BYTES = 1.5e9


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of the study; the notebook's parameters cell says what each is, with its unit."""

    profile: str
    seed: int
    device: Literal["cpu", "cuda", "mps"]
    threads: int
    models: tuple[str, ...]
    cells: tuple[str, ...]
    shapes: tuple[str, ...]
    shape_cells: tuple[str, ...]
    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    workload_models: tuple[str, ...]
    workload_cells: tuple[str, ...]
    workload_prompt_tokens: int
    workload_output_tokens: int
    tasks: tuple[str, ...]
    task_models: tuple[str, ...]
    task_cells: tuple[str, ...]
    items_per_depth: int
    repeats: int
    warmups: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("models", "cells", "shapes", "shape_cells", "prompt_tokens", "output_tokens",
                                 "workload_models", "workload_cells", "tasks", "task_models", "task_cells"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require(set(self.workload_cells) <= {*self.cells, *self.shape_cells},
                f"workload_cells: expected some of cells and shape_cells, got {list(self.workload_cells)}")
        require(bool(self.tasks) == bool(self.task_models) == bool(self.task_cells),
                "tasks, task_models and task_cells: expected all three or none of them")
        require(all(n >= 1 for n in self.prompt_tokens) and len(self.prompt_tokens) > 0,
                f"prompt_tokens: expected lengths of at least 1, got {self.prompt_tokens}")
        require(all(n >= 2 for n in (*self.output_tokens, self.workload_output_tokens)) and len(self.output_tokens) > 0,
                f"output_tokens: expected lengths of at least 2 (TPOT needs a second token), got {self.output_tokens}")
        require(self.repeats >= 1 and self.warmups >= 1 and self.items_per_depth >= 1,
                "repeats, warmups and items_per_depth: expected at least 1 each")
        require(set(self.workload_models) <= {*self.models, *self.shapes},
                f"workload_models: expected some of models and shapes, got {self.workload_models}")
        require(bool(self.models or self.shapes), "models, shapes: expected at least one model")
        for cell in (*self.cells, *self.shape_cells, *self.task_cells, *self.workload_cells):
            Cell.parse(cell, FLOATS)
        for name in (*self.models, *self.shapes):
            require(name.startswith("shape:") == (name in self.shapes),
                    f"{name}: shapes belong under `shapes`, models with trained weights under `models`")
        require(set(self.task_models) <= {*self.models, *self.shapes},
                f"task_models: expected some of models, got {self.task_models}")
        try:
            for name in self.tasks:
                tasks.require_known(name)
            for name in (n for n in (*self.models, *self.shapes) if not models.is_hub_id(n)):
                spec = models.resolve(name)
                if name in self.task_models:
                    spec.require_weights("accuracy")
        except (ModelError, TaskError) as error:
            raise ParamsError(str(error)) from error


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config, devices.free_memory_bytes(config.device))))


def plan(config: Config, free_bytes: int) -> Iterator[Unit]:
    """All units of the study, repeat by repeat. A model that does not fit in `free_bytes` is planned as a refusal."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    where = dict(threads=config.threads, device=config.device)
    sensors = energy.sensors(config.device)
    if isinstance(sensors, energy.Unavailable):
        yield Unit(dict(task="energy", **where), 0, "", {}, artifact="", task="", refusal=sensors.reason)
    specs, absent = {}, {}
    for name in (*config.models, *config.shapes):
        try:
            specs[name] = models.resolve(name)
        except ModelError as error:
            absent[name] = str(error)
    for name, reason in absent.items():
        yield Unit(dict(task="speed", model=name, **where), 0, "", {}, artifact="", task="", refusal=reason, planned=False)
    cells = [(specs[name], cell) for names, cells in ((config.models, config.cells), (config.shapes, config.shape_cells))
             for name in names if name in specs for cell in cells]
    for repeat in range(config.repeats):
        yield Unit(dict(task="device", **where), repeat, "edgekit.measure.roofs:measure_roofs", dict(where), artifact="",
                   task="")
        for spec, cell in cells:
            yield _speed(config, spec, cell, repeat, free_bytes)
            if not isinstance(sensors, energy.Unavailable):
                yield _energy(config, spec, cell, repeat, free_bytes)
    for name in (name for name in config.task_models if name in specs):
        for cell in config.task_cells:
            yield _accuracy(config, specs[name], cell, free_bytes)


def _cell(config: Config, spec: ModelSpec, cell: str, task: str, free_bytes: int) -> tuple[dict, dict, str, str | None]:
    """(condition, the job's common arguments, artifact hash, refusal) of a model in a cell."""
    of = Cell.parse(cell, FLOATS)
    engine, dtype = of.engine, of.weights
    variant = engines.variant_for(engine, spec.name, dtype)
    where = dict(threads=config.threads, device=config.device)
    needs = ELEMENT_BYTES[dtype] * spec.architecture.parameters + OVERHEAD_BYTES
    refusal = of.refusal(variant)
    if needs > config.memory_share * free_bytes:
        refusal = (f"needs about {needs / 1e9:.1f} GB in {dtype}: more than memory_share ({config.memory_share:.0%}) of the "
                   "memory that was free")
    return (dict(task=task, model=spec.name, engine=engine, dtype=dtype, batch=1, **where),
            dict(variant=variant, engine=engine, dtype=dtype, **where),
            f"{variants.content_hash(variant)} {engines.runtime(engine)}", refusal)


def _speed(config: Config, spec: ModelSpec, cell: str, repeat: int, free_bytes: int) -> Unit:
    condition, arguments, artifact, refusal = _cell(config, spec, cell, "speed", free_bytes)
    grid = {length: list(config.output_tokens) for length in config.prompt_tokens}
    if spec.name in config.workload_models and cell in config.workload_cells:
        grid[config.workload_prompt_tokens] = [*grid.get(config.workload_prompt_tokens, []), config.workload_output_tokens]
    longest = max(length + max(outputs) for length, outputs in grid.items())
    if longest > spec.architecture.context:
        refusal = f"prompt and output of {longest} tokens exceed the model's context of {spec.architecture.context}"
    work = dict(grid=[[length, sorted(set(outputs))] for length, outputs in sorted(grid.items())], seed=config.seed,
                warmups=config.warmups)
    return Unit(condition, repeat, "edgekit.measure.latency:measure_speed", {**arguments, **work}, artifact, task_hash(work),
                refusal)


def _energy(config: Config, spec: ModelSpec, cell: str, repeat: int, free_bytes: int) -> Unit:
    condition, arguments, artifact, refusal = _cell(config, spec, cell, "energy", free_bytes)
    work = dict(prompt_tokens=max(config.prompt_tokens), output_tokens=max(config.output_tokens), seed=config.seed)
    return Unit(condition, repeat, "edgekit.measure.energy:measure_energy", {**arguments, **work}, artifact, task_hash(work),
                refusal)


def _accuracy(config: Config, spec: ModelSpec, cell: str, free_bytes: int) -> Unit:
    condition, arguments, artifact, refusal = _cell(config, spec, cell, "accuracy", free_bytes)
    work = dict(tasks=list(config.tasks), items_per_depth=config.items_per_depth)
    hashes = {name: tasks.content_hash(name) for name in config.tasks}
    return Unit(condition, 0, "edgekit.measure.quality:measure_accuracy", {**arguments, **work}, artifact,
                task_hash({**work, "hashes": hashes}), refusal, shared=True)
