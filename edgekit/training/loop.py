"""The training loop of everything that the kit trains: optimizers, checkpoints, a bar with the time left, and a watch for
losses that diverge. What is learnt, from which rows and how fast, is the business of those who call it.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import progress
from edgekit.errors import RunFailed

if TYPE_CHECKING:
    import torch

WORSE_THAN_GUESSING = 1.5  # a loss so many times that of guessing has diverged


class TrainingError(RunFailed):
    """Training cannot go on; the message says why and what to do."""


class Diverged(TrainingError):
    """The loss is no number, or much worse than guessing. `step`: how many updates the weights had that gave it."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


def keep_memory(device: str) -> None:
    """Have glibc keep the memory of freed tensors: giving it back and taking it anew each step costs a fifth of the time."""
    if device != "cpu" or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # another C library: its allocator is left as it is
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # numbers of <malloc.h>
    for option, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**26)):
        libc.mallopt(option, value)


def products_dtype(device: str) -> torch.dtype:
    """What matrix products of training run in: bfloat16, but float32 on a CPU that has no instructions for it, which would take
    five times as long in bfloat16."""
    import torch

    if device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


def optimizers(model: torch.nn.Module, *, rate: float, decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and biases, at one learning rate.

    Muon needs less than half of AdamW's steps here.
    """
    import torch

    from edgekit.training.muon import Muon

    embeddings = {id(part.weight) for part in (model.get_input_embeddings(), model.get_output_embeddings())}
    matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in embeddings]
    rest = [p for p in model.parameters() if p.ndim == 1 or id(p) in embeddings]
    return [
        Muon(matrices, lr=rate, weight_decay=decay, momentum=0.95, products=products_dtype(matrices[0].device.type)),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """One learning rate for all of them."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = rate


def learning_rate(peak: float, step: int, steps: int, *, warmup_share: float, final_share: float) -> float:
    """The rate of a step: a linear warm-up to the peak, under a cosine down to `final_share` of it."""
    import numpy as np

    warm = min(1.0, (step + 1) / max(1, warmup_share * steps))
    return peak * warm * (final_share + (1 - final_share) * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def token_losses(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every token of ids (rows, length) but the first, in nats: (rows, length - 1).

    Matrix products run in `products_dtype`.
    """
    return losses_of(logits_of(model, ids), ids)


def logits_of(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """What follows each token of ids (rows, length) but the last: (rows, length - 1, vocabulary), products in
    `products_dtype`."""
    import torch

    products = products_dtype(ids.device.type)
    with torch.autocast(ids.device.type, dtype=products, enabled=products != torch.float32):
        return model(input_ids=ids[:, :-1], use_cache=False).logits.float()


def losses_of(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of ids (rows, length) under what `logits_of` gave: (rows, length - 1)."""
    import torch

    flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return flat.view(len(ids), -1)


def require_sane(loss: float, *, step: int, warm: bool, vocabulary: int, what_to_do: str) -> None:
    """Raise Diverged for a mean loss (nats a token, of step number `step` from 0) that is no number or, once `warm`, much worse
    than guessing among `vocabulary` tokens."""
    most = WORSE_THAN_GUESSING * math.log(vocabulary)
    if not math.isfinite(loss) or (warm and loss > most):
        raise Diverged(f"the loss diverged at step {step + 1}: expected at most {most:.1f} nats a token "
                       f"({WORSE_THAN_GUESSING} times guessing), got {loss:.4g}; {what_to_do}", step)


def save_checkpoint(state: dict, file: Path) -> None:
    """Write `file` whole or not at all; the one that stood there is kept beside it until the next."""
    import torch

    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    if file.exists():
        os.replace(file, _before(file))
    os.replace(partial, file)


def _before(file: Path) -> Path:
    return file.with_suffix(".before")


def remove_checkpoints(file: Path) -> None:
    """Delete `file` and what is kept beside it."""
    for path in (file, _before(file), file.with_suffix(".partial")):
        path.unlink(missing_ok=True)


def last_good(file: Path, recipe: dict, device: str, diverged: Diverged) -> dict | None:
    """The newest checkpoint whose weights gave a loss that was in order; None where there is none."""
    for path in (file, _before(file)):
        if path.exists() and (state := load_checkpoint(path, recipe, device))["step"] < diverged.step:
            return state
    return None


def load_checkpoint(file: Path, recipe: dict, device: str) -> dict:
    """The state that `run` saved. Raises TrainingError where it belongs to another `recipe`."""
    import torch

    state = torch.load(file, map_location=device, weights_only=True)
    if state["recipe"] != recipe:
        raise TrainingError(f"{file.name} belongs to another recipe: expected {recipe}, found {state['recipe']}; "
                            "train with resume=False to start afresh, or into another folder")
    return state


def run(trainer, *, steps: int, tokens_per_step: int, file: Path, recipe: dict, device: str, title: str,
        validate: Callable[[], dict[str, float]], validate_at: Callable[[int], bool], checkpoint_at: Callable[[int], bool],
        resume: bool = True) -> list[dict[str, float]]:
    """Do the steps that are left and return the loss curve; the checkpoint `file` is left for the caller to delete.

    Args:
        trainer: has `model`, `optimizers`, and `step(k)`, which does optimizer step k (from 0) and returns its mean loss.
        recipe: all that decides the weights, as plain values; a checkpoint of another one is refused.
        validate, validate_at, checkpoint_at: what is measured, and after how many steps that and a checkpoint are due.

    Returns:
        One point a validation: step, tokens, wall_s, train_loss (mean since the point before), and what `validate` gave.

    Raises:
        TrainingError: the checkpoint belongs to another recipe. What `step` raises (Diverged) passes through.
    """
    from tqdm import tqdm

    first, curve, loss_sum, wall_s = 0, [], 0.0, 0.0
    found = [path for path in (file, _before(file)) if resume and path.exists()]
    if found:
        state = load_checkpoint(found[0], recipe, device)
        trainer.model.load_state_dict(state["model"])
        for optimizer, saved in zip(trainer.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, curve, loss_sum, wall_s = state["step"], state["curve"], state["loss_sum"], state["wall_s"]
    started = time.perf_counter() - wall_s
    bar = tqdm(range(first, steps), initial=first, total=steps, desc=title, unit="step")
    for step in bar:
        loss_sum += trainer.step(step)
        progress.step()
        done = step + 1
        if validate_at(done):
            point = dict(step=done, tokens=done * tokens_per_step, wall_s=round(time.perf_counter() - started, 1),
                         train_loss=loss_sum / (done - (curve[-1]["step"] if curve else 0)), **validate())
            curve.append(point)
            loss_sum = 0.0
            bar.set_postfix({name: f"{value:.3f}" for name, value in point.items()
                             if name not in ("step", "tokens", "wall_s")})
        if checkpoint_at(done):
            save_checkpoint(dict(recipe=recipe, step=done, model=trainer.model.state_dict(),
                                 optimizers=[optimizer.state_dict() for optimizer in trainer.optimizers], curve=curve,
                                 loss_sum=loss_sum, wall_s=time.perf_counter() - started), file)
    return curve
