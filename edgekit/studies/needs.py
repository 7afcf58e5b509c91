"""How much memory a unit needs, by arithmetic, and whether that fits: what does not is refused by name before it starts.

Counted are the weights of what its process holds at the same time, their keys and values, and what the engine's process takes
beside them (see Runtime.beside_bytes). What a library needs for a moment while it loads or packs is not, so a unit that
fits here may still be stopped by the limit of its process.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.catalog.engines import ENGINES
from edgekit.compress import foreseen, variant
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from edgekit.studies.runner import Unit


@dataclass(frozen=True, slots=True)
class Held:
    """A model in the memory of a unit's process: the chain, the engine and the float type (or GGUF type) that it is loaded in.

    tokens: of keys and values, of all texts together, no more than the model's context for each of `texts`. copies: of its
    weights, more than one where gradients and an optimizer are kept.
    """

    chain: str
    engine: str
    dtype: str
    tokens: int = 0
    texts: int = 1
    copies: float = 1


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that a unit needs at most, in bytes, and what of it are the weights, in words."""

    nbytes: float
    words: str


def size(nbytes: float) -> str:
    """Bytes in words, in GB or MB of powers of ten."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e8 else f"{nbytes / 1e6:.1f} MB"


def sizes(held: Held) -> tuple[float, float]:
    """Bytes of the weights in memory, plain ones in the float type that they are loaded in and others as they are stored; and
    at most so many bytes of keys and values: batches keep those too that a window has left behind. Raises as foreseen.links."""
    link = foreseen.whole(held.chain)
    a = link.spec.architecture
    weights = ELEMENT_BYTES[held.dtype] * a.parameters if link.format == "safetensors" else link.nbytes
    element = ENGINES[held.engine].kv_bytes or ELEMENT_BYTES[held.dtype]
    return held.copies * weights, element * min(held.tokens, held.texts * a.context) * a.kv_elements_per_token()


def need_of(unit: Unit, sizes: Callable[[Held], tuple[float, float]] = sizes) -> Need | None:
    """The most that a unit needs of all that it holds in turn; None where it does not say, or what it would
    hold cannot be: its job then tells why. `sizes`: the function above, or a memory of it."""
    try:
        return max((_need(together, sizes) for together in unit.holds), key=lambda need: need.nbytes, default=None)
    except EdgekitError:
        return None


def opened(unit: Unit) -> set[str]:
    """The chains that a unit opens: those that it names, and those that it holds, each in one way to write it where it can be
    read at all (its job then tells why not)."""
    return {_written(chain) for chain in (*unit.variants, *(held.chain for together in unit.holds for held in together))}


@functools.cache
def _written(chain: str) -> str:
    try:
        return str(variant.parse(chain))
    except EdgekitError:
        return chain


def copies(unit: Unit) -> set[str]:
    """The float copies of quantized weights that a unit opens: the bulk of what a study of quantization writes, and made again
    in seconds from what stays."""
    return {chain for chain in opened(unit) if chain.endswith(variant.DEQUANTIZED)}


def passing(unit: Unit, waiting: Iterable[Unit]) -> set[str]:
    """The copies that a unit opens and none of the units that wait does."""
    found = copies(unit)
    return found.difference(*map(opened, waiting)) if found else found


def _need(together: Iterable[Held], sizes: Callable[[Held], tuple[float, float]]) -> Need:
    found = {held: sizes(held) for held in together}
    beside = max((ENGINES[held.engine].runtime.beside_bytes for held in found), default=0.0)
    told = " and ".join(f"{held.dtype} weights of {held.chain}: {size(weights)}" for held, (weights, _) in found.items())
    return Need(sum(map(sum, found.values())) + beside, told)


def free_here(share: float, total_bytes: float) -> str:
    """The part of this device's memory that one process may take, in words that stay while what is free comes and goes."""
    return f"memory_share ({share:.0%}) of what is free of this device's {size(total_bytes)}"


def largest(units: Iterable[Unit]) -> Need | None:
    """The largest need of some units; None where none of them says."""
    known = functools.cache(sizes)
    return max(filter(None, (need_of(unit, known) for unit in units)), key=lambda need: need.nbytes, default=None)


def too_large(need: Need | None, limit_bytes: float, device: str) -> str | None:
    """Why a unit of this need is not to be started where one process may take `limit_bytes`; None where it fits. `device`: in
    words, with its memory and the share of it that counts."""
    if need is None or need.nbytes <= limit_bytes:
        return None
    return (f"needs about {size(need.nbytes)} ({need.words}): more than {device}; name a smaller model, or measure it "
            "on a device with more memory")


def fitting(units: Iterable[Unit], limit_bytes: float, device: str) -> list[Unit]:
    """The same units, those that would need more than `limit_bytes` refused, as planned; `device`: as too_large."""
    known = functools.cache(sizes)

    def refused(unit: Unit) -> Unit:
        why = None if unit.refusal else too_large(need_of(unit, known), limit_bytes, device)
        return dataclasses.replace(unit, refusal=why) if why else unit

    return list(map(refused, units))
