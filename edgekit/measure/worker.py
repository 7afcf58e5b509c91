"""One process a measurement: a fresh interpreter with a time limit and a memory limit.

An out-of-memory kill, a crash or a hang costs one unit and not the study: it comes back as `JobFailed` with its reason.
The child ends when its parent does (its standard input closes), so a killed study leaves nothing running.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

POLL_S = 0.2
# Errors whose own text is the sentence that a reader needs; of any other the type is named too.
PLAIN_ERRORS = ("EngineError", "BuildError", "ModelError", "VariantError", "TaskError", "DeviceError")


class JobFailed(RuntimeError):
    """A job gave no result: `kind` is memory, timeout, crash or refused; the message is the reason."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind


def run_job(function: str, arguments: dict, *, timeout_s: float, memory_limit_bytes: int | None = None,
            environment: dict[str, str] | None = None) -> dict:
    """Call `module:function` with `arguments` in a fresh process and return its JSON-like result.

    Raises JobFailed when it is killed, hangs past `timeout_s`, grows past `memory_limit_bytes` (resident), or raises.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-job-") as folder:
        result = Path(folder) / "result.json"
        log = Path(folder) / "log.txt"
        job = json.dumps(dict(function=function, arguments=arguments, result=str(result)))
        with open(log, "wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "edgekit.measure.worker"], stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(environment or {})})
        try:
            child.stdin.write(job.encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; its exit code is read below
        try:
            stopped = _wait(child, timeout_s, memory_limit_bytes)
        finally:
            _kill(child)
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        if stopped:
            raise JobFailed(*stopped)
        answer = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
        if "value" in answer:
            return answer["value"]
        if "error" in answer:
            raise JobFailed(answer["kind"], answer["error"])
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        if child.returncode == -signal.SIGKILL:
            raise JobFailed("memory", "killed from outside (signal 9): the system ran out of memory, as a rule")
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit status {child.returncode}"
        raise JobFailed("crash", f"the process ended with {how} and no result; it last said: {tail[0]}")


def _wait(child: subprocess.Popen, timeout_s: float, memory_limit_bytes: int | None) -> tuple[str, str] | None:
    """Wait for the child's end; a (kind, reason) if a limit was passed first."""
    import psutil

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            child.wait(POLL_S)
            return None
        except subprocess.TimeoutExpired:
            pass
        if time.monotonic() > deadline:
            return "timeout", f"no result within {timeout_s:.0f} s: hung, or too slow for its time limit (timeout_s)"
        if memory_limit_bytes is not None:
            try:
                used = psutil.Process(child.pid).memory_info().rss
            except psutil.NoSuchProcess:
                continue
            if used > memory_limit_bytes:
                return "memory", (f"used {used / 1e9:.1f} GB of memory, the limit is {memory_limit_bytes / 1e9:.1f} GB "
                                  "(memory_share of what was free)")


def _kill(child: subprocess.Popen) -> None:
    """End the child and whatever it started: energy counters are polled by processes that would outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group that is gone
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1 << 10):
        pass
    os._exit(1)


def _kind(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
        return "memory"
    return "refused" if type(error).__name__ in PLAIN_ERRORS else "crash"


def main() -> int:
    """The child: read one job from standard input, write its result as JSON, exit."""
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, name = job["function"].split(":")
    try:
        answer = {"value": getattr(importlib.import_module(module), name)(**job["arguments"])}
    except Exception as error:  # the edge of the process: whatever it was becomes the unit's reason
        traceback.print_exc()
        text = str(error).strip().splitlines()[:1] or [""]
        plain = type(error).__name__ in PLAIN_ERRORS
        answer = {"kind": _kind(error), "error": text[0] if plain else f"{type(error).__name__}: {text[0]}"}
    result = Path(job["result"])
    temporary = result.with_suffix(".tmp")
    temporary.write_text(json.dumps(answer), encoding="utf-8")
    os.replace(temporary, result)
    sys.stdout.flush()
    # Skip interpreter shutdown: some runtimes crash while unloading, after the result is safe.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
