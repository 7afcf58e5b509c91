"""Sets of prompts by name, where they come from, and which of them a model's language allows."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import shutil

import pytest

from edgekit import store
from edgekit.catalog import languages, library_code, prompts, real_texts, tasks
from edgekit.catalog.folder_data import DataError
from edgekit.catalog.languages import LanguageError, require_speaks
from edgekit.catalog.tasks import TaskError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as EDGEKIT_DATA names it, with two lines a published set."""
    talks = [dict(question_id=n, category=category, turns=[f"{category} {n}?", "And then?"])
             for n, category in enumerate(("writing", "math", "writing"), 81)]
    for name in ("mt_bench/mt_bench_question.jsonl", "spec_bench/question.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    (tmp_path / "humaneval").mkdir()
    lines = "".join(json.dumps(dict(task_id=f"HumanEval/{n}", prompt=f"def f{n}():\n", test="")) + "\n" for n in range(3))
    (tmp_path / "humaneval/HumanEval.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path))
    return tmp_path


def pairs(name: str, count: int) -> list[tuple[str, str]]:
    return [(one.id, one.text) for one in prompts.load(name, count)]


@pytest.mark.parametrize("name", [*prompts.POCKET, "english", "python-docs", "code"])
def test_prompts_are_different_and_a_larger_number_begins_with_the_smaller(name):
    few, many = prompts.load(name, 6), prompts.load(name, 20)
    assert many[:6] == few and len({one.text for one in many}) == len({one.id for one in many}) == 20
    if name == "prose":
        assert all(one.text.startswith("story\n") and one.text.count(".") == 1 and one.text.endswith(".") for one in many)
    elif name in prompts.POCKET or name == "english":
        assert [one.id.split("-")[1] for one in few[:4]] == ["1", "2", "3", "4"], "depths in turn"


def test_english_prompts_are_those_of_the_task():
    task = tasks.load("english_think")
    assert prompts.load("english", 480)[0].text == task.prompt(task.items()[0])
    assert {one.text for one in prompts.load("english", 480)} == {task.prompt(item) for item in task.items()}


def test_beginnings_of_the_documentation_end_before_a_word_and_go_on_in_its_evaluation_half():
    whole = {one.id: one.text for one in real_texts.load("python-docs", real_texts.EVALUATION)}
    for one in prompts.load("python-docs", 40):
        assert whole[one.id].startswith(one.text) and 150 < len(one.text) <= prompts.BEGINNING
        assert len(one.text) == len(whole[one.id]) or whole[one.id][len(one.text)] == " "


def test_code_prompts_are_signature_and_docstring_of_library_functions():
    import importlib
    import inspect

    for one in prompts.load("code", 25):
        [function] = ast.parse(one.text).body
        module, name = one.id.split(".")
        assert function.name == name and ast.get_docstring(function) and len(function.body) == 1, one.id
        if module in ("textwrap", "statistics", "bisect", "heapq", "shutil", "glob", "string", "calendar"):
            source = inspect.getsource(inspect.unwrap(getattr(importlib.import_module(module), name)))
            assert one.text in source and len(source) > len(one.text)
    found = [one.id for one in library_code.functions()]
    assert len(found) > 100 and found != sorted(found), "dealt by seed"


def test_published_sets_come_from_the_users_folder(folder):
    assert pairs("mt-bench", 2) == [("81", "writing 81?"), ("82", "math 82?")]
    assert pairs("spec-bench:writing", 2) == [("81", "writing 81?"), ("83", "writing 83?")]
    assert pairs("humaneval", 3)[2] == ("HumanEval/2", "def f2():\n")
    with pytest.raises(TaskError, match="unknown category of Spec-Bench 'maths'; known: math, writing; did you mean math"):
        prompts.load("spec-bench:maths", 1)
    with pytest.raises(TaskError, match=r"prompts: expected 1 to 3 \(what humaneval holds\), got 4"):
        prompts.load("humaneval", 4)
    (folder / "humaneval/HumanEval.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(TaskError, match="HumanEval.jsonl.gz: expected a file packed by gzip, got a damaged one"):
        prompts.load("humaneval", 1)


def test_what_is_not_there_is_one_sentence(folder, tmp_path, monkeypatch):
    known = "chain think, .*english, python-docs, code, chat, mt-bench"
    with pytest.raises(TaskError, match=f"unknown prompts 'poems'; known: {known}"):
        prompts.load("poems", 1)
    with pytest.raises(TaskError, match="cannot read .*gone.jsonl"):
        prompts.require_known(str(tmp_path / "gone.jsonl"))
    for name in ("poems", "spec-bench:"):
        with pytest.raises(TaskError, match="unknown"):
            prompts.require_known(name)
    (folder / "mt_bench/mt_bench_question.jsonl").unlink()
    with pytest.raises(DataError, match="mt_bench/mt_bench_question.jsonl: it is not in EDGEKIT_DATA"):
        prompts.content_hash("mt-bench")
    monkeypatch.delenv("EDGEKIT_DATA")
    for name in ("mt-bench", "humaneval", "spec-bench:math"):
        prompts.require_known(name)
        with pytest.raises(DataError, match="expected EDGEKIT_DATA in the environment to name the folder that holds it"):
            prompts.load(name, 1)


def test_prompts_of_ones_own(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "Once"}\n\n{"id": "b", "prompt": "Then", "more": 1}\n')
    assert pairs(str(file), 2) == [("line-1", "Once"), ("b", "Then")]
    before = prompts.content_hash(str(file))
    file.write_text('{"prompt": "Once"}\n{"text": "Then"}\n')
    assert prompts.content_hash(str(file)) != before
    with pytest.raises(TaskError, match="line 2: expected a text as prompt .or turns, a list of texts., got None"):
        prompts.load(str(file), 1)


def test_each_set_has_a_hash_of_its_content(folder, monkeypatch):
    for name, task in prompts.POCKET.items():
        files = [store.ROOT / "data/tasks/pocket_prose.jsonl"] if task is None else [store.ROOT / f"data/tasks/{task}.yaml"]
        files += [] if task is None else [tasks.load(task).data]
        assert prompts.content_hash(name) == store.hash_files(files), "what rows were keyed by before"
    names = ["english", "python-docs", "code", "mt-bench", "humaneval"]
    hashes = {name: prompts.content_hash(name) for name in names}
    assert len(set(hashes.values())) == len(names)
    for name in ("python-docs", "code"):
        made = [[one.id, one.text] for one in prompts._all(name)]
        assert hashes[name] == hashlib.sha256(store.canonical(made).encode()).hexdigest()
    monkeypatch.setattr(prompts, "BEGINNING", 300)
    assert prompts.content_hash("python-docs") != hashes["python-docs"]


# Which languages fit


@pytest.fixture
def trained(tmp_path):
    """Folders with a pocket tokenizer and with another one."""
    for name in ("pocket", "real"):
        (tmp_path / name).mkdir()
        shutil.copy(store.ROOT / "data/models/pocket-200k/tokenizer.json", tmp_path / name)
    (tmp_path / "real/tokenizer.json").write_text("{}")
    return str(tmp_path / "pocket"), str(tmp_path / "real")


POCKET_NAMES = ["mixture", "prose", "pocket_chain_think", "pocket_prices", "chain think", "letters"]
REAL_NAMES = ["python-docs", "wikitext2", "english_agreement", "english_think", "english_direct", "english", "code", "chat",
              "mt-bench", "humaneval",
              "spec-bench:math"]
EITHER = ["random", "lm-eval:gsm8k", "lm-eval:mine.yaml", "/data/mine.jsonl", "mine.txt", "none"]


def test_each_model_is_judged_in_its_own_language(trained):
    pocket = ["pocket-3m", "pocket-200k", trained[0]]
    real = ["Qwen/Qwen2.5-0.5B", "smollm2-135m-instruct", "owner/repo:file.gguf", trained[1], f'"{trained[1]}"', "./gone"]
    for model in [*pocket, *real]:
        require_speaks(model, *(POCKET_NAMES if model in pocket else REAL_NAMES), *EITHER)
        for name in REAL_NAMES if model in pocket else POCKET_NAMES:
            with pytest.raises(LanguageError) as caught:
                require_speaks(model, "random", name)
            assert name in str(caught.value) and model in str(caught.value)
    require_speaks("shape:qwen2.5-0.5b", *POCKET_NAMES, *REAL_NAMES)


def test_the_sentence_names_what_would_do():
    with pytest.raises(LanguageError, match="^pocket-3m speaks the pocket language, and wikitext2 is in English, of which it "
                       "knows nothing; for this model name some of mixture, prose, pocket_chain_budget_1, .*letters"):
        require_speaks("pocket-3m", "wikitext2")
    with pytest.raises(LanguageError, match="Qwen/Qwen2.5-0.5B speaks English, and mixture is in the pocket language.*python-"
                       "docs, wikitext2, english_agreement, english_direct, english_think, english, code, chat, mt-bench, "
                       "humaneval, lm-eval:NAME or"):
        require_speaks("Qwen/Qwen2.5-0.5B", "mixture")


def test_every_name_that_ships_has_a_language():
    kinds = ("calibration", "evaluation", "training")
    shipped = [file.stem for kind in kinds for file in (store.ROOT / "data" / kind).iterdir()]
    for name in [*shipped, *tasks.names(), *prompts.NAMES, *real_texts.NAMES]:
        assert languages.of(name) in (languages.POCKET, languages.ENGLISH), name
