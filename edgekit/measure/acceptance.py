"""How many of a target's tokens a smaller model would have proposed: what decides the gain of speculative decoding.

The target writes; then target and draft score the whole text in one pass each. Greedily, a proposed token is accepted if it
is the target's own, so the draft's most likely token is compared at every position. With sampling at temperature 1 the
chance of acceptance after a given prefix is the overlap of the two distributions, the sum of min(p, q) over the vocabulary
(Leviathan, Kalman and Matias 2023, arXiv:2211.17192, theorem 3.5 and corollary 3.6): the expectation itself is computed, so no
noise of accepting and rejecting is added to that of the texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from edgekit import progress
from edgekit.catalog import prompting
from edgekit.catalog import prompts as catalog
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.scoring import MOST_CONTEXT, log_softmax

MAX_NEW_TOKENS = 144
PROSE_TOKENS = 48  # greedy prose hardly ever ends: the likeliest thing after a sentence is another one


def accepted(draft: np.ndarray, written: Sequence[int]) -> int:
    """Positions where the draft's most likely token is the written one. `draft`: log-probabilities (positions, vocabulary)."""
    return int((draft.argmax(-1) == np.asarray(written)).sum())


def overlap(target: np.ndarray, draft: np.ndarray) -> float:
    """Expected number of accepted tokens: the sum over positions and vocabulary of min(p, q), from log-probabilities."""
    return float(np.exp(np.minimum(target, draft)).sum())


def write_texts(target: Engine, prompts: Sequence[Sequence[int]], stop: Collection[int], *, temperature: int, seed: int,
                most: int = MAX_NEW_TOKENS) -> list[list[int]]:
    """What the target writes after each prompt, at most `most` tokens, a stop token included where it wrote one: greedily at
    temperature 0, drawn from its distribution at 1."""
    if temperature not in (0, 1):
        raise EngineError(f"temperature: expected 0 (greedy) or 1 (the model's own distribution), got {temperature}")
    if temperature:
        return target.sample(prompts, most, stop, seed, keep_stop=True)
    return target.generate(prompts, most, stop, keep_stop=True)


def compare(models: dict[str, Engine], prompts: Sequence[tuple[str, Sequence[int]]], stop: Collection[int], *, temperature: int,
            seed: int, most: int = MAX_NEW_TOKENS) -> Iterator[dict]:
    """Every ordered pair of `models` on the same prompts (id, token ids): one observation a target, draft and prompt.

    `accepted` at temperature 0, `overlap` at 1, with model (the target), draft, temperature, item and `drafted`, the number of
    positions. Only ids that an engine may write (`Engine.writable`) count.
    """
    for name, target in models.items():
        texts = write_texts(target, [ids for _, ids in prompts], stop, temperature=temperature, seed=seed, most=most)
        for (item, ids), text in zip(prompts, texts, strict=True):
            progress.step()
            scores = {other: log_softmax(engine.score([*ids, *text][:-1])[len(ids) - 1:, :engine.writable])
                      for other, engine in models.items() if temperature or other != name}
            for draft in (other for other in models if other != name):
                at = dict(model=name, draft=draft, temperature=temperature, item=item, drafted=len(text))
                if temperature:
                    yield dict(metric="overlap", value=overlap(scores[name], scores[draft]), **at)
                else:
                    yield dict(metric="accepted", value=accepted(scores[draft], text), **at)


def measure_acceptance(*, models: list[str], engine: str, dtype: str, threads: int, device: str, domains: list[str],
                       prompts: int, seed: int) -> dict:
    """A worker's job: acceptance between all pairs of models, for each domain and temperature 0 and 1.

    The models must share their tokens and what ends a text; raises ModelError or EngineError if they do not.
    """
    from edgekit import engines
    from edgekit.compress import variant as variants

    artifacts = {name: variants.build(name) for name in models}
    for artifact in artifacts.values():
        artifact.spec.require_weights("acceptance")
    specs = [artifact.spec for artifact in artifacts.values()]
    tokens = prompting.shared(specs)
    for spec in specs[1:]:  # each of them writes, so each one's ends would cut the others' texts elsewhere
        if (own := prompting.of(spec.folder).stop) != tokens.stop:
            raise EngineError(f"{specs[0].name} ends a text with the ids {sorted(tokens.stop)}, {spec.name} with {sorted(own)}"
                              "; compare models that end texts alike")
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts.values()))
    seen = []
    with ExitStack() as stack:
        opened = {name: stack.enter_context(engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device,
                                                                context=context)) for name, artifact in artifacts.items()}
        for one in opened.values():
            one.writable = tokens.vocabulary
        for domain in domains:
            asked = [(one.id, tokens.encode_prompt(one.text)) for one in catalog.load(domain, prompts)]
            most = PROSE_TOKENS if domain == catalog.STORIES else MAX_NEW_TOKENS
            for temperature in (0, 1):
                found = compare(opened, asked, tokens.stop, temperature=temperature, seed=seed, most=most)
                seen += [one | dict(domain=domain) for one in found]
    return dict(observations=seen, warnings=list(tokens.warnings))
