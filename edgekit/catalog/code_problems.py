"""Programming problems: what a model completes, and the test that tells whether it did.

`humaneval`: Chen et al. 2021, "Evaluating large language models trained on code" (arXiv:2107.03374); its 164 problems come from
the user's folder of data sets, else from the hub.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import folder_data
from edgekit.catalog.lm_eval_tasks import TaskError

HUMANEVAL = "humaneval"
FILE = "humaneval/HumanEval.jsonl.gz"
HUB, REVISION = "openai/openai_humaneval", "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"
PROTOCOL = 1  # how they are asked and judged (measure/code_tasks.py, measure/sandbox.py): a change makes another number


@dataclass(frozen=True, slots=True)
class Problem:
    """prompt: a function up to its body, with its docstring. entry_point: its name. canonical_solution: a right body. test: a
    program that defines check(candidate), which raises where the function is wrong."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def load() -> list[Problem]:
    """The problems of HumanEval in order. Raises TaskError: a file that holds something else, items that cannot be had."""
    if folder_data.has(FILE):
        return read(folder_data.path(FILE))
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        lines = load_dataset(HUB, revision=REVISION, split="test").to_list()
    except (OSError, ValueError, DatasetsError) as error:
        raise TaskError(f"{HUMANEVAL}: its items cannot be had ({type(error).__name__}: {' '.join(str(error).split())[:200]}); "
                        f"they are fetched from the Hugging Face hub once: connect and run again, or put {FILE} into a folder "
                        f"and set {folder_data.VARIABLE} to it") from error
    return [Problem(**line) for line in lines]


def read(file: Path) -> list[Problem]:
    """The problems of a JSON-lines file. Raises TaskError."""
    return text_files.as_records(text_files.json_lines(file, TaskError, Problem.__slots__), file, TaskError, Problem)


def content_hash() -> str:
    """Content address: of the file, or of the hub's data set, with the protocol and the language that runs the programs."""
    of = store.hash_files([folder_data.path(FILE)]) if folder_data.has(FILE) else f"{HUB} {REVISION}"
    return f"{of} protocol {PROTOCOL} python {sys.version_info.major}.{sys.version_info.minor}"
