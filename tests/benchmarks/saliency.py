"""What the Taylor scores cost beside the passes that training would make over the same sequences.

    .venv/bin/python tests/benchmarks/saliency.py [--model pocket-10m] [--rounds 12] [--samples 32] [--length 128]

In turns, in alternating order: all scores of a model, and a plain forward and backward pass for the gradients of all weights,
whose backward part has a clock of its own. Ratios are geometric means with 95 % t-intervals over rounds. Run it on a quiet
machine; it fails nothing.
"""

from __future__ import annotations

import argparse
import time

import torch
import transformers

from edgekit.analyze.stats import ratio_interval
from edgekit.compress import saliency, variant
from edgekit.compress.calibration import Calibration
from edgekit.measure import device


def scores_s(model: torch.nn.Module, sequences: list[list[int]], method: str) -> float:
    start = time.perf_counter()
    saliency.of_model(model, sequences, method)
    return time.perf_counter() - start


def passes_s(model: torch.nn.Module, sequences: list[list[int]]) -> tuple[float, float]:
    """Seconds of forward and backward passes together, and of the backward passes alone."""
    model.requires_grad_(True).zero_grad()
    backward, start = 0.0, time.perf_counter()
    for batch in torch.tensor(sequences).split(max(1, saliency.BATCH_TOKENS // len(sequences[0]))):
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum")
        turn = time.perf_counter()
        loss.backward()
        backward += time.perf_counter() - turn
    both = time.perf_counter() - start
    model.requires_grad_(False).zero_grad()
    return both, backward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pocket-10m")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(device.allowed_threads())
    artifact = variant.build(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(artifact.path, dtype=torch.float32, local_files_only=True).eval()
    sequences = Calibration("random", options.samples, options.length, 0).sequences(
        artifact.path, artifact.spec.architecture.vocabulary)
    works = {"passes": lambda: passes_s(model, sequences)} | {
        method: lambda method=method: scores_s(model, sequences, method) for method in saliency.RUNNING}
    seen: dict[str, list] = {name: [] for name in works}
    for turn in range(options.rounds + 1):
        for name in list(works)[::1 if turn % 2 else -1]:
            found = works[name]()
            if turn:  # the first warms up
                seen[name].append(found)
    both, backward = zip(*seen["passes"], strict=True)
    print(f"{options.model}, {options.samples} sequences of {options.length} tokens, {options.rounds} rounds")
    for method in saliency.RUNNING:
        print(f"{method}: {ratio_interval(seen[method], backward)} of the backward pass alone, "
              f"{ratio_interval(seen[method], both)} of forward and backward")


if __name__ == "__main__":
    main()
