"""How long a model may reason before it answers: as it likes, not at all, or within a budget, which binds in one of three ways.

`think`: in full. `direct`: the answer alone. `hard-N`: what is written is cut after N tokens, and words that ask for the answer
are put behind it, since a bare cut leaves none. `soft-N`: the question asks for N tokens at most, and nothing enforces it.
`budget-N`: a model that was trained on budgets is told one in its own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edgekit.catalog import tasks
from edgekit.engines.base import Engine, EngineError
from edgekit.errors import InvalidRequest, unknown_name

THINK, DIRECT, HARD, SOFT, TRAINED = KINDS = ("think", "direct", "hard", "soft", "budget")
SOFT_WORDS = "Keep your reasoning within {} tokens."
# What stands behind a cut text, by family of tasks: the beginning of an answer as the task reads it. The blank at the end asks
# for a number: without it small models repeat the question's own words, "The answer is N".
WRAP_UPS = {"pocket_chain": "\nanswer", "english": "\n\nThe answer is ", "lm-eval:gsm8k": "\n#### "}
OTHER_WRAP_UP = "\nThe answer is"
OPENED, CLOSED = "<think>", "</think>"  # around the reasoning of models that mark it


class BudgetError(InvalidRequest):
    """A way to reason that there is not, or not for this model; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Models that were trained on budgets: how their names begin, what a budget counts, and the words that tell it ("" where
    tasks of their own do)."""

    begins: str
    counts: str
    words: str = ""


FAMILIES = (Trained("pocket-", "lines"), Trained("l3lab/L1-", "tokens", "Think for maximum {} tokens."))


@dataclass(frozen=True, slots=True)
class Mode:
    """One of KINDS, with the amount that a budget has: tokens, or what the model was trained to count."""

    kind: str
    amount: int = 0

    @classmethod
    def parse(cls, text: str) -> Mode:
        """The mode of a name as `think` or `hard-32`. Raises BudgetError for an unknown one, or a budget below one step."""
        kind, dash, amount = text.partition("-")
        if kind not in KINDS or bool(dash) != (kind in (HARD, SOFT, TRAINED)):
            raise BudgetError(unknown_name("way to reason", text, (THINK, DIRECT, *(f"{one}-N" for one in KINDS[2:]))))
        if dash and not (amount.isdigit() and int(amount) >= 1):
            raise BudgetError(f"{text}: expected a budget of at least 1, got {amount!r}; no reasoning at all is {DIRECT}")
        return cls(kind, int(amount or 0))

    def __str__(self) -> str:
        return f"{self.kind}-{self.amount}" if self.amount else self.kind


@dataclass(frozen=True, slots=True)
class Asked:
    """How a family of tasks is asked in a mode: the task's name, a sentence before each question ("" for none), and after how
    many tokens reasoning is cut (None: never)."""

    task: str
    sentence: str = ""
    cut_after: int | None = None


def asked(family: str, mode: Mode, model: str) -> Asked:
    """How `model` is asked a family of tasks in a mode: shipped ones have a task for each, those of lm-eval one for all.

    Raises BudgetError where the model was not trained on budgets, or the family has no such task.
    """
    shipped = tasks.is_shipped(family)
    if mode.kind == TRAINED:
        words = trained(model).words
        if words:
            return Asked(f"{family}_{THINK}" if shipped else family, words.format(mode.amount))
        return Asked(_there(f"{family}_{TRAINED}_{mode.amount}", family, model))
    if mode.kind == SOFT and any(one.counts != "tokens" for one in FAMILIES if model.startswith(one.begins)):
        raise BudgetError(f"{model}: its language has no words for a budget of {mode.amount} tokens; it was trained on budgets "
                          f"of lines, which {TRAINED}-N asks for")
    sentence = SOFT_WORDS.format(mode.amount) if mode.kind == SOFT else ""
    cut = mode.amount if mode.kind == HARD else None
    if not shipped:
        return Asked(family, sentence, 0 if mode.kind == DIRECT else cut)
    return Asked(_there(f"{family}_{DIRECT if mode.kind == DIRECT else THINK}", family, model), sentence, cut)


def trained(model: str) -> Trained:
    """What a model's training taught it of budgets. Raises BudgetError where it was not trained on any."""
    for one in FAMILIES:
        if model.startswith(one.begins):
            return one
    raise BudgetError(f"{model}: it was not trained on budgets; models that are: "
                      + ", ".join(f"{one.begins}… (of {one.counts})" for one in FAMILIES))


def _there(task: str, family: str, model: str) -> str:
    if task not in (known := [name for name in tasks.names() if name.startswith(f"{family}_")]):
        raise BudgetError(f"{model}: {unknown_name('task', task, known)}")
    return task


def require_family(name: str) -> None:
    """Raise TaskError or BudgetError unless `name` is a family of shipped tasks, or a task of lm-eval."""
    if not tasks.is_shipped(name):
        tasks.require_known(name)
        return
    families = sorted({one.removesuffix(f"_{THINK}") for one in tasks.names() if one.endswith(f"_{THINK}")})
    if name not in families:
        raise BudgetError(unknown_name("family of tasks", name, families, "; one of lm-eval is lm-eval:NAME"))


def wrap_up(family: str, text: str) -> str:
    """What is put behind a cut text: the end of its marked reasoning, where that was left open, and the answer's beginning."""
    begun = WRAP_UPS.get(family, OTHER_WRAP_UP)
    return f"\n{CLOSED}\n{begun}" if text.rfind(OPENED) > text.rfind(CLOSED) else begun


def answer_part(text: str) -> str:
    """What a model wrote behind its marked reasoning; all of it where none is marked."""
    return text.rpartition(CLOSED)[2]


def spent(counts: str, text: str, tokens: int) -> int:
    """How much of a budget a text took: its tokens, or its lines before that of the answer."""
    if counts == "tokens":
        return tokens
    lines = [line for line in text.strip("\n").split("\n") if line.strip()]
    return sum(not re.match(r"answer\b", line) for line in lines)


@dataclass(frozen=True, slots=True)
class Written:
    """A text that a model wrote: tokens, the one that ended it among them. ended: by itself, and not at a limit."""

    tokens: list[int]
    ended: bool


def write(engine: Engine, prompts: Sequence[Sequence[int]], most: int, stop: Collection[int],
          ended: Callable[[Sequence[int]], bool] | None = None) -> list[Written]:
    """Greedy continuations of at most `most` tokens each; `stop` and `ended` as for Engine.generate. Raises EngineError."""
    made = engine.generate(prompts, most, stop, keep_stop=True, ended=ended)
    return [finished(tokens, stop, ended) for tokens in made]


def finished(tokens: list[int], stop: Collection[int], ended: Callable[[Sequence[int]], bool] | None) -> Written:
    """A text up to its end: its first stop token, or where `ended` first says so, since some engines write on."""
    for i, token in enumerate(tokens, 1):
        if token in stop or (ended is not None and ended(tokens[:i])):
            return Written(tokens[:i], True)
    return Written(tokens, False)


def cut_and_answer(engine: Engine, prompts: Sequence[Sequence[int]], texts: Sequence[Written], budget: int,
                   wrap_ups: Sequence[Sequence[int]], answer_tokens: int, stop: Collection[int],
                   ended: Callable[[Sequence[int]], bool] | None = None) -> list[Written]:
    """Each text within a hard budget: one that ended in `budget` tokens stays; another is cut there, its wrap-up is put
    behind it, and an answer of at most `answer_tokens` is written. No text has more than the three together.

    `texts`: what was written without a budget, or with a larger one. Raises EngineError for texts that end earlier without
    having ended, which say nothing about a larger budget.
    """
    if budget < 0 or answer_tokens < 1:
        raise EngineError(f"hard budget: expected at least 0 tokens and an answer of at least 1, got {budget} and "
                          f"{answer_tokens}")
    done = list(texts)
    cut = [i for i, text in enumerate(texts) if not text.ended or len(text.tokens) > budget]
    if short := [i for i in cut if len(texts[i].tokens) < budget]:
        raise EngineError(f"hard budget of {budget}: text {short[0]} was stopped after {len(texts[short[0]].tokens)} tokens; "
                          "write it to the budget's length first")
    kept = [[*texts[i].tokens[:budget], *wrap_ups[i]] for i in cut]
    answers = write(engine, [[*prompts[i], *before] for i, before in zip(cut, kept, strict=True)], answer_tokens, stop, ended)
    for i, before, answer in zip(cut, kept, answers, strict=True):
        done[i] = Written([*before, *answer.tokens], answer.ended)
    return done
