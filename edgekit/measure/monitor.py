"""How the device stands while something runs: clocks, temperatures, power and what holds it back, sampled beside it.

A thread of the process that waits, not of the one that measures. It samples ten times a second where that is cheap, and less
often where it is not: reading takes at most READING_SHARE of one core's time (tests/benchmarks/sampling.py measures what that
costs a decode). Times are of the monotonic clock alone, so a wall clock that jumps changes nothing.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.measure import power, sensors, throttle
from edgekit.measure.power import PowerError, Source
from edgekit.measure.sensors import ROOT

PERIOD_S = 0.1
READING_SHARE = 0.01
KEPT = 0.9  # of the samples must have a sensor, or its numbers are not those of the whole time
MOST = 4096  # samples that are kept of one time
FIXED = 0.95  # of the highest clock: what is read of a fixed one varies by less
GAP = 20  # periods without a sample: the machine slept, or had no time for it


@dataclass(frozen=True, slots=True)
class Sample:
    """at_s: monotonic. clocks_hz: of the fastest core, and of the GPU. power_w: by rail. holding: what holds it back."""

    at_s: float
    clocks_hz: Mapping[str, float]
    temperatures_c: Mapping[str, float]
    power_w: Mapping[str, float]
    holding: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stood:
    """How the device stood over some time. clocks_hz: lowest, median and highest; temperatures_c: first and highest; power_w:
    mean over time. throttled: what held the device back, with the share of samples, or the events, that it stood in. lost: what
    was not to be had of all of the time, in sentences."""

    seconds: float
    samples: int
    clocks_hz: dict[str, list[float]]
    temperatures_c: dict[str, list[float]]
    power_w: dict[str, float]
    throttled: dict[str, float]
    lost: list[str]

    def moved(self) -> list[str]:
        """Clocks that fell: on a device whose clocks are fixed, a sign that something holds it back."""
        return [f"{part} clock fell from {most / 1e9:.2f} to {least / 1e9:.2f} GHz"
                for part, (least, _, most) in self.clocks_hz.items() if least < FIXED * most]


def take(rails: Iterable[Source], root: Path = ROOT) -> Sample:
    """One sample. A sensor that does not answer is left out of it."""
    at, watts = time.monotonic(), {}
    for source in rails:
        try:
            watts[source.name] = source.read()
        except PowerError:
            continue  # told by `summary`, which counts who answered
    clocks = {part: max(value) if isinstance(value, list) else value for part, value in sensors.read_clocks(root).items()
              if not isinstance(value, dict)}
    temperatures, holding = sensors.read_temperature(root), throttle.active(root)
    return Sample(at, clocks, {} if "unavailable" in temperatures else temperatures, watts,
                  frozenset(holding if isinstance(holding, set) else ()))


def summary(samples: list[Sample], events: Mapping[str, int], period_s: float) -> Stood:
    """What samples in order say of their time. events: throttling events in it, by their counter."""
    first, last = samples[0], samples[-1]
    lost = []

    def kept(name: str) -> dict[str, list[tuple[float, float]]]:
        """(time, value) of each sensor that answered all the time; of the others a sentence goes to `lost`."""
        series: dict[str, list[tuple[float, float]]] = {}
        for sample in samples:
            for sensor, value in getattr(sample, name).items():
                series.setdefault(sensor, []).append((sample.at_s, value))
        whole = {}
        for sensor, seen in series.items():
            if len(seen) >= KEPT * len(samples) and last.at_s - seen[-1][0] <= GAP * period_s:
                whole[sensor] = seen
            else:
                lost.append(f"{sensor} answered in {len(seen)} of {len(samples)} samples, the last time after "
                            f"{seen[-1][0] - first.at_s:.1f} s of {last.at_s - first.at_s:.1f} s: not kept")
        return whole

    clocks = {part: [value for _, value in seen] for part, seen in kept("clocks_hz").items()}
    temperatures = {name: [value for _, value in seen] for name, seen in kept("temperatures_c").items()}
    watts = {name: _mean(seen) for name, seen in kept("power_w").items()}
    longest = max((b.at_s - a.at_s for a, b in zip(samples, samples[1:], strict=False)), default=0.0)
    if longest > GAP * period_s:
        lost.append(f"no sample for {longest:.1f} s: the machine slept or had no time")
    holding = [reason for sample in samples for reason in sample.holding]
    throttled = {reason: holding.count(reason) / len(samples) for reason in sorted(set(holding))} | dict(events)
    return Stood(last.at_s - first.at_s, len(samples),
                 {part: [min(values), statistics.median(values), max(values)] for part, values in clocks.items()},
                 {name: [values[0], max(values)] for name, values in temperatures.items()}, watts, throttled, lost)


def _mean(seen: list[tuple[float, float]]) -> float:
    """Mean over time, by trapezoids; of one sample itself."""
    return seen[0][1] if len(seen) < 2 else power.joules_of(seen) / (seen[-1][0] - seen[0][0])


class Monitor:
    """A context manager that samples meanwhile; `stood()` afterwards. `take_one`: makes a sample, replaced in tests."""

    def __init__(self, period_s: float = PERIOD_S, root: Path = ROOT, take_one: Callable[[], Sample] | None = None):
        self.period_s, self.root = period_s, root
        self.longest_s = period_s  # that was waited between two samples
        rails = power.sources(root) if take_one is None else []
        self._take = take_one or (lambda: take(rails, root))
        self.samples: list[Sample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        wait_s = self.period_s
        while not self._over.wait(wait_s):
            wait_s = max(self.period_s, self._one() / READING_SHARE)
            self.longest_s = max(self.longest_s, wait_s)

    def _one(self) -> float:
        """Take a sample; the seconds that it took."""
        began = time.monotonic()
        self.samples.append(self._take())
        if len(self.samples) > MOST:  # hours: every second one will do
            del self.samples[1:-1:2]
            self.period_s *= 2
        return time.monotonic() - began

    def __enter__(self) -> Monitor:
        self._counts = throttle.counts(self.root)
        self._one()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()
        self._one()
        self._events = throttle.risen(self._counts, throttle.counts(self.root))

    def stood(self) -> Stood:
        """Over all of the time between its beginning and its end."""
        return summary(self.samples, self._events, self.longest_s)
