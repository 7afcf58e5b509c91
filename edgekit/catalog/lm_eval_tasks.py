"""Tasks that the kit does not ship: `lm-eval:NAME` from lm-eval's own registry, `lm-eval:FILE.yaml` a task file of one's own.

Looking a name up reads lm-eval's folder of task files and imports nothing of it: its own index takes 20 seconds to make.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from edgekit import store, text_files
from edgekit.errors import InvalidRequest

PREFIX = "lm-eval:"  # of tasks that the kit does not ship
# The line that names a task; a group has a list there.
_NAME = re.compile(r"""^["']?task["']?:[ \t]*["']?([^\s"'#\[]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)


class TaskError(InvalidRequest):
    """A task is unknown or its files are damaged; the message says what to do."""


def is_file(name: str) -> bool:
    """Whether a name of this kind is that of a task file."""
    return name.endswith((".yaml", ".yml"))


def yaml_of(name: str) -> Path:
    """The YAML file of a task. Raises TaskError for an unknown name (with the closest known ones) or a missing file."""
    wanted = name.removeprefix(PREFIX)
    if is_file(wanted):
        file = text_files.path_of(wanted).resolve()
        if not file.is_file():
            raise TaskError(f"{name}: there is no file {file}")
        return file
    known = registry()
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=5, cutoff=0.5)
        raise TaskError(f"unknown task {wanted!r} of lm-eval {metadata.version('lm_eval')}, which has {len(known):,}"
                        + (f"; the closest: {', '.join(close)}" if close else "") + "; a file of one's own ends in .yaml")
    return known[wanted]


@functools.cache
def registry() -> dict[str, Path]:
    """The single tasks of the installed lm-eval with their files. Raises TaskError where it is not installed."""
    found = importlib.util.find_spec("lm_eval")
    if found is None:
        raise TaskError("lm-eval is not installed; python3 edgekit/environment/install.py installs it")
    folder = Path(found.origin).parent / "tasks"
    named = ((_NAME.search(file.read_text(encoding="utf-8")), file) for file in sorted(folder.rglob("*.yaml")))
    return {match[1]: file for match, file in named if match}


def content_hash(name: str) -> str:
    """Content address: of a registered task its name and lm-eval's version, of a file what it and the files it names hold.

    Raises TaskError for an unknown task or a file that is named and missing.
    """
    file = yaml_of(name)
    if not is_file(name):
        return f"{name} lm_eval {metadata.version('lm_eval')}"
    named = list(dict.fromkeys(_named(file)))
    if missing := [path for path in named if not path.is_file()]:
        raise TaskError(f"{name}: it names {missing[0]}, which is not there")
    return store.hash_files(named)


def definition(name: str) -> dict:
    """What a task's file and those that it includes say, functions by their names. Raises TaskError for an unknown task or a
    file that cannot be read."""
    return _merged(yaml_of(name))


def require_readable(name: str) -> None:
    """Raise TaskError, naming file and line, where the items of a task file of one's own are JSON lines that cannot be read."""
    if is_file(name):
        for path in dict.fromkeys(_named(yaml_of(name))):
            if path.suffix == ".jsonl":
                text_files.json_lines(path, TaskError)


def resolved(data_files, folder: Path):
    """`data_files` of a task (a path, a list of them, or either by split) with paths taken from the task file's folder."""
    if isinstance(data_files, dict):
        return {split: resolved(paths, folder) for split, paths in data_files.items()}
    if isinstance(data_files, list):
        return [resolved(path, folder) for path in data_files]
    return str(folder / data_files)


def _content(file: Path) -> tuple[dict, list[str]]:
    """What a task file holds, and the names of its functions. Raises TaskError."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    functions: list[str] = []
    Loader.add_constructor("!function", lambda loader, node: functions.append(node.value) or node.value)
    try:
        content = yaml.load(text_files.text_of(file, TaskError), Loader=Loader)  # noqa: S506, a SafeLoader
    except yaml.YAMLError as error:
        raise TaskError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise TaskError(f"{file}: expected a task's names and values, got {type(content).__name__}")
    return content, functions


def _included(file: Path, content: dict) -> list[Path]:
    """The files that a task file includes."""
    included = content.get("include", [])
    return [(file.parent / other).resolve() for other in ([included] if isinstance(included, str) else included)]


def _merged(file: Path) -> dict:
    """A task file over those that it includes, as lm-eval reads them: what stands later or nearer wins."""
    content, _ = _content(file)
    merged = {}
    for other in _included(file, content):
        merged |= _merged(other)
    return merged | content


def _named(file: Path) -> Iterator[Path]:
    """A task file, the files that it includes, the modules of its functions and its items."""
    yield file
    content, functions = _content(file)
    for function in functions:
        module = file.parent / f"{function.rpartition('.')[0]}.py"
        yield module
        yield from sorted(path for path in module.parent.glob("*.py") if path != module)  # it may import them
    if isinstance(where := content.get("dataset_path"), str) and (Path(where).exists() or (file.parent / where).exists()):
        raise TaskError(f"{file}: dataset_path names {where}, something on this machine, of which nobody would see that it "
                        "changed; write dataset_path: json (csv, parquet, text) and its files under dataset_kwargs: data_files")
    for other in _included(file, content):
        yield from _named(other)
    yield from _paths(resolved((content.get("dataset_kwargs") or {}).get("data_files", []), file.parent))


def _paths(data_files) -> Iterator[Path]:
    if isinstance(data_files, str):
        yield Path(data_files)
    else:
        for inner in data_files.values() if isinstance(data_files, dict) else data_files:
            yield from _paths(inner)
