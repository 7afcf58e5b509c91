"""Speculative decoding: how much of a draft a target accepts, why, and when that makes generation faster.

Acceptance is counted for all pairs, in processes that units share, since no clock is read. Divergence of the two models'
distributions is taken on the target's own texts in the reference engine. Times are taken greedily, each pair in a process of
its own, plain decoding among the draft lengths; what the runtimes bring themselves is timed on the same pairs and prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import models
from edgekit.catalog import prompts as catalog
from edgekit.catalog.engines import ENGINES
from edgekit.compress import variant as variants
from edgekit.decode import builtin
from edgekit.params import require, require_known
from edgekit.schema import ADAPTIVE, LOOKUP
from edgekit.studies.cells import UNPACKED, Cell
from edgekit.studies.config import MeasuringConfig, cell_with, parameter, require_form, require_language
from edgekit.studies.runner import Unit
from edgekit.studies.speculative.plan_pairs import (
    ITSELF,
    JOBS,
    batch_units,
    block_units,
    chain,
    hash_of,
    is_timed,
    overlap_units,
    pair_unit,
    pairs,
    replay_units,
    split_pair,
)
from edgekit.studies.units import absent_unit, resolved, study_run

STUDY = "06_speculative"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config(MeasuringConfig):
    """Parameters of the study. Draft lengths are at least 1: plain decoding is measured in any case."""

    models: tuple[str, ...] = parameter("trained models, smallest first: each drafts for those after it", needed=1)
    self_drafts: tuple[str, ...] = parameter("GGUF types or steps that make a target its own draft, where the engine loads "
                                             "what they make")
    lookup: bool = parameter("whether repetitions of the text itself are a draft too")
    more_pairs: tuple[str, ...] = parameter('other pairs, each "target < draft"; a draft may be larger than its target, with a '
                                            "warning", each=lambda pair: split_pair("more_pairs", pair))
    cells: tuple[str, ...] = parameter("engine/weights in which acceptance is counted", needed=1, each=cell_with(UNPACKED))
    domains: tuple[str, ...] = parameter("what prompts are about: sets of prompts by name, or a .jsonl file", needed=1,
                                         each=catalog.require_known)
    prompt_form: Literal["plain", "chat"] = parameter(
        "how they are put: plain, as their text stands, or chat, in the target's own chat template")
    temperatures: tuple[float, ...] = parameter("0: the likeliest token; above: drawn from logits over it", least=0, needed=1)
    top_p: float = parameter("share of the probability that drawn tokens are cut to; 1: no cut", above=0, most=1)
    lengths: tuple[int, ...] = parameter("drafted tokens in a block when acceptance is counted", least=1, needed=1)
    prompts: int = parameter("prompts of each domain when acceptance is counted", least=1)
    max_new_tokens: int = parameter("most tokens of a text, at least 2", least=2)
    blocks: tuple[int, ...] = parameter("tokens in a pass whose logits are compared with those of one token a pass, at least 2",
                                        least=2)
    timed_models: tuple[str, ...] = parameter("targets whose times are taken", some_of="models")
    timed_drafts: tuple[str, ...] = parameter(f"drafts whose times are taken: models, {ITSELF}, {LOOKUP}")
    timed_cells: tuple[str, ...] = parameter("engine/weights in which times are taken", each=cell_with(UNPACKED))
    timed_domains: tuple[str, ...] = parameter("what the prompts of timed runs are about", each=catalog.require_known)
    timed_threads: tuple[int, ...] = parameter("threads of timed runs; 0: as `threads`", least=0)
    timed_lengths: tuple[int, ...] = parameter("drafted tokens in a block when times are taken, at least 1", least=1)
    adaptive: bool = parameter("whether an adaptive draft length is timed too")
    timed_prompts: int = parameter("prompts of each domain when times are taken", least=1)
    builtin_speculative: tuple[str, ...] = parameter(
        "the runtimes' own loops: transformers-assisted, llama-cpp-python, vllm-speculative", each=builtin.require_known)
    builtin_lengths: tuple[int, ...] = parameter("drafted tokens for these", least=1)
    replayed_pairs: tuple[str, ...] = parameter('pairs timed with recorded acceptance, each "target < draft": shapes, or '
                                                "trained models", each=lambda pair: split_pair("replayed_pairs", pair))
    recorded_pair: str = parameter("the trained pair whose acceptance is replayed",
                                   each=lambda pair: split_pair("recorded_pair", pair))
    recorded_domains: tuple[str, ...] = parameter("what the recorded pair's prompts are about", each=catalog.require_known)
    replay_cells: tuple[str, ...] = parameter("engine/weights of both pairs", each=cell_with(UNPACKED))
    replay_lengths: tuple[int, ...] = parameter("drafted tokens in a block of a replay", least=1, needed=1)
    replay_prompt_tokens: int = parameter("random tokens before a replayed text", least=1)
    replay_tokens: int = parameter("tokens of a replayed text")
    batches: tuple[int, ...] = parameter("numbers of texts at a time", least=1)
    batch_lengths: tuple[int, ...] = parameter("drafted tokens in a block with several texts at a time", least=1)
    batch_cells: tuple[str, ...] = parameter("engine/weights for several texts at a time", each=cell_with(UNPACKED))
    batch_domains: tuple[str, ...] = parameter("what their prompts are about", each=catalog.require_known)
    batch_prompts: int = parameter("prompts of each domain, which every number of texts at a time must divide", least=1)
    rounds: int = parameter("passes over the prompts in each timed process", least=1)
    repeats: int = parameter("processes for each timed pair, in shuffled order", least=1)

    def check(self) -> None:
        require(self.replay_tokens >= max(self.replay_lengths) + 2,
                "replay_tokens: expected texts longer than the longest block of replay_lengths by at least 1 token, got "
                f"{self.replay_tokens} and {self.replay_lengths}")
        require(all(not self.batch_prompts % batch for batch in self.batches),
                "batches: expected numbers of texts at a time that divide batch_prompts, got "
                f"{self.batches} and {self.batch_prompts}")
        require_known("timed_drafts", self.timed_drafts, (*self.models, ITSELF, LOOKUP))
        for cell in self.batch_cells:
            able = [name for name, entry in ENGINES.items() if entry.several_texts]
            require(Cell.parse(cell).engine in able, "batch_cells: expected an engine that takes tokens back from each of "
                    f"several texts ({', '.join(able)}), got {cell!r}")
        recorded = split_pair("recorded_pair", self.recorded_pair)
        require(LOOKUP not in recorded, f"recorded_pair: expected two models, got {self.recorded_pair!r}")
        replayed = [name for pair in self.replayed_pairs for name in split_pair("replayed_pairs", pair)]
        for name in replayed:
            models.resolve(variants.parse(name).model)
        for cell in self.replay_cells:
            for name in (*recorded, *replayed):
                require(chain(cell, name) is not None, f"replay_cells: {cell} does not load {name}")
        require_form(self.prompt_form, {variants.parse(target).model for target, _ in [*pairs(self), recorded]})
        judged = [name for pair in pairs(self) for name in pair if name != LOOKUP]
        require_language(judged, (*self.domains, *self.timed_domains, *self.batch_domains))
        require_language(recorded, self.recorded_domains)
        for target, draft in [*pairs(self), recorded]:
            for name in (target, draft):
                if name != LOOKUP and not models.is_hub_id(variants.parse(name).model):
                    models.resolve(variants.parse(name).model).require_weights("acceptance")


def plan(config: Config) -> Iterator[Unit]:
    """All units: counts, divergences, what the size of a pass changes, times of ours and of the runtimes' own, of several texts
    at a time, and of pairs with replayed acceptance. A model that cannot be had is told once."""
    config = config.with_threads()
    hash_of.cache_clear()
    timed = list(dict.fromkeys(config.with_threads(threads) for threads in config.timed_threads))
    _, absent = resolved(config.models)
    for name, reason in absent.items():
        yield absent_unit(config, "acceptance", name, reason)
    for target, draft in pairs(config):
        if {target, variants.parse(draft).model if draft != LOOKUP else LOOKUP} & set(absent):
            continue
        for cell in config.cells:
            yield from _counts(config, target, draft, cell)
        if draft != LOOKUP:
            yield from overlap_units(config, target, draft)
        if is_timed(config, target, draft):
            for cell in config.timed_cells:
                yield from _times(config, timed, target, draft, cell)
            yield from batch_units(config, target, draft)
    for name in (name for name in config.models if name not in absent):
        yield from block_units(config, name)
    yield from replay_units(config)


run = study_run(STUDY, VERSION, plan)


def _counts(config: Config, target: str, draft: str, cell: str) -> Iterator[Unit]:
    for domain in config.domains:
        for temperature in config.temperatures:
            yield from _pair(config, "acceptance", target, draft, cell, domain, f"{JOBS}:measure_counts", temperature,
                             dict(prompts=config.prompts, lengths=list(config.lengths), temperature=temperature,
                                  top_p=config.top_p))


def _times(config: Config, timed: list[Config], target: str, draft: str, cell: str) -> Iterator[Unit]:
    """Times of a pair; `timed`: the study with each number of threads that it is timed with."""
    engine = Cell.parse(cell).engine
    work = dict(prompts=config.timed_prompts, rounds=config.rounds)
    lengths = [*config.timed_lengths, *[ADAPTIVE] * config.adaptive]
    for domain in config.timed_domains:
        for at in timed:
            for repeat in range(config.repeats):
                if not repeat or not engines.no_rollback(engine):  # a refusal is told once
                    yield from _pair(at, "speed", target, draft, cell, domain, f"{JOBS}:measure_times", 0.0,
                                     work | dict(lengths=lengths, temperature=0.0, top_p=config.top_p), repeat)
                for loop in config.builtin_speculative if draft in (*config.models, LOOKUP) else ():
                    if builtin.base_of(loop) == engine:
                        yield from _pair(at, "speed", target, draft, cell, domain, f"{JOBS}_builtin:measure_builtin",
                                         0.0, work | dict(lengths=list(config.builtin_lengths)), repeat, loop)


def _pair(config: Config, task: str, target: str, draft: str, cell: str, domain: str, function: str, temperature: float,
          work: dict, repeat: int = 0, loop: str | None = None) -> Iterator[Unit]:
    """A unit of a pair in a cell; none where its engine does not load the draft's format."""
    of = Cell.parse(cell)
    both = dict(target=chain(cell, target), draft=LOOKUP if draft == LOOKUP else chain(cell, draft))
    if both["draft"] is None:
        return
    work = work | dict(domain=domain, max_new_tokens=config.max_new_tokens, seed=config.seed)
    named = dict(model=target, draft=draft, engine=loop or of.engine, dtype=of.weights, temperature=temperature)
    refusal = of.refusal(*(one for one in both.values() if one != LOOKUP))
    if loop:
        refusal = refusal or builtin.refusal(loop, config.device, [models.resolve(name) for name in (target, draft)
                                                                     if name != LOOKUP])
        if repeat and refusal:  # told once
            return
    else:
        refusal = refusal or engines.no_rollback(of.engine)
    runs = dict(loop=loop) if loop else dict(engine=of.engine)
    yield pair_unit(config, task, named, both, function, work, repeat, engine=of.engine, told=dict(**runs, dtype=of.weights),
                    refusal=refusal, shared=task == "acceptance")
