"""Params YAML to a frozen, typed Config. Unknown, missing, mistyped: one sentence that names file and key.

A profile changes values only, so each study has one dataclass and each profile one flat file
`params/<profile>/<notebook>.yaml`, usable as it is with `papermill -f`.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgekit import store, text_files
from edgekit.errors import InvalidRequest, unknown_name

FINITE = sys.float_info.max


class ParamsError(InvalidRequest):
    """A parameter is unknown, missing or mistyped; the message names where and what to write."""


def require(truth: bool, message: str) -> None:
    """Raise ParamsError(message) unless `truth`: for the checks of a Config's `__post_init__`."""
    if not truth:
        raise ParamsError(message)


def require_profile_name(profile: str) -> None:
    """Raise ParamsError unless `profile` can name a folder under runs/."""
    require(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", profile) is not None,
            f"profile: expected a plain folder name (a-z, 0-9, -), got {profile!r}")


def require_known(name: str, values: Iterable, known: Iterable) -> None:
    """Raise ParamsError if one of `values`, of the parameter `name`, is none of `known`."""
    known = list(known)
    if unknown := [value for value in values if value not in known]:
        raise ParamsError(f"{name}: " + unknown_name("", unknown[0], known))


def profiles() -> list[str]:
    return sorted(folder.name for folder in (store.ROOT / "params").iterdir() if folder.is_dir())


def require_profile(profile: str) -> None:
    """Raise ParamsError unless there is a folder of params with this name."""
    if profile not in profiles():
        raise ParamsError(unknown_name("profile", profile, profiles()))


def path_of(profile: str, notebook: str) -> Path:
    """The params file of a profile for a notebook. Raises ParamsError for an unknown profile or notebook."""
    require_profile(profile)
    path = store.ROOT / "params" / profile / f"{notebook}.yaml"
    if not path.exists():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ParamsError(f"profile {profile!r}: " + unknown_name("notebook", notebook, known))
    return path


def read_yaml(path: Path) -> dict:
    """The names and values of a params file. Raises ParamsError for a file that is absent, broken or not flat."""
    if not path.exists():
        raise ParamsError(f"no params file at {path}")
    values = text_files.yaml_of(path, ParamsError)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParamsError(f"{path}: expected flat `name: value` lines, got {type(values).__name__}")
    return values


def said_of(profile: str, notebook: str) -> str:
    """What the head of a params file says of the profile, after its name; "" where it says nothing. Raises as path_of."""
    first = path_of(profile, notebook).read_text(encoding="utf-8").partition("\n")[0]
    found = re.match(r"# Profile [^:]+: (.*?)(\. Meanings\b.*)?$", first)
    return found[1] if found else ""


def of_profile(config_class: type, profile: str, notebook: str):
    """The Config that a profile gives a notebook. Raises ParamsError, also when the file names another profile.

    Rows go to runs/<profile>/, so a copied file that still says the old name would write into the old one's rows.
    """
    path = path_of(profile, notebook)
    config = load(config_class, path)
    require(config.profile == profile,
            f"{path}: profile is {config.profile!r} in a file of {profile!r}; write profile: {profile}")
    return config


def load(config_class: type, path: Path):
    """Read and check a params file. Raises ParamsError."""
    return validate(config_class, read_yaml(path), where=str(path))


def validate(config_class: type, values: Mapping, where: str):
    """An instance of the frozen dataclass `config_class` from plain values. `where` is named in errors.

    Raises ParamsError for an unknown, missing or mistyped name, and for what the Config itself refuses.
    """
    hints = typing.get_type_hints(config_class)
    fields = {f.name: f for f in dataclasses.fields(config_class)}
    if unknown := sorted(set(values) - set(fields)):
        raise ParamsError(f"{where}: " + unknown_name("parameter", unknown[0], fields))
    missing = [name for name, f in fields.items()
               if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    if missing:
        raise ParamsError(f"{where}: missing parameter {missing[0]!r}; expected: {', '.join(fields)}")
    checked = {name: _typed(hints[name], value, f"{where}, {name}") for name, value in values.items()}
    try:
        return config_class(**checked)
    except ParamsError as error:
        raise ParamsError(f"{where}: {error}") from error


def _typed(hint, value, where: str):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ParamsError(f"{where}: expected a list, got {value!r} (write [{value}])")
        return tuple(_typed(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is typing.Literal:
        if value not in arguments:
            raise ParamsError(f"{where}: expected one of {', '.join(map(repr, arguments))}, got {value!r}{_trap(str, value)}")
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) > FINITE or value != value:
            raise ParamsError(f"{where}: expected a finite number, got {value!r}")
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ParamsError(f"{where}: expected {hint.__name__}, got {value!r}{_trap(hint, value)}")
    return value


def _trap(hint: type, value) -> str:
    """What to write instead, where the value is the right one in the wrong dress."""
    if hint in (int, float) and isinstance(value, str):
        try:
            return f" (write {float(value)!r}, without quotes)"
        except ValueError:
            return ""
    if hint is str and isinstance(value, bool):
        return f" (write '{str(value).lower()}', in quotes)"
    if hint is str and isinstance(value, (int, float)):
        return f" (YAML reads it as a number; write '{value}')"
    return ""
