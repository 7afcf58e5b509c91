"""Excess loss on stories and activation peaks, against hand-made engines and models with a planted outlier."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
import transformers

from edgekit import store
from edgekit.catalog import models, prompting, tasks
from edgekit.catalog.tasks import TaskError
from edgekit.engines.base import EngineError
from edgekit.studies.scale_models import jobs as scale
from edgekit.studies.scale_models import jobs_outliers as outliers
from edgekit.studies.scale_models import jobs_prose as prose

pytestmark = pytest.mark.usefixtures("shared_artifacts")

NAME = models.pocket_names()[0]
PROMPTING = prompting.of(store.ROOT / "data/models" / NAME)


class Uniform:
    def score(self, tokens):
        return np.zeros((len(tokens), 1024), np.float32)


def test_a_uniform_models_excess_is_known():
    """n log V less the story's true surprise, for each of the n scored tokens."""
    stories = tasks.stories(5)
    for story, one in zip(stories, prose.excess_of_stories(Uniform(), PROMPTING, stories), strict=True):
        ids, given = prose.encode_story(PROMPTING, story)
        assert ids[-1] == PROMPTING.end and one["tokens"] == len(ids) - given and one["item"] == story.id
        assert one["value"] == pytest.approx(one["tokens"] * np.log(1024) + story.log_p)


def test_a_model_that_knows_the_text_by_heart_has_minus_the_true_surprise():
    story = tasks.stories(1)[0]
    ids, _ = prose.encode_story(PROMPTING, story)

    class ByHeart:
        def score(self, tokens):
            logits = np.full((len(tokens), 1024), -50.0, np.float32)
            logits[np.arange(len(tokens)), ids[1:len(tokens) + 1]] = 50.0
            return logits

    [one] = prose.excess_of_stories(ByHeart(), PROMPTING, [story])
    assert one["value"] == pytest.approx(story.log_p, abs=1e-6)


def test_the_excess_is_that_of_the_training_code():
    """The same stories through the pocket package's own tensors."""
    from edgekit.pocket import evaluate
    from edgekit.pocket.excess import Prose

    stories = tasks.stories(4)
    model = evaluate.load_model(store.ROOT / "data/models" / NAME)
    encoded = [prose.encode_story(PROMPTING, story) for story in stories]
    width = max(len(ids) for ids, _ in encoded)
    ids = torch.full((4, width), PROMPTING.end)
    scored = torch.zeros((4, width), dtype=torch.bool)
    for row, (tokens, given) in enumerate(encoded):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        scored[row, given:len(tokens)] = True
    theirs = Prose(ids, scored, np.array([story.log_p for story in stories])).excess(model)
    answer = scale.measure_ladder(variant=NAME, engine="transformers", dtype="float32", threads=1, device="cpu",
                                  tasks=["pocket_prices"], items_per_depth=1, stories=4)
    ours = [one["value"] for one in answer["observations"] if one["metric"] == "excess_nats"]
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert {one["task"] for one in answer["observations"]} == {"accuracy", "prose", "activations", "size"}


def test_the_stories_carry_the_grammars_own_probability():
    from edgekit.pocket import grammar

    stories = tasks.stories(300)
    mean, error = (f([-story.log_p for story in stories]) for f in (np.mean, lambda x: np.std(x) / np.sqrt(300)))
    assert len({story.id for story in stories}) == 300
    assert mean == pytest.approx(grammar.PROSE.entropy, abs=5 * error)
    assert all(story.prompt == "story" and story.text.endswith("<|endoftext|>") for story in stories)
    assert max(len(prose.encode_story(PROMPTING, story)[0]) for story in stories) <= 512
    with pytest.raises(TaskError, match="expected 1 to 300"):
        tasks.stories(301)


def test_the_story_file_is_what_its_generator_writes():
    from edgekit.pocket import tasks as generator

    assert tasks.prose_file().read_text(encoding="utf-8") == generator.prose_file()
    assert generator.prose_file().startswith(generator.prose_file(count=3))


def test_another_tokenizer_is_refused():
    joins = SimpleNamespace(encode=lambda text: [len(text)])
    with pytest.raises(EngineError, match="joins prompt and text"):
        prose.encode_story(joins, tasks.stories(1)[0])


@pytest.fixture
def model(tmp_path):
    tiny.write(tmp_path)
    return transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()


def test_a_planted_feature_is_found_and_counted_once_a_site(model):
    texts = [list(range(1, 40)), [7, 8, 9]]
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight.fill_(0.1)
            layer.post_attention_layernorm.weight.fill_(0.1)
    assert outliers.activation_peaks(model, texts)[-1] == dict(metric="outlier_features", value=0)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[3] = 1000.0
    seen = outliers.activation_peaks(model, texts)
    assert seen[-1]["value"] == 1
    peaks = {(one["site"], one["layer"]): one["value"] for one in seen[:-1]}
    assert set(peaks) == {(site, layer) for site in outliers.SITES for layer in (1, 2)}
    assert peaks["attention", 1] > 5 > peaks["mlp", 1]


def test_activations_are_what_goes_into_the_layers(model):
    tokens = list(range(1, 20))
    seen = outliers.activations(model, [tokens, tokens])
    hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    assert seen["residual", 1].shape == (2 * 19, 64)
    assert seen["residual", 1][:19] == pytest.approx(hidden[1][0].detach().numpy(), abs=1e-5)
    normed = model.model.layers[1].input_layernorm(hidden[1])[0].detach().numpy()
    assert seen["attention", 1][19:] == pytest.approx(normed, abs=1e-5)
    assert not any(layer._forward_pre_hooks for layer in model.model.layers), "hooks are taken off again"


def test_a_share_of_layers_and_tokens_is_needed():
    """6 % of tokens in 25 % of layers: one layer of four is enough, one of five is not."""
    def made(layers, hot_tokens):
        x = np.zeros((100, 8), np.float32)
        hot = x.copy()
        hot[:hot_tokens, 2] = -6.0
        return {(site, layer): hot if layer == 0 and site == "mlp" else x for site in outliers.SITES for layer in range(layers)}

    assert outliers.outlier_features(made(4, 6)) == 1
    assert outliers.outlier_features(made(5, 6)) == 0
    assert outliers.outlier_features(made(4, 5)) == 0


def test_rounded_models_are_asked_the_same_items():
    job = dict(variant=NAME, engine="transformers", dtype="float32", threads=1, device="cpu")
    whole = scale.measure_ladder(**job, tasks=["pocket_chain_direct"], items_per_depth=3, stories=3)["observations"]
    rounded = scale.measure_rounded(**job, bits=[8, 2], groups=[32], tasks={"pocket_chain_direct": [1, 2]}, items_per_depth=2,
                                    stories=2)["observations"]
    items = {one["item"] for one in whole if "item" in one}
    assert {one["item"] for one in rounded if "item" in one} <= items
    assert {(one["bits"], one["group"]) for one in rounded} == {(8, 32), (2, 32)}
    assert {one["depth"] for one in rounded if one["metric"] == "correct"} == {1, 2}
    excess = {one["item"]: one["value"] for one in whole if one["metric"] == "excess_nats"}
    near = [abs(one["value"] - excess[one["item"]]) / one["tokens"] for one in rounded if one["metric"] == "excess_nats"
            and one["bits"] == 8]
    assert len(near) == 2 and max(near) < 0.02
