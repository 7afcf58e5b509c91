"""A GGUF file: what it says of its model, which formats its weights are in, and what one decode step reads of it.

Its metadata is read by an allow-list, as a config.json is (see hf_config.py): a key of the model's computation that is not
known here is refused by name where the weights are to run in other engines than llama.cpp, which reads the file itself.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import building, store
from edgekit.catalog import hf_config
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import ModelError

# llama.cpp's names of the computation (general.architecture) -> transformers' model_type
FAMILIES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
# Keys of the computation that a config.json says too.
SAID = {
    "block_count": "num_hidden_layers", "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim", "attention.layer_norm_rms_epsilon": "rms_norm_eps", "rope.freq_base": "rope_theta",
    "context_length": "max_position_embeddings", "vocab_size": "vocab_size"}
# Keys that must be what follows from those, and keys that say nothing of the computation.
FOLLOWS = {"attention.value_length": "head_dim", "rope.dimension_count": "head_dim"}
OTHER = ("general.", "tokenizer.", "quantize.", "split.", "GGUF.")
CHAT_TEMPLATE = "tokenizer.chat_template"
ROTATIONS = "rope_freqs.weight"  # a table of divisors, in place of a scaling by name


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the file lists it. kind: ggml's name of its format (Q4_K, F32, …); shape: outputs first."""

    kind: str
    shape: tuple[int, ...]
    nbytes: int
    weights: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What a file says. keys: its metadata, long lists left out (of those their length is kept)."""

    path: Path
    graph: str
    keys: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: Mapping[str, Tensor]

    @property
    def is_known(self) -> bool:
        """Whether other engines than llama.cpp can be given its weights."""
        return self.graph in FAMILIES and FAMILIES[self.graph] in hf_config.CLASSES

    @property
    def stored_as(self) -> str:
        """Formats as shares of the weights, the largest first: "Q4_0 83.1 %, Q6_K 16.8 %, F32 0.1 %"."""
        kinds = self.kinds()
        return ", ".join(f"{name} {100 * count / kinds.total():.1f} %" for name, count in kinds.most_common())

    def kinds(self) -> Counter[str]:
        """Weights by the format that they are stored in, fallbacks included."""
        counted: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counted[tensor.kind] += tensor.weights
        return counted

    @property
    def bits_per_weight(self) -> float:
        """Bits of the tensors over the number of their weights, scales counted."""
        return 8 * sum(tensor.nbytes for tensor in self.tensors.values()) / sum(self.kinds().values())

    @property
    def bytes_per_step(self) -> int:
        """Bytes that one decode step reads: all tensors, but for an input embedding beside an output head of its own, of which
        it reads one line."""
        untied = "output.weight" in self.tensors
        return sum(tensor.nbytes for name, tensor in self.tensors.items() if not (untied and name == "token_embd.weight"))

    def config(self) -> dict:
        """What the metadata says, as a config.json would. Raises ModelError, naming the key, for what it cannot say there."""
        if not self.is_known:
            raise ModelError(f"{self.path}: a GGUF file of the architecture {self.graph!r} runs in llama.cpp alone (cell "
                             f"llama_cpp/stored); other engines can be given {', '.join(FAMILIES)}")
        prefix = f"{self.graph}."
        found: dict[str, Any] = {"vocab_size": self.lengths.get("tokenizer.ggml.tokens")}
        follows = {}
        for key, value in self.keys.items():
            if key.startswith(OTHER):
                continue
            part = key.removeprefix(prefix)
            if part in SAID:
                found[SAID[part]] = value
            elif part in FOLLOWS:
                follows[part] = value
            elif not (part == "rope.scaling.type" and value == "none"):
                raise ModelError(f"{self.path}: {key} ({value!r}) is not known for a {self.graph} model, so what it asks for "
                                 "would be left out; run the file in llama.cpp (cell llama_cpp/stored)")
        if missing := [name for name in hf_config.COUNTS if found.get(name) is None]:
            raise ModelError(f"{self.path}: expected {', '.join(missing)} in its metadata; the file is damaged")
        head_dim = found.setdefault("head_dim", found["hidden_size"] // found["num_attention_heads"])
        if other := {part: value for part, value in follows.items() if value != head_dim}:
            raise ModelError(f"{self.path}: expected {', '.join(other)} to be the size of a head ({head_dim}), got "
                             f"{', '.join(map(str, other.values()))}; run the file in llama.cpp (cell llama_cpp/stored)")
        if ROTATIONS in self.tensors:
            raise ModelError(f"{self.path}: its rotations are scaled by a table ({ROTATIONS}), which no config.json says; run "
                             "the file in llama.cpp (cell llama_cpp/stored), or take the model's folder")
        family = FAMILIES[self.graph]
        biases = {"attention_bias": "blk.0.attn_q.bias", "mlp_bias": "blk.0.ffn_gate.bias"} if family == "llama" else {}
        ids = {name: self.keys.get(f"tokenizer.ggml.{name}") for name in ("bos_token_id", "eos_token_id")}
        return dict(model_type=family, architectures=[hf_config.CLASSES[family]], hidden_act="silu",
                    tie_word_embeddings="output.weight" not in self.tensors, **found,
                    **{name: True for name, tensor in biases.items() if tensor in self.tensors}, **ids)

    def architecture(self) -> Architecture:
        """Its numbers; of a model that llama.cpp alone runs, those that counts are made of."""
        if self.is_known:
            return Architecture.from_hf(self.config(), str(self.path))
        return _counted(self)


def _counted(file: GgufFile) -> Architecture:
    """The numbers of an architecture that only llama.cpp knows. Raises ModelError for one without them."""
    def number(part: str) -> int:
        value = file.keys.get(f"{file.graph}.{part}")
        if isinstance(value, list):  # one a layer
            value = max(value)
        if not isinstance(value, int):
            raise ModelError(f"{file.path}: expected {file.graph}.{part} in its metadata, got {value!r}; nothing can be "
                             "counted of a model without it")
        return value

    heads, width = number("attention.head_count"), number("embedding_length")
    kv_heads = number("attention.head_count_kv") if f"{file.graph}.attention.head_count_kv" in file.keys else heads
    keys = f"{file.graph}.attention.key_length"
    return Architecture(
        family=file.graph, layers=number("block_count"), width=width, heads=heads, kv_heads=kv_heads,
        head_dim=file.keys.get(keys, width // heads), mlp_width=number("feed_forward_length"),
        vocabulary=file.tensors["token_embd.weight"].shape[0], tied="output.weight" not in file.tensors,
        rope_theta=math.nan, norm_eps=math.nan, context=number("context_length"), source=str(file.path))


def read(path: Path) -> GgufFile:
    """What a file says. Raises ModelError for one that is not there, no GGUF file, cut off, or one of several."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    return _read(path, path.stat().st_size, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _read(path: Path, size: int, changed: int) -> GgufFile:
    """Read once for each size and time of change, and kept beside the artifacts: vocabularies make it take many seconds."""
    kept = building.place(dict(step="header", file=str(path.resolve()), size=size, changed=changed)).with_suffix(".json")
    if kept.is_file():
        graph, keys, lengths, tensors = json.loads(kept.read_text(encoding="utf-8"))
        return GgufFile(path, graph, keys, lengths, {name: Tensor(kind, tuple(shape), nbytes, weights)
                                                     for name, (kind, shape, nbytes, weights) in tensors.items()})
    read = _header(path, size)
    kept.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomically(kept, json.dumps([read.graph, read.keys, read.lengths, {
        name: dataclasses.astuple(tensor) for name, tensor in read.tensors.items()}]) + "\n")
    return read


def _header(path: Path, size: int) -> GgufFile:
    from gguf import GGUFReader, GGUFValueType

    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise ModelError(f"{path}: expected a GGUF file, got {' '.join(str(error).split())[:200] or type(error).__name__}; the "
                         "download is incomplete: fetch it again") from error
    keys, lengths = {}, {}
    for name, field in reader.fields.items():
        if field.types and field.types[0] == GGUFValueType.ARRAY and len(field.data) > 1024:
            lengths[name] = len(field.data)
        elif field.types:
            value = field.contents()
            keys[name] = float(str(field.parts[-1][0])) if field.types[0] == GGUFValueType.FLOAT32 else value
    tensors = {tensor.name: Tensor(tensor.tensor_type.name, tuple(int(size) for size in reversed(tensor.shape)),
                                   int(tensor.n_bytes), int(tensor.n_elements)) for tensor in reader.tensors}
    end = max((tensor.data_offset + int(tensor.n_bytes) for tensor in reader.tensors), default=0)
    if keys.get("split.count", 0) > 1:
        raise ModelError(f"{path} is one of {keys['split.count']} files of a model; merge them with llama.cpp's gguf-split")
    if "general.architecture" not in keys or not tensors or end > size:
        raise ModelError(f"{path}: expected a GGUF file with a model's architecture and all of its tensors; it is cut off, or "
                         "something else: fetch it again")
    return GgufFile(path, keys["general.architecture"], keys, lengths, tensors)
