"""What watching the device costs a decode: clocks, temperatures, power and throttling sampled ten times a second, or not.

    .venv/bin/python tests/benchmarks/sampling.py [--model shape:qwen2.5-0.5b] [--pairs 20] [--threads 2]

As in a study, the process that samples is not the one that decodes. Paired, in alternating order, as harness.py does it; the
sampler is stopped and continued between the streams. Run it on a quiet machine. It fails where the whole interval lies below a
speed of 99 %: sampling must cost less than 1 %.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time

from harness import PROMPT, alternate

from edgekit import engines
from edgekit.analyze.stats import ratio_interval
from edgekit.compress import variant
from edgekit.measure import device, latency, monitor

TOKENS = 192
SAMPLER = """
import time
from edgekit.measure.monitor import Monitor
with Monitor():
    print("on", flush=True)
    time.sleep(1e6)
"""
LEAST = 0.99


def cost_of_a_sample(seconds: float = 2.0) -> float:
    """Mean processor time of one sample on this machine, in seconds."""
    began, count = time.process_time(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        monitor.take([])
        count += 1
    return (time.process_time() - began) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="shape:qwen2.5-0.5b")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=device.allowed_threads())
    options = parser.parse_args()
    artifact = variant.build(engines.variant_for("llama_cpp", options.model, "float16"))
    sampler = subprocess.Popen([sys.executable, "-c", SAMPLER], stdout=subprocess.PIPE, text=True)
    try:
        sampler.stdout.readline()
        with engines.open_engine("llama_cpp", artifact, dtype="float16", threads=options.threads, device="cpu",
                                 context=PROMPT + TOKENS) as engine:
            prompt = latency.prompt_ids(engine.info.vocabulary, PROMPT, 0)
            latency.warm_up(engine, prompt, 5)

            def tpot(sign: signal.Signals) -> float:
                sampler.send_signal(sign)
                return latency.tpot(latency.time_stream(engine, prompt, TOKENS), TOKENS)

            on, off = alternate(lambda: tpot(signal.SIGCONT), lambda: tpot(signal.SIGSTOP), options.pairs)
    finally:
        sampler.kill()
        sampler.wait()
    ratio = ratio_interval(off, on)
    sample_s = cost_of_a_sample()
    print(f"{options.model}, {options.threads} threads, {options.pairs} pairs of {TOKENS} tokens")
    print(f"decode speed, sampled / not: {ratio}")
    print(f"one sample takes {1e3 * sample_s:.2f} ms of one core, {sample_s / monitor.PERIOD_S:.2%} of it at 10 Hz")
    return 1 if ratio.high < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
