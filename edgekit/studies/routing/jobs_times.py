"""The clocks of 11_routing: how long a recorded answer takes again, and how long a decision of the estimator does."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edgekit import engines, progress
from edgekit.catalog import prompting
from edgekit.compress import variant as variants
from edgekit.measure import answers, energy, latency, memory
from edgekit.measure.answers import Answer, Recording
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import TEXT

ENERGY_S = 5.0  # a sensor's counter ticks every 20 to 100 ms


def measure_replies(*, recording: dict, tasks: list[str], items: int, seed: int, warmups: int) -> dict:
    """A worker's job: recorded answers of a model (fields of Recording) to tasks, drawn, each written again as long as it was.

    Observations by item: ttft_s and reply_s, from the request to its first and its last token, with its tokens. Programs and
    problems are timed as they were asked; of a task with choices, the first token.
    """
    of, found = Recording(task=tasks[0], **recording), answers.of_tasks(recording, tasks)
    drawn = np.random.default_rng(seed).permutation(len(found))[:items]
    artifact = variants.build(of.variant)
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    seen = []
    with engines.open_engine(of.engine, artifact, dtype=of.dtype, threads=of.threads, device=of.device, context=context) as one:
        tokens = prompting.of(artifact.spec.folder, artifact.spec.name)
        latency.warm_up(one, latency.prompt_ids(one.info.vocabulary, 16, seed), warmups)
        for answer in (found[i] for i in drawn):
            prompt = tokens.encode_prompt(answer.prompt)
            stamps = latency.time_stream(one, prompt, max(1, answer.completion_tokens))
            at = dict(answer.at, prompt_tokens=len(prompt), output_tokens=len(stamps))
            seen += [dict(metric="ttft_s", value=stamps[0], **at), dict(metric="reply_s", value=stamps[-1], **at)]
        return dict(observations=seen, engine=dataclasses.asdict(one.info))


def measure_decisions(*, recording: dict, tasks: list[str], tokens: int, decisions: int, seed: int, sensed: bool) -> dict:
    """A worker's job: decisions of an estimator on one core about a query of so many tokens, which recorded queries make up.

    Observations: decide_s of each decision, n-grams and weights together; estimator_parameters, estimator_bytes, and the
    memory of the process before and after; and where there is a sensor decide_j, idle power included.
    """
    import torch

    torch.set_num_threads(1)
    from edgekit.route import estimator

    base = memory.resident_bytes()
    text = _query(recording["variant"], answers.of_tasks(recording, tasks), tokens)
    model = estimator.untrained(seed)
    for _ in range(min(decisions, 20)):
        model.judge(text)
    seen = []
    for number in range(decisions):
        start = time.perf_counter()
        model.judge(text)
        seen.append(dict(metric="decide_s", value=time.perf_counter() - start, round=number, features=TEXT))
        progress.step()
    seen += [dict(metric="estimator_parameters", value=model.parameters),
             dict(metric="estimator_bytes", value=4 * model.parameters),
             dict(metric="base_memory_bytes", value=base), dict(metric="peak_memory_bytes", value=memory.peak_bytes())]
    return dict(observations=seen + (_energy(model, text) if sensed else []))


def _query(variant: str, found: list[Answer], tokens: int) -> str:
    """A query of that many tokens of the model's tokenizer, cut from recorded ones one after the other."""
    spec = variants.build(variant).spec
    encoder, text = prompting.of(spec.folder, spec.name), ""
    for answer in found * tokens:
        text = f"{text} {answer.query}".strip()
        ids = encoder.encode(text, special=False)
        if len(ids) >= tokens:
            return encoder.decode(ids[:tokens])
    raise AssertionError("every query has a token at least")


def _energy(model, text: str) -> list[dict]:
    """Energy of a decision by scope, from a window of many."""
    meter, made = energy.open_meter("cpu"), 0

    def work() -> None:
        nonlocal made
        until = time.perf_counter() + ENERGY_S
        while time.perf_counter() < until:
            model.judge(text)
            made += 1
            progress.step()

    reading = meter.window(work)
    return [dict(metric="decide_j", value=joules / made, scope=scope, origin=meter.origins[scope])
            for scope, joules in reading.joules.items()]
