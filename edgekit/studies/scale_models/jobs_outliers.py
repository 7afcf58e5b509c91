"""Whether a few features of the activations are far larger than the rest, as in real models from 6.7B parameters on.

Dettmers et al. 2022 (arXiv:2208.07339, section 4) count a feature as an outlier if its magnitude is 6 or more, in at least
25 % of the layers and 6 % of the tokens, in what goes into the attention projections or into the first MLP matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAGNITUDE, LAYER_SHARE, TOKEN_SHARE = 6.0, 0.25, 0.06
SITES = {"attention": "self_attn.q_proj", "mlp": "mlp.gate_proj", "mlp_down": "mlp.down_proj", "residual": ""}


def activations(model, texts: Sequence[Sequence[int]]) -> dict[tuple[str, int], np.ndarray]:
    """What goes into each site of each layer: {(site, layer): (tokens of all texts, features)}, float32.

    `model` is a transformers decoder with Llama's module names; `residual` is the stream that enters the layer.
    """
    import torch

    caught: dict[tuple[str, int], list[np.ndarray]] = {}

    def catch(at: tuple[str, int]):
        def hook(module, arguments, named):
            given = arguments[0] if arguments else named["hidden_states"]
            caught.setdefault(at, []).append(given.detach().float().flatten(0, -2).cpu().numpy())
        return hook

    layers = model.model.layers
    handles = [(layer.get_submodule(path) if path else layer).register_forward_pre_hook(catch((site, i)), with_kwargs=True)
               for i, layer in enumerate(layers) for site, path in SITES.items()]
    try:
        with torch.inference_mode():
            for ids in texts:
                model(torch.tensor([list(ids)], device=model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {at: np.concatenate(parts) for at, parts in caught.items()}


def outlier_features(seen: dict[tuple[str, int], np.ndarray]) -> int:
    """Number of features that meet the published criterion at the sites that it looks at."""
    layers = sorted({layer for _, layer in seen})
    counted = 0
    for site in ("attention", "mlp"):
        often = [(np.abs(seen[site, layer]) >= MAGNITUDE).mean(0) >= TOKEN_SHARE for layer in layers]
        counted += int((np.mean(often, axis=0) >= LAYER_SHARE).sum())
    return counted


def activation_peaks(model, texts: Sequence[Sequence[int]]) -> list[dict]:
    """`peak_over_rms` for each site and layer (layers count from 1), and `outlier_features` of the model."""
    seen = activations(model, texts)
    found = []
    for (site, layer), x in sorted(seen.items()):
        rms = np.sqrt(np.square(x, dtype=np.float64).mean())
        found.append(dict(metric="peak_over_rms", value=float(np.abs(x).max() / rms), site=site, layer=layer + 1))
    return [*found, dict(metric="outlier_features", value=outlier_features(seen))]
