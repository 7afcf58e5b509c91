"""One that learns: a model with its teacher, its rows and its optimizers, a step at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog import prompting
from edgekit.catalog.models import ModelError
from edgekit.catalog.prompting import Prompting
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact
from edgekit.compress.training_texts import Rows, Text
from edgekit.training import loop as training

if TYPE_CHECKING:
    import torch

    from edgekit.compress.distil import Distillation

PROMPT_WEIGHT = 0.25  # what is given cannot be foreseen: a smaller weight makes the gradient quieter
WARMUP_SHARE, FINAL_SHARE, DECAY, CLIP_NORM = 0.05, 0.02, 0.05, 1.0


class Student:
    """Model, teacher, optimizers and rows of one distillation: `step(k)` does optimizer step k."""

    def __init__(self, source: Artifact, asked: Distillation, *, teacher: Path | None, texts: list[Text]):
        """`teacher`: the folder of the model whose logits are learnt from, None for no such thing."""
        training.keep_memory(asked.device)
        self.asked = asked
        self.model = (_load(source.path, asked.device) if asked.init == "source" else _fresh(source.path, asked)).train()
        self.teacher = None if teacher is None else _load(teacher, asked.device).eval()
        tokens = prompting_of(source.path, source.spec.name)
        self.rows = Rows(texts, tokens, length=asked.length, seed=asked.seed)
        widths = {model.config.vocab_size for model in (self.model, self.teacher) if model is not None}
        # How far a model pads its vocabulary is its own affair: what two compare is the ids that both have.
        self.shared = None if len(widths) == 1 else min(tokens.vocabulary, *widths)
        self.optimizers = training.optimizers(self.model, rate=asked.learning_rate, decay=DECAY)

    def step(self, step: int) -> float:
        """Step number `step`, counted from 0; the mean cross-entropy before it, in nats a token. Raises Diverged."""
        import torch

        asked, model = self.asked, self.model
        training.set_rate(self.optimizers, training.learning_rate(asked.learning_rate, step, asked.steps,
                                                                  warmup_share=WARMUP_SHARE, final_share=FINAL_SHARE))
        rows = asked.tokens // asked.length
        ids, in_prompt = (torch.from_numpy(part).to(asked.device) for part in self.rows(step * rows, rows))
        logits = training.logits_of(model, ids)
        entropies = training.losses_of(logits, ids)
        losses = entropies
        if self.teacher is not None:
            with torch.no_grad():
                target = training.logits_of(self.teacher, ids)
            losses = (1 - asked.mix) * entropies + asked.mix * softened_divergence(
                target[..., :self.shared], logits[..., :self.shared], asked.temperature)
        weights = torch.where(in_prompt[:, 1:], PROMPT_WEIGHT, 1.0)
        model.zero_grad(set_to_none=True)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        mean = entropies.mean().item()
        training.require_sane(mean, step=step, warm=step > WARMUP_SHARE * asked.steps, vocabulary=logits.shape[-1],
                              what_to_do=f"train with a smaller learning_rate than {asked.learning_rate}")
        for optimizer in self.optimizers:
            optimizer.step()
        return mean

    def write(self, folder: Path, source: Artifact) -> None:
        """The weights as a Hugging Face folder, in the dtype and under the names of the source."""
        trained = dict(self.model.state_dict())
        with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
            for name in weights:
                weight = weights[name]
                out.add(name, trained[name].to("cpu", weight.dtype))
        checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path,
                                dtype=str(weight.dtype).removeprefix("torch."))


def softened_divergence(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² KL(softmax(teacher/T) || softmax(student/T)) in nats, from logits (rows, positions, vocabulary): (rows, positions)."""
    import torch

    p, q = ((logits / temperature).log_softmax(-1) for logits in (teacher, student))
    return temperature**2 * torch.nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)


def _load(folder: Path, device: str) -> torch.nn.Module:
    import torch
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True,
                                                             attn_implementation=_attention(device)).to(device)


def _attention(device: str) -> str:
    return "eager" if device == "cpu" else "sdpa"  # rows are short: plain products are the faster on a CPU


def _fresh(folder: Path, asked: Distillation) -> torch.nn.Module:
    """The architecture in `folder` with weights drawn from the seed; the caller's random state is left as it was."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(asked.seed)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32,
                                                              attn_implementation=_attention(asked.device))
    return model.to(asked.device)


def prompting_of(folder: Path, name: str) -> Prompting:
    """The prompting of a model folder, which training texts need. Raises BuildError where it has none."""
    try:
        return prompting.of(folder, name)
    except ModelError as error:
        raise BuildError(f"distilled: {name}: {error}") from error
