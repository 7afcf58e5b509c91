"""The shipped models are the files of their cards, and they do what their cards say."""

from __future__ import annotations

import json
import shutil

import pytest

from edgekit.pocket import card, evaluate, language, tasks
from edgekit.pocket.sizes import SIZES
from edgekit.pocket.train import CHECKPOINT

NAMES = list(SIZES)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (1, 20), (10, 20), (20, 20), (137, 200)])
def test_wilson_interval_is_that_of_scipy(successes, n):
    from scipy.stats import binomtest

    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert evaluate.wilson_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_interval_needs_counts_that_can_be():
    with pytest.raises(ValueError, match="3 of 2"):
        evaluate.wilson_interval(3, 2)


def test_the_family_is_shipped_whole_smallest_first_and_small():
    assert card.list_models() == NAMES
    assert sum(f.stat().st_size for name in NAMES for f in (card.MODELS / name).iterdir()) < 14e6
    assert not list(card.MODELS.glob(f"*/{CHECKPOINT}*"))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_that_of_the_card(name):
    assert card.check(name) == []
    recorded = card.read_card(name)
    folder = card.MODELS / name
    assert set(recorded["sha256"]) | {card.CARD, card.README} == {f.name for f in folder.iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= set(recorded["sha256"])
    assert (folder / card.README).read_text(encoding="utf-8") == card.render_readme(recorded)


def test_check_names_the_missing_and_the_changed_file(tmp_path):
    shutil.copytree(card.MODELS / NAMES[0], tmp_path / NAMES[0])
    weights = tmp_path / NAMES[0] / "model.safetensors"
    right = card.file_hash(weights)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (tmp_path / NAMES[0] / "tokenizer.json").unlink()
    problems = card.check(NAMES[0], tmp_path)
    assert len(problems) == 2
    assert any("tokenizer.json is missing" in p for p in problems)
    assert any(f"expected sha256 {right}, came {card.file_hash(weights)}" in p for p in problems)


def test_a_model_without_a_card_is_an_error_that_lists_the_others():
    with pytest.raises(card.CardError, match="pocket-200k"):
        card.read_card("pocket-7b")


@pytest.mark.parametrize("name", NAMES)
def test_cards_agree_with_the_files_they_describe(name):
    from safetensors import safe_open

    recorded = card.read_card(name)
    config = json.loads((card.MODELS / name / "config.json").read_text(encoding="utf-8"))
    shape, training = recorded["architecture"], recorded["training"]
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["hidden_size"], config["num_hidden_layers"], config["head_dim"]) == (
        shape["width"],
        shape["layers"],
        shape["head_dim"],
    )
    assert config["vocab_size"] == config["max_position_embeddings"] == 512
    assert config["dtype"] == shape["stored_as"]
    with safe_open(card.MODELS / name / "model.safetensors", framework="pt") as weights:
        counted = sum(weights.get_tensor(key).numel() for key in weights.offset_keys())
    assert counted == recorded["parameters"]
    curve = training["loss_curve"]
    assert [p["step"] for p in curve] == sorted(p["step"] for p in curve)
    assert curve[-1]["tokens"] == training["tokens"] == training["steps"] * training["recipe"]["tokens_per_step"]
    assert curve[-1]["validation_loss"] < 0.5 * curve[0]["validation_loss"]
    assert recorded["language_version"] == language.LANGUAGE_VERSION


@pytest.mark.parametrize("name", NAMES)
def test_card_accuracy_is_counted_on_enough_problems_of_every_cell(name):
    cells = card.read_card(name)["accuracy"]["cells"]
    assert {(c["mode"], c["depth"]) for c in cells} == {(m, d) for m in language.MODES for d in tasks.TASK_DEPTHS}
    for cell in cells:
        assert cell["n"] >= 200
        assert 0 <= cell["correct"] <= cell["n"] - cell["unanswered"]
        assert cell["share"] == cell["correct"] / cell["n"]
        assert cell["interval_95"] == list(evaluate.wilson_interval(cell["correct"], cell["n"]))


def shares(name: str, mode: str) -> list[float]:
    return [cell["share"] for cell in card.read_card(name)["accuracy"]["cells"] if cell["mode"] == mode]


def test_accuracy_grows_with_size_and_reasoning_and_falls_with_depth():
    mean = {(name, mode): sum(shares(name, mode)) / 6 for name in NAMES for mode in language.MODES}
    small, middle, large = NAMES
    for mode in language.MODES:
        # two hundredths: no more than the noise of 1,200 problems near the ceiling
        assert mean[small, mode] < mean[middle, mode] <= mean[large, mode] + 0.02
    assert all(mean[name, "think"] > mean[name, "direct"] + 0.2 for name in NAMES)
    assert shares(large, "direct")[0] > shares(large, "direct")[5] + 0.1
    assert shares(small, "think")[0] > shares(small, "think")[5] + 0.1
    assert min(shares(middle, "think") + shares(large, "think")) > 0.9


def test_the_smallest_model_answers_as_its_card_says():
    name, depth, count = NAMES[0], 2, 20
    found, = evaluate.evaluate(card.MODELS / name, modes=["think"], depths=[depth], count=count)
    assert (found.mode, found.depth, found.n) == ("think", depth, count)
    cells = card.read_card(name)["accuracy"]["cells"]
    cell = next(c for c in cells if (c["mode"], c["depth"]) == ("think", depth))
    low, high = evaluate.wilson_interval(found.correct, found.n)
    assert low <= cell["share"] <= high
    assert found.mean_new_tokens > 10, "two lines of reasoning and an answer"


def test_batched_answers_are_those_of_one_prompt_at_a_time():
    folder = card.MODELS / NAMES[0]
    prompts = [language.prompt(tasks.task_problems(depth, count=1)[0], "think") for depth in (1, 3, 6)]
    together = evaluate.generate_answers(folder, prompts)
    alone = [evaluate.generate_answers(folder, [prompt])[0] for prompt in prompts]
    assert together == alone


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_larger_models_hold_the_tokenizer_of_the_smallest(name):
    smallest = card.MODELS / NAMES[0] / "tokenizer.json"
    assert (card.MODELS / name / "tokenizer.json").read_bytes() == smallest.read_bytes()
