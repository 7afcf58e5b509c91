"""HumanEval's way of asking, on problems of our own: prompts and programs in both forms, outcomes, counts, addresses."""

from __future__ import annotations

import dataclasses
import gzip
import json
from types import SimpleNamespace

import pytest
import tiny_tokenizers

from edgekit import engines, params
from edgekit.catalog import code_problems, folder_data, prompting, tasks
from edgekit.catalog.code_problems import Problem
from edgekit.catalog.tasks import TaskError
from edgekit.engines.base import Engine, EngineError
from edgekit.measure import code_tasks, quality
from edgekit.measure.engine_lm import EngineLM
from edgekit.params import ParamsError
from edgekit.studies.baseline import plan as baseline

BEFORE = "from math import sqrt\n\n\ndef near(x):\n    return round(x)\n\n\n"
PROBLEMS = [
    Problem("Own/0", 'def double(n):\n    """Twice n."""\n', "double", "    return 2 * n\n",
            "def check(candidate):\n    assert candidate(3) == 6\n"),
    Problem("Own/1", BEFORE + 'def root(n):\n    """The whole root of n."""\n', "root", "    return near(sqrt(n))\n",
            "def check(candidate):\n    assert candidate(9) == 3\n"),
    Problem("Own/2", 'def last(items):\n    """The last one."""\n', "last", "    return items[-1]\n",
            "def check(candidate):\n    assert candidate([1, 2]) == 2\n")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data sets that holds these problems."""
    file = tmp_path / "data" / code_problems.FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress("\n".join(json.dumps(dataclasses.asdict(one)) for one in PROBLEMS).encode()))
    monkeypatch.setenv(folder_data.VARIABLE, str(tmp_path / "data"))
    return file


class Scripted(EngineLM):
    """Says what it is told to say, and keeps what it was asked."""

    def __init__(self, form, answers):
        self.prompt_form, self.answers, self.asked = form, answers, []
        self.engine = SimpleNamespace(info=SimpleNamespace(context=2048))

    def continued(self, texts, asked):
        self.asked.append((texts, asked))
        return self.answers[:len(texts)]

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        [message] = chat_history
        assert message["role"] == "user" and add_generation_prompt
        return f"<user>{message['content']}<assistant>"


def outcomes(seen):
    return [one["value"] for one in seen if one["metric"] == "correct"]


def counts(seen):
    return {one["metric"]: one["value"] for one in seen if one["metric"] != "correct"}


def test_canonical_solutions_pass_and_empty_ones_do_not(folder):
    right = Scripted("plain", [one.canonical_solution for one in PROBLEMS])
    seen = quality.answer_tasks(right, {"humaneval": None}, 3)
    assert outcomes(seen) == [1, 1, 1] and counts(seen) == dict(unanswered=0, timed_out=0)
    assert [one["item"] for one in seen if one["metric"] == "correct"] == ["Own/0", "Own/1", "Own/2"]
    assert {(one["task_name"], one["domain"], one["mode"]) for one in seen} == {("humaneval", "code", "completion")}
    assert all(one["sandbox"] for one in seen if one["metric"] == "correct")
    [(texts, asked)] = right.asked
    assert texts == [one.prompt for one in PROBLEMS] and asked.until == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
    seen = code_tasks.answer(Scripted("plain", ["", "  \n", "    pass\n"]), "humaneval", 3)
    assert outcomes(seen) == [0, 0, 0] and counts(seen) == dict(unanswered=2, timed_out=0)


def test_what_runs_on_is_wrong_and_counted_apart(folder, monkeypatch):
    monkeypatch.setattr(code_tasks.sandbox, "run", lambda program, test, run=code_tasks.sandbox.run: run(
        program, test, code_tasks.sandbox.Limits(cpu_s=1, wall_s=3.0)))
    model = Scripted("plain", ["    while True:\n        pass\n", PROBLEMS[1].canonical_solution])
    seen = code_tasks.answer(model, "humaneval", 2)
    assert outcomes(seen) == [0, 1] and counts(seen) == dict(unanswered=0, timed_out=1)


CHAT = {
    "a block": ("Sure.\n```python\ndef root(n):\n    return near(sqrt(n))\n```\nIt is short.", 1),
    "the last block that defines it": ("```python\ndef root(n):\n    return 0\n```\nor better\n```py\ndef root(n):\n    return "
                                       "near(sqrt(n))\n```\nTry it:\n```python\nprint(root(4))\n```", 1),
    "an open block": ("```python\nimport math\n\ndef root(n):\n    return math.isqrt(n)", 1),
    "code alone": ("def root(n: int) -> int:\n    return near(sqrt(n))\n", 1),
    "a sentence before code": ("Here it is:\ndef root(n):\n    return near(sqrt(n))\n", 1),
    "a helper of its own": ("```\ndef near(x):\n    return 7\n\ndef root(n):\n    return near(n)\n```", 0),
    "no function": ("The root of nine is three.", 0), "another function": ("```python\ndef square(n):\n    return n\n```", 0)}


@pytest.mark.parametrize("name", CHAT)
def test_a_program_is_taken_out_of_an_answer(name, folder):
    text, right = CHAT[name]
    model = Scripted("chat", ["```python\ndef double(n):\n    return 2 * n\n```", text])
    seen = code_tasks.answer(model, "humaneval", 2)
    assert outcomes(seen) == [1, right]
    assert counts(seen)["unanswered"] == (name in ("no function", "another function"))
    assert seen[0]["mode"] == "instruction"
    [(texts, asked)] = model.asked
    assert asked.until == () and texts[0].startswith("<user>Complete the Python function") and texts[0].endswith("<assistant>")
    assert f"```python\n{PROBLEMS[0].prompt.strip()}\n```" in texts[0]


@pytest.mark.parametrize("form", ["plain", "chat"])
def test_a_job_asks_a_model_and_runs_what_it_writes(form, folder, tmp_path):
    """A tiny random model writes no program that passes; what its settings ask for is told once."""
    tiny_tokenizers.write(tmp_path / "model", begins=True, template=tiny_tokenizers.CHAT, max_position_embeddings=1024,
                          generation=dict(eos_token_id=[1, 2], repetition_penalty=1.1))
    answer = quality.measure_accuracy(variant=str(tmp_path / "model"), engine="transformers", dtype="float32", threads=1,
                                      device="cpu", tasks=["humaneval"], items_per_depth=3, prompt_form=form)
    seen = answer["observations"]
    assert outcomes(seen) == [0, 0, 0] and counts(seen)["unanswered"] == (3 if form == "chat" else 0)
    assert ["repetition_penalty=1.1" in told for told in answer["warnings"]] == [True]


def test_engines_end_a_text_where_something_else_begins(tmp_path):
    """A completion is not written further than the string that ends it, and is the same as one that is cut afterwards."""
    made = tiny_tokenizers.write(tmp_path, begins=True)
    asked = code_tasks.Generation(("e", "\nclass"), 60, None)
    texts = ["the fox sees a hen", "a cat has ten nuts , the", "Q : how many ?", "one nut", "a hen and"]
    found = {}
    with engines.open_engine("transformers", made, dtype="float32", threads=1, device="cpu", context=256) as engine:
        written = []

        def counted(*given, ended, **named):
            one = type(engine).generate(engine, *given, **named, ended=ended)
            written.append(sum(map(len, one)))
            return one

        for name, generate in (
                ("batched", counted), ("alone", lambda *given, **named: Engine.generate(engine, *given, **named)),
                ("cut", lambda *given, ended, **named: type(engine).generate(engine, *given, **named))):
            model = EngineLM(engine, prompting.of(made.path))
            model.engine = SimpleNamespace(info=engine.info, generate=generate)
            found[name] = model.continued(texts, asked)
        assert found["batched"] == found["alone"] == found["cut"] and any(found["cut"])
        assert written[0] < 0.7 * sum(map(len, engine.generate(
            [model.prompting.encode_prompt(text) for text in texts], 60, model.prompting.stop)))


def test_the_task_is_known_by_the_content_of_its_file_and_the_language(folder, monkeypatch):
    before = tasks.content_hash("humaneval")
    assert not tasks.is_shipped("humaneval") and tasks.is_code("humaneval") and not tasks.is_fetched("humaneval")
    folder.write_bytes(gzip.compress(gzip.decompress(folder.read_bytes()) + b"\n"))
    changed = tasks.content_hash("humaneval")
    monkeypatch.setattr(code_problems.sys, "version_info", SimpleNamespace(major=3, minor=99))
    assert len({before, changed, tasks.content_hash("humaneval")}) == 3
    monkeypatch.delenv(folder_data.VARIABLE)
    assert code_problems.REVISION in tasks.content_hash("humaneval") and tasks.is_fetched("humaneval")
    tasks.require_known("humaneval")


def test_other_names_other_files_and_too_many_items_are_refused(folder):
    values = params.read_yaml(params.path_of("ci", "02_baseline"))
    english = dict(models=["owner/name"], task_models=["owner/name"], workload_models=[])
    params.validate(baseline.Config, values | english | dict(tasks=["humaneval"]), "here")
    for name, complaint in (("humaneval_plus", "unknown task 'humaneval_plus'; known: .*humaneval"),
                            ("lm-eval:humaneval", "in a sandbox of its own: ask humaneval")):
        with pytest.raises(ParamsError, match=complaint):
            params.validate(baseline.Config, values | dict(tasks=[name]), "here")
    for items in (0, 4):
        with pytest.raises(TaskError, match=f"{items} items asked, it has 3"):
            code_tasks.answer(Scripted("plain", []), "humaneval", items)
    small = Scripted("plain", ["x"])
    small.engine.info.context = 512
    with pytest.raises(EngineError, match="an answer may have 768 tokens, and the model's context is 512"):
        code_tasks.answer(small, "humaneval", 1)
    folder.write_bytes(gzip.compress(b'{"task_id": "Own/0", "prompt": "x"}'))
    with pytest.raises(TaskError, match="line 1: expected task_id, prompt, entry_point, .* entry_point is missing"):
        code_problems.load()
    folder.write_bytes(b"no gzip")
    with pytest.raises(TaskError, match="expected a file packed by gzip"):
        code_problems.load()
