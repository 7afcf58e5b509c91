"""AWQ: 4-bit weights whose important input channels are scaled up before rounding (Lin et al. 2023, arXiv:2306.00978).

Through AutoAWQ 0.2.9, whose packed GEMM checkpoint vLLM and transformers load: for each group of layers with one input, the
exponent of the mean activations that serves best as scales (eq. 4 and 5, 20 values), then for each group of weights the
clipping that serves best (10 values, down to a half), then asymmetric rounding. Embeddings, output head and norms stay in
16 bits.
"""

from __future__ import annotations

from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog import weight_files
from edgekit.catalog.packing import AWQ_BITS
from edgekit.compress import calibrated
from edgekit.compress.artifact import Artifact


def size_bytes(source: Artifact, *, bits: int = 4, group: int = 128, **_) -> int:
    """About what the artifact will take on disk. Raises BuildError for bits or a group that cannot be."""
    calibrated.refuse_gemma("awq", source, "AutoAWQ does not know Gemma 3")
    calibrated.check("awq", source, bits, (AWQ_BITS,), group, 8)
    return calibrated.packed_bytes(source)


def quantize(source: Artifact, folder: Path, *, calibration: str, bits: int = 4, group: int = 128, samples: int = 64,
             length: int = 256, seed: int = 0, scale: bool = True, clip: bool = True, duo: bool = False) -> None:
    """Write an AWQ checkpoint of `source` into `folder`.

    calibration: a set of data/calibration (or `random`) that gives `samples` sequences of `length` tokens by `seed`.
    scale=False leaves every scale at one, clip=False clips nothing: with neither it is round-to-nearest. duo: AutoAWQ's own
    scales, activations over weights, where the paper has activations alone. Raises BuildError: bits, group, calibration, or
    what AutoAWQ says when it fails.
    """
    size_bytes(source, bits=bits, group=group)
    sequences = calibrated.sequences(source, calibration, samples, length, seed)
    with calibrated.library("awq", "AutoAWQ"):
        import torch
        import transformers

        models = _autoawq().models.auto.AWQ_CAUSAL_LM_MODEL_MAP
        # float32: the search compares small errors, and half precision is slow on a CPU.
        model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32, local_files_only=True)
        family = model.config.model_type
        if family not in models:
            raise BuildError(f"awq: AutoAWQ does not know the family {family!r} of {source.spec.name}")
        wrapped = models[family](model.eval(), family, is_quantized=False, config=model.config, quant_config=None,
                                 processor=None)
        # max_calib_seq_len is the very length: AutoAWQ drops longer texts and joins shorter ones, both without a word.
        wrapped.quantize(None, {"zero_point": True, "q_group_size": group, "w_bit": bits, "version": "GEMM"},
                         calib_data=sequences, max_calib_samples=samples, max_calib_seq_len=length, apply_clip=clip,
                         duo_scaling=duo, quantizer_cls=quantizer(scaled=scale))
        used = wrapped.quantizer.inps.shape[0] * wrapped.quantizer.inps.shape[1]
        if used != samples * length:
            raise BuildError(f"awq: {samples} sequences of {length} tokens were given, and AutoAWQ used {used} tokens")
        calibrated.to_half("awq", source, model)
        wrapped.save_quantized(str(folder))
        _same_header(folder)
    calibrated.copy_beside(source, folder)


def _same_header(folder: Path) -> None:
    """Write the weights again: AutoAWQ notes tied tensors in the header, in an order that differs from run to run."""
    from safetensors.torch import load_file, save_file

    for file in weight_files.files_of(folder):
        weights = load_file(file)
        file.unlink()  # read lazily: writing over it would change what is being read
        save_file(weights, file, metadata={"format": "pt"})


def _autoawq():
    import transformers.activations

    # AutoAWQ imports the name that this class had until transformers 4.56; no family of the kit uses it.
    if not hasattr(transformers.activations, "PytorchGELUTanh"):
        transformers.activations.PytorchGELUTanh = transformers.activations.GELUTanh
    import awq
    import awq.models.auto

    return awq


def quantizer(*, scaled: bool) -> type:
    """AutoAWQ's quantizer, its clip search by fewer multiplications, no cache in its attention, no scales if not `scaled`."""
    import torch

    _autoawq()
    from awq.quantize.quantizer import AwqQuantizer

    class Quantizer(AwqQuantizer):
        def init_quant(self, *arguments, **named):
            modules, handed, inputs = super().init_quant(*arguments, **named)
            # Every trial of the search would add its keys and values, and attend to those of the trials before it.
            handed.pop("past_key_values", None)
            return modules, handed, inputs

        def _compute_best_scale(self, x, w_mean, x_mean, *rest):
            return super()._compute_best_scale(x, w_mean, x_mean, *rest) if scaled else torch.ones_like(x_mean)

        @torch.no_grad()
        def _compute_best_clip(self, w, input_feat, n_grid=20, max_shrink=0.5, n_sample_token=512):
            """Largest kept weight of each group (outputs, groups, 1): the one of least mean squared error of its outputs.

            The mean over tokens of (x·d)² is dᵀHd with H the mean of x xᵀ. AutoAWQ computes x·d for every token, output
            and group, 20 s a layer of width 640 where this takes one.
            """
            tokens = input_feat.reshape(-1, w.shape[1] // self.group_size, self.group_size)
            tokens = tokens[::max(1, len(tokens) // n_sample_token)].float()
            moments = torch.einsum("tgi,tgj->gij", tokens, tokens) / len(tokens)
            parts = w.reshape(w.shape[0], *moments.shape[:2])
            largest = parts.abs().amax(-1, keepdim=True)
            best, least = largest.clone(), torch.full_like(largest, torch.inf)
            for step in range(int(max_shrink * n_grid)):
                bound = largest * (1 - step / n_grid)
                change = (self.pseudo_quantize_tensor(parts.clamp(-bound, bound))[0] - parts).float()
                error = (torch.einsum("ogi,gij->ogj", change, moments) * change).sum(-1, keepdim=True)
                better = error < least
                best, least = torch.where(better, bound, best), torch.where(better, error, least)
            return best

    return Quantizer
