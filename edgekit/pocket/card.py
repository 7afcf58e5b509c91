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

from edgekit import text_files
from edgekit.catalog.models import damage
from edgekit.columns import aligned
from edgekit.errors import InvalidRequest, unknown_name
from edgekit.pocket import language, tasks
from edgekit.pocket.evaluate import Accuracy, evaluate
from edgekit.pocket.recipe import Recipe, recipe_of
from edgekit.pocket.train import CHECKPOINT, run_recipe
from edgekit.store import ROOT

MODELS = ROOT / "data" / "models"
CARD, README = "card.json", "README.md"


class CardError(InvalidRequest):
    """A model or its card is missing; the message names it and says what to do."""


def list_models(root: Path = MODELS) -> list[str]:
    """The names of the shipped models, smallest first."""
    found = [card.parent.name for card in root.glob(f"*/{CARD}")]
    return sorted(found, key=lambda name: read_card(name, root)["parameters"])


def read_card(name: str, root: Path = MODELS) -> dict[str, Any]:
    """The card of a model; CardError with the known names if there is none."""
    path = root / name / CARD
    if not path.exists():
        raise CardError(unknown_name("model with a card", name, list_models(root)))
    return text_files.json_of(path, CardError, f"restore {root / name}")


def table(names: Sequence[str], root: Path = MODELS) -> list[str]:
    """Models in aligned lines, headings first: size, training, and the share of right answers to each task by depth or level,
    with its 95 % interval. Raises CardError."""
    rows, depths = [], set()
    for name in names:
        card = read_card(name, root)
        shares: dict[str, dict[int, str]] = {}
        for cell in card["accuracy"]["cells"]:
            low, high = cell["interval_95"]
            shares.setdefault(cell["task"], {})[cell["depth"]] = f"{cell['share']:.2f} ({low:.2f}-{high:.2f})"
            depths.add(cell["depth"])
        told = (name, f"{card['parameters']:,}", f"{card['training']['tokens']:,}")
        rows += [(told if i == 0 else ("", "", ""), task, by_depth) for i, (task, by_depth) in enumerate(shares.items())]
    lines = [(*told, task, *(by_depth.get(depth, "") for depth in sorted(depths))) for told, task, by_depth in rows]
    heads = ("model", "parameters", "tokens seen", "task", *(f"depth {depth}" for depth in sorted(depths)))
    return aligned(heads, lines, left=4)


def check(name: str, root: Path = MODELS) -> list[str]:
    """What is wrong with a model folder, one sentence each; an empty list means all files are those of the card."""
    read_card(name, root)
    return damage(name, root / name)


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


def write_card(folder: Path, *, recipe: Recipe, curve: list[dict[str, float]], accuracy: Sequence[Accuracy]) -> dict[str, Any]:
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
            "head_dim": size.head_dim,
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
            "command": f"edgekit models train {folder.name} --steps {recipe.steps} --seed {recipe.seed} "
            f"--device {recipe.device}",
            "recipe": dataclasses.asdict(recipe),
            "loss_curve": curve,
        },
        "accuracy": {
            "decoding": "greedy, float32",
            "split": "test",
            "seed": tasks.TASK_SEED,
            "max_new_tokens": tasks.MAX_NEW_TOKENS,
            "cells": [
                dataclasses.asdict(cell) | {"share": cell.share, "interval_95": list(cell.interval)} for cell in accuracy
            ],
        },
        "sha256": {path.name: file_hash(path) for path in files},
    }
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(render_readme(card), encoding="utf-8")
    return card


def thinned(curve: list[dict[str, float]], most: int = 12) -> list[dict[str, float]]:
    """At most about `most` points of a curve, evenly apart, the last one among them."""
    every = max(1, len(curve) // most)
    return curve[::-1][::every][::-1]


def render_readme(card: dict[str, Any]) -> str:
    """The README of a model folder, from its card alone."""
    shape, training, accuracy = card["architecture"], card["training"], card["accuracy"]
    by_task: dict[str, list[dict]] = {}
    for cell in accuracy["cells"]:
        by_task.setdefault(cell["task"], []).append(cell)
    depths = sorted({cell["depth"] for cell in accuracy["cells"]})
    rows = []
    for task, cells in by_task.items():
        shares = [f"{c['share']:.3f} ({c['interval_95'][0]:.3f} to {c['interval_95'][1]:.3f})" for c in cells]
        unread = sum(cell["unanswered"] for cell in cells)
        rows.append("| " + " | ".join([task, *shares, *[""] * (len(depths) - len(cells)), str(unread)]) + " |")
    head = "| task | " + " | ".join(map(str, depths)) + " | no answer read |"
    curve = "\n".join(
        f"| {p['tokens']:,} | {p['train_loss']:.3f} | {p['validation_loss']:.3f} | {p['prose_excess']:.3f} |"
        for p in thinned(training["loss_curve"])
    )
    last, made_on = training["loss_curve"][-1], training["machine"]
    return f"""\
# {card["name"]}

Written from `card.json` by `edgekit.pocket.card`.

A {shape["kind"]} of {card["parameters"]:,} parameters: {shape["layers"]} layers, width {shape["width"]}, \
{shape["heads"]} heads of {shape["head_dim"]}, MLP width {shape["intermediate"]}, tied embeddings, \
stored as {shape["stored_as"]}.

It knows edgekit's generated language, version {card["language_version"]} (`edgekit/pocket/language.py`), and nothing else:
it is an instrument for experiments and has no use as an assistant.

## Training

{training["steps"]:,} steps, {training["tokens"]:,} tokens, seed {training["seed"]}, \
{training["wall_s"]:.0f} s on {training["device"]} \
({made_on["processor"]}, {made_on["threads"]} threads, torch {made_on["torch"]}).
The machine may have done other work at the same time: take the wall time as an upper bound. To train it anew into a folder
of yours: `{training["command"]} --out FOLDER`.

Loss at the end: {last["train_loss"]:.4f} nats a token on training texts, \
{last["validation_loss"]:.4f} on validation texts; on prose {last["prose_excess"]:.4f} nats a token above the entropy of its
grammar. Most of what is left of the first two is the problems' own randomness: names and numbers cannot be foreseen.

| tokens | training | validation | prose, excess |
|---|---|---|---|
{curve}

The members of the family read the same rows in the same order, but not all to the same length: their differences are not
those of size alone.

## Accuracy on test problems

Columns are steps of a word problem, or levels of another query. Decoding: {accuracy["decoding"]}, at most
{accuracy["max_new_tokens"]} new tokens, {accuracy["cells"][0]["n"]} items a cell. Share of right answers with its 95 % Wilson
interval. An answer that could not be read counts as not right, and is counted apart. No training
text is of the domains `letters` and `large`.

{head}
|{"---|" * (2 + len(depths))}
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
