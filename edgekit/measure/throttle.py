"""Whether the device holds itself back, as its firmware, its kernel or its driver says: never guessed from a clock.

Two kinds of signs: what holds it back right now (cooling devices, NVML's reasons, macOS's thermal warnings), and counters of
events since it was started (Intel's thermal throttle counts, a Jetson's over-current counts), of which a rise counts. A power
limit alone (NVML's 0x4) is no throttling: it is what a power mode asks for.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

from edgekit.measure import sensors
from edgekit.measure.sensors import ROOT, read_text, unavailable

# Cooling devices that slow computing when their state is above 0; fans and backlights are cooling devices too.
SLOWING = re.compile(r"cpufreq|devfreq|Processor|cpu-isolate|cpu_hotplug|throttle-alert|powerclamp|TCC")
# Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReasons)
NVML_REASONS = {0x8: "GPU hardware slowdown", 0x20: "GPU software thermal slowdown", 0x40: "GPU hardware thermal slowdown",
                0x80: "GPU power brake"}
MACOS_WARNING = re.compile(r"(thermal|performance) warning level set to (\d+)|CPU_Speed_Limit\s*=\s*(\d+)", re.I)


def active(root: Path = ROOT) -> set[str] | dict[str, str]:
    """What holds the device back at this moment, by name, empty for nothing; or why that is not to be known."""
    found, readable = set(), False
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind, state = read_text(device / "type"), read_text(device / "cur_state")
        if kind and state and SLOWING.search(kind):
            readable = True
            if int(state) > 0:  # a power clamp that is off says -1
                found.add(f"cooling by {kind}")
    if (bits := _nvml_bits()) is not None:
        readable = True
        found |= {reason for bit, reason in NVML_REASONS.items() if bits & bit}
    if platform.system() == "Darwin":
        readable, found = True, found | _macos()
    if readable or counts(root):
        return found
    return unavailable("no cooling device, throttle counter or driver tells it (a virtual machine, or no permission)")


def counts(root: Path = ROOT) -> dict[str, int]:
    """Throttling events since the device was started, by their counter: a package's cores share one of its packages'."""
    paths = {}
    for path in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count")):
        kind = path.name.removesuffix("_throttle_count")
        name = f"{kind} of {path.parent.parent.name}"
        if kind == "package":
            name = f"package {read_text(path.parents[1] / 'topology/physical_package_id') or 0}"
        paths.setdefault(f"thermal throttling of {name}", path)
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")):
        paths[f"over-current throttling {path.name.removesuffix('_event_cnt')}"] = path
    return {name: int(value) for name, path in paths.items() if (value := read_text(path))}


def risen(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """By how much each counter rose, of those that did; one that fell was set back meanwhile, and counts from 0."""
    rises = {name: count - before.get(name, 0) if count >= before.get(name, 0) else count for name, count in after.items()}
    return {name: rise for name, rise in rises.items() if rise}


def _nvml_bits() -> int | None:
    if isinstance(sensors._nvml(), str):
        return None
    nvml, handle = sensors._nvml()
    try:
        return nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    except nvml.NVMLError:
        return None


def _macos() -> set[str]:
    """Of `pmset -g therm`: warnings that were recorded, and a speed limit below 100 %."""
    if not shutil.which("pmset"):
        return set()
    said = subprocess.run(["pmset", "-g", "therm"], capture_output=True, text=True, timeout=10, check=False).stdout
    return macos_warnings(said)


def macos_warnings(said: str) -> set[str]:
    """The warnings in what `pmset -g therm` prints."""
    found = set()
    for kind, level, limit in MACOS_WARNING.findall(said):
        if kind and int(level) > 0:
            found.add(f"{kind.lower()} warning level {level}")
        if limit and int(limit) < 100:
            found.add(f"CPU speed limit {limit} %")
    return found
