"""Recorded answers of an endpoint: what 11_routing knows of a cloud that is not one of this machine's models."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lm_eval.api.model import LM
from lm_eval.models.utils import postprocess_generated_text

from edgekit import building, progress
from edgekit.catalog import chat_template
from edgekit.catalog import tasks as catalog
from edgekit.engines.base import EngineError
from edgekit.measure import answers
from edgekit.measure.answers import Answer, Written
from edgekit.measure.engine_lm import generation_of
from edgekit.route.cloud import Cloud
from edgekit.route.endpoint import Endpoint, read_key


@dataclass(frozen=True, slots=True)
class Asked:
    """An endpoint (`endpoint`: the fields of an Endpoint) and a task. key: the variable that holds its key."""

    endpoint: dict
    key: str
    task: str
    items_per_depth: int

    def made_of(self) -> dict:
        """What addresses the recorded file: where it was asked, and not how patiently. A model that changed behind its name is
        asked anew when the file is gone."""
        where = {name: self.endpoint[name] for name in ("url", "model", "form")}
        return dict(step="endpoint answers", version=answers.VERSION, **where, task=self.task, items=self.items_per_depth,
                    hash=catalog.content_hash(self.task))


def measure_endpoint_answers(**asked) -> dict:
    """A worker's job: an endpoint's recorded answers to a task (fields of Asked) as observations, by item: correct, and the
    tokens of prompt and answer as it counts them. Raises CloudError, CloudFailed, and EngineError for a task that is not
    answered in words or an endpoint that counts no tokens."""
    seen = []
    for one in recorded(Asked(**asked)):
        values = dict(correct=one.score, asked_tokens=one.prompt_tokens, answered_tokens=one.completion_tokens)
        seen += [dict(metric=name, value=value, **one.at) for name, value in values.items()]
    return dict(observations=seen)


def recorded(asked: Asked) -> list[Answer]:
    """The answers of an endpoint to all items of a task; asked, and paid for, where nobody has yet."""
    folder = building.build_once(asked.made_of(), f"{asked.endpoint['model']} at {asked.endpoint['url']}", 0,
                                 lambda folder: _ask(asked, folder))
    return answers.read(folder / answers.FILE)


def of_tasks(asked: dict, tasks: Iterable[str]) -> list[Answer]:
    """The answers of an endpoint (fields of Asked but the task) to several tasks."""
    return [one for task in tasks for one in recorded(Asked(task=task, **asked))]


def _ask(asked: Asked, folder: Path) -> None:
    with contextlib.closing(Cloud(Endpoint(**asked.endpoint), read_key(asked.key))) as cloud:
        found = list(answers.answered(EndpointLM(cloud), asked.task, asked.items_per_depth))
    (folder / answers.FILE).write_text("".join(json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in found),
                                       encoding="utf-8")


class EndpointLM(LM):
    """What asks tasks: each request goes to the cloud, with no device behind it. written: by prompt, what came."""

    def __init__(self, cloud: Cloud):
        super().__init__()
        self.cloud, self.prompt_form = cloud, cloud.endpoint.form
        self.written: dict[str, Written] = {}

    @property
    def tokenizer_name(self) -> str:
        return self.cloud.endpoint.model.replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The user's message itself: the endpoint has the template. Raises EngineError for more than one message."""
        if len(chat_history) != 1 or self.prompt_form != chat_template.CHAT:
            raise EngineError(f"an endpoint is asked one message of the user, got {len(chat_history)}; leave examples and "
                              "system messages out")
        return chat_history[0]["content"]

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        outputs = []
        for request in requests:
            text, asked = request.args[0], generation_of(request.args[1])
            came = self.cloud.answer(f"{request.task_name}/{request.doc['id']}", text, asked.most)
            if came.prompt_tokens is None or came.output_tokens is None:
                raise EngineError(f"the endpoint of {self.cloud.endpoint.model} does not say how many tokens it read and wrote "
                                  "(usage of a stream), which its cost is counted by; ask one that does")
            kept = postprocess_generated_text(came.text, list(asked.until), think_end_token=None)
            self.written[text] = Written(came.prompt_tokens, came.output_tokens, None, kept)
            outputs.append(kept)
            progress.step()
        return outputs

    def loglikelihood(self, requests, disable_tqdm: bool = False):
        raise EngineError("an endpoint gives texts and no log-likelihoods: name tasks that are answered in words")

    loglikelihood_rolling = loglikelihood
