"""Model cards: what a shipped pocket model is, how it was made, how good it is, and the hash of every file.

`card.json` is the record; `README.md` is written from it. `check` compares a folder with its card.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.pocket import language, tasks
from edgekit.pocket.evaluate import Accuracy, evaluate
from edgekit.pocket.sizes import HEAD_DIM
from edgekit.pocket.train import CHECKPOINT, Recipe, recipe_of, run_recipe
from edgekit.store import ROOT

MODELS = ROOT / "data" / "models"
CARD, README = "card.json", "README.md"


class CardError(ValueError):
    """A model or its card is missing; the message names it and says what to do."""


def list_models(root: Path = MODELS) -> list[str]:
    """The names of the shipped models, smallest first."""
    found = [card.parent.name for card in root.glob(f"*/{CARD}")]
    return sorted(found, key=lambda name: read_card(name, root)["parameters"])


def read_card(name: str, root: Path = MODELS) -> dict[str, Any]:
    """The card of a model; CardError with the known names if there is none."""
    path = root / name / CARD
    if not path.exists():
        known = ", ".join(sorted(card.parent.name for card in root.glob(f"*/{CARD}"))) or "none"
        raise CardError(f"no model card for {name!r}; models with a card: {known}")
    return json.loads(path.read_text(encoding="utf-8"))


def summary(name: str, root: Path = MODELS) -> str:
    """A model in a few lines: its size, its training, and the share of right answers by mode and depth with intervals."""
    card = read_card(name, root)
    lines = [f"{name}: {card['parameters']:,} parameters, {card['training']['tokens']:,} tokens seen"]
    modes: dict[str, list[str]] = {}
    for cell in card["accuracy"]["cells"]:
        low, high = cell["interval_95"]
        modes.setdefault(cell["mode"], []).append(f"{cell['share']:.2f} ({low:.2f}-{high:.2f})")
    return "\n".join(lines + [f"  {mode:7s} depth 1 to {len(cells)}: {'  '.join(cells)}" for mode, cells in modes.items()])


def check(name: str, root: Path = MODELS) -> list[str]:
    """What is wrong with a model folder, one sentence each; an empty list means all files are those of the card."""
    problems = []
    for file, expected in read_card(name, root)["sha256"].items():
        path = root / name / file
        if not path.exists():
            problems.append(f"{name}/{file} is missing: restore it, or train it anew: edgekit models train {name}")
        elif (came := file_hash(path)) != expected:
            problems.append(f"{name}/{file} is not the file of its card: expected sha256 {expected}, came {came}")
    return problems


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def machine() -> dict[str, Any]:
    """The machine in words: processor, threads that torch uses, versions of torch and transformers."""
    import torch
    import transformers

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": model[0] if model else platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def write_card(
    folder: Path, *, recipe: Recipe, curve: list[dict[str, float]], accuracy: Sequence[Accuracy]
) -> dict[str, Any]:
    """Write `card.json` and `README.md` for the model in `folder`; the card.

    Args:
        recipe: how it was trained.
        curve: what `train` returned.
        accuracy: what `evaluate` returned.
    """
    from safetensors import safe_open

    size = recipe.size
    with safe_open(folder / "model.safetensors", framework="np") as weights:
        shapes = [weights.get_slice(key).get_shape() for key in weights.offset_keys()]
    files = sorted(p for p in folder.iterdir() if p.name not in (CARD, README, CHECKPOINT))
    card = {
        "name": folder.name,
        "parameters": sum(math.prod(shape) for shape in shapes),
        "architecture": {
            "kind": "LlamaForCausalLM",
            "width": size.width,
            "layers": size.layers,
            "heads": size.heads,
            "key_value_heads": size.heads,
            "head_dim": HEAD_DIM,
            "intermediate": size.intermediate,
            "tied_embeddings": True,
            "stored_as": size.stored,
        },
        "language_version": language.LANGUAGE_VERSION,
        "training": {
            "seed": recipe.seed,
            "steps": curve[-1]["step"],
            "tokens": curve[-1]["tokens"],
            "wall_s": curve[-1]["wall_s"],
            "device": recipe.device,
            "machine": machine(),
            "recipe": dataclasses.asdict(recipe),
            "loss_curve": curve,
        },
        "accuracy": {
            "decoding": "greedy, float32",
            "split": "test",
            "seed": tasks.TASK_SEED,
            "max_new_tokens": tasks.MAX_NEW_TOKENS,
            "cells": [
                dataclasses.asdict(cell) | {"share": cell.share, "interval_95": list(cell.interval)}
                for cell in accuracy
            ],
        },
        "sha256": {path.name: file_hash(path) for path in files},
    }
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(render_readme(card), encoding="utf-8")
    return card


def render_readme(card: dict[str, Any]) -> str:
    """The README of a model folder, from its card alone."""
    shape, training, accuracy = card["architecture"], card["training"], card["accuracy"]
    cells = {(cell["mode"], cell["depth"]): cell for cell in accuracy["cells"]}
    modes = list(dict.fromkeys(mode for mode, _ in cells))
    depths = sorted({depth for _, depth in cells})
    rows = []
    for depth in depths:
        row = [str(depth)]
        for mode in modes:
            cell = cells[mode, depth]
            low, high = cell["interval_95"]
            row += [f"{cell['share']:.3f} ({low:.3f} to {high:.3f}), n={cell['n']}", str(cell["unanswered"])]
        rows.append("| " + " | ".join(row) + " |")
    head = "| steps | " + " | ".join(f"{mode} | no answer read" for mode in modes) + " |"
    last, made_on = training["loss_curve"][-1], training["machine"]
    return f"""\
# {card["name"]}

Written from `card.json` by `edgekit.pocket.card`.

A {shape["kind"]} of {card["parameters"]:,} parameters: {shape["layers"]} layers, width {shape["width"]}, \
{shape["heads"]} heads of {shape["head_dim"]}, MLP width {shape["intermediate"]}, tied embeddings, \
stored as {shape["stored_as"]}.

It knows one thing: the word problems of edgekit's generated language, version {card["language_version"]}
(`edgekit/pocket/language.py`). It is an instrument for experiments and has no use as an assistant.

## Training

{training["steps"]:,} steps, {training["tokens"]:,} tokens, seed {training["seed"]}, \
{training["wall_s"]:.0f} s on {training["device"]} \
({made_on["processor"]}, {made_on["threads"]} threads, torch {made_on["torch"]}).
The machine may have done other work at the same time: take the wall time as an upper bound.

Loss at the end: {last["train_loss"]:.4f} nats a token on training texts, \
{last["validation_loss"]:.4f} on validation texts.
Most of what is left is the problems' own randomness: their names and numbers cannot be foreseen. The two are not
measured on the same rows: most training rows are short and cut their last text, so they hold more of the prompts.

The members of the family differ in training as well as in size, so their differences are not those of size alone.

## Accuracy on test problems

Decoding: {accuracy["decoding"]}, at most {accuracy["max_new_tokens"]} new tokens. Share of right answers with its
95 % Wilson interval. An answer that could not be read counts as not right, and is listed apart.

{head}
|{"---|" * (1 + 2 * len(modes))}
{chr(10).join(rows)}
"""


def train_and_card(
    name: str,
    *,
    root: Path = MODELS,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    resume: bool = True,
) -> Path:
    """Train a family member into `root`/`name`, evaluate it on the test problems, write its card; the folder.

    The other arguments are those of `train`. Without `root` the shipped model of that name is replaced.
    """
    folder = Path(root) / name
    recipe = recipe_of(name, steps=steps, seed=seed, device=device)
    curve = run_recipe(recipe, out=folder, resume=resume, title=name)
    write_card(folder, recipe=recipe, curve=curve, accuracy=evaluate(folder, device=recipe.device))
    return folder
