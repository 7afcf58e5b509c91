"""Problems in plain English: right, whole, of the steps that they say, not to be guessed; and how answers are read."""

from __future__ import annotations

import collections
import json
import re
from fractions import Fraction
from random import Random

import pytest
import yaml

from edgekit import store
from edgekit.catalog import tasks as catalog
from edgekit.questions import agreement, problem, tasks
from edgekit.questions.situation import PARTS, TIMES

TASKS = store.ROOT / "data/tasks"
NUMBER = re.compile(r"\d+")
BY_NAME = {situation.name: situation for situation in problem.SITUATIONS}
WORDS = {"s", "o", "p", "name", "friend", "thing", "things", "a", "b", "part", "times"}
SPOKEN = {word: number for words in (PARTS, TIMES) for number, word in words.items()}


def drawn(count: int, depths=tasks.DEPTHS) -> list[problem.Problem]:
    rng = Random(1)
    return [problem.draw(rng, situation, depth) for situation in problem.SITUATIONS for depth in depths for _ in range(count)]


PROBLEMS = drawn(6)


def sentences(situation):
    return [*situation.start, *situation.moves, *situation.asks]


def test_there_are_many_situations_and_each_has_its_own_words():
    assert len(BY_NAME) == len(problem.SITUATIONS) >= 24
    told = [text for situation in problem.SITUATIONS for _, text, *_ in sentences(situation)]
    assert len(told) > 400 and len(set(told)) > 0.9 * len(told)


@pytest.mark.parametrize("situation", problem.SITUATIONS, ids=lambda one: one.name)
def test_a_sentence_tells_the_numbers_that_it_reckons_with(situation):
    for expression, text, *more in sentences(situation):
        reckoned = set(expression) & set("ab")
        spoken = {"a"} if "{part}" in text or "{times}" in text else set()
        told = {letter for letter in "ab" if f"{{{letter}}}" in text} | spoken
        assert told == reckoned, text
        assert "{part}" not in text or re.fullmatch(r"x - x / a|x / a", expression), text
        assert "{times}" not in text or expression == "x * a", text
        assert not more or set(more[0]) <= reckoned, text
        assert set(re.findall(r"\{(\w+)\}", text)) <= WORDS
    assert all("x" not in set(expression) for expression, *_ in situation.start)
    assert all("x" in expression for expression, *_ in (*situation.moves, *situation.asks))
    assert all(text.endswith("?") and "{s}" not in text for _, text, *_ in situation.asks)
    assert not any(text.endswith((".", "?")) for _, text, *_ in (*situation.start, *situation.moves))
    assert all("{n}" in text and low < high for text, low, high in situation.besides)


def reckon(one: problem.Problem) -> list[Fraction]:
    """Every value on the way, reckoned in fractions: each sign of each expression is done by Python's own rules."""
    x, values = Fraction(0), []
    for expression, numbers in one.sums:
        names = {letter: Fraction(value) for letter, value in numbers} | {"x": x}
        for part in {expression, *re.findall(r"\w [*/] \w", expression)}:
            values.append(eval(part, {}, names))
        x = eval(expression, {}, names)
    return [*values, x]


def test_every_step_is_whole_and_the_answer_is_what_the_steps_lead_to():
    for one in PROBLEMS:
        values = reckon(one)
        assert all(value >= 0 and value.denominator == 1 for value in values), one
        assert one.answer == values[-1] <= problem.MOST_ANSWER
        assert one.depth == sum(len(re.findall(r"[-+*/]", expression)) for expression, _ in one.sums)


def test_a_problem_has_the_steps_that_were_asked_and_tells_each_number():
    for one, depth in zip(PROBLEMS, [d for _ in problem.SITUATIONS for d in tasks.DEPTHS for _ in range(6)], strict=True):
        assert one.depth == depth
        told = collections.Counter(NUMBER.findall(one.question))
        for word, number in SPOKEN.items():
            told[str(number)] += one.question.lower().count(word)
        assert not collections.Counter(str(value) for _, numbers in one.sums for _, value in numbers) - told, one
        assert "{" not in one.question and one.question.endswith("?") and one.question.count("?") == 1
        assert not re.search(r"\. [a-z]|  |\.\.|^[a-z]", one.question), one.question
        assert len(one.sums) >= 3, "something happens between what is told first and the question"


def test_what_cannot_be_whole_is_seen():
    assert problem.evaluate("x / a", dict(x=7, a=2)) is None and problem.evaluate("x / a", dict(x=8, a=2)) == 4
    assert problem.evaluate("x - a * b", dict(x=5, a=2, b=3)) is None
    assert problem.evaluate("x - a * b", dict(x=6, a=2, b=3)) == 0
    assert problem.evaluate("x - x / a", dict(x=9, a=3)) == 6 and problem.steps("x - x / a") == 2 and problem.steps("x") == 0


def test_no_problem_can_be_guessed_from_its_numbers():
    """For each situation, no rule that reads one number of the text (the first, the last, the largest) and adds to it or
    multiplies it is right for more than a few, and no answer is common."""
    rng = Random(2)
    for situation in problem.SITUATIONS:
        found = [problem.draw(rng, situation, depth) for depth in (2, 3, 4, 5, 6) for _ in range(24)]
        answers = [one.answer for one in found]
        texts = [list(map(int, NUMBER.findall(one.question))) for one in found]
        assert max(collections.Counter(answers).values()) <= 0.1 * len(found), situation.name
        for pick in (lambda numbers: numbers[0], lambda numbers: numbers[-1], max, min):
            read = [pick(numbers) for numbers in texts]
            for rule in (lambda answer, number: answer - number, lambda answer, number: Fraction(answer, number)):
                common = collections.Counter(map(rule, answers, read)).most_common(1)[0]
                assert common[1] <= 0.12 * len(found), (situation.name, common)
        assert all(answer not in numbers for answer, numbers in zip(answers, texts, strict=True))


def test_answers_are_spread_out():
    items = [json.loads(line) for line in (TASKS / tasks.ITEMS).read_text(encoding="utf-8").splitlines()]
    answers = collections.Counter(item["answer"] for item in items)
    assert len(answers) > 150 and max(answers.values()) < 0.03 * len(items)


def test_shipped_files_are_rebuilt_byte_for_byte(tmp_path):
    for path in tasks.write_tasks(tmp_path):
        assert (TASKS / path.name).read_bytes() == path.read_bytes(), path.name
    assert (TASKS / tasks.ITEMS).stat().st_size < 500_000


def test_the_items_are_those_of_every_depth_and_do_not_depend_on_how_many():
    task = catalog.load("english_think")
    items = task.items()
    assert collections.Counter(item["depth"] for item in items) == dict.fromkeys(range(1, 9), 60)
    assert len({item["id"] for item in items}) == len({item["question"] for item in items}) == 480
    assert tasks.draw_items(3, count=9) == tasks.draw_items(3)[:9]
    names = collections.Counter(one.situation for one in PROBLEMS)
    assert set(names) == set(BY_NAME)
    assert catalog.load("english_direct").items() == items and all(item["answer"].isdigit() for item in items)
    assert task.prompt(items[0]) == (f"Question: {items[0]['question']}\nThink step by step, and end with a line of the form: "
                                     "The answer is N.\nReasoning:")


def test_which_tasks_have_steps_is_a_fact_of_the_task():
    has = {name: catalog.load(name).has_steps for name in catalog.names()}
    assert all(has[name] == name.startswith(("pocket_chain_", "english_think", "english_direct")) for name in has)
    assert sum(has.values()) == 8


# What a model wrote, and the number that it says; None where it says none. `answers`: both modes read it so, else by mode.
READ = [
    ("12", "12"), ("The answer is 12.", "12"), ("The answer is $1,234.", "1234"), ("The answer is **$1,234**.", "1234"),
    ("3 + 4 = 7\nThe answer is: 7", "7"), ("So we get $\\boxed{42}$.", "42"),
    ("\\[ \\boxed{1,042 \\text{ apples}} \\]", "1042"),
    ("#### 18", "18"), ("The answer is 7 + 5 = 12 apples.", "12"), ("The answer is 2.5 * 4 = 10.", "10"),
    ("**Answer:**\n\n**12**", "12"), ("The final answer is therefore: \\(12\\)", "12"), ("The answer is -5.", "-5"),
    ("The answer is 12.00.", "12"), ("The answer is 12.5.", "12.5"), ("The answer is that Tom has 12 apples.", "12"),
    ("First, 30 - 5 = 25.\nThen 25 / 5 = 5 apples.", "5"), ("He has 30 - 5 = **25** apples", "25"), ("x = -3", "-3"),
    ("20 - 8 = 12. So Emma has 12 apples left.", "12"), ("There are **48** seats.", "48"), ("$60", "60"), ("**60**", "60"),
    ("\\[ \\$147 - \\$80 = \\$67 \\]\nThus, the answer is \\(\\boxed{67}\\).", "67"),
    ("12 apples", "12"), ("The answer is 5.\nNo, wait. The answer is 6.", "6"), ("Answer: 3\n\nChecking: 1 + 2 = 3, good", "3"),
    ("\\boxed{4}\nThe answer is 5.", "5"), ("I do not know.", None), ("", None), ("The answer is N.", None),
    ("Emma has twelve apples.", None), ("20 - 8 = 12\nThen 12 + 5 is", None), ("The answer is twelve", None),
]
BY_MODE = [
    ("12\n\nEmma had 20 and gave away 8.", {"think": "8", "direct": "12"}),
    ("1. Emma has apples.\n2. She eats some", {"think": None}),
    ("To find the answer:\n1. Add the apples\n2. Take some", {"think": None}),
    ("12 apples\nExplanation: 20 - 8 =", {"direct": "12"}), (" 12\n\nTom has 5", {"direct": "12"}),
    ("12 + 3 = 15", {"think": "15", "direct": "15"}),
]


def read(mode: str, text: str) -> tuple[str, float]:
    """What lm-eval's own filter and metric make of a text: (what is read, whether that is `expected`)."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.metrics import exact_match_fn
    from lm_eval.filters.extraction import RegexFilter

    config = yaml.safe_load((TASKS / f"english_{mode}.yaml").read_text(encoding="utf-8"))
    asked = {key: value for key, value in config["filter_list"][0]["filter"][0].items() if key != "function"}
    [[found]] = RegexFilter(**asked).apply([[text]], [{}])
    ignored = config["metric_list"][0]["regexes_to_ignore"]
    return found, lambda answer: exact_match_fn(predictions=[found], references=[answer],
                                                regexes_to_ignore=ignored)["exact_match"]


@pytest.mark.parametrize("mode, text, expected", [(mode, text, answer) for text, answer in READ for mode in tasks.MODES]
                         + [(mode, text, answer) for text, by in BY_MODE for mode, answer in by.items()])
def test_answers_are_read_as_they_are_stated(mode, text, expected):
    found, matches = read(mode, text)
    if expected is None:
        assert found == tasks.NO_ANSWER
    else:
        assert matches(expected) == 1 and matches(str(int(float(expected)) + 1)) == 0, found


def test_reading_takes_no_long_time():
    import time

    began = time.perf_counter()
    for text in ("answer = " * 400, "the answer is " + "a" * 3000, "1 = " * 600, "answer:\n" * 500, "12 apples and " * 200):
        for pattern in tasks.PATTERNS.values():
            re.findall(pattern, text)
    assert time.perf_counter() - began < 5


NOUNS = re.compile(r"(?:^The \w+|\bthe) (\w+)")


def test_the_verb_agrees_with_the_subject_and_with_no_other_noun():
    """Read by another rule than the one that drew them: a plural of these nouns ends in s, a singular in anything else."""
    plural_forms = {"are", "were", "have", "do", "seem"}
    items = catalog.load(agreement.NAME).items()
    assert collections.Counter(item["depth"] for item in items) == dict.fromkeys(agreement.DEPTHS, 100)
    assert len({item["question"] for item in items}) == 400
    for item in items:
        nouns = NOUNS.findall(item["question"])
        plural = [noun.endswith("s") for noun in nouns]
        assert len(nouns) == item["depth"] and not any(other == plural[0] for other in plural[1:])
        assert item["answer"] in item["choices"] and len(set(item["choices"])) == 2
        assert [choice in plural_forms for choice in item["choices"]].count(plural[0]) == 1
        assert (item["answer"] in plural_forms) == plural[0]
    for depth in agreement.DEPTHS:
        here = [item for item in items if item["depth"] == depth]
        assert sum(item["answer"] in plural_forms for item in here) == 50, "guessing one number is right half of the time"
        assert 35 <= sum(item["choices"][0] == item["answer"] for item in here) <= 65
    assert agreement.draw_items(3, count=9) == agreement.draw_items(3)[:9]
    with pytest.raises(ValueError, match="expected 1 to 220 items, got 221"):
        agreement.draw_items(1, count=221)


@pytest.mark.parametrize("knows", ["subject", "last noun"])
def test_a_choice_is_answered_by_the_likelier_form(knows):
    """A model that agrees with the subject is always right, one that agrees with the noun beside the verb only where that is
    the subject."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.model import LM

    from edgekit.measure import quality

    class Model(LM):
        prompt_form = "plain"

        def loglikelihood(self, requests, disable_tqdm=False):
            def fits(context, form):
                nouns = NOUNS.findall(context)
                noun = nouns[0] if knows == "subject" else nouns[-1]
                assert form.startswith(" ") and not context.endswith(" ")
                return noun.endswith("s") == (form.strip() in {"are", "were", "have", "do", "seem"})
            return [(-1.0 if fits(*request.args) else -2.0, False) for request in requests]

        def generate_until(self, requests, disable_tqdm=False):
            raise NotImplementedError

        loglikelihood_rolling = generate_until

    seen = quality.answer_tasks(Model(), {agreement.NAME: None}, 5)
    assert {one["metric"] for one in seen} == {"correct"} and len(seen) == 20
    by_depth = {depth: [one["value"] for one in seen if one["depth"] == depth] for depth in agreement.DEPTHS}
    assert by_depth[1] == [1] * 5 and by_depth[2] == by_depth[4] == ([1] * 5 if knows == "subject" else [0] * 5)
    assert {(one["domain"], one["mode"]) for one in seen} == {("english", "agreement")}


def test_a_model_that_answers_is_counted_right_and_one_that_is_silent_apart():
    pytest.importorskip("lm_eval")
    from lm_eval.api.model import LM

    from edgekit.measure import quality

    both = [catalog.load(name) for name in ("english_think", "english_direct")]
    items = {task.prompt(item): item for task in both for item in task.items()}

    class Model(LM):
        def generate_until(self, requests, disable_tqdm=False):
            assert {request.args[1]["max_gen_toks"] for request in requests} in ({320}, {16})
            return [(" " + items[request.args[0]]["answer"], "The answer is 99999.", "hm")[i % 3]
                    for i, request in enumerate(requests)]

        prompt_form = "plain"

        def loglikelihood(self, requests, disable_tqdm=False):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    seen = quality.answer_tasks(Model(), {"english_think": [2, 5], "english_direct": None}, 3)
    right = [one for one in seen if one["metric"] == "correct"]
    assert len(right) == (2 + 8) * 3 and [one["value"] for one in right] == [1, 0, 0] * 10
    assert {(one["domain"], one["mode"]) for one in right} == {("english", "think"), ("english", "direct")}
    assert [one["value"] for one in seen if one["metric"] == "unanswered"] == [1] * 10
