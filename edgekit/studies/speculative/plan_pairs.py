"""Which target meets which draft, as chains that an engine loads; and the units of a pair that are not of the grid of counts
and times: divergence, several texts at a time, replayed acceptance."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from edgekit import engines
from edgekit.catalog import models, prompts
from edgekit.compress import gguf_quantize
from edgekit.compress import variant as variants
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.schema import DTYPE, ENGINE, LOOKUP
from edgekit.studies.cells import Cell
from edgekit.studies.config import asking
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash

JOBS = "edgekit.studies.speculative.jobs"  # and the modules whose names go on behind it
ARROW = " < "  # between a target and a draft
BLOCK_PROMPTS = 3  # whose texts are passed in blocks: logits of hundreds of places each
ITSELF = "itself"  # among the timed drafts: every self-draft
PAIRS = (("target", "draft"), ("recorded_target", "recorded_draft"))  # arguments that a job opens together
LEAVE_PLAIN = ("pruned", "shortened", "distilled", "rescaled")  # steps after which a format can be made


def pairs(config) -> list[tuple[str, str]]:
    """(target, draft): each model with all before it in the list, itself quantized, the lookup, and `more_pairs`."""
    found = []
    for i, target in enumerate(config.models):
        found += [(target, draft) for draft in config.models[:i]]
        found += [(target, _itself(target, step)) for step in config.self_drafts]
        found += [(target, LOOKUP)] * config.lookup
    return list(dict.fromkeys([*found, *(split_pair("more_pairs", pair) for pair in config.more_pairs)]))


def _itself(target: str, step: str) -> str:
    """A target as its own draft: a GGUF type of it, or a step after it."""
    if step in gguf_quantize.TYPES:
        return f"{target if models.is_hub_id(target) else variants.to_round(target)} > gguf_quantized(type={step})"
    return f"{target} > {step}"


def split_pair(name: str, pair: str) -> tuple[str, str]:
    """(target, draft) of a parameter's `target < draft`. Raises ParamsError."""
    parts = [part.strip() for part in variants.split(pair, ARROW.strip())]
    require(len(parts) == 2 and all(parts), f"{name}: expected \"target{ARROW}draft\", got {pair!r}")
    return parts[0], parts[1]


def is_timed(config, target: str, draft: str) -> bool:
    """Whether times of a pair are asked for. A model among the timed drafts stands for what was trained from it too."""
    model = variants.parse(draft).model
    return target in config.timed_models and (ITSELF if draft != model == target else model) in config.timed_drafts


def chain(cell: str, name: str) -> str | None:
    """What a cell's engine loads for a model, also a pruned or distilled one, which takes the cell's weights; or for a
    quantized one, which keeps its own: None for a format that the engine does not load."""
    of = Cell.parse(cell)
    if any(step.name not in LEAVE_PLAIN for step in variants.parse(name).steps):
        return name if variants.format_of(name) in engines.formats(of.engine) else None
    return of.chain(name)


def hashes(*chains: str) -> str:
    """What the artifacts of chains are addressed by."""
    return " ".join(LOOKUP if one == LOOKUP else hash_of(one) for one in chains)


@functools.cache
def hash_of(chain: str) -> str:
    """Kept while a plan is made, in which the same few models come hundreds of times."""
    return variants.content_hash(chain)


def pair_unit(config, task: str, named: dict, opens: dict[str, str], function: str, work: dict, repeat: int = 0, *, engine: str,
              told: dict | None = None, refusal: str | None = None, **how) -> Unit:
    """A unit of a target and a draft, in memory at the same time, on the prompts of the domain in `work`.

    named: its coordinates beside the task, threads and device. opens: the job's arguments that are variants; told: those beside
    them, the place and the work. engine: whose version is part of the key. how: further fields of the Unit.
    """
    asked = asking(config.prompt_form)
    work = {**work, **asked}
    return Unit(dict(task=task, **named, domain=work["domain"], **asked, **config.where), repeat, function,
                {**opens, **(told or {}), **config.where, **work}, f"{hashes(*opens.values())} {engines.runtime(engine)}",
                task_hash({**work, "texts": prompts.content_hash(work["domain"])}),
                refusal, variants=tuple(one for one in opens.values() if one != LOOKUP),
                holds=() if refusal else _in_memory(opens, engine, named["dtype"], named.get("batch", 1)), **how)


def _in_memory(opens: dict[str, str], engine: str, dtype: str, texts: int) -> tuple[tuple[Held, ...], ...]:
    """The pairs that a job opens one after the other, each of `texts` at a time."""
    return tuple(tuple(Held(opens[name], engine, dtype, texts * MOST_CONTEXT, texts) for name in pair
                       if opens.get(name, LOOKUP) != LOOKUP) for pair in PAIRS)


def overlap_units(config, target: str, draft: str) -> Iterator[Unit]:
    """Divergence of a pair, at temperature 0 and 1 only: these have a closed form that needs no cut of the distributions."""
    plain = draft if not variants.parse(draft).steps or variants.format_of(draft) == "safetensors" else (
        draft + variants.DEQUANTIZED)
    for domain in config.domains:
        for temperature in (value for value in config.temperatures if value in (0, 1)):
            work = dict(domain=domain, prompts=config.prompts, max_new_tokens=config.max_new_tokens,
                        temperature=int(temperature), seed=config.seed)
            named = dict(model=target, draft=draft, engine=ENGINE, dtype=DTYPE, temperature=temperature)
            yield pair_unit(config, "overlap", named, dict(target=target, draft=plain),
                            f"{JOBS}_overlap:measure_overlap", work, engine=ENGINE, shared=True)


def block_units(config, target: str) -> Iterator[Unit]:
    """What the number of tokens in a pass changes in the logits of one model, in every cell in which acceptance is counted."""
    for cell in config.cells if config.blocks else ():
        of = Cell.parse(cell)
        loaded = chain(cell, target)
        work = dict(domain=config.domains[0], prompts=BLOCK_PROMPTS, blocks=list(config.blocks),
                    max_new_tokens=config.max_new_tokens, seed=config.seed)
        yield pair_unit(config, "blocks", dict(model=target, engine=of.engine, dtype=of.weights),
                        dict(target=loaded, draft=LOOKUP), f"{JOBS}_blocks:measure_blocks", work, engine=of.engine,
                        told=dict(engine=of.engine, dtype=of.weights),
                        refusal=of.refusal(loaded) or engines.no_rollback(of.engine), shared=True)


def batch_units(config, target: str, draft: str) -> Iterator[Unit]:
    """Times of several texts at a time, with another model as the draft."""
    for cell in config.batch_cells if variants.parse(draft).model not in (LOOKUP, target) else ():
        of = Cell.parse(cell)
        both = dict(target=chain(cell, target), draft=chain(cell, draft))
        refusal = of.refusal(*filter(None, both.values()))
        for domain in config.batch_domains if both["draft"] else ():
            work = dict(domain=domain, prompts=config.batch_prompts, lengths=list(config.batch_lengths),
                        max_new_tokens=config.max_new_tokens, rounds=config.rounds, seed=config.seed)
            for batch in config.batches:
                named = dict(model=target, draft=draft, engine=of.engine, dtype=of.weights, temperature=0.0, batch=batch)
                for repeat in range(1 if refusal else config.repeats):
                    yield pair_unit(config, "batch", named, both, f"{JOBS}_batched:measure_batch", work, repeat,
                                    engine=of.engine, told=dict(dtype=of.weights, batch=batch), refusal=refusal)


def replay_units(config) -> Iterator[Unit]:
    """Times of the pairs whose acceptance is that of the recorded pair; each repeat draws anew how many tokens are kept."""
    recorded = split_pair("recorded_pair", config.recorded_pair)
    for target, draft in (split_pair("replayed_pairs", pair) for pair in config.replayed_pairs):
        for cell in config.replay_cells:
            of = Cell.parse(cell)
            opens = dict(zip(("target", "draft", "recorded_target", "recorded_draft"),
                             (chain(cell, name) for name in (target, draft, *recorded)), strict=True))
            refusal = of.refusal(*opens.values()) or engines.no_rollback(of.engine)
            named = dict(model=target, draft=draft, engine=of.engine, dtype=of.weights, temperature=0.0,
                         recorded=config.recorded_pair)
            for domain in config.recorded_domains:
                for repeat in range(1 if refusal else config.repeats):
                    work = dict(domain=domain, prompts=config.prompts, max_new_tokens=config.max_new_tokens,
                                prompt_tokens=config.replay_prompt_tokens, tokens=config.replay_tokens,
                                lengths=list(config.replay_lengths), rounds=config.rounds, seed=config.seed + repeat)
                    yield pair_unit(config, "replay", named, opens, f"{JOBS}_replayed:measure_replay", work, repeat,
                                    engine=of.engine, told=dict(engine=of.engine, dtype=of.weights), refusal=refusal,
                                    source="modelled")
