"""Devices: what is published of them, and which one this is.

`load()` gives the facts that makers and papers print. `current()` names the machine that we are on by a stable slug,
which is the folder of its rows: the id of a published platform where one matches, else made of what the machine says of
itself (`amd-epyc-zen4-2c`). No import of torch: a board names itself before anything heavy is installed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from edgekit import store, text_files
from edgekit.errors import InvalidRequest, unknown_name


class PlatformError(InvalidRequest):
    """A platform is unknown or its entry is wrong; the message names the known ones or the place."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Published facts of a device, in SI units; `source` maps the names of the facts to where they stand."""

    id: str
    name: str
    match: str
    profile: str
    compute_op_per_s: float
    compute_unit: str
    memory_bytes: float
    memory_bandwidth_byte_per_s: float
    power_w: float
    source: Mapping[str, str]

    def where(self, fact: str) -> str:
        """Where a fact stands ("memory bandwidth"); a key of `source` may name several. Raises PlatformError for an unknown."""
        for names, text in self.source.items():
            if fact in names.split(", "):
                return text
        raise PlatformError(f"{self.id}: no source for {fact!r}; known: {', '.join(self.source)}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine says of itself. Empty text and 0 where it says nothing."""

    board: str = ""  # device tree of a board, or nothing
    gpu: str = ""  # the first NVIDIA GPU
    brand: str = ""  # the CPU's marketing name
    vendor: str = ""
    family: int = 0
    model: int = 0
    cores: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """The machine that we are on. `published` is the id of its published facts, where there are any."""

    slug: str
    name: str
    published: str | None


# A virtual machine may hide the model in its name ("AMD EPYC"), never in its family and model numbers.
MICROARCHITECTURES = (
    ("AuthenticAMD", 23, range(0x30, 0xB0), "zen2"), ("AuthenticAMD", 23, range(0x00, 0x30), "zen"),
    ("AuthenticAMD", 25, range(0x10, 0x20), "zen4"), ("AuthenticAMD", 25, range(0x60, 0x80), "zen4"),
    ("AuthenticAMD", 25, range(0xA0, 0xB0), "zen4"), ("AuthenticAMD", 25, range(0x00, 0x60), "zen3"),
    ("AuthenticAMD", 26, range(0x00, 0x100), "zen5"),
    ("GenuineIntel", 6, (85,), "skylake"), ("GenuineIntel", 6, (106, 108), "icelake"),
    ("GenuineIntel", 6, (143,), "sapphire-rapids"), ("GenuineIntel", 6, (207,), "emerald-rapids"),
    ("GenuineIntel", 6, (173, 174), "granite-rapids"),
    ("0x41", 0, (0xD0B,), "cortex-a76"), ("0x41", 0, (0xD0C,), "neoverse-n1"), ("0x41", 0, (0xD40,), "neoverse-v1"),
    ("0x41", 0, (0xD49,), "neoverse-n2"), ("0x41", 0, (0xD4F,), "neoverse-v2"), ("0x41", 0, (0xD42,), "cortex-a78ae"),
)
NOISE = r"\((R|TM|C)\)|\b(CPU|Processor|Rev [\d.]+)\b|@ .*|\b\d+-Core\b|\bwith .*"


@cache
def load() -> dict[str, Platform]:
    """Published platforms by id. Raises PlatformError for an entry with missing or unknown facts."""
    path = store.ROOT / "data" / "published" / "platforms.yaml"
    names = {field.name for field in fields(Platform)} - {"id"}
    known = {}
    for key, entry in text_files.yaml_of(path, PlatformError).items():
        if set(entry) != names:
            wrong, right = (", ".join(sorted(facts)) for facts in (set(entry) ^ names, names))
            raise PlatformError(f"{path}, {key}: wrong or missing facts: {wrong}; an entry has {right}")
        known[key] = Platform(id=key, **entry)
    return known


def get(name: str) -> Platform:
    """Published facts of one platform. Raises PlatformError, listing the known ones."""
    if name not in load():
        raise PlatformError(unknown_name("platform", name, load()))
    return load()[name]


def slugify(text: str) -> str:
    """Lower case, digits and hyphens, without trade marks and words that every name has."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(NOISE, " ", text).lower()).strip("-")


def name_device(identity: Identity) -> Device:
    """Slug, name and published facts of a machine. A GPU names the machine before its CPU does, a board before both."""
    names = [name for name in (identity.board, identity.gpu, identity.brand) if name]
    for name in names:
        for known in load().values():
            if re.search(known.match, name):
                return Device(known.id, name, known.id)
    if identity.board or identity.gpu:
        return Device(slugify(names[0]), names[0], None)
    kind = next((name for vendor, family, models, name in MICROARCHITECTURES
                 if (vendor, family) == (identity.vendor, identity.family) and identity.model in models), "")
    name = identity.brand or kind or platform.machine()
    parts = [slugify(name)]
    if identity.brand and not re.search(r"\d", identity.brand):
        parts.append(kind or f"family-{identity.family}-model-{identity.model}")
    parts.append(f"{identity.cores}c")
    return Device("-".join(parts), name, None)


def identify(cpuinfo: str, *, board: str, gpu: str, cores: int) -> Identity:
    """Identity from the text of /proc/cpuinfo and what else is known. Arm gives implementer and part, no brand."""
    facts = dict(re.findall(r"^([^\t:\n]+?)\s*:[ \t]*(.*)$", cpuinfo.split("\n\n")[0], re.M))
    facts |= dict(re.findall(r"^(Hardware|Model)\s*:[ \t]*(.*)$", cpuinfo, re.M))
    brand = facts.get("model name") or facts.get("Hardware") or ""
    if "CPU part" in facts:
        return Identity(board, gpu, brand, facts["CPU implementer"], 0, int(facts["CPU part"], 16), cores)
    return Identity(board, gpu, brand, facts.get("vendor_id", ""), int(facts.get("cpu family", 0)),
                    int(facts.get("model", 0)), cores)


def gpu_name() -> str:
    """Name of the first NVIDIA GPU, or nothing."""
    if not shutil.which("nvidia-smi"):
        return ""
    query = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True,
                           timeout=20, check=False)
    return query.stdout.splitlines()[0].strip() if query.returncode == 0 and query.stdout.strip() else ""


@cache
def current() -> Device:
    """The machine that we are on."""
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    if platform.system() == "Darwin":
        brand = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=True)
        return name_device(Identity(brand=brand.stdout.strip(), cores=cores))
    cpuinfo = Path("/proc/cpuinfo")
    tree = Path("/proc/device-tree/model")
    return name_device(identify(cpuinfo.read_text() if cpuinfo.exists() else "", gpu=gpu_name(), cores=cores,
                                board=tree.read_text().rstrip("\0\n") if tree.exists() else ""))
