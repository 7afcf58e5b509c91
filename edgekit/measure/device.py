"""The device under test: what it is, and how fast its memory and its multipliers are.

`describe()` is what a manifest says of the machine. The two roofs, read bandwidth and matrix multiplication, are
measured because a data sheet's figure is not what a program can reach; every speed is shown beside them.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgekit.catalog import platforms
from edgekit.errors import InvalidRequest, unknown_name
from edgekit.measure.sensors import (
    ROOT,
    energy_sensors,
    governor,
    gpu,
    power_mode,
    power_supply,
    read_clocks,
    read_temperature,
    read_text,
    unavailable,
)

MIB = 1 << 20
# Instruction sets that decide which kernels a runtime picks.
FLAGS = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
         "amx_bf16", "amx_int8", "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")


def _cgroup(root: Path, v2: str, controller: str, *v1: str) -> list[str]:
    """A control group setting of this process's group and of all above it: a limit anywhere on the way holds.

    `v2` is the file's name in the unified hierarchy, `v1` the names that say the same in a controller's own.
    """
    found = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if controllers else "")
        names = v1 if controllers else (v2,)
        folder = base / group.lstrip("/")
        for place in (folder, *(parent for parent in folder.parents if parent.is_relative_to(base))):
            values = [read_text(place / name) for name in names]
            if all(values):
                found.append(" ".join(values))
    return found


def allowed_threads(root: Path = ROOT) -> int:
    """Threads that may run at once: CPU affinity, cut by a control group's quota."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for quota, period in map(str.split, _cgroup(root, "cpu.max", "cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us")):
        if quota not in ("max", "-1"):
            threads = max(1, min(threads, math.ceil(int(quota) / int(period))))
    return threads


def memory(root: Path = ROOT) -> dict:
    """Total and available bytes, and a control group's limit where it is lower."""
    import psutil

    seen = psutil.virtual_memory()
    facts = {"total_bytes": seen.total, "available_bytes": seen.available}
    limits = [int(limit) for limit in _cgroup(root, "memory.max", "memory", "memory.limit_in_bytes") if limit != "max"]
    if limits and min(limits) < seen.total:
        facts["limit_bytes"] = min(limits)
    return facts


def free_memory_bytes(on: str = "cpu") -> int:
    """Memory that a process may still take: the host's, a control group's if lower, and for cuda the board's if lower.

    A Jetson's GPU has no memory of its own and NVML no number for it: the host's holds.
    """
    facts = memory()
    free = min(facts["available_bytes"], facts.get("limit_bytes", facts["available_bytes"]))
    board = gpu().get("memory_bytes") if on == "cuda" else None
    return min(free, board) if isinstance(board, int) else free


def total_memory_bytes(on: str = "cpu") -> int:
    """Memory of the device, in use or not: as free_memory_bytes counts what is free."""
    facts = memory()
    total = facts.get("limit_bytes", facts["total_bytes"])
    board = gpu().get("memory_bytes") if on == "cuda" else None
    return min(total, board) if isinstance(board, int) else total


def last_level_cache_bytes(root: Path = ROOT) -> int | dict[str, str]:
    """Bytes of the outermost cache, all its instances together."""
    caches = {}
    for index in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index*"):
        level, size, shared = (read_text(index / name) for name in ("level", "size", "shared_cpu_list"))
        if level and size and size.endswith("K"):
            caches.setdefault(int(level), {})[shared] = int(size[:-1]) * 1024
    if caches:
        return sum(caches[max(caches)].values())
    if platform.system() == "Darwin":
        asked = ["sysctl", "-n", "hw.perflevel0.l2cachesize"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if said.isdigit():
            return int(said)
    return unavailable("no cache sizes in /sys/devices/system/cpu")


def cpu(root: Path = ROOT) -> dict:
    """Name, instruction sets, cores and threads."""
    import psutil

    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    line = next((line for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))), ":")
    have = set(line.split(":", 1)[1].split())
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        have = {"neon"}
    return {"name": platforms.current().name, "architecture": platform.machine(),
            "flags": [flag for flag in FLAGS if flag in have], "physical_cores": psutil.cpu_count(logical=False),
            "logical_cores": os.cpu_count(), "allowed_threads": allowed_threads(root),
            "last_level_cache_bytes": last_level_cache_bytes(root)}


def describe(root: Path = ROOT) -> dict:
    """Everything that a manifest says of the machine. Takes milliseconds; measures nothing."""
    device = platforms.current()
    return {"slug": device.slug, "name": device.name, "os": platform.platform(), "cpu": cpu(root),
            "memory": memory(root), "gpu": gpu(), "governor": governor(root), "power_mode": power_mode(root),
            "power_supply": power_supply(root), "clocks_hz": read_clocks(root), "temperature_c": read_temperature(root),
            "energy_sensors": energy_sensors(root), "load_average": list(os.getloadavg())}


class DeviceError(InvalidRequest):
    """A device that was asked for is not there; the message names those that are."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Read bandwidth: one sample a pass over the buffer, in bytes/s."""

    byte_per_s: list[float]
    method: str
    threads: int
    buffer_bytes: int


def memory_bandwidth(threads: int | None = None, seconds: float = 1.0, *, on: str = "cpu") -> Bandwidth:
    """Measure read bandwidth for about `seconds` (at least three passes). `on` is "cpu", "cuda" or "mps".

    CPU: each thread sums its share of a buffer of integers, four times the last-level cache and at least 256 MiB. The
    sum is checked, so every byte was read. An integer sum is the fastest reader tried: numpy adds 64-bit integers from
    cache at twice the rate of memory and maps the buffer in large pages; dot products (BLAS, torch) reach less.
    GPU: a copy of 1 GiB, which reads and writes each byte. Raises DeviceError where the device is not there.
    """
    if on != "cpu":
        require_device(on)
        return _gpu_bandwidth(on, seconds)
    import numpy as np

    threads = threads or allowed_threads()
    cache_bytes = last_level_cache_bytes()
    wanted = max(256 * MIB, 4 * cache_bytes if isinstance(cache_bytes, int) else 0)
    available = memory()
    room = min(available["available_bytes"], available.get("limit_bytes", available["available_bytes"])) // 4
    count = min(wanted, room) // 8
    buffer = np.ones(count, np.int64)
    shares = np.array_split(buffer, threads)
    samples = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(np.add.reduce, shares))
        start = time.perf_counter()
        while len(samples) < 3 or time.perf_counter() - start < seconds:
            before = time.perf_counter()
            total = sum(pool.map(np.add.reduce, shares))
            samples.append(buffer.nbytes / (time.perf_counter() - before))
            if total != count:
                raise RuntimeError(f"the sum of {count} ones came out as {total}: faulty memory or a broken numpy")
    return Bandwidth(samples, "integer sum, numpy, one share a thread", threads, buffer.nbytes)


def _gpu_bandwidth(on: str, seconds: float) -> Bandwidth:
    import torch

    source = torch.ones(256 * MIB, dtype=torch.float32, device=on)
    target = torch.empty_like(source)
    samples = _time_gpu(lambda: target.copy_(source), on, seconds)
    moved = 2 * source.numel() * source.element_size()
    return Bandwidth([moved / second for second in samples], "copy, torch, bytes read and written", 0, moved // 2)


def _time_gpu(work, on: str, seconds: float) -> list[float]:
    """Seconds of each of several runs of `work` on the GPU, after one to warm up."""
    import torch

    synchronize = torch.cuda.synchronize if on == "cuda" else torch.mps.synchronize
    work()
    synchronize()
    samples, begin = [], time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        work()
        synchronize()
        samples.append(time.perf_counter() - before)
    return samples


def require_device(on: str) -> None:
    """Raise DeviceError unless torch can compute on `on` (cpu, cuda, mps) here."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[on]:
        raise DeviceError(f"device {on!r} is not there: expected one of {', '.join(name for name in there if there[name])} "
                          f"(torch {torch.__version__}); choose a profile for this machine, or install a torch for the GPU")


def matmul_flops(threads: int | None = None, dtype: str = "float32", seconds: float = 1.0, *,
                 on: str = "cpu") -> list[float]:
    """FLOP/s of square matrix multiplications in torch, one sample each, for about `seconds`: the compute roof.

    `dtype` is "float32", "bfloat16" or "float16"; a product of two n x n matrices counts 2 n^3. The size grows
    until one product takes a sixteenth of the time, so that a CPU that only emulates a type still answers.
    Raises ValueError for another dtype.
    """
    import torch

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in kinds:
        raise ValueError(unknown_name("dtype", dtype, kinds))
    before = torch.get_num_threads()
    torch.set_num_threads(threads or allowed_threads())
    try:
        if on != "cpu":
            require_device(on)
            size = 8192
            left, right = (torch.randn(size, size, device=on).to(kinds[dtype]) for _ in range(2))
            return [2 * size**3 / second for second in _time_gpu(lambda: left @ right, on, seconds)]
        size = 256
        while size < 4096 and 2 * size**3 / min(_matmul_rates(size, kinds[dtype], 0.0)) < seconds / 16:
            size *= 2
        return _matmul_rates(size, kinds[dtype], seconds)
    finally:
        torch.set_num_threads(before)


def _matmul_rates(size: int, dtype, seconds: float) -> list[float]:
    import torch

    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    out = left @ right
    samples, begin = [], time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        torch.mm(left, right, out=out)
        samples.append(2 * size**3 / (time.perf_counter() - before))
    return samples
