"""The job of the search: how fast one variant answers requests, and how much it still knows, in one process."""

from __future__ import annotations

import time

from edgekit.catalog import chat_template
from edgekit.schema import NONE
from edgekit.studies.pipeline.jobs import measure_answers, opened


def measure_candidate(*, variant: str, draft: str, draft_variant: str, length: int, engine: str, dtype: str, threads: int,
                      device: str, domains: list[str], prompts: int, output_tokens: int, tasks: dict[str, list[int] | None],
                      items_per_depth: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: one variant with its draft (its name, and the variant that is opened for it, or "lookup"), as stages are
    measured.

    Observations: `request_s` of each prompt of each domain, after one that is not counted; `correct` of each problem, which
    drafting does not change, so it is asked without; artifact_bytes; and evaluate_s, the time of all that and of what was built
    for it. Raises as `jobs.opened`.
    """
    began = time.monotonic()
    where = dict(engine=engine, dtype=dtype, threads=threads, device=device, prompt_form=prompt_form)
    drafts = [] if draft == NONE else [(draft, draft_variant)]
    with opened(variant, drafts=drafts, domains=domains, prompts=prompts, output_tokens=output_tokens, first_token_prompt=1,
                **where) as at:
        at.timed(draft, length, at.prompts[0][2], output_tokens)
        seen = [dict(metric="request_s", value=at.timed(draft, length, ids, output_tokens).whole_s, domain=domain, item=item,
                     prompt_tokens=len(ids), written=output_tokens) for domain, item, ids in at.prompts]
        seen.append(dict(metric="artifact_bytes", value=at.artifact.size_bytes()))
    answered = measure_answers(variant=variant, tasks=tasks, items_per_depth=items_per_depth, draft=NONE, length=0, **where)
    seen += [one for one in answered["observations"] if one["metric"] == "correct"]
    seen.append(dict(metric="evaluate_s", value=time.monotonic() - began))
    return answered | dict(observations=seen)
