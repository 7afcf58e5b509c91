"""What watching the device costs a decode: clocks, temperatures, power and throttling sampled ten times a second, or not.

    .venv/bin/python tests/benchmarks/sampling.py [--model shape:qwen2.5-0.5b] [--pairs 60] [--threads 2]

As in a study, the process that samples is not the one that decodes; but it keeps its ten times a second where a study's would
sample less often, because reading takes long. Paired, in alternating order, as harness.py does it; the sampler is stopped and
continued between the streams. Run it on a quiet machine: it says whether the whole 95 % interval of the change is within 1 %,
and ends with status 1 where it is not.
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
from edgekit.measure import device, latency, monitor, power

TOKENS = 64
SAMPLER = """
import time
from edgekit.measure import monitor, power
rails = power.sources()
print("on", flush=True)
while True:
    next_s = time.monotonic() + monitor.PERIOD_S
    monitor.take(rails)
    time.sleep(max(next_s - time.monotonic(), 0.0))
"""
MOST = 0.01  # that the speed may change by


def cost_of_a_sample(rails: list[power.Source], seconds: float = 2.0) -> tuple[float, monitor.Sample]:
    """Mean processor time of one sample on this machine, in seconds, and the last one."""
    began, count = time.process_time(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sample = monitor.take(rails)
        count += 1
    return (time.process_time() - began) / count, sample


def named(sample: monitor.Sample) -> str:
    """What could be read at all."""
    read = dict(clocks=sample.clocks_hz, temperatures=sample.temperatures_c, power=sample.power_w)
    return "; ".join(f"{what}: {', '.join(values) or 'none'}" for what, values in read.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="shape:qwen2.5-0.5b")
    parser.add_argument("--pairs", type=int, default=60)
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
    sample_s, sample = cost_of_a_sample(power.sources())
    print(f"{options.model}, {options.threads} threads, {options.pairs} pairs of {TOKENS} tokens; sampled were {named(sample)}")
    print(f"decode speed, sampled / not: {ratio}")
    print(f"one sample takes {1e3 * sample_s:.2f} ms of one core, {sample_s / monitor.PERIOD_S:.2%} of it at "
          f"{1 / monitor.PERIOD_S:.0f} Hz")
    within, beyond = ratio.low > 1 - MOST and ratio.high < 1 + MOST, ratio.high < 1 - MOST or ratio.low > 1 + MOST
    print(f"changes by less than {MOST:.0%}: " + (
        "yes" if within else "no" if beyond else "not decided: more pairs, or a quieter machine"))
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
