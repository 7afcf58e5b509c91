"""Which quantizations 03_quantization compares: the main grid, and the ablations of calibration and search."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.compress.quantization_spec import BITS, CALIBRATED, CHANGES, WITHOUT_IMATRIX, QuantizationSpec


def main_grid(config) -> Iterator[QuantizationSpec]:
    """Every method at every number of bits and every group (`config`: the study's).

    Calibrated ones are repeated for every seed at the main group: the luck of a draw is measured once for each method and
    number of bits.
    """
    for method in config.methods:
        for i, seed in enumerate(config.calibration_seeds if method in CALIBRATED else (None,)):
            drawn = {} if seed is None else _drawn(config, seed)
            if method in BITS:
                yield from (QuantizationSpec(method, bits, group, **drawn, **_search(method)) for bits in config.bits
                            for group in ((config.main_group,) if i else config.groups))
            else:
                yield from (QuantizationSpec(method, type=type, **drawn) for type in config.gguf_types
                            if method == "gguf" or type not in WITHOUT_IMATRIX)


def ablations(config) -> Iterator[QuantizationSpec]:
    """AWQ and GPTQ at 4 bits and the main group with other calibration texts, fewer or more of them, and AWQ with parts of its
    search left out; for every calibration seed."""
    for method in (name for name in CHANGES if name in config.methods):
        for seed in config.calibration_seeds:
            at = dict(method=method, bits=4, group=config.main_group)
            for name in config.ablated_calibrations:
                yield QuantizationSpec(**at, **_drawn(config, seed, calibration=name), **_search(method))
            for samples in config.ablated_samples:
                yield QuantizationSpec(**at, **_drawn(config, seed, samples=samples), **_search(method))
            for search in config.ablated_searches if method == "awq" else ():
                yield QuantizationSpec(**at, **_drawn(config, seed), **_search(method, search))


def four_bit(config, format: str) -> QuantizationSpec:
    """The 4-bit checkpoint of `awq` or `gptq` that runtimes load: GPTQ on the symmetric grid, which all of them read."""
    return QuantizationSpec(format, 4, config.main_group, **_drawn(config, config.calibration_seeds[0]),
               search="symmetric" if format == "gptq" else "all")


def _drawn(config, seed: int, **other) -> dict:
    return dict(calibration=config.calibration, samples=config.samples, calibration_seed=seed) | other


def _search(method: str, search: str = "all") -> dict:
    return dict(search=search) if method in CHANGES else {}
