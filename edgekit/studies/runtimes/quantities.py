"""The quantities by which claims about runtimes are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import number
from edgekit.schema import ENGINE, EVERYTHING
from edgekit.studies.runtimes.tables import acceleration_table, longest, request_rows

GPUS, VLLM = ("cuda", "mps"), "vllm"


def prefill_acceleration(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """How many times as fast a runtime reads a prompt with everything that the device has as with the least, the largest
    first."""
    return _acceleration(frame, setting, "prefill")


def decode_acceleration(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """The same of decoding, which the memory may limit however fast the arithmetic is."""
    return _acceleration(frame, setting, "decoding")


def _acceleration(frame: pd.DataFrame, setting: Setting, what: str) -> list[Observation]:
    table = acceleration_table(frame)
    table = table[(table.what == what) & (table.acceleration == EVERYTHING) & table.gain.notna()
                  & table.model.map(kind).isin(setting.models)]
    if setting.engines:
        table = table[table.engine.isin(setting.engines)]
    if table.empty:
        raise NotMeasured(f"times of {what} with acceleration and without (engines "
                          f"{' or '.join(setting.engines) or 'of any kind'})")
    large = table[table.model.map(kind) != "pocket"]
    found = []
    for _, line in (large if len(large) else table).sort_values("gain", ascending=False).iterrows():
        found.append(Observation(
            estimate_of(line, "gain", "times", f"{what} with acceleration over without"),
            f"{line.model}, {line.engine} {line['dtype']}, {line.device}, everything over {line.over}", (line.model,),
            "repeats", f"{line.model}, {line.engine} {line['dtype']}", f"kernels: {line.kernel}"))
    return found


def vllm_over_transformers(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Speed of whole requests in vLLM over that in transformers, on the same weights of one GPU, the likeliest first."""
    return _over(frame, setting, accepted, ENGINE)


def vllm_over_tensorrt(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """The same over TensorRT-LLM."""
    return _over(frame, setting, accepted, "tensorrt-llm")


def _over(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float], other: str) -> list[Observation]:
    rows = longest(request_rows(frame))
    rows = rows[rows.model.map(kind).isin(setting.models)]
    keys = ["model", "dtype", "device", "threads", "repeat", "prompt_tokens", "output_tokens"]
    both = rows[rows.engine == VLLM].merge(rows[rows.engine == other], on=keys, suffixes=("", "_other"))
    there = both[both.device.isin(GPUS)]
    if there.empty:
        raise NotMeasured(f"whole requests of {VLLM} and {other} on the same weights and one GPU"
                          f"{_elsewhere(both, other)}")
    found = []
    for (model, dtype, device), part in there.groupby(["model", "dtype", "device"]):
        ratio = stats.ratio_interval(part["whole request_other"], part["whole request"], unit="times",
                                     what=f"speed of {VLLM} over {other}")
        found.append(Observation(ratio, f"{model}, {dtype}, {device}, {part.prompt_tokens.iloc[0]:,} tokens in, "
                                 f"{part.output_tokens.iloc[0]:,} out", (model,), "repeats", f"{model}, {dtype}, {device}"))
    outside = {one: max(accepted[0] - one.estimate.value, one.estimate.value - accepted[1], 0.0) for one in found}
    return sorted(found, key=outside.get)


def _elsewhere(both: pd.DataFrame, other: str) -> str:
    """What was seen in another setting, told as such: it decides nothing."""
    if both.empty:
        return ""
    told = []
    for (model, dtype), part in both.groupby(["model", "dtype"]):
        ratio = stats.ratio_interval(part["whole request_other"], part["whole request"])
        told.append(f"{number(ratio.value)} times with {model} in {dtype}")
    return f" (on this CPU, which is another setting, {VLLM} is as fast as {other}: {'; '.join(told)})"


QUANTITIES = {
    "prefill_acceleration": Quantity(prefill_acceleration, "time"),
    "decode_acceleration": Quantity(decode_acceleration, "time"),
    "vllm_over_transformers": Quantity(vllm_over_transformers, "time"),
    "vllm_over_tensorrt": Quantity(vllm_over_tensorrt, "time"),
}
