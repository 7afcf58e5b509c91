"""The generated language: word problems whose difficulty is their known number of steps.

A problem is a start number and a chain of steps; every intermediate result stays in 0..99. Its rendering is a second,
separate matter: the same problem can be asked with its reasoning written out (`think`) or skipped (`direct`).

    Mia has 23 shells. Mia finds 8 shells. Then Mia doubles the shells. How many shells does Mia have now?
    think
    23+8=31
    31*2=62
    answer 62<|endoftext|>

The split that a problem belongs to is a hash of its numbers and operations, so train, validation and test are disjoint
by construction, whatever the seed. Problems are disjoint, single sums are not: 23+8 occurs inside many chains.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LANGUAGE_VERSION = 1
END = "<|endoftext|>"
ANSWER_MARKER = "answer"
LARGEST = 99
LARGEST_OPERAND = 9
MAX_DEPTH = 8
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of step: its sign in the reasoning, its effect, and the sentences that can tell it."""

    sign: str
    apply: Callable[[int, int], int]
    sentences: tuple[str, ...]


OPERATIONS = {
    "find": Operation("+", lambda value, n: value + n, ("{name} finds {count}.", "{name} picks up {count}.")),
    "lose": Operation("-", lambda value, n: value - n, ("{name} loses {count}.", "{name} gives away {count}.")),
    "double": Operation("*", lambda value, n: value * n, ("{name} doubles the {thing}s.", "The {thing}s double.")),
    "share": Operation(
        "/", lambda value, n: value // n, ("{name} shares half of the {thing}s.", "Half of the {thing}s are sold.")
    ),
}
OPENINGS = ("{name} has {count}.", "{name} starts with {count}.")
QUESTIONS = ("How many {thing}s does {name} have now?", "How many {thing}s are left with {name}?")
LINKS = ("", "Then ", "Later ")
NAMES = (
    "Mia", "Tom", "Ada", "Ben", "Eva", "Leo", "Ida", "Max", "Zoe", "Sam", "Lea", "Kai",
    "Nora", "Paul", "Ruth", "Hugo", "Anna", "Omar", "Lucy", "Ivan", "Emma", "Theo", "Rosa", "Finn",
)  # fmt: skip
THINGS = (
    "shell", "coin", "apple", "stamp", "card", "pearl", "stone", "ticket", "button", "marble", "nut", "bead",
    "feather", "pencil", "candle", "cookie", "balloon", "ribbon", "lemon", "magnet", "walnut", "sticker", "basket",
    "flower",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """A chain of steps on one number, with the words that it is told in.

    `steps` holds (operation, operand); the operand of `double` and `share` is 2. `wording` holds one number for each
    sentence (opening, steps, question) that picks its template; it never changes the answer or the split.
    """

    start: int
    steps: tuple[tuple[str, int], ...]
    name: str
    thing: str
    wording: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_DEPTH:
            raise ValueError(f"a problem has 1..{MAX_DEPTH} steps, got {len(self.steps)}")
        if len(self.wording) != len(self.steps) + 2:
            raise ValueError(f"wording needs {len(self.steps) + 2} numbers (one a sentence), got {len(self.wording)}")
        for op, _ in self.steps:
            if op not in OPERATIONS:
                raise ValueError(f"unknown operation {op!r}; known: {', '.join(OPERATIONS)}")
        if any(not 0 <= value <= LARGEST for value in self.values):
            raise ValueError(f"results must stay in 0..{LARGEST}, got {self.values}")

    @property
    def depth(self) -> int:
        """The number of steps."""
        return len(self.steps)

    @property
    def values(self) -> tuple[int, ...]:
        """The number after each step, the start first: depth + 1 numbers."""
        values = [self.start]
        for op, operand in self.steps:
            values.append(OPERATIONS[op].apply(values[-1], operand))
        return tuple(values)

    @property
    def answer(self) -> int:
        """The number after the last step."""
        return self.values[-1]

    @property
    def key(self) -> str:
        """The canonical form: numbers and operations only, without names and wording."""
        return f"{self.start}" + "".join(f"{OPERATIONS[op].sign}{operand}" for op, operand in self.steps)

    @property
    def split(self) -> str:
        """`train` (70 %), `validation` (10 %) or `test` (20 %): a fixed function of `key`."""
        bucket = int.from_bytes(hashlib.blake2b(self.key.encode(), digest_size=8).digest(), "big") % 10
        return "train" if bucket < 7 else "validation" if bucket == 7 else "test"


def _draw(rng: np.random.Generator, depth: int) -> Problem:
    value = start = int(rng.integers(1, LARGEST + 1))
    steps = []
    for _ in range(depth):
        valid = []
        if value < LARGEST:
            valid.append("find")
        if value >= 1:
            valid.append("lose")
        if 1 <= value <= LARGEST // 2:
            valid.append("double")
        if value >= 2 and value % 2 == 0:
            valid.append("share")
        op = valid[rng.integers(len(valid))]
        room = {"find": LARGEST - value, "lose": value}.get(op)
        operand = 2 if room is None else int(rng.integers(1, min(room, LARGEST_OPERAND) + 1))
        steps.append((op, operand))
        value = OPERATIONS[op].apply(value, operand)
    name, thing = NAMES[rng.integers(len(NAMES))], THINGS[rng.integers(len(THINGS))]
    return Problem(start, tuple(steps), name, thing, tuple(rng.integers(0, 60, depth + 2).tolist()))


def draw_problem(rng: np.random.Generator, *, depth: int, split: str) -> Problem:
    """Draw one problem of `depth` steps from a split: draws of other splits are thrown away and drawn again."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    while True:
        problem = _draw(rng, depth)
        if problem.split == split:
            return problem


def draw_distinct(rng: np.random.Generator, count: int, *, depth: int, split: str) -> list[Problem]:
    """Draw `count` problems of one depth with different keys. Only depth 1 is small: about 350 test problems."""
    found: dict[str, Problem] = {}
    attempts = 0
    while len(found) < count:
        problem = draw_problem(rng, depth=depth, split=split)
        found.setdefault(problem.key, problem)
        attempts += 1
        if attempts > 10 * count:
            raise ValueError(f"found only {len(found)} different {split} problems of depth {depth}, asked for {count}")
    return list(found.values())


def tell(problem: Problem) -> str:
    """Tell a problem in sentences, the question last."""
    name, thing = problem.name, problem.thing

    def sentence(templates: tuple[str, ...], pick: int, n: int) -> str:
        count = f"{n} {thing}" if n == 1 else f"{n} {thing}s"
        return templates[pick % len(templates)].format(name=name, thing=thing, count=count)

    told = [sentence(OPENINGS, problem.wording[0], problem.start)]
    for (op, operand), pick in zip(problem.steps, problem.wording[1:-1], strict=True):
        text = sentence(OPERATIONS[op].sentences, pick, operand)
        link = LINKS[pick // 2 % len(LINKS)]
        told.append(link + (text.replace("The ", "the ").replace("Half ", "half ") if link else text))
    told.append(sentence(QUESTIONS, problem.wording[-1], 0))
    return " ".join(told)


def _think(problem: Problem) -> str:
    values = problem.values
    return "".join(
        f"\n{before}{OPERATIONS[op].sign}{operand}={after}"
        for (op, operand), before, after in zip(problem.steps, values[:-1], values[1:], strict=True)
    )


# mode -> what is written between the mode's marker word and the answer
MODES: dict[str, Callable[[Problem], str]] = {"think": _think, "direct": lambda problem: ""}


def prompt(problem: Problem, mode: str) -> str:
    """The text that a model is given: the problem and the mode's marker word.

    It ends in a letter and every continuation begins with a newline, so its tokens are a prefix of the whole text's.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    return f"{tell(problem)}\n{mode}"


def completion(problem: Problem, mode: str) -> str:
    """What a perfect model writes after `prompt`, without the end-of-text token."""
    return f"{MODES[mode](problem)}\n{ANSWER_MARKER} {problem.answer}"


def parse_answer(text: str) -> int | None:
    """The number on the last answer line of a generated text; None if there is none (an extraction failure)."""
    found = re.findall(rf"^{ANSWER_MARKER} (\d+)(?=\s*(?:$|{re.escape(END)}))", text, flags=re.MULTILINE)
    return int(found[-1]) if found else None
