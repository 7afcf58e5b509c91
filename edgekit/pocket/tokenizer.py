"""One tokenizer for the whole family: byte-level BPE, every digit its own token.

The words are cut by Qwen2's pattern before merging, so llama.cpp's `tokenizer.ggml.pre = "qwen2"` with
`tokenizer.ggml.model = "gpt2"` cuts in the same places. `<|endoftext|>` (id 0) is end, begin and padding token at
once; it closes every text and is never added by the tokenizer itself.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from edgekit.pocket import language

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 1024
CONTEXT = 512
# The pre-tokenizer pattern of Qwen2 (Yang et al. 2024, arXiv:2407.10671), as its tokenizer.json has it.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def sample_texts(seed: int, count: int) -> list[str]:
    """Draw `count` texts of the training mixture, each without its end token."""
    rng = Random(f"tokenizer/{seed}")
    texts = [language.draw_text(rng, split="train") for _ in range(count)]
    return [text.prompt + text.completion for text in texts]


def train_tokenizer(*, seed: int = 0, count: int = 8000) -> PreTrainedTokenizerFast:
    """Train the tokenizer on a seeded sample of the language: same seed and count, same tokenizer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[language.END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample_texts(seed, count), trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(
            f"expected {VOCABULARY} tokens, got {tokenizer.get_vocab_size()}: the language has too few words; add words"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=language.END,
        eos_token=language.END,
        pad_token=language.END,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model folder."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)
