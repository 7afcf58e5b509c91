"""The shipped models are the files of their cards, and they do what their cards say."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise

import pytest
from scipy.stats import binomtest

from edgekit.pocket import card, evaluate, language, tasks
from edgekit.pocket.sizes import SIZES
from edgekit.pocket.tokenizer import CONTEXT, VOCABULARY, load_tokenizer
from edgekit.pocket.train import CHECKPOINT

NAMES = list(SIZES)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (1, 20), (10, 20), (20, 20), (137, 200)])
def test_wilson_interval_is_that_of_scipy(successes, n):
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert evaluate.wilson_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("n", [20, 150, 200])
def test_wilson_interval_holds_the_share_at_both_ends(n):
    assert evaluate.wilson_interval(0, n)[0] == 0 and evaluate.wilson_interval(n, n)[1] == 1


def test_wilson_interval_needs_counts_that_can_be():
    with pytest.raises(ValueError, match="3 of 2"):
        evaluate.wilson_interval(3, 2)


def test_the_family_is_shipped_whole_smallest_first_and_small():
    assert card.list_models() == NAMES
    assert sum(f.stat().st_size for name in NAMES for f in (card.MODELS / name).iterdir()) < 48e6
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
    assert any("tokenizer.json is missing; restore" in p for p in problems)
    assert any(f"card says sha256 {right[:12]}…, came {card.file_hash(weights)[:12]}…" in p for p in problems)


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
    assert (config["vocab_size"], config["max_position_embeddings"]) == (VOCABULARY, CONTEXT)
    assert config["dtype"] == shape["stored_as"]
    with safe_open(card.MODELS / name / "model.safetensors", framework="pt") as weights:
        counted = sum(weights.get_tensor(key).numel() for key in weights.offset_keys())
    assert counted == recorded["parameters"]
    curve = training["loss_curve"]
    assert [p["step"] for p in curve] == sorted(p["step"] for p in curve)
    assert curve[-1]["tokens"] == training["tokens"] == training["steps"] * training["recipe"]["size"]["tokens_per_step"]
    assert curve[-1]["validation_loss"] < 0.6 * curve[0]["validation_loss"]
    assert 0 < curve[-1]["prose_excess"] < 0.5 * curve[0]["prose_excess"], "no model knows more than the truth"
    assert recorded["language_version"] == language.LANGUAGE_VERSION


@pytest.mark.parametrize("name", NAMES)
def test_card_accuracy_is_counted_on_enough_items_of_every_cell(name):
    cells = card.read_card(name)["accuracy"]["cells"]
    assert [(c["task"], c["depth"]) for c in cells] == [(t, d) for t, spec in tasks.TASKS.items() for d in spec.depths]
    for cell in cells:
        assert cell["n"] == tasks.TASK_COUNT
        assert 0 <= cell["correct"] <= cell["n"] - cell["unanswered"]
        assert cell["share"] == cell["correct"] / cell["n"]
        assert cell["interval_95"] == list(evaluate.wilson_interval(cell["correct"], cell["n"]))


def shares(name: str, task: str) -> list[float]:
    """Accuracy by depth or level, 1 first."""
    return [cell["share"] for cell in card.read_card(name)["accuracy"]["cells"] if cell["task"] == task]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


THINK, DIRECT = "pocket_chain_think", "pocket_chain_direct"


def test_the_instrument_tells_sizes_depths_and_modes_apart():
    smallest, *others = NAMES
    for name in others:
        assert mean(shares(name, THINK)) > mean(shares(smallest, THINK)) + 0.2
        assert mean(shares(name, "pocket_prices")) > mean(shares(smallest, "pocket_prices")) + 0.1
    assert shares(NAMES[-1], "pocket_prices")[0] > 0.6
    for name in NAMES:
        think = shares(name, THINK)
        assert think[0] > think[3] > think[7], "accuracy falls with depth"
        every = [share for task in tasks.TASKS for share in shares(name, task)]
        assert min(every) < 0.99 and max(every) > 0.2, "neither at the ceiling nor at the floor everywhere"
        assert all(t > d for t, d in zip(think[:4], shares(name, DIRECT)[:4], strict=True)), "reasoning helps"
        for task in ("pocket_letters", "pocket_large"):
            assert mean(shares(name, task)) < 0.2, "two domains lie outside"
    for name in others[1:]:
        # the commonest answer of a depth is right in fewer than 5 of 100
        assert mean(shares(name, DIRECT)[:2]) > 0.09, "the larger ones do some sums in the head"


def test_the_largest_reasons_far_better_than_the_smallest_and_answers_at_once_above_chance():
    smallest, largest = shares(NAMES[0], THINK), shares(NAMES[-1], THINK)
    assert largest[3] >= smallest[3] + 0.4 and min(largest[:3]) >= 0.9
    assert all(large > small for small, large in zip(smallest, largest, strict=True))
    # the commonest answer of a depth is right in fewer than 5 of 100
    at_once = [cell["interval_95"][0] for cell in card.read_card(NAMES[-1])["accuracy"]["cells"] if cell["task"] == DIRECT]
    assert min(at_once[:2]) > 0.05


def test_budgets_lie_between_answering_at_once_and_thinking_to_the_end():
    for name in NAMES[1:]:
        ladder = [mean(shares(name, task)[3:6]) for task in (
            DIRECT, *(f"pocket_chain_budget_{k}" for k in range(1, 5)), THINK)]
        assert all(low <= high + 0.05 for low, high in pairwise(ladder)) and ladder[-1] > ladder[0] + 0.3


def test_the_smallest_model_answers_as_its_card_says():
    name, count = NAMES[0], 20
    found = evaluate.evaluate(card.MODELS / name, names=[THINK], count=count)
    assert [f.depth for f in found] == list(tasks.DEPTHS)
    for cell, told in zip(found, shares(name, THINK), strict=True):
        # 99.9 %: eight cells are asked
        low, high = binomtest(cell.correct, cell.n).proportion_ci(0.999, method="wilson")
        assert low <= told <= high
    assert found[1].mean_new_tokens > 10, "two lines of reasoning and an answer"


def test_batched_answers_are_those_of_one_prompt_at_a_time():
    folder = card.MODELS / NAMES[0]
    model, tokenizer = evaluate.load_model(folder), load_tokenizer(folder)
    spec = tasks.TASKS[THINK]
    prompts = [spec.prompt(tasks.draw_items("chain", depth, count=1)[0]) for depth in (1, 6, 3)]
    together = evaluate.generate_answers(model, tokenizer, prompts)
    assert together == [evaluate.generate_answers(model, tokenizer, [prompt])[0] for prompt in prompts]


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_larger_models_hold_the_tokenizer_of_the_smallest(name):
    smallest = card.MODELS / NAMES[0] / "tokenizer.json"
    assert (card.MODELS / name / "tokenizer.json").read_bytes() == smallest.read_bytes()
