"""Muon with matrix products in a type that the processor is fast at.

torch's own works in bfloat16 always, which takes five times as long as float32 on a processor without such instructions.
"""

from __future__ import annotations

import torch


class Muon(torch.optim.Muon):
    """torch.optim.Muon with Nesterov momentum, its steps scaled to AdamW's size, orthogonalized in `products` (a dtype).

    The scale is 0.2 sqrt(larger side) (Liu et al. 2025, arXiv:2502.16982), so one learning rate serves both optimizers.
    """

    def __init__(self, matrices, *, lr: float, weight_decay: float, momentum: float, products: torch.dtype):
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, momentum=momentum, adjust_lr_fn="match_rms_adamw")
        self.products = products

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            matrices, gradients, momenta = [], [], []
            self._init_group(group, matrices, gradients, momenta)
            for matrix, gradient, momentum in zip(matrices, gradients, momenta, strict=True):
                momentum.lerp_(gradient, 1 - group["momentum"])
                ahead = gradient.lerp(momentum, group["momentum"]).to(self.products)
                update = orthogonal(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonal(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, least: float) -> torch.Tensor:
    """About the nearest orthogonal matrix, (rows, columns), all singular values near 1, by Newton-Schulz iteration (Jordan et
    al. 2024, kellerjordan.github.io/posts/muon)."""
    a, b, c = coefficients
    found = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = found / found.norm().clamp(min=least)
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if matrix.shape[0] > matrix.shape[1] else found
