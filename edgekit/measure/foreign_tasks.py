"""Tasks of lm-eval that the kit does not ship, on any engine: one outcome an item, by the task's main metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lm_eval.api.task import ConfigurableTask, Task

from edgekit.catalog import folder_tasks, lm_eval_tasks
from edgekit.catalog.tasks import TaskError
from edgekit.engines.base import EngineError
from edgekit.measure.engine_lm import EngineLM, generation_of
from edgekit.measure.samples import samples_of

if TYPE_CHECKING:
    from datasets import DatasetDict

# Metrics that are 0 or 1 for an item, the most telling first.
MAIN = ("exact_match", "acc")
EXAMPLES = 1234  # lm-eval's own seed of the examples before a question; without one they are others in every run


def load(name: str) -> Task:
    """The task behind `lm-eval:NAME` or `lm-eval:FILE.yaml`, with its items.

    Items of a known data set come from the user's folder where it has them (see folder_tasks.py), those of any other registered
    task from the Hugging Face hub, the first time. Raises TaskError for an unknown task, for one whose items cannot be had, for
    one that is not judged item by item, and for one whose generation arguments are not carried.
    """
    from datasets.exceptions import DatasetsError
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    file = lm_eval_tasks.yaml_of(name)
    lm_eval_tasks.require_readable(name)
    items = folder_tasks.items(name)
    try:
        if not lm_eval_tasks.is_file(name) and not items:
            [task] = TaskManager(include_defaults=False).load([str(file)])["tasks"].values()
        else:
            config = {key: value for key, value in load_yaml(file).items() if key != "tag"}
            if items:
                config |= dict(custom_dataset=lambda **_: _as_datasets(items))
            where = config.get("dataset_kwargs") or {}
            if "data_files" in where:
                config["dataset_kwargs"] = where | {"data_files": lm_eval_tasks.resolved(where["data_files"], file.parent)}
            task = ConfigurableTask(config=config)
    except (OSError, ValueError, DatasetsError) as error:
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise TaskError(f"{name}: its items cannot be had ({words}); those of a registered task are fetched from the Hugging "
                        "Face hub once, so connect and run again") from error
    task.set_fewshot_seed(EXAMPLES)
    main_metric(name, task)
    if task.OUTPUT_TYPE == "generate_until":
        try:
            generation_of(task.config.generation_kwargs)
        except EngineError as error:
            raise TaskError(f"{name}: {error}") from error
    return task


def _as_datasets(items: dict[str, list[dict]]) -> DatasetDict:
    """Items by split, as lm-eval takes them."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({split: Dataset.from_list(lines) for split, lines in items.items()})


def main_metric(name: str, task: Task) -> str:
    """The metric that says whether an item's answer is right. Raises TaskError for a task without one."""
    has = list(task.aggregation())
    if not (found := [metric for metric in MAIN if metric in has]):
        raise TaskError(f"{name}: expected a task that is judged by {' or '.join(MAIN)}, this one has {', '.join(has)}")
    return found[0]


def answer(model: EngineLM, name: str, items: int) -> list[dict]:
    """`correct` (0 or 1) of each of the first `items` items, by the task's main metric and its first filter.

    Observations have task_name, domain (the task's own name), mode (how lm-eval asks: generate_until or multiple_choice) and
    item; there is no depth. Raises TaskError as `load` does, and where a task holds fewer items.
    """
    task = load(name)
    metric = main_metric(name, task)
    if (there := len(task.eval_docs)) < items:
        raise TaskError(f"{name}: {items} items asked, it has {there}")
    at = dict(metric="correct", task_name=name, domain=task.config.task, mode=task.OUTPUT_TYPE)
    outcomes: dict[int, dict] = {}
    for sample in samples_of(model, task, limit=items, prompt_form=model.prompt_form):
        outcomes.setdefault(sample["doc_id"], sample)
    return [at | dict(item=str(number), value=int(sample[metric])) for number, sample in outcomes.items()]
