"""What every study's Config is made of: parameters that say what they are and what they may be, and the checks of that.

A parameter's text stands here and in the Configs of the studies only: the comments of the notebooks' parameters cells, those of
the params files and docs/reference.md are made from it (see edgekit.report.parameters).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edgekit.catalog import chat_template, languages, models, tasks, texts
from edgekit.compress import variant as variants
from edgekit.errors import EdgekitError
from edgekit.measure import device as devices
from edgekit.params import ParamsError, require, require_known, require_profile_name
from edgekit.studies.cells import WEIGHTS, Cell

MEASURE = "measure"  # as `rows`: here and now
KEY = "edgekit"  # of a Parameter in the metadata of its field
# Texts of parameters that several Configs have
TASKS = "tasks that are asked: shipped ones, lm-eval:NAME, or humaneval, whose answers are run"
CALIBRATION_TEXTS = "calibration texts: mixture, prose (pocket), python-docs, wikitext2, random, or a .jsonl or .txt file"
PROMPT_FORM = "how they are asked: plain, as their text stands, or chat, in the model's own chat template"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter is (`text`, with its unit) and what its value, or each item of its list, may be.

    least, most: ends that it may reach; above, below: ends that it may not. known: the names that it may have. some_of: the
    parameters whose items it may have. needed: a list of at least so many. each: raises an EdgekitError for what it cannot be.
    """

    text: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    known: tuple[str, ...] | None = None
    some_of: tuple[str, ...] = ()
    needed: int = 0
    each: Callable[[Any], object] | None = None

    def range(self) -> str:
        """The ends in words; empty without any."""
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        ends = (("at least", self.least), ("more than", self.above), ("at most", self.most), ("less than", self.below))
        return " and ".join(f"{words} {end}" for words, end in ends if end is not None)

    def holds(self, value: float) -> bool:
        """Whether a number lies between the ends."""
        return ((self.least is None or value >= self.least) and (self.most is None or value <= self.most)
                and (self.above is None or value > self.above) and (self.below is None or value < self.below))


def parameter(text: str, *, known: Iterable[str] | None = None, some_of: str = "", **limits) -> Any:
    """A field of a Config; the arguments are those of Parameter, `some_of` with blanks between several names."""
    known = None if known is None else tuple(known)
    return field(metadata={KEY: Parameter(text, known=known, some_of=tuple(some_of.split()), **limits)})


def parameters(config_class: type) -> dict[str, Parameter]:
    """The parameters of a Config by name, in its order."""
    return {one.name: one.metadata[KEY] for one in dataclasses.fields(config_class)}


def known_model(name: str) -> None:
    """Raise ModelError for a model that is not there; one of the hub is looked up when its turn comes."""
    if not models.is_hub_id(name):
        models.resolve(name)


def trained_for(purpose: str) -> Callable[[str], None]:
    """The check that a model has trained weights, which `purpose` needs."""
    def check(name: str) -> None:
        if not models.is_hub_id(name):
            models.resolve(name).require_weights(purpose)
    return check


def require_form(form: str, names: Iterable[str]) -> None:
    """Raise ModelError for a model that cannot be asked in a prompt form; one of the hub is looked up when its turn comes."""
    for name in names:
        if form == chat_template.CHAT and not models.is_hub_id(name):
            models.resolve(name).require_form(form)


def require_language(chains: Iterable[str], names: Iterable[str]) -> None:
    """Raise LanguageError where a model, or the one that a chain begins with, is to be judged on texts, tasks or prompts
    that are in another language than its own."""
    for name in dict.fromkeys(variants.parse(chain).model for chain in chains):
        languages.require_speaks(name, *names)


def require_apart(names: Sequence[str], shapes: Sequence[str]) -> None:
    """Raise ParamsError unless there is a model at all, and shapes, which know nothing, stand under `shapes` alone."""
    require(bool(names or shapes), "models, shapes: expected at least one model")
    for name in (*names, *shapes):
        require(name.startswith("shape:") == (name in shapes),
                f"{name}: shapes belong under `shapes`, models with trained weights under `models`")


def asking(form: str) -> dict:
    """The prompt form where it is not the plain one, which keys of before do not have."""
    return {} if form == chat_template.PLAIN else dict(prompt_form=form)


def cell_with(weights: Iterable[str] = WEIGHTS) -> Callable[[str], Cell]:
    """The check that a text is `engine/weights` with one of these weights, which the engine loads."""
    return lambda text: Cell.parse(text, weights)


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """A study's parameters, checked when they are put together. Raises ParamsError, naming the parameter."""

    profile: str = parameter("names the folder under runs/ that rows and figures are kept in")

    def __post_init__(self):
        require_profile_name(self.profile)
        for name, one in parameters(type(self)).items():
            self._check(name, one)
        try:
            self.check()
        except ParamsError:
            raise
        except EdgekitError as error:
            raise ParamsError(str(error)) from error

    def check(self) -> None:
        """What must be so beside what each parameter says of itself. Raises EdgekitError."""

    def _check(self, name: str, one: Parameter) -> None:
        value = getattr(self, name)
        items = value if isinstance(value, tuple) else (value,)
        require(len(set(items)) == len(items), f"{name}: expected each item once, got {list(items)}")
        require(len(items) >= one.needed, f"{name}: expected a list of at least {one.needed}, got {list(items)}")
        if range := one.range():
            told, came = (f"{range} each", list(items)) if isinstance(value, tuple) else (range, value)
            require(all(one.holds(item) for item in items), f"{name}: expected {told}, got {came}")
        if one.known is not None:
            require_known(name, items, one.known)
        if one.some_of:
            require_known(name, items, dict.fromkeys(item for other in one.some_of for item in getattr(self, other)))
        if one.each is not None:
            for item in items:
                try:
                    one.each(item)
                except EdgekitError as error:
                    told = str(error)
                    raise ParamsError(told if told.startswith(f"{name}:") else f"{name}: {told}") from error


@dataclass(frozen=True, slots=True)
class MeasuringConfig(StudyConfig):
    """What every study that measures has."""

    rows: str = parameter("measure, or the folder or file with rows that were measured elsewhere")
    seed: int = parameter("draws what is random in a measurement, and the order of measurement")
    device: Literal["cpu", "cuda", "mps"] = parameter("cpu, cuda or mps")
    threads: int = parameter("threads per engine; 0: every core that this process may use", least=0)
    timeout_s: float = parameter("longest time of one unit, in seconds; past that it is skipped as slow", above=0)
    memory_share: float = parameter("share of the free memory that one process may use, above 0 to 1", above=0, most=1)

    @property
    def where(self) -> dict:
        """The coordinates of every unit: threads and device."""
        return dict(threads=self.threads, device=self.device)

    def with_threads(self, threads: int = 0):
        """The same with that number of threads; 0: its own, which is then every core where it is 0 too."""
        return dataclasses.replace(self, threads=threads or self.threads or devices.allowed_threads())


@dataclass(frozen=True, slots=True)
class LossConfig(MeasuringConfig):
    """What a study has that compares variants with the model that they come from, on texts and problems."""

    stream: str = parameter("evaluation texts: mixture (pocket), python-docs, wikitext2, or a .jsonl or .txt file")
    texts: int = parameter("evaluation texts, the first of the stream", least=1)
    blocks: int = parameter("of these texts, the samples of intervals over texts; at least 2")
    tasks: tuple[str, ...] = parameter(TASKS, each=tasks.require_known)
    prompt_form: Literal["plain", "chat"] = parameter(PROMPT_FORM)
    depths: tuple[int, ...] = parameter("steps of a word problem")
    items_per_depth: int = parameter("problems of each depth, the same for every variant", least=1)

    def check(self) -> None:
        require(2 <= self.blocks <= self.texts, f"blocks: expected 2 to texts ({self.texts}), got {self.blocks}")
        texts.require_known(self.stream, self.texts)

    def require_judged(self, models: Iterable[str], calibration: str) -> None:
        """Raise an EdgekitError for a model that cannot be asked in the prompt form, or does not speak the language of the
        study's texts, tasks and calibration texts."""
        require_form(self.prompt_form, models)
        require_language(models, (self.stream, *self.tasks, calibration))
