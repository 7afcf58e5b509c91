"""Asking an endpoint so that its answers are recorded."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval.api.model import LM
from lm_eval.models.utils import postprocess_generated_text

from edgekit import progress
from edgekit.catalog import chat_template
from edgekit.engines.base import EngineError
from edgekit.measure.asked import Written, answered
from edgekit.measure.engine_lm import generation_of
from edgekit.measure.recording import FILE, write
from edgekit.route.cloud import Cloud
from edgekit.route.endpoint import Endpoint, read_key

if TYPE_CHECKING:
    from edgekit.studies.routing.jobs_endpoint import Asked


def ask(asked: Asked, folder: Path) -> None:
    """Ask an endpoint a task and write its answers into `folder`."""
    with contextlib.closing(Cloud(Endpoint(**asked.endpoint), read_key(asked.key))) as cloud:
        found = list(answered(EndpointLM(cloud), asked.task, asked.items_per_depth))
    write(found, folder / FILE)


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
