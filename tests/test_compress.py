"""Variants, artifacts, shapes and GGUF files: what is written is what was meant, once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny

from edgekit import building, store
from edgekit.building import BuildError
from edgekit.catalog import models, prompting
from edgekit.compress import calibration, checkpoint, convert, gguf_rope, shape, variant
from edgekit.compress.artifact import Artifact
from edgekit.compress.variant import VariantError

pytestmark = pytest.mark.usefixtures("own_artifacts")


@pytest.mark.parametrize("text", ["pocket-200k", "shape:qwen2.5-0.5b > gguf(dtype=float16)"])
def test_a_chain_reads_back_as_it_is_written(text):
    assert str(variant.parse(text)) == text


def test_arguments_are_typed_and_their_order_does_not_matter(monkeypatch):
    def thin(source, folder, *, bits: int, share: float):
        """Never called: a chain is only read here."""

    monkeypatch.setitem(variant.STEPS, "thin", (thin, None, "safetensors"))
    one, other = (variant.parse(f"m > thin({inside})") for inside in ("bits=4, share=0.5", "share=0.5, bits=4"))
    assert one == other and dict(one.steps[0].arguments) == {"bits": 4, "share": 0.5}


@pytest.mark.parametrize("text, says", [
    ("", "got no model"), ("m > gguf", "name\\(key=value"), ("m > gguff(dtype=float16)", "unknown step 'gguff'; known: gguf"),
    ("m > gguf(dtype)", "expected key=value"), ("m > gguf(dtype=float16) >", "name\\(key=value"),
    ("m > rtn(bits=4, grupsize=64)", "rtn has no argument 'grupsize'; its arguments: bits: int, group: int"),
    ("m > rtn(bits=4)", "rtn needs group; its arguments: .*bits: int, group: int"),
    ("m > rtn(bits=4.5, group=32)", "rtn: expected bits to be int, got 4.5; its arguments"),
    ("m > rtn(bits=True, group=32)", "rtn: expected bits to be int, got True"),
    ("m > rtn(bits=4, group=32, bits=3)", "rtn got bits twice"),
    ("m > packed_gptq(bits=4, group=32, symmetric=1)", "expected symmetric to be bool, got 1; .*symmetric: bool = False"),
    ("m > gguf_quantized(type=4)", "expected type to be str, got 4"),
    ("m > dequantized(bits=4)", "dequantized has no argument 'bits'; its arguments: none"),
])
def test_a_chain_that_cannot_be_read_says_why(text, says):
    with pytest.raises(VariantError, match=says):
        variant.parse(text)


def test_a_variant_is_built_once_and_addressed_by_what_made_it(tmp_path):
    folder = tiny.write(tmp_path / "model").path
    chain = f"{folder} > gguf(dtype=float16)"
    built = variant.build(chain)
    before = built.file.stat().st_mtime_ns
    again = variant.build(chain)
    assert (again.path, again.file.stat().st_mtime_ns) == (built.path, before)
    assert built.hash == built.path.name == variant.content_hash(chain)
    assert variant.content_hash(f"{folder} > gguf(dtype=float32)") != built.hash


def test_a_forgotten_artifact_is_built_anew_from_the_same_source(tmp_path):
    source = tiny.write(tmp_path / "model")
    chain = f"{source.path} > rtn(bits=4, group=32) > gguf(dtype=float16)"
    built = variant.build(chain)
    rounded = variant.build(f"{source.path} > rtn(bits=4, group=32)")
    variant.forget(chain)
    assert not built.path.exists() and rounded.path.exists()
    variant.forget(chain)
    again = variant.build(chain)
    assert again.path == built.path and again.file.is_file()
    with pytest.raises(VariantError, match="expected a chain with a step"):
        variant.forget(str(source.path))
    assert source.path.exists()


def test_a_changed_calibration_file_is_another_variant(tmp_path, monkeypatch):
    folder = tiny.write(tmp_path / "model").path
    file = tmp_path / "texts.jsonl"
    monkeypatch.setattr(calibration, "names", lambda: ["texts", "random"])
    monkeypatch.setattr(calibration.text_sets, "file_of", lambda folder, name: file)

    def addressed(text, **more):
        file.write_text(json.dumps({"text": text}))
        inside = "".join(f", {name}={value}" for name, value in ({"calibration": "texts"} | more).items())
        return variant.content_hash(f"{folder} > gguf_quantized(type=Q4_0{inside})")

    assert addressed("one") == addressed("one") != addressed("two")
    assert addressed("one", calibration="none") == addressed("two", calibration="none")
    assert addressed("one", seed=1) != addressed("one", seed=2)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("step, bits", [("packed_awq(bits=4, group=32)", 4), ("packed_gptq(bits=3, group=32)", 3)])
def test_bytes_of_packed_weights_are_codes_scales_and_zero_points(tmp_path, step, bits, tied):
    """Counted from the architecture, in groups of 32: codes, a 16-bit scale and a zero point of `bits` bits for each."""
    source = tiny.write(tmp_path / "model", tied=tied)
    made = variant.build(f"{source.path} > {step}")
    a = source.spec.architecture
    weights = dict(a.tensors())
    sizes = {name: np.prod(size) for name, size in weights.items()}
    packed = sum(size for name, size in sizes.items() if "_proj" in name)
    plain = sum(sizes.values()) - packed
    packed_bytes = packed * (bits + (16 + bits) / 32) / 8
    read = plain - (0 if tied else a.embeddings)
    assert made.bytes_read_per_step("float32") == packed_bytes + 4 * read
    assert made.bytes_read_per_step("float16") == packed_bytes + 2 * read
    indices = 4 * sum(size[1] for name, size in weights.items() if "_proj" in name) if made.format == "gptq" else 0
    headers = made.bits_per_weight() * a.parameters / 8 - (packed_bytes + 2 * plain + indices)
    assert 0 < headers < 20_000


def test_a_half_written_artifact_is_built_again(tmp_path):
    chain = f"{tiny.write(tmp_path / 'model').path} > gguf(dtype=float16)"
    built = variant.build(chain)
    whole = built.file.read_bytes()
    built.file.write_bytes(whole[: len(whole) // 2])
    assert variant.build(chain).file.read_bytes() == whole
    (built.path / "artifact.json").unlink()
    assert variant.build(chain).file.read_bytes() == whole


def test_a_build_that_fails_leaves_nothing_that_looks_built(tmp_path):
    def half(folder):
        (folder / "model.gguf").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(BuildError, match="No space left"):
        building.build_once({"source": "x", "step": "y"}, "x", 0, half)
    assert not [path for path in (tmp_path / "artifacts").iterdir() if path.is_dir()]


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(monkeypatch):
    import collections

    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**9))
    with pytest.raises(BuildError, match="shape of shape:llama-2-7b needs 14.4 GB in .*1.0 GB are free; make room"):
        variant.build("shape:llama-2-7b")


FAMILIES = [("llama", False), ("qwen2", True), ("qwen3", True), ("qwen3", False), ("gemma3_text", True),
            ("gemma3_text", False)]


@pytest.mark.parametrize("family, tied", [("llama", True), *FAMILIES])
def test_a_shape_has_exactly_the_tensors_that_transformers_expects(tmp_path, family, tied):
    import torch
    import transformers

    config = tiny.sizes(family, model_type=family, tie_word_embeddings=tied, rms_norm_eps=1e-5)
    architecture = models.Architecture.from_hf(config, source="test")
    spec = models.ModelSpec("shape:test", "shape", architecture, None, "id")
    folder = tmp_path / "shape"
    folder.mkdir()
    shape.write(spec, folder, seed=0)
    _, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.bfloat16)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    made = Artifact("shape:test", spec, folder, "safetensors", "hash")
    assert made.bytes_read_per_step("bfloat16") == 2 * architecture.read_per_step + (0 if tied else -2 * architecture.width)


def test_shards_hold_every_tensor_once(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 40_000)
    architecture = models.Architecture.from_hf(tiny.SIZES | dict(model_type="llama", rms_norm_eps=1e-5), source="test")
    shape.write(models.ModelSpec("shape:test", "shape", architecture, None, "id"), tmp_path, seed=0)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    assert sorted(index["weight_map"]) == sorted(name for name, _ in architecture.tensors())
    stored = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    assert index["metadata"]["total_size"] == 2 * architecture.parameters < stored


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("family, tied", FAMILIES)
def test_a_gguf_file_holds_the_same_numbers(tmp_path, family, tied, dtype):
    """Read back with the gguf library and undone by hand: names, the rotary order, Gemma's norms, and rounding to the dtype."""
    import gguf
    import torch
    from safetensors.torch import load_file

    source = tiny.write(tmp_path / "model", family, tied)
    built = variant.build(f"{source.path} > gguf(dtype={dtype})")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(built.file).tensors}
    weights = load_file(source.path / "model.safetensors")
    names = convert.gguf_names(source.spec.architecture)
    assert len(stored) == len(weights)
    for name, weight in weights.items():
        tensor = stored[names[name]]
        came = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(weight.shape)
        expected = weight.to(torch.float32 if weight.ndim == 1 else getattr(torch, dtype)).float().numpy()
        if family == "gemma3_text" and "norm" in name:
            expected = expected + np.float32(1)
        if family == "llama" and ("q_proj" in name or "k_proj" in name):
            # Row 2i of a head is row i of transformers, row 2i+1 is row i + half.
            expected = np.concatenate([head[[j // 2 + (j % 2) * 16 for j in range(32)]]
                                       for head in np.split(expected, len(expected) // 32)])
        np.testing.assert_array_equal(came, expected, err_msg=name)
    assert built.bytes_read_per_step(dtype) == sum(
        int(tensor.n_bytes) for name, tensor in stored.items() if tied or name != "token_embd.weight")


NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
AFTER = {"post_attention_layernorm": "post_attention_norm"}
OF_GEMMA = AFTER | {"pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}


@pytest.mark.parametrize("family, changed, graph, other", [
    ("llama", dict(attention_bias=True, mlp_bias=True), "llama", {}), ("qwen2", dict(head_dim=16), "qwen2", {}),
    ("qwen2", dict(head_dim=32), "seed_oss", AFTER), ("qwen3", {}, "qwen3", {}), ("gemma3_text", {}, "gemma3", OF_GEMMA)])
def test_tensors_have_the_names_of_llama_cpps_graphs(family, changed, graph, other):
    """By hand, as llama.cpp's source has them: the same for each layer, each weight and each bias."""
    config = tiny.sizes(family, model_type=family, rms_norm_eps=1e-5, **changed)
    a = models.Architecture.from_hf(config, source="test")
    outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    expected = dict(outer)
    for name, _ in a.tensors():
        if name not in outer:
            layer, _, module = name.removeprefix("model.layers.").partition(".")
            module, _, kind = module.rpartition(".")
            expected[name] = f"blk.{layer}.{(NAMES | other)[module]}.{kind}"
    assert convert.graph_of(a) == graph and convert.gguf_names(a) == expected


def test_llama_3_rope_divisors_are_those_of_transformers(tmp_path):
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=8192, rope_theta=500000.0)
    source = tiny.write(tmp_path / "model", head_dim=64, rope_parameters=rope, max_position_embeddings=131072)
    import transformers

    config = transformers.AutoConfig.from_pretrained(source.path)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 500000.0 ** -(torch.arange(0, 64, 2) / 64)
    ours = gguf_rope.divisors(source.spec.architecture)
    np.testing.assert_allclose(ours["rope_freqs.weight"], (plain / scaled).numpy(), rtol=1e-4)
    assert ours["rope_freqs.weight"].max() == pytest.approx(32.0)


def test_an_unknown_rope_is_refused(tmp_path):
    source = tiny.write(tmp_path / "model")
    config = json.loads((source.path / "config.json").read_text())
    (source.path / "config.json").write_text(json.dumps(config | {"rope_parameters": {"rope_type": "su"}}))
    with pytest.raises(models.ModelError, match="rope type 'su' is not known; known: default, linear"):
        variant.build(f"{source.path} > gguf(dtype=float16)")


def test_an_unknown_dtype_lists_the_known_ones(tmp_path):
    with pytest.raises(BuildError, match="unknown dtype 'int3'; known: float32"):
        variant.build(f"{tiny.write(tmp_path / 'model').path} > gguf(dtype=int3)")


def test_llama_cpp_cuts_text_into_the_same_tokens():
    """The tokenizer inside the GGUF file against the one beside the weights, on the kit's language and on strange text."""
    import llama_cpp
    from tokenizers import Tokenizer

    name = models.pocket_names()[0]
    built = variant.build(f"{name} > gguf(dtype=float16)")
    theirs = llama_cpp.Llama(str(built.file), vocab_only=True, verbose=False)
    ours = Tokenizer.from_file(str(store.ROOT / "data/models" / name / "tokenizer.json"))
    items = (store.ROOT / "data/tasks/pocket_chain.jsonl").read_text().splitlines()[::100]
    texts = [json.loads(item)["question"] for item in items]
    texts += ["12 + 345 = 357.", "  two  blanks\n\nand\tlines", "don't, Zoë's ½ 数", "x" * 50 + "!?...", "<|endoftext|>"]
    for text in texts:
        came = theirs.tokenize(text.encode(), add_bos=False, special=True)
        assert came == ours.encode(text, add_special_tokens=False).ids, text
        assert theirs.detokenize(came, special=True).decode() == text
    assert theirs.token_eos() == ours.token_to_id("<|endoftext|>")


def test_a_gguf_file_begins_and_ends_texts_as_its_models_files_do(tmp_path):
    """A beginning that the tokenizer adds, and an end that only generation_config.json has (as a list)."""
    import llama_cpp

    folder = tmp_path / "model"
    shutil.copytree(store.ROOT / "data/models" / models.pocket_names()[0], folder)
    read = json.loads((folder / "tokenizer.json").read_text())
    read["post_processor"]["single"] = [{"SpecialToken": {"id": "!", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    read["post_processor"]["special_tokens"] = {"!": {"id": "!", "ids": [1], "tokens": ["!"]}}
    (folder / "tokenizer.json").write_text(json.dumps(read))
    (folder / "card.json").unlink()
    for name, changed in (("tokenizer_config.json", dict(bos_token="!", eos_token=None)),
                          ("config.json", dict(eos_token_id=None)), ("generation_config.json", dict(eos_token_id=[7, 0]))):
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changed))
    made = llama_cpp.Llama(str(variant.build(f"{folder} > gguf(dtype=float16)").file), vocab_only=True, verbose=False)
    own = prompting.of(folder)
    assert made.tokenize(b"Tom has 3 nuts.", add_bos=True) == own.encode("Tom has 3 nuts.") and own.prefix == 1
    assert made.token_eos() == own.end == 7
