"""The arithmetic of a model's cost against torch's own counter, and pruning's share by hand."""

from __future__ import annotations

import dataclasses

import pytest
import tiny
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from edgekit.analyze import accounting, audit
from edgekit.catalog import models


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma3_text"])
def test_multiplications_are_those_that_torch_counts(tmp_path, family):
    """Eager attention multiplies the whole square of pairs; a causal one needs the lower half and the diagonal."""
    source = tiny.write(tmp_path / "model", family)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, attn_implementation="eager").eval()
    a, n = source.spec.architecture, 24

    def counted(**options):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            made = model(logits_to_keep=1, **options)
        return counter.get_total_flops() // 2, made.past_key_values

    ids = torch.arange(1, n + 1)[None]
    came, cache = counted(input_ids=ids, use_cache=True)
    above = accounting.attention_macs(a, a.layers * n * n - accounting.pairs(a, n))
    assert came == accounting.prefill_macs(a, n) + above
    came, _ = counted(input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
    assert came == accounting.decode_macs(a, n)


@pytest.mark.parametrize("window, period, layers", [(0, 0, 4), (5, 2, 4), (3, 3, 7), (1, 6, 4), (100, 2, 3)])
def test_pairs_and_caches_are_counted_one_by_one(window, period, layers):
    base = models.architectures()["smollm2-135m"]
    a = dataclasses.replace(base, layers=layers, window=window, window_period=period)
    spans = [window if window and (i + 1) % period else 10**9 for i in range(layers)]
    for context, tokens in ((0, 1), (0, 9), (4, 1), (4, 3), (30, 5)):
        seen = sum(min(at + 1, span) for span in spans for at in range(context, context + tokens))
        assert accounting.pairs(a, tokens, context) == seen
        earlier = sum(min(context, span - 1) for span in spans)
        assert a.kv_elements(context) == 2 * a.kv_heads * a.head_dim * earlier
    assert a.local_layers == sum(span < 10**9 for span in spans)
    assert accounting.decode_bytes(a, 30, weight_bytes=2) == 2 * a.read_per_step + 2 * a.kv_elements(30)


def test_the_papers_point_saves_less_than_it_says():
    """Llama 2 7B at 26 of 32 heads and 9,344 of 11,008 neurons: by hand from the shapes."""
    whole = models.architectures()["llama-2-7b"]
    pruned = dataclasses.replace(whole, heads=26, kv_heads=26, mlp_width=9344)
    shares = accounting.saved(whole, pruned, prompt_tokens=128, context=512, weight_bytes=2)
    attention, mlp = 4 * 4096 * 4096, 3 * 4096 * 11008
    by_hand = (attention * 6 / 32 + mlp * 1664 / 11008) / (attention + mlp)
    assert shares["projections"] == pytest.approx(by_hand)
    assert shares["projections"] == pytest.approx(audit.pruned_share(whole, 6 / 32, 1664 / 11008))
    assert 0.15 < shares["parameters"] < shares["decode"] < 0.17
    assert shares["kv_bytes"] == pytest.approx(6 / 32)
    # At 16 bits a step of the whole model reads its 6.6 G weights (one embedding line) and 512 tokens of 2·32·4096 elements.
    read = 2 * (whole.parameters - 32000 * 4096 + 4096) + 2 * 512 * 2 * 32 * 4096
    assert accounting.decode_bytes(whole, 512, weight_bytes=2) == read


def test_pruned_forms_never_cost_more():
    whole = models.architectures()["qwen2.5-0.5b"]
    pruned = dataclasses.replace(whole, heads=12, mlp_width=4128)
    shares = accounting.saved(whole, pruned, prompt_tokens=64, context=64, weight_bytes=2)
    assert shares.pop("kv_bytes") == 0  # the groups keep their keys and values
    assert all(0.05 < share < 0.16 for share in shares.values())
    nothing = accounting.saved(whole, whole, prompt_tokens=64, context=64, weight_bytes=2)
    assert set(nothing.values()) == {0.0}
