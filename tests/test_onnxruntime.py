"""ONNX Runtime as an engine, against transformers on the same ids. Conversions take seconds, so all tests share them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tiny

from edgekit import engines
from edgekit.building import BuildError
from edgekit.compress import onnx_file, variant
from edgekit.engines.base import EngineError

pytest.importorskip("onnxruntime_genai", reason="python3 edgekit/environment/install.py --extra onnx")

pytestmark = pytest.mark.usefixtures("module_artifacts")

POCKET = "pocket-200k"
TOKENS = list(range(1, 60))


@pytest.fixture(scope="module")
def made():
    return {weights: variant.build(engines.variant_for("onnxruntime", POCKET, weights)) for weights in ("float32", "int4")}


def opened(made, weights="float32", **options):
    return engines.open_engine("onnxruntime", made[weights], **(dict(dtype=weights, threads=1, device="cpu", context=256)
                                                                | options))


@pytest.fixture(scope="module")
def reference():
    with engines.open_engine("transformers", variant.build(POCKET), dtype="float32", threads=1, device="cpu",
                             context=256) as engine:
        yield engine


def test_scores_and_greedy_tokens_are_those_of_transformers(made, reference):
    expected = reference.score(TOKENS)
    tokens = [step.token for step in reference.stream(TOKENS, 60)]
    end = reference.config.eos_token_id
    assert end in tokens[:-1], "a text that goes on behind the token which ends texts"
    with opened(made) as engine:
        np.testing.assert_allclose(engine.score(TOKENS), expected, atol=1e-5 * np.abs(expected).max())
        assert [step.token for step in engine.stream(TOKENS, 60)] == tokens
        assert [step.token for step in engine.stream(TOKENS, 60)] == tokens, "a second stream starts afresh"
        told = engine.generate([TOKENS, TOKENS[:9]], 40, {end}, keep_stop=True)
        assert told[0] == tokens[:tokens.index(end) + 1] and (told[1][-1] == end or len(told[1]) == 40)


def test_padding_ids_are_never_written(made):
    with opened(made) as engine:
        free = [step.token for step in engine.stream(TOKENS, 6)]
        engine.writable = max(free)
        held = [step.token for step in engine.stream(TOKENS, 6)]
        assert held != free and max(held) < max(free)
        assert held[0] == engine.score(TOKENS)[-1, :engine.writable].argmax()


def test_a_text_is_taken_back_and_goes_on_as_if_nothing_had_been(made):
    with opened(made, "int4") as engine:
        whole = engine.score(TOKENS)
        session, other = engine.session(), engine.session()
        session.extend([*TOKENS[:20], 900, 901, 902])
        other.extend([7, 8])
        session.rollback(20)
        found = session.extend(TOKENS[20:])
        # Products in 8 bits round a block's activations by rows, so the length of a block changes nothing.
        np.testing.assert_allclose(found, whole[20:], atol=1e-4 * np.abs(whole).max())
        assert session.extend([5], last=1).shape == (1, 1024)


def test_the_graph_says_what_runs_and_what_a_step_reads(made, reference):
    """Of a model with a tied head every weight is read once: as the head, not as the table."""
    architecture = made["float32"].spec.architecture
    assert architecture.tied
    with opened(made) as engine, opened(made, "int4") as small:
        assert engine.info.kernel == f"MatMul x{5 * architecture.layers + 1}, GroupQueryAttention x{architecture.layers}"
        assert small.info.kernel.startswith("MatMulNBits of 4 bits by 32, activations in 8 bits x16")
        for one in (engine, small):
            assert one.info.provider_asked == one.info.provider == "CPUExecutionProvider"
            assert one.info.what_ran()["provider"] == "CPUExecutionProvider"
    assert made["float32"].bytes_read_per_step("float32") == variant.build(POCKET).bytes_read_per_step("float32")
    vectors = 4 * architecture.width * (2 * architecture.layers + 1)
    matrices = architecture.parameters - vectors // 4
    assert made["int4"].bytes_read_per_step("float32") == matrices / 2 + 4 * matrices / 32 + vectors
    assert reference.info.what_ran() == dict(kernel=reference.info.kernel)


def test_what_another_provider_left_to_the_cpu_is_counted(made):
    """ONNX Runtime's own profile of one pass; where a provider takes nothing, the CPU's has it all."""
    from edgekit.engines.onnxruntime import nodes_by_provider, placement

    with opened(made) as engine:
        ran = engine._profiled(made["float32"].path, "", 1)
    assert set(ran) == {"CPUExecutionProvider"} and ran["CPUExecutionProvider"] > 16 + 3
    assert placement(ran) == "CPUExecutionProvider"
    events = [dict(cat="Node", name=f"{name}_kernel_time", args=dict(node_index=str(i), provider=provider))
              for i, (name, provider) in enumerate([("a", "X"), ("b", "X"), ("c", "Y"), ("a", "X")])]
    events += [events[0], dict(cat="Session", name="model_run", args={})]
    assert placement(nodes_by_provider(events)) == "X 3 of 4 nodes, Y 1 of 4 nodes"


@pytest.mark.parametrize("options, complaint", [
    (dict(device="cuda"), "does not load on cuda: "), (dict(device="mps"), "unknown device 'mps'; known: cpu, cuda"),
    (dict(dtype="int4"), r"in int4 asked, its matrices are stored as float32; .*build it with onnx\(precision=int4\)"),
    (dict(context=1000), "a context of 1000 tokens asked, .* was made for 512")])
def test_what_cannot_be_is_refused_in_words(made, options, complaint):
    import onnxruntime

    if options.get("device") == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.raises(EngineError, match=f"^onnxruntime: .*{complaint}"):
        opened(made, **options)


def test_formats_and_weights_that_it_does_not_have_are_refused_by_name(tmp_path):
    with pytest.raises(EngineError, match="onnxruntime: unknown weights 'bfloat16'; known: float32, int4"):
        engines.variant_for("onnxruntime", POCKET, "bfloat16")
    with pytest.raises(EngineError, match="expected a onnx artifact, got safetensors"):
        engines.open_engine("onnxruntime", tiny.write(tmp_path / "m"), dtype="float32", threads=1, device="cpu", context=8)


def test_a_broken_graph_is_one_sentence(made, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph at all" * 9)
    broken = dataclasses.replace(made["float32"], path=tmp_path)
    with pytest.raises(BuildError, match="cannot be read as an ONNX model .*delete its folder"):
        onnx_file.read(tmp_path)
    with pytest.raises(BuildError, match="cannot be read"):
        opened(dict(float32=broken))
    for name in ("model.onnx", "genai_config.json"):
        (tmp_path / name).write_bytes((made["float32"].path / name).read_bytes())
    onnx_file.read.cache_clear()
    with pytest.raises(EngineError, match="does not load on the CPU: .*model.onnx.data"):
        opened(dict(float32=broken))
