"""Published facts of devices, and the stable name of the machine that we are on."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from edgekit.catalog import platforms
from edgekit.catalog.platforms import Identity, identify, name_device

EPYC_IN_A_VM = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
cpu MHz\t\t: 2596.134

processor\t: 1
vendor_id\t: AuthenticAMD
"""
XEON = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
"""
RYZEN = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 80
model name\t: AMD Ryzen 7 5800U with Radeon Graphics
"""
METEOR_LAKE = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 170
model name\t: Intel(R) Core(TM) Ultra 7 155H
"""
ARM_SERVER = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd aes sve asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd4f
CPU revision\t: 1
"""
SNAPDRAGON = ARM_SERVER + "\nHardware\t: Qualcomm Technologies, Inc SM8650\n"


@pytest.mark.parametrize(("cpuinfo", "board", "gpu", "slug", "published"), [
    (EPYC_IN_A_VM, "", "", "amd-epyc-zen4-2c", None),
    (XEON, "", "", "intel-xeon-platinum-8481c-2c", None),
    (RYZEN, "", "", "amd-ryzen-7-5800u-2c", None),
    (ARM_SERVER, "", "", "neoverse-v2-2c", None),
    (METEOR_LAKE, "", "", "intel-core-ultra", "intel-core-ultra"),
    (SNAPDRAGON, "", "", "snapdragon-8-gen3", "snapdragon-8-gen3"),
    (XEON, "", "NVIDIA H200", "nvidia-h200", "nvidia-h200"),
    (XEON, "", "NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090", None),
    (ARM_SERVER, "NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "Orin (nvgpu)", "jetson-orin-nx",
     "jetson-orin-nx"),
    (ARM_SERVER, "NVIDIA Jetson AGX Orin Developer Kit", "", "jetson-agx-orin-64gb", "jetson-agx-orin-64gb"),
    (ARM_SERVER, "Raspberry Pi 5 Model B Rev 1.0", "", "raspberry-pi-5-model-b", None),
])
def test_recorded_machines_have_a_stable_slug(cpuinfo, board, gpu, slug, published):
    device = name_device(identify(cpuinfo, board=board, gpu=gpu, cores=2))
    assert (device.slug, device.published) == (slug, published)


def test_apple_names_itself_in_one_string():
    assert name_device(Identity(brand="Apple M2 Pro", cores=12)).published == "apple-m2-pro"
    assert name_device(Identity(brand="Apple M2", cores=8)).slug == "apple-m2-8c"


def test_the_slug_of_this_machine_is_a_folder_name_and_stays_the_same():
    slug = platforms.current().slug
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    platforms.current.cache_clear()
    assert platforms.current().slug == slug


def test_the_papers_table_is_transcribed():
    printed = {"apple-m2-pro": (19, 32, 30), "snapdragon-8-gen3": (73, 16, 10), "intel-core-ultra": (34, 32, 28),
               "jetson-orin-nx": (100, 16, 25)}
    for name, (tops, memory_gb, power_w) in printed.items():
        known = platforms.get(name)
        assert (known.compute_op_per_s, known.memory_bytes, known.power_w) == (tops * 1e12, memory_gb * 1e9, power_w)
        assert known.profile == name


def test_bandwidths_follow_from_transfers_times_bus_width():
    """DDR moves a bus width each transfer: MT/s times bytes is what the makers print, rounded down at most."""
    transfers = {"apple-m2-pro": (6400e6, 32), "snapdragon-8-gen3": (9600e6, 8), "intel-core-ultra": (5600e6, 16),
                 "jetson-orin-nx": (6400e6, 16), "jetson-agx-orin-64gb": (6400e6, 32)}
    for name, (rate, width) in transfers.items():
        assert platforms.get(name).memory_bandwidth_byte_per_s == pytest.approx(rate * width, rel=0.025)


def test_every_fact_has_a_source():
    for known in platforms.load().values():
        named = ", ".join(known.source)
        assert all(fact in named for fact in ("compute", "memory bandwidth", "power")), known.id
        assert re.search(r"memory(,|$)", named), known.id
        assert all(len(locator) > 20 for locator in known.source.values())


def test_an_unknown_platform_lists_the_known_ones():
    with pytest.raises(platforms.PlatformError, match="unknown platform 'orin'; known: apple-m2-pro, .*nvidia-h200"):
        platforms.get("orin")


def test_a_wrong_entry_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "published"
    folder.mkdir(parents=True)
    (folder / "platforms.yaml").write_text("toaster: {name: T, match: T, power: 3}\n")
    monkeypatch.setattr(platforms.store, "ROOT", tmp_path)
    platforms.load.cache_clear()
    try:
        with pytest.raises(platforms.PlatformError, match="toaster: wrong or missing facts: .*power_w"):
            platforms.load()
    finally:
        platforms.load.cache_clear()


def test_a_board_names_itself_before_anything_heavy_is_imported():
    code = ("import sys; from edgekit.catalog import platforms; platforms.current(); platforms.load();"
            "print([m for m in ('torch', 'numpy', 'pandas', 'transformers') if m in sys.modules])")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_fact_of_a_platform_has_its_source():
    for board in platforms.load().values():
        for fact in ("memory bandwidth", "compute", "memory", "power"):
            assert len(board.where(fact)) > 20, (board.id, fact)
    with pytest.raises(platforms.PlatformError, match="jetson-orin-nx: no source for 'weight'; known: compute"):
        platforms.get("jetson-orin-nx").where("weight")
