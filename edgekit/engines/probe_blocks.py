"""A probe of llama.cpp's kernels: a block of tokens, and one token, times matrices of each type that it is asked for.

A build for another processor loads, and decodes a token, where one kernel for blocks was compiled to instructions that this one
lacks: it then dies with the first prompt. The model of one layer is written here, its weights zero.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import gguf
from llama_cpp import llama_cpp as c

TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K")
WIDTH, HEADS, VOCABULARY = 256, 4, 64  # a row of a matrix fills one block of the K types
BLOCK = 64  # tokens: enough for kernels that take several columns at a time


def llama_cpp() -> dict[str, str]:
    """Multiply, saying beforehand what, so that the last word of a process that dies names it. Raises RuntimeError where
    llama.cpp refuses the model or the block."""
    c.llama_backend_init()
    quiet = c.llama_log_callback(lambda level, text, data: None)
    c.llama_log_set(quiet, None)
    with tempfile.TemporaryDirectory(prefix="edgekit-probe-") as folder:
        for kind in TYPES:
            print(f"a block of {BLOCK} tokens times a matrix of {kind}", file=sys.stderr, flush=True)
            file = Path(folder) / f"{kind}.gguf"
            write(file, gguf.GGMLQuantizationType[kind])
            multiply(file)
    return {}


def write(file: Path, kind: gguf.GGMLQuantizationType) -> None:
    """A model of one layer, matrices of zeros stored as `kind`."""
    import numpy as np

    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(2 * BLOCK)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    for name, rows in {"token_embd": VOCABULARY, "output": VOCABULARY,
                       **{f"blk.0.{part}": WIDTH for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
                                                              "ffn_down")}}.items():
        stored = np.zeros((rows, WIDTH // elements * size), np.uint8)
        writer.add_tensor(f"{name}.weight", stored, raw_dtype=kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def multiply(file: Path) -> None:
    """A block, and one token. Raises RuntimeError."""
    options = c.llama_model_default_params()
    options.n_gpu_layers = 0
    model = c.llama_model_load_from_file(str(file).encode(), options)
    if not model:
        raise RuntimeError(f"llama.cpp does not load a model of one layer ({file.stem})")
    settings = c.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch = 2 * BLOCK, BLOCK, BLOCK
    settings.n_threads = settings.n_threads_batch = 1
    context = c.llama_init_from_model(model, settings)
    for count in (BLOCK, 1):
        tokens = (c.llama_token * count)(*range(count))
        if code := c.llama_decode(context, c.llama_batch_get_one(tokens, count)):
            raise RuntimeError(f"llama_decode of {count} tokens ({file.stem}) returned {code}")
    c.llama_free(context)
    c.llama_model_free(model)
