"""Measurements in processes of their own: a fresh interpreter with limits on its time and memory.

An out-of-memory kill, a crash, a hang or one that is too slow costs one unit and not the study: it comes back as `JobFailed`
with its reason (see waiting.py for what is hung and what is slow).
The child ends when its parent does (its standard input closes), so a killed study leaves nothing running.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from edgekit import progress
from edgekit.errors import EdgekitError, RunFailed
from edgekit.measure.waiting import Limits, Watch

POLL_S = 0.2
FULL = "No space left on device"
FULL_BYTES = 64 << 10  # less than what a process writes that does nothing: log, progress, result
LOG_BYTES = 64 << 20  # of what one process prints; past that what it printed goes, so that a night of it does not fill the disk


class JobFailed(RunFailed):
    """A job gave no result: `kind` is memory, disk, hung, slow, crash or refused; the message is the reason."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind


class Worker:
    """A fresh interpreter that does one job after another; also a context manager, which ends it.

    What is timed or weighed gets a worker of its own (`run_job`). Jobs whose results do not depend on what ran before them
    may share one: imports then cost seconds once, and not once a job.
    """

    def __init__(self, environment: dict[str, str] | None = None):
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-job-")
        self._log = Path(self._folder.name) / "log.txt"
        signs = Path(self._folder.name) / "progress"
        self._progress = progress.create(signs)
        self._done, done = os.pipe()
        with open(self._log, "ab") as output:  # appending, so that it may be cut while it is written
            self._child = subprocess.Popen(
                [sys.executable, "-m", "edgekit.measure.worker", str(done), str(signs)], stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=(done,), env={**os.environ, **(environment or {})})
        os.close(done)  # the child's copy is the last one: its death ends the pipe

    def run(self, function: str, arguments: dict, **limits) -> dict:
        """Call `module:function` with `arguments` and return its JSON-like result; `limits` are the fields of waiting.Limits.

        Raises JobFailed when the job is killed, hangs, is too slow, makes the process grow past `memory_limit_bytes`
        (resident), or raises; only in the last case is the worker `alive` afterwards.
        """
        limits = Limits(**limits)
        result = Path(self._folder.name) / "result.json"
        result.unlink(missing_ok=True)
        job = json.dumps(dict(function=function, arguments=arguments, result=str(result)))
        progress.reset(self._progress)
        with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code is read below
            self._child.stdin.write(job.encode() + b"\n")
            self._child.stdin.flush()
        if stopped := self._wait(limits):
            _kill(self._child)
            raise JobFailed(*stopped)
        answer = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
        if "value" in answer:
            return answer["value"]
        if "error" in answer:
            raise JobFailed(answer["kind"], answer["error"])
        self._child.wait()
        tail = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        if self._child.returncode == -signal.SIGKILL:
            raise JobFailed("memory", "killed from outside (signal 9): the system ran out of memory, as a rule")
        code = self._child.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if FULL in tail[0]:
            raise JobFailed("disk", tail[0])
        if (free := shutil.disk_usage(self._folder.name).free) < FULL_BYTES:  # then not even the reason could be written
            raise JobFailed("disk", f"the process ended with {how} and no result: {FULL}, {free} bytes are free in "
                            f"{self._folder.name}")
        raise JobFailed("crash", f"the process ended with {how} and no result; it last said: {tail[0]}")

    @property
    def alive(self) -> bool:
        """Whether it can take another job."""
        return self._child.poll() is None

    def close(self) -> None:
        """End the process and what it started."""
        _kill(self._child)
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        os.close(self._done)
        self._progress.close()
        self._folder.cleanup()

    def _wait(self, limits: Limits) -> tuple[str, str] | None:
        """Wait until a job is done or the process dead; a (kind, reason) if a limit was passed first."""
        import psutil

        watch, most = Watch(self._child.pid, self._progress, limits), limits.memory_limit_bytes
        while not select.select([self._done], [], [], POLL_S)[0]:
            if verdict := watch.verdict():
                return verdict
            if self._log.stat().st_size > LOG_BYTES:
                os.truncate(self._log, 0)
            if most is not None:
                try:
                    used = psutil.Process(self._child.pid).memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                if used > most:
                    return "memory", (f"used {used / 1e9:.1f} GB of memory, the limit is {most / 1e9:.1f} GB "
                                      "(memory_share of what was free)")
        os.read(self._done, 1)
        return None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def run_job(function: str, arguments: dict, *, environment: dict[str, str] | None = None, **limits) -> dict:
    """One job in a process of its own. Takes limits, returns and raises as `Worker.run` does."""
    with Worker(environment) as worker:
        return worker.run(function, arguments, **limits)


def _kill(child: subprocess.Popen) -> None:
    """End the child and whatever it started: energy counters are polled by processes that would outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group that is gone
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read_jobs(jobs: queue.Queue) -> None:
    """Put the lines of standard input into `jobs`, and end this process when its parent does."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(1)


def _kind(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
        return "memory"
    if FULL in str(error):
        return "disk"
    return "refused" if isinstance(error, EdgekitError) else "crash"


def _answer(job: dict) -> dict:
    module, name = job["function"].split(":")
    try:
        return {"value": getattr(importlib.import_module(module), name)(**job["arguments"])}
    except Exception as error:  # the edge of the process: whatever it was becomes the unit's reason
        traceback.print_exc()
        text = str(error).strip().splitlines()[:1] or [""]
        # A sentence of the kit stands alone; of any other error the type is named too.
        plain = isinstance(error, EdgekitError)
        return {"kind": _kind(error), "error": text[0] if plain else f"{type(error).__name__}: {text[0]}"}


def main() -> None:
    """The child: for each job on standard input write its result as JSON and a byte to the pipe named on the command line.

    It never leaves by itself: its parent kills it, because some runtimes crash while unloading, after the result is safe.
    """
    done = int(sys.argv[1])
    progress.attach(Path(sys.argv[2]))
    jobs: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        progress.begin()
        answer = _answer(job)
        result = Path(job["result"])
        temporary = result.with_suffix(".tmp")
        temporary.write_text(json.dumps(answer), encoding="utf-8")
        os.replace(temporary, result)
        sys.stdout.flush()
        os.write(done, b".")


if __name__ == "__main__":
    main()
