"""Whole layers taken out: those that turn the stream least, in plain checkpoints that compute what is left."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import tiny_tokenizers
import torch
import transformers

from edgekit import engines
from edgekit.building import BuildError
from edgekit.compress import checkpoint, foreseen, shorten, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")

TOKENS = list(range(1, 60))


def test_a_layer_that_does_nothing_has_no_influence_and_goes_without_a_loss(tmp_path):
    """Its output projections are zero: what leaves it is what entered, and the rest computes the same function."""
    source = tiny_tokenizers.write(tmp_path / "model", num_hidden_layers=5)
    with checkpoint.Weights(source.path) as weights:
        tensors = dict(weights)
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        tensors[f"model.layers.2.{name}.weight"].zero_()
    with checkpoint.ShardWriter(source.path) as out:
        for name, weight in tensors.items():
            out.add(name, weight)
    calibration = tmp_path / "texts.jsonl"
    calibration.write_text("".join(json.dumps({"text": text * 8}) + "\n" for text in tiny_tokenizers.TEXTS))
    chain = f"{source.path} > shortened(layers=0.2, calibration=\"{calibration}\", samples=4, length=16)"
    made = variant.build(chain)
    told = json.loads((made.path / shorten.RECORD).read_text())
    assert told["kept"] == [0, 1, 3, 4] and abs(told["scores"][2]) < 1e-6 < min(np.delete(told["scores"], 2))
    assert made.spec.architecture.layers == 4 and foreseen.whole(chain).spec.architecture == made.spec.architecture

    def logits(artifact):
        with engines.open_engine("transformers", artifact, dtype="float32", threads=1, device="cpu", context=64) as engine:
            return engine.score(TOKENS)

    assert np.allclose(logits(variant.build(str(source.path))), logits(made), atol=1e-4)


def test_influence_is_one_less_the_mean_cosine(tmp_path):
    source = tiny.write(tmp_path / "model", num_hidden_layers=3)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32).eval()
    sequences = [TOKENS[:20], TOKENS[20:40], TOKENS[39:59]]
    found = shorten.influence(model, sequences)
    with torch.inference_mode():
        hidden = model(torch.tensor(sequences), output_hidden_states=True).hidden_states
    for i in range(2):  # the last of the hidden states is normalised
        one, other = hidden[i].double().numpy(), hidden[i + 1].double().numpy()
        cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
        assert found[i] == pytest.approx(1 - cosine.mean(), abs=1e-6) and found[i] > 0.01


def test_the_ends_stay_and_of_the_rest_the_highest(tmp_path):
    assert shorten.choose([0.0, 0.5, 0.9, 0.9, 0.1, 0.0], 4) == [0, 2, 3, 5]
    assert shorten.choose([9, 1, 1, 9], 2) == [0, 3] and shorten.choose([0, 1, 1, 0], 3) == [0, 1, 3]
    source = tiny.write(tmp_path / "model", "qwen2", num_hidden_layers=6)
    with checkpoint.Weights(source.path) as weights:
        before = dict(weights)
    made = variant.build(f"{source.path} > shortened(layers=0.34, score=last)")
    with checkpoint.Weights(made.path) as weights:
        for new, old in enumerate([0, 1, 2, 5]):
            name = "model.layers.{}.self_attn.q_proj.bias"
            assert torch.equal(weights[name.format(new)], before[name.format(old)])
    one, other = (variant.build(f"{source.path} > shortened(layers=0.5, score=random, seed={seed})").path for seed in (0, 1))
    assert (one / shorten.RECORD).read_text() != (other / shorten.RECORD).read_text()


@pytest.mark.parametrize("step, complaint", [
    ("shortened(layers=0.01)", "would leave 2; expected 2 to 1"),
    ("shortened(layers=0.9)", "would leave 0"),
    ("shortened(layers=1)", r"share in \[0, 1\)"),
    ("shortened(layers=0.5, score=best)", "unknown score 'best'; known: influence, last, random"),
])
def test_what_cannot_be_is_refused_in_words(tmp_path, step, complaint):
    source = tiny.write(tmp_path / "model")
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"{source.path} > {step}")


def test_random_weights_have_no_influence():
    with pytest.raises(BuildError, match="influence needs trained weights"):
        shorten.shortened_bytes(foreseen.whole("shape:smollm2-135m"), layers=0.2)
