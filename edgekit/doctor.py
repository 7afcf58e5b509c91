"""What `edgekit doctor` says: what this installation can run, what this machine is, and how fast its roofs are.

Every line is a fact that was looked up or measured just now, or the reason why it could not be.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import sys

import edgekit
from edgekit import provenance, store
from edgekit.catalog import engines, platforms
from edgekit.engines import probe


def engine_lines(gpu: bool) -> list[tuple[str, str]]:
    """(runtime, its version with what this build of it lacks on this processor, or the command that installs it) of each."""
    lines = []
    for name, runtime in engines.runtimes().items():
        found = [f"{package} {version}" for package in runtime.packages if (version := provenance.installed(package))]
        told = found or [f"not installed: {runtime.install(gpu)}"]
        if found and name in engines.ENGINES:
            formats: dict[str, list[str]] = {}
            for format, why in probe.lacks(name).items():
                formats.setdefault(why, []).append(format)
            told += [f"without {', '.join(missing)} ({why})" if missing != [probe.EVERYTHING] else why
                     for why, missing in formats.items()]
        lines.append((name, ", ".join(told)))
    return lines


def _spread(samples: list[float], unit: float, name: str) -> str:
    middle = statistics.median(samples)
    return f"{max(samples) / unit:.1f} {name} at best, median {middle / unit:.1f}, {len(samples)} samples"


def _say(value) -> str:
    """A fact of `device.describe()` as text; a reason where it could not be read."""
    if isinstance(value, dict) and "unavailable" in value:
        return f"not readable: {value['unavailable']}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_say(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_say, value))
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _clocks(clocks: dict) -> str:
    def in_ghz(value):
        if isinstance(value, dict):
            return _say(value)
        values = value if isinstance(value, list) else [value]
        return " ".join(f"{clock / 1e9:.2f}" for clock in values) + " GHz"

    return ", ".join(f"{part} {in_ghz(value)}" for part, value in clocks.items())


def doctor() -> str:
    """The report as aligned text. Measures bandwidth and matrix multiplication for about a second each."""
    from edgekit.measure import device

    facts = device.describe()
    cpu, memory, gpu = facts["cpu"], facts["memory"], facts["gpu"]
    free = shutil.disk_usage(store.ROOT).free
    cores = f"{cpu['allowed_threads']} threads may run, {cpu['logical_cores']} logical and {cpu['physical_cores']} " \
            "physical cores"
    ram = f"{memory['total_bytes'] / 2**30:.1f} GiB, {memory['available_bytes'] / 2**30:.1f} GiB available"
    if "limit_bytes" in memory:
        ram += f", limited to {memory['limit_bytes'] / 2**30:.1f} GiB"
    bandwidth = device.memory_bandwidth(seconds=1.0)
    sections = {
        "edgekit": [
            ("version", f"{edgekit.__version__}, in {store.ROOT}"),
            ("Python", f"{platform.python_version()} ({sys.executable})"),
            ("disk", f"{free / 2**30:.1f} GiB free")],
        "engines": engine_lines("unavailable" not in gpu),
        "machine": [
            ("platform", f"{facts['slug']} ({facts['name']}), {facts['os']}"),
            ("published", platforms.current().published or "no published facts of this device"),
            ("CPU features", ", ".join(cpu["flags"]) or "none of those that runtimes ask for"),
            ("threads", cores), ("memory", ram), ("GPU", _say(gpu)),
            ("governor", _say(facts["governor"])), ("power mode", _say(facts["power_mode"])),
            ("power supply", _say(facts["power_supply"])), ("clocks", _clocks(facts["clocks_hz"])),
            ("temperature", _say(facts["temperature_c"])), ("energy sensors", _say(facts["energy_sensors"])),
            ("load", f"{facts['load_average'][0]:.1f} in the last minute (the roofs below want a quiet machine)")],
        "roofs, measured now": [
            ("read bandwidth", _spread(bandwidth.byte_per_s, 1e9, "GB/s") + f", {bandwidth.threads} threads")]
            + [(f"matmul {kind}", _spread(device.matmul_flops(dtype=kind, seconds=0.7), 1e9, "GFLOP/s"))
               for kind in ("float32", "bfloat16")],
    }
    if "unavailable" not in gpu:
        sections["roofs, measured now"].append(
            ("GPU bandwidth", _spread(device.memory_bandwidth(on="cuda").byte_per_s, 1e9, "GB/s")))
    width = max(len(label) for lines in sections.values() for label, _ in lines)
    text = []
    for title, lines in sections.items():
        text += ["", title] if text else [title]
        text += [f"  {label:<{width}}  {said}" for label, said in lines]
    return "\n".join(text)
