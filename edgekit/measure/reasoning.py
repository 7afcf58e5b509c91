"""Questions that a model reasons about: asked and judged by lm-eval, while what is written between is the caller's.

A text is judged as often as it is cut or drawn anew, so asking and judging are apart here; elsewhere lm-eval does both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.models.utils import handle_stop_sequences

from edgekit.catalog import chat_template
from edgekit.catalog import tasks as catalog
from edgekit.decode import budgets
from edgekit.decode.budgets import Asked
from edgekit.engines.base import EngineError
from edgekit.measure import foreign_tasks
from edgekit.measure.engine_lm import EngineLM, generation_of
from edgekit.measure.quality import FirstOfEachDepth
from edgekit.schema import NO_ANSWER

INVALID = "[invalid]"  # what a filter of lm-eval writes where it found no answer, unless its task says otherwise


@dataclass(frozen=True)
class Question:
    """An item of a task: its coordinates, and the ids of its prompt."""

    at: dict
    prompt: list[int]


class Questions:
    """Items of a task in a model's prompt form, as `Asked` says: `items` of each depth (of `depths`) of a shipped task, or the
    first `items` of another.

    most: tokens that the task itself allows. Raises TaskError and EngineError, among others for a task that is answered by
    choosing, without a text.
    """

    def __init__(self, model: EngineLM, asked: Asked, items: int, depths: Sequence[int]):
        self.model, self.asked = model, asked
        self.task, self.metric, limit = _loaded(asked, items, depths)
        chat = model.prompt_form == chat_template.CHAT
        self.task.build_all_requests(limit=limit, rank=0, world_size=1, apply_chat_template=chat, fewshot_as_multiturn=chat,
                                     chat_template=model.apply_chat_template if chat else None)
        if limit is not None and len(self.task.instances) < limit:
            raise EngineError(f"{asked.task}: {limit} items asked, it has {len(self.task.instances)}")
        first = (self.task.config.filter_list or [{}])[0].get("filter", ())
        self.unread = {NO_ANSWER, *(str(step.get("fallback", INVALID)) for step in first)}
        generation = generation_of(self.task.instances[0].args[1])
        self.most = generation.most
        prompting = model.prompting
        until = handle_stop_sequences(list(generation.until), eos=prompting.decode([model.eot_token_id], special=True))
        ids = [prompting.encode(end, special=False) for end in until]
        self.stop = prompting.stop | {one[0] for one in ids if len(one) == 1 and one[0] in prompting.special}
        self.until = [end for end, one in zip(until, ids, strict=True) if not self.stop.issuperset(one)]
        self.questions = [Question(_at(one, asked.task), prompting.encode_prompt(one.args[0])) for one in self.task.instances]
        model.generated = True

    @property
    def prompts(self) -> list[list[int]]:
        """Ids of all prompts, in order."""
        return [one.prompt for one in self.questions]

    def ended(self) -> Callable[[Sequence[int]], bool] | None:
        """Whether a stop string stands in what was written; None where only tokens stop a text."""
        return self.model.ended(self.until)

    def text(self, tokens: Sequence[int]) -> str:
        """What was written, up to its first stop string."""
        text = self.model.prompting.decode(tokens)
        for end in self.until:
            text = text.partition(end)[0]
        return text

    def judged(self, texts: Sequence[str]) -> list[tuple[int, str]]:
        """(1 if right else 0, the answer that was read, normalised) of a text for each question, by the task's first filter."""
        for one, text in zip(self.task.instances, texts, strict=True):
            one.resps, one.filtered_resps = [budgets.answer_part(text)], {}
        self.task.apply_filters()
        found = []
        for one in self.task.instances:
            answer = next(iter(one.filtered_resps.values()))
            right = self.task.process_results(one.doc, [answer])[self.metric]
            found.append((int(right), normalised(str(answer), self.unread)))
        return found

    def require_room(self, most: int) -> None:
        """Raise EngineError where a prompt leaves no room for `most` tokens."""
        for one in self.questions:
            self.model.engine.require_room(one.prompt, most)


def normalised(answer: str, unread: Collection[str] = (NO_ANSWER, INVALID)) -> str:
    """An answer as it is counted: without blanks around it, capitals, thousands' commas, a point or zeros at its end.

    NO_ANSWER for an empty one, and for what stands where none was found (`unread`).
    """
    if answer in unread:
        return NO_ANSWER
    text = answer.strip().casefold()
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text).rstrip(".").lstrip("$")
    return re.sub(r"^(-?\d+)\.0+$", r"\1", plain) or NO_ANSWER


def _loaded(asked: Asked, items: int, depths: Sequence[int]) -> tuple[Task, str, int | None]:
    """(task, its main metric, how many items, None where the task itself is cut). Raises TaskError and EngineError."""
    if catalog.is_shipped(asked.task):
        os.environ["HF_DATASETS_OFFLINE"] = "1"  # items are local files; a mistyped path must not become a download
        shipped = catalog.load(asked.task)
        config = shipped.config | {"process_docs": FirstOfEachDepth(items, list(depths) if shipped.has_steps else None)}
        task, limit = ConfigurableTask(config=_with(config, asked.sentence)), None
    else:
        task, limit = foreign_tasks.load(asked.task), items
        if asked.sentence:
            task.config.doc_to_text = _with(dict(doc_to_text=task.config.doc_to_text), asked.sentence)["doc_to_text"]
    if task.OUTPUT_TYPE != "generate_until":
        raise EngineError(f"{asked.task}: it is answered by choosing ({task.OUTPUT_TYPE}), and reasoning is a text; name a "
                          "task that is generated")
    return task, foreign_tasks.main_metric(asked.task, task), limit


def _with(config: dict, sentence: str) -> dict:
    """A task's configuration with a sentence before each question. Raises EngineError where its text is made by a function."""
    if not sentence:
        return config
    if not isinstance(config["doc_to_text"], str):
        raise EngineError(f"{config.get('task', 'this task')}: its prompts are made by a function, so no sentence on budgets "
                          "can be put before them; name another task")
    return config | dict(doc_to_text=f"{sentence}\n{config['doc_to_text']}")


def _at(instance, task: str) -> dict:
    """The coordinates of an item: task_name, item, and depth where it has one."""
    doc = instance.doc
    if catalog.is_shipped(task):
        return dict(task_name=task, depth=doc["depth"], item=doc["id"])
    return dict(task_name=task, item=str(instance.doc_id))
