"""A program that somebody wrote, run in a child that can do little harm: what its test says of it.

The child is a fresh interpreter with the standard library alone, in an empty environment and a folder of its own. It has limits
on processor time, memory, files and processes, no network (a namespace of its own where the kernel gives one; an audit hook
refuses sockets in any case, and processes, and writing outside of the folder), and is killed with its group when its time is
over. It passes by a token that it writes behind the last assertion, so that one that leaves early has not passed.

This holds off accidents and mischief, not an attacker who knows it: for a model that you distrust, run the kit in a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import RunFailed
from edgekit.measure import sandbox_child


class SandboxError(RunFailed):
    """A program could not be run here at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds of processor time and of wall time, bytes of memory and of each file, open files, and bytes that it may say."""

    cpu_s: int = 10
    wall_s: float = 20.0
    memory_bytes: int = 2**30
    file_bytes: int = 2**20
    files: int = 64
    said_bytes: int = 2**14


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a program. reason: why it did not pass, in a word or two. guard: what kept it from the network."""

    passed: bool
    timed_out: bool
    reason: str
    guard: str


def run(program: str, test: str, limits: Limits = Limits()) -> Verdict:  # noqa: B008, a frozen value
    """Run a program and then, in the same names, its test. Raises SandboxError where no child starts."""
    if os.name != "posix":
        raise SandboxError("programs are run on Linux and macOS only: their limits are those of POSIX")
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="edgekit-sandbox-") as name:
        folder = Path(name).resolve()
        (folder / sandbox_child.JOB).write_text(json.dumps(dict(program=program, test=test, token=token)), encoding="utf-8")
        numbers = map(str, (limits.cpu_s, limits.memory_bytes, limits.file_bytes, limits.files))
        child = subprocess.Popen([sys.executable, "-I", "-S", sandbox_child.__file__, "limit", *numbers], cwd=folder, env={},
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True)
        with child:
            try:
                said, late = _listen(child.stdout.fileno(), limits)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
            code, complaint = child.wait(), child.stderr.read(4096)
    return _verdict(said, token, late or code == -signal.SIGXCPU, complaint.decode(errors="replace"))


def _listen(stream: int, limits: Limits) -> tuple[bytes, bool]:
    """What the child says until it ends or has said too much, and whether its time was over first."""
    said, end = b"", time.monotonic() + limits.wall_s
    while len(said) <= limits.said_bytes:
        if not select.select([stream], [], [], max(0.0, end - time.monotonic()))[0]:
            return said, True
        more = os.read(stream, 4096)
        if not more:
            break
        said += more
    return said, False


def _verdict(said: bytes, token: str, timed_out: bool, complaint: str) -> Verdict:
    told: dict[str, str] = {}
    for line in said.splitlines():
        with contextlib.suppress(ValueError):  # a program may have written there too
            found = json.loads(line)
            told = (found if isinstance(found, dict) else {}) | told
    if "guard" not in told:
        raise SandboxError(f"the sandbox did not start: {' '.join(complaint.split())[-300:] or 'it said nothing'}")
    passed = told.get("token") == token and not timed_out
    reason = "" if passed else "time" if timed_out else str(told.get("error", "ended early"))
    return Verdict(passed, timed_out, reason, told["guard"])
