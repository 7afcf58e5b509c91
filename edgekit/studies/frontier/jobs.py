"""The jobs of 09_frontier that ask questions: answers in each way to reason, pools of samples, and requests by the clock."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edgekit import engines
from edgekit.catalog import prompting
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.decode import budgets, parallel
from edgekit.decode.budgets import Asked, Mode, Written
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Engine, EngineError, Session, uniforms
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.reasoning import Questions
from edgekit.measure.scoring import MOST_CONTEXT


def measure_answers(*, variant: str, engine: str, dtype: str, threads: int, device: str, model: str, family: str, mode: str,
                    hard_budgets: list[int], items: int, depths: list[int], most_tokens: int, answer_tokens: int,
                    prompt_form: str) -> dict:
    """A worker's job: one greedy answer to each question of a family of tasks in a mode, and, with `think`, within each hard
    budget, which cuts the same text.

    Observations: `correct` with mode, task_name, domain, depth, item, prompt_tokens, written (tokens, the one that ended the
    text and those that asked for an answer among them), cut and answer; in a mode with a budget in the prompt, `spent`. Raises
    EngineError, BudgetError and TaskError.
    """
    way = Mode.parse(mode)
    asked = budgets.asked(family, way, model)
    with _asking(variant, engine, dtype, threads, device, asked, items, depths, prompt_form) as questions:
        opened, ended = questions.model.engine, questions.ended()
        most = _most(questions, asked, most_tokens, hard_budgets)
        longest = most + answer_tokens + max(map(len, _wrap_ups(questions, family, [Written([], False)])))
        questions.require_room(longest)
        whole = [Written([], False) for _ in questions.prompts] if asked.cut_after == 0 else budgets.write(
            opened, questions.prompts, most, questions.stop, ended)
        seen = []
        for name, cut_after in [(mode, asked.cut_after), *((f"{budgets.HARD}-{one}", one) for one in hard_budgets)]:
            texts = whole
            if cut_after is not None:
                kept = [Written(text.tokens[:cut_after], False) for text in whole]
                texts = budgets.cut_and_answer(opened, questions.prompts, whole, cut_after, _wrap_ups(questions, family, kept),
                                               answer_tokens, questions.stop, ended)
            seen += _outcomes(questions, texts, whole, name, cut_after, model)
        return _answer(seen, questions)


def _outcomes(questions: Questions, texts: Sequence[Written], whole: Sequence[Written], mode: str, cut_after: int | None,
              model: str) -> list[dict]:
    """An observation a question. A text is cut where a hard budget, or the most that was written, stopped it."""
    said = [questions.text(text.tokens) for text in texts]
    way, seen = Mode.parse(mode), []
    for question, text, before, words, (right, answer) in zip(questions.questions, texts, whole, said, questions.judged(said),
                                                              strict=True):
        cut = not text.ended if cut_after is None else not before.ended or len(before.tokens) > cut_after
        line = dict(metric="correct", value=right, mode=mode, **question.at, prompt_tokens=len(question.prompt),
                    written=len(text.tokens), cut=cut, answer=answer)
        if way.kind in (budgets.SOFT, budgets.TRAINED):
            counts = budgets.trained(model).counts if way.kind == budgets.TRAINED else "tokens"
            line["spent"] = budgets.spent(counts, words, len(text.tokens))
        seen.append(line)
    return seen


def measure_pool(*, variant: str, engine: str, dtype: str, threads: int, device: str, model: str, family: str, samples: int,
                 at_once: int, context: int, temperature: float, top_p: float, items: int, depths: list[int],
                 most_tokens: int, prompt_form: str, seed: int) -> dict:
    """A worker's job: a pool of `samples` drawn answers to each question, reasoned in full, `at_once` at a time.

    context: tokens of the longest prompt and text. Observations: `correct` of each, with the coordinates of `measure_answers`,
    sample and temperature. Raises EngineError.
    """
    asked = budgets.asked(family, Mode(budgets.THINK), model)
    if at_once > samples:
        raise EngineError(f"pool: {at_once} samples at a time asked of a pool of {samples}; ask for as many at most")
    artifact = _artifact(variant)
    where = dict(dtype=dtype, threads=threads, device=device, context=min(artifact.spec.architecture.context, context))
    with parallel.opened(engine, artifact, at_once, **where) as (opened, copies):
        questions = _questions(opened, artifact, asked, items, depths, prompt_form)
        most = _most(questions, asked, most_tokens)
        questions.require_room(most)
        decoding = Decoding(most, frozenset(questions.stop), temperature, top_p, questions.model.prompting.vocabulary)
        pools: list[list[Written]] = []
        for number, prompt in enumerate(questions.prompts):
            drawn, pool = uniforms(seed + number, samples, most), []
            while len(pool) < samples:
                some = min(at_once, samples - len(pool))
                pool += parallel.samples(copies, prompt, some, decoding, drawn[len(pool):len(pool) + some], questions.ended())
            pools.append(pool)
        seen = []
        for number in range(samples):
            texts = [pool[number] for pool in pools]
            seen += [line | dict(sample=number, temperature=temperature)
                     for line in _outcomes(questions, texts, texts, budgets.THINK, None, model)]
        return _answer(seen, questions)


def measure_requests(*, variant: str, engine: str, dtype: str, threads: int, device: str, model: str, family: str,
                     modes: list[str], items: int, depths: list[int], most_tokens: int, answer_tokens: int,
                     prompt_form: str) -> dict:
    """A worker's job: real requests by the clock, one after the other, in each mode: the first `items` questions of each depth,
    after one that is not counted. Observations: `request_s` with mode, item, prompt_tokens and written. Raises EngineError."""
    artifact = _artifact(variant)
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    seen = []
    where = dict(dtype=dtype, threads=threads, device=device, context=context)
    with engines.open_engine(engine, artifact, **where) as opened:
        session, warm = opened.session(), False
        for mode in modes:
            asked = budgets.asked(family, Mode.parse(mode), model)
            questions = _questions(opened, artifact, asked, items, depths, prompt_form)
            most = _most(questions, asked, most_tokens)
            [wrap_up] = _wrap_ups(questions, family, [Written([], False)])
            questions.require_room(most + len(wrap_up) + answer_tokens)
            rule = (most if asked.cut_after is None else asked.cut_after, [] if asked.cut_after is None else wrap_up,
                    answer_tokens, questions.stop, questions.ended())
            if not warm:
                request(session, questions.prompts[0], *rule)
                warm = True
            for question in questions.questions:
                opened.sync()
                start = time.perf_counter()
                written = request(session, question.prompt, *rule)
                opened.sync()
                seen.append(dict(metric="request_s", value=time.perf_counter() - start, mode=mode, **question.at,
                                 prompt_tokens=len(question.prompt), written=written))
        return _answer(seen, questions)


def request(session: Session, prompt: Sequence[int], most: int, wrap_up: Sequence[int], answer_tokens: int, stop,
            ended: Callable[[Sequence[int]], bool] | None) -> int:
    """One greedy request; how many tokens it wrote, the wrap-up among them. A text that has not ended after `most` tokens is
    given its wrap-up in one pass, where there is one, and goes on for an answer."""
    session.rollback(0)
    logits, made, limit = session.extend(prompt, 1)[-1], [], most
    asks = bool(wrap_up)
    if not most:
        logits, made, limit, asks = session.extend(wrap_up, 1)[-1], list(wrap_up), len(wrap_up) + answer_tokens, False
    while True:
        token = int(logits.argmax())
        made.append(token)
        if token in stop or (ended is not None and ended(made)):
            return len(made)
        if len(made) < limit:
            logits = session.extend([token], 1)[-1]
        elif asks:
            logits, asks = session.extend([token, *wrap_up], 1)[-1], False
            made += wrap_up
            limit = len(made) + answer_tokens
        else:
            return len(made)


@contextmanager
def _asking(variant: str, engine: str, dtype: str, threads: int, device: str, asked: Asked, items: int, depths: list[int],
            prompt_form: str) -> Iterator[Questions]:
    artifact = _artifact(variant)
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        yield _questions(opened, artifact, asked, items, depths, prompt_form)


def _artifact(variant: str) -> Artifact:
    artifact = variants.build(variant)
    artifact.spec.require_weights("accuracy")
    return artifact


def _questions(opened: Engine, artifact: Artifact, asked: Asked, items: int, depths: list[int], prompt_form: str) -> Questions:
    model = EngineLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name), prompt_form)
    return Questions(model, asked, items, depths)


def _most(questions: Questions, asked: Asked, most_tokens: int, hard_budgets: Sequence[int] = ()) -> int:
    """Most tokens of a text before any wrap-up: what the task allows, but no more than `most_tokens`, and enough for each hard
    budget. Raises EngineError for a budget that is no less than what is written without one."""
    most = min(questions.most, most_tokens)
    if too_large := [budget for budget in (*hard_budgets, asked.cut_after or 0) if budget >= most]:
        raise EngineError(f"hard budget of {too_large[0]} tokens: texts have at most {most} in any case (the task allows "
                          f"{questions.most}, most_tokens {most_tokens}); name smaller budgets")
    return most


def _wrap_ups(questions: Questions, family: str, texts: Sequence[Written]) -> list[list[int]]:
    """Ids of what is put behind each cut text."""
    encode, decode = questions.model.prompting.encode, questions.model.prompting.decode
    return [encode(budgets.wrap_up(family, decode(text.tokens, special=True)), special=False) for text in texts]


def _answer(seen: list[dict], questions: Questions) -> dict:
    return dict(observations=seen, engine=dataclasses.asdict(questions.model.engine.info), warnings=questions.model.warnings)
