"""Quantization on equal footing: what each method keeps of a model at equal bits, and what it buys on each runtime.

One base, one calibration set and one evaluation stream for all methods. Quality is measured twice: on the dequantized weights
in the reference engine, where only the method differs, and through the runtimes' own kernels. Speed is measured on shapes
of real size, whose weights are rounded to the same formats (a kernel's time does not depend on which method chose them).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import models, tasks, texts
from edgekit.catalog.engines import ENGINES
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.catalog.tasks import TaskError
from edgekit.compress import calibration, gguf_quantize, rtn
from edgekit.compress import variant as variants
from edgekit.compress.artifact import BuildError
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_known, require_limits, require_profile_name
from edgekit.schema import DTYPE, ENGINE, NONE
from edgekit.studies.cells import FLOATS, PACKED, Cell, speed_units
from edgekit.studies.runner import Result, Unit, run_units, task_hash
from edgekit.studies.ways import CALIBRATED, CHANGES, METHODS, Way, ablations, four_bit, main_grid

STUDY = "03_quantization"
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
    methods: tuple[str, ...]
    bits: tuple[int, ...]
    groups: tuple[int, ...]
    gguf_types: tuple[str, ...]
    calibration: str
    samples: int
    length: int
    calibration_seeds: tuple[int, ...]
    ablated_models: tuple[str, ...]
    ablated_calibrations: tuple[str, ...]
    ablated_samples: tuple[int, ...]
    ablated_searches: tuple[str, ...]
    stream: str
    texts: int
    blocks: int
    tasks: tuple[str, ...]
    depths: tuple[int, ...]
    items_per_depth: int
    runtime_models: tuple[str, ...]
    runtime_cells: tuple[str, ...]
    cost_models: tuple[str, ...]
    shapes: tuple[str, ...]
    scaled_shapes: tuple[str, ...]
    scaled_threads: tuple[int, ...]
    speed_cells: tuple[str, ...]
    activations: Literal["bfloat16", "float16", "float32"]
    prompt_tokens: int
    output_tokens: int
    repeats: int
    warmups: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("models", "methods", "bits", "groups", "gguf_types", "calibration_seeds", "ablated_models",
                                 "ablated_calibrations", "ablated_samples", "ablated_searches", "tasks", "depths",
                                 "runtime_models", "runtime_cells", "cost_models", "shapes", "scaled_shapes",
                                 "scaled_threads", "speed_cells"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require_known("methods", self.methods, METHODS)
        require_known("gguf_types", self.gguf_types, gguf_quantize.TYPES)
        require_known("ablated_searches", self.ablated_searches, CHANGES["awq"])
        for name in ("ablated_models", "runtime_models", "cost_models"):
            require_known(name, getattr(self, name), self.models)
        require_known("scaled_shapes", self.scaled_shapes, self.shapes)
        require(all(count >= 1 for count in self.scaled_threads),
                f"scaled_threads: expected counts of at least 1, got {self.scaled_threads}")
        require(all(bits in rtn.BITS for bits in self.bits), f"bits: expected {rtn.BITS[0]} to {rtn.BITS[-1]}, got {self.bits}")
        require(bool(self.groups) and all(group >= 1 for group in self.groups),
                f"groups: expected at least one, each of at least 1 weight, got {self.groups}")
        require(bool(self.models) and bool(self.methods), "models, methods: expected at least one each")
        require(not set(self.methods) & set(CALIBRATED) or bool(self.calibration_seeds),
                "calibration_seeds: expected at least one for methods that are calibrated")
        require(2 <= self.blocks <= self.texts, f"blocks: expected 2 to texts ({self.texts}), got {self.blocks}")
        require(self.prompt_tokens >= 1 and self.output_tokens >= 2 and self.repeats >= 1 and self.warmups >= 1,
                "prompt_tokens, repeats and warmups: expected at least 1; output_tokens at least 2 (TPOT needs a second token)")
        require(self.items_per_depth >= 1, f"items_per_depth: expected at least 1, got {self.items_per_depth}")
        for cell in (*self.runtime_cells, *self.speed_cells):
            Cell.parse(cell)
        try:
            for name in self.tasks:
                tasks.require_known(name)
            texts.load(self.stream, self.texts)
            for name in (self.calibration, *self.ablated_calibrations):
                for samples in (self.samples, *self.ablated_samples):
                    calibration.Calibration(name, samples, self.length, 0)
            for name in (name for name in (*self.models, *self.shapes) if not models.is_hub_id(name)):
                spec = models.resolve(name)
                if name in self.models:
                    spec.require_weights("divergence")
        except (ModelError, TaskError, BuildError) as error:
            raise ParamsError(str(error)) from error


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config)))


def plan(config: Config) -> Iterator[Unit]:
    """All units: losses in the reference engine and in the runtimes, what quantizing took, and speed.

    Builds that are timed come first, so that the others find their artifacts built.
    """
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    where = dict(threads=config.threads, device=config.device)
    specs = {}
    for name in (*config.models, *config.shapes):
        try:
            specs[name] = models.resolve(name)
        except ModelError as error:
            task = "loss" if name in config.models else "speed"
            yield Unit(dict(task=task, model=name, **where), 0, "", {}, "", "", refusal=str(error), planned=False)
    for spec in (specs[name] for name in config.models if name in specs):
        yield _loss(config, spec, Way(NONE), ENGINE, DTYPE)
        main = list(main_grid(config))
        for way in dict.fromkeys([*main, *(ablations(config) if spec.name in config.ablated_models else ())]):
            yield _loss(config, spec, way, ENGINE, DTYPE)
        for way in main if spec.name in config.cost_models else ():
            first = way.calibration_seed in (None, *config.calibration_seeds[:1]) and way.group in (None, config.groups[0])
            if first and not way.refusal(spec):
                yield _build(config, spec, way)
        for cell in config.runtime_cells if spec.name in config.runtime_models else ():
            of = Cell.parse(cell)
            yield _loss(config, spec, _way_of(config, of.weights), of.engine, of.dtype(config.activations))
    yield from speed_units(config, specs)


def _way_of(config: Config, weights: str) -> Way:
    """How the weights of a cell are quantized."""
    if weights in PACKED:
        return four_bit(config, weights)
    return Way(NONE) if weights in FLOATS else Way("gguf", type=weights)


def _loss(config: Config, spec: ModelSpec, way: Way, engine: str, dtype: str) -> Unit:
    """A variant against the unquantized model: dequantized in the reference engine, as it is stored in any other."""
    chain = way.chain(spec.name, config.length)
    if way.method == NONE:
        chain = engines.variant_for(engine, spec.name, dtype)
    elif (engine, dtype) == (ENGINE, DTYPE):
        chain += variants.DEQUANTIZED
    depths = {name: list(config.depths) if name.startswith(CHAIN) else None for name in config.tasks}
    work = dict(base=spec.name, stream=config.stream, texts=config.texts, blocks=config.blocks, tasks=depths,
                items_per_depth=config.items_per_depth)
    hashes = {name: tasks.content_hash(name) for name in config.tasks} | {"stream": texts.stream_hash(config.stream)}
    where = dict(threads=config.threads, device=config.device)
    condition = dict(task="loss", model=spec.name, **way.condition(), engine=engine, dtype=dtype, **where)
    refusal = way.refusal(spec) or engines.absence(engine, variants.format_of(chain))
    artifact = "" if refusal else f"{variants.content_hash(chain)} {engines.runtime(engine)}"
    return Unit(condition, 0, "edgekit.measure.quantized:measure_loss",
                dict(chain=chain, engine=engine, dtype=dtype, **where, **work), artifact, task_hash({**work, "hashes": hashes}),
                refusal, shared=ENGINES[engine].shares_process)


def _build(config: Config, spec: ModelSpec, way: Way) -> Unit:
    chain = way.chain(spec.name, config.length)
    where = dict(threads=config.threads, device=config.device)
    condition = dict(task="build", model=spec.name, **way.condition(), engine=NONE, dtype=NONE, **where)
    return Unit(condition, 0, "edgekit.measure.quantized:measure_build", dict(chain=chain, **where),
                variants.content_hash(chain), "", first=True)
