"""A situation: sentences that may follow each other in any order, each with what it does to one number, the count x.

A sentence is (expression, text) or (expression, text, ranges). The expression has x, what was counted before, and the numbers a
and b, which its text tells: `x - a * b` with "{a} customers buy {b} {things} each". Every sign in it is a step of the problem.
Ranges say what a and b may be where the usual numbers would sound odd.

In texts: {s} the person (the name, or he or she), {o} him or her, {p} his or her, {name} always the name, {friend} a second
person; {thing} and {things} what is counted; {part} "half", "a third", … of a; {times} "twice", "three times", … of a.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[int, int]
Sentence = tuple[str, str] | tuple[str, str, dict[str, Range]]
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
TIMES = {2: "twice", 3: "three times", 4: "four times"}


@dataclass(frozen=True, slots=True)
class Situation:
    """What problems of one kind are made of.

    things: names of what is counted, "apple/apples". begin: what the first number may be where it is told alone. start: first
    sentences, without x. moves: what happens then, without a full stop. asks: the question, with what comes just before it.
    besides: sentences with a number n that changes nothing, and its range. most: the largest count on the way.
    """

    name: str
    things: tuple[str, ...]
    begin: Range
    start: tuple[Sentence, ...]
    moves: tuple[Sentence, ...]
    asks: tuple[Sentence, ...]
    besides: tuple[tuple[str, int, int], ...]
    most: int = 400
