"""Units that several studies plan in the same way: losses of a variant, times and energy of one, the device's roofs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

from edgekit import engines
from edgekit.catalog import models, tasks, texts
from edgekit.catalog.engines import ENGINES
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.compress import variant as variants
from edgekit.measure import energy
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import DTYPE, ENGINE, REFERENCE
from edgekit.studies.config import LossConfig, MeasuringConfig, asking
from edgekit.studies.needs import Held
from edgekit.studies.runner import Result, Unit, keys_of, run_units, task_hash

LOSS = "edgekit.measure.losses:measure_loss"


def study_run(study: str, version: int, plan: Callable[[MeasuringConfig], Iterator[Unit]]) -> Callable[..., Result]:
    """The `run` of a study whose units `plan` yields. A change of what is measured must change `version`: old rows are then
    never reused."""
    def run(config: MeasuringConfig) -> Result:
        """Measure what is missing and return the rows and skips of this configuration.

        Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
        """
        return run_units(study, version, config, list(plan(config)))
    return run


def growing_run(study: str, version: int, plan: Callable[[MeasuringConfig], Iterable[Unit]]) -> Callable[..., Result]:
    """As study_run, of a study whose plan grows with the rows that it has: it is made again after each run, until nothing new
    is in it. A killed run goes on where it stopped, since the same rows give the same plan."""
    def run(config: MeasuringConfig) -> Result:
        """As study_run's."""
        units = list(plan(config))
        first = found = run_units(study, version, config, units)
        measured = found.measured
        while keys_of(study, version, more := list(plan(config))).keys() != keys_of(study, version, units).keys():
            units, found = more, run_units(study, version, config, more)
            measured += found.measured
        return dataclasses.replace(found, measured=measured, reused=first.reused)
    run.grows = True
    return run


def resolved(names: Iterable[str]) -> tuple[dict[str, ModelSpec], dict[str, str]]:
    """The models that can be had, by name, and why the others cannot."""
    found, absent = {}, {}
    for name in dict.fromkeys(names):
        try:
            found[name] = models.resolve(name)
        except ModelError as error:
            absent[name] = str(error)
    return found, absent


def timed_cells(config: MeasuringConfig, specs: Mapping[str, ModelSpec]) -> list[tuple[ModelSpec, str]]:
    """(model, cell) of the models in `cells` and the shapes in `shape_cells`, of those that can be had (`specs`)."""
    return [(specs[name], cell) for names, cells in ((config.models, config.cells), (config.shapes, config.shape_cells))
            for name in names if name in specs for cell in cells]


def absent_unit(config: MeasuringConfig, task: str, model: str, reason: str) -> Unit:
    """Tells once that a model cannot be had: a failure, and not as planned."""
    return Unit(dict(task=task, model=model, **config.where), 0, "", {}, "", "", refusal=reason, planned=False)


def by_depth(names: Iterable[str], depths: Iterable[int]) -> dict[str, list[int] | None]:
    """The depths that each task is asked at; None for one that has no depths: all of it."""
    return {name: list(depths) if _has_steps(name) else None for name in names}


@functools.cache
def _has_steps(name: str) -> bool:
    """Kept for a process: a plan asks hundreds of times."""
    return tasks.is_shipped(name) and tasks.load(name).has_steps


def loss_unit(config: LossConfig, condition: Mapping, chain: str, *, base: str, engine: str = ENGINE, dtype: str = DTYPE,
              refusal: str | None = None, job: str = LOSS, asks: bool = True) -> Unit:
    """A variant against `base`, the model that it comes from, on the study's texts and, where it `asks`, tasks. `refusal`: why
    it cannot be."""
    names = config.tasks if asks else ()
    asked = asking(config.prompt_form) if names else {}
    work = dict(base=base, stream=config.stream, texts=config.texts, blocks=config.blocks,
                tasks=by_depth(names, config.depths), items_per_depth=config.items_per_depth, **asked)
    hashes = {name: tasks.content_hash(name) for name in names} | {"stream": texts.stream_hash(config.stream)}
    where = dict(engine=engine, dtype=dtype, **config.where)
    refusal = refusal or engines.absence(engine, variants.format_of(chain))
    artifact = "" if refusal else f"{variants.content_hash(chain)} {engines.runtime(engine)}"
    return Unit(dict(task="loss", **condition, **asked, **where), 0, job, dict(chain=chain, **where, **work), artifact,
                task_hash({**work, "hashes": hashes}), refusal, shared=ENGINES[engine].shares_process,
                variants=(chain, base), makes=True, holds=() if refusal else _compared(base, chain, engine, dtype))


def _compared(base: str, chain: str, engine: str, dtype: str) -> tuple[tuple[Held, ...], ...]:
    """What measure/losses.py has in memory, one after the other: the reference, what a packed variant is dequantized to, and
    the variant itself."""
    plain = () if variants.format_of(chain) == "safetensors" else (chain + variants.DEQUANTIZED,)
    return (*((Held(one, *REFERENCE, MOST_CONTEXT),) for one in (base, *plain)), (Held(chain, engine, dtype, MOST_CONTEXT),))


def timed_unit(config: MeasuringConfig, condition: Mapping, chain: str, job: str, work: dict, repeat: int, *, tokens: int,
               texts: int = 1, engine: str, dtype: str, refusal: str | None = None, impossible: str | None = None) -> Unit:
    """A variant in an engine, measured in a process of its own. tokens: kept at most, of all `texts` together. refusal: why not
    on this machine; impossible: why it cannot be made at all."""
    where = dict(engine=engine, dtype=dtype, **config.where)
    artifact = "" if impossible else f"{variants.content_hash(chain)} {engines.runtime(engine)}"
    return Unit({**condition, **where}, repeat, job, dict(variant=chain, **where, **work), artifact, task_hash(work),
                impossible or refusal, variants=(chain,),
                holds=() if impossible or refusal else ((Held(chain, engine, dtype, tokens, texts),),))


def speed_unit(config: MeasuringConfig, condition: Mapping, chain: str, grid: Mapping[int, Iterable[int]], repeat: int,
               **named) -> Unit:
    """Times over a grid of prompt lengths with their output lengths; `named`: as for timed_unit."""
    work = dict(grid=[[length, sorted(set(outputs))] for length, outputs in grid.items()], seed=config.seed,
                warmups=config.warmups)
    longest = max(length + max(outputs) for length, outputs in grid.items())
    return timed_unit(config, dict(task="speed", batch=1, **condition), chain, "edgekit.measure.latency:measure_speed", work,
                      repeat, tokens=longest, **named)


def energy_unit(config: MeasuringConfig, condition: Mapping, chain: str, prompt_tokens: int, output_tokens: int, repeat: int,
                **named) -> Unit:
    """Energy of requests of one length; `named`: as for timed_unit."""
    work = dict(prompt_tokens=prompt_tokens, output_tokens=output_tokens, seed=config.seed)
    return timed_unit(config, dict(task="energy", batch=1, **condition), chain, "edgekit.measure.energy:measure_energy", work,
                      repeat, tokens=prompt_tokens + output_tokens, **named)


def roofs_unit(config: MeasuringConfig, repeat: int) -> Unit:
    """The rates of the device itself, beside the times that they limit."""
    where = config.where
    return Unit(dict(task="device", **where), repeat, "edgekit.measure.roofs:measure_roofs", dict(where), "", "")


def no_sensor(config: MeasuringConfig) -> Unit | None:
    """Tells once why energy is not measured; None where there is a sensor, or may be on a machine that is not this one."""
    if engines.are_assumed():
        return None
    sensors = energy.sensors(config.device)
    if not isinstance(sensors, energy.Unavailable):
        return None
    return Unit(dict(task="energy", **config.where), 0, "", {}, "", "", refusal=sensors.reason)
