"""llama.cpp's quantizer as a step: its blocks are what its formats say, and importance moves the error to where it is cheap."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from edgekit import store
from edgekit.building import BuildError
from edgekit.catalog import gguf_file
from edgekit.compress import calibration, importance, variant
from edgekit.compress.calibration import Calibration
from edgekit.measure import losses

pytestmark = pytest.mark.usefixtures("own_artifacts")

POCKET = "pocket-200k"
FOLDER = store.ROOT / "data/models" / POCKET


def tensors(file):
    import gguf

    return {t.name: (t.tensor_type.name, gguf.dequantize(t.data, t.tensor_type)) for t in gguf.GGUFReader(file).tensors}


def stored_as(file) -> str:
    return gguf_file.read(file).stored_as


def pair(type, **arguments):
    """(16-bit tensors, quantized tensors) of the smallest pocket model."""
    more = "".join(f", {name}={value}" for name, value in arguments.items())
    wide = variant.build(f"{POCKET} > gguf(dtype=float16)")
    return tensors(wide.file), tensors(variant.build(f"{POCKET} > gguf_quantized(type={type}{more})").file)


def test_q8_0_is_rounding_to_the_nearest_of_255_steps_of_each_block_of_32():
    wide, narrow = pair("Q8_0")
    kinds = {name: kind for name, (kind, _) in narrow.items()}
    assert kinds["blk.0.attn_q.weight"] == "Q8_0" and kinds["blk.0.attn_norm.weight"] == "F32"
    for name in ("blk.0.attn_q.weight", "blk.1.ffn_down.weight", "token_embd.weight"):
        blocks = wide[name][1].astype(np.float32).reshape(-1, 32)
        exact = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
        stored = exact.astype(np.float16).astype(np.float32)
        codes = np.where(exact > 0, np.rint(blocks / np.where(exact > 0, exact, 1)), 0)
        apart = np.abs(narrow[name][1].reshape(-1, 32) - codes * stored)
        # in the middle between two steps the last bit of a division decides
        assert (apart < 1e-3 * exact).mean() > 0.999 and (apart < 1.001 * exact).all()


def test_q4_0_has_sixteen_steps_a_block_and_halves_the_file_of_q8_0():
    wide, narrow = pair("Q4_0")
    assert narrow["blk.0.ffn_up.weight"][0] == "Q4_0"
    values = narrow["blk.0.ffn_up.weight"][1].reshape(-1, 32)
    blocks = wide["blk.0.ffn_up.weight"][1].astype(np.float32).reshape(-1, 32)
    step = np.abs(blocks).max(1) / 8
    for one, size in zip(values, step, strict=True):
        codes = one / size
        assert np.abs(codes - np.rint(codes)).max() < 0.01 and codes.min() > -8.1 and codes.max() < 8.1
    # half a step, and a whole one at the end of the grid that has one value fewer
    assert (np.abs(values - blocks) <= step[:, None] * 1.01).all()
    assert np.sqrt(np.mean((values - blocks) ** 2)) < 0.35 * step.mean()


def test_fewer_bits_mean_smaller_files_and_larger_errors():
    errors, sizes = {}, {}
    for type in ("Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M", "Q2_K"):
        wide, narrow = pair(type)
        # widths of 64 have no room for super-blocks of 256: llama.cpp falls back, and says so in the types
        name = "blk.0.ffn_up.weight"
        errors[type] = float(np.mean((wide[name][1].astype(np.float32) - narrow[name][1]) ** 2))
        sizes[type] = variant.build(f"{POCKET} > gguf_quantized(type={type})").size_bytes()
    assert errors["Q8_0"] < errors["Q4_K_M"] <= errors["Q2_K"] and errors["Q8_0"] > 0
    assert sizes["Q8_0"] > sizes["Q4_K_M"] >= sizes["Q2_K"]


def test_formats_are_counted_and_fallbacks_are_seen():
    counted = gguf_file.read(variant.build(f"{POCKET} > gguf_quantized(type=Q4_K_M)").file).kinds()
    parameters = variant.build(POCKET).spec.architecture.parameters
    assert sum(counted.values()) == parameters
    assert "Q4_K" not in counted and {"F32"} < set(counted), "no width of the smallest model is a multiple of 256"


def test_a_type_that_does_not_fit_is_told_and_the_same_file_is_seen_to_be_the_same():
    """None of the smallest model's widths is a multiple of 256: Q2_K's wish ends in the blocks of Q4_0."""
    q2, q4 = (variant.build(f"{POCKET} > gguf_quantized(type={type})").file for type in ("Q2_K", "Q4_0"))
    assert stored_as(q2) == stored_as(q4) and "Q2_K" not in stored_as(q2)
    shares = [float(part.split()[1]) for part in stored_as(q2).split(", ")]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.2)
    told = [one.get("stored_as") for one in losses.size_of(variant.build(f"{POCKET} > gguf_quantized(type=Q2_K)"))]
    assert told == [None, stored_as(q2), None]


def test_importance_is_the_mean_square_of_what_goes_in():
    import torch
    import transformers

    sequences = Calibration("mixture", 3, 40, 1).sequences(FOLDER, 1024)
    found = importance.mean_squares(FOLDER, sequences)
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    with torch.no_grad():
        hidden = model.model.embed_tokens(torch.tensor(sequences))
        normed = model.model.layers[0].input_layernorm(hidden)
    by_hand = normed.flatten(0, 1).double().square().mean(0).numpy()
    np.testing.assert_allclose(found["model.layers.0.self_attn.q_proj.weight"], by_hand, rtol=1e-4)
    assert set(found) == {f"model.layers.{i}.{part}.weight" for i in range(3) for part in (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
        "mlp.down_proj")} | {"lm_head.weight"}


def test_an_importance_matrix_lowers_the_error_that_it_weighs():
    sequences = Calibration("mixture", 32, 256, 0).sequences(FOLDER, 1024)
    weights = importance.mean_squares(FOLDER, sequences)
    wide, plain = pair("Q4_0")
    _, weighed = pair("Q4_0", calibration="mixture", samples=32)
    ratios = []
    for layer in range(3):
        name = f"blk.{layer}.ffn_down.weight"
        importances = weights[f"model.layers.{layer}.mlp.down_proj.weight"]
        error = [float(((t[name][1] - wide[name][1].astype(np.float32)) ** 2 * importances).sum()) for t in (weighed, plain)]
        ratios.append(error[0] / error[1])
    assert max(ratios) < 1 and min(ratios) > 0.1


def test_calibration_sequences_have_one_length_and_depend_on_the_seed_alone():
    one, same, other = (Calibration("mixture", 20, 100, seed) for seed in (1, 1, 2))
    ids = one.sequences(FOLDER, 1024)
    assert {len(sequence) for sequence in ids} == {100} and len(ids) == 20
    assert ids == same.sequences(FOLDER, 1024) and one.hash == same.hash
    assert ids != other.sequences(FOLDER, 1024) and one.hash != other.hash
    assert len({tuple(sequence) for sequence in ids}) == 20, "no sequence twice"
    random = Calibration("random", 50, 100, 1).sequences(FOLDER, 1024)
    counts = np.bincount(np.concatenate(random), minlength=1024)
    assert counts.max() < 25, "uniform ids"


@pytest.mark.parametrize(("chain", "said"), [
    ("gguf_quantized(type=Q9_9)", "unknown type 'Q9_9'; known: Q8_0, Q6_K"),
    ("gguf_quantized(type=Q4_0, calibration=poems)", "unknown calibration set 'poems'; known: mixture, prose, python-docs"),
    ("gguf_quantized(type=Q4_0, calibration=prose, length=0)", "length of at least 1, got 0"),
    ("gguf_quantized(type=Q4_0, calibration=prose, samples=9000)", r"enough for \d+ sequences of 256, 9000 asked"),
])  # fmt: skip
def test_bad_input_says_what_would_do(chain, said):
    with pytest.raises(BuildError, match=said):
        variant.build(f"{POCKET} > {chain}")


def test_a_model_without_tokenizer_can_only_be_calibrated_at_random(tmp_path):
    source = tiny.write(tmp_path / "model")
    with pytest.raises(BuildError, match=r"no tokenizer.json .* use calibration=random"):
        Calibration("prose", 1, 8, 0).sequences(source.path, 100)
    assert "random" in calibration.names()


def test_shipped_sets_are_rebuilt_byte_for_byte_and_hold_no_test_text():
    from edgekit.pocket import tasks
    from edgekit.pocket import texts as made

    questions = {item.question for depth in tasks.DEPTHS for item in tasks.draw_items("chain", depth)}
    for name in made.CALIBRATION:
        text = (store.ROOT / "data/calibration" / f"{name}.jsonl").read_text(encoding="utf-8")
        assert text == made.calibration_file(name)
        assert not any(question in text for question in questions)
