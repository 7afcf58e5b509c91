"""Healing by least squares: what is left of a pruned model is fitted, layer by layer, to what the whole model computes.

No gradients and no optimizer, so a model of a billion weights heals on a laptop: in each layer the output projection and the
`down` projection are solved anew, in closed form, so that the stream after them comes as near as it can to the whole model's on
calibration texts, errors of the layers before included (the reconstruction of Luo, Wu and Lin 2017, ThiNet, arXiv:1707.06342,
for the two matrices that pruning cut inputs from). A ridge holds the solution near the pruned weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import progress
from edgekit.building import BuildError
from edgekit.catalog import models
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.compress.calibration import Calibration

if TYPE_CHECKING:
    import torch

FAMILIES = ("llama", "qwen2", "qwen3")  # of which a layer is two sums onto the stream
RIDGE = 0.01  # of the mean square of the inputs, as GPTQ damps its Hessians


def refitted_bytes(source: Artifact, *, whole: str, ridge: float = RIDGE, **_) -> int:
    """About what the artifact takes on disk (float32). Raises BuildError for packed weights, another family, or a whole model
    that this one was not made of."""
    require_plain("refitted", source)
    a, base = source.spec.architecture, models.resolve(whole).architecture
    if a.family not in FAMILIES:
        raise BuildError(f"refitted: expected a model of the family {', '.join(FAMILIES)}, got {a.family} ({source.variant})")
    if (a.family, a.layers, a.width, a.vocabulary) != (base.family, base.layers, base.width, base.vocabulary):
        raise BuildError(f"refitted: {source.variant} has {a.layers} layers of width {a.width}, {whole} {base.layers} of "
                         f"{base.width}; expected the model that it was pruned from")
    if not ridge > 0:
        raise BuildError(f"refitted: expected a ridge above 0, got {ridge!r}")
    return 4 * a.parameters + (1 << 20)


def refit(source: Artifact, folder: Path, *, whole: str, calibration: str, samples: int = 32, length: int = 256, seed: int = 0,
          ridge: float = RIDGE) -> None:
    """Write `source` with output and `down` projections fitted to those of the model `whole` into `folder`, float32.

    calibration: a set that gives `samples` sequences of `length` tokens by `seed`. Raises BuildError as `refitted_bytes`.
    """
    import torch
    import transformers

    refitted_bytes(source, whole=whole, ridge=ridge)
    base = models.resolve(whole)
    if base.folder is None or not base.folder.is_dir():
        raise BuildError(f"refitted: {whole} has no folder of floats")
    ids = torch.tensor(Calibration(calibration, samples, length, seed).sequences(base.folder, base.architecture.vocabulary))
    teacher, student = (transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True)
                        for path in (base.folder, source.path))
    with torch.inference_mode():
        fit(teacher.eval(), student.eval(), ids, ridge)
    fitted = {f"model.layers.{i}.{name}.weight": module.weight for i, layer in enumerate(student.model.layers)
              for name, module in _fitted(layer).items()}
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name, weight in weights.items():
            out.add(name, fitted.get(name, weight).detach().float())
    checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path, dtype="float32")


def fit(teacher: torch.nn.Module, student: torch.nn.Module, ids: torch.Tensor, ridge: float) -> None:
    """Change the two projections of each of the student's layers, the first layer first. ids: (sequences, tokens)."""
    aim, stream = teacher.model.embed_tokens(ids), student.model.embed_tokens(ids)
    places = _places(ids)
    for goal, layer in zip(teacher.model.layers, student.model.layers, strict=True):
        middle, aim = _through(teacher, goal, aim, places)
        for name, target in (("self_attn.o_proj", middle), ("mlp.down_proj", aim)):
            inputs, entered = _seen(student, layer, stream, places, name)
            _solve(_fitted(layer)[name], inputs, target - entered, ridge)
        _, stream = _through(student, layer, stream, places)
        progress.step()


def _places(ids: torch.Tensor) -> torch.Tensor:
    """Positions of the tokens of one sequence: (1, tokens)."""
    import torch

    return torch.arange(ids.shape[1])[None]


def _fitted(layer: torch.nn.Module) -> dict[str, torch.nn.Module]:
    return {"self_attn.o_proj": layer.self_attn.o_proj, "mlp.down_proj": layer.mlp.down_proj}


def _through(model, layer, stream: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The stream between a layer's attention and its MLP, and behind the layer, sequence by sequence."""
    import torch

    between: list[torch.Tensor] = []
    hook = layer.post_attention_layernorm.register_forward_pre_hook(lambda module, inputs: between.append(inputs[0]))
    try:
        after = torch.cat([_forward(model, layer, one, places) for one in stream.split(1)])
    finally:
        hook.remove()
    return torch.cat(between), after


def _seen(model, layer, stream: torch.Tensor, places: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What enters the projection `name` of a layer, and the stream that its output is added to."""
    import torch

    inputs: list[torch.Tensor] = []
    hook = _fitted(layer)[name].register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    try:
        middle, _ = _through(model, layer, stream, places)
    finally:
        hook.remove()
    return torch.cat(inputs), stream if name.startswith("self_attn") else middle


def _forward(model, layer, one: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    out = layer(one, attention_mask=None, position_ids=places, use_cache=False,
                position_embeddings=model.model.rotary_emb(one, places))
    return out[0] if isinstance(out, tuple) else out


def _solve(module: torch.nn.Module, inputs: torch.Tensor, target: torch.Tensor, ridge: float) -> None:
    """Set a projection to the minimum of |inputs·Wᵀ + b - target|² + λ·|W - W₀|², λ: `ridge` times the mean over inputs of the
    sum of squares."""
    import torch

    x, y = inputs.flatten(0, 1).double(), target.flatten(0, 1).double()
    if module.bias is not None:
        y = y - module.bias.double()
    before = module.weight.double()
    gram = x.T @ x
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    change = torch.linalg.solve(gram, x.T @ (y - x @ before.T))
    module.weight.copy_(before + change.T)
