"""Codes of a quantized matrix in 32-bit words, as checkpoints of AWQ and GPTQ lay them out.

Both store w = (code - zero) · scale with one scale and zero point for a group of inputs of each output, transposed: inputs
run down, outputs across. They differ in how codes share a word. GPTQ's words are one stream of bits, the first code lowest,
so that 32 codes of 3 bits fill three words; AWQ (AutoAWQ's GEMM version) shuffles every eight outputs first, an order that
suits its kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AWQ_BITS = 4
# The output of every eight that each nibble of a word holds, the lowest nibble first.
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
GPTQ_BITS = (2, 3, 4, 8)
# Checkpoint formats of GPTQ: v1 stores a zero point less one, so a zero point of 0 has no place in it; v2 stores it as it is.
GPTQ_V1, GPTQ_V2 = "gptq", "gptq_v2"
PARTS = {"awq": ("qweight", "qzeros", "scales"), "gptq": ("qweight", "qzeros", "scales", "g_idx")}


@dataclass(frozen=True, slots=True)
class Coded:
    """A quantized matrix: codes (outputs, inputs) and zeros (outputs, groups) int32, scales (outputs, groups) float, and the
    group of each input (inputs,) int64."""

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    group_of: torch.Tensor

    def weight(self) -> torch.Tensor:
        """The matrix (outputs, inputs) that it stands for, float32."""
        zeros, scales = self.zeros[:, self.group_of], self.scales.float()[:, self.group_of]
        return (self.codes - zeros).float().mul_(scales)


def pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes (rows, n), below 2^bits, as one stream of bits a row: int32, (rows, n·bits/32). n·bits: a multiple of 32."""
    import torch

    block = 32 // math.gcd(bits, 32)
    parts = codes.to(torch.int32).reshape(len(codes), -1, block)
    words = torch.zeros(len(codes), parts.shape[1], block * bits // 32, dtype=torch.int32)
    for i in range(block):
        word, start = divmod(i * bits, 32)
        words[..., word] |= parts[..., i] << start
        if start + bits > 32:
            words[..., word + 1] |= parts[..., i] >> (32 - start)
    return words.flatten(1)


def unpack(words: torch.Tensor, bits: int) -> torch.Tensor:
    """The codes (rows, n) int32 that `pack` laid into (rows, n·bits/32)."""
    import torch

    block = 32 // math.gcd(bits, 32)
    parts = words.reshape(len(words), -1, block * bits // 32)
    codes = torch.empty(len(words), parts.shape[1], block, dtype=torch.int32)
    for i in range(block):
        word, start = divmod(i * bits, 32)
        # The shift drags the sign in from above; what it brings is cut off, or belongs to the next word.
        low = min(bits, 32 - start)
        codes[..., i] = (parts[..., word] >> start) & (2**low - 1)
        if low < bits:
            codes[..., i] |= (parts[..., word + 1] & (2 ** (bits - low) - 1)) << low
    return codes.flatten(1)


def pack_awq(coded: Coded) -> dict[str, torch.Tensor]:
    """AutoAWQ's tensors of a matrix with 4-bit codes and groups of neighbours: qweight (inputs, outputs/8), qzeros
    (groups, outputs/8), scales float16 (groups, outputs)."""
    import torch

    def shuffled(values):
        return pack(values.T.reshape(values.shape[1], -1, 8)[..., AWQ_ORDER].flatten(1), AWQ_BITS)

    return {"qweight": shuffled(coded.codes), "qzeros": shuffled(coded.zeros),
            "scales": coded.scales.T.to(torch.float16).contiguous()}


def unpack_awq(tensors: Mapping[str, torch.Tensor]) -> Coded:
    """The matrix that AutoAWQ's tensors hold."""
    import torch

    back = sorted(range(8), key=AWQ_ORDER.__getitem__)

    def straight(words):
        codes = unpack(words, AWQ_BITS)
        return codes.reshape(len(words), -1, 8)[..., back].flatten(1).T

    inputs, groups = len(tensors["qweight"]), len(tensors["qzeros"])
    return Coded(straight(tensors["qweight"]), tensors["scales"].T, straight(tensors["qzeros"]),
                 torch.arange(inputs) // (inputs // groups))


def pack_gptq(coded: Coded, bits: int, checkpoint_format: str) -> dict[str, torch.Tensor]:
    """GPTQ's tensors of a matrix: qweight (inputs·bits/32, outputs), qzeros (groups, outputs·bits/32), scales float16
    (groups, outputs), g_idx int32 (inputs,). In v1 all zero points must be at least 1."""
    import torch

    less = 1 if checkpoint_format == GPTQ_V1 else 0
    return {"qweight": pack(coded.codes, bits).T.contiguous(), "qzeros": pack(coded.zeros.T - less, bits),
            "scales": coded.scales.T.to(torch.float16).contiguous(), "g_idx": coded.group_of.to(torch.int32)}


def unpack_gptq(tensors: Mapping[str, torch.Tensor], bits: int, checkpoint_format: str) -> Coded:
    """The matrix that GPTQ's tensors hold."""
    words = tensors["qzeros"]
    if checkpoint_format == GPTQ_V1 and 32 % bits == 0:
        # gptqmodel subtracts from whole words, so a zero point of 0 borrows from its neighbour: adding to words gives it back.
        words = words + sum(1 << start for start in range(0, 32, bits))
    zeros = unpack(words, bits)
    if checkpoint_format == GPTQ_V1 and 32 % bits:
        zeros = (zeros + 1) & (2**bits - 1)
    return Coded(unpack(tensors["qweight"].T, bits), tensors["scales"].T, zeros.T, tensors["g_idx"].long())
