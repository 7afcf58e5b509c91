"""Tokenizer and training: what goes in comes out, and an interrupted run is the same run."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from edgekit.pocket import language, sizes
from edgekit.pocket import train as training
from edgekit.pocket.tokenizer import CONTEXT, VOCABULARY, load_tokenizer, sample_texts, train_tokenizer

TINY = sizes.Size(32, 1, 2, 32, steps=12, peak_lr=1e-2, stored="float32")
RECIPE = training.Recipe(
    TINY, steps=12, seed=5, device="cpu", tokens_per_step=512, lengths=(64, 128), warmup_steps=2,
    validate_every=4, checkpoint_every=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(seed=0)


def test_tokenizer_gives_every_text_back(tokenizer):
    strange = ["  two  spaces\n\nand 1234 lines\t", "Zoë's naïve ½ plan: 100 % 数", "a\r\nb", ""]
    for text in sample_texts(9, 300) + strange:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_every_digit_is_one_token_and_merges_with_nothing(tokenizer):
    digits = {str(d): tokenizer.convert_tokens_to_ids(str(d)) for d in range(10)}
    assert len(set(digits.values())) == 10
    for text in sample_texts(10, 200) + ["a1b22 333\n4.5,6-7"]:
        tokens = tokenizer.tokenize(text)
        assert sum(token in digits for token in tokens) == sum(c.isdigit() for c in text)
    with_digit = [token for token in tokenizer.get_vocab() if any(c.isdigit() and c.isascii() for c in token)]
    assert sorted(with_digit) == sorted(digits)


def test_tokenizer_is_deterministic_full_and_adds_nothing(tokenizer, tmp_path):
    assert train_tokenizer(seed=0).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert len(tokenizer) == VOCABULARY
    assert sorted(tokenizer.get_vocab().values()) == list(range(VOCABULARY))
    assert tokenizer.eos_token == tokenizer.bos_token == tokenizer.pad_token == language.END
    assert tokenizer.eos_token_id == 0
    assert tokenizer(language.END)["input_ids"] == [0]
    assert 0 not in tokenizer("Mia has 3 coins.")["input_ids"]
    tokenizer.save_pretrained(tmp_path)
    text = sample_texts(11, 1)[0]
    assert load_tokenizer(tmp_path)(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_prompt_tokens_are_a_prefix_of_the_whole_text(tokenizer):
    rng = np.random.default_rng(0)
    for mode in language.MODES:
        for depth in range(1, 9):
            problem = language.draw_problem(rng, depth=depth, split="train")
            asked = language.prompt(problem, mode)
            whole = tokenizer(asked + language.completion(problem, mode))["input_ids"]
            given = tokenizer(asked)["input_ids"]
            assert whole[: len(given)] == given
            assert len(whole) < CONTEXT // 2


def test_batches_are_packed_texts_of_their_split_and_a_function_of_the_stream(tokenizer):
    def draw(stream):
        return training.draw_batch(tokenizer, split="validation", stream=stream, rows=6, length=256, max_depth=6)

    (ids, in_prompt), (again, _), (other, _) = draw((1, 2)), draw((1, 2)), draw((1, 3))
    assert ids.shape == in_prompt.shape == (6, 256)
    assert np.array_equal(ids, again) and not np.array_equal(ids, other)
    for row, mask in zip(ids, in_prompt, strict=True):
        *whole, _cut = tokenizer.decode(row).removeprefix(language.END).split(language.END)
        assert len(whole) >= 2
        for text in whole:
            assert text.split("\n")[1] in language.MODES
            assert language.parse_answer(text) is not None
        asked = tokenizer.decode(row[mask])
        assert "=" not in asked and "answer" not in asked and asked.count("?") >= len(whole)


@pytest.mark.parametrize("name", sizes.SIZES)
def test_sizes_are_what_their_names_say_and_suit_the_block_formats(name):
    size = sizes.SIZES[name]
    model = sizes.build_model(size, seed=0)
    w, m, heads = size.width, size.intermediate, size.heads * sizes.HEAD_DIM
    by_hand = VOCABULARY * w + size.layers * (4 * w * heads + 3 * w * m + 2 * w) + w
    assert sum(p.numel() for p in model.parameters()) == by_hand
    stated = float(name.removeprefix("pocket-")[:-1]) * {"k": 1e3, "m": 1e6}[name[-1]]
    assert by_hand == pytest.approx(stated, rel=0.1)
    assert w % 32 == 0 and m % 32 == 0 and size.heads >= 4
    assert model.config.head_dim == 32 and model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_building_a_model_is_seeded_and_leaves_the_random_state_alone():
    import torch

    before = torch.random.get_rng_state()
    one, same, other = (sizes.build_model(TINY, seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_loss_starts_at_the_uniform_distribution_and_is_the_textbook_formula(tokenizer):
    import torch

    model = sizes.build_model(TINY, 0).eval()
    drawn, _ = training.draw_batch(tokenizer, split="train", stream=(0, 0), rows=2, length=64, max_depth=6)
    ids = torch.from_numpy(drawn)
    losses = training.token_losses(model, ids)
    assert losses.shape == (2, 63)
    assert losses.mean().item() == pytest.approx(math.log(VOCABULARY), rel=0.03)
    with torch.no_grad():
        logits = model(ids).logits.double()
    chance = logits.softmax(-1)[0, 9, ids[0, 10]]
    # bfloat16 keeps 8 bits of a logit
    assert losses[0, 9].item() == pytest.approx(-math.log(chance.item()), rel=0.01)


def test_depth_grows_to_its_full_value_and_holds_no_more_than_asked(tokenizer):
    recipe = dataclasses.replace(RECIPE, steps=1000)
    depths = [recipe.max_depth(step) for step in range(1000)]
    assert depths[0] == 1 and depths == sorted(depths) and set(depths) == set(range(1, 7))
    assert depths.count(6) >= 700
    for most in (1, 3):
        ids, _ = training.draw_batch(tokenizer, split="train", stream=(0,), rows=12, length=256, max_depth=most)
        texts = [text for row in ids for text in tokenizer.decode(row).split(language.END)[:-1]]
        seen = {text.count("=") for text in texts if "\nthink\n" in text}
        assert seen - {0} == set(range(1, most + 1))


def test_schedule_warms_up_to_the_peak_and_ends_at_its_share():
    recipe = dataclasses.replace(RECIPE, steps=1000, warmup_steps=50)
    rates = [recipe.learning_rate(step) for step in range(1001)]
    assert max(rates) == pytest.approx(TINY.peak_lr, rel=0.02)
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(TINY.peak_lr * recipe.final_lr_share)


@pytest.fixture
def quick_tokenizer(monkeypatch, tokenizer):
    monkeypatch.setattr(training, "train_tokenizer", lambda seed: tokenizer)


def weights(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def without_clock(curve):
    return [{key: value for key, value in point.items() if key != "wall_s"} for point in curve]


def test_an_interrupted_run_goes_on_as_if_it_had_never_stopped(tmp_path, monkeypatch, quick_tokenizer):
    unbroken = training.run_recipe(RECIPE, out=tmp_path / "unbroken")
    assert [point["step"] for point in unbroken] == [4, 8, 12]
    assert unbroken[-1]["tokens"] == 12 * 512
    assert unbroken[-1]["validation_loss"] < unbroken[0]["validation_loss"] < math.log(VOCABULARY) + 0.2

    draw, calls = training.draw_batch, []

    def stop_at_step_7(*args, **kwargs):
        if kwargs["split"] == "train":
            calls.append(kwargs["stream"][1])
            if calls[-1] == 7 and len(calls) == 8:
                raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(training, "draw_batch", stop_at_step_7)
    with pytest.raises(KeyboardInterrupt):
        training.run_recipe(RECIPE, out=tmp_path / "broken")
    assert (tmp_path / "broken" / training.CHECKPOINT).exists()
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    resumed = training.run_recipe(RECIPE, out=tmp_path / "broken")
    assert calls == [*range(8), *range(5, 12)], "it starts again at its checkpoint, not at the beginning"
    assert without_clock(resumed) == without_clock(unbroken)
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "unbroken")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    assert not list((tmp_path / "broken").glob("checkpoint*")), "no checkpoint is left in a finished model"

    other_seed = training.run_recipe(dataclasses.replace(RECIPE, seed=6, steps=1), out=tmp_path / "other")
    assert other_seed[0]["train_loss"] != unbroken[0]["train_loss"]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, monkeypatch, quick_tokenizer):
    def stop(state, file):
        save(state, file)
        raise KeyboardInterrupt

    save = training._save_checkpoint
    monkeypatch.setattr(training, "_save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        training.run_recipe(RECIPE, out=tmp_path)
    monkeypatch.setattr(training, "_save_checkpoint", save)
    changed = dataclasses.replace(RECIPE, weight_decay=0.5)
    with pytest.raises(ValueError, match="resume=False"):
        training.run_recipe(changed, out=tmp_path)
    assert training.run_recipe(changed, out=tmp_path, resume=False)[-1]["step"] == 12


def test_an_unknown_model_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="pocket-200k, pocket-900k, pocket-3m"):
        training.train("pocket-7b", out=tmp_path)
