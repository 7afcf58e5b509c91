"""Power by rail, in watts, from what the boards themselves offer: one interface, `Source.read`.

INA3221 monitors in sysfs (Jetson), RAPL counters, NVML, a phone's battery, and the tools tegrastats (Jetson) and powermetrics
(macOS), which print it. Units differ by source (mV and mA, µJ, mW, µA and µV) and are turned into watts here, once. What a
source cannot tell is a PowerError and never a 0.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import RunFailed
from edgekit.measure import sensors
from edgekit.measure.sensors import ROOT, read_text

SOC, CPU, GPU, DEVICE = "soc", "cpu", "gpu", "device"  # scopes: a module, CPU packages, a GPU, all of a phone
# Rails that a Jetson's whole module is made of, by what is there: Orin NX and Nano measure the input itself; AGX Orin does not,
# but its three supplies, which EdgeReasoning's energy code sums too (general/energy/energy.py @8913ecf).
MODULE_RAILS = (("VDD_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), ("POM_5V_IN",), ("Combined",))
TOOL_STALE_S = 2.0  # a tool that prints every 100 ms and said nothing for this long has stopped
TOOL_START_S = 5.0  # until its first sample
SAMPLE_S = 0.1  # between two reads of what is integrated here
COUNTER_S = 0.02
LEAST_BATTERY_A = 0.02  # a running phone takes more: less is a current in mA that says it is in µA


class PowerError(RunFailed):
    """A source gave no power; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One rail. `read`: watts now, or since the read before; raises PowerError. whole: it is all of its scope, and no part of
    another source's."""

    name: str
    scope: str
    read: Callable[[], float]
    whole: bool = True


def sources(root: Path = ROOT) -> list[Source]:
    """Every rail of this machine that can be read now. Starts no tool."""
    return [source for source, why in _tried(root) if why is None]


def why_not(root: Path = ROOT) -> list[str]:
    """Why the others, which are there, cannot be read."""
    return [why for _, why in _tried(root) if why is not None]


def _tried(root: Path) -> Iterator[tuple[Source, str | None]]:
    for source in (*ina3221(root), *rapl(root), *nvml(), *battery(root)):
        try:
            source.read()
        except PowerError as error:
            yield source, str(error)
        else:
            yield source, None


def ina3221(root: Path = ROOT) -> Iterator[Source]:
    """The rails of a Jetson's power monitors, and the sum that is the whole module. Channels without a name or a current are
    left out."""
    rails = {}
    for driver in ("ina3221", "ina3221x"):  # older kernels call it so
        for label in sorted((root / f"sys/bus/i2c/drivers/{driver}").glob("*/hwmon/hwmon*/in*_label")):
            number = label.name.removeprefix("in").removesuffix("_label")
            name, current = read_text(label), label.with_name(f"curr{number}_input")
            if name and name != "NC" and not name.startswith("sum of") and current.exists():
                rails[name] = (label.with_name(f"in{number}_input"), current)
    whole = _whole(rails)
    if whole:
        yield Source(" + ".join(whole), SOC, lambda: sum(_rail_w(name, *rails[name]) for name in whole))
    for name, files in rails.items():
        if whole != (name,):
            yield Source(name, SOC, lambda name=name, files=files: _rail_w(name, *files), whole=False)


def _whole(rails: Iterable[str]) -> tuple[str, ...] | None:
    """Which of these rails together are the module."""
    there = set(rails)
    return next((names for names in MODULE_RAILS if set(names) <= there), None)


def _rail_w(name: str, millivolt: Path, milliampere: Path) -> float:
    return _integer(name, millivolt) * _integer(name, milliampere) / 1e6


def rapl(root: Path = ROOT) -> Iterator[Source]:
    """The packages of Intel's and AMD's energy counters, each as mean power since its last read."""
    for counter in sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*/energy_uj")):
        if counter.parent.name.count(":") == 1:  # a package; its cores and its memory are below it
            name = f"RAPL {read_text(counter.parent / 'name') or counter.parent.name}"
            yield Source(name, CPU, Counter(name, counter, counter.with_name("max_energy_range_uj")))


class Counter:
    """Mean watts between two reads of a counter of microjoules, which starts again at 0 after its range. The first read takes
    COUNTER_S."""

    def __init__(self, name: str, counter: Path, range_: Path):
        self.name, self.counter, self.range = name, counter, range_
        self.before: tuple[float, int] | None = None

    def __call__(self) -> float:
        if self.before is None:
            self.before = time.monotonic(), _integer(self.name, self.counter)
            time.sleep(COUNTER_S)
        now, value = time.monotonic(), _integer(self.name, self.counter)
        began, before = self.before
        self.before = now, value
        spent = value - before
        if spent < 0:  # it wrapped; twice between two reads it cannot have: a range lasts minutes
            spent += _integer(self.name, self.range)
        return spent / 1e6 / (now - began)


def nvml() -> Iterator[Source]:
    """The board of the first NVIDIA GPU."""
    if isinstance(sensors._nvml(), str):
        return

    def watts() -> float:
        seen = sensors._nvml_value("nvmlDeviceGetPowerUsage")
        if isinstance(seen, dict):
            raise PowerError(f"NVML: {seen['unavailable']}")
        return seen / 1e3

    yield Source("NVML board", GPU, watts)


def battery(root: Path = ROOT) -> Iterator[Source]:
    """What a phone takes out of its battery (Android's power-supply files: µA and µV). Laptops have other sensors."""
    if (root / "sys/class/dmi").exists():  # a laptop
        return
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        if (supply / "current_now").exists() and read_text(supply / "type") == "Battery":
            yield Source(f"battery {supply.name}", DEVICE, lambda supply=supply: battery_w(supply))


def battery_w(supply: Path) -> float:
    """Watts out of a battery. Raises PowerError while it charges (the charger's power is not the phone's), and for a current
    that cannot be in microamperes."""
    status = read_text(supply / "status")
    if status != "Discharging":
        raise PowerError(f"battery {supply.name}: status {status}, and what a charger gives is not what the phone takes: "
                         "unplug it")
    ampere = abs(_integer("current_now", supply / "current_now")) / 1e6  # makers do not agree on the sign
    if ampere < LEAST_BATTERY_A:
        raise PowerError(f"battery {supply.name}: current_now gives {ampere * 1e6:.0f}, which as µA is less than a running "
                         "phone takes: this maker's kernel counts in another unit")
    return ampere * _integer("voltage_now", supply / "voltage_now") / 1e6


def _integer(name: str, path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError as error:
        raise PowerError(f"{name}: {path} may not be read (as root: chmod o+r {path})") from error
    except (OSError, ValueError) as error:
        raise PowerError(f"{name}: {path} gave no number ({error})") from error


# Tools that print

def tegrastats_w(line: str) -> dict[str, float]:
    """Rails in watts of one line of tegrastats: `NAME now/average`, in mW, which JetPack 5 and newer writes and older ones do
    not. Channels that are not connected (NC) are left out."""
    return {name: int(now) / 1e3 for name, now in re.findall(r"\b((?:VDD|VIN|POM)\w*) (\d+)(?:mW)?/\d+(?:mW)?", line)}


def powermetrics_w(text: str) -> dict[str, float]:
    """Parts in watts of one sample of powermetrics (`--samplers cpu_power,gpu_power`), which prints mW. Combined is the SoC's
    CPU, GPU and neural engine, without its memory."""
    found = re.findall(r"^(CPU|GPU|ANE|Combined) Power(?: \([^)]*\))?: ([\d.]+) (mW|W)\s*$", text, re.M)
    return {name: float(value) / (1e3 if unit == "mW" else 1.0) for name, value, unit in found}


class Tool:
    """A program that prints samples until it is ended; also a context manager. `ends`: what the last line of a sample holds.

    `latest` raises PowerError where it could not start, ended, or has stopped printing.
    """

    def __init__(self, command: list[str], parse: Callable[[str], dict[str, float]], ends: str):
        if not shutil.which(command[0]):
            raise PowerError(f"{command[0]} is not on PATH")
        self.name, self._parse, self._ends = command[0], parse, ends
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self._latest: tuple[float, dict[str, float]] = (time.monotonic(), {})
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        self._first.wait(TOOL_START_S)

    def _follow(self) -> None:
        sample = []
        for line in self._child.stdout:
            sample.append(line)
            if self._ends in line:
                if rails := self._parse("".join(sample)):
                    self._latest = time.monotonic(), rails
                    self._first.set()
                sample = []
        self._first.set()

    def latest(self) -> dict[str, float]:
        """Watts by rail of the last sample."""
        stamp, rails = self._latest
        if self._child.poll() is not None:
            self._thread.join()
            said = (self._child.stderr.read().strip().splitlines() or ["it said nothing"])[-1]
            raise PowerError(f"{self.name} ended with status {self._child.returncode}: {said}")
        if time.monotonic() - stamp > TOOL_STALE_S:
            raise PowerError(f"{self.name} printed no sample for {TOOL_STALE_S:.0f} s")
        return rails

    def __enter__(self) -> Tool:
        return self

    def __exit__(self, *_) -> None:
        self._child.kill()
        self._child.wait()
        self._thread.join()
        self._child.stdout.close()
        self._child.stderr.close()


def tegrastats(interval_ms: int = 100) -> Tool:
    """The rails of a Jetson where sysfs does not show them, as in a container."""
    return Tool(["tegrastats", "--interval", str(interval_ms)], tegrastats_w, "RAM ")


def powermetrics(interval_ms: int = 100) -> Tool:
    """The parts of an Apple chip; as root, or with a sudo that asks for no password."""
    return Tool(["sudo", "-n", "powermetrics", "--samplers", "cpu_power,gpu_power,thermal", "-i", str(interval_ms)],
                powermetrics_w, "Current pressure level")


def module_tool() -> Callable[[], Tool] | None:
    """What starts this machine's own tool that prints the power of the module; None where there is none."""
    if shutil.which("tegrastats"):
        return tegrastats
    return powermetrics if platform.system() == "Darwin" and shutil.which("powermetrics") else None


def of_tool(tool: Tool) -> Source:
    """The whole module, as a tool prints it. Its `read` raises PowerError where the tool shows parts alone."""
    def watts() -> float:
        rails = tool.latest()
        names = _whole(rails)
        if names is None:
            raise PowerError(f"{tool.name} shows no rail of the whole module; it shows {', '.join(rails) or 'none'}")
        return sum(rails[name] for name in names)

    return Source(tool.name, SOC, watts)


def joules_of(seen: Sequence[tuple[float, float]]) -> float:
    """The energy under readings (seconds, watts) in order, by trapezoids; 0 of a single one."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(seen, seen[1:], strict=False))


class Integral:
    """A context manager: the energy of a source meanwhile, its power read every SAMPLE_S and summed by trapezoids."""

    def __init__(self, source: Source):
        self.source, self._seen = source, []
        self._over, self._failed = threading.Event(), None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _one(self) -> None:
        watts = self.source.read()
        self._seen.append((time.monotonic(), watts))

    def _follow(self) -> None:
        while not self._over.wait(SAMPLE_S):
            try:
                self._one()
            except PowerError as error:
                self._failed = error
                return

    def __enter__(self) -> Integral:
        self._one()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def joules(self) -> float:
        """Raises PowerError where the source stopped meanwhile: a part of the energy is no energy."""
        if self._failed is None:
            self._one()
            return joules_of(self._seen)
        after = self._seen[-1][0] - self._seen[0][0]
        raise PowerError(f"{self.source.name} stopped after {after:.1f} s of a window: {self._failed}") from self._failed
