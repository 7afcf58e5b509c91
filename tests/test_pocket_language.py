"""The language: sentences mean what the problem says, splits never meet, files are a function of their seed."""

from __future__ import annotations

import json
import re
from itertools import product

import numpy as np
import pytest

from edgekit.pocket import language, tasks
from edgekit.store import ROOT

TASKS = ROOT / "data" / "tasks"


def read_and_solve(text: str) -> int:
    """Solve a problem from its sentences alone, knowing English and nothing of the package."""
    value = None
    for sentence in re.split(r"(?<=[.?])\s", text):
        words = sentence.lower()
        number = re.search(r"\d+", words)
        if re.search(r"\b(has|starts with)\b", words):
            value = int(number[0])
        elif re.search(r"\b(finds|picks up)\b", words):
            value += int(number[0])
        elif re.search(r"\b(loses|gives away)\b", words):
            value -= int(number[0])
        elif re.search(r"\b(doubles?)\b", words):
            value += value
        elif "half" in words:
            assert value % 2 == 0, "half of an odd number of things"
            value //= 2
        else:
            assert words.startswith("how many"), sentence
    return value


def problems(count: int, split: str = "train", depths=range(1, 9)):
    rng = np.random.default_rng(3)
    return [language.draw_problem(rng, depth=d, split=split) for d in depths for _ in range(count)]


def test_sentences_alone_give_the_answer():
    for problem in problems(100):
        assert read_and_solve(language.tell(problem)) == problem.answer


def test_reasoning_is_true_arithmetic_that_leads_from_start_to_answer():
    for problem in problems(60):
        *lines, last = language.completion(problem, "think").strip().splitlines()
        value = problem.start
        for line in lines:
            left, right = line.split("=")
            before, sign, operand = re.fullmatch(r"(\d+)([-+*/])(\d+)", left).groups()
            before, operand = int(before), int(operand)
            result = {"+": before + operand, "-": before - operand, "*": before * operand, "/": before / operand}[sign]
            assert before == value and result == int(right) and 0 <= result <= 99
            value = int(right)
        assert len(lines) == problem.depth
        assert last == f"answer {value}"
        assert language.completion(problem, "direct") == f"\nanswer {value}"


def test_every_operation_name_thing_and_template_occurs():
    texts = " ".join(language.tell(p) for p in problems(300))
    assert all(name in texts for name in language.NAMES)
    assert all(thing + "s" in texts for thing in language.THINGS)
    for phrase in ("finds", "picks up", "loses", "gives away", "doubles the", "s double", "shares half", "are sold"):
        assert phrase in texts
    assert not re.search(r"\b1 \w+s\b", texts), "one thing is told in the singular"


def test_splits_are_disjoint_whatever_the_seed_and_have_their_shares():
    keys = {split: set() for split in language.SPLITS}
    for split, seed in product(language.SPLITS, range(4)):
        rng = np.random.default_rng(seed)
        for depth in range(1, 7):
            keys[split] |= {language.draw_problem(rng, depth=depth, split=split).key for _ in range(60)}
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["validation"]
    assert not keys["validation"] & keys["test"]
    rng = np.random.default_rng(0)
    drawn = [language._draw(rng, 4).split for _ in range(4000)]
    # three standard errors of the share in 4000 draws
    assert abs(drawn.count("test") / 4000 - 0.2) < 3 * (0.2 * 0.8 / 4000) ** 0.5
    assert abs(drawn.count("validation") / 4000 - 0.1) < 3 * (0.1 * 0.9 / 4000) ** 0.5


def test_wording_and_names_do_not_move_a_problem_to_another_split():
    one = language.Problem(23, (("find", 4), ("double", 2)), "Mia", "shell", (0, 0, 0, 0))
    other = language.Problem(23, (("find", 4), ("double", 2)), "Tom", "coin", (5, 4, 3, 2))
    assert language.tell(one) != language.tell(other)
    assert one.key == other.key == "23+4*2"
    assert one.split == other.split


def test_the_split_is_the_same_on_every_machine_and_python():
    splits = {n: language.Problem(n, (("find", 1),), "Mia", "shell", (0, 0, 0)).split for n in range(1, 60)}
    assert [n for n, split in splits.items() if split == "validation"] == [1, 14, 44, 55, 59]
    assert [n for n, split in splits.items() if split == "test"] == [17, 19, 20, 22, 24, 28, 32, 38, 50, 52, 58]


def test_same_seed_same_problems_and_different_seed_different_ones():
    def draw(seed):
        rng = np.random.default_rng(seed)
        return [language.draw_problem(rng, depth=5, split="test") for _ in range(20)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\n3+4=7\nanswer 7", 7),
        ("\nanswer 42<|endoftext|>", 42),
        ("\nanswer 0\n", 0),
        ("\nanswer 3\nanswer 12", 12),
        ("\nanswer 123", 123),
        ("\n3+4=7\nans", None),
        ("\nanswer seven", None),
        ("\nanswer ", None),
        ("the answer 7 is not on its own line", None),
        ("", None),
    ],
)
def test_parse_answer(text, number):
    assert language.parse_answer(text) == number


def test_perfect_completions_are_parsed():
    for problem, mode in product(problems(20), language.MODES):
        assert language.parse_answer(language.completion(problem, mode)) == problem.answer


def test_a_problem_out_of_range_or_with_unknown_words_is_refused():
    with pytest.raises(ValueError, match="0..99"):
        language.Problem(90, (("find", 14),), "Mia", "shell", (0, 0, 0))
    with pytest.raises(ValueError, match="known: find, lose, double, share"):
        language.Problem(90, (("eat", 14),), "Mia", "shell", (0, 0, 0))
    with pytest.raises(ValueError, match="known: train, validation, test"):
        language.draw_problem(np.random.default_rng(0), depth=1, split="dev")
    with pytest.raises(ValueError, match="known: think, direct"):
        language.prompt(problems(1)[0], "dream")
    with pytest.raises(ValueError, match="found only"):
        language.draw_distinct(np.random.default_rng(0), 450, depth=1, split="test")


@pytest.mark.parametrize("mode", ["think", "direct"])
def test_shipped_tasks_are_rebuilt_byte_for_byte(mode):
    name = tasks.task_name(mode)
    assert (TASKS / f"{name}.jsonl").read_text(encoding="utf-8") == tasks.task_file(mode)
    assert (TASKS / f"{name}.yaml").read_text(encoding="utf-8") == tasks.task_yaml(mode)


def test_shipped_tasks_hold_distinct_test_problems_that_both_modes_share():
    files = {mode: [json.loads(line) for line in tasks.task_file(mode).splitlines()] for mode in language.MODES}
    think, direct = files["think"], files["direct"]
    assert len(think) == 1200 and len({item["id"] for item in think}) == 1200
    for one, other in zip(think, direct, strict=True):
        told = one["prompt"].removesuffix("\nthink")
        assert told == other["prompt"].removesuffix("\ndirect")
        assert read_and_solve(told) == one["answer"] == other["answer"]
        assert told.count(".") == one["depth"] + 1
    for depth in tasks.TASK_DEPTHS:
        chosen = tasks.task_problems(depth)
        assert len({p.key for p in chosen}) == tasks.TASK_COUNT
        assert {p.split for p in chosen} == {"test"}
        assert tasks.task_problems(depth, count=20) == chosen[:20]


def test_task_yaml_filter_agrees_with_parse_answer():
    yaml = pytest.importorskip("yaml")
    task = yaml.safe_load(tasks.task_yaml("think"))
    assert not task["dataset_kwargs"]["data_files"]["test"].startswith("/")
    regex = next(f for f in task["filter_list"][0]["filter"] if f["function"] == "regex")
    for text in ("\n3+4=7\nanswer 7", "\nanswer 3\nanswer 12", "\nanswer ", "\n3+4=7"):
        found = re.findall(regex["regex_pattern"], text)
        read = int(found[regex["group_select"]]) if found else None
        assert read == language.parse_answer(text)
