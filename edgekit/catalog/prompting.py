"""What a prompt is and what ends a text: decided here, once, from a model's files, for every engine, task and draft.

`tokenizer.json` says how text becomes ids and which special tokens stand around it (its post-processor, as transformers takes
it); truncation and padding that it asks for belong to somebody's training and are never applied. Stops are those that
transformers' `generate` takes: `eos_token_id` of generation_config.json, else of config.json, and the tokenizer's own end.

Every text is decoded from the model's own distribution: greedily, or drawn where a study says so. Whatever else
generation_config.json asks for (penalties, suppressed tokens, beams, sampling) acts in some runtimes' loops and not in others',
so it acts in none of ours, and `warnings` names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import text_files
from edgekit.catalog import chat_template
from edgekit.catalog.hf_config import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import GenerationConfig

    from edgekit.catalog.models import ModelSpec

GENERATION = "generation_config.json"
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Keys of generation_config.json that change no token of a text: ids, lengths that are asked for anyway, outputs, caches, and
# what only beams or assistants read. Any other key counts, so that a new one is named and not overlooked.
WITHOUT_EFFECT = {
    "_from_model_config", "_name_or_path", "transformers_version", "trust_remote_code", "bos_token_id", "eos_token_id",
    "pad_token_id", "decoder_start_token_id", "max_length", "max_new_tokens", "use_cache", "cache_implementation",
    "cache_config", "return_legacy_cache", "prefill_chunk_size", "output_attentions", "output_hidden_states", "output_scores",
    "output_logits", "return_dict_in_generate", "return_dict", "compile_config", "disable_compile", "early_stopping",
    "length_penalty",
    "diversity_penalty", "num_return_sequences", "low_memory", "is_assistant", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind",
    "target_lookbehind", "max_matching_ngram_size", "chat_format", "max_window_size"}
# What shapes a draw, and nothing where nothing is drawn.
OF_SAMPLING = {"temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"}
NEUTRAL = {"repetition_penalty": 1, "encoder_repetition_penalty": 1, "num_beams": 1, "num_beam_groups": 1, "guidance_scale": 1,
           "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0, "min_new_tokens": 0,
           "penalty_alpha": 0}


@dataclass(frozen=True, slots=True, eq=False)
class Prompting:
    """A model's tokens around its texts.

    end: the id that stands behind a text. stop: the ids that end one (`end` among them). prefix: the id before a text that has
    nothing before it: the tokenizer's beginning, else its end. bos: the beginning as text, None where the tokenizer has none.
    special: ids that are left out of decoded text. vocabulary: the tokenizer's ids lie below it, a model may have more.
    warnings: what the files ask for and is not carried. name: what the model is called. folder: where its files lie. named: the
    special tokens that they name, as text.
    """

    tokenizer: Tokenizer = field(repr=False)
    end: int
    stop: frozenset[int]
    prefix: int
    bos: str | None
    special: frozenset[int]
    vocabulary: int
    warnings: tuple[str, ...]
    name: str
    folder: Path
    named: Mapping[str, str]

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Ids of a text, with the special tokens that the tokenizer puts around it unless `special` is false."""
        return self.tokenizer.encode(text, add_special_tokens=special).ids

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of what a model goes on from: a beginning that stands in the text already is not put there twice."""
        return self.encode(text, special=not (self.bos and text.startswith(self.bos)))

    def encode_asked(self, text: str, form: str) -> list[int]:
        """Ids of a question in a prompt form: as of `encode_prompt`, or of transformers' `apply_chat_template`.

        Raises ModelError as `render`.
        """
        if form == chat_template.PLAIN:
            return self.encode_prompt(text)
        return self.encode(self.render([dict(role="user", content=text)]), special=False)

    def render(self, messages: Sequence[Mapping[str, str]], opens: bool = True) -> str:
        """Messages (role, content) in the model's chat template, the opening of an answer behind them; or, unless it `opens`
        one, the last of them left open. Raises ModelError: no template, or one that refuses these messages."""
        return chat_template.render(chat_template.of(self.folder, self.name), messages, self.named, self.name, opens)

    def told(self, form: str) -> list[str]:
        """What to know of texts that are asked for in a prompt form: `warnings`, and what a chat template does besides."""
        said = list(self.warnings)
        if form != chat_template.CHAT:
            return said
        if chat_template.OF_TODAY in chat_template.of(self.folder, self.name):
            said.append(f"{self.name}: its chat template can write the day into a prompt, so rows of another day may differ")
        begins = self.bos is not None and self.encode("")[:1] == [self.prefix]
        if begins and not self.render([dict(role="user", content="?")]).startswith(self.bos):
            said.append(f"{self.name}: its chat template does not begin with {self.bos}, which its tokenizer puts before a "
                        "text: tasks have it, as lm-eval asks them, other prompts do not")
        return said

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of whole texts, each with its end token behind it."""
        encoded = [one.ids for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=True)]
        return [ids if ids and ids[-1] == self.end else [*ids, self.end] for ids in encoded]

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Text of ids, without the special tokens unless `special` is true."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=not special)


def of(folder: Path, name: str = "") -> Prompting:
    """The prompting of a model folder. `name`: what the model is called in warnings, the folder's own where none is given.

    Raises ModelError: no tokenizer.json, one that cannot be read, no token that ends a text, files that disagree about an id.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"no tokenizer.json in {folder}; text tasks need one (token-only measurements do not)")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no class of its own
        raise ModelError(f"{file}: expected a tokenizer, got {' '.join(str(error).split())[:200]}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    names = _names(folder)
    _add_special(tokenizer, names, folder)
    special = frozenset(id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    config, generation = (_read(folder / one) for one in ("config.json", GENERATION))
    bos, own_end = (tokenizer.token_to_id(names[one]) if one in names else None for one in ("bos_token", "eos_token"))
    ends = _ids(generation, "eos_token_id", folder / GENERATION) or _ids(config, "eos_token_id", folder / "config.json")
    end = own_end if own_end is not None else next(iter(ends), None)
    if end is None:
        raise ModelError(f"{folder}: expected a token that ends a text (eos_token in tokenizer_config.json, or eos_token_id in "
                         f"{GENERATION} or config.json), got none; add one")
    begins = [bos] if bos is not None or names else _ids(config, "bos_token_id", folder / "config.json")
    prefix = next((id for id in begins if id is not None), end)
    vocabulary = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    name = name or folder.name
    return Prompting(tokenizer, end, frozenset([end, *ends]), prefix, None if bos is None else names["bos_token"], special,
                     vocabulary, _not_carried(generation, config, folder, name), name, folder, names)


def plain_generation(own: GenerationConfig) -> GenerationConfig:
    """Settings for transformers' `generate` that leave the model's own distribution as it is: of `own`, the special ids stay.

    `generate` takes from a model's settings whatever its caller does not name, penalties and suppressed tokens too.
    """
    from transformers import GenerationConfig

    return GenerationConfig(bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id)


def shared(specs: Sequence[ModelSpec]) -> Prompting:
    """The prompting of the first of them, whose texts they are; `vocabulary` is what all have.

    Raises ModelError if two give an id another token: how far a model pads its vocabulary does not matter.
    """
    first = of(specs[0].folder, specs[0].name)
    for spec in specs[1:]:
        if of(spec.folder).tokenizer.get_vocab() != first.tokenizer.get_vocab():
            raise ModelError(f"{spec.name} and {specs[0].name} have different tokenizers: a draft must speak its target's "
                             "tokens")
    common = min(first.vocabulary, *(spec.architecture.vocabulary for spec in specs))
    return replace(first, vocabulary=common)


def _names(folder: Path) -> dict[str, str]:
    """The special tokens that tokenizer_config.json (or the older special_tokens_map.json) names, as text."""
    read = _read(folder / "special_tokens_map.json") | {
        name: value for name, value in _read(folder / "tokenizer_config.json").items() if name in NAMED}
    found = {name: read[name]["content"] if isinstance(read[name], dict) else read[name] for name in NAMED if read.get(name)}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def _add_special(tokenizer: Tokenizer, names: dict[str, str], folder: Path) -> None:
    """Tell the tokenizer of special tokens that only tokenizer_config.json has, as transformers does. Raises ModelError."""
    from tokenizers import AddedToken

    declared = _read(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
    have = tokenizer.get_added_tokens_decoder()
    for id, told in sorted((int(id), told) for id, told in declared.items()):
        token = AddedToken(told["content"], **{name: value for name, value in told.items() if name in (
            "single_word", "lstrip", "rstrip", "normalized", "special")})
        if id not in have or repr(have[id]) != repr(token):
            tokenizer.add_tokens([token])
        if tokenizer.token_to_id(token.content) != id:
            raise ModelError(f"{folder}/tokenizer_config.json gives {token.content!r} the id {id}, tokenizer.json "
                             f"{tokenizer.token_to_id(token.content)}: the two files belong to different models")
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    known = [name for name in dict.fromkeys(names.values()) if name not in added and tokenizer.token_to_id(name) is not None]
    tokenizer.add_special_tokens(known)


def _ids(read: dict, key: str, file: Path) -> list[int]:
    """An id or a list of ids. Raises ModelError for anything else; none where the key is missing."""
    value = read.get(key)
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(id, int) and not isinstance(id, bool) and id >= 0 for id in ids):
        raise ModelError(f"{file}: expected {key} to be a token id or a list of them, got {value!r}")
    return ids


def _not_carried(generation: dict, config: dict, folder: Path, name: str) -> tuple[str, ...]:
    """A sentence on what generation_config.json (where there is none, config.json, as older folders have it) asks for."""
    from_config = not (folder / GENERATION).is_file()
    settings = config if from_config else generation
    acting = set(NEUTRAL) | OF_SAMPLING | {"do_sample", "suppress_tokens", "begin_suppress_tokens", "bad_words_ids"}
    asked = {}
    for key, value in settings.items():
        if key in WITHOUT_EFFECT or (from_config and key not in acting):
            continue
        if value is None or value is False or value in ([], {}):
            continue
        if (key in OF_SAMPLING and not settings.get("do_sample")) or (key in NEUTRAL and value == NEUTRAL[key]):
            continue
        asked[key] = value
    if not asked:
        return ()
    told = ", ".join(f"{key}={json.dumps(value)[:60]}" for key, value in sorted(asked.items()))
    return (f"{name}: its {'config.json' if from_config else GENERATION} asks for {told}, which is not carried: texts "
            "come from the model's own distribution in every engine",)


def _read(file: Path) -> dict:
    if not file.is_file():
        return {}
    return text_files.json_of(file, ModelError, "restore the folder")
