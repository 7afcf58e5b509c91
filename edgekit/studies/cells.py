"""A cell, `engine/weights`: what runs a model and how its weights are stored; and the units that time shapes in cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgekit import engines
from edgekit.catalog.models import ModelSpec
from edgekit.compress import gguf_quantize
from edgekit.compress import variant as variants
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.engines.base import EngineError
from edgekit.measure import energy
from edgekit.params import ParamsError, require
from edgekit.studies.runner import Unit, task_hash

# 4-bit formats of runtimes, and the step that rounds to them without calibration.
PACKED = {"awq": "packed_awq(bits=4, group={})", "gptq": "packed_gptq(bits=4, group={}, symmetric=True)"}
FLOATS = tuple(ELEMENT_BYTES)
UNPACKED = (*FLOATS, *gguf_quantize.TYPES)
WEIGHTS = (*UNPACKED, *PACKED)


@dataclass(frozen=True, slots=True)
class Cell:
    """An engine, and the weights that it is given: a float type, a GGUF type, or awq or gptq at 4 bits."""

    engine: str
    weights: str

    @classmethod
    def parse(cls, text: str, known: Iterable[str] = WEIGHTS) -> Cell:
        """The cell of `engine/weights`. Raises ParamsError for another form, weights that are not `known`, an unknown engine,
        or weights in a format that the engine does not load."""
        engine, slash, weights = text.partition("/")
        require(bool(slash) and weights in known,
                f"cell {text!r}: expected engine/weights with weights one of {', '.join(known)}")
        try:
            loads = engines.formats(engine)
        except EngineError as error:
            raise ParamsError(f"cell {text!r}: {error}") from error
        if weights not in FLOATS:
            require((weights if weights in PACKED else "gguf") in loads, f"cell {text!r}: {engine} loads {', '.join(loads)}")
        return cls(engine, weights)

    def dtype(self, activations: str) -> str:
        """What the cell says of the float type of arithmetic; packed weights leave it to `activations`."""
        return activations if self.weights in PACKED else self.weights

    def refusal(self, *chains: str) -> str | None:
        """Why its engine cannot run these chains on this machine (package, kernel for their format); None where it can."""
        return next(filter(None, (engines.absence(self.engine, variants.format_of(chain)) for chain in chains)), None)


def speed_units(config, specs: Mapping[str, ModelSpec]) -> Iterator[Unit]:
    """Times of the shapes that are in `specs`, in every cell and repeat, with the rates of the device beside them; energy where
    there is a sensor."""
    where = dict(threads=config.threads, device=config.device)
    sensors = energy.sensors(config.device)
    if config.shapes and isinstance(sensors, energy.Unavailable):
        yield Unit(dict(task="energy", **where), 0, "", {}, "", "", refusal=sensors.reason)
    for repeat in range(config.repeats):
        for threads, names in _timed(config).items():
            at = where | dict(threads=threads)
            yield Unit(dict(task="device", **at), repeat, "edgekit.measure.roofs:measure_roofs", dict(at), "", "")
            for name in (name for name in names if name in specs):
                for cell in config.speed_cells:
                    yield _speed(config, name, cell, threads, repeat)
                    if threads == config.threads and not isinstance(sensors, energy.Unavailable):
                        yield _energy(config, name, cell, repeat)


def _timed(config) -> dict[int, tuple[str, ...]]:
    """Shapes to be timed by number of threads: all of them with the study's own, some with others too."""
    counts = {config.threads: config.shapes}
    for threads in config.scaled_threads if config.scaled_shapes else ():
        counts.setdefault(threads, config.scaled_shapes)
    return {threads: names for threads, names in counts.items() if names}


def _cell(config, name: str, cell: str, task: str, threads: int) -> tuple[dict, dict, str, str | None]:
    """(condition, the job's common arguments, artifact hash, refusal) of a shape in a cell.

    Its weights are random, so what AWQ or GPTQ would choose does not matter: they are rounded to the same format.
    """
    of = Cell.parse(cell)
    engine, weights, dtype = of.engine, of.weights, of.dtype(config.activations)
    if weights in PACKED:
        chain = f"{name} > {PACKED[weights].format(config.groups[0])}"
    elif weights in gguf_quantize.TYPES:
        chain = f"{name} > gguf_quantized(type={weights})"
    else:
        chain = engines.variant_for(engine, name, dtype)
    where = dict(threads=threads, device=config.device)
    return (dict(task=task, model=name, engine=engine, weights=weights, dtype=dtype, batch=1, **where),
            dict(variant=chain, engine=engine, dtype=dtype, **where),
            f"{variants.content_hash(chain)} {engines.runtime(engine)}", of.refusal(chain))


def _speed(config, name: str, cell: str, threads: int, repeat: int) -> Unit:
    condition, arguments, artifact, refusal = _cell(config, name, cell, "speed", threads)
    work = dict(grid=[[config.prompt_tokens, [config.output_tokens]]], seed=config.seed, warmups=config.warmups)
    return Unit(condition, repeat, "edgekit.measure.latency:measure_speed", {**arguments, **work}, artifact, task_hash(work),
                refusal)


def _energy(config, name: str, cell: str, repeat: int) -> Unit:
    condition, arguments, artifact, refusal = _cell(config, name, cell, "energy", config.threads)
    work = dict(prompt_tokens=config.prompt_tokens, output_tokens=config.output_tokens, seed=config.seed)
    return Unit(condition, repeat, "edgekit.measure.energy:measure_energy", {**arguments, **work}, artifact, task_hash(work),
                refusal)
