"""The baseline: how fast and how large unoptimized models are, through transformers and llama.cpp.

A cell is an engine and a dtype. Every model is timed in its cells over a grid of prompt and output lengths; pocket models
also answer problems (accuracy is a separate process from speed); energy is measured where there is a sensor; and the two
roofs of the device (read bandwidth, matrix multiplication) are measured beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import tasks
from edgekit.catalog.models import ModelSpec
from edgekit.compress import variant as variants
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import STORED
from edgekit.studies.cells import FLOATS, Cell
from edgekit.studies.config import (
    PROMPT_FORM,
    TASKS,
    MeasuringConfig,
    asking,
    cell_with,
    known_model,
    parameter,
    require_apart,
    require_form,
    require_language,
    trained_for,
)
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import (
    absent_unit,
    energy_unit,
    no_sensor,
    resolved,
    roofs_unit,
    speed_unit,
    study_run,
    timed_cells,
)

STUDY = "02_baseline"
VERSION = 2
CELLS = (*FLOATS, STORED)


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights", each=known_model)
    cells: tuple[str, ...] = parameter("engine/dtype pairs for them", each=cell_with(CELLS))
    shapes: tuple[str, ...] = parameter("published architectures with random weights", each=known_model)
    shape_cells: tuple[str, ...] = parameter("engine/dtype pairs for shapes", each=cell_with(FLOATS))
    prompt_tokens: tuple[int, ...] = parameter("prompt lengths, in tokens", least=1, needed=1)
    output_tokens: tuple[int, ...] = parameter("output lengths, in tokens, at least 2 (TPOT needs a second token)", least=2,
                                               needed=1)
    workload_models: tuple[str, ...] = parameter("these also run the lengths of a reasoning workload", some_of="models shapes")
    workload_cells: tuple[str, ...] = parameter("in these cells", some_of="cells shape_cells")
    workload_prompt_tokens: int = parameter("mean question length of MMLU-Redux in the reasoning study, in tokens", least=1)
    workload_output_tokens: int = parameter("between the study's mean answer lengths (740 to 1,318), in tokens", least=2)
    tasks: tuple[str, ...] = parameter(TASKS, each=tasks.require_known)
    prompt_form: Literal["plain", "chat"] = parameter(PROMPT_FORM)
    task_models: tuple[str, ...] = parameter("models that are asked", some_of="models shapes", each=trained_for("accuracy"))
    task_cells: tuple[str, ...] = parameter("engine/dtype pairs that answer them", each=cell_with(CELLS))
    items_per_depth: int = parameter("problems of each depth, the same for every model and cell", least=1)
    repeats: int = parameter("processes per cell, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)

    def check(self) -> None:
        require(bool(self.tasks) == bool(self.task_models) == bool(self.task_cells),
                "tasks, task_models and task_cells: expected all three or none of them")
        require_form(self.prompt_form, self.task_models)
        require_language(self.task_models, self.tasks)
        require_apart(self.models, self.shapes)


def plan(config: Config) -> Iterator[Unit]:
    """All units of the study, repeat by repeat."""
    config = config.with_threads()
    blind = no_sensor(config)
    if blind:
        yield blind
    specs, absent = resolved((*config.models, *config.shapes))
    for name, reason in absent.items():
        yield absent_unit(config, "speed", name, reason)
    cells = timed_cells(config, specs)
    for repeat in range(config.repeats):
        yield roofs_unit(config, repeat)
        for spec, cell in cells:
            yield _speed(config, spec, cell, repeat)
            if not blind:
                condition, chain, of = _cell(spec, cell)
                yield energy_unit(config, condition, chain, max(config.prompt_tokens), max(config.output_tokens), repeat, **of)
    for name in (name for name in config.task_models if name in specs):
        for cell in config.task_cells:
            yield _accuracy(config, specs[name], cell)


run = study_run(STUDY, VERSION, plan)


def _cell(spec: ModelSpec, cell: str) -> tuple[dict, str, dict]:
    """(condition, variant, {engine, dtype, refusal}) of a model in a cell."""
    of = Cell.parse(cell, CELLS)
    chain = of.chain(spec.name)
    return dict(model=spec.name), chain, dict(engine=of.engine, dtype=of.weights, refusal=of.refusal(chain))


def _speed(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(spec, cell)
    grid = {length: list(config.output_tokens) for length in config.prompt_tokens}
    if spec.name in config.workload_models and cell in config.workload_cells:
        grid[config.workload_prompt_tokens] = [*grid.get(config.workload_prompt_tokens, []), config.workload_output_tokens]
    longest = max(length + max(outputs) for length, outputs in grid.items())
    if longest > spec.architecture.context:
        of["refusal"] = f"prompt and output of {longest} tokens exceed the model's context of {spec.architecture.context}"
    return speed_unit(config, condition, chain, dict(sorted(grid.items())), repeat, **of)


def _accuracy(config: Config, spec: ModelSpec, cell: str) -> Unit:
    condition, chain, of = _cell(spec, cell)
    where = dict(engine=of["engine"], dtype=of["dtype"], **config.where)
    asked = asking(config.prompt_form)
    work = dict(tasks=list(config.tasks), items_per_depth=config.items_per_depth, **asked)
    hashes = {name: tasks.content_hash(name) for name in config.tasks}
    return Unit(dict(task="accuracy", batch=1, **condition, **asked, **where), 0, "edgekit.measure.quality:measure_accuracy",
                dict(variant=chain, **where, **work), f"{variants.content_hash(chain)} {engines.runtime(of['engine'])}",
                task_hash({**work, "hashes": hashes}), of["refusal"], shared=True, variants=(chain,),
                holds=() if of["refusal"] else ((Held(chain, of["engine"], of["dtype"], MOST_CONTEXT),),))
