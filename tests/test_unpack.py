"""A GGUF file as a model: llama.cpp runs it as it is, every other engine gets the same weights, and its grid can be left."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tiny
import torch

from edgekit import engines
from edgekit.building import BuildError
from edgekit.catalog import gguf_file, models
from edgekit.catalog.hf_config import ModelError
from edgekit.compress import checkpoint, foreseen, rtn, variant
from edgekit.studies.cells import Cell

pytestmark = pytest.mark.usefixtures("own_artifacts")

TOKENS = list(range(1, 100))
POCKET = "pocket-200k"


def file_of(chain: str, folder, name: str = "mine.gguf"):
    """The GGUF file of a chain, under a name of its own."""
    return shutil.copyfile(variant.build(chain).file, folder / name)


def logits(artifact, engine: str, dtype: str = "float32", tokens=TOKENS) -> torch.Tensor:
    with engines.open_engine(engine, artifact, dtype=dtype, threads=1, device="cpu", context=128) as opened:
        return torch.log_softmax(torch.from_numpy(opened.score(tokens)), -1)


def tensors(chain: str) -> dict[str, torch.Tensor]:
    with checkpoint.Weights(variant.build(chain).path) as weights:
        return dict(weights)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("type", ["Q4_0", "Q8_0"])
def test_every_engine_is_given_the_weights_of_the_file(tmp_path, family, type):
    """Unpacked they are those that the kit's own reader of GGUF gives, to float16; and the logits are llama.cpp's."""
    source = tiny.write(tmp_path / "model", family, tied=False, hidden_size=64, num_attention_heads=4, intermediate_size=96)
    made = f"{source.path} > gguf_quantized(type={type})"
    path = file_of(made, tmp_path)
    spec = models.resolve(str(path))
    assert (spec.kind, spec.format, spec.file) == ("gguf", "safetensors", path)
    a, before = spec.architecture, source.spec.architecture
    assert (a.layers, a.heads, a.kv_heads, a.head_dim, a.width, a.mlp_width, a.vocabulary, a.tied, a.rope_theta) == (
        before.layers, before.heads, before.kv_heads, before.head_dim, before.width, before.mlp_width, before.vocabulary,
        False, before.rope_theta)
    ours, expected = tensors(str(path)), tensors(f"{made} > dequantized()")
    assert ours.keys() == expected.keys() == dict(a.tensors()).keys()
    for name, weight in expected.items():
        assert torch.allclose(ours[name].float(), weight, rtol=2**-11, atol=0), name
    stored = variant.build(f"{path} > stored()")
    assert stored.file.read_bytes() == path.read_bytes() and stored.size_bytes() == path.stat().st_size
    one, other = logits(variant.build(str(path)), "transformers"), logits(stored, "llama_cpp", "stored")
    kl = (one.exp() * (one - other)).sum(-1).mean()
    assert 0 <= kl < 0.02 and (one.argmax(-1) == other.argmax(-1)).float().mean() > 0.9


def test_a_resolved_file_is_found_again_by_its_content(tmp_path):
    path = file_of(f"{POCKET} > gguf_quantized(type=Q4_0)", tmp_path)
    before = models.resolve(str(path))
    assert not before.folder.exists()
    built = variant.build(str(path))
    assert built.path == before.folder and variant.content_hash(str(path)) == built.hash == built.path.name
    after = models.resolve(str(path))
    assert after.architecture.parameters == before.architecture.parameters and after.identity == before.identity
    moved = path.rename(tmp_path / "moved.gguf")
    assert models.resolve(str(moved)).identity == before.identity
    moved.write_bytes(moved.read_bytes()[:-1] + b"?")
    assert models.resolve(str(moved)).identity != before.identity


def test_rows_can_say_where_weights_came_from(tmp_path):
    """Formats with their shares, bits of a weight, and what a step reads: counted by hand."""
    source = tiny.write(tmp_path / "model", tied=False)
    path = file_of(f"{source.path} > gguf_quantized(type=Q8_0)", tmp_path)
    told = gguf_file.read(path)
    a = source.spec.architecture
    vectors = a.width * (2 * a.layers + 1)
    matrices = a.parameters - vectors
    assert told.kinds() == {"Q8_0": matrices, "F32": vectors}
    assert told.bits_per_weight == pytest.approx((8.5 * matrices + 32 * vectors) / a.parameters)
    assert told.bytes_per_step == pytest.approx(8.5 / 8 * (matrices - a.embeddings) + 4 * vectors)
    assert told.stored_as == f"Q8_0 {100 * matrices / a.parameters:.1f} %, F32 {100 * vectors / a.parameters:.1f} %"


@pytest.mark.parametrize("family, tied", [("llama", True), ("llama", False), ("qwen2", False), ("qwen3", True)])
def test_rescaling_leaves_the_function_and_takes_every_group_off_its_grid(tmp_path, family, tied):
    source = tiny.write(tmp_path / "model", family, tied)
    path = file_of(f"{source.path} > gguf_quantized(type=Q4_0)", tmp_path)
    whole, moved = f"{path}", f"{path} > rescaled()"
    before, after = tensors(whole), tensors(moved)
    one, other = logits(variant.build(whole), "transformers"), logits(variant.build(moved), "transformers")
    assert float((one.exp() * (one - other)).sum(-1).abs().max()) < 1e-5
    for name, weight in after.items():
        if rtn.MATRIX.search(name):
            assert on_grid(before[name].float()) > 0.99 and on_grid(weight) < 0.2, name
            ratio = (weight / before[name].float())[before[name] != 0]
            assert 1 < float(ratio.abs().max()) < 1.1**2 * 1.001 and float(ratio.abs().min()) > 1 / 1.1**2 / 1.001
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"].float())
    third = tensors(f"{path} > rescaled(seed=1)")
    assert not torch.equal(third["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"])


def on_grid(weight: torch.Tensor) -> float:
    """Share of groups of 32 whose weights are whole multiples of one of 4 bits' steps, d·(-8 … 7)."""
    groups = weight.reshape(-1, 32)
    step = groups.abs().amax(-1, keepdim=True) / 8
    multiples = groups / step
    return float(((multiples - multiples.round()).abs().amax(-1) < 0.01).float().mean())


@pytest.mark.parametrize("step", ["rtn(bits=4, group=32)", "packed_gptq(bits=8, group=32)", "gguf_quantized(type=Q4_0)"])
def test_a_rounding_onto_the_grid_that_weights_came_on_is_no_finding(tmp_path, step):
    path = file_of(f"{POCKET} > gguf_quantized(type=Q4_0)", tmp_path)
    for ask in (variant.build, foreseen.whole):
        if ask is variant.build:
            variant.build(str(path))
        with pytest.raises(BuildError, match="came on a grid that .* holds .*zero by construction.*put rescaled"):
            ask(f"{path} > {step}")
    variant.build(f"{path} > rescaled() > {step}")
    variant.build(f"{path} > packed_gptq(bits=3, group=32)")


def test_a_file_of_a_model_that_only_llama_cpp_knows(tmp_path):
    """A GPT-2, made by hand: it runs as it is; floats of it are refused by name."""
    import gguf

    rng = np.random.default_rng(0)
    path = tmp_path / "other.gguf"
    width, layers, vocabulary, context = 32, 1, 64, 128
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(vocabulary)
    shapes = {"token_embd.weight": (vocabulary, width), "position_embd.weight": (context, width),
              "output_norm.weight": (width,), "output_norm.bias": (width,), "output.weight": (vocabulary, width),
              "blk.0.attn_norm.weight": (width,), "blk.0.attn_norm.bias": (width,), "blk.0.attn_qkv.weight": (3 * width, width),
              "blk.0.attn_qkv.bias": (3 * width,), "blk.0.attn_output.weight": (width, width),
              "blk.0.attn_output.bias": (width,), "blk.0.ffn_norm.weight": (width,), "blk.0.ffn_norm.bias": (width,),
              "blk.0.ffn_up.weight": (4 * width, width), "blk.0.ffn_up.bias": (4 * width,),
              "blk.0.ffn_down.weight": (width, 4 * width), "blk.0.ffn_down.bias": (width,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    spec = models.resolve(str(path))
    assert (spec.format, spec.folder, spec.architecture.family) == ("gguf", None, "gpt2")
    assert spec.architecture.kv_elements_per_token() == 2 * width
    found = logits(variant.build(Cell.parse("llama_cpp/stored").chain(str(path))), "llama_cpp", "stored", TOKENS[:40])
    assert torch.isfinite(found).all() and found.std() > 0.1
    with pytest.raises(BuildError, match="expected a safetensors artifact, got gguf"):
        variant.build(f"{path} > gguf(dtype=float16)")
    with pytest.raises(ModelError, match="architecture 'gpt2' runs in llama.cpp alone"):
        gguf_file.read(path).config()


def test_what_a_file_asks_for_and_no_config_says_is_refused_by_name(tmp_path):
    import gguf

    source = tiny.write(tmp_path / "model")
    path = file_of(f"{source.path} > gguf(dtype=float16)", tmp_path)
    good = gguf.GGUFReader(path)
    for key, value, complaint in (("llama.attention.sliding_window", 16, "llama.attention.sliding_window .16. is not known"),
                                  ("llama.rope.dimension_count", 16, "expected rope.dimension_count to be the size of a head"),
                                  ("llama.expert_count", 4, "llama.expert_count .4. is not known")):
        changed = tmp_path / "changed.gguf"
        writer = gguf.GGUFWriter(changed, "llama")
        for name, field in good.fields.items():
            if name.startswith("GGUF.") or name in ("general.architecture", key):
                continue
            writer.add_key_value(name, field.contents(), field.types[0],
                                 field.types[-1] if len(field.types) > 1 else None)
        writer.add_uint32(key, value)
        for tensor in good.tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(ModelError, match=complaint):
            models.resolve(str(changed))


@pytest.mark.parametrize("content, complaint", [(None, "there is no file"), (b"", "expected a GGUF file"),
                                                (b"GGUFnonsense", "expected a GGUF file"),
                                                ("cut", "cut off|expected a GGUF file")])
def test_a_file_that_is_none_is_refused(tmp_path, content, complaint):
    path = tmp_path / "bad.gguf"
    if content == "cut":
        source = tiny.write(tmp_path / "model")
        path.write_bytes(file_of(f"{source.path} > gguf(dtype=float16)", tmp_path).read_bytes()[:-1000])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=complaint):
        models.resolve(str(path))


def test_a_file_of_the_hub_is_named_by_its_repository(tmp_path, monkeypatch):
    from edgekit.catalog import hub

    path = file_of(f"{POCKET} > gguf_quantized(type=Q8_0)", tmp_path)
    name = "owner/name-GGUF:name.Q8_0.gguf"
    assert models.is_hub_id(name) and not models.is_folder(name) and not models.is_gguf(name)
    monkeypatch.setattr(hub, "fetch_file", lambda repository, file: path if (repository, file) ==
                        ("owner/name-GGUF", "name.Q8_0.gguf") else None)
    spec = models.resolve(name)
    assert (spec.kind, spec.name, spec.file) == ("hub", name, path)
    assert variant.build(f"{name} > stored()").size_bytes() == path.stat().st_size


def test_only_a_gguf_file_is_stored():
    with pytest.raises(BuildError, match="stored: expected a model that is a GGUF file, got pocket-200k"):
        variant.build(f"{POCKET} > stored()")
