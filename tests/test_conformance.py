"""The checks of every engine: those that keep their promises pass, and one that breaks a promise fails that check by name."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import tiny

from edgekit import engines
from edgekit.catalog.engines import ENGINES
from edgekit.engines.base import EngineError
from edgekit.engines.transformers import Transformers, TransformersSession
from edgekit.measure import conformance
from edgekit.schema import DECLARED, FAILED, PASSED, UNTOLD

pytestmark = pytest.mark.usefixtures("shared_artifacts")

CHECKS = {check.__name__ for check in conformance.CHECKS} | {"freed", "refusal"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def expected(source):
    return conformance._expected(str(source.path), 1, 0)


def outcomes(engine, source, dtype="float32"):
    told = conformance.measure_conformance(variant=engines.variant_for(engine, str(source.path), dtype), engine=engine,
                                           dtype=dtype, threads=1, device="cpu", base=str(source.path), seed=0)
    assert told["engine"]["dtype"] == dtype
    seen = {one["check"]: one for one in told["observations"] if "check" in one}
    assert set(seen) == CHECKS and all(one["value"] == (one["outcome"] != FAILED) for one in seen.values())
    return {name: one["outcome"] for name, one in seen.items()}, told["observations"], seen


@pytest.mark.parametrize("engine, dtype", [("transformers", "float32"), ("transformers", "bfloat16"), ("llama_cpp", "float32"),
                                           ("llama_cpp", "float16")])
def test_engines_that_stand_pass_what_they_claim(engine, dtype, source):
    ended, rows, seen = outcomes(engine, source, dtype)
    assert ended == dict.fromkeys(CHECKS, PASSED) | dict(freed=UNTOLD), seen
    kl, = (row["value"] for row in rows if row["metric"] == "kl_nats")
    tokens = conformance.PROMPT + conformance.WRITTEN - 1
    assert 0 <= kl / tokens <= conformance.NATS[dtype] and (kl == 0) is ((engine, dtype) == ("transformers", "float32"))


class Shifted(Transformers):
    """Its scores are those of one token later."""

    def score(self, tokens):
        return np.roll(super().score(tokens), 1, axis=0)


class Second(Transformers):
    """Writes the second likeliest token after its third."""

    def stream(self, prompt, max_new_tokens):
        tokens = list(prompt)
        for i in range(max_new_tokens):
            self.require_room(tokens, 0)
            token = int(np.argsort(self.score(tokens)[-1])[-2 if i == 3 else -1])
            tokens.append(token)
            yield engines.base.Step(token)


class Whole(Transformers):
    """Makes the whole text before it gives its first token away."""

    def stream(self, prompt, max_new_tokens):
        yield from list(super().stream(prompt, max_new_tokens))


class Endless(Transformers):
    """Knows no token that stops a text."""

    def generate(self, prompts, max_new_tokens, stop, **named):
        return super().generate(prompts, max_new_tokens, set())


class Careless(Transformers):
    """Takes whatever comes."""

    def require_room(self, prompt, max_new_tokens):
        pass

    def stream(self, prompt, max_new_tokens):
        yield from super().stream(prompt[:8] or [1], max_new_tokens)


class Padding(Transformers):
    """Writes every id."""

    def stream(self, prompt, max_new_tokens):
        held, self.writable = self.writable, None
        tokens = list(super().stream(prompt, max_new_tokens))
        self.writable = held
        yield from tokens


class Forgetful(Transformers):
    """Takes nothing back that it says it took."""

    def session(self):
        session = TransformersSession(self)
        session._cut = lambda length: None
        return session


class Mixed(Transformers):
    """Texts that it writes together get each other's tokens."""

    def generate(self, prompts, *arguments, **named):
        return super().generate(prompts[::-1], *arguments, **named)


class Stale(Transformers):
    """Its cache is never emptied."""

    def _cache(self):
        self.kept = getattr(self, "kept", None) or super()._cache()
        return self.kept


@pytest.mark.parametrize("broken, check", [(Shifted, "scores"), (Second, "greedy"), (Whole, "streaming"), (Endless, "stops"),
                                           (Careless, "context"), (Padding, "padding"), (Forgetful, "rollback"),
                                           (Mixed, "batch"), (Stale, "afresh")])
def test_a_broken_promise_fails_its_check(broken, check, source, expected):
    with broken(source, dtype="float32", threads=1, device="cpu", context=conformance.PROMPT + conformance.WRITTEN) as engine:
        subject = conformance.Subject(engine, "transformers", "float32", expected)
        verify = next(one for one in conformance.CHECKS if one.__name__ == check)
        told = conformance._observed(check, verify, subject)
    assert (told["value"], told["outcome"]) == (0.0, FAILED), told["seen"]
    assert len(told["seen"]) > 10


def test_what_an_engine_declares_not_to_have_it_must_refuse(source, expected, monkeypatch):
    monkeypatch.setitem(ENGINES, "transformers", dataclasses.replace(ENGINES["transformers"], takes_back=False, scores=False,
                                                                     withholds=False))

    class Less(Transformers):
        def session(self):
            raise EngineError("less: takes nothing back")

        def score(self, tokens):
            raise EngineError("less: no scores")

        def stream(self, prompt, max_new_tokens):
            if self.writable is not None:
                raise EngineError("less: writes any id")
            yield from super().stream(prompt, max_new_tokens)

    for kind, outcome in ((Less, DECLARED), (Transformers, FAILED)):
        with kind(source, dtype="float32", threads=1, device="cpu", context=48) as engine:
            subject = conformance.Subject(engine, "transformers", "float32", expected)
            assert subject.noise is None
            for check in (conformance.scores, conformance.rollback, conformance.padding):
                assert check(subject)[0] == outcome, check
            assert conformance.greedy(subject) == (PASSED, "32 of 32 tokens")


def test_a_tie_is_a_gap_within_the_noise_of_the_logits(source, expected):
    with Transformers(source, dtype="float32", threads=1, device="cpu", context=48) as engine:
        subject = conformance.Subject(engine, "transformers", "float32", expected)
        assert subject.noise < 1e-4
        best, second = np.argsort(expected.after(0))[:-3:-1].tolist()
        assert best == expected.written[0]
        other = [second, *expected.written[1:]]
        gap = float(expected.after(0)[best] - expected.after(0)[second])
        assert f"token 0 is {second} and not {best}" in subject.parts(other, expected.written)
        subject.scores[3, 5] += 0.51 * gap
        assert subject.parts(other, expected.written) == ""
        assert subject.parts(other[:-1], expected.written) == "31 tokens, 32 expected"


def test_memory_that_a_second_opening_keeps_is_seen():
    """Of 64 MB: an engine that frees, and one that keeps what it opened."""
    kept = []

    class Block:
        def __init__(self, keeps):
            self.memory = np.ones(1 << 26, np.uint8)
            if keeps:
                kept.append(self.memory)

        def stream(self, prompt, count):
            yield from itertools.repeat(None, count)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.memory = None

    assert conformance.freed(lambda: Block(False), 1 << 26, [1])[0] == PASSED
    outcome, seen = conformance.freed(lambda: Block(True), 1 << 26, [1])
    assert outcome == FAILED and "67 MB after it was closed" in seen
    assert conformance.freed(lambda: Block(True), 1 << 20, [1])[0] == UNTOLD
