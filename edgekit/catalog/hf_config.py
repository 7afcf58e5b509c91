"""What a `config.json` asks for, read by an allow-list.

Each key that configs of the known families hold is known here: it is carried (it has a place in `Architecture`, and a step that
cannot do it refuses), or it may have only the values that change nothing, or it does not concern the computation. Any other key
is refused by name, for a key that nobody reads is how another model than the one in the folder gets measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgekit.catalog.packing import Packing, PackingError
from edgekit.errors import InvalidRequest, unknown_name


class ModelError(InvalidRequest):
    """A model name is unknown, or what it names is unusable; the message says what to do."""


ACTIVATIONS = ("silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "relu2")
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
COUNTS = ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size",
          "max_position_embeddings")
CARRIED = {*COUNTS, "model_type", "architectures", "num_key_value_heads", "head_dim", "rms_norm_eps", "tie_word_embeddings",
           "hidden_act", "attention_bias", "mlp_bias", "rope_theta", "rope_scaling", "rope_parameters",
           "original_max_position_embeddings", "sliding_window", "use_sliding_window", "layer_types", "quantization_config",
           "dtype", "torch_dtype"}
# Keys that change the computation where they are other than this; null is as good as absent.
NEUTRAL = {
    "partial_rotary_factor": (1,), "rope_interleaved": (False,), "use_mrope": (False,), "is_encoder_decoder": (False,),
    "add_cross_attention": (False,), "tie_encoder_decoder": (False,), "pruned_heads": ({},), "chunk_size_feed_forward": (0,),
    "auto_map": ({},), "return_dict": (True,),
    "_attn_implementation": ("sdpa",)}
# Of files and their history; of training; of how a loader runs and what it returns; of heads for other tasks; ids of tokens and
# settings of generation, which are read where texts are made.
IRRELEVANT = {
    "transformers_version", "_name_or_path", "name_or_path", "_commit_hash", "_attn_implementation_autoset", "is_llama_config",
    "transformers.js_config", "unsloth_version", "unsloth_fixed", "tokenizer_class", "prefix", "max_sequence_length",
    "initializer_range", "attention_dropout", "gradient_checkpointing", "router_aux_loss_coef",
    "use_cache", "pretraining_tp", "max_window_layers", "attn_implementation",
    "_flash_attn_2_enabled", "torchscript", "use_bfloat16", "is_decoder", "return_dict_in_generate",
    "output_attentions", "output_hidden_states", "output_scores",
    "finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params",
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "forced_bos_token_id",
    "forced_eos_token_id", "bad_words_ids", "begin_suppress_tokens", "suppress_tokens", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "length_penalty", "max_length",
    "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "remove_invalid_values", "repetition_penalty", "temperature", "tf_legacy_loss", "top_k", "top_p", "typical_p"}
ORIGINAL = "original_max_position_embeddings"
# Kinds of rotations: what each must say, and what it may.
ROPES = {"default": ((), ()), "linear": (("factor",), ()), "dynamic": (("factor",), ()),
         "llama3": (("factor", "low_freq_factor", "high_freq_factor", ORIGINAL), ()),
         "yarn": (("factor", ORIGINAL), ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"))}


def read(config: Mapping, source: str) -> dict:
    """The fields of an `Architecture` but its source; `source` names the config in errors. Raises ModelError as
    `Architecture.from_hf`."""
    if not isinstance(config, Mapping):
        raise ModelError(f"{source}: expected an object with model_type and the like, got {type(config).__name__}")
    family = config.get("model_type")
    if family not in CLASSES:
        raise ModelError(f"{source}: expected model_type llama, qwen2 or mistral, got {family!r}; the conversions and the "
                         "byte counts know only these")
    _refuse_unknown(config, family, source)
    _refuse_windows(config, family, source)
    counts = {name: _count(config, name, family, source) for name in COUNTS}
    heads, width = counts["num_attention_heads"], counts["hidden_size"]
    if family != "llama" and "num_key_value_heads" not in config:  # transformers would take 8 or 32
        raise ModelError(f"{source}: expected num_key_value_heads, which every {family} config has; the file is damaged")
    kv_heads, head_dim = ((_count(config, name, family, source) if config.get(name) is not None else default)
                          for name, default in (("num_key_value_heads", heads), ("head_dim", width // heads)))
    if heads % kv_heads or head_dim % 2:
        raise ModelError(f"{source}: expected num_attention_heads ({heads}) to be a multiple of num_key_value_heads "
                         f"({kv_heads}), and head_dim to be even, got {head_dim}; the file is damaged")
    theta, rope = _rope(config, source)
    activation = config.get("hidden_act", "silu")
    if activation not in ACTIVATIONS:
        raise ModelError(f"{source}: " + unknown_name("hidden_act", activation, ACTIVATIONS))
    return dict(family="llama" if family == "mistral" else family, layers=counts["num_hidden_layers"], width=width,
                heads=heads, kv_heads=kv_heads, head_dim=head_dim, mlp_width=counts["intermediate_size"],
                vocabulary=counts["vocab_size"], tied=_flag(config, "tie_word_embeddings", source), rope_theta=theta,
                norm_eps=_number(config, "rms_norm_eps", family, source), context=counts["max_position_embeddings"],
                activation="silu" if activation == "swish" else activation,
                attention_bias=family == "llama" and _flag(config, "attention_bias", source),
                mlp_bias=family == "llama" and _flag(config, "mlp_bias", source), rope_scaling=rope)


def packing_of(config: Mapping, source: str) -> Packing | None:
    """How the weights beside a `config.json` are packed, None for plain ones. Raises ModelError where it is not known."""
    try:
        return Packing.of_config(config)
    except PackingError as error:
        raise ModelError(f"{source}: {error}") from error


def _refuse_unknown(config: Mapping, family: str, source: str) -> None:
    for key, value in config.items():
        neutral = NEUTRAL.get(key)
        if family != "llama" and key in ("attention_bias", "mlp_bias"):
            neutral = (False,)  # transformers does not read it for this family
        if value is None or (key in CARRIED and not neutral) or key in IRRELEVANT:
            continue
        if neutral is None:
            raise ModelError(f"{source}: {key} ({value!r}) is not known for a {family} model, so what it asks for would be "
                             "left out; if it does not change what the model computes, take it out of config.json")
        if value not in neutral:
            raise ModelError(f"{source}: expected {key} to be {neutral[0]!r}, got {value!r}, which no step here carries; take "
                             "a "
                             f"{family} model without it")
    named = config.get("architectures") or []
    if [name for name in named if str(name).lower() != CLASSES[family].lower()]:
        raise ModelError(f"{source}: expected architectures to be {CLASSES[family]}, got {', '.join(map(str, named))}: another "
                         "head or another computation than a language model's")
    dtypes = ("float32", "float16", "bfloat16")
    if unknown := [key for key in ("dtype", "torch_dtype") if config.get(key) not in (None, *dtypes)]:
        raise ModelError(f"{source}: expected {unknown[0]} to be {', '.join(dtypes)}, got {config[unknown[0]]!r}; take the "
                         "model "
                         "with plain weights")


def _refuse_windows(config: Mapping, family: str, source: str) -> None:
    """Raise ModelError where attention looks back over a window: its cache does not grow with the context as counted here."""
    slides = bool(config.get("use_sliding_window"))
    if family != "qwen2":  # which has a size there even where it is not used; a Mistral config without the entry means a window
        slides |= config.get("sliding_window", 4096 if family == "mistral" else None) is not None
    kinds = config.get("layer_types") or []
    if slides or any(kind != "full_attention" for kind in kinds) or (kinds and family == "mistral"):
        told = {name: config[name] for name in ("use_sliding_window", "sliding_window", "layer_types") if name in config}
        raise ModelError(f"{source}: expected attention over the whole context (sliding_window null, or for qwen2 "
                         f"use_sliding_window false, and layer_types null or, but for mistral, all full_attention), got "
                         f"{told or 'no sliding_window, which for mistral means one of 4096'}; windows are not carried: take a "
                         "model without them")


def _count(config: Mapping, name: str, family: str, source: str) -> int:
    if name not in config:
        raise ModelError(f"{source}: expected {name}, which every {family} config has; the file is damaged")
    if type(config[name]) is not int or config[name] < 1:
        raise ModelError(f"{source}: expected {name} to be a whole number of at least 1, got {config[name]!r}; the file is "
                         "damaged")
    return config[name]


def _number(config: Mapping, name: str, family: str, source: str) -> float:
    if name not in config:
        raise ModelError(f"{source}: expected {name}, which every {family} config has; the file is damaged")
    value = config[name]
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ModelError(f"{source}: expected {name} to be a number above 0, got {value!r}; the file is damaged")
    return float(value)


def _flag(config: Mapping, name: str, source: str) -> bool:
    value = config.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise ModelError(f"{source}: expected {name} to be true or false, got {value!r}; the file is damaged")
    return bool(value)


def _rope(config: Mapping, source: str) -> tuple[float, tuple[tuple[str, str | float | bool], ...]]:
    """Base of the rotations, and what scales them. `rope_scaling` is the older name of `rope_parameters`."""
    scaling, parameters = (config.get(name) or {} for name in ("rope_scaling", "rope_parameters"))
    if not (isinstance(scaling, Mapping) and isinstance(parameters, Mapping)):
        raise ModelError(f"{source}: expected rope_parameters (or rope_scaling) to be an object, got {scaling or parameters!r}")
    if scaling and parameters and scaling != parameters:
        raise ModelError(f"{source}: rope_scaling ({scaling}) and rope_parameters ({parameters}) differ; keep one of them")
    rope = {name: value for name, value in (scaling or parameters).items() if value is not None}
    kind = rope.pop("rope_type", rope.get("type", "default"))
    rope.pop("type", None)
    if kind not in ROPES:
        raise ModelError(f"{source}: rope type {kind!r} is not known; known: {', '.join(ROPES)}")
    above = {name: value for name, value in config.items() if value is not None}
    theta = rope.pop("rope_theta", above.get("rope_theta", 10000.0))  # transformers' default
    theta = _number({"rope_theta": theta}, "rope_theta", "", source)
    if rope.pop("partial_rotary_factor", 1) != 1:
        raise ModelError(f"{source}: expected partial_rotary_factor to be 1, got another: no step here rotates a part of a "
                         "head")
    needed, possible = ROPES[kind]
    if ORIGINAL in needed:
        rope[ORIGINAL] = above.get(ORIGINAL, rope.get(ORIGINAL, above.get("max_position_embeddings")))
    if unknown := [name for name in rope if name not in (*needed, *possible)]:
        raise ModelError(f"{source}: {unknown[0]} ({rope[unknown[0]]!r}) is not known for rotations of type {kind}, which have "
                         f"{', '.join((*needed, *possible)) or 'no parameters'}")
    for name in needed:
        _number(rope, name, f"{kind} rope's", source)
    for name, value in rope.items():
        kinds, wanted = ((bool,), "true or false") if name == "truncate" else ((int, float), "a number")
        if type(value) not in kinds:
            raise ModelError(f"{source}: expected {name} of the rotations to be {wanted}, got {value!r}")
    return theta, () if kind == "default" else tuple(sorted((rope | {"rope_type": kind}).items()))
