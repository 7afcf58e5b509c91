"""Runtimes on the same weights and the same machine: their times, what of these is their own overhead, and what they say.

Each model is timed in each of its cells, a runtime and the precision that it offers. Some cells are also timed with several
prompts at a time, with other numbers of threads, and with the processor's instruction sets or its GPU left out. Every runtime's
likeliest tokens are compared with those of the float32 reference and of each other. Calls that the documents print are made as
they stand there, and what today's libraries say to them is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgekit import engines
from edgekit.catalog import texts
from edgekit.catalog.engines import ENGINES, take_back
from edgekit.catalog.models import ModelSpec
from edgekit.compress import variant as variants
from edgekit.engines import instructions
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import EVERYTHING, HOST_ONLY, REFERENCE
from edgekit.studies.cells import OWN, UNPACKED, Cell
from edgekit.studies.config import (
    MeasuringConfig,
    cell_with,
    known_model,
    parameter,
    require_apart,
    require_language,
    trained_for,
)
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import absent_unit, resolved, roofs_unit, study_run, timed_cells, timed_unit

STUDY = "10_runtimes"
VERSION = 1
WEIGHTS = (*UNPACKED, *OWN)
JOBS = "edgekit.studies.runtimes.jobs"
LISTINGS = {"S1, section 3.1": "edgekit.studies.runtimes.jobs_listings:measure_printed_quantization",
            "S2, quantization": "edgekit.studies.runtimes.jobs_listings:measure_printed_loading"}
CHECKED_TOKENS = 48  # of the text that engines are checked on (see measure/conformance.py)
ACCELERATIONS = (*instructions.LEVELS, EVERYTHING, HOST_ONLY)


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights", each=known_model)
    cells: tuple[str, ...] = parameter("engine/weights pairs for them", each=cell_with(WEIGHTS))
    shapes: tuple[str, ...] = parameter("published architectures with random weights", each=known_model)
    shape_cells: tuple[str, ...] = parameter("engine/weights pairs for shapes", each=cell_with(WEIGHTS))
    prompt_tokens: tuple[int, ...] = parameter("prompt lengths, in tokens", least=1, needed=1)
    output_tokens: tuple[int, ...] = parameter("output lengths, in tokens, at least 2 (TPOT needs a second token)", least=2,
                                               needed=1)
    batch_models: tuple[str, ...] = parameter("models with several prompts at a time", some_of="models shapes")
    batch_cells: tuple[str, ...] = parameter("in these cells, whose engines batch", some_of="cells shape_cells")
    batches: tuple[int, ...] = parameter("numbers of prompts at a time", least=1)
    scaled_models: tuple[str, ...] = parameter("models with other numbers of threads", some_of="models shapes")
    scaled_cells: tuple[str, ...] = parameter("in these cells", some_of="cells shape_cells")
    scaled_threads: tuple[int, ...] = parameter("these numbers", least=1)
    accelerated_models: tuple[str, ...] = parameter("models with acceleration left out", some_of="models shapes")
    accelerated_cells: tuple[str, ...] = parameter("in these cells", some_of="cells shape_cells")
    accelerations: tuple[str, ...] = parameter(
        "instruction sets that kernels may use (sse4, avx2), everything that is there, or host only, without the GPU",
        known=ACCELERATIONS)
    agreeing_models: tuple[str, ...] = parameter("models whose likeliest tokens are compared", some_of="models",
                                                 each=trained_for("agreement"))
    agreeing_cells: tuple[str, ...] = parameter("of these cells, and with the float32 reference", some_of="cells")
    stream: str = parameter("texts that are scored: mixture (pocket), python-docs, wikitext2, or a .jsonl or .txt file")
    texts: int = parameter("texts, the first of the stream; the samples of intervals", least=2)
    written_tokens: int = parameter("tokens that are written after the first half of each text", least=1)
    conforming_models: tuple[str, ...] = parameter("models with which agreeing_cells are checked for what engines promise",
                                                   some_of="models")  # on ids of their own: of any language
    listings: tuple[str, ...] = parameter("listings of the documents whose calls are made", known=LISTINGS)
    listing_model: str = parameter("the model that they are made with", each=trained_for("a listing"))
    split_pairs: tuple[str, ...] = parameter("draft on the host, target on the GPU: pairs, each \"target < draft\"")
    split_cell: str = parameter("engine/weights of both", each=cell_with(WEIGHTS))
    repeats: int = parameter("processes per cell, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)

    def check(self) -> None:
        require_apart(self.models, self.shapes)
        for names in (("batch_models", "batch_cells", "batches"), ("scaled_models", "scaled_cells", "scaled_threads"),
                      ("accelerated_models", "accelerated_cells", "accelerations"), ("agreeing_models", "agreeing_cells")):
            filled = {bool(getattr(self, name)) for name in names}
            require(len(filled) == 1, f"{', '.join(names)}: expected all of them or none")
        require(len(self.accelerations) != 1, "accelerations: expected at least two, or none, since they are compared, got "
                                              f"{self.accelerations}")
        texts.require_known(self.stream, self.texts)
        require_language(self.agreeing_models, (self.stream,))
        for pair in self.split_pairs:
            target, sign, draft = pair.partition(" < ")
            require(bool(sign), f"split_pairs: expected \"target < draft\", got {pair!r}")
            for name in (target, draft):
                known_model(name)
        require(not self.split_pairs or Cell.parse(self.split_cell, WEIGHTS).engine in take_back(),
                f"split_cell: expected an engine that takes tokens back ({', '.join(take_back())}), got {self.split_cell}")


def plan(config: Config) -> Iterator[Unit]:
    """All units of the study, repeat by repeat."""
    config = config.with_threads()
    pairs = [tuple(pair.split(" < ")) for pair in config.split_pairs]
    specs, absent = resolved((*config.models, *config.shapes, *(name for pair in pairs for name in pair)))
    for name, reason in absent.items():
        yield absent_unit(config, "speed", name, reason)
    cells = timed_cells(config, specs)
    for repeat in range(config.repeats):
        yield roofs_unit(config, repeat)
        for spec, cell in cells:
            yield _speed(config, spec, cell, repeat)
            if spec.name in config.batch_models and cell in config.batch_cells:
                yield _batches(config, spec, cell, repeat)
            if spec.name in config.scaled_models and cell in config.scaled_cells:
                for threads in config.scaled_threads:
                    yield _scaled(config.with_threads(threads), spec, cell, repeat)
            if spec.name in config.accelerated_models and cell in config.accelerated_cells:
                for acceleration in config.accelerations:
                    yield _accelerated(config, spec, cell, acceleration, repeat)
        for target, draft in pairs:
            if {target, draft} <= specs.keys():
                yield _split(config, target, draft, repeat)
    for name in (name for name in config.agreeing_models if name in specs):
        for cell in dict.fromkeys(("/".join(REFERENCE), *config.agreeing_cells)):
            yield _agreement(config, specs[name], cell)
    for name in (name for name in config.conforming_models if name in specs):
        for cell in dict.fromkeys(("/".join(REFERENCE), *config.agreeing_cells)):
            yield _conformance(config, specs[name], cell)
    for listing in config.listings:
        yield _listing(config, listing)


run = study_run(STUDY, VERSION, plan)


def _cell(spec: ModelSpec, cell: str, longest: int, task: str) -> tuple[dict, str, dict]:
    """(condition, variant, {engine, dtype, tokens, refusal}) of a task of a model in a cell, whose longest text has `longest`
    tokens."""
    of = Cell.parse(cell, WEIGHTS)
    chain = of.chain(spec.name)
    refusal = of.refusal(chain)
    if task != "speed" and not ENGINES[of.engine].takes_ids:
        refusal = f"{of.engine}: it takes and gives text, and {task} asks for token ids; its times alone are measured"
    if longest > spec.architecture.context:
        refusal = f"prompt and output of {longest} tokens exceed the model's context of {spec.architecture.context}"
    return dict(model=spec.name), chain, dict(engine=of.engine, dtype=of.weights, tokens=longest, refusal=refusal)


def _grid(config: Config) -> list[list]:
    return [[length, sorted(config.output_tokens)] for length in sorted(config.prompt_tokens)]


def _ends(config: Config) -> list[list]:
    """The longest prompt and output alone: what is varied beside them is varied there."""
    return [[max(config.prompt_tokens), [max(config.output_tokens)]]]


def _longest(config: Config) -> int:
    return max(config.prompt_tokens) + max(config.output_tokens)


def _speed(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(spec, cell, _longest(config), "speed")
    work = dict(grid=_grid(config), seed=config.seed, warmups=config.warmups)
    served = not ENGINES[of["engine"]].takes_ids
    job = f"{JOBS}_served:measure_served" if served else f"{JOBS}:measure_runtime"
    unit = timed_unit(config, dict(task="speed", batch=1, **condition), chain, job, work, repeat, **of)
    return replace(unit, holds=()) if served else unit  # another process holds the model


def _scaled(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(spec, cell, _longest(config), "threads")
    work = dict(grid=_ends(config), seed=config.seed, warmups=config.warmups)
    return timed_unit(config, dict(task="threads", batch=1, **condition), chain, "edgekit.measure.latency:measure_speed", work,
                      repeat, **of)


def _accelerated(config: Config, spec: ModelSpec, cell: str, acceleration: str, repeat: int) -> Unit:
    condition, chain, of = _cell(spec, cell, _longest(config), "acceleration")
    work = dict(acceleration=acceleration, grid=_ends(config), seed=config.seed, warmups=config.warmups)
    of["refusal"] = of["refusal"] or instructions.refusal(of["engine"], acceleration, config.device)
    return timed_unit(config, dict(task="acceleration", batch=1, acceleration=acceleration, **condition), chain,
                      f"{JOBS}:measure_accelerated", work, repeat, **of)


def _batches(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(spec, cell, _longest(config), "batches")
    most = max(config.batches)
    work = dict(batches=sorted(config.batches), prompt_tokens=[max(config.prompt_tokens)],
                output_tokens=max(config.output_tokens), seed=config.seed)
    return timed_unit(config, dict(task="batches", **condition), chain, "edgekit.measure.batches:measure_batches", work, repeat,
                      texts=most, **of | dict(tokens=most * of["tokens"]))


def _split(config: Config, target: str, draft: str, repeat: int) -> Unit:
    """Plain decoding, and a draft beside the target or on the host, in one process."""
    of = Cell.parse(config.split_cell, WEIGHTS)
    chains = of.chain(target), of.chain(draft)
    where = dict(engine=of.engine, dtype=of.weights, **config.where)
    work = dict(prompt_tokens=max(config.prompt_tokens), output_tokens=max(config.output_tokens), seed=config.seed)
    refusal = of.refusal(*chains)
    if config.device == "cpu":
        refusal = "a draft on the host beside a target on the GPU needs a GPU: device is cpu"
    longest = _longest(config)
    holds = () if refusal else (tuple(Held(chain, of.engine, of.weights, longest) for chain in chains),)
    artifact = "" if refusal else " ".join((*map(variants.content_hash, chains), engines.runtime(of.engine)))
    return Unit(dict(task="split", model=target, draft=draft, batch=1, **where), repeat, f"{JOBS}_split:measure_split",
                dict(target=chains[0], draft=chains[1], **where, **work), artifact, task_hash(work), refusal, variants=chains,
                holds=holds)


def _agreement(config: Config, spec: ModelSpec, cell: str) -> Unit:
    condition, chain, of = _cell(spec, cell, 0, "agreement")
    where = dict(engine=of["engine"], dtype=of["dtype"], **config.where)
    work = dict(base=spec.name, stream=config.stream, texts=config.texts, output_tokens=config.written_tokens)
    holds = () if of["refusal"] else ((Held(spec.name, *REFERENCE, MOST_CONTEXT),),
                                      (Held(chain, of["engine"], of["dtype"], MOST_CONTEXT),))
    return Unit(dict(task="agreement", batch=1, **condition, **where), 0, f"{JOBS}:measure_agreement",
                dict(variant=chain, **where, **work), f"{variants.content_hash(chain)} {engines.runtime(of['engine'])}",
                task_hash(work | dict(stream_hash=texts.stream_hash(config.stream))), of["refusal"],
                shared=ENGINES[of["engine"]].shares_process, variants=(chain, spec.name), holds=holds)


def _conformance(config: Config, spec: ModelSpec, cell: str) -> Unit:
    condition, chain, of = _cell(spec, cell, CHECKED_TOKENS, "conformance")
    work = dict(base=spec.name, seed=config.seed)
    unit = timed_unit(config, dict(task="conformance", batch=1, **condition), chain,
                      "edgekit.measure.conformance:measure_conformance", work, 0, **of)
    return replace(unit, variants=(chain, spec.name))


def _listing(config: Config, listing: str) -> Unit:
    condition = dict(task="listing", listing=listing, model=config.listing_model, **config.where)
    work = dict(model=config.listing_model, device=config.device)
    return Unit(condition, 0, LISTINGS[listing], work, f"{variants.content_hash(config.listing_model)} "
                f"{engines.runtime('transformers')}", task_hash(work | dict(listing=listing)), variants=(config.listing_model,))
