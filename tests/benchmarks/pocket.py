"""The scale models' own speeds, and whether a card's command gives its model again.

    .venv/bin/python tests/benchmarks/pocket.py training [--model pocket-900k] [--rounds 8]
    .venv/bin/python tests/benchmarks/pocket.py answers [--model pocket-10m]
    .venv/bin/python tests/benchmarks/pocket.py retrain [--model pocket-200k]

`training`: tokens/s of whole steps (drawing the data included), beside the matrix-multiplication rate measured in turns with
them. `answers`: seconds for 500 problems with reasoning. `retrain`: the model of a card trained anew by its command, and
each cell of its accuracy beside the card's interval. Run them on a quiet machine; they fail nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgekit.analyze.stats import mean_interval, ratio_interval
from edgekit.measure import device
from edgekit.pocket import card, evaluate, tasks
from edgekit.pocket.recipe import recipe_of
from edgekit.pocket.tokenizer import load_tokenizer
from edgekit.pocket.train import Trainer

STEPS_A_ROUND = 20


def training(name: str, rounds: int) -> None:
    """Steps and matrix products in turns, so that the machine's drift falls on both."""
    recipe = recipe_of(name, device="cpu")
    trainer = Trainer(recipe)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    # deep problems from the start, as in most of a run
    first = recipe.steps // 2
    for step in range(first, first + 3):
        trainer.step(step)
    rates, ceilings = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        for step in range(first, first + STEPS_A_ROUND):
            trainer.step(step)
        rates.append(STEPS_A_ROUND * recipe.size.tokens_per_step / (time.perf_counter() - start))
        ceilings.append(statistics.median(device.matmul_flops(device.allowed_threads(), "bfloat16", 0.5)))
    # forward and backward: 6 operations a parameter and token (Kaplan et al. 2020, arXiv:2001.08361, section 2.1)
    arithmetic = [6 * parameters * rate for rate in rates]
    print(f"{name}, {parameters:,} parameters, {device.allowed_threads()} threads, compiled: {recipe.compiled}")
    print(f"tokens/s: {mean_interval(rates)}")
    print(f"share of the bfloat16 matrix-multiplication rate: {ratio_interval(arithmetic, ceilings)}")


def answers(name: str) -> None:
    """500 problems with reasoning: 62 or 63 of each depth."""
    folder = card.MODELS / name
    spec = tasks.TASKS["pocket_chain_think"]
    items = [item for depth in spec.depths for item in tasks.draw_items(spec.domain, depth, count=63)][:500]
    model, tokenizer = evaluate.load_model(folder), load_tokenizer(folder)
    start = time.perf_counter()
    ids = evaluate.generate_answers(model, tokenizer, [spec.prompt(item) for item in items])
    took = time.perf_counter() - start
    print(f"{name}: {len(items)} problems, {sum(map(len, ids)):,} tokens in {took:.1f} s")


def retrain(name: str) -> None:
    """The command of the card, into a temporary folder."""
    told = card.read_card(name)
    with tempfile.TemporaryDirectory() as folder:
        _, *arguments = told["training"]["command"].split()
        subprocess.run([str(Path(sys.executable).with_name("edgekit")), *arguments, "--out", folder], check=True)
        made = card.read_card(name, Path(folder))
    same = made["sha256"]["model.safetensors"] == told["sha256"]["model.safetensors"]
    print(f"{name}: weights {'are the same, byte for byte' if same else 'differ from the card'}")
    inside = 0
    for new, old in zip(made["accuracy"]["cells"], told["accuracy"]["cells"], strict=True):
        low, high = old["interval_95"]
        inside += low <= new["share"] <= high
        print(f"{old['task']:22s} depth {old['depth']}: {new['share']:.2f}, card {old['share']:.2f} ({low:.2f} to {high:.2f})")
    print(f"{inside} of {len(told['accuracy']['cells'])} cells lie within the card's 95 % intervals")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("training", "answers", "retrain"))
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    if options.what == "training":
        training(options.model or "pocket-900k", options.rounds)
    else:
        {"answers": answers, "retrain": retrain}[options.what](
            options.model or {"answers": "pocket-10m", "retrain": "pocket-200k"}[options.what])


if __name__ == "__main__":
    main()
