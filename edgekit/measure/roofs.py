"""The two roofs of the device, as rows: what decoding (bandwidth) and prefill (matrix multiplication) cannot pass."""

from __future__ import annotations

import statistics

from edgekit.measure import device as devices

DTYPES = ("float32", "bfloat16", "float16")


def bandwidth_samples(*, threads: int, device: str) -> list[float]:
    """A worker's job: read bandwidth of `device` in bytes/s, every pass of about a second."""
    return devices.memory_bandwidth(threads, on=device).byte_per_s


def measure_roofs(*, threads: int, device: str) -> dict:
    """A worker's job: read bandwidth and matrix-multiplication rate with `threads` threads on `device`.

    One row each a process: the median pass of a second's worth. The best pass may be a moment that no decoding is as short as.
    """
    bandwidth = devices.memory_bandwidth(threads, on=device)
    seen = [dict(metric="memory_bandwidth_byte_per_s", value=statistics.median(bandwidth.byte_per_s), method=bandwidth.method)]
    for dtype in DTYPES:
        rates = devices.matmul_flops(threads, dtype, on=device)
        seen.append(dict(metric="matmul_flop_per_s", value=statistics.median(rates), dtype=dtype))
    return dict(observations=seen)
