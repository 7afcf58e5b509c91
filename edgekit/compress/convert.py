"""Safetensors to GGUF: the same weights in the file format of llama.cpp.

Written one tensor at a time, so that a model larger than memory converts too; names of tensors are those of the `gguf` package
for llama.cpp's graph of the family. The tokenizer goes in where llama.cpp has the same pre-tokenizer (byte-level BPE);
otherwise the file says that it has none, which is enough for engines that are fed token ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from edgekit import text_files
from edgekit.building import BuildError
from edgekit.catalog import prompting, weight_files
from edgekit.catalog.hf_config import GEMMA
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint, gguf_rope
from edgekit.compress.artifact import ELEMENT_BYTES, Artifact, require_plain
from edgekit.errors import unknown_name

# Pre-tokenizers that llama.cpp knows by name, by a part that only they have.
PRE_TOKENIZERS = {r"|\p{N}{1,3}|": "llama-bpe", r"?\p{L}+|\p{N}| ?[^": "qwen2", '"individual_digits": true': "smollm"}


def gguf_bytes(source: Artifact, *, dtype: str) -> int:
    """About what the GGUF file will take on disk. Raises BuildError as `to_gguf` does for what is known beforehand."""
    if dtype not in ELEMENT_BYTES:
        raise BuildError("gguf: " + unknown_name("dtype", dtype, ELEMENT_BYTES))
    require_plain("gguf", source)
    a = source.spec.architecture
    gguf_rope.require_carried(a, graph_of(a), source.spec.name)
    return ELEMENT_BYTES[dtype] * a.parameters + (1 << 20)


def to_gguf(source: Artifact, folder: Path, *, dtype: str) -> None:
    """Write `folder`/model.gguf from a Hugging Face folder: matrices as `dtype`, vectors as float32.

    dtype: float32, float16 or bfloat16. Raises BuildError for another format, an activation or rotations that llama.cpp does
    not compute, or values that `dtype` cannot hold.
    """
    import gguf
    import numpy as np

    gguf_bytes(source, dtype=dtype)
    a = source.spec.architecture
    graph = graph_of(a)
    writer = gguf.GGUFWriter(folder / "model.gguf", graph)
    writer.add_name(source.variant)
    writer.add_context_length(a.context)
    writer.add_embedding_length(a.width)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(a.mlp_width)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_key_length(a.head_dim)
    writer.add_value_length(a.head_dim)
    gguf_rope.write(writer, a)
    writer.add_layer_norm_rms_eps(a.norm_eps)
    writer.add_vocab_size(a.vocabulary)
    kinds = gguf.LlamaFileType
    writer.add_file_type({"float32": kinds.ALL_F32, "float16": kinds.MOSTLY_F16, "bfloat16": kinds.MOSTLY_BF16}[dtype])
    _add_tokenizer(writer, source.path, a.vocabulary)

    names, vectors = gguf_names(a), gguf_rope.divisors(a)
    types = {"float32": gguf.GGMLQuantizationType.F32, "float16": gguf.GGMLQuantizationType.F16,
             "bfloat16": gguf.GGMLQuantizationType.BF16}
    for name, shape in _shapes(source.path, a):
        kind = types["float32" if len(shape) == 1 else dtype]
        width = ELEMENT_BYTES["float32" if len(shape) == 1 else dtype]
        numpy_type = np.dtype({4: np.float32, 2: np.float16 if dtype == "float16" else np.uint16}[width])
        writer.add_tensor_info(names[name], shape, numpy_type, math.prod(shape) * width, raw_dtype=kind)
    for name, values in vectors.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in _weights(source.path, a):
        kind = "float32" if tensor.ndim == 1 else dtype
        writer.write_tensor_data(_to_numpy(checkpoint.rounded(tensor, kind, f"gguf: {name} of {source.variant}"), kind))
    for values in vectors.values():
        writer.write_tensor_data(values)
    writer.close()


def graph_of(a: Architecture) -> str:
    """llama.cpp's name of the computation.

    Its `qwen2` takes the heads to fill the width exactly; `seed_oss` is the same computation without that rule, which a model
    with fewer heads needs.
    """
    if a.family == "qwen2" and a.heads * a.head_dim != a.width:
        return "seed_oss"
    return "gemma3" if a.family == GEMMA else a.family


def gguf_names(a: Architecture) -> dict[str, str]:
    """llama.cpp's names of the weights of `a`, and of an output head, by those of transformers."""
    import gguf

    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == graph_of(a))
    known = gguf.get_tensor_name_map(arch, a.layers)
    modules = (name.rpartition(".") for name in dict.fromkeys([*(name for name, _ in a.tensors()), "lm_head.weight"]))
    return {f"{module}.{kind}": f"{known[module]}.{kind}" for module, _, kind in modules}


def permute_rotary(weight, heads: int):
    """Rows of a query or key projection (heads·head_dim, width) from transformers' order to llama.cpp's.

    transformers rotates element i with i + head_dim/2, llama.cpp's `llama` family rotates neighbours, so the two halves
    of each head are interleaved.
    """
    rows = weight.shape[0]
    halves = weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def unpermute_rotary(weight, heads: int):
    """The inverse of `permute_rotary`."""
    rows = weight.shape[0]
    pairs = weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def rotated_heads(name: str, a: Architecture) -> int | None:
    """Heads of a weight whose rows llama.cpp orders otherwise (queries and keys of the llama family), None for the rest."""
    rotated = {"self_attn.q_proj": a.heads, "self_attn.k_proj": a.kv_heads} if a.family == "llama" else {}
    return next((heads for part, heads in rotated.items() if part in name), None)


def to_stored(name: str, weight, a: Architecture):
    """A weight as llama.cpp stores it: rows in its order, and norms as what they multiply by."""
    if a.adds_one and name.endswith("norm.weight"):
        return weight.float() + 1
    heads = rotated_heads(name, a)
    return weight if heads is None else permute_rotary(weight, heads)


def from_stored(name: str, weight, a: Architecture):
    """The inverse of `to_stored`, to the same multiplier of a norm: adding one may have cost a weight below 1 its last bits."""
    if a.adds_one and name.endswith("norm.weight"):
        return weight.float() - 1
    heads = rotated_heads(name, a)
    return weight if heads is None else unpermute_rotary(weight, heads)


def kept(name: str, a: Architecture) -> bool:
    """Whether a stored tensor is a weight of its own: not the tied output head."""
    return not (name == "lm_head.weight" and a.tied)


def _shapes(folder: Path, a: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((name, tensor.shape) for name, tensor in weight_files.stored(folder).items() if kept(name, a))


def _weights(folder: Path, a: Architecture) -> Iterator:
    """Names and tensors in the order of `_shapes`, as llama.cpp stores them."""
    with checkpoint.Weights(folder) as weights:
        for name in weights:
            if kept(name, a):
                yield name, to_stored(name, weights[name], a)


def _to_numpy(tensor, dtype: str):
    import torch

    return tensor.contiguous().view(torch.uint16).numpy() if dtype == "bfloat16" else tensor.contiguous().numpy()


def _add_tokenizer(writer, folder: Path, vocabulary: int) -> None:
    import gguf

    pre = _pre_tokenizer(folder / "tokenizer.json")
    if pre is None:
        writer.add_tokenizer_model("no_vocab")
        return
    tokenizer = text_files.json_of(folder / "tokenizer.json", BuildError, "restore the folder")
    words = {index: word for word, index in tokenizer["model"]["vocab"].items()}
    special = {token["id"]: token for token in tokenizer["added_tokens"]}
    tokens, kinds = [], []
    for index in range(vocabulary):
        if index in special:
            tokens.append(special[index]["content"])
            kinds.append(gguf.TokenType.CONTROL if special[index]["special"] else gguf.TokenType.USER_DEFINED)
        else:
            tokens.append(words.get(index, f"[PAD{index}]"))
            kinds.append(gguf.TokenType.NORMAL if index in words else gguf.TokenType.UNUSED)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    config = checkpoint.read_config(folder)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    around = prompting.of(folder)
    begins = around.encode("")[:1] == [around.prefix]
    bos = around.prefix if begins else config.get("bos_token_id")
    for id, add in ((bos, writer.add_bos_token_id), (around.end, writer.add_eos_token_id),
                    (config.get("pad_token_id"), writer.add_pad_token_id)):
        if isinstance(id, int):
            add(id)
    writer.add_add_bos_token(begins)


def _pre_tokenizer(file: Path) -> str | None:
    """llama.cpp's name of a tokenizer's pre-tokenizer, or None where there is no tokenizer that it would split alike."""
    if not file.is_file():
        return None
    tokenizer = text_files.json_of(file, BuildError, "restore the folder")
    if tokenizer["model"]["type"] != "BPE" or tokenizer["model"].get("byte_fallback"):
        return None
    text = json.dumps(tokenizer.get("pre_tokenizer"), ensure_ascii=False).replace("\\\\", "\\")
    return next((name for part, name in PRE_TOKENIZERS.items() if part in text), None)
