"""Training of the pocket models: a Llama of a stated size on an endless, seeded stream of the language.

Row r of the training data is a pure function of (seed, r), so a run needs no data files, members of the family see the
same rows in the same order, and a run that was interrupted goes on from its checkpoint as if it had never stopped.
The product is a Hugging Face folder.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.pocket.chain import MAX_DEPTH
from edgekit.pocket.excess import draw_prose
from edgekit.pocket.recipe import Recipe, recipe_of
from edgekit.pocket.rows import ROW_TOKENS, draw_rows
from edgekit.pocket.sizes import build_model
from edgekit.pocket.tokenizer import VOCABULARY, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHECKPOINT = "checkpoint.pt"
VALIDATION_ROWS = 48
PROSE_TEXTS = 64


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


def token_losses(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every token of ids (rows, length) but the first, in nats: (rows, length - 1).

    Matrix products run in bfloat16.
    """
    import torch

    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(
        len(ids), -1
    )


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and norms.

    Muon needs less than half of AdamW's steps here. Its steps are scaled to AdamW's size (Liu et al. 2025,
    arXiv:2502.16982), so one learning rate serves both.
    """
    import torch

    embedding = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embedding]
    rest = [p for p in model.parameters() if p.ndim == 1 or p is embedding]
    rate, decay = recipe.size.peak_lrs[0], recipe.weight_decay  # the rate is set anew at each step
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def _save_checkpoint(state: dict, file: Path) -> None:
    import torch

    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, file)


def _load_checkpoint(file: Path, recipe: Recipe) -> dict:
    import torch

    state = torch.load(file, map_location=recipe.device, weights_only=True)
    if state["recipe"] != dataclasses.asdict(recipe):
        raise TrainingError(
            f"{file.name} belongs to another recipe: expected {dataclasses.asdict(recipe)}, found {state['recipe']}; "
            "train with resume=False to start afresh, or into another folder"
        )
    return state


def train(
    name: str,
    *,
    out: Path,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    resume: bool = True,
) -> list[dict[str, float]]:
    """Train a family member into the folder `out` and return its loss curve.

    Args:
        name: a key of `sizes.SIZES`.
        steps: optimizer steps of one cycle; the size's own number by default.
        device: `cpu` or `cuda`; by default CUDA where there is one.
        resume: go on from the checkpoint in `out` if there is one. It is removed when training is complete.

    Returns:
        One point every `validate_every_tokens` tokens and one at the end: step, tokens, wall_s, train_loss (mean since the
        point before) and validation_loss in nats a token, and prose_excess: how far the loss on prose lies above the
        entropy of its grammar, in nats a token.

    Raises:
        TrainingError: the checkpoint belongs to another recipe, or the loss diverged.
    """
    recipe = recipe_of(name, steps=steps, seed=seed, device=device)
    return run_recipe(recipe, out=Path(out), resume=resume, title=name)


def _keep_memory() -> None:
    """Have glibc keep the memory of freed tensors: giving it back and taking it anew each step costs a fifth of the time."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # another C library: its allocator is left as it is
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # numbers of <malloc.h>
    for option, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**26)):
        libc.mallopt(option, value)


class Trainer:
    """Model, optimizers and data of one recipe: `step(k)` does optimizer step k."""

    def __init__(self, recipe: Recipe):
        import torch

        if recipe.device == "cpu" and sys.platform == "linux":
            _keep_memory()
        self.recipe = recipe
        self.tokenizer = train_tokenizer(seed=recipe.seed)
        self.model = build_model(recipe.size, recipe.seed).to(recipe.device).train()
        # Rows are short, so attention as plain matrix products is faster on a CPU than the blockwise kernel.
        self.model.set_attn_implementation("eager" if recipe.device == "cpu" else "sdpa")
        self.forward = torch.compile(self.model) if recipe.compiled else self.model
        self.optimizers = _optimizers(self.model, recipe)

    def step(self, step: int) -> float:
        """Step number `step`, counted from 0; the mean loss before it, in nats a token. Raises TrainingError."""
        import torch

        recipe, model = self.recipe, self.model
        if step and step % recipe.steps == 0:
            self._begin_cycle()
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = recipe.learning_rate(step)
        rows = recipe.size.tokens_per_step // ROW_TOKENS
        ids, in_prompt = draw_rows(
            self.tokenizer,
            split="train",
            seed=recipe.seed,
            first=step * rows,
            rows=rows,
            max_depth=recipe.max_depth(step),
            mixture=recipe.mixture(step),
        )
        losses = token_losses(self.forward, torch.from_numpy(ids).to(recipe.device))
        weights = torch.where(torch.from_numpy(in_prompt[:, 1:]).to(recipe.device), recipe.prompt_weight, 1.0)
        model.zero_grad(set_to_none=True)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        mean = losses.mean().item()
        most = 1.5 * math.log(VOCABULARY)
        if not math.isfinite(mean) or (step > recipe.warmup_share * recipe.steps and mean > most):
            raise TrainingError(
                f"the loss diverged at step {step + 1}: expected at most {most:.1f} nats a token (1.5 times guessing), got "
                f"{mean:.4g}; what was learnt until the last checkpoint is kept; train with smaller peak_lrs than "
                f"{recipe.size.peak_lrs} (edgekit/pocket/sizes.py)"
            )
        for optimizer in self.optimizers:
            optimizer.step()
        return mean

    def _begin_cycle(self) -> None:
        """From the weights as they would be stored, with fresh optimizers."""
        import torch

        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(parameter.to(getattr(torch, self.recipe.size.stored)))
        self.optimizers = _optimizers(self.model, self.recipe)


class _Validation:
    """The held-out losses of a run: the mixture's, and the excess over the truth on prose."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, recipe: Recipe):
        import torch

        ids, _ = draw_rows(tokenizer, split="validation", seed=recipe.seed, first=0, rows=VALIDATION_ROWS, max_depth=MAX_DEPTH)
        self.ids = torch.from_numpy(ids).to(recipe.device)
        self.prose = draw_prose(tokenizer, split="validation", seed=recipe.seed, count=PROSE_TEXTS)

    def __call__(self, model: LlamaForCausalLM) -> dict[str, float]:
        import torch

        model.eval()
        with torch.no_grad():
            loss = token_losses(model, self.ids).mean().item()
        excess = self.prose.excess(model)
        model.train()
        return {"validation_loss": loss, "prose_excess": float(excess.sum() / self.prose.tokens.sum())}


def run_recipe(recipe: Recipe, *, out: Path, resume: bool = True, title: str = "train") -> list[dict[str, float]]:
    """Train by a recipe; what `train` does, for any size. Returns and raises as `train` does."""
    import torch
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe)
    model = trainer.model
    validation = _Validation(trainer.tokenizer, recipe)
    file = out / CHECKPOINT
    first, curve, loss_sum, wall_s = 0, [], 0.0, 0.0
    if resume and file.exists():
        state = _load_checkpoint(file, recipe)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(trainer.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, curve, loss_sum, wall_s = state["step"], state["curve"], state["loss_sum"], state["wall_s"]

    started = time.perf_counter() - wall_s
    bar = tqdm(range(first, recipe.total_steps), initial=first, total=recipe.total_steps, desc=title, unit="step")
    for step in bar:
        loss_sum += trainer.step(step)
        done = step + 1
        tokens = done * recipe.size.tokens_per_step
        if tokens % recipe.validate_every_tokens == 0 or done % recipe.steps == 0:
            since = curve[-1]["step"] if curve else 0
            point = {
                "step": done,
                "tokens": tokens,
                "wall_s": round(time.perf_counter() - started, 1),
                "train_loss": loss_sum / (done - since),
                **validation(model),
            }
            curve.append(point)
            loss_sum = 0.0
            bar.set_postfix({name: f"{point[name]:.3f}" for name in ("train_loss", "validation_loss", "prose_excess")})
        if tokens % recipe.checkpoint_every_tokens == 0:
            state = {
                "recipe": dataclasses.asdict(recipe),
                "step": done,
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
                "curve": curve,
                "loss_sum": loss_sum,
                "wall_s": time.perf_counter() - started,
            }
            _save_checkpoint(state, file)
    model.eval().to("cpu", getattr(torch, recipe.size.stored)).save_pretrained(out)
    trainer.tokenizer.save_pretrained(out)
    file.unlink(missing_ok=True)
    return curve
