"""What `edgekit doctor` says: what this installation can run, what this machine is and how fast its roofs are, and advice.

Every fact was looked up or measured just now, or is the reason why it could not be.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import edgekit
from edgekit import advice, params, provenance, store
from edgekit.advice import Avoid, Largest
from edgekit.catalog import boards, engines, platforms
from edgekit.catalog.boards import Board
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.engines import probe
from edgekit.measure import device, energy, readiness
from edgekit.measure.readiness import Finding
from edgekit.schema import ENGINE

SIZED = "02_baseline"  # whose memory_share the largest model is computed with


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime: the packages behind it with their versions, none where it is not installed; the command that installs it;
    format -> why this build does not load it here; and why it does not load at all, None where it does."""

    packages: tuple[str, ...]
    install: str
    lacks: Mapping[str, str]
    broken: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What follows from the facts: see advice.py."""

    profile: str
    profile_why: str
    avoid: tuple[Avoid, ...]
    largest: Largest
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All facts. machine: as manifests have it; read_bandwidth: samples in bytes/s, by device; matmul: samples in FLOP/s, by
    device and float type; unmeasured: why a device that is there has none of them."""

    version: str
    home: str
    python: str
    free_bytes: int
    runtimes: Mapping[str, Runtime]
    machine: dict
    published: str | None
    threads: int
    read_bandwidth: Mapping[str, list[float]]
    matmul: Mapping[str, Mapping[str, list[float]]]
    unmeasured: Mapping[str, str]
    advice: Advice

    @property
    def broken(self) -> list[str]:
        """A sentence for each engine that is installed and does not load."""
        return [runtime.broken for runtime in self.runtimes.values() if runtime.broken]


def runtimes(gpu: bool) -> dict[str, Runtime]:
    """Every runtime under the name of the first engine that runs on it. Each engine is asked in a process of its own."""
    found = {}
    for name, runtime in engines.runtimes().items():
        packages = tuple(f"{package} {version}" for package in runtime.packages if (version := provenance.installed(package)))
        asked = packages and name in engines.ENGINES
        broken = probe.unloadable(name) if asked else None
        found[name] = Runtime(packages, runtime.install(gpu), {} if broken or not asked else probe.lacks(name), broken)
    return found


def diagnose() -> Diagnosis:
    """Look at everything. Measures bandwidth and matrix multiplication for about a second each."""
    facts = device.describe()
    gpu = "unavailable" not in facts["gpu"]
    found = runtimes(gpu)
    where, unmeasured = ["cpu", *["cuda"] * gpu], {}
    if gpu and (why := _no_cuda()):
        where, unmeasured = ["cpu"], {"cuda": why}
    bandwidth = {on: device.memory_bandwidth(seconds=1.0, on=on) for on in where}
    matmul = {on: {dtype: device.matmul_flops(dtype=dtype, seconds=0.7, on=on) for dtype in ELEMENT_BYTES} for on in where}
    return Diagnosis(
        edgekit.__version__, str(store.ROOT), f"{platform.python_version()} ({sys.executable})",
        shutil.disk_usage(store.ROOT).free, found, facts, platforms.current().published, bandwidth["cpu"].threads,
        {on: one.byte_per_s for on, one in bandwidth.items()}, matmul, unmeasured,
        advise(found, gpu, matmul))


def _no_cuda() -> str | None:
    """Why torch cannot compute on the GPU that is there; None where it can."""
    try:
        device.require_device("cuda")
    except device.DeviceError as error:
        return str(error)
    return None


def advise(found: Mapping[str, Runtime], gpu: bool, matmul: Mapping[str, Mapping[str, list[float]]]) -> Advice:
    """What follows for this machine from its runtimes and its rates of matrix multiplication."""
    profile, why = advice.profile_for(platforms.current(), gpu)
    on = "cuda" if gpu else "cpu"
    share = params.read_yaml(params.path_of(profile, SIZED))["memory_share"]
    avoid = [one for where, rates in matmul.items()
             for one in advice.types_to_avoid({dtype: statistics.median(samples) for dtype, samples in rates.items()}, where)]
    absent = {name: runtime.install for name, runtime in found.items() if not runtime.packages and name in engines.ENGINES}
    sensors = energy.sensors(on)
    blind = sensors.reason if isinstance(sensors, energy.Unavailable) else None
    return Advice(profile, why, tuple(avoid), advice.largest_model(device.free_memory_bytes(on), share, ENGINE),
                  tuple(advice.skipped(absent, {name: runtime.lacks for name, runtime in found.items()}, blind)))


@dataclass(frozen=True, slots=True)
class OnBoard:
    """This machine as a board: the demands of its entry and how it meets them."""

    board: Board
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether something may be measured on it."""
        return not any(finding.stops for finding in self.findings)


def board(name: str) -> OnBoard:
    """Check this machine as a board. Raises BoardError for an unknown one, and where it is another."""
    wanted = boards.get(name)
    readiness.require_board(wanted)
    return OnBoard(wanted, tuple(readiness.check(wanted)))


def board_text(found: OnBoard) -> str:
    """Each demand on a line, and what follows."""
    lines = readiness.lines(found.findings)
    width = max(len(label) for label, _ in lines)
    told = "ready" if found.ready else "not ready: edgekit run and measure refuse it, or with --accept say so in every row"
    return "\n".join([f"{found.board.id} ({found.board.name})", *(f"  {label:<{width}}  {said}" for label, said in lines),
                      f"{found.board.id} is {told}"])


def board_data(found: OnBoard) -> str:
    """The same as JSON."""
    return json.dumps(dict(board=found.board.id, ready=found.ready, findings=[
        dataclasses.asdict(one) | dict(stops=one.stops) for one in found.findings]), indent=1, ensure_ascii=False)


def data(found: Diagnosis) -> str:
    """All facts as JSON: bytes, bytes/s, FLOP/s, Hz."""
    return json.dumps(dataclasses.asdict(found) | {"broken": found.broken}, indent=1, ensure_ascii=False)


def engine_line(runtime: Runtime) -> str:
    """The packages of a runtime with what they lack on this processor, or the command that installs it."""
    told = [*runtime.packages] or [f"not installed: {runtime.install}"]
    by_reason: dict[str, list[str]] = {}
    for format, why in runtime.lacks.items():
        by_reason.setdefault(why, []).append(format)
    told += [f"without {', '.join(missing)} ({why})" for why, missing in by_reason.items()]
    return ", ".join(told + [runtime.broken] * bool(runtime.broken))


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


def _machine(facts: dict, published: str | None) -> Iterator[tuple[str, str]]:
    cpu, memory = facts["cpu"], facts["memory"]
    limit = f", limited to {memory['limit_bytes'] / 2**30:.1f} GiB" if "limit_bytes" in memory else ""
    yield "platform", f"{facts['slug']} ({facts['name']}), {facts['os']}"
    yield "published", published or "no published facts of this device"
    yield "CPU features", ", ".join(cpu["flags"]) or "none of those that runtimes ask for"
    yield "threads", (f"{cpu['allowed_threads']} threads may run, {cpu['logical_cores']} logical and {cpu['physical_cores']} "
                      "physical cores")
    yield "memory", f"{memory['total_bytes'] / 2**30:.1f} GiB, {memory['available_bytes'] / 2**30:.1f} GiB available{limit}"
    for label, name in (("GPU", "gpu"), ("governor", "governor"), ("power mode", "power_mode"),
                        ("power supply", "power_supply")):
        yield label, _say(facts[name])
    yield "clocks", _clocks(facts["clocks_hz"])
    yield "temperature", _say(facts["temperature_c"])
    yield "energy sensors", _say(facts["energy_sensors"])
    yield "load", f"{facts['load_average'][0]:.1f} in the last minute (the roofs below want a quiet machine)"


def _roofs(found: Diagnosis) -> Iterator[tuple[str, str]]:
    for on, samples in found.read_bandwidth.items():
        threads = f", {found.threads} threads" if on == "cpu" else ""
        yield f"{on} read bandwidth", _spread(samples, 1e9, "GB/s") + threads
        for dtype, rates in found.matmul[on].items():
            yield f"{on} matmul {dtype}", _spread(rates, 1e9, "GFLOP/s")
    for on, why in found.unmeasured.items():
        yield on, f"not measured: {why}"


def _advice(told: Advice) -> Iterator[tuple[str, str]]:
    yield "profile", f"{told.profile}: {told.profile_why} (edgekit plan --all --profile {told.profile} says what it takes)"
    for one in told.avoid:
        yield "avoid", f"{one.dtype} on {one.device}: {one.times:.0f} times slower than {one.fastest} here"
    if not told.avoid:
        yield "avoid", "no float type: none is several times slower than the others"
    sizes = ", ".join(f"{billions:.1f} billion weights at {bits} bits" for bits, billions in told.largest.billions.items())
    yield "largest model", f"{sizes}: {told.largest.formula}"
    for what in told.skipped or ("nothing",):
        yield "will be skipped", what


def text(found: Diagnosis) -> str:
    """The report as aligned text."""
    sections = {
        "edgekit": [("version", f"{found.version}, in {found.home}"), ("Python", found.python),
                    ("disk", f"{found.free_bytes / 2**30:.1f} GiB free")],
        "engines": [(name, engine_line(runtime)) for name, runtime in found.runtimes.items()],
        "machine": list(_machine(found.machine, found.published)),
        "roofs, measured now": list(_roofs(found)), "advice": list(_advice(found.advice))}
    width = max(len(label) for lines in sections.values() for label, _ in lines)
    parts = ["\n".join([title, *(f"  {label:<{width}}  {said}" for label, said in lines)]) for title, lines in sections.items()]
    return "\n\n".join(parts)
