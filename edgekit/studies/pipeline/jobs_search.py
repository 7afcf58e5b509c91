"""The job of the search: how fast one variant answers requests, and how much it still knows, in one process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack

import psutil

from edgekit import engines
from edgekit.catalog import chat_template, prompting
from edgekit.catalog import prompts as catalog
from edgekit.compress import variant as variants
from edgekit.decode import speculative
from edgekit.decode.drafters import FixedLength, LookupDrafter, ModelDrafter
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Session
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.quality import answer_tasks
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import LOOKUP


def measure_candidate(*, chain: str, draft_chain: str | None, drafting: str, length: int, engine: str, dtype: str,
                      draft_dtype: str, threads: int, device: str, domains: list[str], prompts: int, output_tokens: int,
                      tasks: dict[str, list[int] | None], items_per_depth: int,
                      prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: one variant, with its draft where it has one.

    Observations, all of the task "search": `request_s` of each prompt of each domain, `output_tokens` being `written` whatever
    they are, after one request that is not counted; `correct` of each problem, which drafting does not change, so it is asked
    without; artifact_bytes; and evaluate_s, the time of all that and of what was built for it, from the start of the process.
    Raises as speculate and answer_tasks do.
    """
    artifacts = [variants.build(name) for name in (chain, draft_chain) if name is not None]
    for artifact in artifacts:
        artifact.spec.require_weights("accuracy")
    tokens = prompting.shared([artifact.spec for artifact in artifacts])
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts))
    with ExitStack() as stack:
        opened = [stack.enter_context(engines.open_engine(engine, artifact, dtype=one, threads=threads, device=device,
                                                          context=context))
                  for artifact, one in zip(artifacts, (dtype, draft_dtype), strict=False)]
        sessions = [one.session() for one in opened]
        asked = [(domain, one.id, tokens.encode_asked(one.text, prompt_form))
                 for domain in domains for one in catalog.load(domain, prompts)]
        drafter = _drafter(drafting, length, sessions[1:])
        seen = requests(sessions[0], drafter, asked, Decoding(output_tokens, vocabulary=tokens.vocabulary))
        model = EngineLM(opened[0], prompting.of(artifacts[0].spec.folder, artifacts[0].spec.name), prompt_form)
        seen += [one for one in answer_tasks(model, tasks, items_per_depth) if one["metric"] == "correct"]
        seen += [dict(metric="artifact_bytes", value=artifacts[0].size_bytes()),
                 dict(metric="evaluate_s", value=time.time() - psutil.Process().create_time())]
        return dict(observations=seen, engine=dataclasses.asdict(opened[0].info), warnings=model.warnings)


def requests(target: Session, drafter: speculative.Drafter | None, asked: Sequence[tuple[str, str, Sequence[int]]],
             decoding: Decoding) -> list[dict]:
    """Seconds of each request (domain, item, tokens of its prompt), from the prompt to the last token, after the first one once
    without the clock."""
    speculative.generate(target, drafter, asked[0][2], decoding)
    seen = []
    for domain, item, prompt in asked:
        start = time.perf_counter()
        made = speculative.generate(target, drafter, prompt, decoding)
        seen.append(dict(metric="request_s", value=time.perf_counter() - start, domain=domain, item=item,
                         prompt_tokens=len(prompt), written=len(made.tokens)))
    return seen


def _drafter(drafting: str, length: int, draft: Sequence[Session]) -> speculative.Drafter | None:
    if drafting == LOOKUP:
        return LookupDrafter(FixedLength(length))
    return ModelDrafter(draft[0], FixedLength(length)) if draft else None
