"""A problem: sentences of a situation that together take a number of steps, with numbers that leave every count whole."""

from __future__ import annotations

import ast
import functools
import operator
import re
from dataclasses import dataclass
from random import Random

from edgekit.questions import at_home, at_the_shop, at_work, on_the_way
from edgekit.questions.situation import PARTS, TIMES, Range, Sentence, Situation

SITUATIONS = (*at_home.SITUATIONS, *at_the_shop.SITUATIONS, *on_the_way.SITUATIONS, *at_work.SITUATIONS)
HERS = ("Emma", "Olivia", "Sofia", "Maya", "Hannah", "Zoe", "Leila", "Clara", "Ruth", "Ingrid", "Amina", "Julia")
HIS = ("Liam", "Noah", "Omar", "Felix", "Daniel", "Hugo", "Marco", "Arthur", "Kenji", "Peter", "Samuel", "Victor")
LINKS = ("Then", "Later", "After that,", "Next,")
LINKED = ("{s}", "{a}", "{p}", "{friend}")  # how a sentence begins before which one of these words may stand
MOST_ANSWER = 5000
TRIES = 2000
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.floordiv}
DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Problem:
    """`sums`: the expression of each sentence with its numbers, in order; each takes the result of the one before as x."""

    situation: str
    question: str
    sums: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]

    @property
    def depth(self) -> int:
        """The number of steps."""
        return sum(steps(expression) for expression, _ in self.sums)

    @property
    def answer(self) -> int:
        """What the steps lead to."""
        x = 0
        for expression, numbers in self.sums:
            x = evaluate(expression, dict(numbers) | dict(x=x))
        return x


def steps(expression: str) -> int:
    """The number of signs in an expression."""
    return sum(isinstance(node, ast.BinOp) for node in ast.walk(_parsed(expression)))


def evaluate(expression: str, numbers: dict[str, int]) -> int | None:
    """The value of an expression; None where it, or any part of it, is no whole number or below 0."""
    def value(node: ast.expr) -> int | None:
        if isinstance(node, ast.Name):
            return numbers[node.id]
        left, right = value(node.left), value(node.right)
        if left is None or right is None or (isinstance(node.op, ast.Div) and (not right or left % right)):
            return None
        done = OPERATIONS[type(node.op)](left, right)
        return done if done >= 0 else None

    return value(_parsed(expression).body)


@functools.cache
def _parsed(expression: str) -> ast.Expression:
    return ast.parse(expression, mode="eval")


def draw(rng: Random, situation: Situation, depth: int) -> Problem:
    """A problem of exactly `depth` steps. Its answer is no number of its text, so that none of these can be guessed.

    Raises ValueError where a situation has too few sentences for so many steps.
    """
    for _ in range(TRIES):
        if (chosen := _sentences(rng, situation, depth)) and (drawn := _numbers(rng, situation, chosen)):
            problem = Problem(situation.name, _tell(rng, situation, chosen, drawn),
                              tuple((sentence[0], tuple(sorted(numbers.items())))
                                    for sentence, numbers in zip(chosen, drawn, strict=True)))
            if problem.answer <= MOST_ANSWER and str(problem.answer) not in DIGITS.findall(problem.question):
                return problem
    raise ValueError(f"{situation.name}: found no problem of {depth} steps")


def _sentences(rng: Random, situation: Situation, depth: int) -> list[Sentence] | None:
    """A first sentence, at least one move, in any order, each once, and a question; None where they are not `depth` steps."""
    start = rng.choice([one for one in situation.start if steps(one[0]) < depth])
    ask = rng.choice([one for one in situation.asks if steps(one[0]) < depth - steps(start[0])])
    left = depth - steps(start[0]) - steps(ask[0])
    moves = []
    for move in rng.sample(situation.moves, len(situation.moves)):
        if steps(move[0]) <= left:
            moves.append(move)
            left -= steps(move[0])
    return [start, *moves, ask] if not left else None


def _numbers(rng: Random, situation: Situation, sentences: list[Sentence]) -> list[dict[str, int]] | None:
    """The numbers of each sentence; None where none were found for one of them."""
    x, found = 0, []
    for i, (expression, text, *more) in enumerate(sentences):
        last = i == len(sentences) - 1
        for _ in range(40):
            numbers = {}
            for letter in sorted(set(expression) & set("ab")):
                low, high = (more[0] if more else {}).get(letter) or _range(letter, expression, text, x, situation, last)
                if low > high:
                    return None
                numbers[letter] = rng.randint(low, high)
            result = evaluate(expression, numbers | dict(x=x))
            if result is not None and (last or 2 <= result <= situation.most):
                break
        else:
            return None
        x = result
        found.append(numbers)
    return found


def _range(letter: str, expression: str, text: str, x: int, situation: Situation, last: bool) -> Range:
    """What a number may be where the sentence does not say."""
    if "{part}" in text:
        return min(PARTS), max(PARTS)
    if "{times}" in text:
        return min(TIMES), max(TIMES)
    low, high = situation.begin
    return {"a": (low, high), "a + b": (low // 2, high // 2), "a * b": (3, 12) if letter == "a" else (4, 12),
            "x + a": (3, max(20, x)), "x - a": (2, x - 1 if last else 2 * x // 3), "a - x": (x + 2, 2 * x + 30),
            "x / a": (2, 9), "x * a": (2, 9)}.get(expression, (2, 9) if letter == "a" else (2, 12))


def _tell(rng: Random, situation: Situation, sentences: list[Sentence], numbers: list[dict[str, int]]) -> str:
    """The sentences as text, with up to two more between them that change nothing."""
    hers = rng.random() < 0.5
    name, friend = rng.choice(HERS if hers else HIS), rng.choice(HIS if hers else HERS)
    thing, things = rng.choice(situation.things).split("/")
    words = dict(name=name, friend=friend, thing=thing, things=things)
    told = [(text, _words(of)) for (_, text, *_), of in zip(sentences, numbers, strict=True)]
    for text, low, high in rng.sample(situation.besides, rng.choice((0, 0, 1, 1, 2))):
        told.insert(rng.randint(1, len(told) - 1), (text, dict(n=rng.randint(low, high))))
    question, known = told.pop()
    said, before, links = [], "", rng.sample(LINKS, len(LINKS))
    for i, (text, of) in enumerate(told):
        linked = i > 1 and links and "n" not in of and text.startswith(LINKED) and rng.random() < 0.4
        link = links.pop() if linked else ""
        by_name = not before.startswith("{s}") or (text.startswith("{s}") and rng.random() < 0.3)
        sentence = _with_person(text, name, hers, by_name).format(**words, **of)
        said.append(f"{link} {sentence}." if link else f"{sentence[0].upper()}{sentence[1:]}.")
        before = text
    return " ".join([*said, question.format(**words, **known)])


def _words(numbers: dict[str, int]) -> dict[str, int | str]:
    a = numbers.get("a", 0)
    return numbers | dict(part=PARTS.get(a, ""), times=TIMES.get(a, ""))


def _with_person(text: str, name: str, hers: bool, by_name: bool) -> str:
    """{s}, {o} and {p} as words: she, her and her, or he, him and his; the first of them as the name where `by_name`."""
    pronouns = dict(s="she", o="her", p="her") if hers else dict(s="he", o="him", p="his")
    names = dict(s=name, o=name, p=f"{name}'s")
    left = [by_name]

    def word(match: re.Match) -> str:
        return (names if left and left.pop() else pronouns)[match[1]]

    return re.sub(r"\{([sop])\}", word, text)
