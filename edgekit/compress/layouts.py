"""Codes of a quantized matrix in 32-bit words, as checkpoints of AWQ and GPTQ lay them out.

Both store w = (code - zero) · scale with one scale and zero point for a group of inputs of each output, transposed: inputs
run down, outputs across. They differ in how codes share a word. GPTQ's words are one stream of bits, the first code lowest,
so that 32 codes of 3 bits fill three words; AWQ (AutoAWQ's GEMM version) shuffles every eight outputs first, an order that
suits its kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.catalog.packing import AWQ_BITS, GPTQ_V1

if TYPE_CHECKING:
    import torch

# The output of every eight that each nibble of a word holds, the lowest nibble first.
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
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


def pack(codes: torch.Tensor, bits: int, order: Sequence[int] | None = None) -> torch.Tensor:
    """Codes (rows, n), below 2^bits, as one stream of bits a row: int32, (rows, n·bits/32). n·bits: a multiple of 32.

    `order`: which code comes at each place of a block, the fewest codes that fill whole words (8 of 4 bits, 32 of 3).
    """
    import torch

    block = 32 // math.gcd(bits, 32)
    # One place of all blocks lies together, which halves the time.
    parts = codes.to(torch.int32).reshape(len(codes), -1, block).movedim(-1, 0).contiguous()
    words = torch.zeros(block * bits // 32, *parts.shape[1:], dtype=torch.int32)
    for i in range(block):
        word, start = divmod(i * bits, 32)
        code = parts[i if order is None else order[i]]
        words[word] |= code << start
        if start + bits > 32:
            words[word + 1] |= code >> (32 - start)
    return words.movedim(0, -1).flatten(1)


def unpack(words: torch.Tensor, bits: int, order: Sequence[int] | None = None) -> torch.Tensor:
    """The codes (rows, n) int32 that `pack` laid into (rows, n·bits/32)."""
    import torch

    block = 32 // math.gcd(bits, 32)
    parts = words.reshape(len(words), -1, block * bits // 32).movedim(-1, 0).contiguous()
    codes = torch.empty(block, *parts.shape[1:], dtype=torch.int32)
    for i in range(block):
        word, start = divmod(i * bits, 32)
        # The shift drags the sign in from above; what it brings is cut off, or belongs to the next word.
        low = min(bits, 32 - start)
        code = (parts[word] >> start) & (2**low - 1)
        if low < bits:
            code |= (parts[word + 1] & (2 ** (bits - low) - 1)) << low
        codes[i if order is None else order[i]] = code
    return codes.movedim(0, -1).flatten(1)


def pack_awq(coded: Coded) -> dict[str, torch.Tensor]:
    """AutoAWQ's tensors of a matrix with 4-bit codes and groups of neighbours: qweight (inputs, outputs/8), qzeros
    (groups, outputs/8), scales float16 (groups, outputs)."""
    import torch

    return {"qweight": pack(coded.codes.T, AWQ_BITS, AWQ_ORDER), "qzeros": pack(coded.zeros.T, AWQ_BITS, AWQ_ORDER),
            "scales": coded.scales.T.to(torch.float16).contiguous()}


def unpack_awq(tensors: Mapping[str, torch.Tensor]) -> Coded:
    """The matrix that AutoAWQ's tensors hold."""
    import torch

    inputs, groups = len(tensors["qweight"]), len(tensors["qzeros"])
    return Coded(unpack(tensors["qweight"], AWQ_BITS, AWQ_ORDER).T, tensors["scales"].T,
                 unpack(tensors["qzeros"], AWQ_BITS, AWQ_ORDER).T, torch.arange(inputs) // (inputs // groups))


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
