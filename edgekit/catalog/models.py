"""Names of models to what they are: a shipped pocket model, trained weights by name, a shape, a hub id, a local folder or file.

`pocket-3m` ships with the kit. `shape:qwen2.5-0.5b` is a published architecture with random weights: it costs what the
real model costs in time, memory and energy, and says nothing about quality. `owner/name` is a hub id and is loaded from
the local hub cache, or downloaded where there is a network. A path is a model folder: one that starts with `/`, `./`, `../` or
`~`, or a relative one with a slash that is a folder there. Relative ones are taken from the kit's folder.

`smollm2-135m-instruct` and the like are trained weights that data/published/weights.yaml lists, fetched where they are not
here. They are GGUF files, as are a path that ends in .gguf and `owner/name:FILE.gguf` of the hub: llama.cpp can run such a file
as it is, and as a model it is the folder that its weights make (see compress/unpack.py), whose weights were rounded before
they came here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit import building, store, text_files
from edgekit.catalog import chat_template, fetch, gguf_file, hub, weight_files, weights
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import ModelError, packing_of
from edgekit.errors import unknown_name

_ABSENT: ContextVar[dict[str, ModelSpec | None] | None] = ContextVar("absent", default=None)  # see without_downloads
# What else of a folder decides what its texts are: tokens, and which of them begin and end a text (see prompting.py).
SETTINGS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
            "chat_template.jinja")
HUB_FILE = re.compile(r"([^/:]+/[^/:]+):(.+\.gguf)")  # a file of a repository
UNPACKED_VERSION = 1  # a change of what compress/unpack.py writes must change where it stands


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model name means. `identity` is the content that an artifact made of it is addressed by; `format`: what its
    weights are stored as, plain (safetensors) or packed. file: the GGUF file that it is; `folder` is then where its weights
    stand once they are unpacked, None for a model that only llama.cpp can run (format gguf)."""

    name: str
    kind: Literal["pocket", "weights", "shape", "hub", "folder", "gguf"]
    architecture: Architecture
    folder: Path | None
    identity: str
    format: Literal["safetensors", "awq", "gptq", "gguf"] = "safetensors"
    file: Path | None = None

    def require_weights(self, purpose: str) -> None:
        """Raise ModelError if this is a shape: its weights are random, so `purpose` would measure noise."""
        if self.kind == "shape":
            raise ModelError(f"{self.name} has random weights, so {purpose} cannot be measured on it; shapes serve speed, "
                             f"memory and energy only: name a pocket model ({', '.join(pocket_names())}), trained "
                             f"weights ({', '.join(weights.listed())}), a hub id or a folder")

    def require_form(self, form: str) -> None:
        """Raise ModelError where this model cannot be asked in a prompt form; of a file that is not unpacked yet its own
        template counts."""
        if self.file is None or (self.folder is not None and self.folder.is_dir()):
            chat_template.require_form(form, self.folder, self.name)
        elif form == chat_template.CHAT and gguf_file.CHAT_TEMPLATE not in gguf_file.read(self.file).keys:
            raise ModelError(f"{self.name} has no chat template ({gguf_file.CHAT_TEMPLATE}), which prompt_form: chat needs; "
                             "ask it with prompt_form: plain, or name an instruct model")

    def unpacked_from(self) -> dict:
        """What the folder of a GGUF file's weights is made of (see building.py)."""
        return unpacked_from(self.identity)


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
    plain = plain_name(name)
    if plain in weights.listed():
        return not weights.named(plain).is_here()
    return bool(HUB_FILE.fullmatch(plain)) or (plain.count("/") == 1 and not is_folder(name) and not is_gguf(name))


def is_folder(name: str) -> bool:
    """Whether `name` is the path of a model folder. `models/mine` may be a hub id too: it is the folder where there is one."""
    path = plain_name(name)
    return not is_gguf(name) and (path.startswith(("/", "./", "../", "~"))
                                  or ("/" in path and text_files.path_of(path).is_dir()))


def is_gguf(name: str) -> bool:
    """Whether `name` is the path of a GGUF file."""
    path = plain_name(name)
    return path.endswith(".gguf") and not HUB_FILE.fullmatch(path)


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
    plain = plain_name(name)
    if plain in weights.listed():
        return _of_weights(name, weights.named(plain))
    if is_gguf(name):
        return _of_gguf(name, "gguf", text_files.path_of(plain))
    if is_folder(name):
        return _from_folder(name, "folder", text_files.path_of(plain))
    if is_hub_id(name):
        return _of_hub(name)
    raise ModelError(unknown_name("model", name, [*pocket_names(), *weights.listed(),
                                                  *(f"shape:{shape}" for shape in architectures())],
                                  ", a hub id owner/name, a folder (/…, ./…, ~…), or the path of a .gguf file"))


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


def unpacked_from(identity: str) -> dict:
    return dict(source=identity, step="unpacked", arguments={}, version=UNPACKED_VERSION)


def _of_weights(name: str, one: weights.Weights) -> ModelSpec:
    """Trained weights by name, fetched where they are not here."""
    if not one.is_here() and _ABSENT.get() is not None:
        return _absent(name, hub.published()[one.architecture])
    try:
        return _of_gguf(name, "weights", fetch.fetch(one), one.sha256)
    except fetch.FetchError as error:
        raise ModelError(str(error)) from error


def _of_gguf(name: str, kind: str, file: Path, sha256: str | None = None) -> ModelSpec:
    """The model that a GGUF file is. sha256: its hash, where it is known; else the file is read for it."""
    if not file.is_file():
        raise ModelError(f"{name}: there is no file {file}")
    identity = sha256 or _sha256(file, file.stat().st_size, file.stat().st_mtime_ns)
    folder = building.place(unpacked_from(identity))
    if building.is_whole(folder):  # its config.json is read in no time, a file's vocabulary takes a second
        config = folder / "config.json"
        return ModelSpec(name, kind, Architecture.from_hf(_read_json(config), str(config)), folder, identity, file=file)
    told = gguf_file.read(file)
    if told.is_known:
        return ModelSpec(name, kind, told.architecture(), folder, identity, file=file)
    return ModelSpec(name, kind, told.architecture(), None, identity, "gguf", file)


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
    return weights.sha256_of(path)


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
    plain = plain_name(name)
    if match := HUB_FILE.fullmatch(plain):
        if _ABSENT.get() is None or hub.file_here(*match.groups()) is not None:
            return _of_gguf(name, "hub", hub.fetch_file(*match.groups()))
        return _absent(name, None)
    if _ABSENT.get() is None:
        return _from_folder(name, "hub", hub.fetch(plain))
    if (folder := hub.here(plain)) is not None:
        return _from_folder(name, "hub", folder)
    return _absent(name, hub.published_as(plain))


def _absent(name: str, known: hub.Published | None) -> ModelSpec:
    """What can be said of a model that is not here and is not to be fetched now (see without_downloads)."""
    plain, absent = plain_name(name), _ABSENT.get()
    if plain not in absent:
        absent[plain] = known and ModelSpec(name, "hub", known.architecture, None, f"not here: {plain}")
    if absent[plain] is None:
        raise ModelError(f"{name}: not in the local hub cache, and {hub.PUBLISHED} does not have its sizes; nothing can be "
                         f"said of it before it is here: run `hf download {plain.replace(':', ' ')}`")
    return absent[plain]
