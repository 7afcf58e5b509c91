"""Beginnings of functions, as prompts that code follows: signature and docstring, out of the interpreter's own library."""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

SEED = 5
LARGEST = 40_000  # bytes of a module that is read: parsing all of them takes seconds
MOST, LEAST = 1200, 120  # characters of a beginning
BODY = 3  # statements at least that stand behind it: there is something to write


@dataclass(frozen=True, slots=True)
class Beginning:
    """`id`: module and function, as `textwrap.wrap`. text: its first lines, docstring included."""

    id: str
    text: str


@functools.cache
def functions() -> tuple[Beginning, ...]:
    """Beginnings of public functions of the library's modules, in an order drawn by seed; another Python may have others."""
    folder = Path(sysconfig.get_path("stdlib"))
    found = [one for file in sorted(folder.glob("*.py")) if _is_read(file) for one in _beginnings(file)]
    return tuple(Random(f"code/{SEED}").sample(found, len(found)))


def _is_read(file: Path) -> bool:
    name = file.stem
    return name in sys.stdlib_module_names and not name.startswith("_") and file.stat().st_size <= LARGEST


def _beginnings(file: Path) -> Iterator[Beginning]:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or not ast.get_docstring(node):
            continue
        begin = "".join(lines[node.lineno - 1:node.body[0].end_lineno])
        if len(node.body) > BODY and LEAST <= len(begin) <= MOST:
            yield Beginning(f"{file.stem}.{node.name}", begin)
