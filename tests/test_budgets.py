"""Ways to reason: what each asks for, what a hard budget leaves, and which are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from toy_session import Table

from edgekit.decode import budgets
from edgekit.decode.budgets import BudgetError, Mode, Written
from edgekit.engines.base import Engine, EngineError, EngineInfo, Step
from edgekit.measure.reasoning import normalised
from edgekit.schema import NO_ANSWER
from edgekit.studies.frontier import jobs

STOP = 0
INFO = EngineInfo("toy", "0", "none", "cpu", "float32", 1, 50, 1000, 0)


class Counting(Engine):
    """Writes the number of the prompt's tokens, then one more each time, and stops after `length` tokens; it keeps what it was
    asked."""

    info = INFO

    def __init__(self, length):
        self.length, self.asked = length, []

    def score(self, tokens):
        raise NotImplementedError

    def stream(self, prompt, max_new_tokens):
        self.asked.append((list(prompt), max_new_tokens))
        for i in range(max_new_tokens):
            yield Step(STOP if i >= self.length else 1 + (len(prompt) + i) % 40)


@pytest.mark.parametrize("text, mode", [("think", Mode("think")), ("direct", Mode("direct")), ("hard-32", Mode("hard", 32)),
                                        ("soft-8", Mode("soft", 8)), ("budget-2", Mode("budget", 2))])
def test_a_mode_is_its_name(text, mode):
    assert Mode.parse(text) == mode and str(mode) == text


@pytest.mark.parametrize("text, says", [("hard-0", "at least 1"), ("soft-", "at least 1"), ("hard--3", "at least 1"),
                                        ("hard", "known: think, direct, hard-N"), ("think-3", "known: think"),
                                        ("fast", "known: think")])
def test_a_budget_below_one_step_and_an_unknown_way_are_refused(text, says):
    with pytest.raises(BudgetError, match=says):
        Mode.parse(text)


def test_how_a_family_is_asked():
    assert budgets.asked("pocket_chain", Mode("think"), "pocket-3m") == budgets.Asked("pocket_chain_think")
    assert budgets.asked("pocket_chain", Mode("direct"), "pocket-3m") == budgets.Asked("pocket_chain_direct")
    assert budgets.asked("pocket_chain", Mode("budget", 2), "pocket-3m") == budgets.Asked("pocket_chain_budget_2")
    assert budgets.asked("english", Mode("hard", 32), "some/model") == budgets.Asked("english_think", cut_after=32)
    soft = budgets.asked("english", Mode("soft", 48), "some/model")
    assert soft.task == "english_think" and "48 tokens" in soft.sentence and soft.cut_after is None
    # A task of lm-eval has no way without reasoning of its own: the answer is forced at once.
    assert budgets.asked("lm-eval:gsm8k", Mode("direct"), "some/model") == budgets.Asked("lm-eval:gsm8k", cut_after=0)
    assert "for maximum 64 tokens" in budgets.asked("lm-eval:gsm8k", Mode("budget", 64), "l3lab/L1-Qwen-1.5B-Max").sentence


@pytest.mark.parametrize("family, mode, model, says", [
    ("english", "budget-2", "qwen2.5-coder-0.5b-instruct", "was not trained on budgets; models that are: pocket-"),
    ("pocket_chain", "soft-24", "pocket-3m", "no words for a budget of 24 tokens.*lines"),
    ("pocket_chain", "budget-9", "pocket-3m", "unknown task 'pocket_chain_budget_9'; known: pocket_chain_budget_1")])
def test_what_a_model_does_not_know_is_refused_by_name(family, mode, model, says):
    with pytest.raises(BudgetError, match=says):
        budgets.asked(family, Mode.parse(mode), model)


def test_only_families_are_asked():
    budgets.require_family("english")
    with pytest.raises(BudgetError, match="known: english, pocket_chain"):
        budgets.require_family("pocket_prices")


@pytest.mark.parametrize("budget", [1, 3, 7, 8, 30])
def test_a_hard_budget_is_never_exceeded_and_leaves_alone_what_ended_within_it(budget):
    engine, prompts, wrap_up, most = Counting(length=7), [[1, 2], [3, 4, 5]], [41, 42], 4
    whole = budgets.write(engine, prompts, 30, {STOP})
    assert [len(text.tokens) for text in whole] == [8, 8] and all(text.ended for text in whole), "the end is written too"
    engine.length = 2
    for text, before in zip(budgets.cut_and_answer(engine, prompts, whole, budget, [wrap_up] * 2, most, {STOP}), whole,
                            strict=True):
        if budget >= 8:
            assert text is before
        else:
            assert len(text.tokens) <= budget + len(wrap_up) + most
            assert text.tokens[:budget] == before.tokens[:budget] and text.tokens[budget:budget + 2] == wrap_up
            assert text.ended and text.tokens[-1] == STOP
    if budget < 8:
        assert engine.asked[-2:] == [([*prompt, *text.tokens[:budget], *wrap_up], most) for prompt, text in
                                     zip(prompts, whole, strict=True)], "the answer is asked for behind what was cut"


def test_an_answer_that_does_not_end_is_cut_too():
    engine = Counting(length=99)
    whole = budgets.write(engine, [[1]], 20, {STOP})
    [text] = budgets.cut_and_answer(engine, [[1]], whole, 5, [[41]], 3, {STOP})
    assert not whole[0].ended and len(text.tokens) == 9 and not text.ended


def test_a_text_that_was_stopped_earlier_says_nothing_of_a_larger_budget():
    with pytest.raises(EngineError, match="stopped after 4 tokens"):
        budgets.cut_and_answer(Counting(99), [[1]], [Written([1, 2, 3, 4], False)], 9, [[41]], 3, {STOP})
    with pytest.raises(EngineError, match="at least 1"):
        budgets.cut_and_answer(Counting(99), [[1]], [Written([1], True)], 9, [[41]], 0, {STOP})


def test_the_words_behind_a_cut_close_marked_reasoning():
    assert budgets.wrap_up("pocket_chain", "\n3+4=7\n7+") == "\nanswer"
    assert budgets.wrap_up("lm-eval:mmlu", "<think>\nso") == "\n</think>\n\nThe answer is"
    assert budgets.wrap_up("english", "<think>x</think> The") == "\n\nThe answer is "
    assert budgets.answer_part("<think>is it 3?</think>It is 4.") == budgets.answer_part("It is 4.") == "It is 4."


def test_what_is_spent_of_a_budget_is_counted_in_its_own_unit():
    assert budgets.spent("lines", "\n3+4=7\n7*2=14\nanswer 14", 30) == 2 and budgets.spent("lines", "\nanswer 14", 5) == 0
    assert budgets.spent("tokens", "\n3+4=7\nanswer 7", 12) == 12


@pytest.mark.parametrize("answer, plain", [(" 1,234 ", "1234"), ("12.", "12"), ("7.0", "7"), ("$5", "5"), ("B", "b"),
                                           ("[invalid]", NO_ANSWER), ("", NO_ANSWER), ("  ", NO_ANSWER), ("-3.50", "-3.50"),
                                           ("1,2", "1,2")])
def test_answers_are_counted_without_what_does_not_matter(answer, plain):
    assert normalised(answer) == plain


@pytest.mark.parametrize("most, wrap_up, written", [(30, [], 9), (30, [5, 6], 9), (4, [5, 6], 4 + 2 + 3), (4, [], 4),
                                                     (0, [5, 6], 2 + 3)])
def test_a_timed_request_writes_what_the_counted_answer_has(most, wrap_up, written):
    """A table of transitions that goes round; token 0 ends a text, which begins with 1 and so has 9 tokens."""
    after = np.roll(np.eye(10), 1, axis=1) * 0.9 + 0.01
    session = Table(after)
    ends = {0} if most == 30 else set()
    session.extend([1, 2, 3])
    assert jobs.request(session, [9, 1], most, wrap_up, 3, ends, None) == written
