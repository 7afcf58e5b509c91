"""Which language a model speaks, and in which one texts, tasks and prompts of a name are: what fits together.

A pocket model's tokenizer knows some 500 words of a generated language, of which a model of real text knows nothing:
a number from either on the other's texts would say nothing.
"""

from __future__ import annotations

from edgekit import store, text_files
from edgekit.catalog import models, prompts, real_texts, tasks, text_sets, texts
from edgekit.errors import InvalidRequest

POCKET, ENGLISH = "the pocket language", "English"
SHAPE = "shape:"


class LanguageError(InvalidRequest):
    """A model is to be judged in a language that it does not speak."""


def of_model(model: str) -> str | None:
    """The language of a model: POCKET of those that ship and of a folder with their tokenizer, ENGLISH of others; None of a
    shape, whose weights are random."""
    plain = models.plain_name(model)
    if plain.startswith(SHAPE):
        return None
    if plain.startswith("pocket-"):
        return POCKET
    if models.is_folder(model):
        own = text_files.path_of(plain) / "tokenizer.json"
        if own.is_file() and own.read_bytes() in [file.read_bytes() for file in _pocket_tokenizers()]:
            return POCKET
    return ENGLISH


def of(name: str) -> str | None:
    """The language of a stream, calibration set, shipped task or set of prompts; None where the name does not say: files of
    one's own, tasks of lm-eval, random tokens."""
    if name in prompts.POCKET or name in _shipped():
        return POCKET
    if name in tasks.names():
        return ENGLISH if tasks.load(name).domain == prompts.ENGLISH else POCKET
    if name in prompts.NAMES or name in real_texts.NAMES or name.startswith(prompts.SPEC_BENCH):
        return ENGLISH
    return None


def require_speaks(model: str, *names: str) -> None:
    """Raise LanguageError where a model is to be judged on texts, tasks or prompts in another language than its own."""
    speaks = of_model(model)
    for name in names if speaks else ():
        if (told := of(name)) not in (None, speaks):
            others = ", ".join(known(speaks))
            raise LanguageError(f"{model} speaks {speaks}, and {name} is in {told}, of which it knows nothing; for this model "
                                f"name some of {others}, lm-eval:NAME or a file of your own")


def known(language: str) -> list[str]:
    """The names in a language: streams, calibration sets, tasks, prompts."""
    named = [*texts.names(), *text_sets.shipped(text_sets.CALIBRATION), *tasks.names(), *prompts.NAMES]
    return [name for name in dict.fromkeys(named) if of(name) == language]


def _shipped() -> list[str]:
    """Sets of texts of the generated language, whatever they are for."""
    return [name for folder in (text_sets.EVALUATION, text_sets.CALIBRATION, text_sets.TRAINING)
            for name in text_sets.shipped(folder)]


def _pocket_tokenizers():
    return (store.ROOT / "data/models").glob("pocket-*/tokenizer.json")
