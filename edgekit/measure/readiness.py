"""Whether a board is as its entry in data/boards.yaml demands, before anything is measured on it.

Each demand is read once. What is not met stops a run, with the command that mends it, unless the user accepts it: then it
stands in every row of the run. What such machines may not show is accepted without a word and stands in the rows all the same.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit.catalog import boards, platforms
from edgekit.catalog.boards import Board, BoardError, Demand
from edgekit.errors import RunFailed, unknown_name
from edgekit.measure import device, sensors, throttle
from edgekit.measure.sensors import ROOT, read_text, unavailable

MET, AMISS, HIDDEN = "met", "not met", "not readable"
LOAD_S = 1.0  # of watching the cores
COOLING_S, COOLING_POLL_S = 600.0, 5.0  # between studies a board is warm: it is waited for


class NotReady(RunFailed):
    """A board is not as its entry demands; the message says what is amiss and what mends it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One demand, what was read, and how the two lie: met, not met, or not readable. may_hide: such machines may hide it."""

    demand: Demand
    seen: str
    state: str
    may_hide: bool = False

    @property
    def stops(self) -> bool:
        """Whether nothing may be measured so."""
        return self.state == AMISS or (self.state == HIDDEN and not self.may_hide)

    @property
    def caveat(self) -> str:
        """What rows are to say of it; "" for nothing."""
        if self.state == MET:
            return ""
        return f"{self.demand.what} {self.seen}" if self.state == AMISS else f"{self.demand.what} not readable"


def wanted(demand: Demand) -> str:
    """What is demanded, in words."""
    if demand.wanted is not None:
        return demand.wanted
    ends = (("at least", demand.least), ("at most", demand.most))
    return " and ".join(f"{words} {_number(demand.what, end)}" for words, end in ends if end is not None)


def check(board: Board, root: Path = ROOT) -> list[Finding]:
    """Every demand of a board, read now. Raises BoardError where the entry demands what nobody can read."""
    found = []
    for demand in board.demands:
        if demand.what not in READERS:
            raise BoardError(f"{boards.path()}, {board.id}: " + unknown_name("demand", demand.what, READERS))
        found.append(judged(demand, READERS[demand.what](root), demand.what in board.may_hide))
    return found


def judged(demand: Demand, value: object, may_hide: bool) -> Finding:
    """A demand beside what was read: a text, several, a number, or {"unavailable": reason}."""
    if isinstance(value, dict):
        return Finding(demand, value["unavailable"], HIDDEN, may_hide)
    if isinstance(value, (int, float)):
        fits = (demand.least is None or value >= demand.least) and (demand.most is None or value <= demand.most)
        return Finding(demand, _number(demand.what, value), MET if fits else AMISS, may_hide)
    texts = [value] if isinstance(value, str) else sorted(value)
    fits = all(demand.wanted in (text, *text.split()) for text in texts)
    return Finding(demand, ", ".join(texts), MET if texts and fits else AMISS, may_hide)


def fixes_clocks(board: Board | None) -> bool:
    """Whether a board's clocks are fixed before anything is measured."""
    return board is not None and any(demand.what == "clocks" for demand in board.demands)


def require_board(board: Board) -> None:
    """Raise BoardError unless this machine is that board: nobody can accept that."""
    boards.require_is(board, platforms.current(), platform.machine(), platforms.gpu_name())


def require(board: Board, accept: bool, *, say: Callable[[str], None] = lambda text: None, root: Path = ROOT) -> list[str]:
    """The caveats that rows measured on a board now have to carry; waits for a board that is too warm.

    Raises BoardError where this machine is not the board, and NotReady where something is not as demanded and `accept` does not
    say to go on.
    """
    require_board(board)
    cool(board, say, root)
    found = check(board, root)
    stopping = [finding for finding in found if finding.stops]
    if stopping and not accept:
        raise NotReady(f"board {board.id} is not ready: {'; '.join(map(sentence, stopping))}; edgekit doctor --board "
                       f"{board.id} checks it again, and --accept measures all the same and says so in every row")
    return [finding.caveat for finding in found if finding.caveat]


def sentence(finding: Finding) -> str:
    """What is amiss, and what mends it."""
    seen = f"it is {finding.seen}" if finding.state == AMISS else f"it could not be read ({finding.seen})"
    return f"{finding.demand.what}: expected {wanted(finding.demand)}, {seen}; mend: {finding.demand.mend}"


def cool(board: Board, say: Callable[[str], None], root: Path = ROOT) -> None:
    """Wait, for at most COOLING_S, until the board is as cool as it has to be; one that does not cool is found out by check."""
    most = next((one.most for one in board.demands if one.what == "temperature"), None)
    began, told = time.monotonic(), False
    while most is not None and time.monotonic() - began < COOLING_S:
        now = hottest(root)
        if not isinstance(now, float) or now <= most:
            return
        if not told:
            say(f"{board.id}: {now:.0f} °C, waiting until it has cooled to {most:.0f} °C, for {COOLING_S / 60:.0f} min at most")
            told = True
        time.sleep(COOLING_POLL_S)


def hottest(root: Path = ROOT) -> float | dict[str, str]:
    """Temperature of the hottest sensor in °C."""
    found = sensors.read_temperature(root)
    return found if "unavailable" in found else max(found.values())


def clocks(root: Path = ROOT) -> str | dict[str, str]:
    """"fixed" where every clock may run at one rate only, else those that may change."""
    ends = {}
    for policy in sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*")):
        ends[policy.name.replace("policy", "cpu")] = tuple(_hz(policy / f"scaling_{end}_freq", 1e3) for end in ("min", "max"))
    for gpu in sorted((root / "sys/class/devfreq").glob("*gpu*")):
        ends["gpu"] = (_hz(gpu / "min_freq", 1.0), _hz(gpu / "max_freq", 1.0))
    if not ends or any(None in pair for pair in ends.values()):
        return unavailable("no cpufreq policy in /sys gives the ends of its clock")
    free = [f"{name} {low / 1e9:.2f} to {high / 1e9:.2f} GHz" for name, (low, high) in ends.items() if low != high]
    return ", ".join(free) or "fixed"


def busy_share() -> float:
    """Share of all cores that other programs use, watched for LOAD_S while this one sleeps."""
    import psutil

    return psutil.cpu_percent(interval=LOAD_S) / 100


def _load(root: Path) -> float | dict[str, str]:
    try:
        return busy_share()
    except OSError as error:  # Android keeps /proc/stat from apps
        return unavailable(f"/proc/stat: {error.strerror}")


def _free_memory(root: Path) -> float:
    facts = device.memory(root)
    return float(min(facts["available_bytes"], facts.get("limit_bytes", facts["available_bytes"])))


def _swap(root: Path) -> float | dict[str, str]:
    lines = dict(line.split(":", 1) for line in (read_text(root / "proc/meminfo") or "").splitlines() if ":" in line)
    if "SwapTotal" in lines:
        return float(int(lines["SwapTotal"].split()[0]) - int(lines["SwapFree"].split()[0])) * 1024
    if platform.system() == "Darwin":
        import psutil

        return float(psutil.swap_memory().used)
    return unavailable("/proc/meminfo has no SwapTotal")


def _free_gpu_memory(root: Path) -> float | dict[str, str]:
    facts = sensors.gpu()
    if "unavailable" in facts:
        return facts
    nvml, handle = sensors._nvml()
    seen = nvml.nvmlDeviceGetMemoryInfo(handle)
    return seen.free / seen.total


def _power_supply(root: Path) -> str | dict[str, str]:
    """A machine without a battery is on mains."""
    found = sensors.power_supply(root)
    return "mains" if found == sensors.unavailable("no battery") else found


def _throttling(root: Path) -> list[str] | dict[str, str]:
    found = throttle.active(root)
    return found if isinstance(found, dict) else sorted(found) or ["none"]


def _hz(path: Path, unit: float) -> float | None:
    value = read_text(path)
    return float(value) * unit if value else None


def _number(what: str, value: float) -> str:
    if what == "temperature":
        return f"{value:.0f} °C"
    return f"{value:.0%}" if what in SHARES else f"{value / 1e9:.1f} GB"


SHARES = ("background load", "free GPU memory")
# What a board may demand, and what reads it
READERS: dict[str, Callable[[Path], object]] = {
    "power mode": sensors.power_mode, "governor": sensors.governor, "clocks": clocks, "temperature": hottest,
    "free memory": _free_memory, "free GPU memory": _free_gpu_memory, "swap in use": _swap,
    "power supply": _power_supply, "background load": _load, "throttling": _throttling}


def lines(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Label and text of each finding, for the doctor."""
    return [(one.demand.what, f"{one.state}: {one.seen}" if one.state == MET else
             f"{one.state}, as such machines may: {one.seen}" if not one.stops else
             f"{one.state}: {sentence(one).partition(': ')[2]}") for one in findings]
