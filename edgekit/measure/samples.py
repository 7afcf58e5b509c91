"""lm-eval's samples of a task: each item with what was asked, what came, and how it was judged."""

from __future__ import annotations

from lm_eval.api.model import LM
from lm_eval.api.task import Task


def run_task(model: LM, config: dict, *, limit: int | None) -> list[dict]:
    """lm-eval's samples of one task, in item order: {doc, resps, filtered_resps, exact_match, …}."""
    from lm_eval.api.task import ConfigurableTask

    return samples_of(model, ConfigurableTask(config=config), limit=limit)


def samples_of(model: LM, task: Task, *, limit: int | None) -> list[dict]:
    """lm-eval's samples of a task (of its first `limit` items), in item order; one an item and filter."""
    from lm_eval import evaluator

    name = task.config.task
    results = evaluator.evaluate(lm=model, task_dict={name: task}, limit=limit, bootstrap_iters=0, log_samples=True)
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
