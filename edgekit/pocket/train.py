"""Training of the pocket models: a Llama of a stated size on an endless, seeded stream of the language.

Row r of the training data is a pure function of (seed, r), so a run needs no data files, members of the family see the
same rows in the same order, and a run that was interrupted goes on from its checkpoint as if it had never stopped.
The product is a Hugging Face folder.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.pocket.chain import MAX_DEPTH
from edgekit.pocket.excess import draw_prose
from edgekit.pocket.recipe import Recipe, recipe_of
from edgekit.pocket.rows import ROW_TOKENS, draw_rows
from edgekit.pocket.sizes import build_model
from edgekit.pocket.tokenizer import VOCABULARY, train_tokenizer
from edgekit.training import loop as training

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHECKPOINT = "checkpoint.pt"
VALIDATION_ROWS = 48
PROSE_TEXTS = 64


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


class Trainer:
    """Model, optimizers and data of one recipe: `step(k)` does optimizer step k."""

    def __init__(self, recipe: Recipe):
        import torch

        training.keep_memory(recipe.device)
        self.recipe = recipe
        self.tokenizer = train_tokenizer(seed=recipe.seed)
        self.model = build_model(recipe.size, recipe.seed).to(recipe.device).train()
        # Rows are short, so attention as plain matrix products is faster on a CPU than the blockwise kernel.
        self.model.set_attn_implementation("eager" if recipe.device == "cpu" else "sdpa")
        self.forward = torch.compile(self.model) if recipe.compiled else self.model
        self.optimizers = self._fresh_optimizers()

    def step(self, step: int) -> float:
        """Step number `step`, counted from 0; the mean loss before it, in nats a token. Raises TrainingError."""
        import torch

        recipe, model = self.recipe, self.model
        if step and step % recipe.steps == 0:
            self._begin_cycle()
        training.set_rate(self.optimizers, recipe.learning_rate(step))
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
        losses = training.token_losses(self.forward, torch.from_numpy(ids).to(recipe.device))
        weights = torch.where(torch.from_numpy(in_prompt[:, 1:]).to(recipe.device), recipe.prompt_weight, 1.0)
        model.zero_grad(set_to_none=True)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        mean = losses.mean().item()
        training.require_sane(
            mean, step=step, warm=step > recipe.warmup_share * recipe.steps, vocabulary=VOCABULARY,
            what_to_do="what was learnt until the last checkpoint is kept; train with smaller peak_lrs than "
                       f"{recipe.size.peak_lrs} (edgekit/pocket/sizes.py)")
        for optimizer in self.optimizers:
            optimizer.step()
        return mean

    def _fresh_optimizers(self) -> list:
        # The rate is set anew at each step.
        return training.optimizers(self.model, rate=self.recipe.size.peak_lrs[0], decay=self.recipe.weight_decay)

    def _begin_cycle(self) -> None:
        """From the weights as they would be stored, with fresh optimizers."""
        import torch

        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(parameter.to(getattr(torch, self.recipe.size.stored)))
        self.optimizers = self._fresh_optimizers()


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
            loss = training.token_losses(model, self.ids).mean().item()
        excess = self.prose.excess(model)
        model.train()
        return {"validation_loss": loss, "prose_excess": float(excess.sum() / self.prose.tokens.sum())}


def run_recipe(recipe: Recipe, *, out: Path, resume: bool = True, title: str = "train") -> list[dict[str, float]]:
    """Train by a recipe; what `train` does, for any size. Returns and raises as `train` does."""
    import torch

    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe)
    model = trainer.model
    validation = _Validation(trainer.tokenizer, recipe)
    file = out / CHECKPOINT
    per_step = recipe.size.tokens_per_step
    curve = training.run(
        trainer, steps=recipe.total_steps, tokens_per_step=per_step, file=file, recipe=dataclasses.asdict(recipe),
        device=recipe.device, title=title, validate=lambda: validation(model),
        validate_at=lambda done: done * per_step % recipe.validate_every_tokens == 0 or done % recipe.steps == 0,
        checkpoint_at=lambda done: done * per_step % recipe.checkpoint_every_tokens == 0, resume=resume)
    model.eval().to("cpu", getattr(torch, recipe.size.stored)).save_pretrained(out)
    trainer.tokenizer.save_pretrained(out)
    training.remove_checkpoints(file)
    return curve
