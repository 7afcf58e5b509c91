"""A GGUF file of trained weights as a Hugging Face folder, so that every engine can be given the same weights.

Matrices become float16, which the values of all block formats fit to 2⁻¹¹ (they are products of a float16 scale and a small
integer), vectors stay float32; one tensor at a time. The tokenizer and its chat template are read out of the file by
transformers, and compared with llama.cpp's own reading of the same file on texts in which tokenizers differ.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit import text_files
from edgekit.building import BuildError
from edgekit.catalog import gguf_file, prompting
from edgekit.catalog.models import ModelSpec
from edgekit.compress import checkpoint, dequantize

SHARD_BYTES = 5 * 10**8  # so that memory is that of the largest tensor
# How texts are split before merges, by llama.cpp's name of it (llama-vocab.cpp), where transformers takes another way.
SPLITS = {"smollm": {"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}}
# Digits, case, contractions, blanks, line ends, code, accents, scripts without blanks, symbols of several bytes.
PROBES = (
    "The 1,234,567th item's price: $89.50 (it'll rise 12%), we're told.",
    "def f(x_1, *args):\n\treturn {'a': x_1**2}  # ok\n\n\n", "   leading and trailing   ",
    "Größe: 5 µm – naïve café, Ångström…", "数字 2026 年，東京タワー 안녕하세요",
    "🙂👩‍🔬 ½ ≤ ∞\r\nEnd",
    "HTTPServer2XX camelCase ALLCAPS snake_case", "I'M DON'T you'LL", "a\u00a0b\u2003c\u200bd", "1 22 333 4444 55555")


def unpacked_bytes(spec: ModelSpec) -> int:
    """About what the folder will take on disk."""
    return 2 * spec.architecture.parameters + (1 << 24)


def write(spec: ModelSpec, folder: Path) -> None:
    """Write what `spec.file` holds into `folder`: safetensors, config.json, tokenizer, generation_config.json.

    Raises BuildError for a tensor that such a model has not, or a tokenizer that transformers reads otherwise than llama.cpp.
    """
    file = gguf_file.read(spec.file)
    a = spec.architecture
    what = f"{spec.name}: {spec.file}"
    weights = dequantize.whole(dequantize.floats(spec.file, a, spec.name), a, what,
                               "run it in llama.cpp (cell llama_cpp/stored)")
    with checkpoint.ShardWriter(folder, SHARD_BYTES) as out:
        for name, weight in weights:
            out.add(name, weight if weight.ndim == 1 else checkpoint.rounded(weight, "float16", f"{what}: {name}"))
    checkpoint.write_beside(folder, file.config(), None, dtype="float16")
    _write_tokenizer(spec, file, folder)


def _write_tokenizer(spec: ModelSpec, file: gguf_file.GgufFile, folder: Path) -> None:
    if "tokenizer.ggml.tokens" not in {*file.keys, *file.lengths}:
        return  # engines are fed ids; what needs texts says that there is none
    import transformers

    logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)
    tokenizer = transformers.AutoTokenizer.from_pretrained(spec.file.parent, gguf_file=spec.file.name)
    tokenizer.save_pretrained(folder)
    if (pre := file.keys.get("tokenizer.ggml.pre")) in SPLITS:
        path = folder / "tokenizer.json"
        told = text_files.json_of(path, BuildError)
        path.write_text(json.dumps(told | {"pre_tokenizer": SPLITS[pre]}, ensure_ascii=False), encoding="utf-8")
    with _vocabulary(spec.file) as vocabulary:
        ends = vocabulary.ends()
        (folder / prompting.GENERATION).write_text(json.dumps({
            "bos_token_id": file.keys.get("tokenizer.ggml.bos_token_id"),
            "eos_token_id": ends, "pad_token_id": file.keys.get("tokenizer.ggml.padding_token_id")}), encoding="utf-8")
        own = prompting.of(folder)
        for text in PROBES:
            if (one := own.encode(text, special=False)) != (other := vocabulary.encode(text)):
                raise BuildError(f"{spec.name}: transformers reads the tokenizer of {spec.file} otherwise than llama.cpp: "
                                 f"{text!r} becomes {one} and {other}; take the model's folder, or run the file in llama.cpp "
                                 "(cell llama_cpp/stored)")


class _Vocabulary:
    """llama.cpp's own reading of a file's tokenizer."""

    def __init__(self, vocab):
        self.vocab = vocab

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens around it."""
        from llama_cpp import llama_cpp as c

        raw = text.encode()
        ids = (c.llama_token * (len(raw) + 8))()
        count = c.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), False, False)
        return list(ids[:count])

    def ends(self) -> Sequence[int]:
        """Ids that end what is generated, the file's own end first."""
        from llama_cpp import llama_cpp as c

        ids = [i for i in range(c.llama_vocab_n_tokens(self.vocab)) if c.llama_vocab_is_eog(self.vocab, i)]
        return sorted(ids, key=lambda id: id != c.llama_vocab_eos(self.vocab))


@contextlib.contextmanager
def _vocabulary(file: Path) -> Iterator[_Vocabulary]:
    """Raises BuildError where llama.cpp cannot read the file."""
    from llama_cpp import llama_cpp as c

    quiet = c.llama_log_callback(lambda level, text, data: None)
    c.llama_log_set(quiet, ctypes.c_void_p(0))
    c.llama_backend_init()
    options = c.llama_model_default_params()
    options.vocab_only = True
    model = c.llama_model_load_from_file(str(file).encode(), options)
    c.llama_log_set(c.llama_log_callback(0), ctypes.c_void_p(0))
    if not model:
        raise BuildError(f"llama.cpp cannot read {file}; fetch it again")
    try:
        yield _Vocabulary(c.llama_model_get_vocab(model))
    finally:
        c.llama_model_free(model)
