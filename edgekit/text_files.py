"""Text files that people write, read in one way: UTF-8, with file and line in each sentence of what is wrong. One whose
name ends in .gz is unpacked first.

JSON lines end at a line feed and nowhere else: U+2028, U+2029 and U+0085 inside a string are text, where `str.splitlines` cuts.
A byte-order mark and blank lines are no content. A key that stands twice is refused, since readers differ in which one they
take. YAML is read as papermill reads it, and a plain text that YAML 1.1 takes for something else than it looks like (`010` is
8, `1:30` is 90, `no` is false) is refused: a file is never read otherwise by the one than by the other.

Each function takes the class of error that its caller raises, so that the sentence has the caller's kind.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import store
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    import yaml

MARKS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
PLAIN_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)?\.[0-9]*([eE][-+][0-9]+)?")
# What a reader of the line takes for a number or a day, and YAML 1.1 for text
LIKE_A_NUMBER = re.compile(r"[-+]?(0[xob][0-9a-fA-F]+|([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?)")
NOT_FINITE = re.compile(r"[-+]?\.?(inf|Inf|INF|infinity|Infinity|nan|NaN|NAN)")


def path_of(name: str) -> Path:
    """The file or folder that a parameter names: absolute, from `~`, or from the folder of the kit, wherever a command or a
    notebook was started (JupyterLab starts kernels in notebooks/)."""
    return store.ROOT / Path(name).expanduser()


def text_of(path: Path, kind: type[EdgekitError]) -> str:
    """What a text file holds, without a byte-order mark; a .gz file, unpacked. Raises `kind` for one that is not there, damaged
    or not in UTF-8."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except IsADirectoryError as error:
        raise kind(f"{path}: expected a file, got a folder") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise kind(f"{path}: expected a file packed by gzip, got a damaged one ({error})") from error
    except OSError as error:
        raise kind(f"cannot read {path}: {error.strerror}") from error
    for mark, name in MARKS:
        if content.startswith(mark):
            raise kind(f"{path} is in {name}: expected UTF-8; save it as that")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise kind(f"{path}, line {line}: expected UTF-8, got the byte 0x{content[error.start]:02x}; the file is in another "
                   "encoding (Latin-1, Windows-1252, …): save it as UTF-8") from error


def json_of(path: Path, kind: type[EdgekitError], hint: str = "") -> dict[str, Any]:
    """The object that a JSON file holds. Raises `kind`: not readable, no JSON, no object, a key twice. `hint`: what to do."""
    text = text_of(path, kind)
    more = f"; {hint}" if hint else ""
    if not text.strip():
        raise kind(f"{path} is empty: expected JSON{more}")
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise kind(f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}){more}") from error
    except ValueError as error:
        raise kind(f"{path}: {error}{more}") from error
    if not isinstance(found, dict):
        raise kind(f"{path}: expected a JSON object of names and values, got {_called(found)}{more}")
    return found


def json_lines(path: Path, kind: type[EdgekitError], wanted: Iterable[str] | None = None) -> list[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line of a JSON-lines file that is not blank.

    `wanted`: the keys of which each line has all. Raises `kind`, naming file and line: not readable, no JSON, no object, a key
    twice or missing, a number that is none (NaN, Infinity); and for a file without a line.
    """
    found = []
    wanted = None if wanted is None else list(wanted)
    for number, line in enumerate(text_of(path, kind).split("\n"), 1):
        line = line.strip(" \t\r")
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise kind(f"{where}, column {error.colno}: not JSON ({error.msg}), got {_short(line)}; one object a line is "
                       "expected") from error
        except ValueError as error:
            raise kind(f"{where}: {error}") from error
        if not isinstance(record, dict):
            raise kind(f"{where}: expected a JSON object, got {_called(record)}: {_short(line)}")
        if missing := [key for key in wanted or () if key not in record]:
            raise kind(f"{where}: expected {', '.join(wanted)}, {missing[0]} is missing in {_short(line)}")
        found.append((number, record))
    if not found:
        raise kind(f"{path} is empty: expected a JSON object a line")
    return found


def as_records(lines: list[tuple[int, dict[str, Any]]], path: Path, kind: type[EdgekitError], of: type) -> list:
    """Lines of `json_lines` as instances of the dataclass `of`, whose fields they have. Raises `kind` for a key that is none of
    its fields, and for a field of text that holds none."""
    fields = {field.name: field.type for field in dataclasses.fields(of)}
    texts_in(lines, path, kind, [name for name, hint in fields.items() if hint == "str"])
    for number, record in lines:
        if unknown := [name for name in record if name not in fields]:
            raise kind(f"{path}, line {number}: unknown key {unknown[0]!r}; expected {', '.join(fields)}")
    return [of(**record) for _, record in lines]


def texts_in(records: list[tuple[int, dict[str, Any]]], path: Path, kind: type[EdgekitError], keys: Iterable[str]) -> None:
    """Raise `kind` unless the values of these keys are texts in every line."""
    for number, record in records:
        for key in keys:
            if not isinstance(record[key], str):
                raise kind(f"{path}, line {number}: expected a text as {key}, got {_called(record[key])}")


def yaml_of(path: Path, kind: type[EdgekitError]) -> Any:
    """What a YAML file holds. Raises `kind`, naming file and line: not readable, no YAML, a key twice, or a plain text that
    YAML reads otherwise than it looks."""
    return yaml_from(text_of(path, kind), path, kind)


def yaml_from(text: str, path: Path, kind: type[EdgekitError]) -> Any:
    """The same for a text that was read from `path`."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # the same reading, ten times as fast
    try:
        node = loader.get_single_node()
        _check(node, str(path), kind)
        return None if node is None else loader.construct_document(node)
    except kind:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise kind(f"{path}{where}: not YAML ({error.problem or error.context})") from error
    except (yaml.YAMLError, ValueError) as error:
        raise kind(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    finally:
        loader.dispose()


def _check(node: yaml.Node | None, path: str, kind: type[EdgekitError], name: str = "") -> None:
    """`name`: the key of the value that `node` is, or is part of."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise kind(f"{path}, line {key.start_mark.line + 1}: {key.value!r} is set twice")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
            _check(key, path, kind)
            _check(value, path, kind, f", {key.value}" if isinstance(key, yaml.ScalarNode) else name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, path, kind, name)
    elif node is not None and not node.style and (said := _surprise(node.tag.rpartition(":")[2], node.value)):
        raise kind(f"{path}, line {node.start_mark.line + 1}{name}: {said}")


def _surprise(tag: str, text: str) -> str:
    """What is wrong with a plain scalar that YAML 1.1 resolves to `tag` ("int", "str", …); "" if it is what it looks like."""
    import yaml

    if tag in ("int", "float") and not (PLAIN_INT.fullmatch(text) or (
            tag == "float" and PLAIN_FLOAT.fullmatch(text) and math.isfinite(float(text)))):
        value = yaml.safe_load(f"!!{tag} {text}")
        if not math.isfinite(value):
            return f"expected a finite number, got {text}"
        base = " (base 60)" if tag == "int" and ":" in text else ""
        return f"YAML reads {text} as {value}{base}; write the number itself in digits, or '{text}' in quotes for a text"
    if tag == "bool" and text.lower() not in ("true", "false"):
        read = str(yaml.safe_load(text)).lower()
        return f"YAML reads {text} as {read} (yes, no, on and off too); write that, or '{text}' in quotes"
    if tag == "timestamp":
        return f"YAML reads {text} as a date; write '{text}' in quotes"
    if tag == "str" and NOT_FINITE.fullmatch(text):
        return f"expected a finite number, got {text}; put it in quotes if a text is meant"
    if tag == "str" and LIKE_A_NUMBER.fullmatch(text):
        return f"YAML reads {text} as a text; write {_number(text)}, or '{text}' in quotes if a text is meant"
    return ""


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return "the number in digits, with a point and a sign in an exponent (1.0e-3)"
    told = repr(value)
    mantissa, e, exponent = told.partition("e")
    return told if not e or "." in mantissa else f"{mantissa}.0e{exponent}"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is set twice")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"expected finite numbers, got {text}")


def _called(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:60]}…")
