"""A params file is right, or one sentence says which file and key are wrong."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from edgekit import params
from edgekit.params import ParamsError
from edgekit.studies.baseline import plan as baseline


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    count: int
    rate: float
    kinds: tuple[str, ...]
    mode: Literal["a", "b"]


GOOD = "name: x\ncount: 3\nrate: 1.0e-3\nkinds: [p, q]\nmode: a\n"


def load(tmp_path, text):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    return params.load(Config, file)


def test_a_good_file_becomes_a_typed_frozen_config(tmp_path):
    config = load(tmp_path, GOOD)
    assert config == Config("x", 3, 0.001, ("p", "q"), "a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.count = 4


@pytest.mark.parametrize("old, new, says", [
    ("rate: 1.0e-3", "rate: 1e-3", r"line 3, rate: YAML reads 1e-3 as a text; write 0.001, or '1e-3' in quotes"),
    ("name: x", "name: no", r"line 1, name: YAML reads no as false .*; write that, or 'no' in quotes"),
    ("name: x", "name: 1.5", r"YAML reads it as a number; write '1.5'"),
    ("name: x", "name: 2026-01-02", "in quotes"),
    ("count: 3", "count: 3.5", "count: expected int, got 3.5"),
    ("count: 3", "count: true", "count: expected int, got True"),
    ("count: 3", "cuont: 3", "unknown parameter 'cuont'; known: name, count"),
    ("count: 3\n", "", "missing parameter 'count'"),
    ("kinds: [p, q]", "kinds: p", r"kinds: expected a list, got 'p' \(write \[p\]\)"),
    ("kinds: [p, q]", "kinds: [p, no]", r"line 4, kinds: YAML reads no as false"),
    ("mode: a", "mode: c", "mode: expected one of 'a', 'b', got 'c'"),
    ("mode: a", "mode: {a: 1}", "expected one of"),
    ("name: x", "name: [", "not YAML"),
    ("count: 3", "count: 3\ncount: 30", "'count' is set twice"),
    ("count: 3", "count: 1:30", "YAML reads 1:30 as 90"),
])
def test_each_mistake_is_one_sentence_with_file_and_key(tmp_path, old, new, says):
    with pytest.raises(ParamsError, match=says) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert "study.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_int_is_a_float_but_not_the_reverse(tmp_path):
    assert load(tmp_path, GOOD.replace("rate: 1.0e-3", "rate: 2")).rate == 2.0


def test_unknown_profile_and_notebook_list_the_known_ones():
    with pytest.raises(ParamsError, match="unknown profile 'pokcet'; known: .*pocket"):
        params.path_of("pokcet", "02_baseline")
    with pytest.raises(ParamsError, match="known: 00_published_claims, 01_scale_models, 02_baseline"):
        params.path_of("pocket", "99_nothing")


@pytest.mark.parametrize("profile", params.profiles())
def test_every_profile_is_accepted_by_the_study(profile):
    config = params.load(baseline.Config, params.path_of(profile, "02_baseline"))
    assert config.profile == profile


@pytest.mark.parametrize("changed, says", [
    (dict(models=["pocket-9m"]), "unknown pocket model 'pocket-9m'; known: pocket-"),
    (dict(shapes=["shape:gpt-5"]), "unknown shape 'shape:gpt-5'; known: .*shape:llama-2-7b"),
    (dict(cells=["lama_cpp/float16"]), "unknown engine 'lama_cpp'; known: transformers, "),
    (dict(cells=["llama_cpp/float8"]), "weights one of float32"),
    (dict(tasks=["gsm9k"]), "unknown task 'gsm9k'; known: english_agreement, english_direct, english_think, pocket_chain"),
    (dict(shapes=[], models=["shape:llama-2-7b"]), "shapes belong under `shapes`"),
    (dict(task_models=["shape:qwen2.5-0.5b"]), "random weights, so accuracy cannot be measured"),
    (dict(output_tokens=[1]), "at least 2"),
    (dict(device="tpu"), "expected one of 'cpu', 'cuda', 'mps', got 'tpu'"),
    (dict(profile="../elsewhere"), "plain folder name"),
    (dict(output_tokens=[16, 16]), "each item once"),
    (dict(workload_cells=["llama_cpp/float32"]), "workload_cells: unknown 'llama_cpp/float32'; known: transformers/float32"),
    (dict(tasks=[]), "all three or none"),
    (dict(memory_share=1.5), "memory_share"),
])
def test_the_baseline_refuses_what_it_does_not_know(changed, says):
    values = params.read_yaml(params.path_of("pocket", "02_baseline")) | changed
    if "models" in changed or "shapes" in changed:
        values |= dict(workload_models=[], task_models=[], tasks=[], task_cells=[]) | changed
    with pytest.raises(ParamsError, match=says):
        params.validate(baseline.Config, values, where="here")


def test_a_copied_profile_must_say_its_own_name(tmp_path, monkeypatch):
    import shutil

    from edgekit import store

    for folder in ("params", "data"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    shutil.copytree(tmp_path / "params/ci", tmp_path / "params/mine")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    with pytest.raises(ParamsError, match="profile is 'ci' in a file of 'mine'; write profile: mine"):
        params.of_profile(baseline.Config, "mine", "02_baseline")
    assert params.of_profile(baseline.Config, "ci", "02_baseline").profile == "ci"
