"""The job that times a runtime's own speculative decoding on the prompts, pair and lengths of ours."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edgekit import progress
from edgekit.catalog import chat_template
from edgekit.decode.builtin import open_builtin
from edgekit.engines.base import EngineError
from edgekit.measure.pairs import PLAIN, ids_of, pair_of
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.studies.speculative.jobs import require_drafted, sizes_of


def measure_builtin(*, loop: str, target: str, draft: str, dtype: str, threads: int, device: str, domain: str, prompts: int,
                   rounds: int, lengths: list, max_new_tokens: int, seed: int,
                   prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: greedy texts of a runtime with each draft length and without a draft, length 0, in shuffled order.

    Observations: `pass_s` of each round over all prompts with the `tokens` written, `blocks`, the target's passes, of each
    prompt with the tokens `written`, and `differs`, 0 or 1, from its own plain decoding. Raises EngineError.
    """
    require_drafted(lengths)
    artifacts, tokens = pair_of(target, draft)
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts))
    asked = ids_of(tokens, domain, prompts, prompt_form)
    texts: dict[tuple[int, str], list[int]] = {}
    seen = []
    for i in np.random.default_rng(seed).permutation(len(lengths) + 1):
        length = [PLAIN, *lengths][i]
        opened = open_builtin(loop, artifacts[0], artifacts[1] if artifacts[1:] else None, length=length, dtype=dtype,
                             threads=threads, device=device, context=context, vocabulary=tokens.vocabulary)
        with opened as runtime:
            runtime.generate(asked[0][1], max_new_tokens, tokens.stop)
            for turn in range(rounds):
                written = 0
                start = time.perf_counter()
                for item, ids in asked:
                    text, passes = runtime.generate(ids, max_new_tokens, tokens.stop)
                    progress.step()
                    written += len(text)
                    texts[length, item] = text
                    if not turn and length != PLAIN:
                        seen.append(dict(metric="blocks", value=passes, written=len(text), length=length, item=item))
                seen.append(dict(metric="pass_s", value=time.perf_counter() - start, tokens=written, length=length, round=turn))
            info = runtime.info
    seen += [dict(metric="differs", value=int(text != texts[PLAIN, item]), length=length, item=item)
             for (length, item), text in texts.items() if length != PLAIN]
    if any(not text for text in texts.values()):
        raise EngineError(f"{loop}: a text without any token")
    sizes = [artifact.spec.architecture.parameters for artifact in artifacts]
    return dict(observations=[*seen, *sizes_of(sizes)], engine=dataclasses.asdict(info) | {"name": loop},
                warnings=tokens.told(prompt_form))
