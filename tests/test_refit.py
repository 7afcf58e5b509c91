"""Healing by least squares: what the fit is, and that a pruned model comes nearer to the whole one on unseen texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import tiny_tokenizers
import torch
import transformers

from edgekit.building import BuildError
from edgekit.compress import checkpoint, refit, variant

pytestmark = pytest.mark.usefixtures("own_artifacts")


def loaded(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def stream_apart(whole, other, ids) -> float:
    """Mean squared distance of the streams before the last norm."""
    kept = []
    hooks = [model.model.norm.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
             for model in (whole, other)]
    with torch.inference_mode():
        whole(ids), other(ids)
    for hook in hooks:
        hook.remove()
    return float((kept[0] - kept[1]).square().mean())


def drawn(seed: int, sequences: int = 64, length: int = 24) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(1, 150, (sequences, length)))


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_refit_model_comes_nearer_to_the_whole_one_on_unseen_tokens(tmp_path, family):
    source = tiny.write(tmp_path / "model", family)
    pruned = variant.build(f"{source.path} > pruned(heads=0.5, mlp=0.34, score=random)")
    whole, student, before = loaded(source.path), loaded(pruned.path), loaded(pruned.path)
    with torch.inference_mode():
        refit.fit(whole, student, drawn(0), 0.01)
    unseen = drawn(1)
    assert stream_apart(whole, student, unseen) < 0.85 * stream_apart(whole, before, unseen)


def test_a_model_that_lost_nothing_stays_as_it_was(tmp_path):
    source = tiny.write(tmp_path / "model")
    whole, student = loaded(source.path), loaded(source.path)
    with torch.inference_mode():
        refit.fit(whole, student, drawn(0), 0.01)
    for (name, one), (_, other) in zip(whole.named_parameters(), student.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name


def test_the_fit_is_the_minimum_of_its_own_sum():
    """Against numpy's least squares on the stacked system of residuals and ridge."""
    rng = np.random.default_rng(0)
    inputs, target = rng.normal(size=(1, 40, 6)), rng.normal(size=(1, 40, 3))
    module = torch.nn.Linear(6, 3, bias=True)
    weight, bias = (tensor.detach().numpy().copy() for tensor in (module.weight, module.bias))
    with torch.inference_mode():
        refit._solve(module, torch.from_numpy(inputs), torch.from_numpy(target), 0.2)
    x, y = inputs[0], target[0] - bias
    pull = np.sqrt(0.2 * np.mean((x**2).sum(0)))
    stacked, sides = np.vstack([x, pull * np.eye(6)]), np.vstack([y, pull * weight.T])
    assert np.allclose(module.weight.detach().numpy(), np.linalg.lstsq(stacked, sides, rcond=None)[0].T, atol=1e-5)


def test_the_step_reads_calibration_texts_and_keeps_all_else(tmp_path):
    source = tiny_tokenizers.write(tmp_path / "model")
    calibration = tmp_path / "texts.jsonl"
    calibration.write_text("".join(json.dumps({"text": text * 8}) + "\n" for text in tiny_tokenizers.TEXTS))
    pruned = f"{source.path} > pruned(heads=0.5, mlp=0.34, score=random)"
    step = f'refitted(whole={source.path}, calibration="{calibration}", samples=6, length=16)'
    made, before = variant.build(f"{pruned} > {step}"), variant.build(pruned)
    with checkpoint.Weights(made.path) as after, checkpoint.Weights(before.path) as weights:
        changed = {name for name in weights if not torch.equal(after[name], weights[name].float())}
    assert changed == {f"model.layers.{i}.{name}.weight" for i in range(2) for name in ("self_attn.o_proj", "mlp.down_proj")}
    other = tiny.write(tmp_path / "other", num_hidden_layers=3)
    with pytest.raises(BuildError, match="expected the model that it was pruned from"):
        variant.build(f'{pruned} > refitted(whole={other.path}, calibration="{calibration}")')
    with pytest.raises(BuildError, match="expected a ridge above 0"):
        variant.build(f'{pruned} > refitted(whole={source.path}, calibration="{calibration}", ridge=0.0)')
