"""Tokenizer and training: what goes in comes out, and an interrupted run is the same run."""

from __future__ import annotations

import dataclasses
import math
from random import Random

import numpy as np
import pytest

from edgekit import cli
from edgekit.pocket import card, chain, language, queries, rows, sizes
from edgekit.pocket import train as training
from edgekit.pocket.recipe import Recipe
from edgekit.pocket.tokenizer import CONTEXT, VOCABULARY, load_tokenizer, sample_texts, train_tokenizer
from edgekit.training import loop

TINY = sizes.Size(32, 1, 2, 16, 32, steps=12, tokens_per_step=512, peak_lrs=(1e-2,), stored="float32")
RECIPE = Recipe(
    TINY, steps=12, seed=5, device="cpu", compiled=False, warmup_share=0.2,
    validate_every_tokens=4 * 512, checkpoint_every_tokens=5 * 512,
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


def test_prompt_tokens_are_a_prefix_of_the_whole_text_which_fits_a_row(tokenizer):
    rng = Random(0)
    for _ in range(400):
        text = language.draw_text(rng, split="train")
        whole = tokenizer(text.prompt + text.completion)["input_ids"]
        given = tokenizer(text.prompt)["input_ids"]
        assert whole[: len(given)] == given
        assert len(whole) < CONTEXT
        assert len(whole) <= rows.ROW_TOKENS or text.domain == "prose"
    for domain in queries.DOMAINS:
        text = language.query_text(queries.draw_query(rng, domain=domain, level=4, split="test"))
        assert tokenizer.decode(tokenizer(text.prompt)["input_ids"]) == text.prompt


def test_rows_are_packed_texts_of_their_split_and_a_function_of_seed_and_number(tokenizer):
    def draw(seed=1, first=2, count=6):
        return rows.draw_rows(tokenizer, split="validation", seed=seed, first=first, rows=count, max_depth=8)

    (ids, in_prompt), (again, _), (other, _), (later, _) = draw(), draw(), draw(seed=2), draw(first=4, count=2)
    assert ids.shape == in_prompt.shape == (6, rows.ROW_TOKENS)
    assert np.array_equal(ids, again) and not np.array_equal(ids, other)
    assert np.array_equal(ids[2:4], later), "row r is the same in every batch"
    for row, mask in zip(ids, in_prompt, strict=True):
        *whole, _cut = tokenizer.decode(row).removeprefix(language.END).split(language.END)
        assert len(whole) >= 1
        for text in whole:
            marker = text.split("\n")[0 if text.startswith(language.PROSE_MARKER) else 1].replace(" ", "-")
            assert marker in (*language.MODES, language.PROSE_MARKER)
            assert (language.parse_answer(text) is None) == (marker == language.PROSE_MARKER)
        asked = tokenizer.decode(row[mask])
        assert "=" not in asked and "answer" not in asked


def test_members_see_the_same_rows_whatever_their_batch(tokenizer):
    small, large = (rows.draw_rows(tokenizer, split="train", seed=0, first=first, rows=count, max_depth=8)[0]
                    for first, count in ((4, 2), (0, 8)))  # fmt: skip
    assert np.array_equal(small, large[4:6])


@pytest.mark.parametrize("name", sizes.SIZES)
def test_sizes_are_what_their_names_say_and_suit_the_block_formats(name):
    size = sizes.SIZES[name]
    model = sizes.build_model(size, seed=0)
    w, m, heads = size.width, size.intermediate, size.heads * size.head_dim
    by_hand = VOCABULARY * w + size.layers * (4 * w * heads + 3 * w * m + 2 * w) + w
    assert sum(p.numel() for p in model.parameters()) == by_hand
    stated = float(name.removeprefix("pocket-")[:-1]) * {"k": 1e3, "m": 1e6}[name[-1]]
    assert by_hand == pytest.approx(stated, rel=0.1)
    assert w % 64 == 0 and m % 64 == 0 and heads % 64 == 0 and size.heads >= 4
    assert model.config.head_dim == size.head_dim and model.config.tie_word_embeddings
    if name in list(sizes.SIZES)[2:]:
        assert size.heads % 5 == 0, "20 % of the heads are a whole number"
    if name == list(sizes.SIZES)[-1]:
        assert w % 128 == 0 and m % 128 == 0 and heads % 128 == 0
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
    drawn, _ = rows.draw_rows(tokenizer, split="train", seed=0, first=0, rows=2, max_depth=8)
    ids = torch.from_numpy(drawn[:, :64])
    losses = loop.token_losses(model, ids)
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
    assert depths[0] == 1 and depths == sorted(depths) and set(depths) == set(range(1, chain.MAX_DEPTH + 1))
    assert depths.count(8) >= 700
    for most in (1, 3):
        ids, _ = rows.draw_rows(tokenizer, split="train", seed=0, first=0, rows=30, max_depth=most)
        texts = [text for row in ids for text in tokenizer.decode(row).split(language.END)[:-1]]
        seen = {text.count("=") for text in texts if "\nthink\n" in text}
        assert seen - {0} == set(range(1, most + 1))


def test_the_mixture_turns_late_at_its_share_of_the_steps():
    recipe = dataclasses.replace(RECIPE, steps=900)
    mixtures = [recipe.mixture(step) for step in range(900)]
    assert mixtures.count(language.EARLY) == 500 and mixtures[500:] == [language.LATE] * 400


def test_a_second_cycle_warms_up_again_to_half_the_peak_and_keeps_both_ways_of_answering():
    recipe = dataclasses.replace(RECIPE, size=dataclasses.replace(TINY, peak_lrs=(1e-2, 5e-3)), steps=1000, warmup_share=0.05)
    assert recipe.total_steps == 2000
    rates = [recipe.learning_rate(step) for step in range(2000)]
    assert rates[:1000] == [dataclasses.replace(recipe, size=TINY).learning_rate(step) for step in range(1000)]
    assert [rate / 2 for rate in rates[:1000]] == pytest.approx(rates[1000:])
    assert {recipe.mixture(step) for step in range(1000, 2000)} == {language.AGAIN}
    assert recipe.max_depth(1000) == chain.MAX_DEPTH


def test_a_second_cycle_starts_from_the_stored_weights_with_fresh_optimizers(tmp_path, quick_tokenizer):
    stored = dataclasses.replace(TINY, stored="bfloat16")
    once = dataclasses.replace(RECIPE, size=stored, steps=4)
    twice = dataclasses.replace(once, size=dataclasses.replace(stored, peak_lrs=(1e-2, 5e-3)))
    training.run_recipe(once, out=tmp_path / "once")
    curve = training.run_recipe(twice, out=tmp_path / "twice")
    assert [point["step"] for point in curve] == [4, 8]
    trainer = training.Trainer(twice)
    first = weights(tmp_path / "once")
    for step in range(4):
        trainer.step(step)
    trainer._begin_cycle()
    for name, parameter in trainer.model.named_parameters():
        assert np.array_equal(parameter.detach().numpy(), first[name].astype(np.float32)), name
    assert all(not optimizer.state for optimizer in trainer.optimizers)


def test_schedule_warms_up_to_the_peak_and_ends_at_its_share():
    recipe = dataclasses.replace(RECIPE, steps=1000, warmup_share=0.05)
    rates = [recipe.learning_rate(step) for step in range(1000)]
    assert max(rates) == pytest.approx(TINY.peak_lrs[0], rel=0.02)
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(TINY.peak_lrs[0] * recipe.final_lr_share, rel=1e-3)


@pytest.fixture
def quick_tokenizer(monkeypatch, tokenizer):
    monkeypatch.setattr(training, "train_tokenizer", lambda seed: tokenizer)


def weights(folder):
    from safetensors.torch import load_file

    return {name: tensor.float().numpy() for name, tensor in load_file(folder / "model.safetensors").items()}


def without_clock(curve):
    return [{key: value for key, value in point.items() if key != "wall_s"} for point in curve]


def test_an_interrupted_run_goes_on_as_if_it_had_never_stopped(tmp_path, monkeypatch, quick_tokenizer):
    unbroken = training.run_recipe(RECIPE, out=tmp_path / "unbroken")
    assert [point["step"] for point in unbroken] == [4, 8, 12]
    assert unbroken[-1]["tokens"] == 12 * 512
    assert unbroken[-1]["validation_loss"] < unbroken[0]["validation_loss"] < math.log(VOCABULARY) + 0.2

    draw, calls = training.draw_rows, []

    def stop_at_step_7(*args, **kwargs):
        if kwargs["split"] == "train":
            calls.append(kwargs["first"] // 2)
            if calls[-1] == 7 and len(calls) == 8:
                raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(training, "draw_rows", stop_at_step_7)
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

    save = loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        training.run_recipe(RECIPE, out=tmp_path)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    changed = dataclasses.replace(RECIPE, weight_decay=0.5)
    with pytest.raises(loop.TrainingError, match="resume=False"):
        training.run_recipe(changed, out=tmp_path)
    assert training.run_recipe(changed, out=tmp_path, resume=False)[-1]["step"] == 12


def test_an_unknown_model_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="pocket-200k, pocket-900k, pocket-3m, pocket-10m"):
        training.train("pocket-7b", out=tmp_path)


@pytest.mark.parametrize("learning_rate", [float("nan"), 3000.0])
def test_a_loss_that_diverges_stops_the_run_and_keeps_the_checkpoint(tmp_path, quick_tokenizer, monkeypatch, learning_rate):
    monkeypatch.setattr(Recipe, "learning_rate", lambda self, step: 1e-3 if step < 6 else learning_rate)
    with pytest.raises(loop.TrainingError, match=r"diverged at step \d+: expected at most 10.4 nats .* got .* peak_lr"):
        training.run_recipe(RECIPE, out=tmp_path)
    assert (tmp_path / training.CHECKPOINT).exists() and not (tmp_path / "model.safetensors").exists()


def test_a_training_that_diverges_ends_the_command_with_one_sentence(tmp_path, quick_tokenizer, monkeypatch, capsys):
    monkeypatch.setattr(Recipe, "learning_rate", lambda self, step: float("nan"))
    monkeypatch.setattr(card, "recipe_of", lambda name, **asked: RECIPE)
    status = cli.main(["models", "train", "pocket-200k", "--out", str(tmp_path)])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 1 and last.startswith("edgekit: the loss diverged at step"), last
