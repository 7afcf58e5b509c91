"""Evaluation tasks by name: the shipped ones, as lm-eval task files beside their items, those of lm-eval (`lm-eval:…`), and
`humaneval`, whose answers are programs that are run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import code_problems, folder_data, folder_tasks, lm_eval_tasks
from edgekit.catalog.lm_eval_tasks import PREFIX, TaskError
from edgekit.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Task:
    """An lm-eval task. `config`: its YAML with data files resolved; `hash`: of the YAML and the items together."""

    name: str
    config: dict
    data: Path
    hash: str

    @property
    def domain(self) -> str:
        """What the items are about: `chain`, `prices`, ..."""
        return self.config["metadata"]["domain"]

    @property
    def mode(self) -> str:
        """How they are to be answered: `think`, `direct`, `budget-2`, ..."""
        return self.config["metadata"]["mode"]

    @property
    def has_steps(self) -> bool:
        """Whether the depth of an item is the number of its steps. Other tasks have levels there, which are asked all.

        The files of the pocket tasks do not say so: another line would be another hash, and rows that are there not theirs.
        """
        return self.config["metadata"].get("steps", self.domain == "chain")

    def items(self) -> list[dict]:
        """The items in file order: id, depth, question, answer."""
        return [item for _, item in text_files.json_lines(self.data, TaskError, ("id", "depth", "question", "answer"))]

    def prompt(self, item: dict) -> str:
        """What a model is given for an item."""
        return self.config["doc_to_text"].replace("{{question}}", item["question"])


@dataclass(frozen=True, slots=True)
class Story:
    """A test text of the grammar: `text`, with its end token, follows `prompt`; `log_p` is its true log-probability in nats."""

    id: str
    prompt: str
    text: str
    log_p: float


def names() -> list[str]:
    """Shipped tasks."""
    return sorted(file.stem for file in (store.ROOT / "data/tasks").glob("*.yaml"))


def load(name: str) -> Task:
    """The task called `name`. Raises TaskError for an unknown one (with the known ones) or one without its items."""
    if name not in names():
        known = [*names(), code_problems.HUMANEVAL]
        raise TaskError(unknown_name("task", name, known, f"; one of lm-eval is {PREFIX}NAME or {PREFIX}FILE.yaml"))
    file = store.ROOT / "data/tasks" / f"{name}.yaml"
    config = text_files.yaml_of(file, TaskError)
    try:
        named = dict(config["dataset_kwargs"]["data_files"])
        data = file.parent / named[config["test_split"]]
    except (KeyError, TypeError, ValueError) as error:
        raise TaskError(f"{file}: expected test_split, and under dataset_kwargs the data_files of each split; restore "
                        "data/tasks") from error
    if not data.is_file():
        raise TaskError(f"{name}: its items are missing ({data}); restore data/tasks")
    config["dataset_kwargs"] = {"data_files": {split: str(file.parent / path) for split, path in named.items()}}
    return Task(name, config, data, store.hash_files([file, data]))


def is_shipped(name: str) -> bool:
    """Whether a name is that of a shipped task, known or not, and none of the others."""
    return not name.startswith(PREFIX) and not is_code(name)


def is_code(name: str) -> bool:
    """Whether a name is that of a task whose answers are programs."""
    return name == code_problems.HUMANEVAL


def is_fetched(name: str) -> bool:
    """Whether the items of a task lie in a data set of the hub, and not in files that are here. Raises TaskError for an unknown
    task of lm-eval."""
    if is_code(name):
        return not folder_data.has(code_problems.FILE)
    return not is_shipped(name) and not lm_eval_tasks.is_file(name) and not folder_tasks.files_of(name)


def content_hash(name: str) -> str:
    """Content address of any task that can be asked. Raises TaskError for one that is not known."""
    if is_code(name):
        return code_problems.content_hash()
    return load(name).hash if is_shipped(name) else folder_tasks.content_hash(name)


def require_known(name: str) -> None:
    """Raise TaskError unless `name` is a task that can be asked: a shipped one, lm-eval:NAME or :FILE.yaml, or humaneval."""
    content_hash(name)
    if name.startswith(PREFIX) and lm_eval_tasks.definition(name).get("unsafe_code"):
        raise TaskError(f"{name} runs what a model writes with nothing around it; the kit runs programs in a sandbox of its "
                        f"own: ask {code_problems.HUMANEVAL}")


def require_recorded(name: str) -> None:
    """Raise TaskError unless `name` is a task whose answers can be recorded one by one: a shipped one, or humaneval."""
    require_known(name)
    if not is_shipped(name) and not is_code(name):
        raise TaskError(f"{name}: its answers are not recorded; expected one of {', '.join(names())} or "
                        f"{code_problems.HUMANEVAL}")


def stories(count: int) -> list[Story]:
    """The first `count` shipped stories. Raises TaskError where there are fewer, or no file of them."""
    return first_lines(prose_file(), count, Story, "stories")


def first_lines(file: Path, count: int, kind: type, what: str) -> list:
    """The first `count` lines of a JSON-lines file, each a `kind`. Raises TaskError where there are fewer, or one is none."""
    lines = text_files.json_lines(file, TaskError, [field.name for field in dataclasses.fields(kind)])
    require_count(what, count, len(lines), file.name)
    return text_files.as_records(lines[:count], file, TaskError, kind)


def require_count(what: str, count: int, there: int, where: str) -> None:
    """Raise TaskError unless `count` items can be taken of the `there` that `where` holds."""
    if not 1 <= count <= there:
        raise TaskError(f"{what}: expected 1 to {there} (what {where} holds), got {count}")


def prose_file() -> Path:
    """The file of the shipped stories. Raises TaskError if it is missing."""
    file = store.ROOT / "data/tasks/pocket_prose.jsonl"
    if not file.is_file():
        raise TaskError(f"the stories are missing ({file}); restore data/tasks")
    return file
