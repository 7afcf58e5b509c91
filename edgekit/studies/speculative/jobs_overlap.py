"""How alike the distributions of a target and a draft are on the target's own texts: what acceptance follows from."""

from __future__ import annotations

import numpy as np

from edgekit import engines
from edgekit.catalog import chat_template
from edgekit.measure import acceptance, divergence
from edgekit.measure.pairs import ids_of, pair_of
from edgekit.measure.scoring import MOST_CONTEXT, log_softmax
from edgekit.schema import DTYPE, ENGINE  # the reference: in a runtime only its kernels would be added
from edgekit.studies.speculative.jobs import sizes_of


def alike(target: np.ndarray, draft: np.ndarray, text: list[int]) -> dict[str, float]:
    """Sums over the positions of `text`, from log-probabilities (positions, vocabulary): `overlap`, the sum of min(p, q);
    `agreed`, positions with the same likeliest token; `kl_nats`, KL(target || draft)."""
    found = divergence.compare(target, draft, [0, *text])
    return dict(overlap=acceptance.overlap(target, draft), agreed=found["agreed"], kl_nats=found["kl_nats"])


def measure_overlap(*, target: str, draft: str, threads: int, device: str, domain: str, prompts: int, max_new_tokens: int,
                    temperature: int, seed: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: `alike` on what the target writes after each prompt, greedily (temperature 0) or drawn from its own
    distribution (1). Observations have the `item` and its `tokens`. Raises EngineError: different tokenizers."""
    artifacts, shared = pair_of(target, draft)
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts))
    asked = ids_of(shared, domain, prompts, prompt_form)
    scores = []
    texts: list[list[int]] = []
    for artifact in artifacts:
        with engines.open_engine(ENGINE, artifact, dtype=DTYPE, threads=threads, device=device, context=context) as engine:
            engine.writable = shared.vocabulary
            texts = texts or acceptance.write_texts(engine, [ids for _, ids in asked], shared.stop, temperature=temperature,
                                                    seed=seed, most=max_new_tokens)
            scores.append([log_softmax(engine.score([*ids, *text][:-1])[len(ids) - 1:, :shared.vocabulary])
                           for (_, ids), text in zip(asked, texts, strict=True)])
    seen = [dict(metric=name, value=value, item=item, tokens=len(text))
            for (item, _), text, p, q in zip(asked, texts, *scores, strict=True) for name, value in alike(p, q, text).items()]
    sizes = [artifact.spec.architecture.parameters for artifact in artifacts]
    return dict(observations=[*seen, *sizes_of(sizes)], warnings=shared.told(prompt_form))
