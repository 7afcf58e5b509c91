"""The calls of the documents' two listings, made today: what each library says to them.

The listings are not copied: the calls that they make are made again on a model that is here, one after the other, each in the
words of the library. Where a call fails it is made again with the least change that might get it through, under a name of its
own, so that the rows say which change it takes.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from edgekit.catalog import texts
from edgekit.compress import variant as variants

SETTINGS = {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}  # of S1, section 3.1
GROUP = 64  # that the widths of small models are multiples of
IMPORT = "import AutoAWQForCausalLM"
TEXTS, LENGTH = 16, 64  # of calibration here, where the document leaves its own to a function that it does not show


class Calls:
    """Calls one after the other: what came of each, as observations."""

    def __init__(self):
        self.seen: list[dict] = []

    def make(self, call: str, function: Callable):
        """The result of `function`, None where it raised; an observation of either."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function()
        except Exception as error:  # whatever a library of another time says is what is asked here
            said = " ".join(str(error).split())[:200]
            self.seen.append(dict(metric="ran", value=0, call=call, reason=f"{type(error).__name__}: {said}"))
            return None
        self.seen.append(dict(metric="ran", value=1, call=call))
        return result

    def answer(self) -> dict:
        return dict(observations=self.seen)


def _auto_class():
    from awq import AutoAWQForCausalLM

    return AutoAWQForCausalLM


def _quantized(calls: Calls, auto, path: Path, folder: Path) -> bool:
    """Load, quantize and save as S1 does; True where a checkpoint was written."""
    import transformers

    model = calls.make("AutoAWQForCausalLM.from_pretrained", lambda: auto.from_pretrained(str(path)))
    tokenizer = calls.make("AutoTokenizer.from_pretrained", lambda: transformers.AutoTokenizer.from_pretrained(str(path)))
    if model is None or tokenizer is None:
        return False
    asked = [text.text for text in texts.load("mixture", TEXTS)]
    length = dict(max_calib_samples=TEXTS, max_calib_seq_len=LENGTH)
    settings = dict(SETTINGS)
    done = calls.make("model.quantize, groups of 128", lambda: _true(model.quantize(
        tokenizer, quant_config=settings, calib_data=asked, **length)))
    if not done:
        model = auto.from_pretrained(str(path))
        settings["q_group_size"] = GROUP
        done = calls.make(f"model.quantize, groups of {GROUP}", lambda: _true(model.quantize(
            tokenizer, quant_config=settings, calib_data=asked, **length)))
    return bool(done and calls.make("model.save_quantized", lambda: _true(model.save_quantized(str(folder)))))


def _true(_) -> bool:
    """What a call that returns nothing gives, so that it is told from one that raised."""
    return True


def measure_printed_quantization(*, model: str, device: str) -> dict:
    """A worker's job: the calls of S1, section 3.1: quantize by AWQ with calibration texts, and save."""
    calls = Calls()
    with tempfile.TemporaryDirectory() as folder:
        if auto := calls.make(IMPORT, _auto_class):
            _quantized(calls, auto, variants.build(model).path, Path(folder))
    return calls.answer()


def measure_printed_loading(*, model: str, device: str) -> dict:
    """A worker's job: the calls of S2's listing: load a checkpoint of AWQ with its layers fused and placed by itself."""
    import transformers

    calls, artifact = Calls(), variants.build(f"{model} > packed_awq(bits=4, group={GROUP})")
    if auto := calls.make(IMPORT, _auto_class):
        for way, fused in (("layers fused", True), ("layers as they are", False)):
            call = f"AutoAWQForCausalLM.from_quantized, {way}"
            loaded = calls.make(call, lambda fused=fused: auto.from_quantized(str(artifact.path), fuse_layers=fused,
                                                                              device_map="auto"))
            if loaded is not None:
                calls.make(f"a pass through the model of {call}", lambda loaded=loaded: _pass(loaded))
    calls.make("AutoTokenizer.from_pretrained", lambda: transformers.AutoTokenizer.from_pretrained(str(artifact.path)))
    return calls.answer()


def _pass(loaded) -> bool:
    import torch

    with torch.inference_mode():
        logits = loaded.model(torch.tensor([[1, 2, 3]], device=next(loaded.model.parameters()).device)).logits
    if not torch.isfinite(logits).all():
        raise ValueError("the logits of three tokens are not finite")
    return True
