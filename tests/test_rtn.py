"""Round-to-nearest against a loop over single weights, and what must hold for any grid."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from edgekit import engines
from edgekit.building import BuildError
from edgekit.compress import rtn, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")


def rounded(weight, bits, group):
    return rtn.dequantize(*rtn.quantize(torch.as_tensor(weight), bits=bits, group=group)).numpy()


def by_hand(weight, bits, group):
    """One weight at a time, in double precision."""
    made = np.empty_like(weight, dtype=np.float64)
    for row in range(weight.shape[0]):
        for first in range(0, weight.shape[1], group):
            members = weight[row, first:first + group].astype(np.float64)
            low, high = min(members.min(), 0.0), max(members.max(), 0.0)
            step = (high - low) / (2**bits - 1) or 1.0
            zero = round(-low / step)
            for i, value in enumerate(members):
                code = min(max(round(value / step) + zero, 0), 2**bits - 1)
                made[row, first + i] = (code - zero) * step
    return made


@pytest.mark.parametrize("bits", rtn.BITS)
@pytest.mark.parametrize("shift", [0.0, 0.5, -3.0], ids=["both signs", "mostly positive", "all negative"])
def test_rounding_is_what_a_loop_over_weights_gives(bits, shift):
    weight = (np.random.default_rng(bits).normal(size=(6, 64)) * 0.3 + shift).astype(np.float32)
    assert rounded(weight, bits, 16) == pytest.approx(by_hand(weight, bits, 16), abs=1e-5)


@pytest.mark.parametrize("bits, group", [(2, 8), (3, 16), (4, 32), (8, 64)])
def test_no_weight_moves_by_more_than_half_a_step_and_zero_stays(bits, group):
    weight = np.random.default_rng(1).standard_t(3, size=(40, 64)).astype(np.float32)
    weight[:, ::7] = 0.0
    codes, scale, _ = rtn.quantize(torch.from_numpy(weight), bits=bits, group=group)
    assert codes.min() >= 0 and codes.max() <= 2**bits - 1 and torch.equal(codes, codes.round())
    made = rounded(weight, bits, group)
    moved = np.abs(made - weight).reshape(40, -1, group)
    assert (moved <= scale.numpy() / 2 * (1 + 1e-4)).all()
    assert (made[:, ::7] == 0).all()


def test_more_bits_and_smaller_groups_move_weights_less():
    weight = np.random.default_rng(2).normal(size=(64, 128)).astype(np.float32)
    error = {(bits, group): np.square(rounded(weight, bits, group) - weight).mean() for bits in rtn.BITS for group in (16, 128)}
    assert all(error[bits, 16] < error[bits, 128] for bits in rtn.BITS)
    assert all(error[bits + 1, 16] < error[bits, 16] / 2 for bits in rtn.BITS[:-1])
    assert error[8, 16] < 1e-4 * np.square(weight).mean()


def test_what_is_on_the_grid_already_stays_there():
    weight = np.random.default_rng(3).normal(size=(16, 64)).astype(np.float32)
    once = rounded(weight, 4, 32)
    assert rounded(once, 4, 32) == pytest.approx(once, abs=1e-6)
    assert rounded(np.zeros((2, 64), np.float32), 2, 32).tolist() == [[0.0] * 64] * 2


def test_the_step_rounds_the_layers_and_leaves_the_rest(tmp_path):
    source = tiny.write(tmp_path / "model")
    made = variant.build(f"{tmp_path / 'model'} > rtn(bits=3, group=32)")
    assert made.format == "safetensors" and made.variant.endswith("> rtn(bits=3, group=32)")
    before, after = load_file(source.path / "model.safetensors"), load_file(made.path / "model.safetensors")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert after[name].dtype == torch.float32
        if "_proj" in name:
            assert not torch.equal(after[name], weight)
            assert all(len(set(part.tolist())) <= 8 for part in after[name].reshape(-1, 32)[:50])
        else:
            assert torch.equal(after[name], weight)
    assert json.loads((made.path / "config.json").read_text())["dtype"] == "float32"


def test_eight_bits_change_next_to_nothing_and_two_a_lot(tmp_path):
    source = tiny.write(tmp_path / "model")
    tokens = list(range(1, 90))

    def scores(artifact):
        with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=128) as engine:
            return torch.log_softmax(torch.from_numpy(engine.score(tokens)), -1)

    exact = scores(source)
    lost = {bits: float((exact.exp() * (exact - scores(variant.build(f"{tmp_path / 'model'} > rtn(bits={bits}, group=32)"))))
                        .sum(-1).mean()) for bits in (8, 4, 2)}
    assert 0 <= lost[8] < 0.01 and lost[8] < lost[4] < lost[2]


def test_bfloat16_and_several_files_are_read(tmp_path):
    source = tiny.write(tmp_path / "model")
    weights = load_file(source.path / "model.safetensors")
    names = sorted(weights)
    for part, chosen in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name].to(torch.bfloat16) for name in chosen}, source.path / f"model-{part}.safetensors",
                  metadata={"format": "pt"})
    (source.path / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: f"model-{i % 2}.safetensors" for i, name in enumerate(names)}}
    (source.path / "model.safetensors.index.json").write_text(json.dumps(index))
    made = variant.build(f"{tmp_path / 'model'} > rtn(bits=8, group=32)")
    with engines.open_engine("transformers", made, dtype="float32", threads=1, device="cpu", context=64) as engine:
        assert np.isfinite(engine.score([1, 2, 3])).all()


@pytest.mark.parametrize("step, complaint", [
    ("rtn(bits=9, group=32)", "expected bits of 2 to 8, got 9"),
    ("rtn(bits=4, group=0)", "expected a group of at least one weight, got 0"),
    ("rtn(bits=4, group=48)", r"group=48 does not divide the input width 64 \(q, k, v, gate and up\), 128 \(o\) of .*; "
                              "groups that divide all widths: 32, 16, 8"),
])
def test_what_cannot_be_is_refused_in_words(tmp_path, step, complaint):
    tiny.write(tmp_path / "model")
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"{tmp_path / 'model'} > {step}")


def test_a_gguf_file_is_refused(tmp_path):
    source = tiny.write(tmp_path / "model")
    gguf = type(source)("x > gguf(dtype=float16)", source.spec, source.path, "gguf", "0")
    with pytest.raises(BuildError, match="expected a safetensors artifact, got gguf"):
        rtn.round_to_nearest(gguf, tmp_path, bits=4, group=32)


def test_packed_storage_counts_codes_scales_and_zero_points():
    """512 weights of 4 bits in groups of 128: 2048 bits of codes, four scales of 16 and four zero points of 4 bits."""
    assert 512 * rtn.bits_per_weight(4, 128) == 2048 + 4 * 16 + 4 * 4
    assert rtn.bits_per_weight(4, 32) == 4.625
