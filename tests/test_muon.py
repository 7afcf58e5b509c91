"""The kit's Muon is torch's, in another type."""

from __future__ import annotations

import pytest
import torch

from edgekit.training.muon import Muon, orthogonal

SHAPES = [(24, 40), (40, 24), (32, 32)]
RATES = dict(lr=0.01, weight_decay=0.05, momentum=0.95)


def walked(make, steps=6):
    """Where an optimizer takes three matrices, whose gradients are drawn."""
    random = torch.Generator().manual_seed(3)
    matrices = [torch.nn.Parameter(torch.randn(shape, generator=random)) for shape in SHAPES]
    optimizer = make(matrices)
    for _ in range(steps):
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=random)
        optimizer.step()
    return [matrix.detach() for matrix in matrices]


@pytest.mark.parametrize(("products", "apart"), [(torch.bfloat16, 0.0), (torch.float32, 0.02)])
def test_steps_are_those_of_torchs_muon(products, apart):
    theirs = walked(lambda matrices: torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **RATES))
    starts = walked(lambda matrices: torch.optim.Muon(matrices, **RATES), steps=0)
    ours = walked(lambda matrices: Muon(matrices, products=products, **RATES))
    for our, their, start in zip(ours, theirs, starts, strict=True):
        assert (our - their).abs().max() <= apart * (their - start).abs().max(), "apart by the rounding of bfloat16"
        assert (their - start).abs().max() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonal(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert torch.linalg.svdvals(found).min() > 0.5 and torch.linalg.svdvals(found).max() < 1.4
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 1e-3, "only the singular values change"
