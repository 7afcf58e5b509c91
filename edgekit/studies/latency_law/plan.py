"""Laws of time and energy against lengths: prefill against the prompt, decode against prompt and output.

Each model is timed in each of its cells over a grid of lengths, all of one process, so that a law is fitted to the times of one
process and its error is an observation of that process. Energy is measured over lengths where there is a sensor. What the study
that these laws come from released is audited beside them, from transcribed numbers or from its files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.catalog import traces
from edgekit.catalog.models import ModelSpec
from edgekit.params import require
from edgekit.schema import STORED
from edgekit.studies.cells import UNPACKED, Cell
from edgekit.studies.config import MeasuringConfig, cell_with, known_model, parameter, require_apart
from edgekit.studies.runner import Unit
from edgekit.studies.units import (
    absent_unit,
    energy_unit,
    no_sensor,
    resolved,
    roofs_unit,
    study_run,
    timed_cells,
    timed_unit,
)

STUDY = "08_latency_law"
VERSION = 1
SHAPE_WEIGHTS = tuple(name for name in UNPACKED if name != STORED)
PREFILL_ONLY = 2  # tokens written after a prompt of which no output lengths are asked


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights", each=known_model)
    cells: tuple[str, ...] = parameter("engine/weights pairs for them", each=cell_with(UNPACKED))
    shapes: tuple[str, ...] = parameter("published architectures with random weights", each=known_model)
    shape_cells: tuple[str, ...] = parameter("engine/weights pairs for shapes", each=cell_with(SHAPE_WEIGHTS))
    prompt_tokens: tuple[int, ...] = parameter("prompt lengths of prefill, in tokens; a law takes 5 or more", least=1, needed=5)
    decode_prompt_tokens: tuple[int, ...] = parameter("those of them after which output is timed, in tokens", needed=2,
                                                      some_of="prompt_tokens")
    output_tokens: tuple[int, ...] = parameter("output lengths, in tokens; a law takes 3 or more", least=4, needed=3)
    energy_models: tuple[str, ...] = parameter("models whose energy is measured where a sensor is", some_of="models shapes")
    energy_cells: tuple[str, ...] = parameter("in these cells", some_of="cells shape_cells")
    energy_prompt_tokens: tuple[int, ...] = parameter("prompt lengths of energy, with the shortest output, in tokens", least=1)
    energy_output_tokens: tuple[int, ...] = parameter("output lengths of energy, after the shortest prompt, in tokens", least=2)
    repeats: int = parameter("processes per cell, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)
    traces: str = parameter("released files of EdgeReasoning: a folder, fetch, or '' for the transcribed numbers alone",
                            each=traces.require_place)

    def check(self) -> None:
        require_apart(self.models, self.shapes)
        require(bool(self.energy_models) == bool(self.energy_prompt_tokens) == bool(self.energy_output_tokens),
                "energy_models, energy_prompt_tokens and energy_output_tokens: expected all three or none of them")


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
            yield _times(config, spec, cell, repeat)
            if not blind and spec.name in config.energy_models and cell in config.energy_cells:
                yield from _energies(config, spec, cell, repeat)


run = study_run(STUDY, VERSION, plan)


def grid(config: Config) -> dict[int, list[int]]:
    """Output lengths after each prompt length; PREFILL_ONLY where the prompt alone is timed."""
    return {length: sorted(config.output_tokens) if length in config.decode_prompt_tokens else [PREFILL_ONLY]
            for length in sorted(config.prompt_tokens)}


def _times(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Unit:
    of = Cell.parse(cell, UNPACKED)
    chain = of.chain(spec.name)
    lengths = grid(config)
    longest = max(length + max(outputs) for length, outputs in lengths.items())
    work = dict(grid=[[length, outputs] for length, outputs in lengths.items()], seed=config.seed, warmups=config.warmups)
    return timed_unit(config, dict(task="speed", batch=1, model=spec.name), chain,
                      "edgekit.studies.latency_law.jobs:measure_lengths", work, repeat, tokens=longest, engine=of.engine,
                      dtype=of.weights, refusal=_too_long(spec, longest) or of.refusal(chain))


def _energies(config: Config, spec: ModelSpec, cell: str, repeat: int) -> Iterator[Unit]:
    of = Cell.parse(cell, UNPACKED)
    chain = of.chain(spec.name)
    shortest = min(config.energy_prompt_tokens), min(config.energy_output_tokens)
    pairs = [*((length, shortest[1]) for length in config.energy_prompt_tokens),
             *((shortest[0], length) for length in config.energy_output_tokens)]
    for prompt, output in dict.fromkeys(pairs):
        condition = dict(model=spec.name, prompt_tokens=prompt, output_tokens=output)
        yield energy_unit(config, condition, chain, prompt, output, repeat, engine=of.engine, dtype=of.weights,
                          refusal=_too_long(spec, prompt + output) or of.refusal(chain))


def _too_long(spec: ModelSpec, tokens: int) -> str | None:
    if tokens <= spec.architecture.context:
        return None
    return f"prompt and output of {tokens} tokens exceed the model's context of {spec.architecture.context}"
