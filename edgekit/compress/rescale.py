"""The same function with other weights: channels rescaled by random factors that cancel.

Weights that came rounded lie on their format's grid, and rounding them again onto the same grid loses nothing, by construction
and not by merit. This step takes them off it: a factor for each channel of the norm's gains is taken back by the columns that
read it, one for each channel of the values by the columns of the output projection, one for each neuron's `up` row by the
column of `down`. Each column of every matrix of the layers then has a factor of its own, so no group of neighbouring inputs
keeps its grid. The identities are those that AWQ (Lin et al. 2023, arXiv:2306.00978, section 3.2) and SmoothQuant (Xiao et al.
2022, arXiv:2211.10438) scale channels by; here the factors say nothing and are drawn.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact, require_plain

if TYPE_CHECKING:
    import torch

BY = 0.1  # factors from 1 / 1.1 to 1.1 take weights off every grid, and change little how hard they are to quantize
FAMILIES = ("llama", "qwen2", "qwen3")
LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
# of each kind of weight: the factors of its rows (of a vector: its elements), and those of its columns, taken back
ROWS = {"input_layernorm.weight": "attention", "post_attention_layernorm.weight": "mlp", "self_attn.v_proj.weight": "values",
        "self_attn.v_proj.bias": "values", "mlp.up_proj.weight": "neurons", "mlp.up_proj.bias": "neurons"}
COLUMNS = {"self_attn.q_proj.weight": "attention", "self_attn.k_proj.weight": "attention",
           "self_attn.v_proj.weight": "attention", "self_attn.o_proj.weight": "values", "mlp.gate_proj.weight": "mlp",
           "mlp.up_proj.weight": "mlp", "mlp.down_proj.weight": "neurons"}


def rescaled_bytes(source: Artifact, *, by: float = BY, seed: int = 0) -> int:
    """About what the artifact takes on disk (float32). Raises BuildError for packed weights, a family whose identities are not
    known here, or factors that are none."""
    require_plain("rescaled", source)
    a = source.spec.architecture
    if a.family not in FAMILIES:
        raise BuildError(f"rescaled: expected a model of the family {', '.join(FAMILIES)}, got {a.family} ({source.variant})")
    if not 0 < by < 1:
        raise BuildError(f"rescaled: expected by between 0 and 1 (0.1: factors from 1/1.1 to 1.1), got {by!r}")
    return 4 * a.parameters + (1 << 20)


def rescale(source: Artifact, folder: Path, *, by: float = BY, seed: int = 0) -> None:
    """Write `source` with rescaled channels into `folder`, float32 safetensors, tensor by tensor.

    by: factors are drawn log-uniformly from 1 / (1 + by) to 1 + by. Raises BuildError as `rescaled_bytes`.
    """
    import torch

    rescaled_bytes(source, by=by, seed=seed)
    a = source.spec.architecture
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name, weight in weights.items():
            exact = weight.to(torch.float32)
            if match := LAYER.fullmatch(name):
                layer, part = int(match[1]), match[2]
                if part in ROWS:
                    rows = _factors(a, ROWS[part], layer, by, seed)
                    exact = exact * rows.reshape(-1, *[1] * (exact.ndim - 1))
                if part in COLUMNS:
                    columns = _factors(a, COLUMNS[part], layer, by, seed)
                    exact = exact / (_to_heads(columns, a) if part == "self_attn.o_proj.weight" else columns)
            out.add(name, exact)
    checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path, dtype="float32")


def _factors(a: Architecture, what: str, layer: int, by: float, seed: int) -> torch.Tensor:
    """The factors of one kind of channel of a layer, drawn anew by its place, so that no order of tensors matters."""
    import torch

    kinds = {"attention": a.width, "mlp": a.width, "values": a.kv_heads * a.head_dim, "neurons": a.mlp_width}
    generator = torch.Generator().manual_seed(seed * 1_000_003 + layer * len(kinds) + list(kinds).index(what))
    return torch.exp((2 * torch.rand(kinds[what], generator=generator) - 1) * math.log1p(by))


def _to_heads(values: torch.Tensor, a: Architecture) -> torch.Tensor:
    """Factors of the values' channels (kv_heads·head_dim,) as the output projection meets them: once a query head."""
    return values.reshape(a.kv_heads, 1, a.head_dim).expand(-1, a.heads // a.kv_heads, -1).reshape(-1)
