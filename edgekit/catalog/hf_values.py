"""Values of a `config.json`, each of the kind that it must be."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgekit.errors import InvalidRequest


class ModelError(InvalidRequest):
    """A model name is unknown, or what it names is unusable; the message says what to do."""


def required(config: Mapping, name: str, family: str, source: str) -> object:
    """A value that every config of `family` has. Raises ModelError where it is absent."""
    if name not in config:
        raise ModelError(f"{source}: expected {name}, which every {family} config has; the file is damaged")
    return config[name]


def count(config: Mapping, name: str, family: str, source: str) -> int:
    """A whole number of at least 1. Raises ModelError."""
    value = required(config, name, family, source)
    if type(value) is not int or value < 1:
        raise ModelError(f"{source}: expected {name} to be a whole number of at least 1, got {value!r}; the file is damaged")
    return value


def number(config: Mapping, name: str, family: str, source: str) -> float:
    """A finite number above 0. Raises ModelError."""
    value = required(config, name, family, source)
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ModelError(f"{source}: expected {name} to be a number above 0, got {value!r}; the file is damaged")
    return float(value)


def flag(config: Mapping, name: str, source: str, default: bool = False) -> bool:
    """True or false, `default` where it is absent; null is false. Raises ModelError."""
    value = config.get(name, default)
    if value is not None and not isinstance(value, bool):
        raise ModelError(f"{source}: expected {name} to be true or false, got {value!r}; the file is damaged")
    return bool(value)
