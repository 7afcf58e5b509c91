"""Speculative decoding against plain decoding and exact tables: no token and no probability may change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tiny
from scipy import stats
from toy_session import Table

from edgekit import engines
from edgekit.catalog import prompting
from edgekit.catalog import prompts as catalog
from edgekit.compress import variant
from edgekit.decode import speculative
from edgekit.decode.drafters import AdaptiveLength, FixedLength, LookupDrafter, ModelDrafter
from edgekit.decode.sampling import Decoding, accepts, residual
from edgekit.engines.base import EngineError
from edgekit.engines.replay import Recording, Replay

pytestmark = pytest.mark.usefixtures("shared_artifacts")

PROMPT = [5, 9, 150, 33, 2, 77, 120, 8, 64]
RNG = np.random.default_rng(0)
TARGET, DRAFT = RNG.dirichlet(np.full(5, 0.7), 5), RNG.dirichlet(np.full(5, 0.7), 5)
TEXTS = 6000


def opened(name, model, context=256):
    made = variant.build(engines.variant_for(name, str(model), "float32"))
    return engines.open_engine(name, made, dtype="float32", threads=1, device="cpu", context=context)


def counts_of(drafter, decoding, texts=TEXTS, seed=1):
    """How often each text of two tokens comes after token 0, (5, 5); the third token only gives the drafts room."""
    target, rng = Table(TARGET), np.random.default_rng(seed)
    counts = np.zeros((5, 5), int)
    for _ in range(texts):
        first, second, _ = speculative.generate(target, drafter, [0], decoding, rng).tokens
        counts[first, second] += 1
    return counts


def exact(decoding):
    """The probability of each text of two tokens: p(a after 0) p(b after a), each as the temperature and cut leave it."""
    rows = np.stack([decoding.distribution(np.log(row)) for row in TARGET])
    return rows[0][:, None] * rows


def p_value(counts, expected):
    """Of Pearson's test; texts that cannot be must not be there."""
    possible = expected > 0
    assert not counts[~possible].any()
    return stats.chisquare(counts[possible], counts.sum() * expected[possible]).pvalue


DECODINGS = [Decoding(3, temperature=1.0), Decoding(3, temperature=0.6, top_p=0.8)]


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
@pytest.mark.parametrize("drafter", [lambda: ModelDrafter(Table(DRAFT), FixedLength(2)),
                                     lambda: ModelDrafter(Table(DRAFT), AdaptiveLength(1, 3)),
                                     lambda: LookupDrafter(FixedLength(2)), lambda: None],
                         ids=["model", "adaptive", "lookup", "plain"])
def test_sampled_texts_have_the_targets_exact_distribution(decoding, drafter):
    assert p_value(counts_of(drafter(), decoding), exact(decoding)) > 1e-3


def padded(table, width):
    """The same distributions over the first five ids, among `width` of which the others are likelier than any of them."""
    wide = np.full((width, width), table.max())
    wide[:5, :5] = table
    return Table(wide / wide.sum(-1, keepdims=True))


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
@pytest.mark.parametrize("drafter", [lambda: ModelDrafter(padded(DRAFT, 7), FixedLength(2)),
                                     lambda: ModelDrafter(padded(DRAFT, 12), FixedLength(2)), lambda: None],
                         ids=["narrower", "wider", "plain"])
def test_a_draft_that_pads_its_vocabulary_otherwise_changes_no_probability(decoding, drafter):
    decoding = dataclasses.replace(decoding, vocabulary=5)
    counts, rng, target, draft = np.zeros((5, 5), int), np.random.default_rng(2), padded(TARGET, 9), drafter()
    for _ in range(TEXTS):
        first, second, _ = speculative.generate(target, draft, [0], decoding, rng).tokens
        counts[first, second] += 1
    assert p_value(counts, exact(decoding)) > 1e-3


@pytest.mark.parametrize("broken", [
    dict(accepts=lambda p, q, u: True), dict(accepts=lambda p, q, u: u < p), dict(accepts=lambda p, q, u: p >= q),
    dict(residual=lambda p, q, token: p), dict(residual=lambda p, q, token: q)],
    ids=["always", "by p alone", "only the likelier", "from the target", "from the draft"])
def test_the_same_test_refuses_a_broken_rule(broken, monkeypatch):
    for name, rule in broken.items():
        monkeypatch.setattr(speculative, name, rule)
    counts = counts_of(ModelDrafter(Table(DRAFT), FixedLength(2)), DECODINGS[0])
    assert p_value(counts, exact(DECODINGS[0])) < 1e-6


def test_the_rule_gives_the_target_when_all_drafts_are_enumerated():
    """q(x) min(1, p/q) + (refused share) residual(x) / its sum = p(x): the sum over all drafts, without drawing any."""
    p, q = TARGET[0], DRAFT[0]
    kept = [q[x] * min(1, p[x] / q[x]) for x in range(5)]
    rest = np.array([residual(p, q, x) for x in range(5)])
    assert (rest == rest[0]).all(), "it does not depend on what was refused"
    np.testing.assert_allclose(kept + (1 - sum(kept)) * rest[0] / rest[0].sum(), p, rtol=1e-12)
    us = (np.arange(10_000) + 0.5) / 10_000
    for x in range(5):
        assert np.mean([accepts(p[x], q[x], u) for u in us]) == pytest.approx(min(1, p[x] / q[x]), abs=1e-3)


def test_acceptance_is_the_overlap_of_the_distributions():
    """Leviathan et al. 2023, corollary 3.6, with rows that do not depend on the text."""
    p, q = TARGET[0], DRAFT[0]
    target, drafter = (Table(np.tile(row, (5, 1)), context=8001) for row in (p, q))
    made = speculative.generate(target, ModelDrafter(drafter, FixedLength(1)), [0], Decoding(8000, temperature=1.0),
                                np.random.default_rng(3))
    (drafted, judged, accepted), = made.by_position()
    assert drafted == judged
    alpha = np.minimum(p, q).sum()
    assert 0.2 < alpha < 0.8
    assert accepted / drafted == pytest.approx(alpha, abs=4 * np.sqrt(alpha * (1 - alpha) / drafted))


def plain(engine, prompt, most, stop=()):
    """The oracle: the engine's own stream, up to and with the stop token."""
    tokens = []
    for step in engine.stream(prompt, most):
        tokens.append(step.token)
        if step.token in stop:
            break
    return tokens


def written(made, stop):
    tokens = [token for block in made.blocks for token in block.tokens]
    assert made.tokens == (tokens[:-1] if made.stopped else tokens) and made.stopped == (tokens[-1] in stop)
    assert all(0 <= block.accepted <= block.drafted for block in made.blocks)
    cut = made.stopped and len(made.blocks[-1].tokens) == made.blocks[-1].accepted
    assert len(tokens) == sum(block.accepted for block in made.blocks) + len(made.blocks) - cut
    for i, (drafted, judged, accepted) in enumerate(made.by_position(), 1):
        assert drafted == sum(b.drafted >= i for b in made.blocks) and accepted == sum(b.accepted >= i for b in made.blocks)
        assert judged == sum(b.drafted >= i and b.accepted >= i - 1 for b in made.blocks) and accepted <= judged <= drafted
    return tokens


@pytest.mark.parametrize("name", ["llama_cpp", "transformers"])
def test_greedy_texts_of_the_pocket_models_are_those_of_plain_decoding(name):
    """A pass over a block may round otherwise than passes over single tokens: a difference must be a tie in the logits."""
    folders = [variant.build(model).spec.folder for model in ("pocket-900k", "pocket-200k")]
    tokens = prompting.of(folders[0])
    count = {"llama_cpp": 12, "transformers": 4}[name]
    prompts = [tokens.encode_prompt(one.text)
               for domain in ("chain think", "prices", "prose") for one in catalog.load(domain, count)]
    decoding, ties, accepted, drafted = Decoding(40, tokens.stop), [], 0, 0
    with opened(name, folders[0]) as target, opened(name, folders[1]) as draft:
        expected = [plain(target, prompt, 40, tokens.stop) for prompt in prompts]
        for begin in (lambda: ModelDrafter(draft.session(), FixedLength(4)),
                      lambda: ModelDrafter(draft.session(), AdaptiveLength(2, 8)), lambda: LookupDrafter(FixedLength(3))):
            session, drafter = target.session(), begin()
            made = [speculative.generate(session, drafter, prompt, decoding) for prompt in prompts]
            for prompt, right, one in zip(prompts, expected, made, strict=True):
                ours = written(one, tokens.stop)
                accepted += sum(b.accepted for b in one.blocks)
                drafted += sum(b.drafted for b in one.blocks)
                if ours != right:
                    first = next(i for i, (a, b) in enumerate(zip(ours, right, strict=False)) if a != b)
                    logits = target.score([*prompt, *right[:first]])[-1]
                    ties.append(abs(logits[ours[first]] - logits[right[first]]))
    assert 0.3 * drafted < accepted < drafted
    assert len(ties) <= 1 and all(gap < 1e-3 for gap in ties), ties


@pytest.mark.parametrize("name", ["llama_cpp", "transformers"])
def test_a_model_that_drafts_for_itself_is_always_accepted(name, tmp_path):
    folder = tiny.write(tmp_path / "model").path
    with opened(name, folder) as target, opened(name, folder) as draft:
        for temperature in (0.0, 1.0):
            made = speculative.generate(target.session(), ModelDrafter(draft.session(), FixedLength(4)), PROMPT,
                                        Decoding(32, temperature=temperature), np.random.default_rng(0))
            assert len(made.tokens) == 32 and not made.stopped
            # 6 blocks of 5; the 7th may write two, so it drafts one.
            assert [(b.drafted, b.accepted) for b in made.blocks] == [(4, 4)] * 6 + [(1, 1)]


@pytest.mark.parametrize("name", ["llama_cpp", "transformers"])
def test_after_a_rollback_a_session_is_a_fresh_one(name, tmp_path):
    with opened(name, tiny.write(tmp_path / "model").path) as engine:
        whole = engine.score(PROMPT)
        session = engine.session()
        np.testing.assert_allclose(session.extend(PROMPT[:5]), whole[:5], atol=1e-3)
        session.extend([7, 7, 7])
        session.rollback(5)
        np.testing.assert_allclose(session.extend(PROMPT[5:], last=2), whole[-2:], atol=1e-3)
        session.rollback(0)
        assert session.length == 0
        np.testing.assert_allclose(session.extend(PROMPT), whole, atol=1e-3)
        with pytest.raises(EngineError, match="cannot go back to 10 tokens, 9 are held"):
            session.rollback(10)
        with pytest.raises(EngineError, match="expected 1 to 247 more tokens .*got 0"):
            session.extend([])
        with pytest.raises(EngineError, match="expected 1 to 247 more tokens .*got 248"):
            session.extend([1] * 248)


def chain(n, likely=0.9):
    """After token t comes t + 1, nearly always."""
    return np.roll(np.eye(n), 1, axis=1) * (likely - (1 - likely) / (n - 1)) + (1 - likely) / (n - 1)


@pytest.mark.parametrize("at", range(1, 8))
def test_a_stop_token_anywhere_in_a_block_ends_the_text_there(at):
    target, drafter = Table(chain(9)), ModelDrafter(Table(chain(9)), FixedLength(3))
    made = speculative.generate(target, drafter, [0], Decoding(8, frozenset({at})))
    assert made.stopped and made.tokens == list(range(1, at))
    written(made, {at})
    repeated = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    own = speculative.generate(target, LookupDrafter(FixedLength(3)), repeated, Decoding(8, frozenset({at})))
    assert own.tokens == made.tokens and own.blocks[0].accepted == min(at, 3)


@pytest.mark.parametrize("most", range(1, 9))
def test_a_length_is_kept_to_the_token_and_the_context_is_filled_to_its_end(most):
    target, drafter = Table(chain(9), context=2 + most), ModelDrafter(Table(chain(9), context=5), FixedLength(3))
    made = speculative.generate(target, drafter, [8, 0], Decoding(most))
    assert made.tokens == list(range(1, most + 1)) and not made.stopped
    written(made, set())
    with pytest.raises(EngineError, match="exceed the context"):
        speculative.speculate(target, drafter, [8, 0], Decoding(most + 1))


def test_the_target_passes_once_a_block_over_nothing_twice():
    target, drafter = Table(chain(9)), ModelDrafter(Table(chain(9)), FixedLength(3))
    made = speculative.generate(target, drafter, [7, 8, 0], Decoding(8))
    assert [b.drafted for b in made.blocks] == [3, 3] and target.passes == [3 + 3, 1 + 3]
    # The draft reads its own last token and the target's together, the only two that it has not seen.
    assert drafter.session.passes == [3, 1, 1, 2, 1, 1]


def test_lengths_adapt_by_two_up_and_one_down_and_begin_anew():
    length = AdaptiveLength(3, 6)
    seen = []
    for drafted, accepted in [(3, 3), (5, 5), (6, 6), (6, 2), (2, 2), (5, 0), (4, 0), (3, 0), (2, 0), (1, 0)]:
        length.learn(drafted, accepted)
        seen.append(length.tokens)
    assert seen == [5, 6, 6, 5, 5, 4, 3, 2, 1, 1]
    length.begin()
    assert length.tokens == 3


def test_a_lookup_finds_the_latest_of_the_longest():
    drafter, text = LookupDrafter(FixedLength(4)), [1, 2, 3, 9, 2, 3, 8, 7, 2, 3]
    decoding = Decoding(9, frozenset({7}))
    assert drafter.propose(text, 4, decoding, None) == ([8, 7], [None, None]), "latest place of (2, 3), up to the stop"
    assert drafter.propose([*text, 9, 2, 3], 2, decoding, None)[0] == [8, 7], "three tokens decide before two"
    drafter.begin(Table(TARGET).info, decoding)
    assert drafter.propose([1, 2, 3], 4, decoding, None) == ([], [])


def test_what_cannot_be_is_refused_in_words(tmp_path):
    target = Table(TARGET)
    for length in (lambda: FixedLength(0), lambda: FixedLength(-2), lambda: AdaptiveLength(0, 4)):
        with pytest.raises(EngineError, match="expected at least 1 drafted token"):
            length()
    with pytest.raises(EngineError, match="vocabulary of 9, the target of 5"):
        speculative.speculate(target, ModelDrafter(Table(chain(9)), FixedLength(2)), [0], Decoding(3))
    with pytest.raises(EngineError, match="expected a generator of random numbers"):
        speculative.speculate(target, None, [0], Decoding(3, temperature=1.0))
    for wrong, message in [(dict(temperature=-1), "temperature: expected 0"), (dict(top_p=0), "top_p: expected more than 0"),
                           (dict(max_new_tokens=0), "max_new_tokens: expected at least 1")]:
        with pytest.raises(EngineError, match=message):
            Decoding(**(dict(max_new_tokens=3) | wrong))
    with pytest.raises(EngineError, match="cannot score a block of tokens and take some of them back"):
        Replay(Recording((1,), (0.0,)), vocabulary=5).session()
    folder = tiny.write(tmp_path / "model").path
    with opened("transformers-compiled", folder) as engine, pytest.raises(EngineError, match="compiled: it cannot score"):
        engine.session()
    with opened("llama_cpp", folder) as engine:
        session = engine.session()
        engine.score(PROMPT)
        with pytest.raises(EngineError, match="this session's text is gone"):
            session.extend(PROMPT)
