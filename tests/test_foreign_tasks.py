"""Tasks of lm-eval beside the shipped ones: outcomes against lm-eval run directly, names, addresses, refusals. No network."""

from __future__ import annotations

import json

import pytest

from edgekit import params, store
from edgekit.catalog import lm_eval_tasks, models, prompting, tasks
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant
from edgekit.engines import open_engine
from edgekit.measure import foreign_tasks, quality
from edgekit.params import ParamsError
from edgekit.studies.baseline import plan as baseline

NAME = models.pocket_names()[0]
ITEMS = 12
EXACT = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: items/sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: !function asking.prompt
doc_to_target: "{{answer}}"
generation_kwargs: {until: "<end>", max_gen_toks: 96, do_sample: false}
filter_list:
  - name: last
    filter:
      - {function: regex, regex_pattern: 'answer (-?\\d+)', group_select: -1, fallback: none}
      - {function: take_first}
  - name: whole
    filter: [{function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOICE = """
include: common.txt
task: pick
dataset_kwargs: {data_files: {test: items/pick.jsonl}}
output_type: multiple_choice
doc_to_text: "{{start}}"
doc_to_choice: "{{ends}}"
doc_to_target: right
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true},
              {metric: acc_norm, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two task files: problems with a number as answer, and which of two endings follows."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "items").mkdir()
    task = tasks.load("pocket_chain_think")
    items = [item for item in task.items() if item["depth"] == 1][:ITEMS]
    lines = [json.dumps(dict(asked=task.prompt(item), answer=item["answer"])) for item in items]
    (folder / "items/sums.jsonl").write_text("\n".join(lines))
    stories = [story.text for story in tasks.stories(ITEMS)]
    picks = [dict(start=text[:len(text) // 2], ends=[text[len(text) // 2:][:30], "the the of and 7 7"][::1 if i % 3 else -1],
                  right=0 if i % 3 else 1) for i, text in enumerate(stories)]
    picks[1]["right"] = 1                                       # one that the model must get wrong
    (folder / "items/pick.jsonl").write_text("\n".join(map(json.dumps, picks)))
    (folder / "asking.py").write_text("def prompt(doc):\n    return doc['asked']\n")
    (folder / "common.txt").write_text("dataset_path: json\ntest_split: test\n")
    (folder / "sums.yaml").write_text(EXACT)
    (folder / "pick.yaml").write_text(CHOICE)
    return folder


@pytest.fixture(scope="module")
def model():
    engine = open_engine("transformers", variant.build(NAME), dtype="float32", threads=1, device="cpu", context=512)
    return quality.EngineLM(engine, prompting.of(store.ROOT / "data/models" / NAME))


@pytest.fixture(scope="module")
def theirs():
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(store.ROOT / "data/models" / NAME), dtype="float32", device="cpu", batch_size=16,
                prefix_token_id=0, add_bos_token=False)


@pytest.mark.parametrize("file, metric, mode", [("sums", "exact_match", "generate_until"), ("pick", "acc", "multiple_choice")])
def test_outcomes_are_those_of_lm_eval_with_its_own_model(file, metric, mode, folder, model, theirs, monkeypatch):
    import lm_eval

    name = f"lm-eval:{folder}/{file}.yaml"
    seen = quality.answer_tasks(model, {name: None}, ITEMS)
    monkeypatch.chdir(folder)                                   # where lm-eval looks for items
    samples = lm_eval.simple_evaluate(theirs, tasks=[f"{file}.yaml"], limit=ITEMS, bootstrap_iters=0,
                                      task_manager=lm_eval.tasks.TaskManager(include_defaults=False))["samples"][file]
    first = samples[0]["filter"]
    expected = {str(one["doc_id"]): one[metric] for one in samples if one["filter"] == first}
    assert len(seen) == ITEMS and {o["item"]: o["value"] for o in seen} == expected
    assert 0 < sum(expected.values()) < ITEMS
    assert {(o["metric"], o["task_name"], o["domain"], o["mode"]) for o in seen} == {("correct", name, file, mode)}
    assert all("depth" not in o for o in seen)


def test_shipped_tasks_and_foreign_ones_are_asked_together(folder, model):
    name = f"lm-eval:{folder}/pick.yaml"
    seen = quality.answer_tasks(model, {"pocket_prices": [1], name: None}, 2)
    assert [o["task_name"] for o in seen if o["metric"] == "correct"] == ["pocket_prices"] * 2 + [name] * 2


@pytest.mark.parametrize("file, named", [("sums", "items/sums.jsonl"), ("sums", "asking.py"), ("pick", "common.txt"),
                                         ("pick", "pick.yaml")])
def test_the_address_of_a_file_is_that_of_all_that_it_names(file, named, folder):
    name = f"lm-eval:{folder}/{file}.yaml"
    before, text = tasks.content_hash(name), (folder / named).read_text()
    (folder / named).write_text(text + "\n ")
    assert tasks.content_hash(name) != before
    (folder / named).write_text(text)
    assert tasks.content_hash(name) == before


def test_registered_tasks_are_known_by_name_and_version():
    from importlib import metadata

    assert tasks.content_hash("lm-eval:gsm8k") == f"lm-eval:gsm8k lm_eval {metadata.version('lm_eval')}"
    assert lm_eval_tasks.yaml_of("lm-eval:gsm8k").name == "gsm8k.yaml"
    assert {"hellaswag", "arc_easy", "winogrande", "gsm8k"} <= set(lm_eval_tasks.registry()) and "mmlu" not in (
        lm_eval_tasks.registry()), "a group is no task"
    assert tasks.content_hash("pocket_prices") == tasks.load("pocket_prices").hash


@pytest.mark.parametrize("name, complaint", [
    ("lm-eval:gsm8kk", r"unknown task 'gsm8kk' of lm-eval 0\.\d.*closest: gsm8k"),
    ("lm-eval:nowhere.yaml", "there is no file .*nowhere.yaml"),
    ("gsm8k", "unknown task 'gsm8k'; known: english_agreement, english_direct, .*pocket_.*one of lm-eval is lm-eval:NAME"),
])
def test_unknown_names_say_what_is_known(name, complaint):
    with pytest.raises(TaskError, match=complaint):
        tasks.require_known(name)
    values = params.read_yaml(params.path_of("ci", "02_baseline"))
    with pytest.raises(ParamsError, match=complaint):
        params.validate(baseline.Config, values | {"tasks": [name]}, where="here")
    params.validate(baseline.Config, values | {"tasks": ["lm-eval:gsm8k", "pocket_prices"]}, where="here")


def test_missing_items_and_other_metrics_and_too_few_items_are_refused(folder, model):
    (folder / "lost.yaml").write_text(CHOICE.replace("items/pick.jsonl", "items/lost.jsonl"))
    with pytest.raises(TaskError, match="it names .*lost.jsonl, which is not there"):
        tasks.require_known(f"lm-eval:{folder}/lost.yaml")
    with pytest.raises(TaskError, match="cannot read .*lost.jsonl"):
        foreign_tasks.load(f"lm-eval:{folder}/lost.yaml")
    (folder / "bleu.yaml").write_text(EXACT.replace("exact_match", "bleu").replace("task: sums", "task: bleu"))
    with pytest.raises(TaskError, match="judged by exact_match or acc, this one has bleu"):
        foreign_tasks.load(f"lm-eval:{folder}/bleu.yaml")
    for told, complaint in (("do_sample: true, temperature: 0.6", "drawn .do_sample=True"),
                            ("num_beams: 3", "num_beams=3 is not")):
        (folder / "drawn.yaml").write_text(EXACT.replace("do_sample: false", told).replace("task: sums", "task: drawn"))
        with pytest.raises(TaskError, match=f"drawn.yaml: .*{complaint}"):
            foreign_tasks.load(f"lm-eval:{folder}/drawn.yaml")
    with pytest.raises(TaskError, match=f"{ITEMS + 1} items asked, it has {ITEMS}"):
        foreign_tasks.answer(model, f"lm-eval:{folder}/pick.yaml", ITEMS + 1)


def test_answers_without_depth_make_no_figure_of_depths():
    import rows_02_baseline
    from drawing import drawable

    from edgekit.studies.baseline.figures import FIGURES

    frame = rows_02_baseline.frame(models=("pocket-200k",), repeats=1)
    assert "accuracy_by_depth" in drawable(FIGURES, frame)
    assert "accuracy_by_depth" not in drawable(FIGURES, frame.assign(depth=None))
