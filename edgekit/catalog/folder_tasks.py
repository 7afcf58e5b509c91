"""Items of lm-eval's registered tasks from files that the user has (see folder_data.py), in place of the hub's data sets.

A data set is known by its name on the hub, which a task's YAML names; its files hold the fields that such tasks read.
"""

from __future__ import annotations

import ast
import csv
import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import store, text_files
from edgekit.catalog import folder_data, lm_eval_tasks
from edgekit.catalog.lm_eval_tasks import TaskError


def _problems(file: Path) -> list[dict[str, Any]]:
    """Lines with question and answer."""
    lines = text_files.json_lines(file, TaskError, ("question", "answer"))
    text_files.texts_in(lines, file, TaskError, ("question", "answer"))
    return [dict(question=line["question"], answer=line["answer"]) for _, line in lines]


def _sound_questions(file: Path) -> list[dict[str, Any]]:
    """Multiple-choice questions in which the annotators found no error: question, choices (a list of four), answer (0 to 3).

    The published files are cut by commas or by semicolons.
    """
    content, found = text_files.text_of(file, TaskError), []
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=";" if content.startswith("question;") else ",")
    for row in reader:
        try:
            question, choices, answer = row["question"], ast.literal_eval(row["choices"]), int(row["answer"])
            if not (isinstance(choices, list) and len(choices) == 4 and 0 <= answer < 4):
                raise ValueError
            sound = row["error_type"].strip().lower() == "ok"
        except (KeyError, TypeError, ValueError, SyntaxError, AttributeError) as error:
            raise TaskError(f"{file}, line {reader.line_num}: expected the columns question, choices (a list of four), answer "
                            "(0 to 3) and error_type") from error
        if sound:
            found.append(dict(question=question, choices=[str(choice) for choice in choices], answer=answer))
    if not found:
        raise TaskError(f"{file}: expected questions whose error_type is ok, got none")
    return found


@dataclass(frozen=True, slots=True)
class Files:
    """A data set in a folder: its file by split, in which {name} stands for the part of the set that a task names, and how one
    is read."""

    splits: dict[str, str]
    read: Callable[[Path], list[dict[str, Any]]]


# By name on the hub
KNOWN = {
    "openai/gsm8k": Files({"train": "gsm8k/train.jsonl", "test": "gsm8k/test.jsonl"}, _problems),
    "fxmarty/mmlu-redux-2.0-ok": Files({"test": "mmlu_redux/mmlu_{name}.csv"}, _sound_questions),
}


def files_of(name: str) -> dict[str, Path]:
    """The user's files of a task's data set by split; empty where they are not all there, or it is none of the known ones."""
    told = lm_eval_tasks.definition(name)
    known = KNOWN.get(told.get("dataset_path"))
    named = {} if known is None else {split: file.format(name=told.get("dataset_name")) for split, file in known.splits.items()}
    return {split: folder_data.path(file) for split, file in named.items()} if all(map(folder_data.has, named.values())) else {}


def items(name: str) -> dict[str, list[dict[str, Any]]]:
    """The items of lm-eval's task `name` by split, from the user's files; empty where those are not there. Raises TaskError for
    one that is not what it should be."""
    files = files_of(name)
    read = KNOWN[lm_eval_tasks.definition(name)["dataset_path"]].read if files else None
    return {split: read(file) for split, file in files.items()}


def content_hash(name: str) -> str:
    """Content address of a task of lm-eval: that of its definition, and of the user's files where its items come from there."""
    defined, files = lm_eval_tasks.content_hash(name), files_of(name).values()
    if not files:
        return defined
    return f"{defined} {_hash(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))}"


@functools.lru_cache(maxsize=64)
def _hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Read once for each process, size and time of change: a plan asks for it hundreds of times."""
    return store.hash_files(file for file, _, _ in files)
