"""Names of models to what they are: a shipped pocket model, a shape, a hub id, a local folder.

`pocket-3m` ships with the kit. `shape:qwen2.5-0.5b` is a published architecture with random weights: it costs what the
real model costs in time, memory and energy, and says nothing about quality. `owner/name` is a hub id and is loaded from
the local hub cache, or downloaded where there is a network. A path is a model folder: one that starts with `/`, `./`, `../` or
`~`, or a relative one with a slash that is a folder there. Relative ones are taken from the kit's folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit import store, text_files
from edgekit.catalog import hub, weight_files
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import ModelError, packing_of
from edgekit.errors import unknown_name

_ABSENT: ContextVar[dict[str, ModelSpec | None] | None] = ContextVar("absent", default=None)  # see without_downloads
# What else of a folder decides what its texts are: tokens, and which of them begin and end a text (see prompting.py).
SETTINGS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
            "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model name means. `identity` is the content that an artifact made of it is addressed by; `format`: what its
    weights are stored as, plain (safetensors) or packed."""

    name: str
    kind: Literal["pocket", "shape", "hub", "folder"]
    architecture: Architecture
    folder: Path | None
    identity: str
    format: Literal["safetensors", "awq", "gptq"] = "safetensors"

    def require_weights(self, purpose: str) -> None:
        """Raise ModelError if this is a shape: its weights are random, so `purpose` would measure noise."""
        if self.kind == "shape":
            raise ModelError(f"{self.name} has random weights, so {purpose} cannot be measured on it; shapes serve speed, "
                             f"memory and energy only: name a pocket model ({', '.join(pocket_names())}), a hub id or a "
                             "folder")


def architectures() -> dict[str, Architecture]:
    """Published architectures by name, from data/published/architectures.yaml."""
    return {name: one.architecture for name, one in hub.published().items()}


def pocket_names() -> list[str]:
    """Shipped pocket models, smallest first."""
    files = (store.ROOT / "data/models").glob(f"pocket-*/{weight_files.SINGLE}")
    return [file.parent.name for file in sorted(files, key=lambda file: file.stat().st_size)]


def card(name: str) -> dict:
    """The model card of a shipped pocket model. Raises ModelError if there is none."""
    file = store.ROOT / "data/models" / name / "card.json"
    if not file.is_file():
        raise ModelError(f"{name} has no card.json in {file.parent}; shipped: {', '.join(pocket_names())}")
    return _read_json(file)


def is_hub_id(name: str) -> bool:
    """Whether `name` may need the network: it is then looked up when its turn comes, and not when the params are read."""
    return plain_name(name).count("/") == 1 and not is_folder(name)


def is_folder(name: str) -> bool:
    """Whether `name` is the path of a model folder. `models/mine` may be a hub id too: it is the folder where there is one."""
    path = plain_name(name)
    return path.startswith(("/", "./", "../", "~")) or ("/" in path and text_files.path_of(path).is_dir())


def plain_name(name: str) -> str:
    """A name without the quotes that it may need in a chain (see compress/variant.py)."""
    quoted = len(name) > 2 and name[0] in "\"'" and name[-1] == name[0]
    return name[1:-1] if quoted else name


def resolve(name: str) -> ModelSpec:
    """The model that `name` names. Raises ModelError: unknown (with the known ones), no weights, not to be had."""
    if ">" in name and plain_name(name) == name:
        raise ModelError(f"{name}: a name with > stands in quotes, as in a chain: '\"{name}\"'")
    if name.startswith("shape:"):
        known = architectures()
        shape = name.removeprefix("shape:")
        if shape not in known:
            raise ModelError(unknown_name("shape", name, (f"shape:{n}" for n in known)))
        return ModelSpec(name, "shape", known[shape], None, _identity_of_facts(known[shape]))
    if name.startswith("pocket-"):
        folder = store.ROOT / "data/models" / name
        if not folder.is_dir():
            raise ModelError(unknown_name("pocket model", name, pocket_names()))
        return _from_folder(name, "pocket", folder)
    if is_folder(name):
        return _from_folder(name, "folder", text_files.path_of(plain_name(name)))
    if is_hub_id(name):
        return _of_hub(name)
    raise ModelError(unknown_name("model", name, [*pocket_names(), *(f"shape:{shape}" for shape in architectures())],
                                  ", a hub id owner/name, or a folder (/…, ./…, ~…)"))


def _identity_of_facts(architecture: Architecture) -> str:
    """Hash of an architecture's facts, without those that are as in every model before they were told apart."""
    facts = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)
             if getattr(architecture, field.name) != field.default}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _from_folder(name: str, kind: str, folder: Path) -> ModelSpec:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name}: no config.json in {folder}; expected a model folder in Hugging Face format")
    try:
        weights = weight_files.files_of(folder)
    except ModelError as error:
        raise _named(error, name, kind) from error
    card = folder / "card.json"
    if kind == "pocket" and not card.is_file():
        raise ModelError(f"{name}: no card.json in {folder}; restore the folder, or retrain it: edgekit models train {name}")
    if card.is_file() and (found := damage(name, folder)):
        raise ModelError(found[0])
    config = folder / "config.json"
    told = _read_json(config)
    architecture, packing = Architecture.from_hf(told, source=str(config)), packing_of(told, source=str(config))
    try:
        weight_files.require_whole(folder, architecture, packing)
    except ModelError as error:
        raise _named(error, name, kind) from error
    # A shipped model is known whole by config and weights: its card holds the hash of every file, and another is refused.
    settings = [] if kind == "pocket" else [folder / file for file in SETTINGS if (folder / file).is_file()]
    return ModelSpec(name, kind, architecture, folder, _identity([config, *weights, *settings]),
                     "safetensors" if packing is None else packing.method)


def _named(error: ModelError, name: str, kind: str) -> ModelError:
    """The same with the model's name before the folder's, where that is another."""
    return error if kind == "folder" else ModelError(f"{name}: {error}")


def _read_json(path: Path) -> dict:
    return text_files.json_of(path, ModelError, "restore the folder")


def _identity(files: list[Path]) -> str:
    """Hash of names and contents. Weights of gigabytes are read once for each process, size and time of change."""
    return _hash_unchanged(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@functools.lru_cache(maxsize=64)
def _hash_unchanged(files: tuple[tuple[Path, int, int], ...]) -> str:
    return store.hash_files(file for file, _, _ in files)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash of a file's content, read once for each process, size and time of change: a plan names models hundreds of times."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(name: str, folder: Path) -> list[str]:
    """What is wrong with a model folder that has a card, one sentence a file; empty if all are the card's."""
    card = _read_json(folder / "card.json").get("sha256", {})
    found = [f"{name}: {file} is not one of its files, and would change its texts; restore {folder}, or give the folder "
             "another name without its card.json" for file in SETTINGS if file not in card and (folder / file).is_file()]
    for file, expected in card.items():
        path = folder / file
        came = _sha256(path, path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
        if came != expected:
            wrong = "is missing" if came is None else (f"has the wrong content (card says sha256 {expected[:12]}…, came "
                                                       f"{came[:12]}…)")
            found.append(f"{name}: {file} {wrong}; restore {folder}, or retrain it: edgekit models train {name}")
    return found


@contextlib.contextmanager
def without_downloads() -> Iterator[dict[str, ModelSpec | None]]:
    """Meanwhile nothing is fetched: for a hub id that is not here `resolve` gives what is published of its architecture, under
    an identity that no rows have, and raises ModelError where nothing is. Yields those that were asked for and are not here."""
    absent: dict[str, ModelSpec | None] = {}
    token = _ABSENT.set(absent)
    try:
        yield absent
    finally:
        _ABSENT.reset(token)


def _of_hub(name: str) -> ModelSpec:
    plain, absent = plain_name(name), _ABSENT.get()
    if absent is None:
        return _from_folder(name, "hub", hub.fetch(plain))
    if plain not in absent:
        if (folder := hub.here(plain)) is not None:
            return _from_folder(name, "hub", folder)
        known = hub.published_as(plain)
        absent[plain] = known and ModelSpec(name, "hub", known.architecture, None, f"not here: {plain}")
    if absent[plain] is None:
        raise ModelError(f"{name}: not in the local hub cache, and {hub.PUBLISHED} does not have its sizes; nothing can be "
                         f"said of it before it is here: run `hf download {plain}`")
    return absent[plain]
