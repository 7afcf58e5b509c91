"""What a `config.json` asks for, read by an allow-list.

Each key that configs of the known families hold is known here: it is carried (it has a place in `Architecture`, and a step that
cannot do it refuses), or it may have only the values that change nothing, or it does not concern the computation. Any other key
is refused by name, for a key that nobody reads is how another model than the one in the folder gets measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.catalog import hf_rope, hf_windows
from edgekit.catalog.hf_values import ModelError, count, flag, number
from edgekit.catalog.packing import Packing, PackingError
from edgekit.errors import unknown_name

ACTIVATIONS = ("silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "relu2")
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
           "qwen3": "Qwen3ForCausalLM", "gemma3_text": "Gemma3ForCausalLM"}
GEMMA = "gemma3_text"
COUNTS = ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size",
          "max_position_embeddings")
CARRIED = {*COUNTS, "model_type", "architectures", "num_key_value_heads", "head_dim", "rms_norm_eps", "tie_word_embeddings",
           "hidden_act", "attention_bias", "mlp_bias", "rope_theta", "rope_scaling", "rope_parameters",
           "original_max_position_embeddings", "sliding_window", "use_sliding_window", "layer_types", "quantization_config",
           "dtype", "torch_dtype"}
# What one family alone reads.
OWN = {GEMMA: {"hidden_activation", "query_pre_attn_scalar", "rope_local_base_freq", "sliding_window_pattern",
               "_sliding_window_pattern"}}
# Keys that change the computation where they are other than this; null is as good as absent.
NEUTRAL = {
    "partial_rotary_factor": (1,), "rope_interleaved": (False,), "use_mrope": (False,), "is_encoder_decoder": (False,),
    "add_cross_attention": (False,), "tie_encoder_decoder": (False,), "pruned_heads": ({},), "chunk_size_feed_forward": (0,),
    "auto_map": ({},), "return_dict": (True,),
    "_attn_implementation": ("sdpa",)}
# In some families: what transformers does not read, or no other step here carries.
_UNREAD = {"attention_bias": (False,), "mlp_bias": (False,)}
NEUTRAL_IN = {"mistral": _UNREAD, "qwen2": _UNREAD, "qwen3": _UNREAD,
              GEMMA: _UNREAD | {"use_bidirectional_attention": (False,), "hidden_act": ("gelu_pytorch_tanh",),
                                "use_sliding_window": (True, False)}}
_NEEDED = ("num_key_value_heads", "head_dim")
# What transformers would take from some published model where a config has it not.
REQUIRED = {"mistral": _NEEDED[:1], "qwen2": _NEEDED[:1], "qwen3": _NEEDED, GEMMA: _NEEDED}
# Of files and their history; of training; of how a loader runs and what it returns; of heads for other tasks; ids of tokens and
# settings of generation, which are read where texts are made.
IRRELEVANT = {
    "transformers_version", "_name_or_path", "name_or_path", "_commit_hash", "_attn_implementation_autoset", "is_llama_config",
    "transformers.js_config", "unsloth_version", "unsloth_fixed", "tokenizer_class", "prefix", "max_sequence_length",
    "initializer_range", "attention_dropout", "gradient_checkpointing", "router_aux_loss_coef",
    "use_cache", "pretraining_tp", "max_window_layers", "attn_implementation",
    "_flash_attn_2_enabled", "torchscript", "use_bfloat16", "is_decoder", "return_dict_in_generate",
    "output_attentions", "output_hidden_states", "output_scores", "cache_implementation",
    "finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params",
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "forced_bos_token_id",
    "forced_eos_token_id", "bad_words_ids", "begin_suppress_tokens", "suppress_tokens", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "length_penalty", "max_length",
    "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "remove_invalid_values", "repetition_penalty", "temperature", "tf_legacy_loss", "top_k", "top_p", "typical_p"}


def read(config: Mapping, source: str) -> dict:
    """The fields of an `Architecture` but its source; `source` names the config in errors. Raises ModelError as
    `Architecture.from_hf`."""
    if not isinstance(config, Mapping):
        raise ModelError(f"{source}: expected an object with model_type and the like, got {type(config).__name__}")
    family = config.get("model_type")
    if family not in CLASSES:
        raise ModelError(f"{source}: expected model_type {', '.join(CLASSES)}, got {family!r}; the conversions and the byte "
                         "counts know only these")
    _refuse_unknown(config, family, source)
    counts = {name: count(config, name, family, source) for name in COUNTS}
    heads, width = counts["num_attention_heads"], counts["hidden_size"]
    for name in REQUIRED.get(family, ()):
        if config.get(name) is None:
            raise ModelError(f"{source}: expected {name}, which every {family} config has; the file is damaged")
    kv_heads, head_dim = ((count(config, name, family, source) if config.get(name) is not None else default)
                          for name, default in (("num_key_value_heads", heads), ("head_dim", width // heads)))
    if heads % kv_heads or head_dim % 2:
        raise ModelError(f"{source}: expected num_attention_heads ({heads}) to be a multiple of num_key_value_heads "
                         f"({kv_heads}), and head_dim to be even, got {head_dim}; the file is damaged")
    key = activation_key(family)
    activation = config.get(key, "gelu_pytorch_tanh" if family == GEMMA else "silu")
    if activation not in ACTIVATIONS:
        raise ModelError(f"{source}: " + unknown_name(key, activation, ACTIVATIONS))
    if family == GEMMA:
        more = hf_windows.of_gemma(config, family, source, counts["num_hidden_layers"], head_dim)
    else:
        hf_windows.refuse(config, family, source)
        more = dict(zip(("rope_theta", "rope_scaling"), hf_rope.read(config, source), strict=True))
    return dict(family="llama" if family == "mistral" else family, layers=counts["num_hidden_layers"], width=width,
                heads=heads, kv_heads=kv_heads, head_dim=head_dim, mlp_width=counts["intermediate_size"],
                vocabulary=counts["vocab_size"], tied=flag(config, "tie_word_embeddings", source, default=family == GEMMA),
                norm_eps=number(config, "rms_norm_eps", family, source), context=counts["max_position_embeddings"],
                activation="silu" if activation == "swish" else activation,
                attention_bias=family == "llama" and flag(config, "attention_bias", source),
                mlp_bias=family == "llama" and flag(config, "mlp_bias", source), **more)


def activation_key(family: str) -> str:
    """The name under which a config of `family` says its activation."""
    return "hidden_activation" if family == GEMMA else "hidden_act"


def packing_of(config: Mapping, source: str) -> Packing | None:
    """How the weights beside a `config.json` are packed, None for plain ones. Raises ModelError where it is not known."""
    try:
        return Packing.of_config(config)
    except PackingError as error:
        raise ModelError(f"{source}: {error}") from error


def _refuse_unknown(config: Mapping, family: str, source: str) -> None:
    for key, value in config.items():
        neutral = NEUTRAL_IN.get(family, {}).get(key, NEUTRAL.get(key))
        read = CARRIED | OWN.get(family, set())
        if value is None or (key in read and not neutral) or key in IRRELEVANT:
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
