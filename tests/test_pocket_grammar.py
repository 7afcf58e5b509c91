"""Grammars: entropies that are computed equal brute force, and the prose's words alone tell its derivation."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from edgekit.pocket import excess, grammar, language, splits, words
from edgekit.pocket.grammar import Grammar, GrammarError

# recursive and unambiguous: S -> a S | b N c ; N -> x | y N
SMALL = Grammar(
    {"S": [(3, ("a", "S")), (7, ("b", "N", "c"))], "N": [(0.5, ("x",)), (0.3, ("y", "z")), (0.2, ("y", "y", "N"))]}, "S"
)


def derivations(rules, least):
    """Every text of the small grammar with a probability above `least`, by exhaustive rewriting."""
    pending, found = [(("S",), 1.0)], {}
    while pending:
        symbols, p = pending.pop()
        at = next((i for i, s in enumerate(symbols) if s in rules.rules), None)
        if at is None:
            assert symbols not in found, "two derivations of one text"
            found[symbols] = p
        elif p > least:
            for chance, (_, produced) in zip(rules.probabilities(symbols[at]), rules.rules[symbols[at]], strict=True):
                pending.append(((*symbols[:at], *produced, *symbols[at + 1 :]), p * chance))
    return found


def test_entropy_and_length_equal_brute_force():
    texts = derivations(SMALL, 1e-12)
    assert sum(texts.values()) == pytest.approx(1, abs=1e-8)
    assert SMALL.entropy == pytest.approx(-sum(p * math.log(p) for p in texts.values()), rel=1e-6)
    assert SMALL.expected_words == pytest.approx(sum(p * len(text) for text, p in texts.items()), rel=1e-6)


def test_entropy_of_a_fair_choice_is_its_logarithm():
    assert Grammar({"S": [(1, (letter,)) for letter in "abcdefgh"]}, "S").entropy == pytest.approx(math.log(8))
    assert Grammar({"S": [(1, ("a", "T"))], "T": [(2, ("b",))]}, "S").entropy == 0


def test_draws_follow_the_probabilities_and_say_them():
    texts = derivations(SMALL, 1e-12)
    rng = Random(0)
    drawn = [SMALL.draw(rng) for _ in range(20_000)]
    for terminals, log_p in drawn[:500]:
        assert math.exp(log_p) == pytest.approx(texts[tuple(terminals)], rel=1e-9)
    for text, p in sorted(texts.items(), key=lambda item: -item[1])[:8]:
        share = sum(tuple(terminals) == text for terminals, _ in drawn) / len(drawn)
        assert abs(share - p) < 4 * (p * (1 - p) / len(drawn)) ** 0.5


def test_the_proses_entropy_is_the_mean_surprise_of_its_draws():
    rng = Random(1)
    surprise = np.array([-grammar.PROSE.draw(rng)[1] for _ in range(20_000)])
    assert abs(surprise.mean() - grammar.PROSE.entropy) < 4 * surprise.std() / len(surprise) ** 0.5
    assert 60 < grammar.PROSE.entropy < 90


def test_a_storys_words_belong_to_one_topic():
    nouns = {topic: {w for group in kinds.values() for w in group} for topic, kinds in words.TOPICS.items()}
    rng = Random(2)
    for _ in range(500):
        told = set(grammar.PROSE.draw(rng)[0])
        assert sum(bool(told & known) for known in nouns.values()) == 1
    every = [w for group in nouns.values() for w in group]
    assert len(every) == len(set(every))
    shared = {*words.ADJECTIVES, *words.QUALITIES, *words.ADVERBS, *" ".join(words.TIMES).split(), *words.PLACES_BEFORE}
    assert not shared & set(every)


def test_prose_has_capitals_stops_and_no_stray_blanks():
    text = grammar.join(["the", "sailor", "who", "mends", "every", "net", ",", "sells", "it", ".", "the", "end", "."])
    assert text == "The sailor who mends every net, sells it. The end."


@pytest.mark.parametrize(("rules", "start", "said"), [
    ({"S": [(1, ("a",))]}, "T", "no rules for the start symbol 'T'; symbols: S"),
    ({"S": [(0, ("a",))]}, "S", "weights above 0"),
    ({"S": [(1, ("S", "S")), (0.5, ("a",))]}, "S", "derivations do not end"),
])  # fmt: skip
def test_rules_that_are_no_grammar_are_refused(rules, start, said):
    with pytest.raises(GrammarError, match=said):
        Grammar(rules, start)


def test_excess_is_loss_less_the_truth_on_the_scored_tokens_only():
    import torch

    from edgekit.pocket import sizes
    from edgekit.pocket.tokenizer import VOCABULARY, train_tokenizer

    tokenizer = train_tokenizer()
    prose = excess.draw_prose(tokenizer, split="test", seed=3, count=5)
    model = sizes.build_model(sizes.SIZES["pocket-200k"], 0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # logits of 0: every token is guessed with 1 / vocabulary
    assert prose.excess(model) == pytest.approx(prose.tokens * math.log(VOCABULARY) + prose.log_p, rel=1e-5)
    for ids, scored in zip(prose.ids, prose.scored, strict=True):
        text = tokenizer.decode(ids[scored])
        assert text.startswith("\nThe ") and text.endswith(language.END) and text.count(language.END) == 1
        story = text.strip("\n").removesuffix(language.END)
        assert splits.split_of(story) == "test"
