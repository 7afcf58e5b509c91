"""Acceptance against closed forms, a model as its own draft, and rejection sampling played out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from edgekit import engines, store
from edgekit.catalog import models
from edgekit.engines.base import Engine, EngineError, uniforms
from edgekit.measure import acceptance
from edgekit.measure.scoring import log_softmax

END = 0


class Fixed(Engine):
    """Gives the same distribution after every token, so everything about it is known."""

    def __init__(self, p):
        self.logits = np.log(np.asarray(p, dtype=np.float64)).astype(np.float32)
        self.info = SimpleNamespace(context=512, vocabulary=len(p))

    def score(self, tokens):
        return np.tile(self.logits, (len(tokens), 1))

    def stream(self, prompt, max_new_tokens):
        return (SimpleNamespace(token=int(self.logits.argmax())) for _ in range(max_new_tokens))


def rates(models, temperature, prompts=200, seed=0):
    """{(target, draft): accepted share of all drafted tokens}."""
    asked = [(f"p{i}", [1, 2]) for i in range(prompts)]
    seen = list(acceptance.compare(models, asked, {END}, temperature=temperature, seed=seed))
    pairs = {(one["model"], one["draft"]) for one in seen}
    chosen = {pair: [one for one in seen if (one["model"], one["draft"]) == pair] for pair in pairs}
    return {pair: sum(one["value"] for one in of) / sum(one["drafted"] for one in of) for pair, of in chosen.items()}, seen


def test_two_tokens_have_the_closed_form():
    """p = (0.1, 0.9), q = (0.3, 0.7): min(0.1, 0.3) + min(0.9, 0.7) = 0.8, both ways."""
    found, seen = rates({"a": Fixed((0.1, 0.9)), "b": Fixed((0.3, 0.7))}, 1)
    assert found == {("a", "b"): pytest.approx(0.8, abs=1e-6), ("b", "a"): pytest.approx(0.8, abs=1e-6)}
    assert {one["metric"] for one in seen} == {"overlap"} and all(one["temperature"] == 1 for one in seen)


def test_greedy_acceptance_asks_for_the_most_likely_token_only():
    found, seen = rates({"a": Fixed((0.1, 0.6, 0.3)), "b": Fixed((0.2, 0.5, 0.3)), "c": Fixed((0.1, 0.3, 0.6))}, 0, prompts=3)
    assert found[("a", "b")] == found[("b", "a")] == 1 and found[("a", "c")] == found[("c", "b")] == 0
    assert {one["drafted"] for one in seen} == {acceptance.MAX_NEW_TOKENS}, "token 0 never wins, so no text ends"


def test_a_model_is_its_own_perfect_draft(tmp_path):
    artifact = tiny.write(tmp_path)
    with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=256) as engine:
        for temperature in (0, 1):
            found, _ = rates({"a": engine, "b": engine}, temperature, prompts=3)
            assert found[("a", "b")] == pytest.approx(1.0, abs=0.02 if temperature == 0 else 1e-6)


def test_a_uniform_draft_covers_the_targets_overlap_with_uniform():
    p = np.array([0.02, 0.5, 0.3, 0.1, 0.08])
    found, _ = rates({"target": Fixed(p), "draft": Fixed(np.full(5, 0.2))}, 1)
    assert found[("target", "draft")] == pytest.approx(np.minimum(p, 0.2).sum(), abs=1e-6)


def test_rejection_sampling_accepts_as_often_as_the_overlap_says():
    """Propose from q, accept with min(1, p/q): the share of accepted proposals, for many pairs of distributions."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
        proposed = rng.choice(6, 200_000, p=q)
        share = (rng.random(200_000) < p[proposed] / q[proposed]).mean()
        assert acceptance.overlap(np.log(p)[None], np.log(q)[None]) == pytest.approx(share, abs=0.005)


def test_overlap_and_accepted_count_every_position():
    rng = np.random.default_rng(1)
    target, draft = (log_softmax(rng.normal(size=(7, 5))) for _ in range(2))
    assert acceptance.overlap(target, draft) == pytest.approx(
        sum(min(np.exp(target[i, v]), np.exp(draft[i, v])) for i in range(7) for v in range(5)))
    written = target.argmax(-1)
    assert acceptance.accepted(draft, written) == sum(draft[i].argmax() == written[i] for i in range(7))


def test_sampled_texts_follow_the_distribution_and_their_seed():
    p = (0.05, 0.15, 0.2, 0.6)
    engine = Fixed(p)
    texts = acceptance.write_texts(engine, [[1]] * 300, {END}, temperature=1, seed=3)
    assert texts == acceptance.write_texts(engine, [[1]] * 300, {END}, temperature=1, seed=3)
    assert texts != acceptance.write_texts(engine, [[1]] * 300, {END}, temperature=1, seed=4)
    assert all(END not in text[:-1] for text in texts)
    assert all(text[-1] == END or len(text) == acceptance.MAX_NEW_TOKENS for text in texts)
    drawn = np.concatenate(texts)
    assert np.bincount(drawn, minlength=4) / len(drawn) == pytest.approx(p, abs=0.02)


def test_batches_draw_what_one_prompt_at_a_time_draws(tmp_path):
    artifact = tiny.write(tmp_path)
    prompts = [[5, 6, 7], [9], [11, 12, 13, 14, 15], [3, 4]]
    with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=256) as engine:
        assert engine.sample(prompts, 20, {END}, 7) == Engine.sample(engine, prompts, 20, {END}, 7)
        assert engine.generate(prompts, 20, {END}) == Engine.generate(engine, prompts, 20, {END})


def test_a_prompts_random_numbers_do_not_depend_on_how_many_there_are():
    assert (uniforms(1, 5, 8)[:2] == uniforms(1, 2, 8)).all() and not (uniforms(2, 2, 8) == uniforms(1, 2, 8)).any()


def test_what_cannot_be_is_refused_in_words(tmp_path, monkeypatch):
    with pytest.raises(EngineError, match="temperature: expected 0 .greedy. or 1"):
        acceptance.write_texts(Fixed((0.5, 0.5)), [[1]], {END}, temperature=2, seed=0)


def test_the_job_compares_all_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    names = models.pocket_names()[:2]
    answer = acceptance.measure_acceptance(models=names, engine="transformers", dtype="float32", threads=1, device="cpu",
                                           domains=["prices", "prose"], prompts=3, seed=0)
    seen = answer["observations"]
    assert len(seen) == 2 * 2 * 2 * 3, "domains, temperatures, ordered pairs, prompts"
    assert all(0 <= one["value"] <= one["drafted"] + 1e-6 and one["model"] != one["draft"] for one in seen)
    assert max(one["drafted"] for one in seen if one["domain"] == "prose") <= acceptance.PROSE_TOKENS
