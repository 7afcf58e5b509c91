"""The released numbers of EdgeReasoning (arXiv 2511.01866) as tables: data/published/edgereasoning.yaml, transcribed, and the
whole traces where a folder holds the released files or they are fetched.

Models are named 1.5B, 8B and 14B. Times are seconds, powers W, energies J. `released` counts a file by its hash: the address
may serve another one some day.
"""

from __future__ import annotations

import functools
import hashlib
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import store, text_files
from edgekit.errors import RunFailed, unknown_name

if TYPE_CHECKING:
    import pandas as pd

FETCH = "fetch"  # in place of a folder
FETCHED = ("decode_parameters.json", "decode.json")
TRANSCRIBED = ""
TIMEOUT_S = 20
MODELS = ("1.5B", "8B", "14B")


class TracesError(RunFailed):
    """Released traces are not where they should be, or not what they should be; the message says what to do."""


def load() -> dict[str, Any]:
    """The transcribed file. Raises TracesError."""
    path = store.ROOT / "data" / "published" / "edgereasoning.yaml"
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> dict[str, Any]:
    return text_files.yaml_of(path, TracesError)


def coefficients(law: str, model: str) -> list[float]:
    """Published coefficients of `law` (prefill, decode, prefill_power, decode_power) for a model. Raises TracesError."""
    known = {name.removesuffix("_coefficients"): found for name, found in load().items() if name.endswith("_coefficients")}
    if law not in known:
        raise TracesError(unknown_name("law", law, known))
    if model not in known[law]:
        raise TracesError(unknown_name("model", model, known[law]))
    return known[law][model]


def prefill() -> pd.DataFrame:
    """Requests of one token out, 33 prompt lengths a model: model, prompt_tokens, seconds, power_w, energy_j."""
    return _table("prefill", "prompt_tokens", ("seconds", "power_w", "energy_j"))


def decode() -> pd.DataFrame:
    """Decoding after 512 tokens, 20 output lengths a model: model, prompt_tokens, output_tokens, seconds, energy_j (of the
    whole run). One token out has no decode step and is left out."""
    table = _table("decode", "output_tokens", ("seconds", "energy_j")).assign(prompt_tokens=512)
    return table[table.output_tokens > 1].reset_index(drop=True)


def scaling() -> pd.DataFrame:
    """Samples at once: model, samples, seconds, power_w, gpu_percent, sample_j."""
    return _table("scaling", "samples", ("seconds", "power_w", "gpu_percent", "sample_j"))


def prefill_points() -> pd.DataFrame:
    """What the prefill coefficients were fitted to: model, prompt_tokens, seconds, and whether the point was `used`."""
    import pandas as pd

    content = load()
    return pd.DataFrame([dict(model=model, prompt_tokens=length, seconds=seconds,
                              used=length not in content["left_out_of_fit"].get(model, ()))
                         for model, points in content["prefill_points"].items() for length, seconds in points])


def _table(block: str, by: str, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([{"model": model, by: length, **dict(zip(columns, values, strict=True))}
                         for length, of_models in load()[block].items()
                         for model, values in zip(MODELS, of_models, strict=True)])


def require_place(place: str) -> None:
    """Raise TracesError unless `place` is empty, FETCH, or a folder."""
    if place not in (TRANSCRIBED, FETCH) and not Path(place).expanduser().is_dir():
        raise TracesError(f"expected a folder with the released files, {FETCH!r}, or nothing for the transcribed numbers; "
                          f"got {place!r}, which is no folder")


def released(place: str) -> pd.DataFrame:
    """Every decode run of the released files in a folder (or fetched): model, prompt_tokens, output_tokens, seconds (0 for one
    token), energy_j, and power_w, its mean, where decode.json has it. Raises TracesError: not there, or another content."""
    import pandas as pd

    times, powers = (_released(name, place) for name in FETCHED)
    mean = {(model, inside - 2, outside): power for model, part in _by_model(powers).items() for inside, outside, power in
            zip(part["input_tokens"], part["output_tokens"], part["avg_power_w"], strict=True)}  # it counts two tokens more
    return pd.DataFrame([dict(model=model, prompt_tokens=one["input_tokens"], output_tokens=one["output_tokens"],
                              seconds=one["decode_time"], energy_j=one["tot_gpu_energy"],
                              power_w=mean.get((model, one["input_tokens"], one["output_tokens"])))
                         for model, part in _by_model(times).items() for one in part])


def questions(place: str) -> pd.DataFrame | None:
    """Times of single questions of MMLU-Redux, in the file's order: model, prompt_tokens, output_tokens, ttft_s, seconds (of
    decoding), total_s. From tegra_mmlu_redux_traces.csv in the folder or its folder `recovered`; None where it is in neither:
    its authors took it out of their repository, so it cannot be fetched. Raises TracesError for another content."""
    import pandas as pd

    name = "tegra_mmlu_redux_traces.csv"
    found = [path for folder in ("", "recovered") if place not in (TRANSCRIBED, FETCH)
             and (path := Path(place).expanduser() / folder / name).exists()]
    if not found:
        return None
    _require_hash(found[0].read_bytes(), load()["files"][name], str(found[0]))
    table = pd.read_csv(found[0])
    names = {model: facts["name"] for model, facts in load()["models"].items()}
    table["model"] = [next((model for model, name in names.items() if "DeepSeek" in one and re.search(name, one)), None)
                      for one in table.model_name]
    table = table.dropna(subset=["model"]).rename(columns={"input_tokens": "prompt_tokens"})
    return table.assign(ttft_s=table.ttft_ms / 1e3, seconds=table.decode_time_ms / 1e3, total_s=table.total_time_ms / 1e3)[
        ["model", "prompt_tokens", "output_tokens", "ttft_s", "seconds", "total_s"]]


def _by_model(content: dict) -> dict[str, Any]:
    names = {model: re.compile(facts["name"]) for model, facts in load()["models"].items()}
    return {model: content[key] for model, name in names.items() for key in content if name.search(key)}


def _released(name: str, place: str) -> dict:
    """A released file, from a folder or from its address; kept in the output folder once it was fetched."""
    sha256, kept = load()["files"][name], store.OUTPUT / "traces" / name
    path = kept if place == FETCH else Path(place).expanduser() / name
    if place == FETCH and not kept.exists():
        _fetch(name, kept, sha256)
    if not path.exists():
        raise TracesError(f"{path} is not there; name the folder that holds {', '.join(FETCHED)}")
    _require_hash(path.read_bytes(), sha256, str(path))
    return text_files.json_of(path, TracesError)


def _fetch(name: str, kept: Path, sha256: str) -> None:
    address = load()["address"] + name
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            content = answer.read()
    except OSError as error:
        raise TracesError(f"{address} was not to be had ({error}); name a folder that holds {name}") from error
    _require_hash(content, sha256, address)
    kept.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomically(kept, content.decode())


def _require_hash(content: bytes, sha256: str, where: str) -> None:
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise TracesError(f"{where}: expected the released file of sha256 {sha256[:12]}…, got {found[:12]}…: another version")
