"""Energy through zeus, and through the board's own rails where zeus has none of the whole: a reading has joules, seconds, a
scope and an origin, or there is a reason why there is none.

scope: gpu (the board), cpu (RAPL packages and their memory), soc (the module of a Jetson or an Apple chip), device (all of a
phone, at its battery).
origin: counter (the device integrates) or sampled (power is polled and summed). A guess from a TDP is not a measurement, so
there is no fallback. Idle power is measured first, with the model loaded: gross and net are both kept.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.engines.base import Engine, EngineError
from edgekit.measure import power
from edgekit.measure.latency import prompt_ids, time_stream
from edgekit.measure.power import Integral, Source

# Counters tick every 20 to 100 ms, so shorter windows read the tick and not the work (arXiv 2312.02741).
WINDOW_S = 5.0
IDLE_S = WINDOW_S


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No sensor, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Energy of one window by scope: joules[scope]."""

    joules: dict[str, float]
    seconds: float


class Meter:
    """A zeus monitor with its windows as values (None where zeus has nothing), and sources of power that are sampled here.
    `origins`: scope to counter or sampled."""

    def __init__(self, monitor, origins: dict[str, str], sources: Sequence[Source] = ()):
        self.monitor, self.origins, self.sources = monitor, origins, sources

    def window(self, work) -> Reading:
        """Energy while `work()` runs. Raises PowerError where a source stops meanwhile."""
        with contextlib.ExitStack() as stack:
            integrals = {source.scope: stack.enter_context(Integral(source)) for source in self.sources}
            if self.monitor is None:
                began = time.perf_counter()
                work()
                seconds = time.perf_counter() - began
            else:
                self.monitor.begin_window("edgekit", sync_execution=False)
                work()
                seen = self.monitor.end_window("edgekit", sync_execution=False)
                seconds = seen.time
            joules = {scope: integral.joules() for scope, integral in integrals.items()}
        if "gpu" in self.origins:
            joules["gpu"] = sum(seen.gpu_energy.values())
        if "cpu" in self.origins:
            joules["cpu"] = sum(seen.cpu_energy.values()) + sum((seen.dram_energy or {}).values())
        if "soc" in self.origins and "soc" not in joules:
            joules["soc"] = _soc_joules(seen.soc_energy)
        return Reading(joules, seconds)


def _soc_joules(measurement) -> float:
    """Joules of a whole module from zeus's SoC measurement, which is in millijoules and names its parts by vendor.

    Jetson: the total rail alone, because the other rails are parts of it. Apple: the parts, which do not overlap.
    """
    if hasattr(measurement, "total_energy_mj"):
        parts = [measurement.total_energy_mj]
    else:
        parts = [measurement.cpu_total_mj, measurement.dram_mj, measurement.gpu_mj, measurement.gpu_sram_mj,
                 measurement.ane_mj]
        parts = [part for part in parts if part is not None]  # a part that this chip does not have
    if not parts or None in parts:
        raise EngineError(f"zeus gave no whole-module energy ({measurement}); energy is not recorded")
    return sum(parts) / 1000


def sensors(device: str) -> dict[str, str] | Unavailable:
    """Scopes that can be metered for work on `device`, each with its origin; or the reasons why none can. The board's own
    rails come first: zeus knows no rail of the whole of some Jetsons, and no phone.

    Starts nothing: zeus polls some sensors from processes of their own, which must live in the measuring process only.
    """
    from zeus.device import get_cpus, get_gpus, get_soc
    from zeus.exception import ZeusBaseError

    origins, reasons = {source.scope: "sampled" for source in _own_sources()}, []
    for scope, probe in (("gpu", get_gpus), ("cpu", get_cpus), ("soc", get_soc)):
        if scope == "gpu" and device != "cuda":
            reasons.append(f"gpu: the work is on {device}")
            continue
        if scope in origins:
            continue
        try:
            found = probe()
        except ZeusBaseError as error:
            reasons.append(f"{scope}: {' '.join(str(error).split())}")
            continue
        if scope == "soc":
            origins[scope] = "sampled"
        elif len(found):
            counter = scope == "cpu" or found.supports_get_total_energy_consumption(0)
            origins[scope] = "counter" if counter else "sampled"
        else:
            reasons.append(f"{scope}: none found")
    if "soc" not in origins and power.module_tool():
        origins["soc"] = "sampled"
    return origins or Unavailable("no energy sensor that can be read (" + "; ".join([*reasons, *power.why_not()]) + ")")


def _own_sources() -> list[Source]:
    """The sources of a whole module or phone that zeus does not have."""
    return [source for source in power.sources() if source.whole and source.scope in (power.SOC, power.DEVICE)]


def open_meter(device: str) -> Meter | Unavailable:
    """The meter of this machine for work on `device`: its first GPU, all its CPU packages, its module."""
    from zeus.monitor import ZeusMonitor

    origins = sensors(device)
    if isinstance(origins, Unavailable):
        return origins
    sources = _own_sources()
    if "soc" in origins and not sources and (tool := power.module_tool()) and not _zeus_has_soc():
        sources = [power.of_tool(tool())]
    if origins.keys() <= {source.scope for source in sources}:
        return Meter(None, origins, sources)
    return Meter(ZeusMonitor(gpu_indices=[0] if "gpu" in origins else [],
                             cpu_indices=None if "cpu" in origins else []), origins, sources)


def _zeus_has_soc() -> bool:
    from zeus.device import get_soc
    from zeus.exception import ZeusBaseError

    try:
        get_soc()
    except ZeusBaseError:
        return False
    return True


def observe_windows(engine: Engine, meter: Meter, prompt: Sequence[int], output_tokens: int) -> list[dict]:
    """Prefill and decode energy of one request: each repeated until its window lasts at least five seconds.

    Decode is the difference of whole requests and prefills, per request, so that both windows hold whole calls.
    """
    idle = meter.window(lambda: time.sleep(IDLE_S))
    seen = []
    per_request = {}
    for phase, tokens in (("prefill", 1), ("request", output_tokens)):
        once = time_stream(engine, prompt, tokens)[-1]
        calls = max(1, round(WINDOW_S / once + 0.5))

        def work(tokens=tokens, calls=calls):
            for _ in range(calls):
                time_stream(engine, prompt, tokens)

        reading = meter.window(work)
        while reading.seconds < WINDOW_S:  # the one stream that the count was taken from was slower
            calls *= 2
            reading = meter.window(functools.partial(work, calls=calls))
        per_request[phase] = {scope: (joules / calls, reading.seconds / calls) for scope, joules in reading.joules.items()}
    for scope, origin in meter.origins.items():
        watts = idle.joules[scope] / idle.seconds
        prefill_j, prefill_s = per_request["prefill"][scope]
        whole_j, whole_s = per_request["request"][scope]
        for phase, joules, seconds in (("prefill", prefill_j, prefill_s),
                                       ("decode", whole_j - prefill_j, whole_s - prefill_s)):
            at = dict(phase=phase, scope=scope, origin=origin, prompt_tokens=len(prompt), output_tokens=output_tokens)
            seen += [dict(metric="energy_j", value=joules, **at), dict(metric="window_s", value=seconds, **at),
                     dict(metric="energy_net_j", value=joules - watts * seconds, **at),
                     dict(metric="idle_power_w", value=watts, **at)]
    return seen


def measure_energy(*, variant: str, engine: str, dtype: str, threads: int, device: str, prompt_tokens: int,
                   output_tokens: int, seed: int) -> dict:
    """A worker's job: energy of prefill and decode of one variant in one engine. Refuses where there is no sensor."""
    import dataclasses

    from edgekit import engines
    from edgekit.compress import variant as variants

    meter = open_meter(device)
    if isinstance(meter, Unavailable):
        raise EngineError(meter.reason)
    artifact = variants.build(variant)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device,
                             context=prompt_tokens + output_tokens) as opened:
        prompt = prompt_ids(opened.info.vocabulary, prompt_tokens, seed)
        time_stream(opened, prompt, 2)
        seen = observe_windows(opened, meter, prompt, output_tokens)
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))
