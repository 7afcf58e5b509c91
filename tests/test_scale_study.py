"""What the study of the scale models plans, and which parameters it refuses."""

from __future__ import annotations

import pytest

from edgekit import params, studies
from edgekit.catalog import models
from edgekit.params import ParamsError
from edgekit.studies.scale_models import plan as study

VALUES = params.read_yaml(params.path_of("ci", study.STUDY))


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def test_each_model_is_asked_once_rounded_once_and_all_pairs_together():
    plan = list(study.plan(config(rounded_models=VALUES["models"])))
    kinds = [(unit.condition["task"], unit.condition.get("model")) for unit in plan]
    assert kinds == [(kind, name) for name in VALUES["models"] for kind in ("ladder", "rounded")] + [("acceptance", None)]
    assert all(unit.condition["threads"] >= 1 and unit.refusal is None for unit in plan)
    rounded = plan[1].arguments
    assert rounded["tasks"] == {"pocket_chain_think": [2, 4], "pocket_prices": None}, "depths are the word problems' only"


def test_a_change_of_what_is_asked_changes_the_key():
    def keys(**changed):
        return [(unit.artifact, unit.task) for unit in study.plan(config(**changed))]

    assert keys() == keys()
    ladder, ladder2, rounded, acceptance = (0, 2, 1, 3)
    before = keys()
    assert keys(stories=9)[ladder] != before[ladder] and keys(stories=9)[rounded] == before[rounded]
    assert keys(bits=[8, 4])[rounded] != before[rounded] and keys(bits=[8, 4])[ladder] == before[ladder]
    assert keys(prompts=5)[acceptance] != before[acceptance] and keys(prompts=5)[ladder2] == before[ladder2]


def test_a_group_that_does_not_divide_a_width_is_left_out_for_that_model():
    spec = models.resolve(VALUES["models"][0])
    widest = spec.architecture.width
    assert study.groups_of(config(groups=[32, 2 * widest]), spec) == [32]
    with pytest.raises(ParamsError, match=r"groups: none of \[48\] divides the widths of pocket-200k; these do: \[\d+"):
        config(groups=[48])


def test_prompts_that_are_not_of_the_pocket_language_are_in_the_key(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a"}\n' * 9)
    before = [unit.task for unit in study.plan(config(domains=[*VALUES["domains"], str(file)]))]
    file.write_text('{"prompt": "b"}\n' * 9)
    after = [unit.task for unit in study.plan(config(domains=[*VALUES["domains"], str(file)]))]
    assert before[:-1] == after[:-1] and before[-1] != after[-1]
    assert study.STUDY in studies.STUDIES


@pytest.mark.parametrize("changed, complaint", [
    ({"models": ["pocket-200k"]}, "models: expected a list of at least 2"),
    ({"rounded_models": ["pocket-3m"]}, "rounded_models: unknown 'pocket-3m'; known: pocket-200k, pocket-900k"),
    ({"bits": [9]}, "bits: expected 2 to 8"),
    ({"bits": [4, 4]}, "bits: expected each item once"),
    ({"rounded_items": 3}, "rounded_items: expected 1 to items_per_depth .2."),
    ({"rounded_stories": 99}, "rounded_stories: expected 1 to stories"),
    ({"stories": 9999}, "stories: expected 1 to 300"),
    ({"tasks": ["pocket_prices"]}, "rounded_tasks: unknown 'pocket_chain_think'; known: pocket_prices"),
    ({"tasks": [*VALUES["tasks"], "pocket_poems"]}, "unknown task 'pocket_poems'; known: english_agreement, english"),
    ({"domains": ["poems"]}, "domains: unknown prompts 'poems'; known: chain think"),
    ({"prompts": 1}, "prompts: expected at least 2"),
    ({"models": ["pocket-200k", "shape:smollm2-135m"]}, "random weights, so accuracy cannot be measured"),
    ({"profile": "a/b"}, "profile: expected a plain folder name"),
])
def test_what_cannot_be_is_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        config(**changed)
