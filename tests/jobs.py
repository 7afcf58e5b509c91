"""Jobs for tests of the worker and of the runner: importable by name in a fresh process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

from edgekit import progress


def square(*, number: int, threads: int = 1, device: str = "cpu") -> dict:
    return {"observations": [{"metric": "ttft_s", "value": number**2 + 0.5}, {"metric": "load_s", "value": float(number)}]}


def slow_square(*, number: int) -> dict:
    time.sleep(0.1)
    return square(number=number)


def hang() -> None:
    time.sleep(600)


def die(*, how: int) -> None:
    os.kill(os.getpid(), how)


def eat(*, gigabytes: float) -> None:
    hoard = []
    while len(hoard) < gigabytes * 100:
        hoard.append(b"x" * 10**7)
        time.sleep(0.005)
    time.sleep(5)


def refuse() -> None:
    from edgekit.engines.base import EngineError

    raise EngineError("the engine does not want to; ask another")


def break_down() -> None:
    raise KeyError("missing")


def process() -> dict:
    return {"pid": os.getpid(), "parent": os.getppid(), "omp": os.environ.get("OMP_NUM_THREADS")}


def pid() -> dict:
    return {"observations": [{"metric": "load_s", "value": os.getpid()}]}


def fail_on(*, number: int, bad: int) -> dict:
    if number == bad:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    return square(number=number)


def warn(*, told: list) -> dict:
    return square(number=1) | {"warnings": told}


def give_nan(*, number: int) -> dict:
    return {"observations": [{"metric": "ttft_s", "value": float("nan")}]}


def give_nothing(*, number: int) -> dict:
    return {"observations": []}


def start_a_child() -> int:
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


def probe_that_lacks() -> dict[str, str]:
    """A probe (see edgekit.engines.probe) of a build without a kernel for one format; its library prints, as some do."""
    print("loading kernels")
    return {"awq": "no kernel"}


def probe_of_another_kernel() -> dict[str, str]:
    """A probe of what loads, and was compiled for another processor."""
    print("a block of 64 tokens times a matrix of Q4_0", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGILL)
    return {}


def probe_of_another_processor() -> dict[str, str]:
    """A probe of what was compiled for another processor."""
    os.kill(os.getpid(), signal.SIGILL)
    return {}


def spin(*, seconds: float) -> dict:
    """Compute without a report, as a library does that loads or compiles."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return {"done": True}


def wait_for_a_compiler(*, seconds: float) -> dict:
    """Wait for a child that computes."""
    subprocess.run([sys.executable, "-c", f"import jobs; jobs.spin(seconds={seconds})"], check=True)
    return {"done": True}


def step_and_sleep(*, seconds: float) -> dict:
    """Wait for a device, and report each step of it."""
    for _ in range(int(10 * seconds)):
        time.sleep(0.1)
        progress.step()
    return {"done": True}


def foretell_and_sleep(*, foretold: float, seconds: float) -> dict:
    """Foretell one time and take another."""
    progress.foretell(foretold)
    return step_and_sleep(seconds=seconds)


def hang_beside_a_poller() -> dict:
    """Wait for ever while another process of multiprocessing's, as pollers of energy counters are, keeps on."""
    child = multiprocessing.get_context("spawn").Process(target=spin, kwargs={"seconds": 60}, daemon=True)
    child.start()
    child.join()
    return {}


def chatter(*, megabytes: int) -> dict:
    """Print much, and go on for a moment."""
    for _ in range(megabytes):
        print("x" * 10**6, flush=True)
        time.sleep(0.05)
    time.sleep(0.5)
    return {"done": True}


def limits(*, number: int) -> dict:
    """Threads that the environment gives OpenMP, and whether it limits a library of its own."""
    own = sum(name in os.environ for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    return {"observations": [{"metric": "ttft_s", "value": float(os.environ["OMP_NUM_THREADS"])},
                             {"metric": "load_s", "value": float(own)}]}
