"""The generated language: word problems answered in several modes, queries of other domains, and prose.

    Mia has 23 shells. Tom gives Mia 8 shells. Then Mia doubles the shells. How many shells does Mia have now?
    think
    Tom gives 8, so 23+8=31
    31*2=62
    answer 62<|endoftext|>

The mode's marker line says how much reasoning is written before the answer: all of it (`think`), none (`direct`), or at
most k steps (`budget k`). A query of another domain is answered directly. Prose is text of a known grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from edgekit.errors import InvalidRequest, unknown_name
from edgekit.pocket import chain, grammar, queries
from edgekit.pocket.chain import MAX_DEPTH
from edgekit.pocket.splits import draw_from

LANGUAGE_VERSION = 2
END = "<|endoftext|>"
ANSWER_MARKER = "answer"
PROSE_MARKER = "story"
MAX_BUDGET = 5
# mode -> greatest number of reasoning lines; None: no limit
MODES: dict[str, int | None] = {"think": None, "direct": 0} | {f"budget-{k}": k for k in range(1, MAX_BUDGET + 1)}


class ModeError(InvalidRequest):
    """No mode of that name; the message lists the known ones."""


@dataclass(frozen=True, slots=True)
class Text:
    """What is given (`prompt`) and what is to be written (`completion`, without the end token).

    A prompt ends in a letter or digit and every completion begins with a newline, so the prompt's tokens are a prefix of
    the whole text's.
    """

    domain: str
    prompt: str
    completion: str


def limit_of(mode: str) -> int | None:
    """The reasoning lines that a mode allows. Raises ModeError, listing the known ones."""
    if mode not in MODES:
        raise ModeError(unknown_name("mode", mode, MODES))
    return MODES[mode]


def marker(mode: str) -> str:
    """The line that asks for a mode: `think`, `direct`, `budget 2`."""
    limit_of(mode)
    return mode.replace("-", " ")


def prompt(problem: chain.Problem, mode: str) -> str:
    """The text that a model is given: the problem and the mode's marker."""
    return f"{chain.tell(problem)}\n{marker(mode)}"


def completion(problem: chain.Problem, mode: str) -> str:
    """What a perfect model writes after `prompt`: the reasoning that the mode allows, then the answer."""
    lines = chain.reasoning(problem)[: limit_of(mode)]
    return "".join(f"\n{line}" for line in [*lines, f"{ANSWER_MARKER} {problem.answer}"])


def query_text(query: queries.Query) -> Text:
    """A query of another domain, asked directly."""
    return Text(query.domain, f"{query.question}\n{marker('direct')}", f"\n{ANSWER_MARKER} {query.answer}")


def draw_prose(rng: Random, *, split: str) -> tuple[Text, float]:
    """Draw a story of a split, and the log-probability in nats that the grammar gives it (END included)."""

    def draw() -> tuple[str, float]:
        terminals, log_p = grammar.PROSE.draw(rng)
        return grammar.join(terminals), log_p

    story, log_p = draw_from(split, draw, lambda drawn: drawn[0])
    return Text("prose", PROSE_MARKER, f"\n{story}"), log_p


@dataclass(frozen=True, slots=True)
class Mixture:
    """What training texts are made of.

    shares: of the kinds of texts. shallow: direct problems of depth d have weight d^-shallow, since an answer without
    reasoning is one number a text to learn from and only shallow ones can be learnt. one_short: the share of budget texts
    whose budget is one line short, so that the last step is done in the head.
    """

    shares: tuple[tuple[str, float], ...]
    shallow: float
    one_short: float


# First reasoning is learnt, then doing without it: answering at once builds on sums that reasoning has taught.
EARLY = Mixture((("think", 0.36), ("budget", 0.18), ("direct", 0.16), ("tracking", 0.08), ("prices", 0.10), ("prose", 0.12)),
                shallow=1, one_short=0)  # fmt: skip
LATE = Mixture((("think", 0.20), ("budget", 0.26), ("direct", 0.34), ("tracking", 0.06), ("prices", 0.08), ("prose", 0.06)),
               shallow=2, one_short=0.5)  # fmt: skip
# In later cycles both are kept up.
AGAIN = Mixture((("think", 0.34), ("budget", 0.22), ("direct", 0.20), ("tracking", 0.08), ("prices", 0.08), ("prose", 0.08)),
                shallow=2, one_short=0.5)  # fmt: skip


def draw_text(rng: Random, *, split: str, max_depth: int = MAX_DEPTH, mixture: Mixture = EARLY) -> Text:
    """Draw one training text; problems have at most `max_depth` steps."""
    kinds, shares = zip(*mixture.shares, strict=True)
    kind = rng.choices(kinds, shares)[0]
    if kind == "prose":
        return draw_prose(rng, split=split)[0]
    if kind == "prices":
        return query_text(queries.draw_price(rng, split=split))
    if kind == "tracking":
        return query_text(queries.draw_query(rng, domain="tracking", level=rng.choice(queries.LEVELS), split=split))
    depths = range(1, max_depth + 1)
    if kind == "direct":
        depth = rng.choices(depths, [depth**-mixture.shallow for depth in depths])[0]
    else:
        depth = rng.choices(depths, [1 if depth <= 4 else 0.7 for depth in depths])[0]  # long ones have more to learn from
    mode = kind
    if kind == "budget":
        one_short = mixture.one_short and 1 < depth <= MAX_BUDGET + 1 and rng.random() < mixture.one_short
        mode = f"budget-{depth - 1 if one_short else rng.randint(1, MAX_BUDGET)}"
    problem = chain.draw_problem(rng, depth=depth, split=split)
    return Text("chain", prompt(problem, mode), completion(problem, mode))


def parse_answer(text: str) -> str | None:
    """The word or number on the last answer line of a generated text; None if there is none (an extraction failure)."""
    found = re.findall(rf"^{ANSWER_MARKER} (\w+)(?=\s*(?:$|{re.escape(END)}))", text, flags=re.MULTILINE)
    return found[-1] if found else None
