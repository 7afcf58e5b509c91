"""How the device stands right now: clocks, temperature, power mode, GPU, and which energy sensors can be read.

Values are read, never guessed: a reader returns what it found or `{"unavailable": reason}`. Readers of files take the
root of the file system, so that a recorded tree of another board can stand in for it.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path("/")
GATED_MC = -100_000  # a Jetson says -256 °C of a part without power; in thousandths of a degree


def unavailable(reason: str) -> dict[str, str]:
    return {"unavailable": reason}


def read_text(path: Path) -> str | None:
    """A small file's stripped text; None where it is absent or may not be read."""
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return None


def governor(root: Path = ROOT) -> list[str] | dict[str, str]:
    """The clock governors in use."""
    found = {read_text(path) for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return sorted(found - {None}) or unavailable("no cpufreq in /sys (a virtual machine, or not Linux)")


def power_mode(root: Path = ROOT) -> str | dict[str, str]:
    """The board's power mode: nvpmodel (Jetson), platform_profile (laptops), pmset (macOS)."""
    profile = read_text(root / "sys/firmware/acpi/platform_profile")
    if profile:
        return profile
    for command, wanted in ((["nvpmodel", "-q"], "NV Power Mode"), (["pmset", "-g"], "powermode")):
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
            lines = [line.strip() for line in said.splitlines() if wanted in line]
            return lines[0] if lines else unavailable(f"{command[0]} names no mode")
    return unavailable("no platform_profile, nvpmodel or pmset")


def power_supply(root: Path = ROOT) -> str | dict[str, str]:
    """Mains or battery: a laptop on battery is another machine, and a phone that charges too."""
    if platform.system() == "Darwin":
        import psutil

        battery = psutil.sensors_battery()
        if battery is None:
            return unavailable("no battery")
        return "mains" if battery.power_plugged else f"battery at {battery.percent:.0f} %"
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        if read_text(supply / "type") == "Battery" and read_text(supply / "scope") != "Device":  # a mouse has one too
            status = read_text(supply / "status")
            if status is None:
                return unavailable(f"{supply / 'status'} may not be read")
            return f"battery at {read_text(supply / 'capacity')} %" if status == "Discharging" else "mains"
    return unavailable("no battery")


@cache
def _nvml():
    """(pynvml, handle of the first GPU), or the reason why not."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
    except ImportError:
        return "nvidia-ml-py is not installed"
    except pynvml.NVMLError as error:
        return f"NVML: {error}"


def _nvml_value(name: str, *arguments) -> float | str | dict[str, str]:
    nvml, handle = _nvml()
    try:
        return getattr(nvml, name)(handle, *arguments)
    except nvml.NVMLError as error:
        return unavailable(f"{name}: {error}")


def gpu() -> dict:
    """The first NVIDIA GPU: name, memory, driver, power limit."""
    if isinstance(_nvml(), str):
        return unavailable(_nvml())
    nvml, handle = _nvml()
    limit = _nvml_value("nvmlDeviceGetEnforcedPowerLimit")
    return {"name": nvml.nvmlDeviceGetName(handle), "memory_bytes": nvml.nvmlDeviceGetMemoryInfo(handle).total,
            "driver": nvml.nvmlSystemGetDriverVersion(),
            "power_limit_w": limit if isinstance(limit, dict) else limit / 1e3}


def read_clocks(root: Path = ROOT) -> dict:
    """Clocks now, in Hz: `cpu` (a list, one a core) and, where there is one, `gpu`. Cheap enough for every trial."""
    paths = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    clocks = {"cpu": [int(value) * 1e3 for value in map(read_text, paths) if value]}
    if not clocks["cpu"]:
        lines = (read_text(root / "proc/cpuinfo") or "").splitlines()
        clocks["cpu"] = [float(line.split(":")[1]) * 1e6 for line in lines if line.startswith("cpu MHz")]
    if not clocks["cpu"]:
        clocks["cpu"] = unavailable("neither cpufreq nor /proc/cpuinfo gives a clock")
    board = [int(value) for value in map(read_text, (root / "sys/class/devfreq").glob("*gpu*/cur_freq")) if value]
    if board:
        clocks["gpu"] = board
    elif not isinstance(_nvml(), str):
        seen = _nvml_value("nvmlDeviceGetClockInfo", _nvml()[0].NVML_CLOCK_SM)
        clocks["gpu"] = seen if isinstance(seen, dict) else seen * 1e6
    return clocks


def read_temperature(root: Path = ROOT) -> dict:
    """Temperatures now, in degrees Celsius by sensor."""
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name, value = read_text(zone / "type"), read_text(zone / "temp")
        if name and value and int(value) > GATED_MC:
            found[name] = int(value) / 1e3
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/temp*_input")):
        value = read_text(path)
        if value and int(value) > GATED_MC:
            label = read_text(path.with_name(path.name.replace("_input", "_label"))) or path.name.removesuffix("_input")
            found[f"{read_text(path.parent / 'name')} {label}"] = int(value) / 1e3
    if not isinstance(_nvml(), str):
        seen = _nvml_value("nvmlDeviceGetTemperature", 0)
        if not isinstance(seen, dict):
            found["gpu"] = float(seen)
    return found or unavailable("no thermal zone and no hwmon sensor in /sys")


def energy_sensors(root: Path = ROOT) -> list[str] | dict[str, str]:
    """Energy sensors that can be read, each with its scope; or why there is none."""
    found, missing = [], []
    if isinstance(_nvml(), str):
        missing.append(f"no GPU counter ({_nvml()})")
    else:
        energy = _nvml_value("nvmlDeviceGetTotalEnergyConsumption")
        power = _nvml_value("nvmlDeviceGetPowerUsage")
        if not isinstance(energy, dict) or not isinstance(power, dict):
            found.append("NVML (gpu): " + ("energy counter" if not isinstance(energy, dict) else "power, sampled"))
        else:
            missing.append(power["unavailable"])
    counters = sorted((root / "sys/class/powercap").glob("intel-rapl:*/energy_uj"))
    readable = [path for path in counters if read_text(path)]
    found += [f"RAPL (cpu): {read_text(path.parent / 'name')}" for path in readable]
    if not counters:
        missing.append("no RAPL in /sys/class/powercap (a virtual machine hides it)")
    elif not readable:
        missing.append(f"RAPL needs read access to {counters[0]} (as root: chmod o+r)")
    rails = sorted((root / "sys/bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*/in*_label"))
    current = {path: path.with_name(path.name.replace("in", "curr", 1).replace("_label", "_input")) for path in rails}
    found += [f"INA3221 (module): {read_text(path)}" for path in rails if read_text(current[path])]
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        from importlib.util import find_spec

        (found if find_spec("zeus_apple_silicon") else missing).append("Apple SoC counters (zeus-apple-silicon)")
    return found or unavailable("; ".join(missing))
