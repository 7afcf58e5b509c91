"""Evaluation tasks by name: the shipped ones, as lm-eval task files beside their items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit import store


class TaskError(ValueError):
    """A task is unknown or its files are damaged; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Task:
    """An lm-eval task. `config`: its YAML with data files resolved; `hash`: of the YAML and the items together."""

    name: str
    config: dict
    data: Path
    hash: str


def names() -> list[str]:
    """Shipped tasks."""
    return sorted(file.stem for file in (store.ROOT / "data/tasks").glob("*.yaml"))


def load(name: str) -> Task:
    """The task called `name`. Raises TaskError for an unknown one (with the known ones) or one without its items."""
    import yaml

    if name not in names():
        raise TaskError(f"unknown task {name!r}; known: {', '.join(names())}")
    file = store.ROOT / "data/tasks" / f"{name}.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    files = config["dataset_kwargs"]["data_files"]
    data = file.parent / files[config["test_split"]]
    if not data.is_file():
        raise TaskError(f"{name}: its items are missing ({data}); restore data/tasks")
    config["dataset_kwargs"] = {"data_files": {split: str(file.parent / path) for split, path in files.items()}}
    return Task(name, config, data, store.hash_files([file, data]))
