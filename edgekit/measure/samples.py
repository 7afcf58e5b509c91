"""lm-eval's samples of a task: each item with what was asked, what came, and how it was judged."""

from __future__ import annotations

from lm_eval.api.model import LM
from lm_eval.api.task import Task

from edgekit.catalog import chat_template


def run_task(model: LM, config: dict, *, limit: int | None, prompt_form: str = chat_template.PLAIN) -> list[dict]:
    """lm-eval's samples of one task, in item order: {doc, resps, filtered_resps, exact_match, …}."""
    from lm_eval.api.task import ConfigurableTask

    return samples_of(model, ConfigurableTask(config=config), limit=limit, prompt_form=prompt_form)


def samples_of(model: LM, task: Task, *, limit: int | None, prompt_form: str = chat_template.PLAIN) -> list[dict]:
    """lm-eval's samples of a task (of its first `limit` items), in item order; one an item and filter.

    In chat form examples are turns of the conversation, as lm-eval's command has them by default.
    """
    from lm_eval import evaluator

    name, chat = task.config.task, prompt_form == chat_template.CHAT
    results = evaluator.evaluate(lm=model, task_dict={name: task}, limit=limit, bootstrap_iters=0, log_samples=True,
                                 apply_chat_template=chat, fewshot_as_multiturn=chat)
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
