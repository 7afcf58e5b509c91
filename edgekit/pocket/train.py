"""Training of the pocket models: a Llama of a stated size on an endless, seeded stream of the language.

The batch of step k is a pure function of (seed, k), so a run needs no data files, and a run that was interrupted goes
on from its checkpoint exactly as if it had never stopped. The product is a Hugging Face folder.
"""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.pocket import language
from edgekit.pocket.sizes import Size, build_model, known_size
from edgekit.pocket.tokenizer import CONTEXT, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

TRAIN_DEPTHS = 6
CHECKPOINT = "checkpoint.pt"
# separate random streams, so that more validation draws never move a training batch
STREAMS = {"train": 1, "validation": 2, "test": 3}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. Two runs with equal recipes on one machine give equal weights."""

    size: Size
    steps: int
    seed: int
    device: str
    tokens_per_step: int = 4096
    lengths: tuple[int, ...] = (256, 256, 256, CONTEXT)  # row length by step, in turn: short rows are cheap
    shallow_share: float = 0.3  # over this share of the steps the greatest depth grows from 1 to its full value
    prompt_weight: float = 0.25  # the numbers in a prompt are random: a smaller weight makes the gradient quieter
    warmup_steps: int = 100
    final_lr_share: float = 0.02
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    validate_every: int = 100
    checkpoint_every: int = 100

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to `final_lr_share` of the peak."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        done = min(1.0, step / max(1, self.steps))
        cosine = self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + float(np.cos(np.pi * done)))
        return self.size.peak_lr * warm * cosine

    def max_depth(self, step: int) -> int:
        """The greatest depth of the problems of a step: reading one sentence is learnt first, then chains."""
        return min(TRAIN_DEPTHS, 1 + int(TRAIN_DEPTHS * step / (self.shallow_share * self.steps)))


def draw_batch(
    tokenizer: PreTrainedTokenizerFast, *, split: str, stream: tuple[int, ...], rows: int, length: int, max_depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Packed texts: token ids and a mask that is true on prompt tokens, both (rows, length).

    A pure function of its arguments; `stream` seeds it. Each row starts at the start of a text, in half of the rows
    after an end token, and runs on over text borders.
    """
    rng = np.random.default_rng([*stream, STREAMS[split]])
    modes = list(language.MODES)
    encode = tokenizer.backend_tokenizer.encode
    end = tokenizer.eos_token_id
    depths = np.arange(1, max_depth + 1)
    ids = np.empty((rows, length), dtype=np.int64)
    in_prompt = np.empty((rows, length), dtype=bool)
    for row in range(rows):
        row_ids: list[int] = [end] if rng.integers(2) else []
        row_mask = [False] * len(row_ids)
        while len(row_ids) < length:
            mode = modes[rng.integers(len(modes))]
            # an answer without reasoning is one number a text to learn from: more of the shallow ones, which can be learnt
            chances = 1 / depths if mode == "direct" else np.ones(max_depth)
            depth = int(rng.choice(depths, p=chances / chances.sum()))
            problem = language.draw_problem(rng, depth=depth, split=split)
            asked = encode(language.prompt(problem, mode)).ids
            answered = [*encode(language.completion(problem, mode)).ids, end]
            row_ids += asked + answered
            row_mask += [True] * len(asked) + [False] * len(answered)
        ids[row], in_prompt[row] = row_ids[:length], row_mask[:length]
    return ids, in_prompt


def token_losses(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every token of ids (rows, length) but the first, in nats: (rows, length - 1).

    Matrix products run in bfloat16.
    """
    import torch

    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and norms.

    Muon needs less than half of AdamW's steps here. Its steps are scaled to AdamW's size (Liu et al. 2025,
    arXiv:2502.16982), so one learning rate serves both.
    """
    import torch

    embedding = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embedding]
    rest = [p for p in model.parameters() if p.ndim == 1 or p is embedding]
    rate, decay = recipe.size.peak_lr, recipe.weight_decay
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
        raise ValueError(
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
        steps: optimizer steps of 4096 tokens each; the size's own number by default.
        device: `cpu` or `cuda`; by default CUDA where there is one.
        resume: go on from the checkpoint in `out` if there is one. It is removed when training is complete.

    Returns:
        One point every `validate_every` steps and one at the end: step, tokens, wall_s, train_loss (mean since the
        point before) and validation_loss, both in nats a token.
    """
    recipe = recipe_of(name, steps=steps, seed=seed, device=device)
    return run_recipe(recipe, out=Path(out), resume=resume, title=name)


def recipe_of(name: str, *, steps: int | None = None, seed: int = 0, device: str | None = None) -> Recipe:
    """The recipe of a family member; arguments as in `train`."""
    import torch

    size = known_size(name)
    return Recipe(size, steps or size.steps, seed, device or ("cuda" if torch.cuda.is_available() else "cpu"))


def run_recipe(recipe: Recipe, *, out: Path, resume: bool = True, title: str = "train") -> list[dict[str, float]]:
    """Train by a recipe; what `train` does, for any size. The curve as in `train`."""
    import torch
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(seed=recipe.seed)
    model = build_model(recipe.size, recipe.seed).to(recipe.device).train()
    optimizers = _optimizers(model, recipe)
    file = out / CHECKPOINT
    first, curve, loss_sum, wall_s = 0, [], 0.0, 0.0
    if resume and file.exists():
        state = _load_checkpoint(file, recipe)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, curve, loss_sum, wall_s = state["step"], state["curve"], state["loss_sum"], state["wall_s"]

    def losses_and_mask(split: str, step: int, length: int, max_depth: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids, in_prompt = draw_batch(
            tokenizer,
            split=split,
            stream=(recipe.seed, step),
            rows=recipe.tokens_per_step // length,
            length=length,
            max_depth=max_depth,
        )
        ids, in_prompt = torch.from_numpy(ids).to(recipe.device), torch.from_numpy(in_prompt).to(recipe.device)
        return token_losses(model, ids), in_prompt[:, 1:]

    started = time.perf_counter() - wall_s
    bar = tqdm(range(first, recipe.steps), initial=first, total=recipe.steps, desc=title, unit="step")
    losses_since = 0 if not curve else curve[-1]["step"]
    for step in bar:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = recipe.learning_rate(step)
        length = recipe.lengths[step % len(recipe.lengths)]
        losses, in_prompt = losses_and_mask("train", step, length, recipe.max_depth(step))
        weights = torch.where(in_prompt, recipe.prompt_weight, 1.0)
        model.zero_grad(set_to_none=True)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
        loss_sum += losses.mean().item()
        done = step + 1
        if done % recipe.validate_every == 0 or done == recipe.steps:
            model.eval()
            with torch.no_grad():
                validation_loss = losses_and_mask("validation", 0, CONTEXT, TRAIN_DEPTHS)[0].mean().item()
            model.train()
            point = {
                "step": done,
                "tokens": done * recipe.tokens_per_step,
                "wall_s": round(time.perf_counter() - started, 1),
                "train_loss": loss_sum / (done - losses_since),
                "validation_loss": validation_loss,
            }
            curve.append(point)
            loss_sum, losses_since = 0.0, done
            bar.set_postfix(train=f"{point['train_loss']:.3f}", validation=f"{validation_loss:.3f}")
        if done % recipe.checkpoint_every == 0:
            state = {
                "recipe": dataclasses.asdict(recipe),
                "step": done,
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "curve": curve,
                "loss_sum": loss_sum,
                "wall_s": time.perf_counter() - started,
            }
            _save_checkpoint(state, file)
    model.eval().to("cpu", getattr(torch, recipe.size.stored)).save_pretrained(out)
    tokenizer.save_pretrained(out)
    file.unlink(missing_ok=True)
    return curve
