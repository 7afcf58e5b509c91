"""Our lm-eval model against lm-eval's own (HFLM), request by request: tokenizers that put something around a text, several
ends, special tokens in stop strings, prompts and texts longer than the context, and every generation argument."""

from __future__ import annotations

import functools
import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_tokenizers
from lm_eval.api.instance import Instance
from tiny_tokenizers import BEGIN, CONTEXT, END, KINDS, TURN

from edgekit import engines
from edgekit.catalog import prompting
from edgekit.engines.base import EngineError
from edgekit.measure.engine_lm import EngineLM, generation_of

WORDS = ["the", "fox", "sees", "a", "hen", "and", "one", "cat", "has", "ten", "nuts", "how", "many", "nine", "Q", ":", "A", "."]
GENERATION = [
    {}, dict(until=["\n"], max_gen_toks=40), dict(until="e", max_new_tokens=40), dict(until=[TURN], max_gen_toks=60),
    dict(until=[f"e{TURN}", "<", "h"], max_tokens=60),
    dict(max_gen_toks=20, do_sample=False, temperature=0.7, top_p=0.9, top_k=5),
    dict(until=[], max_completion_tokens=30, num_beams=1, repetition_penalty=1.0), dict(until=[END], max_length=100),
    dict(temperature=0.0, max_gen_toks=1)]


def say(words: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng([seed, words]).choice(WORDS, words))


@functools.cache
def both(kind: str) -> tuple[EngineLM, object]:
    """Ours and lm-eval's own of a tiny model of a kind; theirs one request at a time, as a batch of it goes on behind stops."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel("ERROR")
    folder = Path(tempfile.mkdtemp(prefix="edgekit-kind-"))
    artifact = tiny_tokenizers.write(folder, **KINDS[kind])
    engine = engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=CONTEXT)
    return (EngineLM(engine, prompting.of(folder)),
            HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1))


def asked(verb: str, requests: list[tuple]) -> list[Instance]:
    return [Instance(verb, {}, request, 0) for request in requests]


@pytest.mark.parametrize("kind", KINDS)
def test_loglikelihoods_are_those_of_lm_evals_own_model(kind):
    ours, theirs = both(kind)
    requests = asked("loglikelihood", [
        ("", say(4)), ("", "Q"), ("", f"{BEGIN}{say(3)}"), (say(5), " " + say(3)), (say(5) + "  ", say(3)),
        (BEGIN + say(3), " " + say(2)), (END + say(3), " a"), (f"{say(2)}{TURN}{say(2)}", TURN), (say(200), " " + say(120)),
        (say(500), " nine")])
    expected = theirs.loglikelihood(requests, True)
    for (value, greedy), (right, same) in zip(ours.loglikelihood(requests, True), expected, strict=True):
        assert value == pytest.approx(right, abs=2e-3) and greedy == same
    assert max(right for right, _ in expected) < -1


@pytest.mark.parametrize("kind", KINDS)
def test_rolling_loglikelihoods_are_those_of_lm_evals_own_model(kind):
    ours, theirs = both(kind)
    texts = [say(4), say(300), say(700), "", "Q", BEGIN + say(5), say(4) + TURN]
    requests = asked("loglikelihood_rolling", [(text,) for text in texts])
    expected = theirs.loglikelihood_rolling(requests, True)
    assert ours.loglikelihood_rolling(requests, True) == pytest.approx(expected, abs=5e-3)
    assert len(ours.tok_encode(texts[1])) > CONTEXT and expected[2] < expected[0] < -10


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_those_of_lm_evals_own_model(kind):
    ours, theirs = both(kind)
    told = {}
    for arguments in GENERATION:
        prompts = [say(1), BEGIN + say(3), say(5)] if arguments else [say(3)]  # 256 tokens where no length is asked
        prompts += [] if "max_length" in arguments else [say(400)]
        requests = asked("generate_until", [(prompt, arguments) for prompt in prompts])
        told[str(arguments)] = ours.generate_until(requests, True)
        assert told[str(arguments)] == theirs.generate_until(requests, True), arguments
    assert all(map(any, told.values())) and len({tuple(texts[:2]) for texts in told.values()}) > 2


def test_a_special_token_that_ends_no_text_ends_one_where_the_task_says_so():
    ours, _ = both("begins")
    prompts = [say(n, seed) for n in (1, 3, 5) for seed in range(4)]
    free, turned = (ours.generate_until(asked("generate_until", [
        (prompt, dict(until=until, max_gen_toks=60)) for prompt in prompts]), True) for until in ([], [TURN]))
    assert all(long.startswith(short) for long, short in zip(free, turned, strict=True))
    assert sum(map(len, turned)) < 0.8 * sum(map(len, free))


def test_prompts_that_are_cut_are_counted_in_a_warning():
    ours = EngineLM(both("begins")[0].engine, both("begins")[0].prompting)
    requests = asked("generate_until", [(say(n), dict(max_gen_toks=8)) for n in (3, 400, 5, 500)])
    ours.generate_until(requests, True)
    lost = [len(ours.prompting.encode_prompt(say(n))) - (CONTEXT - 8) for n in (400, 500)]
    assert ours.warnings == [f"2 prompts were longer than the context of {CONTEXT} tokens and lost up to {max(lost)} tokens at "
                             "their left, as lm-eval cuts them"]


@pytest.mark.parametrize("arguments, complaint", [
    (dict(until=[""]), r"until: expected texts of at least one character, got \[''\]"),
    (dict(until=["a", ""]), "until: expected texts of at least one character"),
    (dict(until=[3]), "until: expected texts of at least one character"),
    (dict(do_sample=True, temperature=0.8), r"drawn \(do_sample=True, temperature=0.8\), and accuracy is measured on greedy"),
    (dict(temperature=0.8), "asks for texts that are drawn"), (dict(do_sample=True), "asks for texts that are drawn"),
    (dict(num_beams=4), "generation argument num_beams=4 is not carried; known: until, max_gen_toks"),
    (dict(repetition_penalty=1.2), "repetition_penalty=1.2 is not carried"),
    (dict(guided_regex="[0-9]+"), "guided_regex=.* is not carried"),
    (dict(max_gen_toks=0), "max_gen_toks: expected at least 1 token, got 0")])
def test_what_a_task_asks_for_and_is_not_carried_is_refused_by_name(arguments, complaint):
    with pytest.raises(EngineError, match=complaint):
        generation_of(arguments)


@pytest.mark.parametrize("arguments, complaint", [
    (dict(max_gen_toks=CONTEXT), "nothing is left for a prompt"),
    (dict(max_length=5), "max_length=5 tokens in all, and a prompt")])
def test_texts_for_which_there_is_no_room_are_refused(arguments, complaint):
    with pytest.raises(EngineError, match=complaint):
        both("begins")[0].generate_until(asked("generate_until", [(say(9), arguments)]), True)


def test_an_answer_without_a_token_or_longer_than_the_context_is_refused():
    """lm-eval ends with a bare assertion there; a slice from the wrong end would give a number."""
    ours, _ = both("plain")
    for request in ((" ", "fox"), ("fox", ""), ("fox", say(400))):
        with pytest.raises(EngineError, match="expected at least one token before an answer of 1 to 288 tokens"):
            if request[0] == " ":  # all of its context moves to the answer
                ours._loglikelihood_tokens([(request, [], ours.tok_encode(" fox"))])
            else:
                ours.loglikelihood(asked("loglikelihood", [request]), True)


def test_a_job_hands_its_warnings_on(monkeypatch):
    from edgekit.compress import variant as variants
    from edgekit.measure import quality

    ours, _ = both("begins")
    folder = Path(ours.engine.model.name_or_path)
    artifact = SimpleNamespace(spec=SimpleNamespace(require_weights=lambda what: None, folder=folder, name="x",
                                                    architecture=SimpleNamespace(context=CONTEXT)))
    monkeypatch.setattr(variants, "build", lambda name: artifact)
    monkeypatch.setattr(engines, "open_engine", lambda *given, **named: ours.engine)
    monkeypatch.setattr(type(ours.engine), "close", lambda self: None)
    monkeypatch.setattr(quality, "answer_tasks", lambda model, tasks, items: model.generate_until(
        asked("generate_until", [(say(400), dict(max_gen_toks=2))]), True))
    answer = quality.measure_accuracy(variant="x", engine="transformers", dtype="float32", threads=1, device="cpu", tasks=["t"],
                                      items_per_depth=1)
    assert len(answer["warnings"]) == 1 and answer["warnings"][0].startswith("1 prompts were longer")
