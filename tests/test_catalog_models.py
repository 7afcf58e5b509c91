"""Model names: what they mean, what they refuse, and the closed form of a decoder's size."""

from __future__ import annotations

import json

import pytest
import yaml

from edgekit import store
from edgekit.catalog import models
from edgekit.catalog.models import Architecture, ModelError

PUBLISHED = yaml.safe_load((store.ROOT / "data/published/architectures.yaml").read_text())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_closed_form_gives_the_published_number_of_parameters(name):
    assert models.architectures()[name].parameters == PUBLISHED[name]["parameters"]


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-0.5b"])
def test_transformers_counts_the_same_parameters(name):
    import torch
    import transformers

    config = models.architectures()[name].to_hf()
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model(**config))
    assert sum(p.numel() for p in model.parameters()) == models.architectures()[name].parameters


def test_hf_config_and_back_is_the_same_architecture():
    for name, architecture in models.architectures().items():
        assert Architecture.from_hf(architecture.to_hf(), source=architecture.source) == architecture, name


# Keys as the configs of the published models hold them, of the versions of transformers that wrote them.
COMMON = dict(attention_dropout=0.0, bos_token_id=1, eos_token_id=2, hidden_act="silu", initializer_range=0.02,
              torch_dtype="bfloat16", transformers_version="4.40.1", use_cache=True)
REAL = {
    "smollm2-135m": dict(
        COMMON, architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=False, hidden_size=576,
        intermediate_size=1536, is_llama_config=True, max_position_embeddings=8192, mlp_bias=False, num_attention_heads=9,
        num_hidden_layers=30, num_key_value_heads=3, pad_token_id=2, pretraining_tp=1, rms_norm_eps=1e-5,
        rope_interleaved=False, rope_scaling=None, rope_theta=100000, tie_word_embeddings=True, vocab_size=49152,
        **{"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}}),
    "qwen2.5-0.5b": dict(
        COMMON, architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=896, intermediate_size=4864,
        max_position_embeddings=32768, max_window_layers=24, num_attention_heads=14, num_hidden_layers=24,
        num_key_value_heads=2, rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=32768, tie_word_embeddings=True,
        use_mrope=False, use_sliding_window=False, vocab_size=151936),
    "llama-3.2-1b": dict(
        COMMON, architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=False, head_dim=64, hidden_size=2048,
        intermediate_size=8192, max_position_embeddings=131072, mlp_bias=False, num_attention_heads=32, num_hidden_layers=16,
        num_key_value_heads=8, pretraining_tp=1, rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=True,
        rope_scaling=dict(factor=32.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
                          rope_type="llama3"), vocab_size=128256)}


@pytest.mark.parametrize("name", REAL)
def test_configs_of_published_models_are_read(name):
    import dataclasses

    read = Architecture.from_hf(REAL[name], source="")
    assert read.parameters == PUBLISHED[name]["parameters"]
    published = dataclasses.replace(models.architectures()[name], source="", rope_scaling=read.rope_scaling)
    assert dataclasses.replace(read, context=published.context) == published


# Of models that no table here has: keys of their configs on the hub, number of weights, and bytes of keys and values
# in 16 bits that a step reads after so many tokens.
OTHERS = {
    "Qwen/Qwen3-0.6B": (dict(
        COMMON, architectures=["Qwen3ForCausalLM"], model_type="qwen3", attention_bias=False, head_dim=128, hidden_size=1024,
        intermediate_size=3072, max_position_embeddings=40960, max_window_layers=28, num_attention_heads=16,
        num_hidden_layers=28, num_key_value_heads=8, rms_norm_eps=1e-6, rope_scaling=None, rope_theta=1000000,
        sliding_window=None, tie_word_embeddings=True, use_sliding_window=False, vocab_size=151936),
        596_049_920, {1: 112 * 1024, 40000: 40000 * 112 * 1024}),
    "google/gemma-3-270m": (dict(
        {key: value for key, value in COMMON.items() if key != "hidden_act"}, architectures=["Gemma3ForCausalLM"],
        model_type="gemma3_text", _sliding_window_pattern=6, attention_bias=False, attn_logit_softcapping=None,
        final_logit_softcapping=None, head_dim=256, hidden_activation="gelu_pytorch_tanh", hidden_size=640,
        intermediate_size=2048, layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 3,
        max_position_embeddings=32768, num_attention_heads=4, num_hidden_layers=18, num_key_value_heads=1, pad_token_id=0,
        query_pre_attn_scalar=256, rms_norm_eps=1e-6, rope_local_base_freq=10000.0, rope_scaling=None, rope_theta=1000000.0,
        sliding_window=512, use_bidirectional_attention=False, vocab_size=262144),
        268_098_176, {1: 18 * 1024, 511: 511 * 18 * 1024, 30000: (511 * 15 + 30000 * 3) * 1024})}


@pytest.mark.parametrize("name", OTHERS)
def test_configs_of_other_families_are_read_counted_and_written(name):
    import transformers

    config, parameters, read = OTHERS[name]
    a = Architecture.from_hf(config, source=name)
    assert a.parameters == a.read_per_step == parameters
    assert {tokens: 2 * a.kv_elements(tokens) for tokens in read} == read
    assert Architecture.from_hf(a.to_hf(), source=name) == a
    theirs = [transformers.AutoConfig.for_model(**one).to_dict() for one in (config, a.to_hf())]
    told = ("layer_types", "rope_parameters", "sliding_window", "query_pre_attn_scalar", "head_dim", "tie_word_embeddings")
    ours, hubs = ({key: one.get(key) for key in told} for one in theirs)
    assert ours == hubs


def test_mistral_without_a_window_is_read_and_with_one_is_refused():
    config = dict(COMMON, architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=4096, intermediate_size=14336,
                  max_position_embeddings=32768, num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=8,
                  rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None, tie_word_embeddings=False, vocab_size=32768)
    assert Architecture.from_hf(config, source="").parameters == 7_248_023_552
    with pytest.raises(ModelError, match="expected attention over the whole context .*sliding_window null"):
        Architecture.from_hf(config | dict(sliding_window=4096), source="")


@pytest.mark.parametrize("config", [[], "llama", None])
def test_a_config_that_is_no_object_is_refused(config):
    with pytest.raises(ModelError, match="expected an object with model_type"):
        Architecture.from_hf(config, source="config.json")


def test_a_step_reads_everything_but_an_untied_embedding():
    untied = models.architectures()["llama-2-7b"]
    assert untied.parameters - untied.read_per_step == 32000 * 4096 - 4096
    tied = models.architectures()["llama-3.2-1b"]
    assert tied.read_per_step == tied.parameters


def test_llama_2_7b_keeps_half_a_megabyte_of_keys_and_values_a_token_in_16_bit():
    assert 2 * models.architectures()["llama-2-7b"].kv_elements_per_token() == 512 * 1024


@pytest.mark.parametrize("name, says", [
    ("shape:lama", "unknown shape 'shape:lama'; known: shape:smollm2-135m"),
    ("pocket-9t", "unknown pocket model 'pocket-9t'; known: pocket-"),
    ("tinyllama", "unknown model 'tinyllama'; known: pocket-.*did you mean shape:tinyllama-1.1b"),
    ("/nowhere/at/all", "no config.json"),
    ("owner/na me", "not to be had from the hub"),
])
def test_unknown_names_list_the_known_ones(name, says):
    with pytest.raises(ModelError, match=says):
        models.resolve(name)


def test_a_hub_model_that_cannot_be_had_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="edgekit-tests/absent: not in the local hub cache"):
        models.resolve("edgekit-tests/absent")


@pytest.fixture
def copied(tmp_path):
    """A shipped model in a folder that a test may damage."""
    import shutil

    name = models.pocket_names()[0]
    folder = tmp_path / "model"
    shutil.copytree(store.ROOT / "data/models" / name, folder)
    return folder


def test_a_folder_with_its_weights_resolves_and_without_them_does_not(copied):
    assert models.resolve(str(copied)).architecture.layers > 0
    for file in copied.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelError, match="no weights"):
        models.resolve(str(copied))


@pytest.mark.parametrize("file, text, says", [
    ("config.json", "{broken", "wrong content"), ("card.json", "{broken", "card.json, line 1, column 2: not JSON"),
    ("config.json", '{"model_type": "llama"}', "wrong content"),
])
def test_damaged_files_are_named(copied, file, text, says):
    (copied / file).write_text(text)
    with pytest.raises(ModelError, match=says):
        models.resolve(str(copied))


def test_weights_in_another_format_do_not_pass_as_safetensors(copied):
    for file in copied.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with pytest.raises(ModelError, match="no weights in .*expected .*safetensors"):
        models.resolve(str(copied))


def test_a_config_without_its_sizes_is_refused(copied):
    (copied / "card.json").unlink()
    config = json.loads((copied / "config.json").read_text())
    del config["hidden_size"]
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="expected hidden_size"):
        models.resolve(str(copied))


def test_weights_that_differ_from_the_card_are_refused(copied):
    weights = next(copied.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="wrong content .card says sha256 .* came .*restore"):
        models.resolve(str(copied))


def test_a_family_that_the_kit_does_not_know_is_refused(copied):
    (copied / "card.json").unlink()
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "mamba"}))
    with pytest.raises(ModelError, match="expected model_type llama, mistral, qwen2, qwen3, gemma3_text, got 'mamba'"):
        models.resolve(str(copied))


def test_a_quality_study_refuses_a_shape_by_name():
    with pytest.raises(ModelError, match="shape:llama-2-7b has random weights.*name a pocket model"):
        models.resolve("shape:llama-2-7b").require_weights("perplexity")
