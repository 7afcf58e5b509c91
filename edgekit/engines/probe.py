"""What an installed engine cannot do on this processor, found out in a process that the answer may kill.

A wheel holds one build for several processors, or was compiled on another one: the package is there, and its kernels are not.
"""

from __future__ import annotations

import functools
import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping

from edgekit.catalog.engines import ENGINES

EVERYTHING = "*"  # stands for every format
TIMEOUT_S = 300  # importing a runtime from a cold disk is slow
CHILD = "from edgekit.engines import probe; probe.main()"
IMPORT = "import importlib, sys; importlib.import_module(sys.argv[1])"
WNA16 = "cpu_gemm_wna16"  # vLLM's product of 16-bit activations and 4-bit weights on a CPU


@functools.cache
def ask(function: str) -> str:
    """What a `module:function` answers in a process of its own, which may die of it: then "" with nothing said, since what does
    not load is refused by `missing`. Asked once a process."""
    done = _in_a_child(function)
    return json.loads(done.stdout.splitlines()[-1]) if done is not None and done.returncode == 0 else ""


@functools.cache
def lacks(engine: str) -> Mapping[str, str]:
    """Format -> why this build of an engine cannot load it on this processor; {} where nothing is known to be missing.

    Asked once a process: it starts an interpreter that imports the runtime.
    """
    probe = ENGINES[engine].probe
    if probe is None:
        return {}
    done = _in_a_child(probe)
    if failed := _failed(engine, done):
        return {EVERYTHING: failed}
    return {format: f"{engine}: {why}" for format, why in json.loads(done.stdout.splitlines()[-1]).items()}


@functools.cache
def unloadable(engine: str) -> str | None:
    """Why an installed engine does not load at all, by its probe or, where it has none, by an import in a process of its own;
    None where it does. Asked once a process."""
    entry = ENGINES[engine]
    if entry.probe is not None:
        return lacks(engine).get(EVERYTHING)
    return _failed(engine, _in_a_child(entry.module, IMPORT))


def _failed(engine: str, done: subprocess.CompletedProcess | None) -> str | None:
    """Why an engine does not load, by the end of the process that tried; None where it does."""
    if done is None:
        return f"{engine}: did not load within {TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode < 0:  # a probe says what it is about to do
        said = f"dies with {signal.Signals(-done.returncode).name}" + f" in {last}" * bool(last)
    else:
        said = last or f"exit status {done.returncode}"
    return f"{engine}: does not load ({said}); delete .venv and install it again: {ENGINES[engine].runtime.install()}"


def _in_a_child(argument: str, program: str = CHILD) -> subprocess.CompletedProcess | None:
    """The end of a process that calls a `module:function` and prints its answer as the last line, or of another `program`; None
    after TIMEOUT_S."""
    try:
        return subprocess.run([sys.executable, "-c", program, argument], capture_output=True, text=True, check=False,
                              timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return None


def missing(engine: str, format: str) -> str | None:
    """Why an installed engine cannot load a format on this processor; None where nothing is known to be missing."""
    found = lacks(engine)
    return found.get(EVERYTHING) or found.get(format)


def vllm() -> dict[str, str]:
    """A probe: of the CPU's builds in vLLM's wheel, that for AVX2 has no kernel for 4-bit weights."""
    from vllm.platforms import current_platform

    if current_platform.device_type != "cpu":
        return {}
    current_platform.import_kernels()
    why = no_packed_kernel()
    return dict.fromkeys(("awq", "gptq"), why) if why else {}


def no_packed_kernel() -> str | None:
    """Why vLLM, imported in this process, cannot multiply 4-bit weights on a CPU; None where it can."""
    import torch
    import vllm.version

    if hasattr(torch.ops._C, WNA16):
        return None
    return (f"vLLM {vllm.version.__version__} has no kernel for 4-bit weights on this processor ({WNA16} is in its build for "
            "AVX-512 alone): take a float type, or another engine for 4 bits")


def main() -> None:
    """The child: run the probe named on the command line and print what it found as the last line."""
    module, name = sys.argv[1].split(":")
    found = getattr(importlib.import_module(module), name)()
    print(json.dumps(found))
