"""How often a pocket model is right, by mode and depth: greedy answers to test problems, counted.

An answer that cannot be read is an extraction failure, counted apart and never as a wrong number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from edgekit.pocket import language, tasks
from edgekit.pocket.tokenizer import load_tokenizer

Z_95 = 1.959963984540054


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, doi:10.2307/2276774): lower and upper end, in 0..1."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    share, z2 = successes / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What came of `n` problems of one depth in one mode. `unanswered` are extraction failures, not correct ones."""

    mode: str
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


def generate_answers(folder: Path, prompts: Sequence[str], *, device: str = "cpu", batch: int = 100) -> list[list[int]]:
    """Greedy continuations of prompts by the model in `folder`, in float32: token ids, the end token left out."""
    import torch
    from transformers import LlamaForCausalLM

    tokenizer = load_tokenizer(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    end = tokenizer.eos_token_id
    answers = []
    for first in range(0, len(prompts), batch):
        given = tokenizer(list(prompts[first : first + batch]), padding=True, return_tensors="pt").to(device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                do_sample=False,
                max_new_tokens=tasks.MAX_NEW_TOKENS,
            )
        for ids in output[:, given["input_ids"].shape[1] :].tolist():
            answers.append(ids[: ids.index(end)] if end in ids else ids)
    return answers


def evaluate(
    folder: Path,
    *,
    modes: Sequence[str] = tuple(language.MODES),
    depths: Sequence[int] = tasks.TASK_DEPTHS,
    count: int = tasks.TASK_COUNT,
    device: str = "cpu",
) -> list[Accuracy]:
    """Answer the first `count` test problems of every depth in every mode, and count."""
    tokenizer = load_tokenizer(folder)
    found = []
    for mode in modes:
        for depth in depths:
            problems = tasks.task_problems(depth, count=count)
            answers = generate_answers(folder, [language.prompt(p, mode) for p in problems], device=device)
            parsed = [language.parse_answer(tokenizer.decode(ids)) for ids in answers]
            found.append(
                Accuracy(
                    mode,
                    depth,
                    n=len(problems),
                    correct=sum(answer == problem.answer for answer, problem in zip(parsed, problems, strict=True)),
                    unanswered=parsed.count(None),
                    mean_new_tokens=sum(map(len, answers)) / len(answers),
                )
            )
    return found
