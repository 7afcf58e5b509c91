"""What decides a number is in its key: each such thing is changed alone, and nothing else makes rows measured anew."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import yaml

from edgekit import committed, engines, params, provenance, store
from edgekit.catalog import engines as registry
from edgekit.catalog import models
from edgekit.engines import builds
from edgekit.report import run as report_run
from edgekit.studies import runner
from edgekit.studies.quantization import plan as quantization

TASK = """include: common.yaml
task: mine
dataset_kwargs:
  data_files: {test: items.jsonl}
doc_to_text: !function words.ask
"""
COMMON = """dataset_path: json
test_split: test
output_type: multiple_choice
doc_to_choice: ["a", "b"]
doc_to_target: answer
metric_list: [{metric: acc}]
"""


@pytest.fixture
def asked(tmp_path):
    """Values of a study whose model, calibration, evaluation texts and task all lie outside of the kit; and their folder."""
    shutil.copytree(store.ROOT / "data/models/pocket-200k", tmp_path / "model")
    (tmp_path / "model/card.json").unlink()
    shutil.copy(store.ROOT / "data/calibration/mixture.jsonl", tmp_path / "calibration.jsonl")
    shutil.copy(store.ROOT / "data/evaluation/mixture.jsonl", tmp_path / "texts.jsonl")
    for name, content in (("task.yaml", TASK), ("common.yaml", COMMON), ("items.jsonl", '{"q": "x", "answer": 0}\n'),
                          ("words.py", "from helper import HOW\ndef ask(doc):\n    return doc['q'] + HOW\n"),
                          ("helper.py", "HOW = '?'\n")):
        (tmp_path / name).write_text(content)
    values = yaml.safe_load((store.ROOT / "params/ci/03_quantization.yaml").read_text())
    model = str(tmp_path / "model")
    return tmp_path, values | dict(
        models=[model], calibration=str(tmp_path / "calibration.jsonl"), stream=str(tmp_path / "texts.jsonl"),
        tasks=[f"lm-eval:{tmp_path}/task.yaml"], ablated_models=[], runtime_models=[], cost_models=[model], shapes=[],
        scaled_shapes=[])


def keys(values) -> set[str]:
    config = params.validate(quantization.Config, values, "here")
    return set(runner.keys_of(quantization.STUDY, quantization.VERSION, list(quantization.plan(config))))


def edit(file, content: bytes | None = None):
    """Change a file without changing its size or, as far as a clock tells, its time."""
    before = file.stat()
    file.write_bytes(content if content is not None else file.read_bytes() + b" ")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def weights(folder):
    file = folder / "model/model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    edit(file, bytes(content))


DECIDES = {
    "weights": weights,
    "config": lambda at: edit(at / "model/config.json"),
    "tokenizer": lambda at: edit(at / "model/tokenizer.json"),
    "special tokens": lambda at: edit(at / "model/tokenizer_config.json"),
    "what ends a text": lambda at: edit(at / "model/generation_config.json", b'{"eos_token_id": [0, 1]}'),
    "no generation settings": lambda at: (at / "model/generation_config.json").unlink(),
    "older special tokens": lambda at: (at / "model/special_tokens_map.json").write_text("{}"),
    "calibration texts": lambda at: edit(at / "calibration.jsonl"),
    "evaluation texts": lambda at: edit(at / "texts.jsonl"),
    "task": lambda at: edit(at / "task.yaml"),
    "what the task includes": lambda at: edit(at / "common.yaml"),
    "items": lambda at: edit(at / "items.jsonl", b'{"q": "y", "answer": 0}\n'),
    "functions of the task": lambda at: edit(at / "words.py"),
    "what they import": lambda at: edit(at / "helper.py"),
}


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_a_number_is_in_its_key_and_a_run_sees_it(asked, monkeypatch, tmp_path, name):
    folder, values = asked
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    monkeypatch.setattr(params, "of_profile", lambda of, profile, notebook: params.validate(of, values, "here"))
    before = keys(values)
    store.runs_folder("ci").mkdir(parents=True)
    store.write_plan(store.runs_folder("ci") / f"{quantization.STUDY}.jsonl", before)
    assert keys(values) == before and report_run.plans_the_same(quantization.STUDY, "ci")
    DECIDES[name](folder)
    assert keys(values) != before and not report_run.plans_the_same(quantization.STUDY, "ci")


DOES_NOT = {
    "the time of a file": lambda at: os.utime(at / "model/model.safetensors"),
    "a text beside the model": lambda at: (at / "model/README.md").write_text("other"),
    "an adapter beside the model": lambda at: (at / "model/adapter.txt").write_text("x"),
    "another file beside the texts": lambda at: (at / "more.jsonl").write_text("{}"),
}


@pytest.mark.parametrize("name", DOES_NOT)
def test_what_decides_nothing_is_not(asked, name):
    folder, values = asked
    before = keys(values)
    DOES_NOT[name](folder)
    assert keys(values) == before


def test_a_build_for_other_instructions_makes_other_keys(asked, monkeypatch):
    config = params.validate(quantization.Config, asked[1] | dict(cost_models=[]), "here")
    planned = [list(quantization.plan(config))]
    monkeypatch.setattr(builds, "words", lambda runtime: "torch 2.13.0+cpu DEFAULT")
    planned.append(list(quantization.plan(config)))
    before, after = ({key for key, unit in runner.keys_of("s", 1, units).items() if unit.refusal is None} for units in planned)
    assert before and len(after) == len(before) and not after & before


@pytest.mark.parametrize("chain, package", [
    ("awq(bits=4, group=32, calibration=mixture)", "autoawq"), ("gptq(bits=4, group=32, calibration=mixture)", "gptqmodel"),
    ("onnx(precision=float32)", "onnxruntime-genai"), ("gguf_quantized(type=Q4_0)", "llama-cpp-python"),
    ("distilled(data=none, steps=1)", "torch")])
def test_another_version_of_the_library_of_a_step_makes_another_artifact(monkeypatch, chain, package):
    from edgekit.compress import variant

    before, other = variant.content_hash(f"pocket-200k > {chain}"), variant.content_hash("pocket-200k > rtn(bits=4, group=32)")
    real = provenance.installed
    monkeypatch.setattr(provenance, "installed", lambda name: "99" if name == package else real(name))
    assert variant.content_hash(f"pocket-200k > {chain}") != before
    assert variant.content_hash("pocket-200k > rtn(bits=4, group=32)") == other


def test_every_engine_tells_its_build():
    assert all(entry.runtime.build for entry in registry.ENGINES.values())


def test_torch_says_which_instructions_it_takes(monkeypatch):
    """Asked in another process, as a user may hold torch to older instructions there."""
    import torch

    from edgekit.engines import probe

    here = probe.ask(registry.TRANSFORMERS.build)
    assert here.startswith(f"torch {torch.__version__} ") and torch.backends.cpu.get_cpu_capability() in here
    probe.ask.cache_clear()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert probe.ask(registry.TRANSFORMERS.build) == f"torch {torch.__version__} DEFAULT"
    probe.ask.cache_clear()


def test_llama_cpp_tells_its_build_in_the_words_of_its_rows():
    from edgekit.compress import variant
    from edgekit.engines import probe

    told = probe.ask(registry.LLAMA_CPP.build)
    artifact = variant.build("pocket-200k > gguf(dtype=float32)")
    with engines.open_engine("llama_cpp", artifact, dtype="float32", threads=1, device="cpu", context=32) as engine:
        assert told == engine.info.kernel and told


def test_the_builds_that_go_without_saying_are_those_of_the_committed_rows():
    """The rule by which committed rows keep their keys, held against what their manifests recorded."""
    seen = set()
    for rows in committed.files():
        platform = rows.platform
        for run in provenance.read_manifests(rows.path).values():
            if platform not in builds.BEFORE or rows.profile != committed.REFERENCE:  # the others came later
                continue
            for name, told in run["engines"].items():
                if name.startswith(("llama_cpp ", "llama-cpp-python ")):
                    assert told["kernel"] in builds.BEFORE[platform]
                    seen.add((platform, told["kernel"]))
            assert "avx512f" in run["machine"]["cpu"]["flags"]
            assert f"torch {run['packages']['torch']} AVX512" in builds.BEFORE[platform]
            seen.add((platform, f"torch {run['packages']['torch']} AVX512"))
    assert seen == {(platform, build) for platform, both in builds.BEFORE.items() for build in both}


def test_on_those_platforms_another_build_is_in_the_key(monkeypatch):
    from edgekit.engines import probe

    class Here:
        slug = "amd-epyc-zen4-2c"

    monkeypatch.setattr(builds.platforms, "current", lambda: Here)
    for told, said in (("torch 2.13.0+cpu AVX512", ""), ("torch 2.13.0+cpu AVX2", "torch 2.13.0+cpu AVX2"),
                       ("torch 2.14.0+cpu AVX512", "torch 2.14.0+cpu AVX512")):
        monkeypatch.setattr(probe, "ask", lambda function, told=told: told)
        assert builds.words(registry.TRANSFORMERS) == said
    Here.slug = "another-4c"
    monkeypatch.setattr(probe, "ask", lambda function: "torch 2.13.0+cpu AVX512")
    assert builds.words(registry.TRANSFORMERS) == "torch 2.13.0+cpu AVX512"


def test_a_shipped_model_with_another_tokenizer_is_refused(tmp_path, monkeypatch):
    shutil.copytree(store.ROOT / "data/models/pocket-200k", tmp_path / "data/models/pocket-200k")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    identity = models.resolve("pocket-200k").identity
    at = tmp_path / "data/models/pocket-200k"
    for name, complaint in (("tokenizer.json", "has the wrong content"),
                            ("special_tokens_map.json", "is not one of its files")):
        kept = (at / name).read_bytes() if (at / name).exists() else None
        (at / name).write_text(json.dumps({}))
        with pytest.raises(models.ModelError, match=f"{name} {complaint}"):
            models.resolve("pocket-200k")
        (at / name).unlink() if kept is None else (at / name).write_bytes(kept)
    assert models.resolve("pocket-200k").identity == identity
