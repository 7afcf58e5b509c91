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
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.catalog.tasks import TaskError
from edgekit.compress import calibration, gguf_quantize, rtn
from edgekit.compress import variant as variants
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.engines.base import EngineError
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_limits, require_profile_name
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "03_quantization"
# A change of what is measured must change it: old rows are then never reused.
VERSION = 1
ENGINE, DTYPE = "transformers", "float32"  # of the reference
# method -> the bits that it has; those of GGUF are in its types
BITS = {"rtn": (8, 4, 3, 2), "awq": (4,), "gptq": (8, 4, 3, 2)}
PACKED = ("awq", "gptq")  # formats of 4-bit checkpoints
CALIBRATED = ("awq", "gptq", "gguf_imatrix")
METHODS = (*BITS, "gguf", "gguf_imatrix")
WITHOUT_IMATRIX = ("Q8_0",)  # llama.cpp's importance matrix has no use for it
SEARCHES = {"all": "", "no clip": ", clip=False", "no scale": ", scale=False", "none": ", scale=False, clip=False"}
BUILD = "edgekit.measure.quantized:measure_build"


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
                                 "runtime_models", "runtime_cells", "cost_models", "shapes", "speed_cells"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        _known("methods", self.methods, METHODS)
        _known("gguf_types", self.gguf_types, gguf_quantize.TYPES)
        _known("ablated_searches", self.ablated_searches, SEARCHES)
        _known("calibration", (self.calibration, *self.ablated_calibrations), calibration.names())
        require(all(bits in rtn.BITS for bits in self.bits), f"bits: expected {rtn.BITS[0]} to {rtn.BITS[-1]}, got {self.bits}")
        require(all(group >= 1 for group in self.groups), f"groups: expected at least 1 weight, got {self.groups}")
        for name in ("ablated_models", "runtime_models", "cost_models"):
            require(set(getattr(self, name)) <= set(self.models), f"{name}: expected some of models, got {getattr(self, name)}")
        require(bool(self.models) and bool(self.methods), "models, methods: expected at least one each")
        require(not set(self.methods) & set(CALIBRATED) or bool(self.calibration_seeds),
                "calibration_seeds: expected at least one for methods that are calibrated")
        require(2 <= self.blocks <= self.texts, f"blocks: expected 2 to texts ({self.texts}), got {self.blocks}")
        require(self.prompt_tokens >= 1 and self.output_tokens >= 2 and self.repeats >= 1 and self.warmups >= 1,
                "prompt_tokens, repeats and warmups: expected at least 1; output_tokens at least 2 (TPOT needs a second token)")
        for cell in (*self.runtime_cells, *self.speed_cells):
            split_cell(cell)
        try:
            for name in self.tasks:
                tasks.load(name)
            texts.load(self.stream, self.texts)
            for name in self.models:
                models.resolve(name).require_weights("divergence")
            for name in self.shapes:
                models.resolve(name)
        except (ModelError, TaskError) as error:
            raise ParamsError(str(error)) from error


def _known(name: str, values, known) -> None:
    if unknown := [value for value in values if value not in known]:
        raise ParamsError(f"{name}: unknown {unknown[0]!r}; known: {', '.join(map(str, known))}")


def split_cell(cell: str) -> tuple[str, str]:
    """`engine/weights`: weights are a dtype, a GGUF type, or awq or gptq at 4 bits. Raises ParamsError for another form."""
    engine, slash, weights = cell.partition("/")
    known = (*ELEMENT_BYTES, *gguf_quantize.TYPES, *PACKED)
    require(bool(slash) and weights in known, f"cell {cell!r}: expected engine/weights with weights one of {', '.join(known)}")
    try:
        engines.require_known(engine)
    except EngineError as error:
        raise ParamsError(f"cell {cell!r}: {error}") from error
    return engine, weights


@dataclass(frozen=True, slots=True)
class Quantized:
    """One way to quantize; None where a method has no such thing. `condition` is what of it stands in rows."""

    method: str
    bits: int | None = None
    group: int | None = None
    type: str | None = None
    calibration: str | None = None
    samples: int | None = None
    calibration_seed: int | None = None
    search: str | None = None

    def condition(self) -> dict:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def step(self, length: int) -> str:
        drawn = f"calibration={self.calibration}, samples={self.samples}, length={length}, seed={self.calibration_seed}"
        if self.method == "rtn":
            return f"packed(format=gptq, bits={self.bits}, group={self.group})"
        if self.method == "gguf":
            return f"gguf_quantized(type={self.type})"
        if self.method == "gguf_imatrix":
            return f"gguf_quantized(type={self.type}, {drawn})"
        return f"{self.method}(bits={self.bits}, group={self.group}, {drawn}{SEARCHES[self.search or 'all']})"

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why this cannot be for a model, known beforehand; None where it can."""
        if self.method in BITS and self.bits not in BITS[self.method]:
            return f"{self.method} has no {self.bits} bits; it has {', '.join(map(str, BITS[self.method]))}"
        if self.method in BITS and self.group not in (fits := rtn.groups_that_fit(spec.architecture)):
            return (f"groups of {self.group} do not divide every input width of {spec.name}; these do: "
                    f"{', '.join(map(str, fits))}")
        return None


def main_grid(config: Config) -> Iterator[Quantized]:
    """Every method at every number of bits and every group; calibrated ones for every seed."""
    for method in config.methods:
        seeds = config.calibration_seeds if method in CALIBRATED else (0,)
        for seed in seeds:
            drawn = _drawn(config, seed) if method in CALIBRATED else {}
            if method in BITS:
                yield from (Quantized(method, bits, group, **drawn, **_search(method)) for bits in config.bits
                            for group in config.groups)
            else:
                yield from (Quantized(method, type=type, **drawn) for type in config.gguf_types
                            if method == "gguf" or type not in WITHOUT_IMATRIX)


def _drawn(config: Config, seed: int, **other) -> dict:
    return dict(calibration=config.calibration, samples=config.samples, calibration_seed=seed) | other


def _search(method: str, search: str = "all") -> dict:
    return dict(search=search) if method == "awq" else {}


def ablations(config: Config) -> Iterator[Quantized]:
    """AWQ and GPTQ at 4 bits and the first group with other calibration texts, fewer or more of them, and AWQ with parts of its
    search left out; for every calibration seed."""
    for method in (name for name in PACKED if name in config.methods):
        for seed in config.calibration_seeds:
            at = dict(method=method, bits=4, group=config.groups[0])
            for name in config.ablated_calibrations:
                yield Quantized(**at, **_drawn(config, seed, calibration=name), **_search(method))
            for samples in config.ablated_samples:
                yield Quantized(**at, **_drawn(config, seed, samples=samples), **_search(method))
            for search in config.ablated_searches if method == "awq" else ():
                yield Quantized(**at, **_drawn(config, seed), **_search(method, search))


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    free = devices.free_memory_bytes(config.device)
    return run_units(STUDY, VERSION, config, list(plan(config)), timeout_s=config.timeout_s,
                     memory_limit_bytes=int(config.memory_share * free))


def plan(config: Config) -> Iterator[Unit]:
    """All units: costs of quantizing first (they build what the others load), then losses, runtimes and speed."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    where = dict(threads=config.threads, device=config.device)
    for name in config.models:
        spec = models.resolve(name)
        ways = dict.fromkeys([*main_grid(config), *(ablations(config) if name in config.ablated_models else ())])
        yield _loss(config, spec, Quantized("none"), name, ENGINE, DTYPE)
        for way in ways:
            chain = f"{name} > {way.step(config.length)}"
            yield _loss(config, spec, way, f"{chain} > dequantized()", ENGINE, DTYPE)
            first = way.calibration_seed in (None, *config.calibration_seeds[:1])
            if name in config.cost_models and first and not way.refusal(spec):
                condition = dict(task="build", model=name, **way.condition(), engine="none", dtype="none", **where)
                yield Unit(condition, 0, BUILD, dict(chain=chain, **where), variants.content_hash(chain), "")
        for cell in config.runtime_cells if name in config.runtime_models else ():
            engine, weights = split_cell(cell)
            way, chain = _stored(config, name, weights)
            dtype = weights if weights in ELEMENT_BYTES else weights if engine == "llama_cpp" else config.activations
            yield _loss(config, spec, way, chain, engine, dtype)
    for repeat in range(config.repeats):
        if config.shapes:
            yield Unit(dict(task="device", **where), repeat, "edgekit.measure.roofs:measure_roofs", dict(where), "", "")
        for name in config.shapes:
            for cell in config.speed_cells:
                yield _speed(config, name, cell, repeat)


def _stored(config: Config, model: str, weights: str) -> tuple[Quantized, str]:
    """(how the weights are quantized, the chain that stores them so) for a runtime."""
    if weights in ELEMENT_BYTES:
        return Quantized("none"), model
    if weights in gguf_quantize.TYPES:
        way = Quantized("gguf", type=weights)
    else:
        way = Quantized(weights, 4, config.groups[0], **_drawn(config, config.calibration_seeds[0]), **_search(weights))
    return way, f"{model} > {way.step(config.length)}"


def _loss(config: Config, spec: ModelSpec, way: Quantized, chain: str, engine: str, dtype: str) -> Unit:
    if engine == "llama_cpp" and way.method == "none":
        chain = engines.variant_for(engine, spec.name, dtype)
    where = dict(threads=config.threads, device=config.device)
    depths = {name: list(config.depths) if name.startswith("pocket_chain_") else None for name in config.tasks}
    work = dict(base=spec.name, stream=config.stream, texts=config.texts, blocks=config.blocks, tasks=depths,
                items_per_depth=config.items_per_depth)
    hashes = {name: tasks.load(name).hash for name in config.tasks} | {"stream": texts.stream_hash(config.stream)}
    condition = dict(model=spec.name, **way.condition(), engine=engine, dtype=dtype, **where)
    refusal = way.refusal(spec)
    artifact = "" if refusal else f"{variants.content_hash(chain)} {engines.runtime(engine)}"
    return Unit(condition | {"task": "loss"}, 0, "edgekit.measure.quantized:measure_loss",
                dict(chain=chain, engine=engine, dtype=dtype, **where, **work), artifact, task_hash({**work, "hashes": hashes}),
                refusal, shared=engine != "vllm")


def _speed(config: Config, name: str, cell: str, repeat: int) -> Unit:
    """Weights of a shape are random, so what AWQ or GPTQ would choose does not matter: they are rounded to the same format."""
    engine, weights = split_cell(cell)
    dtype = config.activations if weights in PACKED else weights
    if weights in PACKED:
        chain = f"{name} > packed(format={weights}, bits=4, group={config.groups[0]})"
    elif weights in gguf_quantize.TYPES:
        chain = f"{name} > gguf_quantized(type={weights})"
    else:
        chain = engines.variant_for(engine, name, dtype)
    where = dict(threads=config.threads, device=config.device)
    work = dict(grid=[[config.prompt_tokens, [config.output_tokens]]], seed=config.seed, warmups=config.warmups)
    condition = dict(task="speed", model=name, engine=engine, weights=weights, dtype=dtype, batch=1, **where)
    return Unit(condition, repeat, "edgekit.measure.latency:measure_speed",
                dict(variant=chain, engine=engine, dtype=dtype, **where, **work),
                f"{variants.content_hash(chain)} {engines.runtime(engine)}", task_hash(work))
