"""Speculative decoding: how much of a draft a target accepts, why, and when that makes generation faster.

Acceptance is counted for all pairs, in processes that units share, since no clock is read. Divergence of the two models'
distributions is taken on the target's own texts in the reference engine. Times are taken greedily, each pair in a process of
its own, plain decoding among the draft lengths; what the runtimes bring themselves is timed on the same pairs and prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import models
from edgekit.catalog.engines import ENGINES
from edgekit.catalog.models import ModelError
from edgekit.compress import variant as variants
from edgekit.compress.variant import VariantError
from edgekit.decode import builtin as natives
from edgekit.engines.base import EngineError
from edgekit.measure import acceptance
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_each_once, require_limits, require_profile_name
from edgekit.schema import ADAPTIVE, LOOKUP
from edgekit.studies.cells import UNPACKED, Cell
from edgekit.studies.pairs import (
    ITSELF,
    batch_units,
    chain,
    hash_of,
    hashes,
    is_timed,
    made,
    overlap_units,
    pairs,
    replay_units,
    split_pair,
    texts_hash,
)
from edgekit.studies.runner import Result, Unit, run_units, task_hash

STUDY = "06_speculative"
# A change of what is measured must change it: old rows are then never reused.
VERSION = 1
JOBS = "edgekit.measure.speculation_jobs"


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of the study; the notebook's parameters cell says what each is, with its unit."""

    profile: str
    seed: int
    device: Literal["cpu", "cuda", "mps"]
    threads: int
    models: tuple[str, ...]
    self_drafts: tuple[str, ...]
    lookup: bool
    more_pairs: tuple[str, ...]
    cells: tuple[str, ...]
    domains: tuple[str, ...]
    temperatures: tuple[float, ...]
    top_p: float
    lengths: tuple[int, ...]
    prompts: int
    max_new_tokens: int
    timed_models: tuple[str, ...]
    timed_drafts: tuple[str, ...]
    timed_cells: tuple[str, ...]
    timed_domains: tuple[str, ...]
    timed_threads: tuple[int, ...]
    timed_lengths: tuple[int, ...]
    adaptive: bool
    timed_prompts: int
    natives: tuple[str, ...]
    native_lengths: tuple[int, ...]
    replayed_pairs: tuple[str, ...]
    recorded_pair: str
    recorded_domains: tuple[str, ...]
    replay_cells: tuple[str, ...]
    replay_lengths: tuple[int, ...]
    replay_prompt_tokens: int
    replay_tokens: int
    batches: tuple[int, ...]
    batch_lengths: tuple[int, ...]
    batch_cells: tuple[str, ...]
    batch_domains: tuple[str, ...]
    batch_prompts: int
    rounds: int
    repeats: int
    timeout_s: float
    memory_share: float

    def __post_init__(self):
        require_profile_name(self.profile)
        require_each_once(self, ("models", "self_drafts", "more_pairs", "cells", "domains", "temperatures", "lengths",
                                 "timed_models", "timed_drafts", "timed_cells", "timed_domains", "timed_threads",
                                 "timed_lengths", "natives", "native_lengths", "replayed_pairs", "recorded_domains",
                                 "replay_cells", "replay_lengths", "batches", "batch_lengths", "batch_cells", "batch_domains"))
        require_limits(self.threads, self.timeout_s, self.memory_share)
        require(bool(self.models) and bool(self.cells) and bool(self.domains) and bool(self.temperatures),
                "models, cells, domains, temperatures: expected at least one each")
        for name in ("lengths", "timed_lengths", "native_lengths", "replay_lengths", "batch_lengths"):
            require(all(length >= 1 for length in getattr(self, name)),
                    f"{name}: expected at least 1 drafted token, got {getattr(self, name)}; plain decoding is measured "
                    "in any case")
        require(bool(self.lengths), "lengths: expected at least one")
        require(all(temperature >= 0 for temperature in self.temperatures), "temperatures: expected 0 (greedy) or more, got "
                f"{self.temperatures}")
        require(0 < self.top_p <= 1, f"top_p: expected more than 0 and at most 1, got {self.top_p}")
        require(all(threads >= 0 for threads in self.timed_threads), f"timed_threads: expected 0 (all) or more, got "
                f"{self.timed_threads}")
        require(self.prompts >= 1 and self.timed_prompts >= 1 and self.rounds >= 1 and self.repeats >= 1,
                "prompts, timed_prompts, rounds, repeats: expected at least 1 each")
        require(self.max_new_tokens >= 2, f"max_new_tokens: expected at least 2, got {self.max_new_tokens}")
        require(bool(self.replay_lengths) and self.replay_prompt_tokens >= 1
                and self.replay_tokens >= max(self.replay_lengths) + 2,
                "replay_lengths, replay_prompt_tokens, replay_tokens: expected a draft length, a prompt of at least 1 token "
                "and texts longer than the longest block by at least 1 token, got "
                f"{self.replay_lengths}, {self.replay_prompt_tokens}, {self.replay_tokens}")
        require(self.batch_prompts >= 1 and all(batch >= 1 and not self.batch_prompts % batch for batch in self.batches),
                "batches: expected numbers of texts at a time that divide batch_prompts, got "
                f"{self.batches} and {self.batch_prompts}")
        for name in ("domains", "timed_domains", "recorded_domains", "batch_domains"):
            for domain in getattr(self, name):
                require(domain in acceptance.DOMAINS, f"{name}: unknown {domain!r}; known: {', '.join(acceptance.DOMAINS)}")
        for name in self.timed_models:
            require(name in self.models, f"timed_models: unknown {name!r}; known: {', '.join(self.models)}")
        drafts = (*self.models, ITSELF, LOOKUP)
        for name in self.timed_drafts:
            require(name in drafts, f"timed_drafts: unknown {name!r}; known: {', '.join(drafts)}")
        for cell in self.batch_cells:
            able = [name for name, entry in ENGINES.items() if entry.several_texts]
            require(Cell.parse(cell).engine in able, "batch_cells: expected an engine that takes tokens back from each of "
                    f"several texts ({', '.join(able)}), got {cell!r}")
        for cell in (*self.cells, *self.timed_cells, *self.replay_cells, *self.batch_cells):
            Cell.parse(cell, UNPACKED)
        try:
            for name in self.natives:
                natives.require_known(name)
            for pair in self.replayed_pairs:
                for name in split_pair("replayed_pairs", pair):
                    models.resolve(variants.parse(name).model)
            recorded = split_pair("recorded_pair", self.recorded_pair)
            require(LOOKUP not in recorded, f"recorded_pair: expected two models, got {self.recorded_pair!r}")
            for cell in self.replay_cells:
                for name in (*recorded, *(name for pair in self.replayed_pairs for name in split_pair("replayed_pairs", pair))):
                    require(chain(cell, name) is not None, f"replay_cells: {cell} does not load {name}")
            for target, draft in [*pairs(self), recorded]:
                for name in (target, draft):
                    if name != LOOKUP and not models.is_hub_id(variants.parse(name).model):
                        models.resolve(variants.parse(name).model).require_weights("acceptance")
        except (ModelError, EngineError, VariantError) as error:
            raise ParamsError(str(error)) from error


def run(config: Config) -> Result:
    """Measure what is missing and return the rows and skips of this configuration.

    Raises ParamsError, StoreError (rows cannot be written) and DeviceError (no such device here).
    """
    return run_units(STUDY, VERSION, config, list(plan(config)))


def plan(config: Config) -> Iterator[Unit]:
    """All units: counts, divergences, times of ours and of the runtimes' own, of several texts at a time, and of pairs with
    replayed acceptance. A model that cannot be had is told once."""
    config = dataclasses.replace(config, threads=config.threads or devices.allowed_threads())
    hash_of.cache_clear()
    absent = {}
    for name in config.models:
        try:
            models.resolve(name)
        except ModelError as error:
            absent[name] = str(error)
            condition = dict(task="acceptance", model=name, threads=config.threads, device=config.device)
            yield Unit(condition, 0, "", {}, "", "", refusal=str(error), planned=False)
    for target, draft in pairs(config):
        if {target, variants.parse(draft).model if draft != LOOKUP else LOOKUP} & set(absent):
            continue
        for cell in config.cells:
            yield from _counts(config, target, draft, cell)
        if draft != LOOKUP:
            yield from overlap_units(config, target, draft)
        if is_timed(config, target, draft):
            for cell in config.timed_cells:
                yield from _times(config, target, draft, cell)
            yield from batch_units(config, target, draft)
    yield from replay_units(config)


def _counts(config: Config, target: str, draft: str, cell: str) -> Iterator[Unit]:
    for domain in config.domains:
        for temperature in config.temperatures:
            yield from _pair(config, "acceptance", target, draft, cell, domain, f"{JOBS}:measure_counts", temperature,
                             dict(prompts=config.prompts, lengths=list(config.lengths), temperature=temperature,
                                  top_p=config.top_p))


def _times(config: Config, target: str, draft: str, cell: str) -> Iterator[Unit]:
    engine = Cell.parse(cell).engine
    work = dict(prompts=config.timed_prompts, rounds=config.rounds)
    lengths = [*config.timed_lengths, *[ADAPTIVE] * config.adaptive]
    for domain in config.timed_domains:
        for threads in dict.fromkeys(threads or config.threads for threads in config.timed_threads):
            at = dataclasses.replace(config, threads=threads)
            for repeat in range(config.repeats):
                if not repeat or not engines.no_rollback(engine):  # a refusal is told once
                    yield from _pair(at, "speed", target, draft, cell, domain, f"{JOBS}:measure_times", 0.0,
                                     work | dict(lengths=lengths, temperature=0.0, top_p=config.top_p), repeat)
                for native in config.natives if draft in (*config.models, LOOKUP) else ():
                    if natives.base_of(native) == engine:
                        yield from _pair(at, "speed", target, draft, cell, domain, "edgekit.measure.natives:measure_native",
                                         0.0, work | dict(lengths=list(config.native_lengths)), repeat, native)


def _pair(config: Config, task: str, target: str, draft: str, cell: str, domain: str, function: str, temperature: float,
          work: dict, repeat: int = 0, native: str | None = None) -> Iterator[Unit]:
    """A unit of a pair in a cell; none where its engine does not load the draft's format."""
    of = Cell.parse(cell)
    engine, weights = of.engine, of.weights
    both = dict(target=chain(cell, target), draft=LOOKUP if draft == LOOKUP else chain(cell, draft))
    if both["draft"] is None:
        return
    where = dict(threads=config.threads, device=config.device)
    work = work | dict(domain=domain, max_new_tokens=config.max_new_tokens, seed=config.seed)
    condition = dict(task=task, model=target, draft=draft, engine=native or engine, dtype=weights, domain=domain,
                     temperature=temperature, **where)
    refusal = of.refusal(*(one for one in both.values() if one != LOOKUP))
    if native:
        refusal = refusal or natives.refusal(native, config.device, [models.resolve(name) for name in (target, draft)
                                                                     if name != LOOKUP])
        if repeat and refusal:  # told once
            return
    else:
        refusal = refusal or engines.no_rollback(engine)
    yield Unit(condition, repeat, function,
               dict(**both, **(dict(native=native) if native else dict(engine=engine)), dtype=weights, **where, **work),
               f"{hashes(*both.values())} {engines.runtime(engine)}", task_hash({**work, "texts": texts_hash(domain)}),
               refusal, shared=task == "acceptance", builds=made(*both.values()))
