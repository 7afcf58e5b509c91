"""Power, throttling and the monitor, on what the boards' own tools and files print."""

from __future__ import annotations

import ast
import math
import re
import time
from pathlib import Path

import pytest
from test_device import tree

from edgekit.catalog.engines import ENGINES
from edgekit.measure import energy, monitor, power, sensors, throttle
from edgekit.measure.energy import Meter, Unavailable
from edgekit.measure.monitor import Monitor, Sample, summary
from edgekit.measure.power import Counter, Integral, PowerError, Source

HWMON = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/"
ORIN_NX = {HWMON + "in1_label": "VDD_IN\n", HWMON + "in1_input": "4960\n", HWMON + "curr1_input": "1480\n",
           HWMON + "in2_label": "VDD_CPU_GPU_CV\n", HWMON + "in2_input": "4960\n", HWMON + "curr2_input": "400\n",
           HWMON + "in3_label": "VDD_SOC\n", HWMON + "in3_input": "4960\n", HWMON + "curr3_input": "300\n",
           HWMON + "in7_label": "sum of shunt voltages\n", HWMON + "in7_input": "8\n"}
AGX_2 = "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/"
AGX_ORIN = {HWMON + "in1_label": "VDD_GPU_SOC\n", HWMON + "in1_input": "19096\n", HWMON + "curr1_input": "800\n",
            HWMON + "in2_label": "VDD_CPU_CV\n", HWMON + "in2_input": "19104\n", HWMON + "curr2_input": "100\n",
            HWMON + "in3_label": "VIN_SYS_5V0\n", HWMON + "in3_input": "4968\n", HWMON + "curr3_input": "900\n",
            AGX_2 + "in1_label": "NC\n", AGX_2 + "in1_input": "0\n", AGX_2 + "curr1_input": "0\n",
            AGX_2 + "in2_label": "VDDQ_VDD2_1V8AO\n", AGX_2 + "in2_input": "4968\n", AGX_2 + "curr2_input": "60\n"}
# The forms of JetPack 6 (mW, parts without power, a GPU with a list of clocks) and of JetPack 4 (no unit)
TEGRASTATS = ("07-01-2026 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [3%@729,0%@729,off,off] "
              "EMC_FREQ 0%@2133 GR3D_FREQ 41%@[918,918] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C "
              "GPU@-256C tj@44.343C VDD_GPU_SOC 2340mW/2310mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
              "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW\n")
OLD_TEGRASTATS = ("RAM 2020/7852MB (lfb 1164x4MB) CPU [9%@345,21%@345] EMC_FREQ 0% GR3D_FREQ 0% PLL@42.5C GPU@41C "
                  "VDD_SYS_GPU 153/158 VDD_IN 3140/3208 VDD_SYS_DDR 557/601\n")
POWERMETRICS = """*** Sampled system activity (Sat Nov  4 10:31:12 2025 +0100) (102.41ms elapsed) ***

**** Processor usage ****

E-Cluster Online: 100%
E-Cluster HW active frequency: 1037 MHz
CPU 0 frequency: 1041 MHz
CPU Power: 5102 mW
GPU Power: 1312 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 6414 mW

**** GPU usage ****

GPU HW active frequency: 444 MHz
GPU Power: 1312 mW

**** Thermal pressure ****

Current pressure level: {}
"""
RAPL = "sys/class/powercap/intel-rapl:0/"
BATTERY = "sys/class/power_supply/battery/"
PHONE = {BATTERY + "type": "Battery\n", BATTERY + "status": "Discharging\n", BATTERY + "current_now": "-1250000\n",
         BATTERY + "voltage_now": "4012000\n"}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(sensors, "_nvml", lambda: "NVML: no driver")


def watts(root) -> dict[str, float]:
    return {source.name: source.read() for source in power.sources(root)}


# Rails


def test_a_module_with_an_input_rail_is_that_rail_in_watts(tmp_path):
    seen = watts(tree(tmp_path, ORIN_NX))
    assert seen == pytest.approx({"VDD_IN": 4.96 * 1.48, "VDD_CPU_GPU_CV": 4.96 * 0.4, "VDD_SOC": 4.96 * 0.3})
    assert [source.name for source in power.sources(tmp_path) if source.whole] == ["VDD_IN"]


def test_a_module_without_one_is_the_sum_of_its_supplies_and_not_of_their_parts(tmp_path):
    [whole] = [source for source in power.sources(tree(tmp_path, AGX_ORIN)) if source.whole]
    assert whole.read() == pytest.approx(19.096 * 0.8 + 19.104 * 0.1 + 4.968 * 0.9)
    assert "NC" not in watts(tmp_path) and whole.scope == power.SOC


def test_a_missing_rail_leaves_parts_and_no_module(tmp_path):
    files = {name: text for name, text in AGX_ORIN.items() if "curr3" not in name}
    assert {source.name: source.whole for source in power.sources(tree(tmp_path, files))} == {
        "VDD_GPU_SOC": False, "VDD_CPU_CV": False, "VDDQ_VDD2_1V8AO": False}


def test_a_counter_of_energy_is_power_over_its_wrap(tmp_path, monkeypatch):
    counter, range_ = tmp_path / "energy_uj", tmp_path / "max_energy_range_uj"
    range_.write_text("1000000000\n")
    clock = iter([0.0, 2.0, 4.0])
    monkeypatch.setattr(power.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(power.time, "sleep", lambda seconds: counter.write_text("970000000\n"))
    counter.write_text("950000000\n")
    read = Counter("package-0", counter, range_)
    assert read() == pytest.approx(10.0), "20 J in 2 s"
    counter.write_text("30000000\n")
    assert read() == pytest.approx(30.0), "60 J in 2 s: 30 to the end of the range and 30 after it"


def test_packages_count_and_what_is_below_them_does_not(tmp_path):
    files = {RAPL + "name": "package-0\n", RAPL + "energy_uj": "5\n", RAPL + "max_energy_range_uj": "262143328850\n",
             "sys/class/powercap/intel-rapl:0:0/name": "core\n", "sys/class/powercap/intel-rapl:0:0/energy_uj": "5\n"}
    assert [(source.name, source.scope) for source in power.sources(tree(tmp_path, files))] == [("RAPL package-0", power.CPU)]


def test_a_counter_that_may_not_be_read_says_what_to_do(tmp_path, monkeypatch):
    root = tree(tmp_path, {RAPL + "name": "package-0\n", RAPL + "energy_uj": "5\n"})
    plain = Path.read_text

    def denied(path, *arguments, **named):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return plain(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", denied)
    assert power.sources(root) == []
    assert power.why_not(root) == [f"RAPL package-0: {root / RAPL}/energy_uj may not be read (as root: chmod o+r "
                                   f"{root / RAPL}/energy_uj)"]


def test_a_phone_is_metered_at_its_battery_while_it_discharges(tmp_path):
    assert watts(tree(tmp_path, PHONE)) == {"battery battery": pytest.approx(1.25 * 4.012)}, "the sign is the maker's"


@pytest.mark.parametrize(("changed", "why"), [
    ({BATTERY + "status": "Charging\n"}, "status Charging, and what a charger gives is not what the phone takes: unplug it"),
    ({BATTERY + "current_now": "-1250\n"}, "current_now gives 1250, which as µA is less than a running phone takes"),
    ({BATTERY + "voltage_now": "\n"}, "voltage_now: .*voltage_now gave no number")])
def test_a_battery_that_cannot_tell_is_refused_by_name(tmp_path, changed, why):
    root = tree(tmp_path, PHONE | changed)
    assert power.sources(root) == []
    assert len(power.why_not(root)) == 1 and re.search(why, power.why_not(root)[0])


def test_a_laptops_battery_is_no_phone(tmp_path):
    assert power.sources(tree(tmp_path, PHONE | {"sys/class/dmi/id/product_name": "Laptop\n"})) == []


# Tools


def test_tegrastats_of_both_ages_is_read_in_milliwatts():
    assert power.tegrastats_w(TEGRASTATS) == {"VDD_GPU_SOC": 2.34, "VDD_CPU_CV": 0.39, "VIN_SYS_5V0": 4.025,
                                              "VDDQ_VDD2_1V8AO": 0.301}
    assert power.tegrastats_w(OLD_TEGRASTATS) == {"VDD_SYS_GPU": 0.153, "VDD_IN": 3.14, "VDD_SYS_DDR": 0.557}
    assert power.tegrastats_w("RAM 1/2MB CPU [0%@345]") == {}


def test_powermetrics_is_read_in_watts():
    assert power.powermetrics_w(POWERMETRICS.format("Nominal")) == {"CPU": 5.102, "GPU": 1.312, "ANE": 0.0, "Combined": 6.414}
    assert power.powermetrics_w("Combined Power (CPU + GPU + ANE): 12 W\n") == {"Combined": 12.0}
    assert power.powermetrics_w("CPU Power: not available\n") == {}


def program(folder, text):
    path = tree(folder, {"bin/tegrastats": "#!/bin/sh\n" + text}) / "bin/tegrastats"
    path.chmod(0o755)
    return path


def test_a_tool_is_followed_and_its_end_is_told(tmp_path):
    later = TEGRASTATS.replace("2340", "9340")
    path = program(tmp_path, f"cat <<'E'\n{TEGRASTATS}E\nsleep 0.4\ncat <<'E'\n{later}E\nsleep 0.4\n"
                             "echo 'tegrastats: cannot open /sys/kernel/debug: Permission denied' >&2\nexit 3\n")
    with power.Tool([str(path)], power.tegrastats_w, "RAM ") as tool:
        whole = power.of_tool(tool)
        assert whole.read() == pytest.approx(2.34 + 0.39 + 4.025)
        time.sleep(0.6)
        assert whole.read() == pytest.approx(9.34 + 0.39 + 4.025)
        time.sleep(0.6)
        with pytest.raises(PowerError, match="ended with status 3: tegrastats: cannot open .*Permission denied"):
            whole.read()


def test_a_tool_that_stops_printing_or_shows_parts_alone_gives_no_power(tmp_path, monkeypatch):
    monkeypatch.setattr(power, "TOOL_STALE_S", 0.3)
    path = program(tmp_path, f"cat <<'E'\n{TEGRASTATS.replace('VIN_SYS_5V0', 'XX')}E\nexec sleep 20\n")
    with power.Tool([str(path)], power.tegrastats_w, "RAM ") as tool:
        with pytest.raises(PowerError, match="shows no rail of the whole module; it shows VDD_GPU_SOC, VDD_CPU_CV"):
            power.of_tool(tool).read()
        time.sleep(0.4)
        with pytest.raises(PowerError, match="printed no sample for"):
            tool.latest()
    with pytest.raises(PowerError, match="nowhere is not on PATH"):
        power.Tool(["nowhere"], power.tegrastats_w, "RAM ")


# Energy of a window


def test_energy_is_the_integral_of_power():
    began = time.monotonic()
    with Integral(Source("ramp", power.SOC, lambda: 10 * (time.monotonic() - began))) as integral:
        time.sleep(0.45)
    spent, end = integral.joules(), time.monotonic() - began
    assert spent == pytest.approx(5 * end**2, rel=0.05), "the area below a ramp, which trapezoids have exactly"


def test_a_window_of_a_board_without_zeus_has_its_joules_seconds_and_origin():
    meter = Meter(None, {"soc": "sampled"}, [Source("VDD_IN", power.SOC, lambda: 7.0)])
    reading = meter.window(lambda: time.sleep(0.3))
    assert reading.seconds == pytest.approx(0.3, abs=0.1) and reading.joules["soc"] == pytest.approx(7 * 0.3, rel=0.4)
    assert reading.joules["soc"] >= 7 * reading.seconds * 0.99


def test_a_sensor_that_stops_in_a_window_ends_it():
    left = iter([7.0, 7.0])

    def read():
        try:
            return next(left)
        except StopIteration:
            raise PowerError("curr1_input: No such device") from None

    with pytest.raises(PowerError, match=r"VDD_IN stopped after 0\.\d s of a window: curr1_input: No such device"):
        Meter(None, {"soc": "sampled"}, [Source("VDD_IN", power.SOC, read)]).window(lambda: time.sleep(0.4))


def test_a_jetsons_own_rails_are_metered_and_a_charging_phone_is_told(tmp_path, monkeypatch):
    import zeus.device
    from zeus.device.cpu.common import ZeusCPUInitError

    def absent(*arguments):
        raise ZeusCPUInitError("none")

    for name in ("get_cpus", "get_gpus", "get_soc"):
        monkeypatch.setattr(zeus.device, name, absent)
    plain = power.sources
    monkeypatch.setattr(power, "sources", lambda: plain(tree(tmp_path / "orin", AGX_ORIN)))
    assert energy.sensors("cpu") == {"soc": "sampled"}
    meter = energy.open_meter("cpu")
    assert meter.monitor is None and [source.name for source in meter.sources] == ["VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"]
    phone = tree(tmp_path / "phone", PHONE | {BATTERY + "status": "Charging\n"})
    told = power.why_not(phone)
    monkeypatch.setattr(power, "sources", lambda: plain(phone))
    monkeypatch.setattr(power, "why_not", lambda: told)
    found = energy.sensors("cpu")
    assert isinstance(found, Unavailable) and "unplug it" in found.reason


# Throttling


COOLING = "sys/class/thermal/cooling_device{}/"


def cooling(*kinds):
    return {COOLING.format(number) + name: f"{text}\n" for number, (kind, state) in enumerate(kinds)
            for name, text in (("type", kind), ("cur_state", state))}


@pytest.mark.parametrize(("kinds", "found"), [
    ([("pwm-fan", 4), ("cpufreq-cpu0", 0), ("intel_powerclamp", -1)], set()),
    ([("pwm-fan", 4), ("cpufreq-cpu0", 3), ("devfreq-17000000.gpu", 0)], {"cooling by cpufreq-cpu0"}),
    ([("thermal-cpufreq-4", 1), ("thermal-devfreq-0", 2)], {"cooling by thermal-cpufreq-4", "cooling by thermal-devfreq-0"}),
    ([("cpu-throttle-alert", 1)], {"cooling by cpu-throttle-alert"})])
def test_what_slows_computing_is_throttling_and_a_fan_is_not(tmp_path, kinds, found):
    assert throttle.active(tree(tmp_path, cooling(*kinds))) == found


def test_nothing_that_tells_is_not_nothing_that_throttles(tmp_path):
    assert "no cooling device" in throttle.active(tree(tmp_path, cooling(("pwm-fan", 1))))["unavailable"]


@pytest.mark.parametrize(("bits", "found"), [(0x1, set()), (0x4, set()), (0x20, {"GPU software thermal slowdown"}),
                                             (0x48, {"GPU hardware slowdown", "GPU hardware thermal slowdown"})])
def test_nvmls_reasons_are_bits_and_idling_or_a_power_limit_are_none(tmp_path, monkeypatch, bits, found):
    monkeypatch.setattr(throttle, "_nvml_bits", lambda: bits)
    assert throttle.active(tmp_path) == found


def test_macos_warnings():
    quiet = "Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n"
    assert throttle.macos_warnings(quiet + "CPU_Speed_Limit \t= 100\n") == set()
    assert throttle.macos_warnings("CPU_Scheduler_Limit = 100\nCPU_Speed_Limit \t= 62\n") == {"CPU speed limit 62 %"}


def test_counters_are_of_a_package_once_and_one_that_was_set_back_counts_from_zero(tmp_path):
    texts = {"thermal_throttle/core_throttle_count": "4\n", "thermal_throttle/package_throttle_count": "9\n",
             "topology/physical_package_id": "0\n"}
    files = {f"sys/devices/system/cpu/cpu{cpu}/{name}": text for cpu in (0, 1) for name, text in texts.items()}
    files["sys/class/hwmon/hwmon5/oc2_event_cnt"] = "1\n"
    before = throttle.counts(tree(tmp_path, files))
    assert sorted(before.values()) == [1, 4, 4, 9]
    tree(tmp_path, {"sys/class/hwmon/hwmon5/oc2_event_cnt": "3\n",
                    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "1\n"})
    assert throttle.risen(before, throttle.counts(tmp_path)) == {"over-current throttling oc2": 2,
                                                                "thermal throttling of core of cpu1": 1}


# The monitor


def sample(at, clock=2e9, holding=(), **more):
    named = dict(clocks_hz={"cpu": clock}, temperatures_c={"cpu": 40.0 + at}, power_w={"VDD_IN": 10.0}) | more
    return Sample(at, holding=frozenset(holding), **named)


def test_clocks_that_change_in_mid_run_are_kept_with_their_ends():
    clocks = [1.98e9] * 60 + [0.73e9] * 40
    stood = summary([sample(at / 10, clock, ["cooling by cpufreq-cpu0"] * (clock < 1e9)) for at, clock in enumerate(clocks)],
                    {}, 0.1)
    assert stood.clocks_hz == {"cpu": [0.73e9, 1.98e9, 1.98e9]} and stood.temperatures_c["cpu"] == [40.0, pytest.approx(49.9)]
    assert stood.throttled == {"cooling by cpufreq-cpu0": pytest.approx(0.4)} and stood.lost == []
    assert stood.power_w == {"VDD_IN": pytest.approx(10.0)} and stood.seconds == pytest.approx(9.9)


def test_mean_power_is_over_time_and_not_over_samples():
    samples = [sample(at, power_w={"VDD_IN": watts}) for at, watts in [(0.0, 10.0), (0.1, 10.0), (0.2, 10.0), (2.0, 10.0),
                                                                      (2.1, 40.0), (4.1, 40.0)]]
    joules = 10.0 * 2.0 + 0.1 * 25.0 + 40.0 * 2.0
    assert summary(samples, {}, 0.2).power_w["VDD_IN"] == pytest.approx(joules / 4.1)


def test_a_sensor_that_stops_in_mid_run_is_told_and_its_numbers_are_not_kept():
    samples = [sample(at / 10, power_w={"VDD_IN": 9.0} if at < 45 else {}) for at in range(100)]
    stood = summary(samples, {}, 0.1)
    assert stood.power_w == {} and stood.clocks_hz["cpu"]
    assert stood.lost == ["VDD_IN answered in 45 of 100 samples, the last time after 4.4 s of 9.9 s: not kept"]


def test_a_machine_that_slept_is_told():
    samples = [sample(at / 10) for at in range(20)] + [sample(60 + at / 10) for at in range(20)]
    assert any("no sample for 58.1 s: the machine slept" in told for told in summary(samples, {}, 0.1).lost)


def test_a_wall_clock_that_jumps_changes_nothing(monkeypatch):
    jumps = iter([1e9, 2e9, 0.0, -5e8] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    began = time.monotonic()
    with Monitor(0.02) as watched:
        time.sleep(0.3)
    stood = watched.stood()
    assert 0.25 <= stood.seconds <= time.monotonic() - began and stood.samples >= 3 and not stood.lost


def test_no_duration_is_taken_from_a_clock_that_can_jump():
    """In what measures, runs and waits: time.time() is for dates alone."""
    package = Path(monitor.__file__).parents[1]
    folders = ("measure", "engines", "decode", "studies", "compress", "training", "fleet")
    for path in (path for folder in folders for path in (package / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func)
            assert called not in ("time.time", "time.time_ns", "datetime.utcnow"), f"{path}: {called}"
    assert len(ENGINES) > 3


def test_reading_that_is_slow_is_done_less_often():
    waits = []

    class Over:
        def wait(self, seconds):
            waits.append(seconds)
            return len(waits) > 3

    watched = Monitor(0.01, take_one=lambda: time.sleep(0.005) or sample(0.0))
    watched._over = Over()
    watched._follow()
    assert waits[0] == 0.01 and min(waits[1:]) >= 0.5, "5 ms of reading are at most 1 % of what lies between"
    assert watched.longest_s == max(waits) and len(watched.samples) == 3


def test_hours_are_thinned_and_keep_their_ends():
    numbers = iter(range(10**6))
    watched = Monitor(0.1, take_one=lambda: sample(next(numbers) / 10))
    for _ in range(10_000):
        watched._one()
    times = [one.at_s for one in watched.samples]
    assert len(times) <= monitor.MOST + 1 and times[0] == 0.0 and times[-1] == 999.9 and watched.period_s > 0.1
    assert all(math.isfinite(at) for at in times) and times == sorted(times)
