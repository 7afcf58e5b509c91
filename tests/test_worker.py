"""Whatever happens to one measurement comes back as its reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgekit.measure.worker import JobFailed, Worker, run_job

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def jobs_are_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE)


def test_a_job_runs_in_a_process_of_its_own_and_answers():
    one, two = (run_job("jobs:process", {}, timeout_s=60, environment={"OMP_NUM_THREADS": "3"}) for _ in range(2))
    assert one["parent"] == two["parent"] == os.getpid()
    assert len({one["pid"], two["pid"], os.getpid()}) == 3
    assert one["omp"] == "3"
    assert run_job("jobs:square", {"number": 7}, timeout_s=60)["observations"][0]["value"] == 49.5


@pytest.mark.parametrize("function, arguments, kind, says", [
    ("jobs:die", {"how": int(signal.SIGKILL)}, "memory", "killed from outside .signal 9.: the system ran out of memory"),
    ("jobs:die", {"how": int(signal.SIGSEGV)}, "crash", "signal 11 and no result"),
    ("jobs:refuse", {}, "refused", "^the engine does not want to; ask another$"),
    ("jobs:break_down", {}, "crash", "KeyError: 'missing'"),
    ("jobs:nothing", {}, "crash", "AttributeError"),
    ("jobs:fail_on", {"number": 1, "bad": 1}, "memory", "out of memory"),
])
def test_each_way_to_fail_has_its_reason(function, arguments, kind, says):
    with pytest.raises(JobFailed, match=says) as caught:
        run_job(function, arguments, timeout_s=60)
    assert caught.value.kind == kind


def test_a_worker_does_one_job_after_another_in_one_process():
    with Worker({"OMP_NUM_THREADS": "3"}) as worker:
        one, two = (worker.run("jobs:process", {}, timeout_s=60) for _ in range(2))
        assert one == two and one["omp"] == "3"
        assert [worker.run("jobs:square", {"number": n}, timeout_s=60)["observations"][1]["value"] for n in (2, 5)] == [2, 5]
        process = psutil.Process(one["pid"])
        with pytest.raises(JobFailed, match="KeyError"):
            worker.run("jobs:break_down", {}, timeout_s=60)
        assert worker.alive and worker.run("jobs:process", {}, timeout_s=60) == one, "an exception costs one job only"
        with pytest.raises(JobFailed, match="signal 11") as caught:
            worker.run("jobs:die", {"how": int(signal.SIGSEGV)}, timeout_s=60)
        assert caught.value.kind == "crash" and not worker.alive
        with pytest.raises(JobFailed, match="signal 11"):
            worker.run("jobs:process", {}, timeout_s=60)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_hung_job_is_ended_at_its_limit():
    start = time.monotonic()
    with pytest.raises(JobFailed, match="no result within 2 s: hung, or too slow") as caught:
        run_job("jobs:hang", {}, timeout_s=2)
    assert caught.value.kind == "timeout" and time.monotonic() - start < 60
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def test_a_job_that_outgrows_its_memory_is_ended():
    with pytest.raises(JobFailed, match="the limit is 0.3 GB") as caught:
        run_job("jobs:eat", {"gigabytes": 2.0}, timeout_s=60, memory_limit_bytes=300_000_000)
    assert caught.value.kind == "memory"


def test_a_job_ends_when_its_parent_is_killed():
    program = "from edgekit.measure.worker import run_job; run_job('jobs:hang', {}, timeout_s=600)"
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        while not (children := psutil.Process(parent.pid).children()):
            time.sleep(0.05)
        parent.kill()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def test_what_a_job_started_ends_with_it():
    pid = run_job("jobs:start_a_child", {}, timeout_s=60)
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
