"""The two roofs of the device, as rows: what decoding (bandwidth) and prefill (matrix multiplication) cannot pass."""

from __future__ import annotations

from edgekit.measure import device as devices

DTYPES = ("float32", "bfloat16")


def bandwidth_samples(*, threads: int, device: str) -> list[float]:
    """A worker's job: read bandwidth of `device` in bytes/s, every pass of about a second."""
    return devices.memory_bandwidth(threads, on=device).byte_per_s


def measure_roofs(*, threads: int, device: str) -> dict:
    """A worker's job: read bandwidth and matrix-multiplication rate with `threads` threads on `device`.

    One row each a process: the best pass of a second's worth, because a slower pass was disturbed and no roof.
    """
    bandwidth = devices.memory_bandwidth(threads, on=device)
    seen = [dict(metric="memory_bandwidth_byte_per_s", value=max(bandwidth.byte_per_s), method=bandwidth.method)]
    for dtype in DTYPES:
        seen.append(dict(metric="matmul_flop_per_s", value=max(devices.matmul_flops(threads, dtype, on=device)), dtype=dtype))
    return dict(observations=seen)
