"""Asking a model so that its answers are recorded: through lm-eval or by running programs, as accuracy is measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit import engines
from edgekit.catalog import code_problems, prompting
from edgekit.catalog import tasks as catalog
from edgekit.compress import variant as variants
from edgekit.measure import code_tasks
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.quality import FirstOfEachDepth
from edgekit.measure.recording import FILE, Answer, Recording, write
from edgekit.measure.samples import run_task
from edgekit.measure.scoring import MOST_CONTEXT, log_softmax

WORST = 0.1  # share of the tokens that are the least likely ones
BLOCK = 64  # tokens of an answer that are scored in one pass: logits of a large vocabulary are large


def ask(recording: Recording, folder: Path) -> None:
    """Ask a model a task and write its answers into `folder`."""
    artifact = variants.build(recording.variant)
    artifact.spec.require_weights("accuracy")
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    with engines.open_engine(recording.engine, artifact, dtype=recording.dtype, threads=recording.threads,
                             device=recording.device, context=context) as opened:
        model = RecordingLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name), recording.prompt_form,
                            recording.confidence)
        found = list(answered(model, recording.task, recording.items_per_depth))
    write(found, folder / FILE)


def answered(model: RecordingLM, name: str, items: int) -> Iterable[Answer]:
    """The answers to a task of a model that keeps what it wrote by prompt (`written`)."""
    if catalog.is_code(name):
        return _programs(model, name, items)
    task = catalog.load(name)
    config = task.config | {"process_docs": FirstOfEachDepth(items)}
    choices = config["output_type"] == "multiple_choice"
    found = []
    for sample in run_task(model, config, limit=None, prompt_form=model.prompt_form):
        doc = sample["doc"]
        (prompt, *_), *_ = sample["arguments"]
        written = _chosen(model, sample, prompt) if choices else model.written[prompt]
        found.append(Answer(
            task.name, task.domain, task.mode, doc["id"], doc["depth"] if task.has_steps else None, task.prompt(doc), prompt,
            str(doc["choices"][written.choice]) if choices else sample["resps"][0][0], str(doc["answer"]),
            int(sample["acc" if choices else "exact_match"]), written.prompt_tokens, written.tokens, *written.sureness()))
    return found


def _programs(model: RecordingLM, name: str, items: int) -> Iterable[Answer]:
    problems = {one.task_id: one for one in code_problems.load()}
    for seen in code_tasks.answer(model, name, items):
        if seen["metric"] == "correct":
            problem = problems[seen["item"]]
            prompt = code_tasks.question(model, problem)
            written = model.written[prompt]
            yield Answer(name, seen["domain"], seen["mode"], seen["item"], None, problem.prompt, prompt, written.text,
                         problem.canonical_solution, seen["value"], written.prompt_tokens, written.tokens, *written.sureness())


@dataclass(frozen=True, slots=True)
class Written:
    """One answer: its text, tokens of prompt and answer, log-probabilities of the latter (None: not asked for), and of a task
    with choices which was taken."""

    prompt_tokens: int
    tokens: int
    log_p: np.ndarray | None
    text: str = ""
    choice: int = 0

    def sureness(self) -> tuple[float | None, float | None]:
        """(mean, mean of the least likely tenth) of the log-probabilities; (None, None) without any."""
        if self.log_p is None or not len(self.log_p):
            return None, None
        return sureness(self.log_p)


def sureness(log_p: Sequence[float]) -> tuple[float, float]:
    """Mean of log-probabilities (at least one), and the mean of their least tenth, rounded up to a token."""
    ordered = np.sort(np.asarray(log_p, dtype=float))
    return float(ordered.mean()), float(ordered[:math.ceil(WORST * len(ordered))].mean())


def _chosen(model: RecordingLM, sample: dict, prompt: str) -> Written:
    """The likeliest of a task's choices; its probability is that among them."""
    log_p = log_softmax(np.array([[one[0][0] for one in sample["resps"]]]))[0]
    best = int(log_p.argmax())
    (_, after, *_) = sample["arguments"][best]
    return Written(len(model.tok_encode(prompt)), len(model.tok_encode(after, add_special_tokens=False)),
                   log_p[[best]] if model.confidence else None, choice=best)


class RecordingLM(EngineLM):
    """An EngineLM that keeps by prompt what it wrote and, where `confidence` is asked for, how likely each token of it was."""

    def __init__(self, engine, prompting, prompt_form: str, confidence: bool):
        super().__init__(engine, prompting, prompt_form)
        self.confidence = confidence
        self.written: dict[str, Written] = {}

    def _wrote(self, text: str, prompt: Sequence[int], made: Sequence[int]) -> None:
        log_p = self._log_p(prompt, made) if self.confidence else None
        self.written[text] = Written(len(prompt), len(made), log_p, self.prompting.decode(made))

    def _log_p(self, prompt: Sequence[int], made: Sequence[int]) -> np.ndarray:
        """Log-probabilities of the tokens of an answer behind its prompt, in nats: (len(made),)."""
        session = self.engine.session()
        found: list[float] = []
        before = session.extend(prompt, last=1)
        for begin in range(0, len(made), BLOCK):
            block = list(made[begin:begin + BLOCK])
            found.append(float(log_softmax(before)[-1, block[0]]))
            logits = log_softmax(session.extend(block))
            found += [float(logits[i, token]) for i, token in enumerate(block[1:])]
            before = logits[-1:].copy()
        return np.array(found)
