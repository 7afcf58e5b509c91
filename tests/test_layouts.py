"""The tensor layouts of AWQ and GPTQ: against a loop over single codes, and against the libraries that made them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.building import BuildError
from edgekit.catalog import packing
from edgekit.compress import layouts, packed, rtn
from edgekit.compress.layouts import Coded


def drawn(bits: int, *, outputs: int = 64, inputs: int = 96, group: int = 32, lowest_zero: int = 0, shuffled=False) -> Coded:
    """Random codes, scales and zero points; every code and every zero point occurs."""
    rng = np.random.default_rng(bits)
    groups = inputs // group
    group_of = rng.permutation(np.repeat(np.arange(groups), group)) if shuffled else np.arange(inputs) // group
    return Coded(torch.from_numpy(rng.integers(0, 2**bits, (outputs, inputs), dtype=np.int32)),
                 torch.from_numpy(rng.uniform(0.01, 0.1, (outputs, groups)).astype(np.float16)),
                 torch.from_numpy(rng.integers(lowest_zero, 2**bits, (outputs, groups), dtype=np.int32)),
                 torch.from_numpy(group_of))


def same(one: Coded, other: Coded) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name).to(getattr(one, name).dtype)) for name in Coded.__slots__)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_packed_words_are_one_stream_of_bits(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, (5, 96))
    words = layouts.pack(torch.from_numpy(codes), bits)
    assert words.dtype == torch.int32 and words.shape == (5, 96 * bits // 32)
    for row in range(5):
        stream = 0
        for i, code in enumerate(codes[row].tolist()):
            stream |= code << (i * bits)
        assert words[row].numpy().tobytes() == stream.to_bytes(96 * bits // 8, "little")
    assert np.array_equal(layouts.unpack(words, bits), codes)


def test_awq_words_hold_eight_outputs_in_its_own_order():
    coded = drawn(4)
    tensors = layouts.pack_awq(coded)
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {"qweight": (96, 8), "qzeros": (3, 8), "scales": (3, 64)}
    for i in range(96):
        for o in range(64):
            place = [0, 2, 4, 6, 1, 3, 5, 7].index(o % 8)
            assert (int(tensors["qweight"][i, o // 8]) >> (4 * place)) & 15 == coded.codes[o, i]
    assert same(layouts.unpack_awq(tensors), coded)


@pytest.mark.parametrize("version", [packing.GPTQ_V1, packing.GPTQ_V2])
@pytest.mark.parametrize("bits", packing.GPTQ_BITS)
def test_gptq_tensors_read_back(bits, version):
    coded = drawn(bits, lowest_zero=1 if version == packing.GPTQ_V1 else 0, shuffled=True)
    tensors = layouts.pack_gptq(coded, bits, version)
    shapes = {"qweight": (3 * bits, 64), "qzeros": (3, 2 * bits), "scales": (3, 64), "g_idx": (96,)}
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes
    assert same(layouts.unpack_gptq(tensors, bits, version), coded)


def test_a_coded_matrix_stands_for_code_less_zero_times_scale():
    coded = drawn(3, outputs=4, inputs=64, shuffled=True)
    weight = coded.weight()
    for o in range(4):
        for i in range(64):
            group = int(coded.group_of[i])
            expected = (int(coded.codes[o, i]) - int(coded.zeros[o, group])) * float(coded.scales[o, group])
            assert float(weight[o, i]) == pytest.approx(expected, rel=1e-6)


def test_autoawq_packs_and_reads_the_same():
    import transformers.activations

    if not hasattr(transformers.activations, "PytorchGELUTanh"):
        transformers.activations.PytorchGELUTanh = transformers.activations.GELUTanh
    gemm = pytest.importorskip("awq.modules.linear.gemm")
    from awq.utils.packing_utils import dequantize_gemm

    coded = drawn(4)
    linear = torch.nn.Linear(96, 64, bias=False)
    linear.weight.data = coded.weight()
    theirs = gemm.WQLinear_GEMM.from_linear(linear, 4, 32, scales=coded.scales.T.float(), zeros=coded.zeros.T.float())
    ours = layouts.pack_awq(coded)
    for name in layouts.PARTS["awq"]:
        assert torch.equal(getattr(theirs, name), ours[name]), name
    made = dequantize_gemm(ours["qweight"], ours["qzeros"], ours["scales"], 4, 32).T
    np.testing.assert_allclose(coded.weight(), made.float(), rtol=2**-11)  # theirs multiplies in float16


@pytest.mark.parametrize("bits", packing.GPTQ_BITS)
def test_gptqmodel_packs_and_reads_the_same(bits, monkeypatch):
    monkeypatch.setenv("GPTQMODEL_CPU_WORKERS", "2")
    qlinear = pytest.importorskip("gptqmodel.nn_modules.qlinear.torch")
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module

    coded = drawn(bits)
    linear = torch.nn.Linear(96, 64, bias=False)
    linear.weight.data = coded.weight()
    theirs = qlinear.TorchLinear(bits=bits, group_size=32, sym=False, desc_act=False, in_features=96, out_features=64)
    theirs.pack_original(linear, coded.scales.float(), coded.zeros.float(), coded.group_of.to(torch.int32))
    ours = layouts.pack_gptq(coded, bits, packing.GPTQ_V2)
    for name in layouts.PARTS["gptq"]:
        assert torch.equal(getattr(theirs, name).to(ours[name].dtype), ours[name]), name
    theirs.post_init()
    np.testing.assert_allclose(coded.weight(), theirs.dequantize_weight().T.float(), rtol=2**-10)
    # Saved as v1: zero points less one, those of 0 borrowing from their neighbour, and back.
    convert_gptq_v2_to_v1_format_module(theirs, type("config", (), {"bits": bits, "pack_dtype": torch.int32}))
    assert not torch.equal(theirs.qzeros, ours["qzeros"])
    assert same(layouts.unpack_gptq({**ours, "qzeros": theirs.qzeros}, bits, packing.GPTQ_V1), coded)


@pytest.mark.parametrize("bits, group", [(2, 16), (3, 32), (4, 32), (8, 64)])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("spread", [1.0, 1e-6])
def test_float16_scales_keep_every_weight_within_half_a_step(bits, group, symmetric, spread):
    weight = torch.from_numpy(spread * np.random.default_rng(1).standard_t(3, size=(64, 128)).astype(np.float32))
    weight[:, ::7] = 0
    weight[:2, :] = 0
    coded = packed.quantize(weight, bits=bits, group=group, symmetric=symmetric)
    assert coded.scales.dtype == torch.float16 and int(coded.codes.min()) >= 0 and int(coded.codes.max()) < 2**bits
    assert int(coded.zeros.min()) >= 0 and int(coded.zeros.max()) < 2**bits
    moved = (coded.weight() - weight).abs() / coded.scales.float()[:, coded.group_of]
    assert 0.4 < float(moved.max()) <= 0.5 * (1 + 1e-4)
    assert (coded.weight()[weight == 0] == 0).all()


def test_rounding_up_a_scale_moves_it_by_one_float16_at_most():
    weight = torch.from_numpy(np.random.default_rng(2).normal(size=(64, 128)).astype(np.float32))
    exact = (rtn.span(weight.reshape(64, -1, 32)) / 15).squeeze(-1)
    scales = packed.quantize(weight, bits=4, group=32, symmetric=False).scales.float()
    assert (scales >= exact).all() and (scales <= exact * (1 + 2**-10)).all() and (scales > exact).any()


def test_weights_beyond_a_float16_scale_are_refused():
    with pytest.raises(BuildError, match=r"2.67e\+05 a step of the grid: more than a float16 scale holds"):
        packed.quantize(torch.full((8, 32), 4e6), bits=4, group=32, symmetric=False)
