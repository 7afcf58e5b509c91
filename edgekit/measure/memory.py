"""Memory of the measuring process: what was resident at most, and before the artifact was loaded.

Pages of a memory-mapped weight file count as they are touched: they are memory that the model needs to run at speed.
"""

from __future__ import annotations

import sys
from pathlib import Path


def resident_bytes() -> int:
    """Resident memory of this process now."""
    import psutil

    return psutil.Process().memory_info().rss


def peak_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux from VmHWM, which starts anew with the program: `ru_maxrss` is inherited from the parent across exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

