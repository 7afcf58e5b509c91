"""Several texts in step: each is the text that its prompt gives alone, and all share the passes."""

from __future__ import annotations

import numpy as np
import pytest
from toy_session import Table

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.decode import speculative
from edgekit.decode.sampling import Decoding
from edgekit.decode.together import generate_together, speculate_together
from edgekit.engines.base import EngineError
from edgekit.engines.llama_cpp import LlamaCpp
from edgekit.engines.llama_cpp_texts import LlamaCppTexts
from edgekit.studies.speculative import jobs_batched as batched

pytestmark = pytest.mark.usefixtures("shared_artifacts")

CHAIN = np.roll(np.eye(9), 1, axis=1) * 0.8 + 0.2 / 9
WRONG = CHAIN.copy()
WRONG[3], WRONG[6] = CHAIN[7], CHAIN[1]


class Tables:
    """Several tables side by side; `passes` holds the numbers of tokens of each text of each pass."""

    def __init__(self, after, texts):
        self.sessions = [Table(after) for _ in range(texts)]
        self.info, self.passes = self.sessions[0].info, []

    @property
    def lengths(self):
        return [session.length for session in self.sessions]

    def extend(self, parts, last):
        self.passes.append({text: len(tokens) for text, tokens in parts.items()})
        return {text: self.sessions[text].extend(tokens, last[text]) for text, tokens in parts.items()}

    def rollback(self, text, length):
        self.sessions[text].rollback(length)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_each_text_and_its_blocks_are_those_of_one_alone(length):
    from edgekit.decode.drafters import FixedLength, ModelDrafter

    prompts, decoding = [[0], [2, 5], [7], [4, 4, 4]], Decoding(11, frozenset({8}))
    target, draft = Tables(CHAIN, 4), Tables(WRONG, 4)
    together = generate_together(target, draft if length else None, prompts, decoding, length)
    for prompt, made in zip(prompts, together, strict=True):
        drafter = ModelDrafter(Table(WRONG), FixedLength(length)) if length else None
        assert made == speculative.generate(Table(CHAIN), drafter, prompt, decoding)
    assert len(target.passes) == max(len(made.blocks) for made in together), "one pass for all"
    assert set(target.passes[0]) == {0, 1, 2, 3} and len(target.passes[-1]) < 4, "a text that has ended takes no more"
    assert all(sum(i in turn for turn in target.passes) == len(made.blocks) for i, made in enumerate(together))


def test_what_cannot_be_is_refused_before_the_first_pass():
    target = Tables(CHAIN, 2)
    for prompts, decoding, draft, length, complaint in (
            ([[0]] * 3, Decoding(4), None, 0, "expected 1 to 2 prompts"),
            ([[0]], Decoding(4, temperature=1.0), None, 0, "greedy"),
            ([[0]], Decoding(4), Tables(np.eye(5) + 0.1, 2), 1, "vocabulary of 5"), ([[0]], Decoding(64), None, 0, "context"),
            ([[0]], Decoding(4), Tables(CHAIN, 2), 0, "at least 1 drafted token")):
        with pytest.raises(EngineError, match=complaint):
            speculate_together(target, draft, prompts, decoding, length)
    assert not target.passes


def artifact(model):
    return variants.build(engines.variant_for("llama_cpp", model, "float32"))


def test_sequences_in_one_context_score_as_texts_alone_do():
    where = dict(dtype="float32", threads=1, device="cpu", context=32)
    with LlamaCpp(artifact("pocket-200k"), **where, sequences=3) as several, LlamaCpp(artifact("pocket-200k"), **where) as one:
        texts = LlamaCppTexts(several)
        a, b = [5, 6, 7, 8, 9], [11, 12, 13]
        found = texts.extend({0: a, 2: b}, {0: 2, 2: 3})
        first = {text: rows.copy() for text, rows in found.items()}
        np.testing.assert_allclose(first[0], one.score(a)[-2:], atol=2e-3)
        np.testing.assert_allclose(first[2], one.score(b), atol=2e-3)
        texts.rollback(0, 3)
        assert texts.lengths == [3, 0, 3]
        found = texts.extend({2: [14], 0: [20, 21], 1: a}, {2: 1, 0: 1, 1: 1})
        for text, whole in ((0, [*a[:3], 20, 21]), (1, a), (2, [*b, 14])):
            np.testing.assert_allclose(found[text][0], one.score(whole)[-1], atol=2e-3)
        with pytest.raises(EngineError, match="more tokens of text 1"):
            texts.extend({1: [1] * 28}, {1: 1})
        with pytest.raises(EngineError, match="cannot go back to 6 tokens of text 1, 5 are held"):
            texts.rollback(1, 6)
        several.score(a)
        with pytest.raises(EngineError, match="texts are gone"):
            texts.rollback(1, 0)


def test_the_job_compares_with_each_text_alone_and_clocks():
    target, draft = (engines.variant_for("llama_cpp", model, "float32") for model in ("pocket-900k", "pocket-200k"))
    asked = dict(target=target, draft=draft, dtype="float32", threads=1, device="cpu", domain="prices", batch=2, lengths=[3],
                 max_new_tokens=16, rounds=2, seed=0)
    seen = batched.measure_batch(prompts=4, **asked)["observations"]
    differs = [one for one in seen if one["metric"] == "differs"]
    assert {(one["length"], one["item"]) for one in differs} == {(length, one["item"]) for length in (0, 3) for one in differs}
    assert len(differs) == 8 and sum(one["value"] for one in differs) == 0
    times = [one for one in seen if one["metric"] == "pass_s"]
    assert sorted((one["length"], one["round"]) for one in times) == [(0, 0), (0, 1), (3, 0), (3, 1)]
    assert len({one["tokens"] for one in times}) == 1 and all(one["value"] > 0 for one in times)
    with pytest.raises(EngineError, match="2 texts at a time divide"):
        batched.measure_batch(prompts=3, **asked)
