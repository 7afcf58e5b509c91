"""Word problems of known depth: a start number and a chain of steps, every result in 0..99.

    Mia has 23 shells. Tom gives Mia 38 shells. Mia finds 7 nuts. Then Mia doubles the shells. …

Operands have up to two digits. Sentences about another person's or other things stand between the steps and change
nothing. The split that a problem belongs to is a hash of its numbers and operations: problems are disjoint, single sums
are not, since 23+38 occurs inside many chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edgekit.errors import unknown_name
from edgekit.pocket.splits import draw_from
from edgekit.pocket.words import NAMES, THINGS

LARGEST = 99
MAX_DEPTH = 8
DISTRACTOR_CHANCE = 0.3


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of step: its sign, its effect, and pairs of (the sentence that tells it, the line that reasons it).

    Lines get `a` (the number before), `n` (the operand) and `b` (the number after).
    """

    sign: str
    apply: Callable[[int, int], int]
    wordings: tuple[tuple[str, str], ...]


OPERATIONS = {
    "find": Operation("+", lambda value, n: value + n, (
        ("{name} finds {count}.", "{a}+{n}={b}"),
        ("{name} picks up {count}.", "{n} more, {a}+{n}={b}"),
        ("{other} gives {name} {count}.", "{other} gives {n}, so {a}+{n}={b}"),
    )),
    "lose": Operation("-", lambda value, n: value - n, (
        ("{name} loses {count}.", "{a}-{n}={b}"),
        ("{name} throws away {count}.", "{n} fewer, {a}-{n}={b}"),
        ("{name} gives {other} {count}.", "{other} takes {n}, so {a}-{n}={b}"),
    )),
    "double": Operation("*", lambda value, n: value * n, (
        ("{name} doubles the {thing}s.", "{a}*{n}={b}"),
        ("The {thing}s double.", "twice {a}, so {a}*{n}={b}"),
    )),
    "share": Operation("/", lambda value, n: value // n, (
        ("{name} shares half of the {thing}s.", "{a}/{n}={b}"),
        ("Half of the {thing}s are sold.", "half of {a}, so {a}/{n}={b}"),
    )),
}  # fmt: skip
OPENINGS = ("{name} has {count}.", "{name} starts with {count}.")
DISTRACTORS = ("{other} finds {count}.", "{other} has {count}.", "{name} finds {strange}.", "{name} loses {strange}.")
QUESTIONS = ("How many {thing}s does {name} have now?", "How many {thing}s are left with {name}?")
LINKS = ("", "", "Then ", "Later ")


@dataclass(frozen=True, slots=True)
class Problem:
    """A chain of steps on one number, with the words that it is told in.

    `steps` holds (operation, operand); the operand of `double` and `share` is 2. `wording` holds one number for each
    sentence (opening, steps, question) that picks its template; `distractors` holds (step before which it stands,
    template, number). Neither changes the answer or the split.
    """

    start: int
    steps: tuple[tuple[str, int], ...]
    name: str
    other: str
    thing: str
    strange: str
    wording: tuple[int, ...]
    distractors: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_DEPTH:
            raise ValueError(f"a problem has 1..{MAX_DEPTH} steps, got {len(self.steps)}")
        if len(self.wording) != len(self.steps) + 2:
            raise ValueError(f"wording needs {len(self.steps) + 2} numbers (one a sentence), got {len(self.wording)}")
        for op, _ in self.steps:
            if op not in OPERATIONS:
                raise ValueError(unknown_name("operation", op, OPERATIONS))
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
    def answer(self) -> str:
        """The number after the last step, in digits."""
        return str(self.values[-1])

    @property
    def key(self) -> str:
        """The canonical form: numbers and operations only, without names and wording."""
        return f"{self.start}" + "".join(f"{OPERATIONS[op].sign}{operand}" for op, operand in self.steps)


def _draw(rng: Random, depth: int) -> Problem:
    value = start = rng.randint(1, LARGEST)
    steps, distractors = [], []
    for i in range(depth):
        valid = []
        if value < LARGEST:
            valid.append("find")
        if value >= 1:
            valid.append("lose")
        if 1 <= value <= LARGEST // 2:
            valid.append("double")
        if value >= 2 and value % 2 == 0:
            valid.append("share")
        op = rng.choice(valid)
        room = {"find": LARGEST - value, "lose": value}.get(op)
        operand = 2 if room is None else rng.randint(1, room)
        steps.append((op, operand))
        value = OPERATIONS[op].apply(value, operand)
        if rng.random() < DISTRACTOR_CHANCE:
            distractors.append((i, rng.randrange(len(DISTRACTORS)), rng.randint(1, LARGEST)))
    name, other = rng.sample(NAMES, 2)
    thing, strange = rng.sample(THINGS, 2)
    wording = tuple(rng.randrange(60) for _ in range(depth + 2))
    return Problem(start, tuple(steps), name, other, thing, strange, wording, tuple(distractors))


def draw_problem(rng: Random, *, depth: int, split: str) -> Problem:
    """Draw one problem of `depth` steps from a split: draws of other splits are thrown away and drawn again."""
    return draw_from(split, lambda: _draw(rng, depth), lambda problem: problem.key)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def tell(problem: Problem) -> str:
    """Tell a problem in sentences, the question last."""
    p = problem
    told = [OPENINGS[p.wording[0] % 2].format(name=p.name, count=_count(p.start, p.thing))]
    before: dict[int, str] = {}
    for step, template, n in p.distractors:
        before[step] = DISTRACTORS[template].format(
            name=p.name, other=p.other, count=_count(n, p.thing), strange=_count(n, p.strange)
        )
    for i, ((op, n), pick) in enumerate(zip(p.steps, p.wording[1:-1], strict=True)):
        if i in before:
            told.append(before[i])
        wordings = OPERATIONS[op].wordings
        text = wordings[pick % len(wordings)][0].format(name=p.name, other=p.other, thing=p.thing, count=_count(n, p.thing))
        link = LINKS[pick // 6 % len(LINKS)]
        told.append(link + (text.replace("The ", "the ").replace("Half ", "half ") if link else text))
    told.append(QUESTIONS[p.wording[-1] % 2].format(name=p.name, thing=p.thing))
    return " ".join(told)


def reasoning(problem: Problem) -> list[str]:
    """One line a step, in the step's own wording: short where the story is short, longer where it is longer."""
    lines = []
    values = problem.values
    for (op, n), pick, a, b in zip(problem.steps, problem.wording[1:-1], values[:-1], values[1:], strict=True):
        wordings = OPERATIONS[op].wordings
        lines.append(wordings[pick % len(wordings)][1].format(other=problem.other, a=a, n=n, b=b))
    return lines
