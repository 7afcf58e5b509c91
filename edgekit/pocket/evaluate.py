"""How often a pocket model is right, by task and depth: greedy answers to test items, counted.

An answer that cannot be read is an extraction failure, counted apart and never as a wrong number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.pocket import language, tasks
from edgekit.pocket.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Z_95 = 1.959963984540054


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, doi:10.2307/2276774): lower and upper end, in 0..1."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    share, z2 = successes / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At 0 and n the ends are exact: rounding would leave the share outside of its own interval.
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What came of `n` items of one depth (or level) of a task. `unanswered` are extraction failures, not correct ones."""

    task: str
    depth: int
    n: int
    correct: int
    unanswered: int
    mean_new_tokens: float

    @property
    def share(self) -> float:
        """Correct answers of all problems."""
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of `share`."""
        return wilson_interval(self.correct, self.n)


def load_model(folder: Path, device: str = "cpu") -> LlamaForCausalLM:
    """The model of a folder in float32."""
    import torch
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()


def generate_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]
) -> list[list[int]]:
    """Greedy continuations of prompts: token ids, the end token left out. Prompts of like length share a batch."""
    from edgekit.engines.batch import continue_all, greedy

    encoded = tokenizer(list(prompts))["input_ids"]
    return continue_all(model, encoded, tasks.MAX_NEW_TOKENS, {tokenizer.eos_token_id}, greedy)


def evaluate(
    folder: Path, *, names: Sequence[str] = tuple(tasks.TASKS), count: int = tasks.TASK_COUNT, device: str = "cpu"
) -> list[Accuracy]:
    """Answer the first `count` items of every depth of every task, and count."""
    tokenizer, model = load_tokenizer(folder), load_model(folder, device)
    found = []
    for name in names:
        spec = tasks.TASKS[name]
        items = [item for depth in spec.depths for item in tasks.draw_items(spec.domain, depth, count=count)]
        answers = generate_answers(model, tokenizer, [spec.prompt(item) for item in items])
        parsed = [language.parse_answer(tokenizer.decode(ids)) for ids in answers]
        for depth in spec.depths:
            of_depth = [i for i, item in enumerate(items) if item.depth == depth]
            found.append(
                Accuracy(
                    name,
                    depth,
                    n=len(of_depth),
                    correct=sum(parsed[i] == items[i].answer for i in of_depth),
                    unanswered=sum(parsed[i] is None for i in of_depth),
                    mean_new_tokens=sum(len(answers[i]) for i in of_depth) / len(of_depth),
                )
            )
    return found
