"""Prompts by name: what models are given to go on from, where it is the going on that is measured.

Those of the pocket language have the names that rows know them by. The others are for models of real text: the plain-English
problems and the open requests of the kit, beginnings of the interpreter's documentation and of its library's functions,
published sets in the folder that EDGEKIT_DATA names, and a .jsonl file of one's own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import folder_data, library_code, real_texts, tasks
from edgekit.catalog.tasks import TaskError, require_count
from edgekit.errors import unknown_name

STORIES = "prose"
# name -> the task whose questions they are; stories begin with their first sentence
POCKET = {"chain think": "pocket_chain_think", "chain direct": "pocket_chain_direct", "prices": "pocket_prices",
          "tracking": "pocket_tracking", "letters": "pocket_letters", STORIES: None}
ENGLISH, CODE, CHAT, SPEC_BENCH = "english", "code", "chat", "spec-bench:"
FILES = {"mt-bench": "mt_bench/mt_bench_question.jsonl", "humaneval": "humaneval/HumanEval.jsonl.gz"}
SPEC_BENCH_FILE = "spec_bench/question.jsonl"
NAMES = (*POCKET, ENGLISH, real_texts.PYTHON_DOCS, CODE, CHAT, *FILES)
BEGINNING = 400  # characters of a text that are given


@dataclass(frozen=True, slots=True)
class Prompt:
    """`id`: which one of its set."""

    id: str
    text: str


def load(name: str, count: int) -> list[Prompt]:
    """The first `count` prompts of a set; of problems, depths or levels in turn.

    Raises TaskError for an unknown set (with the known ones), too few prompts or a damaged file; DataError for a published set
    that is not in the user's folder.
    """
    if name == STORIES:
        return [Prompt(one.id, one.prompt + one.text[:one.text.index(".") + 1]) for one in tasks.stories(count)]
    found = _all(name)
    require_count("prompts", count, len(found), name)
    return found[:count]


def content_hash(name: str) -> str:
    """Content address of a set. Raises as `load` does."""
    if name in POCKET:
        task = POCKET[name]
        return tasks.content_hash(task) if task else store.hash_files([tasks.prose_file()])
    if name == ENGLISH:
        return tasks.content_hash("english_think")
    if (file := _file(name)) is not None:
        return store.hash_files([file])
    made = [[one.id, one.text] for one in _all(name)]
    return hashlib.sha256(store.canonical(made).encode()).hexdigest()


def require_known(name: str) -> None:
    """Raise TaskError unless `name` is a set of prompts, or a file of them. One that is published is looked up later."""
    published = name in FILES or (name.startswith(SPEC_BENCH) and name != SPEC_BENCH)
    if name != STORIES and not published:
        _all(name)


def _all(name: str) -> list[Prompt]:
    """The prompts of a set that is not one of stories."""
    if name in POCKET or name == ENGLISH:
        return _questions(tasks.load("english_think" if name == ENGLISH else POCKET[name]))
    if name == real_texts.PYTHON_DOCS:
        return [Prompt(one.id, one.text[:BEGINNING].rpartition(" ")[0] if len(one.text) > BEGINNING else one.text)
                for one in real_texts.load(name, real_texts.EVALUATION)]
    if name == CODE:
        return [Prompt(one.id, one.text) for one in library_code.functions()]
    file = _file(name)
    if file is None:
        raise TaskError(unknown_name("prompts", name, [*NAMES, f"{SPEC_BENCH}CATEGORY"],
                                     ", or the path of a .jsonl file whose lines hold prompt"))
    return _of_file(name, file)


def _file(name: str) -> Path | None:
    """The file that a set is read from as it is; None for one that is made."""
    if name == CHAT:
        return store.ROOT / "data" / "prompts" / "chat.jsonl"
    if name in FILES:
        return folder_data.path(FILES[name])
    if name.startswith(SPEC_BENCH):
        return folder_data.path(SPEC_BENCH_FILE)
    return text_files.path_of(name) if name.endswith(".jsonl") else None


def _questions(task: tasks.Task) -> list[Prompt]:
    by_depth: dict[int, list[dict]] = {}
    for item in task.items():
        by_depth.setdefault(item["depth"], []).append(item)
    return [Prompt(item["id"], task.prompt(item)) for row in zip(*by_depth.values(), strict=True) for item in row]


def _of_file(name: str, file: Path) -> list[Prompt]:
    """The prompts of a file of JSON lines, each with `prompt`, or with `turns`, a talk of which the first is taken."""
    lines = text_files.json_lines(file, TaskError)
    if name.startswith(SPEC_BENCH):
        category = name.removeprefix(SPEC_BENCH)
        known = sorted({str(record.get("category")) for _, record in lines})
        if category not in known:
            raise TaskError(unknown_name("category of Spec-Bench", category, known))
        lines = [(number, record) for number, record in lines if record["category"] == category]
    found = []
    for number, record in lines:
        turns = record.get("turns")
        text = turns[0] if isinstance(turns, list) and turns else record.get("prompt")
        if not isinstance(text, str) or not text:
            raise TaskError(f"{file}, line {number}: expected a text as prompt (or turns, a list of texts), got {text!r}")
        named = next((record[key] for key in ("id", "question_id", "task_id") if key in record), f"line-{number}")
        found.append(Prompt(str(named), text))
    return found
