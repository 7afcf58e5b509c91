"""What a chain would make, by arithmetic and without building it: architecture, format and bytes of each of its links."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

from edgekit import store
from edgekit.building import is_whole
from edgekit.catalog import models, weight_files
from edgekit.catalog.models import ModelSpec
from edgekit.compress import gguf_quantize, packed, removal, shorten, variant
from edgekit.compress.prune import Pruning
from edgekit.compress.variant import Step

OUTER_BITS = gguf_quantize.TYPES["Q6_K"][1]  # llama.cpp keeps embeddings and output head in it where the type has fewer


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a chain, built or not: to the steps' size functions it is their source. nbytes: what its files take on disk,
    about; made: whether the kit builds it (a model's own folder is not its work)."""

    variant: str
    spec: ModelSpec
    format: str
    nbytes: int
    made: bool

    @property
    def path(self) -> Path | None:
        """The folder of the model that the chain begins with; None of a shape, or where it is not here."""
        folder = self.spec.folder
        return folder if folder is not None and folder.is_dir() else None

    def size_bytes(self) -> int:
        return self.nbytes

    def folder(self) -> Path:
        """Where it stands once it is built."""
        return store.OUTPUT / "artifacts" / variant.content_hash(self.variant)

    def is_built(self) -> bool:
        return self.made and is_whole(self.folder())


def _gguf_bytes(source: Link, type: str, **_) -> int:
    a, bits = source.spec.architecture, gguf_quantize.TYPES[type][1]
    outer = a.embeddings * (1 if a.tied else 2)
    return int((bits * (a.parameters - outer) + max(bits, OUTER_BITS) * outer) / 8)


# What a step leaves on disk, where STEPS makes room for more: for what is written in between, or for the worst case.
STAYS = {
    "awq": lambda source, bits=4, group=128, **_: packed.stored_bytes(source, bits, group),
    "gptq": lambda source, bits, group=128, **_: packed.stored_bytes(source, bits, group),
    "gguf_quantized": _gguf_bytes,
    "distilled": lambda source, **_: source.nbytes,
    "stored": lambda source: source.spec.file.stat().st_size if source.spec.file else source.nbytes,
}


@functools.lru_cache(maxsize=4096)
def _next(source: Link, step: Step) -> Link:
    arguments = dict(step.arguments)
    _, room, made_format = variant.STEPS[step.name]
    stays = STAYS.get(step.name, room)
    if source.path is not None:
        room(source, **arguments)  # raises for what cannot be; some look at the model's tokenizer
    architecture = _left(source.spec.architecture, step)
    nbytes = stays(source, **arguments)
    # pruning and shortening leave fewer weights, in the type that they had
    nbytes = nbytes * architecture.parameters // source.spec.architecture.parameters
    spec = dataclasses.replace(source.spec, architecture=architecture, file=None)
    return Link(f"{source.variant} > {step}", spec, made_format, nbytes, True)


def _left(a: models.Architecture, step: Step) -> models.Architecture:
    """The architecture after a step: pruning slices it, unless weights are only set to zero, and layers may go."""
    if step.name == "shortened":
        return shorten.left(a, dict(step.arguments)["layers"])
    if step.name != "pruned" or (asked := Pruning(**dict(step.arguments))).form == "masked":
        return a
    return removal.pruned_architecture(a, removal.kept(a, heads=asked.heads, mlp=asked.mlp, unit=asked.unit,
                                                       multiple=asked.multiple))


def links(text: str) -> list[Link]:
    """The links of a chain, the model first. Raises VariantError, ModelError, and BuildError for what a step refuses."""
    parsed = variant.parse(text)
    spec = models.resolve(parsed.model)
    found = [Link(parsed.model, spec, spec.format, _stored_bytes(spec), variant.is_made(parsed.model))]
    for step in parsed.steps:
        found.append(_next(found[-1], step))
    return found


def whole(text: str) -> Link:
    """The last link of a chain: what an engine would load. Raises as `links`."""
    return links(text)[-1]


def _stored_bytes(spec: ModelSpec) -> int:
    """Bytes of a model's files; of one without files, a shape, weights to unpack or what is not here, at 16 bits."""
    if spec.format == "gguf":
        return spec.file.stat().st_size
    if spec.folder is None or not spec.folder.is_dir():
        return 2 * spec.architecture.parameters
    return sum(file.stat().st_size for file in weight_files.files_of(spec.folder))
