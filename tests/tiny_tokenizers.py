"""Tiny tokenizers of the kinds that hub folders have, beside tiny random models: what they put around a text differs."""

from __future__ import annotations

import json
from pathlib import Path

import tiny
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

from edgekit.catalog import models
from edgekit.compress.artifact import Artifact

TEXTS = ["the fox sees a hen and the hen sees a fox", "a cat has ten nuts , the hen has one nut .", "Q : how many ?\nA : nine"]
BEGIN, END, TURN = "<s>", "</s>", "<|turn|>"
CONTEXT = 288  # a little more than lm-eval generates where a task does not say how much
# What each kind has beyond byte-level BPE with an end token.
KINDS = {
    "plain": {},
    "begins": dict(begins=True),
    "two ends": dict(begins=True, generation=dict(eos_token_id=[1, 2])),
    "ends elsewhere": dict(own_end=False, config=dict(eos_token_id=[1, 2]), generation=None),
    "prefix spaces": dict(begins=True, spaces=True),
    "cut and padded": dict(begins=True, truncated=True),
    "padded vocabulary": dict(begins=True, vocabulary=640),
    "no beginning, no padding": dict(bos=False, pad=False),
}


# Chat templates: with the beginning token or without it, and one that takes no system message.
CHAT = ("{{ bos_token }}{% for one in messages %}<|turn|>{{ one['role'] }}\n{{ one['content'] | trim }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}")
CHAT_BARE = CHAT.removeprefix("{{ bos_token }}")
CHAT_STRICT = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + CHAT


def tokenizer(begins: bool = False, spaces: bool = False, truncated: bool = False) -> Tokenizer:
    """Ids 0, 1, 2: begin, end, turn, all special."""
    made = Tokenizer(BPE(unk_token=None, byte_fallback=False))
    if spaces:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=[BEGIN, END, TURN], show_progress=False)
    else:
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r" ?\w+|\s+|[^\w\s]+"), "isolated"),
                                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=[BEGIN, END, TURN], show_progress=False,
                                      initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    made.train_from_iterator(TEXTS, trainer)
    made.add_special_tokens([AddedToken(text, normalized=False) for text in (BEGIN, END, TURN)])
    if begins:
        made.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    if truncated:
        made.enable_truncation(4)
        made.enable_padding(length=16, pad_token=END, pad_id=1)
    return made


def write(folder: Path, *, begins: bool = False, spaces: bool = False, truncated: bool = False, own_end: bool = True,
          generation: dict | None = None, config: dict | None = None, vocabulary: int | None = None, bos: bool = True,
          pad: bool = True, template: str | list | None = None, **sizes) -> Artifact:
    """A random model and its tokenizer in `folder`, with a generation_config.json where `generation` says what it holds, and a
    chat template in tokenizer_config.json.

    Ends and turns are likelier than other tokens, so that texts hold some.
    """
    made = tokenizer(begins, spaces, truncated)
    sizes = dict(vocab_size=vocabulary or made.get_vocab_size(), max_position_embeddings=CONTEXT, bos_token_id=0,
                 eos_token_id=1) | sizes | (config or {})
    tiny.write(folder, tied=False, **sizes)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][1:3] *= 1.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    made.save(str(folder / "tokenizer.json"))
    names = dict(tokenizer_class="PreTrainedTokenizerFast", clean_up_tokenization_spaces=False)
    names |= dict(eos_token=END if own_end else TURN)
    names |= dict(bos_token=BEGIN) if bos else {}
    names |= dict(pad_token=END) if pad else {}
    names |= dict(chat_template=template) if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "generation_config.json").unlink()
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return Artifact(str(folder), models.resolve(str(folder)), folder, "safetensors", folder.name)
