"""Energy windows against a meter whose power is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgekit.engines.base import EngineError
from edgekit.engines.replay import Recording, Replay
from edgekit.measure import energy, latency
from edgekit.measure.energy import Meter, Unavailable

IDLE_W, PREFILL_W, DECODE_W = 10.0, 50.0, 30.0
PREFILL_S, STEP_S = 0.4, 0.1


class World:
    """A clock, an engine and zeus's monitor that agree: power depends on what the engine does, energy is its integral."""

    def __init__(self, monkeypatch):
        self.now = self.joules = 0.0
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(energy.time, "sleep", lambda seconds: self.spend(seconds, IDLE_W))
        recording = Recording((1,) * 9, (PREFILL_S, *[STEP_S] * 8))
        self.engine = Replay(recording, vocabulary=100)
        self.engine.stream = self.stream

    def spend(self, seconds, watts):
        self.now += seconds
        self.joules += seconds * watts

    def stream(self, prompt, tokens):
        for i in range(tokens):
            self.spend(STEP_S if i else PREFILL_S, DECODE_W if i else PREFILL_W)
            yield SimpleNamespace(token=1)

    def begin_window(self, name, sync_execution):
        self.mark = self.now, self.joules

    def end_window(self, name, sync_execution):
        return SimpleNamespace(time=self.now - self.mark[0], gpu_energy={0: self.joules - self.mark[1]},
                               cpu_energy={0: 2 * (self.joules - self.mark[1])}, dram_energy=None, soc_energy=None)


def test_prefill_and_decode_energy_gross_and_net(monkeypatch):
    world = World(monkeypatch)
    seen = energy.observe_windows(world.engine, Meter(world, {"gpu": "counter"}), [1, 2, 3], 9)
    by = {(o["phase"], o["metric"]): o["value"] for o in seen}
    assert by["prefill", "energy_j"] == pytest.approx(PREFILL_S * PREFILL_W)
    assert by["decode", "energy_j"] == pytest.approx(8 * STEP_S * DECODE_W)
    assert by["decode", "window_s"] == pytest.approx(8 * STEP_S)
    assert by["prefill", "energy_net_j"] == pytest.approx(PREFILL_S * (PREFILL_W - IDLE_W))
    assert by["decode", "energy_net_j"] == pytest.approx(8 * STEP_S * (DECODE_W - IDLE_W))
    assert by["decode", "idle_power_w"] == pytest.approx(IDLE_W)
    assert {(o["scope"], o["origin"], o["prompt_tokens"], o["output_tokens"]) for o in seen} == {("gpu", "counter", 3, 9)}


def test_every_window_is_longer_than_a_counter_tick(monkeypatch):
    world, windows = World(monkeypatch), []
    meter = Meter(world, {"gpu": "counter"})
    plain = meter.window
    monkeypatch.setattr(Meter, "window", lambda self, work: windows.append(plain(work)) or windows[-1])
    energy.observe_windows(world.engine, meter, [1], 9)
    assert windows[0].seconds == energy.IDLE_S
    assert all(window.seconds >= energy.WINDOW_S for window in windows[1:])


def test_scopes_are_kept_apart(monkeypatch):
    world = World(monkeypatch)
    reading = Meter(world, {"gpu": "counter", "cpu": "counter"}).window(lambda: world.spend(2.0, 5.0))
    assert reading.joules == {"gpu": pytest.approx(10.0), "cpu": pytest.approx(20.0)} and reading.seconds == 2.0


def test_jetson_takes_the_total_rail_and_apple_the_sum_of_its_parts():
    from zeus.device.soc.apple import AppleSiliconMeasurement
    from zeus.device.soc.jetson import JetsonMeasurement

    assert energy._soc_joules(JetsonMeasurement(cpu_energy_mj=100.0, gpu_energy_mj=200.0, total_energy_mj=900.0)) == 0.9
    apple = AppleSiliconMeasurement(cpu_total_mj=100, gpu_mj=50, dram_mj=30, efficiency_cores_mj=[60, 40])
    assert energy._soc_joules(apple) == pytest.approx(0.18)
    with pytest.raises(EngineError, match="no whole-module energy"):
        energy._soc_joules(JetsonMeasurement(cpu_energy_mj=100.0))


def test_without_a_sensor_there_is_a_reason_and_the_job_refuses(monkeypatch):
    import zeus.device
    from zeus.device.cpu.common import ZeusCPUInitError
    from zeus.device.gpu.common import ZeusGPUInitError
    from zeus.device.soc.common import ZeusSoCInitError

    def absent(error, text):
        def probe():
            raise error(text)
        return probe

    monkeypatch.setattr(zeus.device, "get_gpus", absent(ZeusGPUInitError, "no NVML"))
    monkeypatch.setattr(zeus.device, "get_cpus", absent(ZeusCPUInitError, "no RAPL"))
    monkeypatch.setattr(zeus.device, "get_soc", absent(ZeusSoCInitError, "no SoC"))
    assert "gpu: the work is on cpu" in energy.open_meter("cpu").reason
    meter = energy.open_meter("cuda")
    assert isinstance(meter, Unavailable)
    assert all(text in meter.reason for text in ("gpu: no NVML", "cpu: no RAPL", "soc: no SoC"))
    with pytest.raises(EngineError, match="no energy sensor that can be read"):
        energy.measure_energy(variant="pocket-200k", engine="transformers", dtype="float32", threads=1, device="cpu",
                              prompt_tokens=4, output_tokens=4, seed=0)
