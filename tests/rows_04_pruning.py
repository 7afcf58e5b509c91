"""Made-up rows of the study 04_pruning with known truth, for tests of tables, claims and figures.

A way to prune adds the nats of `ADDED` times what its seed says (1 and a tenth for each seed away from the middle); the sweep
adds `swept` nats, five times as many for a share of heads as for the same share of neurons. Pruned models take `CLOCK` of the
time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit import store

# name: layers, width, heads, kv_heads, head_dim, mlp_width, vocabulary, tied; heads and mlp_width of the pruned one
SHAPES = {"pocket-3m": ((3, 320, 10, 10, 32, 576, 1024, 1), (8, 480)),
          "pocket-10m": ((3, 640, 10, 10, 64, 768, 1024, 1), (8, 640)),
          "shape:a-0.5b": ((24, 896, 14, 2, 64, 4864, 151936, 1), (12, 4128))}
PARTS = ("layers", "width", "heads", "kv_heads", "head_dim", "mlp_width", "vocabulary", "tied")
MODELS = ("pocket-3m", "pocket-10m")
POINT = dict(heads=0.2, mlp=0.15)
RUNNING = ("taylor", "gate", "activation")
ADDED = {"taylor": 0.10, "gate": 0.12, "activation": 0.16, "magnitude": 0.30, "random": 0.60}
GLOBAL, ROUNDS = 0.8, 0.9  # times what Taylor adds
SEEDS = (0, 1, 2)
BLOCKS, TOKENS = 6, 500
# (engine, dtype) -> shares of the whole model's time that a pruned one takes in prefill and in decoding
CLOCK = {("transformers", "bfloat16"): (0.9, 0.95), ("llama_cpp", "float16"): (0.8, 0.85)}
KEPT = {"taylor": (1.0, 0.9, 0.5), "gate": (0.9, 0.8, 0.7)}  # heads, by layer, when all layers are ranked together
LAYERS_ADDED = {"influence": 1.0, "last": 2.0, "random": 4.0}  # times the share of the layers that went
LAYER_SHARES = (0.34, 0.67)
SWEEP = (0.0, 0.2, 0.5), (0.0, 0.15, 0.5)
WHERE = {"threads": 2, "device": "cpu"}


def swept(heads: float, mlp: float) -> float:
    return ADDED["taylor"] if (heads, mlp) == (0.2, 0.15) else heads + mlp / 5


def correlation(samples: int, seed: int) -> float:
    return 1 - 0.4 / samples**0.5 + 0.01 * (seed - 1)


def parameters(model: str, pruned: bool) -> int:
    (layers, width, heads, kv_heads, head_dim, mlp, vocabulary, _), (fewer, narrower) = SHAPES[model]
    if pruned:
        heads, kv_heads, mlp = fewer, fewer if kv_heads == heads else kv_heads, narrower
    bias = head_dim * (heads + 2 * kv_heads) if model.startswith("shape") else 0
    layer = 2 * width * head_dim * (heads + kv_heads) + bias + 3 * width * mlp + 2 * width
    return layers * layer + width + vocabulary * width


def shortened(model: str, share: float) -> int:
    layers, width, *_, vocabulary, _ = SHAPES[model][0]
    whole = parameters(model, False)
    layer = (whole - width - vocabulary * width) // layers
    return whole - round(share * layers) * layer


def rows(models=MODELS, seeds=SEEDS, repeats=3, items=40, lost=0.3, clock=None, ablated=True,
         swept_models=MODELS) -> list[store.Row]:
    """`lost`: chance that an answer which was right is wrong for each nat that is added; `clock` is CLOCK unless given."""
    rng = np.random.default_rng(5)
    made: list[store.Row] = []
    noises: dict[str, dict] = {}

    def add(metric: str, value: float, repeat: int = 0, **at) -> None:
        made.append(store.Row("run-1", "04_pruning", {**WHERE, **at}, metric, float(value), repeat))

    for model in models:
        noise = {(domain, block): rng.normal(1.2, 0.1) for domain in ("problems", "prose") for block in range(BLOCKS)}
        noises[model] = noise
        whole = rng.random(items) < 0.9
        luck = rng.random(items)
        for at, nats, kept in _cuts(seeds, ablated, model in swept_models):
            at = dict(at, model=model, engine="transformers", dtype="float32")
            for (domain, block), base in noise.items():
                here = dict(at, task="divergence", against="unquantized", domain=domain, block=block, tokens=TOKENS)
                add("kl_nats", 1.1 * nats * TOKENS, **here)
                add("agreed", TOKENS * (1 - min(0.5, nats)), **here)
                add("nll_nats", (base + nats) * TOKENS, **here)
            for item, right in enumerate(whole & (luck >= lost * nats)):
                add("correct", int(right), **at, task="accuracy", domain="chain", mode="think", depth=2, item=f"i{item}")
            add("stored_bits_per_weight", 32.0, **at, task="size")
            add("parameters", parameters(model, at["score"] != "none"), **at, task="size")
            for unit, shares in kept.items():
                for layer, share in enumerate(shares):
                    add("kept_share", share, **at, task="kept", unit=unit, layer=layer)
        for score in ("taylor", "gate"):
            for samples in (1, 4, 16):
                for seed in seeds:
                    for unit, less in (("heads", 0.0), ("neurons", 0.1)):
                        for layer in range(2):
                            add("rank_correlation", correlation(samples, seed) - less + 0.05 * (layer - 0.5), model=model,
                                task="ranking", score=score, samples=samples, unit=unit, layer=layer, calibration="mixture",
                                calibration_seed=seed)
    for model in models if ablated else ():
        for score, more in LAYERS_ADDED.items():
            for share in LAYER_SHARES:
                at = dict(model=model, score=score, heads=0.0, mlp=0.0, layers=share, engine="transformers", dtype="float32")
                for (domain, block), base in noises[model].items():
                    here = dict(at, task="divergence", against="unquantized", domain=domain, block=block, tokens=TOKENS)
                    add("kl_nats", more * share * TOKENS, **here)
                    add("agreed", TOKENS / 2, **here)
                    add("nll_nats", (base + more * share) * TOKENS, **here)
                add("stored_bits_per_weight", 32.0, **at, task="size")
                add("parameters", shortened(model, share), **at, task="size")
    for model, (sizes, (heads, mlp)) in SHAPES.items():
        for point in (dict(heads=0.0, mlp=0.0), POINT):
            parts = dict(zip(PARTS, sizes, strict=True)) | {"context": 512}
            if point["heads"]:
                parts |= dict(heads=heads, mlp_width=mlp) | ({"kv_heads": heads} if parts["kv_heads"] == parts["heads"] else {})
            for part, value in parts.items():
                add("size", value, task="shape", model=model, **point, part=part,
                    family="qwen2" if model.startswith("shape") else "llama")
        for repeat in range(repeats):
            _timed(add, rng, model, repeat, clock or CLOCK)
    return made


def _timed(add, rng, model: str, repeat: int, clock: dict) -> None:
    for (engine, dtype), (prefill, decode) in clock.items():
        drift = 1 + 0.3 * rng.random()  # of the machine: the same for whole and pruned of one repeat
        for pruned, point in enumerate((dict(heads=0.0, mlp=0.0), POINT)):
            at = dict(model=model, engine=engine, dtype=dtype, **point)
            size = parameters(model, bool(pruned))
            for batch in (1, 4) if engine == "transformers" else (1,):
                here = dict(at, task="speed" if batch == 1 else "batches", batch=batch, prompt_tokens=64)
                noise = drift * (1 + 0.005 * rng.normal())
                add("ttft_s", 0.4 * batch * noise * (prefill if pruned else 1), repeat, **here, output_tokens=1)
                add("tpot_s", 0.05 * noise * (decode if pruned else 1), repeat, **here, output_tokens=32)
            at |= dict(task="speed", batch=1)
            add("weight_bytes", 2 * size, repeat, **at)
            add("kv_bytes_per_token", 1e4 * (0.8 if pruned else 1), repeat, **at)
            add("base_memory_bytes", 2e8, repeat, **at)
            add("peak_memory_bytes", 2e8 + 2.2 * size, repeat, **at)


def _cuts(seeds: tuple[int, ...], ablated: bool, with_sweep: bool):
    """(coordinates, nats a token added, kept shares by unit and layer) of each way."""
    yield dict(score="none"), 0.0, {}
    plain = {"heads": (0.8, 0.8, 0.8), "neurons": (0.85, 0.85, 0.85)}
    drawn = dict(calibration="mixture", samples=32, rounds=1, allocation="uniform")
    for score, nats in ADDED.items():
        for seed in (None,) if score == "magnitude" else seeds:
            at = dict(POINT, score=score, **({} if seed is None else dict(calibration_seed=seed)))
            at |= drawn if score in RUNNING else {}
            yield at, nats * _luck(seed, seeds), plain
    for score in KEPT if ablated else ():
        for seed in seeds:
            at = dict(POINT, score=score, calibration_seed=seed, **drawn)
            yield (at | dict(allocation="global"), GLOBAL * ADDED[score] * _luck(seed, seeds),
                   {"heads": KEPT[score], "neurons": (0.9, 0.85, 0.8)})
            yield at | dict(rounds=4), ROUNDS * ADDED[score] * _luck(seed, seeds), plain
    for heads in SWEEP[0] if with_sweep else ():
        for mlp in SWEEP[1]:
            if (heads, mlp) not in ((0, 0), (0.2, 0.15)):
                at = dict(score="taylor", heads=heads, mlp=mlp, calibration_seed=seeds[0], **drawn)
                yield at, swept(heads, mlp), {"heads": (1 - heads,) * 3, "neurons": (1 - mlp,) * 3}


def _luck(seed: int | None, seeds: tuple[int, ...]) -> float:
    return 1.0 if seed is None else 1 + 0.1 * (seed - float(np.mean(seeds)))


def frame(**changes) -> pd.DataFrame:
    return store.to_frame(rows(**changes))
