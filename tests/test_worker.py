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

from edgekit.measure import worker
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


@pytest.mark.parametrize("job", ["hang", "hang_beside_a_poller"])
def test_a_job_that_neither_steps_nor_computes_is_hung(job):
    start = time.monotonic()
    with pytest.raises(JobFailed, match="hung: no sign of life for 2 s") as caught:
        run_job(f"jobs:{job}", {}, timeout_s=600, hung_s=2)
    assert caught.value.kind == "hung" and time.monotonic() - start < 60
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("job", ["spin", "wait_for_a_compiler", "step_and_sleep"])
def test_a_job_that_computes_or_steps_is_not_hung_however_long_it_takes(job):
    assert run_job(f"jobs:{job}", {"seconds": 4}, timeout_s=60, hung_s=1) == {"done": True}


def test_slow_is_longer_than_may_be_or_ten_times_what_was_foretold():
    with pytest.raises(JobFailed, match=r"slow: stopped after 2 s, the longest that a unit may take .timeout_s.;") as caught:
        run_job("jobs:spin", {"seconds": 60}, timeout_s=2)
    assert caught.value.kind == "slow"
    foretold = "slow: .* foretold 0.1 s, and 10 times that, at least 1 s, is the limit"
    with pytest.raises(JobFailed, match=foretold) as caught:
        run_job("jobs:foretell_and_sleep", {"foretold": 0.1, "seconds": 60}, timeout_s=60, least_slow_s=1)
    assert caught.value.kind == "slow"
    with pytest.raises(JobFailed, match=foretold):
        run_job("jobs:step_and_sleep", {"seconds": 60}, timeout_s=60, least_slow_s=1, foretold_s=0.1)
    late = dict(foretold=0.5, seconds=3)
    assert run_job("jobs:foretell_and_sleep", late, timeout_s=60, least_slow_s=1) == {"done": True}, "six times is not slow"
    assert run_job("jobs:foretell_and_sleep", late | dict(foretold=0.1), timeout_s=60) == {"done": True}, "at least 120 s"


def test_what_one_job_foretold_does_not_bind_the_next():
    with Worker() as worker:
        for seconds in (0, 3):
            foretold = 0.1 if not seconds else 1.0
            assert worker.run("jobs:foretell_and_sleep", dict(foretold=foretold, seconds=seconds), timeout_s=60,
                              least_slow_s=1) == {"done": True}
        assert worker.run("jobs:step_and_sleep", {"seconds": 2}, timeout_s=60, least_slow_s=1) == {"done": True}


def test_a_job_that_outgrows_its_memory_is_ended():
    with pytest.raises(JobFailed, match="the limit is 0.3 GB") as caught:
        run_job("jobs:eat", {"gigabytes": 2.0}, timeout_s=60, memory_limit_bytes=300_000_000)
    assert caught.value.kind == "memory"


def test_what_a_job_prints_does_not_fill_the_disk(monkeypatch):
    monkeypatch.setattr(worker, "LOG_BYTES", 3_000_000)
    with Worker() as one:
        assert one.run("jobs:chatter", {"megabytes": 12}, timeout_s=60) == {"done": True}
        assert one._log.stat().st_size < 9_000_000


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
