"""Distillation and order: what brings back the quality of a pruned model, and which chain of steps keeps most at a tenth of the
bytes.

Every student learns on the same number of steps and tokens. Quality is measured against the whole model on dequantized weights
in the reference engine; sizes are those of the files.
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
from edgekit.compress import calibration, distil, removal, training_texts
from edgekit.compress import variant as variants
from edgekit.compress.artifact import BuildError
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_known, require_limits, require_profile_name
from edgekit.schema import DTYPE, ENGINE, NONE
from edgekit.studies.chains import CALIBRATION, LEARNINGS, Chain, all_chains, learners, shares, way_of
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "05_distillation"
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
    model: str
    teacher: str
    small_models: tuple[str, ...]
    prunings: tuple[str, ...]
    learnings: tuple[str, ...]
    small_learnings: tuple[str, ...]
    seeds: tuple[int, ...]
    samples: int
    steps: int
    tokens: int
    length: int
    learning_rate: float
    fresh_learning_rate: float
    temperature: float
    mix: float
    training_texts: str
    prompts: int
    quantizations: tuple[str, ...]
    chain_learning: str
    stream: str
    texts: int
    blocks: int
    tasks: tuple[str, ...]
    depths: tuple[int, ...]
    items_per_depth: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("small_models", "prunings", "learnings", "small_learnings", "seeds", "quantizations", "tasks",
                                 "depths"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require_known("learnings", self.learnings, LEARNINGS)
        require_known("small_learnings", self.small_learnings, LEARNINGS)
        require_known("chain_learning", [self.chain_learning], self.learnings)
        require(bool(self.seeds) and bool(self.prunings), "seeds, prunings: expected at least one each")
        require(self.model not in self.small_models,
                f"small_models: {self.model} is the model itself; name smaller ones, which start from fresh weights")
        require(2 <= self.blocks <= self.texts, f"blocks: expected 2 to texts ({self.texts}), got {self.blocks}")
        require(self.items_per_depth >= 1, f"items_per_depth: expected at least 1, got {self.items_per_depth}")
        require(0 < self.mix < 1, f"mix: expected a share between 0 and 1, got {self.mix}; a way to learn that takes one loss "
                                  "alone has its own name")
        try:
            for name in self.tasks:
                tasks.require_known(name)
            texts.load(self.stream, self.texts)
            training_texts.file_of(self.training_texts)
            calibration.Calibration(CALIBRATION, self.samples, self.length, 0)
            for quantization in self.quantizations:
                way_of(quantization, self.samples, 0)
            for rate in (self.learning_rate, self.fresh_learning_rate):
                distil.Distillation("logits", self.steps, self.teacher, self.temperature, self.mix, rate, "source", self.tokens,
                                    self.length, self.training_texts, self.prompts, 0, self.device)
            for name in (self.model, self.teacher, *self.small_models):
                if not models.is_hub_id(name):
                    models.resolve(name).require_weights("divergence")
            for pruning in self.prunings:
                heads, mlp = shares(pruning)
                if not models.is_hub_id(self.model):
                    removal.kept(models.resolve(self.model).architecture, heads=heads, mlp=mlp, unit="heads", multiple=32)
        except (ModelError, TaskError, BuildError) as error:
            raise ParamsError(str(error)) from error


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config)))


def plan(config: Config) -> Iterator[Unit]:
    """All units, none of which is timed: every training first, so that the others find their students trained, then the losses
    of all chains."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    where = dict(threads=config.threads, device=config.device)
    try:
        specs = {name: models.resolve(name) for name in (config.model, config.teacher, *config.small_models)}
    except ModelError as error:
        yield Unit(dict(task="loss", model=config.model, **where), 0, "", {}, "", "", refusal=str(error), planned=False)
        return
    for chain in learners(config):
        text = chain.text(config)
        yield Unit(dict(task="training", model=config.model, **chain.condition(), **where), 0,
                   "edgekit.measure.quantized:measure_training", dict(chain=text, **where), variants.content_hash(text), "",
                   shared=True, first=True)
    for chain in dict.fromkeys(all_chains(config)):
        yield _loss(config, chain, specs[chain.student])


def _loss(config: Config, chain: Chain, spec: ModelSpec) -> Unit:
    """A chain against the whole model, in the reference engine."""
    text = chain.text(config) + (variants.DEQUANTIZED if chain.quantization != NONE else "")
    depths = {name: list(config.depths) if name.startswith(CHAIN) else None for name in config.tasks}
    work = dict(base=config.model, stream=config.stream, texts=config.texts, blocks=config.blocks, tasks=depths,
                items_per_depth=config.items_per_depth)
    hashes = {name: tasks.content_hash(name) for name in config.tasks} | {"stream": texts.stream_hash(config.stream)}
    where = dict(threads=config.threads, device=config.device)
    condition = dict(task="loss", model=config.model, **chain.condition(), engine=ENGINE, dtype=DTYPE, **where)
    refusal = chain.refusal(config, spec) or engines.absence(ENGINE)
    artifact = "" if refusal else f"{variants.content_hash(text)} {engines.runtime(ENGINE)}"
    return Unit(condition, 0, "edgekit.measure.quantized:measure_loss",
                dict(chain=text, engine=ENGINE, dtype=DTYPE, **where, **work), artifact, task_hash({**work, "hashes": hashes}),
                refusal, shared=True)
