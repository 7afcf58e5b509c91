"""Items of lm-eval's registered tasks from a user's folder: the fields that the tasks read, addresses, refusals. No network."""

from __future__ import annotations

import csv
import json

import pytest

from edgekit.catalog import folder_data, folder_tasks, models, prompting, tasks
from edgekit.catalog.folder_data import DataError
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant
from edgekit.engines import open_engine
from edgekit.measure import foreign_tasks
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.samples import samples_of

NAME = models.pocket_names()[0]
REDUX = "lm-eval:mmlu_redux_anatomy_generative"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data sets with problems and questions of our own."""
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "mmlu_redux").mkdir()
    for split, count in (("train", 12), ("test", 4)):
        lines = [dict(question=f"What is {i} and {i}?", answer=f"It is {2 * i}.\n#### {2 * i}") for i in range(1, count + 1)]
        (tmp_path / f"gsm8k/{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with open(tmp_path / "mmlu_redux/mmlu_anatomy.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["question", "choices", "answer", "error_type", "source"])
        rows.writerow(["Which, of these,\nis a bone?", "['skin', 'femur', \"heart's\", 'eye']", "1", "ok", ""])
        rows.writerow(["Which is wrong?", "['a', 'b', 'c', 'd']", "0", "Wrong Groundtruth", ""])
        rows.writerow(["Which is an organ?", "['hair', 'nail', 'liver', 'tooth']", "2", " OK", ""])
    monkeypatch.setenv(folder_data.VARIABLE, str(tmp_path))
    return tmp_path


def test_problems_come_with_their_examples_and_are_judged(folder):
    task = foreign_tasks.load("lm-eval:gsm8k")
    assert len(task.eval_docs) == 4 and len(list(task.training_docs())) == 12
    assert task.doc_to_text(task.eval_docs[0]) == "Question: What is 1 and 1?\nAnswer:"
    assert "Question: What is" in task.fewshot_context(task.eval_docs[0], 5).removesuffix(task.doc_to_text(task.eval_docs[0]))


def test_examples_before_a_question_are_those_of_lm_eval_in_every_run(folder, monkeypatch):
    import lm_eval

    made = variant.build(NAME)
    with open_engine("transformers", made, dtype="float32", threads=1, device="cpu", context=512) as engine:
        model = EngineLM(engine, prompting.of(made.spec.folder))
        monkeypatch.setattr(model, "generate_until", lambda requests, **named: ["#### 2"] * len(requests))
        runs = [samples_of(model, foreign_tasks.load("lm-eval:gsm8k"), limit=4) for _ in range(2)]
        theirs = lm_eval.evaluator.simple_evaluate(model, tasks=[foreign_tasks.load("lm-eval:gsm8k")], limit=4,
                                                   bootstrap_iters=0)["samples"]["gsm8k"]
    prompts = [{sample["doc_id"]: sample["arguments"][0][0] for sample in samples} for samples in (*runs, theirs)]
    assert prompts[0] == prompts[1] == prompts[2] and prompts[0][0].count("Question:") == 6
    right = {sample["doc_id"]: sample["exact_match"] for sample in runs[0]}
    assert right == {0: 1, 1: 0, 2: 0, 3: 0}


@pytest.mark.parametrize("cut", [",", ";"])
def test_questions_with_errors_are_left_out_and_fields_are_those_that_the_task_reads(cut, folder):
    """However the file is cut."""
    file = folder / "mmlu_redux/mmlu_anatomy.csv"
    with open(file, newline="") as opened:
        lines = list(csv.reader(opened))
    with open(file, "w", newline="") as opened:
        csv.writer(opened, delimiter=cut).writerows(lines)
    task = foreign_tasks.load(REDUX)
    assert len(task.eval_docs) == 2
    text = task.doc_to_text(task.eval_docs[0])
    assert text.startswith("Which, of these,\nis a bone?\nA. skin\nB. femur\nC. heart's\nD. eye\n")
    assert [task.doc_to_target(doc) for doc in task.eval_docs] == ["B", "C"]


@pytest.mark.parametrize("name, file", [("lm-eval:gsm8k", "gsm8k/train.jsonl"), ("lm-eval:gsm8k", "gsm8k/test.jsonl"),
                                        (REDUX, "mmlu_redux/mmlu_anatomy.csv")])
def test_the_files_are_part_of_the_address(name, file, folder, monkeypatch):
    before = tasks.content_hash(name)
    assert not tasks.is_fetched(name)
    (folder / file).write_text((folder / file).read_text() + "\n")
    assert tasks.content_hash(name) != before
    (folder / file).unlink()
    hub = tasks.content_hash(name)
    assert tasks.is_fetched(name) and before.startswith(f"{hub} ")
    monkeypatch.delenv(folder_data.VARIABLE)
    assert tasks.content_hash(name) == hub
    assert tasks.content_hash("lm-eval:hellaswag") == hub.replace(name, "lm-eval:hellaswag")


@pytest.mark.parametrize("file, content, complaint", [
    ("gsm8k/test.jsonl", '{"question": "x"}', "test.jsonl, line 1: expected question, answer, answer is missing"),
    ("gsm8k/train.jsonl", '{"question": 1, "answer": "x"}', "expected a text as question, got a number"),
    ("mmlu_redux/mmlu_anatomy.csv", "question,answer\nx,1\n", "line 2: expected the columns question, choices"),
    ("mmlu_redux/mmlu_anatomy.csv", "question,choices,answer,error_type\nx,\"['a']\",1,ok\n", "choices .a list of four"),
    ("mmlu_redux/mmlu_anatomy.csv", "question,choices,answer,error_type\nx,\"['a','b','c','d']\",1,bad\n", "error_type is ok"),
    ("mmlu_redux/mmlu_anatomy.csv", "question,choices,answer,error_type\nété", "line 2: expected UTF-8, got the byte 0xe9")])
def test_files_that_hold_something_else_are_named(file, content, complaint, folder):
    (folder / file).write_text(content, encoding="latin-1")
    with pytest.raises(TaskError, match=complaint):
        foreign_tasks.load("lm-eval:gsm8k" if "gsm8k" in file else REDUX)


def test_a_file_that_is_asked_for_and_not_there_is_named(folder, monkeypatch):
    assert folder_data.path("gsm8k/test.jsonl") == folder / "gsm8k/test.jsonl"
    with pytest.raises(DataError, match="spec/none.jsonl: it is not in EDGEKIT_DATA .*none.jsonl.; put it there, or let"):
        folder_data.path("spec/none.jsonl")
    monkeypatch.delenv(folder_data.VARIABLE)
    with pytest.raises(DataError, match="gsm8k/test.jsonl: expected EDGEKIT_DATA in the environment to name the folder"):
        folder_data.path("gsm8k/test.jsonl")
    assert folder_tasks.items("lm-eval:gsm8k") == {}
