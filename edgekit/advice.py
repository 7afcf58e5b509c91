"""What follows from what the doctor found: the profile that fits, types to avoid, the largest model, what will be skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.catalog import platforms
from edgekit.catalog.engines import ENGINES
from edgekit.catalog.platforms import Device

SLOWER = 3.0  # times slower than the fastest type: to be avoided
BITS = (16, 8, 4)
GPU, ANY = "nvidia-gpu", "pocket"  # profiles for a machine without one of its own


@dataclass(frozen=True, slots=True)
class Avoid:
    """A float type that this machine multiplies `times` slower than `fastest`, the fastest one, on `device`."""

    dtype: str
    device: str
    times: float
    fastest: str


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest model whose weights fit at each number of bits, in billions of weights, and how that is computed."""

    billions: Mapping[int, float]
    formula: str


def profile_for(device: Device, gpu: bool) -> tuple[str, str]:
    """The profile that fits a machine, and why."""
    if device.published is not None:
        return platforms.get(device.published).profile, f"made for {platforms.get(device.published).name}"
    if gpu:
        return GPU, "for any NVIDIA GPU"
    return ANY, "for any machine, without a network; a board of the paper has a profile of its own"


def types_to_avoid(rates: Mapping[str, float], device: str) -> list[Avoid]:
    """The float types that are several times slower than the fastest one, by their rates of matrix multiplication in FLOP/s."""
    fastest = max(rates, key=rates.get)
    return [Avoid(dtype, device, rates[fastest] / rate, fastest) for dtype, rate in rates.items()
            if rates[fastest] >= SLOWER * rate]


def largest_model(available_bytes: float, share: float, engine: str) -> Largest:
    """The largest model for a process that may take `share` of the available memory and runs it in `engine`. Keys and values of
    long texts are not counted."""
    beside = ENGINES[engine].runtime.beside_bytes
    room = max(0.0, share * available_bytes - beside)
    return Largest({bits: room / (bits / 8) / 1e9 for bits in BITS},
                   f"({share:.0%} of {available_bytes / 1e9:.1f} GB available - {beside / 1e9:.2f} GB that a process of "
                   f"{engine} takes beside it) / (bits / 8); keys and values of long texts come on top")


def skipped(absent: Mapping[str, str], lacks: Mapping[str, Mapping[str, str]], energy: str | None) -> list[str]:
    """What studies leave out on a machine, a sentence each. absent: engine -> the command that installs it; lacks: engine ->
    format -> why; energy: why it cannot be measured, None where it can."""
    told = [f"all that runs in {engine}: it is not installed; install it: {install}" for engine, install in absent.items()]
    for formats in lacks.values():
        by_reason: dict[str, list[str]] = {}
        for format, why in formats.items():
            by_reason.setdefault(why, []).append(format)
        told += [f"{', '.join(names)} weights: {why}" for why, names in by_reason.items()]
    return told + [f"energy: {why}" for why in (energy,) if why is not None]
