"""Jobs for tests of the worker and of the runner: importable by name in a fresh process."""

from __future__ import annotations

import os
import signal
import time


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


def probe_of_another_processor() -> dict[str, str]:
    """A probe of what was compiled for another processor."""
    os.kill(os.getpid(), signal.SIGILL)
    return {}
