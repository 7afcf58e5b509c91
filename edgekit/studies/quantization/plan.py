"""Quantization on equal footing: what each method keeps of a model at equal bits, and what it buys on each runtime.

One base, one calibration set and one evaluation stream for all methods. Quality is measured twice: on the dequantized weights
in the reference engine, where only the method differs, and through the runtimes' own kernels. Speed is measured on shapes
of real size, whose weights are rounded to the same formats (a kernel's time does not depend on which method chose them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog.models import ModelSpec
from edgekit.compress import calibration, gguf_quantize, rescale, rtn
from edgekit.compress import variant as variants
from edgekit.compress.quantization_spec import CALIBRATED, CHANGES, METHODS, QuantizationSpec
from edgekit.params import require
from edgekit.schema import DTYPE, ENGINE, NONE, REFERENCE, STORED
from edgekit.studies.cells import FLOATS, PACKED, Cell
from edgekit.studies.config import (
    CALIBRATION_TEXTS,
    LossConfig,
    cell_with,
    known_model,
    parameter,
    require_language,
    trained_for,
)
from edgekit.studies.needs import Held
from edgekit.studies.quantization.plan_grid import ablations, four_bit, main_grid
from edgekit.studies.runner import Unit
from edgekit.studies.units import (
    absent_unit,
    energy_unit,
    loss_unit,
    no_sensor,
    resolved,
    roofs_unit,
    speed_unit,
    study_run,
)

STUDY = "03_quantization"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config(LossConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights", needed=1, each=trained_for("divergence"))
    uncalibrated_models: tuple[str, ...] = parameter("models that are left out by methods with calibration, which take longest",
                                                     some_of="models")
    methods: tuple[str, ...] = parameter(f"any of {', '.join(METHODS)}", needed=1, known=METHODS)
    bits: tuple[int, ...] = parameter(f"bits of a code for rtn, awq and gptq, {rtn.BITS[0]} to {rtn.BITS[-1]}",
                                      least=rtn.BITS[0], most=rtn.BITS[-1])
    groups: tuple[int, ...] = parameter("weights that share a scale", least=1, needed=1)
    main_group: int = parameter("one of `groups`: that of further seeds, ablations, costs, runtimes and speed",
                                some_of="groups")
    gguf_types: tuple[str, ...] = parameter("llama.cpp's mixtures of formats", known=gguf_quantize.TYPES)
    calibration: str = parameter(CALIBRATION_TEXTS)
    samples: int = parameter("calibration sequences")
    length: int = parameter("of each sequence, in tokens")
    calibration_seeds: tuple[int, ...] = parameter("draws of the calibration sequences; each is quantized anew")
    ablated_models: tuple[str, ...] = parameter("models that are also quantized with what follows", some_of="models")
    ablated_calibrations: tuple[str, ...] = parameter("other calibration sets")
    ablated_samples: tuple[int, ...] = parameter("other numbers of calibration sequences")
    ablated_searches: tuple[str, ...] = parameter("changes of AWQ's search", known=CHANGES["awq"])
    runtime_models: tuple[str, ...] = parameter("models that also run in the runtimes' own kernels", some_of="models")
    runtime_cells: tuple[str, ...] = parameter("engine/weights for them", each=cell_with())
    cost_models: tuple[str, ...] = parameter("models of which the time and memory of quantizing are measured", some_of="models")
    shapes: tuple[str, ...] = parameter("published architectures with random weights, for speed", each=known_model)
    scaled_shapes: tuple[str, ...] = parameter("those of them that are also timed with other numbers of threads",
                                               some_of="shapes")
    scaled_threads: tuple[int, ...] = parameter("these numbers", least=1)
    speed_cells: tuple[str, ...] = parameter("engine/weights for shapes", each=cell_with())
    activations: Literal["bfloat16", "float16", "float32"] = parameter(
        "float type beside awq and gptq weights: bfloat16, float16, float32")
    prompt_tokens: int = parameter("prompt length of speed runs, in tokens", least=1)
    output_tokens: int = parameter("output length of speed runs, in tokens, at least 2 (TPOT needs a second token)", least=2)
    repeats: int = parameter("processes per speed cell, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)

    def check(self) -> None:
        LossConfig.check(self)
        self.require_judged(self.models, self.calibration)
        require_language(self.ablated_models, self.ablated_calibrations)
        require(not set(self.methods) & set(CALIBRATED) or bool(self.calibration_seeds),
                "calibration_seeds: expected at least one for methods that are calibrated")
        for name in (self.calibration, *self.ablated_calibrations):
            for samples in (self.samples, *self.ablated_samples):
                calibration.Calibration(name, samples, self.length, 0)


def plan(config: Config) -> Iterator[Unit]:
    """All units: losses in the reference engine and in the runtimes, what quantizing took, and speed.

    Builds that are timed come first, so that the others find their artifacts built.
    """
    config = config.with_threads()
    specs, absent = resolved((*config.models, *config.shapes))
    for name, reason in absent.items():
        yield absent_unit(config, "loss" if name in config.models else "speed", name, reason)
    for spec in (specs[name] for name in config.models if name in specs):
        yield _loss(config, spec, QuantizationSpec(NONE), ENGINE, DTYPE)
        main = [way for way in main_grid(config) if way.method not in CALIBRATED or spec.name not in config.uncalibrated_models]
        for way in dict.fromkeys([*main, *(ablations(config) if spec.name in config.ablated_models else ())]):
            yield _loss(config, spec, way, ENGINE, DTYPE)
        for way in main if spec.name in config.cost_models else ():
            first = way.calibration_seed in (None, *config.calibration_seeds[:1]) and way.group in (None, config.main_group)
            if first and not way.refusal(spec):
                yield _build(config, spec, way)
        for cell in config.runtime_cells if spec.name in config.runtime_models else ():
            of = Cell.parse(cell)
            yield _loss(config, spec, _way_of(config, of.weights), of.engine, of.dtype(config.activations))
    yield from _speeds(config, specs)


run = study_run(STUDY, VERSION, plan)


def _way_of(config: Config, weights: str) -> QuantizationSpec:
    """How the weights of a cell are quantized."""
    if weights in PACKED:
        return four_bit(config, weights)
    if weights == STORED:
        return QuantizationSpec(STORED)
    return QuantizationSpec(NONE) if weights in FLOATS else QuantizationSpec("gguf", type=weights)


def _loss(config: Config, spec: ModelSpec, way: QuantizationSpec, engine: str, dtype: str) -> Unit:
    """A variant against the unquantized model: dequantized in the reference engine, as it is stored in any other."""
    chain, more = _rounded(config, spec, way)
    if way.method == NONE:
        chain = engines.variant_for(engine, spec.name, dtype)
    elif (engine, dtype) == (ENGINE, DTYPE):
        chain += variants.DEQUANTIZED
    return loss_unit(config, dict(model=spec.name, **way.condition(), **more), chain, base=spec.name, engine=engine,
                     dtype=dtype, refusal=way.refusal(spec))


def _rounded(config: Config, spec: ModelSpec, way: QuantizationSpec) -> tuple[str, dict]:
    """The variant of a model, and what its rows say of how weights that came rounded were taken off their grid before."""
    if way.method in (NONE, STORED):
        return way.chain(spec.name, config.length), {}
    return way.chain(variants.to_round(spec.name), config.length), {} if spec.file is None else dict(rescaled=rescale.BY)


def _build(config: Config, spec: ModelSpec, way: QuantizationSpec) -> Unit:
    chain, more = _rounded(config, spec, way)
    where = config.where
    condition = dict(task="build", model=spec.name, **way.condition(), **more, engine=NONE, dtype=NONE, **where)
    return Unit(condition, 0, "edgekit.studies.quantization.jobs:measure_build", dict(chain=chain, **where),
                variants.content_hash(chain), "", first=True, variants=(chain,), makes=True,
                holds=((Held(spec.name, *REFERENCE),),) if way.method in CALIBRATED else ())


def _speeds(config: Config, specs: Mapping[str, ModelSpec]) -> Iterator[Unit]:
    """Times of the shapes that are in `specs`, in every cell and repeat, with the rates of the device beside them; energy where
    there is a sensor."""
    blind = no_sensor(config)
    if config.shapes and blind:
        yield blind
    timed = [(config.with_threads(threads), names) for threads, names in _timed(config).items()]
    for repeat in range(config.repeats):
        for at, names in timed:
            yield roofs_unit(at, repeat)
            for name in (name for name in names if name in specs):
                for cell in config.speed_cells:
                    condition, chain, of = _cell(config, name, cell)
                    yield speed_unit(at, condition, chain, {config.prompt_tokens: [config.output_tokens]}, repeat, **of)
                    if at.threads == config.threads and not blind:
                        yield energy_unit(at, condition, chain, config.prompt_tokens, config.output_tokens, repeat, **of)


def _timed(config: Config) -> dict[int, tuple[str, ...]]:
    """Shapes to be timed by number of threads: all of them with the study's own, some with others too."""
    counts = {config.threads: config.shapes}
    for threads in config.scaled_threads if config.scaled_shapes else ():
        counts.setdefault(threads, config.scaled_shapes)
    return {threads: names for threads, names in counts.items() if names}


def _cell(config: Config, name: str, cell: str) -> tuple[dict, str, dict]:
    """(condition, variant, {engine, dtype, refusal}) of a shape in a cell.

    Its weights are random, so what AWQ or GPTQ would choose does not matter: they are rounded to the same format.
    """
    of = Cell.parse(cell)
    chain = of.chain(name, config.main_group)
    return (dict(model=name, weights=of.weights), chain,
            dict(engine=of.engine, dtype=of.dtype(config.activations), refusal=of.refusal(chain)))
