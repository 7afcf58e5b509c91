"""Distillation: a smaller model learns from a teacher, or alone, and what comes out is a plain checkpoint of its own kind.

What is learnt at each step is a mixture of two losses, a token each:

- the cross-entropy of the training text, and
- the divergence of the student's softened distribution from the teacher's, T² KL(softmax(t/T) || softmax(s/T)) (Hinton et al.
  2015, arXiv:1503.02531; T² keeps the two gradients of one size whatever the temperature T).

`mix` is the share of the second. `data` says what comes from the teacher: its `logits` on given texts; the `text`, written by
itself (Kim & Rush 2016, arXiv:1606.07947; see written.py); `both`, its logits on its own text; or `none`: fine-tuning alone.
Equal steps and tokens are an equal budget; the teacher's own work is not counted in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgekit import store
from edgekit.building import BuildError, address
from edgekit.catalog import models
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.compress import training_texts
from edgekit.compress import written as teachers_texts
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.compress.student import Student, prompting_of
from edgekit.errors import unknown_name
from edgekit.training import loop as training

DATA = ("logits", "text", "both", "none")
FROM_LOGITS, FROM_TEXT = ("logits", "both"), ("text", "both")
INITS = ("source", "scratch")
NOBODY = "none"
RECORD = "distillation.json"
POINTS = 20  # of the loss curve


@dataclass(frozen=True, slots=True)
class Distillation:
    """Arguments of the step.

    data: what comes from the `teacher` (a model name), see above. steps: of the optimizer, each on `tokens` tokens in rows of
    `length`. temperature, mix: of the loss on logits. init: start from the `source`, or from fresh weights (`scratch`).
    texts: a set of training texts; prompts: how many of them the teacher continues, for data=text and both. seed: draws rows,
    the teacher's texts and fresh weights.
    """

    data: str
    steps: int
    teacher: str
    temperature: float
    mix: float
    learning_rate: float
    init: str
    tokens: int
    length: int
    texts: str
    prompts: int
    seed: int
    device: str

    def __post_init__(self) -> None:
        for name, known in (("data", DATA), ("init", INITS)):
            if getattr(self, name) not in known:
                raise BuildError("distilled: " + unknown_name(name, getattr(self, name), known))
        if self.steps < 1 or self.length < 2 or self.tokens < self.length or self.tokens % self.length or self.prompts < 1:
            raise BuildError("distilled: expected steps and prompts of at least 1, and tokens a multiple of length (at least "
                             f"2), got steps={self.steps}, tokens={self.tokens}, length={self.length}, prompts={self.prompts}")
        if not (self.temperature > 0 and self.learning_rate > 0 and 0 <= self.mix <= 1):
            raise BuildError("distilled: expected temperature and learning_rate above 0 and mix from 0 to 1, got "
                             f"temperature={self.temperature}, learning_rate={self.learning_rate}, mix={self.mix}")
        if (self.teacher == NOBODY) != (self.data == "none"):
            raise BuildError(f"distilled: data={self.data} with teacher={self.teacher}: name a teacher for "
                             f"{', '.join(DATA[:-1])}, and none for none")
        if self.data in FROM_LOGITS and self.mix == 0:
            raise BuildError(f"distilled: mix=0 takes nothing from the logits that data={self.data} asks for; use "
                             f"data={'text' if self.data == 'both' else 'none'}")


def distilled_bytes(source: Artifact, **arguments) -> int:
    """About what the artifact will take on disk at most. Raises BuildError for arguments that cannot be."""
    _require(source, Distillation(**DEFAULTS | arguments))
    return 2 * source.size_bytes() + (1 << 20)


def made_of(**arguments) -> dict:
    """What else decides the weights beside the step's arguments: the teacher's content, and that of the texts."""
    asked = Distillation(**DEFAULTS | arguments)
    more = {"texts": training_texts.content_hash(asked.texts)}
    return more if asked.teacher == NOBODY else more | {"teacher": _teacher(asked).identity[:16]}


def distil(source: Artifact, folder: Path, *, data: str, steps: int, teacher: str = NOBODY, temperature: float = 2.0,
           mix: float = 1.0, learning_rate: float = 1e-3, init: str = "source", tokens: int = 4096, length: int = 256,
           texts: str = "mixture", prompts: int = 2000, seed: int = 0, device: str = "cpu") -> None:
    """Train the student `source` and write it into `folder`, in its own dtype; the arguments are those of `Distillation`.

    A run that is stopped leaves a checkpoint under the output folder's `training/`, from which the next one goes on. Raises
    BuildError: what cannot be, a teacher with another tokenizer, or a loss that diverges; the last good weights are then kept
    as a model folder, which the message names.
    """
    import torch

    asked = Distillation(data, steps, teacher, temperature, mix, learning_rate, init, tokens, length, texts, prompts, seed,
                         device)
    _require(source, asked)
    recipe = dict(source=source.hash, asked=asdict(asked), content=made_of(**asdict(asked)))
    kept = store.OUTPUT / "training" / address(recipe)
    kept.mkdir(parents=True, exist_ok=True)
    student = _student(source, asked)
    every = max(1, steps // POINTS)

    def due(done: int) -> bool:
        return done % every == 0 or done == steps

    file = kept / "checkpoint.pt"
    try:
        curve = training.run(student, steps=steps, tokens_per_step=tokens, file=file, recipe=recipe, device=device,
                             title=f"{source.spec.name} learns", validate=dict, validate_at=due, checkpoint_at=due)
    except training.Diverged as error:
        raise BuildError(f"distilled: {error}; {_keep_last(error, file, recipe, student, source)}") from error
    student.write(folder, source)
    record = dict(recipe, curve=curve, trained=sum(p.numel() for p in student.model.parameters()), torch=torch.__version__,
                  products=str(training.products_dtype(device)).removeprefix("torch."))
    (folder / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    training.remove_checkpoints(file)
    kept.rmdir()


DEFAULTS = {name: value for name, value in (distil.__kwdefaults__ or {}).items()
            if name in {field.name for field in fields(Distillation)}}


def _student(source: Artifact, asked: Distillation) -> Student:
    if asked.data in FROM_TEXT:
        hashed = made_of(**asdict(asked))["texts"]
        read = teachers_texts.by_teacher(_teacher(asked), asked.texts, hashed, asked.prompts, asked.seed, asked.device)
    else:
        read = training_texts.load(asked.texts)
    return Student(source, asked, teacher=_teacher(asked).folder if asked.data in FROM_LOGITS else None, texts=read)


def _keep_last(error: training.Diverged, file: Path, recipe: dict, student: Student, source: Artifact) -> str:
    """Write the last good weights as a model folder beside the checkpoint, and say so."""
    state = training.last_good(file, recipe, student.asked.device, error)
    if state is None:
        training.remove_checkpoints(file)
        return "no trained weights were in order, so none were kept"
    student.model.load_state_dict(state["model"])
    student.write(file.parent, source)
    training.remove_checkpoints(file)
    return f"the last good weights, of step {state['step']}, are kept in {file.parent}"


def _teacher(asked: Distillation) -> ModelSpec:
    try:
        return models.resolve(asked.teacher)
    except ModelError as error:
        raise BuildError(f"distilled: teacher: {error}") from error


def _require(source: Artifact, asked: Distillation) -> None:
    require_plain("distilled", source)
    if asked.length > source.spec.architecture.context:
        raise BuildError(f"distilled: rows of {asked.length} tokens are longer than the context of {source.spec.name}, "
                         f"{source.spec.architecture.context}")
    training_texts.require_known(asked.texts)
    ours = prompting_of(source.path, source.spec.name)
    if asked.teacher == NOBODY:
        return
    teacher = _teacher(asked)
    if teacher.kind == "shape":
        raise BuildError(f"distilled: teacher {teacher.name} has random weights, from which nothing can be learnt; name a "
                         "model with trained ones")
    if teacher.format != "safetensors":
        raise BuildError(f"distilled: teacher {teacher.name} has {teacher.format} weights, and one that teaches has plain "
                         "ones; "
                         "name the model that they were packed from")
    theirs = prompting_of(teacher.folder, teacher.name)
    if differing := len(set(ours.tokenizer.get_vocab().items()) ^ set(theirs.tokenizer.get_vocab().items())):
        raise BuildError(f"distilled: the teacher {teacher.name} and the student {source.spec.name} have different tokenizers "
                         f"({differing} entries differ): the same ids must mean the same tokens; choose a teacher of the "
                         "student's family")
    if theirs.end != ours.end:
        raise BuildError(f"distilled: the teacher {teacher.name} ends a text with the id {theirs.end}, the student "
                         f"{source.spec.name} with {ours.end}: choose a teacher that ends texts alike")
