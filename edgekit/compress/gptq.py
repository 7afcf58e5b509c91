"""GPTQ: weights rounded one input after another, each error made up for by the inputs that follow.

Frantar et al. 2022, arXiv:2210.17323, through gptqmodel 7.6.0, as in the paper: grids from each group's smallest to largest
weight, inputs in their own order, 1 % of the mean diagonal added to the Hessian, each layer after those before it. Embeddings,
output head and norms stay in 16 bits.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog.packing import GPTQ_BITS, GPTQ_V1, GPTQ_V2
from edgekit.compress import calibrated
from edgekit.compress.artifact import Artifact

DAMPING = 0.01  # section 3.3, step 3


def size_bytes(source: Artifact, *, bits: int, group: int = 128, **_) -> int:
    """About what the artifact will take on disk. Raises BuildError for bits or a group that cannot be."""
    calibrated.refuse_gemma("gptq", source, "gptqmodel runs every layer with the rotations and the mask of the first, and "
                            "Gemma 3 has two kinds of layers")
    calibrated.check("gptq", source, bits, GPTQ_BITS, group, 32)
    return calibrated.packed_bytes(source)


def quantize(source: Artifact, folder: Path, *, bits: int, calibration: str, group: int = 128, samples: int = 64,
             length: int = 256, seed: int = 0, symmetric: bool = False, reorder: bool = False) -> None:
    """Write a GPTQ checkpoint of `source` into `folder`.

    calibration: a set of data/calibration (or `random`) that gives `samples` sequences of `length` tokens by `seed`.
    symmetric: a grid around zero without a zero point, in the checkpoint format `gptq` that vLLM reads; else the asymmetric
    grid of AWQ and round-to-nearest, in `gptq_v2`. reorder: gptqmodel's own default, which takes groups in the order of their
    importance (`act_group_aware`); the paper has none. Raises BuildError: bits, group, calibration, or what gptqmodel says
    when it fails.
    """
    size_bytes(source, bits=bits, group=group)
    sequences = calibrated.sequences(source, calibration, samples, length, seed)
    with calibrated.library("gptq", "gptqmodel"), _contained():
        import torch
        from gptqmodel import GPTQModel, QuantizeConfig

        # No fallback: gptqmodel would round to nearest, without a word, where calibration is too small. Packing by `cpu`
        # would compile an extension; offloading would write the name of a temporary folder into the checkpoint.
        config = QuantizeConfig(
            bits=bits, group_size=group, sym=symmetric, format=GPTQ_V1 if symmetric else GPTQ_V2, desc_act=False,
            act_group_aware=reorder, damp_percent=DAMPING, fallback=None, pack_impl="original", offload_to_disk=False)
        # float32: Hessians from exact inputs, and half precision is slow on a CPU.
        model = GPTQModel.load(str(source.path), config, device="cpu", dtype=torch.float32)
        prepared = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in sequences]
        batches = model.prepare_dataset(prepared, calibration_data_min_length=1)
        used = sum(int(batch["attention_mask"].sum()) for batch in batches)
        if used != samples * length:
            raise BuildError(f"gptq: {samples} sequences of {length} tokens were given, and gptqmodel used {used} tokens")
        model.quantize(prepared, calibration_data_min_length=1)
        calibrated.to_half("gptq", source, model.model)
        model.save(str(folder))
    (folder / "quant_log.csv").unlink()  # seconds, which differ from run to run
    calibrated.copy_beside(source, folder)


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """gptqmodel without its folder `logs` in the working directory, and without the tokenizer that it loads and has no use
    for (a shape has none): neither has an option; and with the workers that it needs."""
    if (os.cpu_count() or 1) <= 2:
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # its thread pool refuses to start with fewer
    import gptqmodel.looper.loop_processor as processor
    import gptqmodel.models.loader as loader

    before = processor._PROJECT_LOG_DIR, loader.load_hf_tokenizer
    with tempfile.TemporaryDirectory() as folder:
        processor._PROJECT_LOG_DIR, loader.load_hf_tokenizer = Path(folder), lambda *given, **named: None
        try:
            yield
        finally:
            processor._PROJECT_LOG_DIR, loader.load_hf_tokenizer = before
