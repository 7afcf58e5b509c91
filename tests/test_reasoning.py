"""Questions that are reasoned about, of a task file of lm-eval: what is asked, how texts are judged, and what is refused."""

from __future__ import annotations

import json

import pytest

from edgekit import store
from edgekit.catalog import prompting, tasks
from edgekit.compress import variant
from edgekit.decode import budgets
from edgekit.decode.budgets import Mode
from edgekit.engines import open_engine
from edgekit.engines.base import EngineError
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.reasoning import Questions
from edgekit.schema import NO_ANSWER
from edgekit.studies.frontier import jobs

NAME = "pocket-200k"
SUMS = r"""
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}\nthink"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Mia", "<|endoftext|>"], max_gen_toks: 80, do_sample: false}
filter_list:
  - name: last
    filter:
      - {function: regex, regex_pattern: '(?:answer|is) (-?[\d.,]+)', group_select: -1, fallback: nothing}
      - {function: take_first}
  - name: whole
    filter: [{function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, regexes_to_ignore: [","]}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    items = [item for item in tasks.load("pocket_chain_think").items() if item["depth"] == 2][:4]
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(dict(question=item["question"], answer=item["answer"]))
                                                 for item in items))
    (folder / "sums.yaml").write_text(SUMS)
    (folder / "pick.yaml").write_text(SUMS.replace("generate_until", "multiple_choice").replace(
        'doc_to_target: "{{answer}}"', 'doc_to_choice: ["a", "b"]\ndoc_to_target: 0').partition("filter_list")[0]
        + "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n")
    return folder


@pytest.fixture(scope="module")
def model():
    with open_engine("transformers", variant.build(NAME), dtype="float32", threads=1, device="cpu", context=256) as engine:
        yield EngineLM(engine, prompting.of(store.ROOT / "data/models" / NAME))


def questions(model, folder, mode="think", items=3, name="sums"):
    return Questions(model, budgets.asked(f"lm-eval:{folder / name}.yaml", Mode.parse(mode), "some/model"), items, (1,))


def test_the_first_items_are_asked_with_the_budget_before_the_question(model, folder):
    plain, soft = (questions(model, folder, mode) for mode in ("think", "soft-20"))
    assert [one.at["item"] for one in plain.questions] == ["0", "1", "2"] and "depth" not in plain.questions[0].at
    before, after = (model.prompting.decode(one.prompts[0]) for one in (plain, soft))
    assert after.endswith(before) and "20 tokens" in after[:len(after) - len(before)]
    assert plain.most == 80 and plain.until == ["Mia"] and model.prompting.stop <= plain.stop
    with pytest.raises(EngineError, match="5 items asked, it has 4"):
        questions(model, folder, items=5)


def test_texts_are_judged_by_the_first_filter_and_what_cannot_be_read_is_no_answer(model, folder):
    asked = questions(model, folder)
    right = [one.doc["answer"] for one in asked.task.instances]
    texts = [f"3 or 4? answer {right[0]}", "no number at all", f"<think>it is 99</think>It is {right[2]}."]
    assert asked.judged(texts) == [(1, right[0]), (0, NO_ANSWER), (0, right[2])], "a point too much is wrong, and counts alike"
    assert asked.judged(["answer 1 answer 2", f"answer {right[1]}", "answer 1,000"]) == [(0, "2"), (1, right[1]), (0, "1000")]


def test_a_text_ends_before_its_stop_string(model, folder):
    asked = questions(model, folder)
    tokens = model.prompting.encode("\n3+4=7\nanswer 7 Mia finds 3", special=False)
    written = budgets.finished(tokens, asked.stop, asked.ended())
    assert written.ended and len(written.tokens) < len(tokens) and asked.text(written.tokens).strip().endswith("answer 7")


def test_a_task_without_a_way_to_answer_directly_is_given_the_words_behind_a_cut_at_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    named = dict(variant=NAME, engine="transformers", dtype="float32", threads=1, device="cpu", model="some/model", items=3,
                 family=f"lm-eval:{folder / 'sums.yaml'}", depths=[1], most_tokens=60, answer_tokens=4, prompt_form="plain")
    seen = jobs.measure_answers(**named, mode="direct", hard_budgets=[])["observations"]
    wrap_up = len(prompting.of(store.ROOT / "data/models" / NAME).encode(budgets.OTHER_WRAP_UP, special=False))
    assert len(seen) == 3 and all(wrap_up < one["written"] <= wrap_up + 4 and one["cut"] for one in seen)


def test_what_is_chosen_and_what_has_no_room_is_refused(model, folder):
    with pytest.raises(EngineError, match="answered by choosing"):
        questions(model, folder, name="pick")
    with pytest.raises(EngineError, match="exceed the context of 256"):
        questions(model, folder).require_room(250)
