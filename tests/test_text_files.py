"""Files that people write: the same content whichever editor wrote it, and one sentence with file and line for what is not."""

from __future__ import annotations

import json
import math

import pytest
import yaml

from edgekit import params, store, text_files
from edgekit.building import BuildError
from edgekit.catalog import lm_eval_tasks, tasks, texts
from edgekit.catalog.tasks import TaskError
from edgekit.compress import training_texts
from edgekit.compress.calibration import Calibration
from edgekit.errors import InvalidRequest

RECORDS = [{"id": "a", "domain": "prose", "text": "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"},
           {"id": "b", "domain": "prose", "text": "the end"}]
PLAIN = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)


@pytest.mark.parametrize("change", [
    lambda text: text, lambda text: text.rstrip("\n"), lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\n\n \t\n"), lambda text: "\n" + text,
    lambda text: "".join(json.dumps(record) + "\n" for record in RECORDS)],
    ids=["plain", "no last line feed", "CRLF", "byte-order mark", "blank lines", "blank first line", "escaped"])
def test_json_lines_hold_the_same_however_they_were_saved(tmp_path, change):
    file = tmp_path / "texts.jsonl"
    file.write_text(change(PLAIN), encoding="utf-8", newline="")
    assert [record for _, record in text_files.json_lines(file, TaskError)] == RECORDS
    assert [text.text for text in texts.load(str(file), 2)] == [record["text"] for record in RECORDS]


def test_what_the_kit_reads_of_a_task_is_what_lm_eval_asks(tmp_path, monkeypatch):
    from datasets import load_dataset

    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    items = [dict(id=f"i{n}", depth=1, question=f"how\u2028many\x85{n}", answer=str(n)) for n in range(3)]
    file = tmp_path / "items.jsonl"
    lines = [json.dumps(item, ensure_ascii=False) for item in items]
    file.write_text("\ufeff" + "\r\n\r\n".join(lines), encoding="utf-8", newline="")
    task = tasks.Task("t", {}, file, "")
    theirs = load_dataset("json", data_files={"test": str(file)}, cache_dir=str(tmp_path / "cache"))["test"].to_list()
    assert task.items() == items == theirs


LINE = '{"id": "a", "domain": "d", "text": "t"}\n'
BROKEN = [
    (LINE + "{broken\n", r"line 2, column 2: not JSON"), (LINE + '["a"]\n', "line 2: expected a JSON object, got a list"),
    (LINE + '\n{"id": "a", "text": "t"}\n', "line 3: expected id, domain, text, domain is missing"),
    (LINE + '{"id": "a", "id": "b", "domain": "d", "text": "t"}\n', "line 2: 'id' is set twice"),
    (LINE + '{"id": "a", "domain": "d", "text": 5}\n', "line 2: expected a text as text, got a number"),
    (LINE + '{"id": "a", "domain": "d", "text": NaN}\n', "line 2: expected finite numbers, got NaN"),
    (LINE + '{"id": "a", "domain": "d", "text": "t", "extra": 1}\n', "line 2: unknown key 'extra'"),
    (LINE + LINE.strip() + LINE, "line 2, column 40: not JSON"), ("", "is empty"), ("\n \n", "is empty"),
    (LINE + LINE.rstrip("}\n"), "line 2, column 39: not JSON"), (LINE + "\0\0\0\n", "line 2, column 1: not JSON"),
    (LINE + '{"id": ' + "9" * 5000 + "}\n", "line 2: "),
]


@pytest.mark.parametrize("content, complaint", BROKEN)
def test_a_wrong_line_is_named(tmp_path, content, complaint):
    file = tmp_path / "texts.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TaskError, match=complaint) as caught:
        texts.load(str(file), 2)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("codec, complaint", [
    ("utf-16", "is in UTF-16: expected UTF-8"), ("utf-32", "is in UTF-32: expected UTF-8"),
    ("latin-1", "line 2: expected UTF-8, got the byte 0xe9")])
def test_another_encoding_is_named(tmp_path, codec, complaint):
    file = tmp_path / "texts.jsonl"
    file.write_bytes((LINE + LINE.replace("t\"}", "caf\u00e9\"}")).encode(codec))
    with pytest.raises(TaskError, match=complaint):
        texts.load(str(file), 1)


@pytest.mark.parametrize("content, complaint", [
    ('{"prompt": "a", "completion": "b", "weight": 1}', "line 1: unknown key 'weight'"),
    ('{"prompt": "a"}', "line 1: expected prompt, completion, completion is missing"),
    ('{"prompt": "a", "completion": null}', "line 1: expected a text as completion, got null"), ("", "is empty")])
def test_training_texts_are_read_alike(tmp_path, content, complaint):
    file = tmp_path / "mine.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(BuildError, match=complaint):
        training_texts.load(str(file))


def test_calibration_texts_are_read_alike(tmp_path):
    shipped = store.ROOT / "data/models/pocket-200k"
    file = tmp_path / "mine.jsonl"
    words = "the fox sees a hen and one cat has ten nuts " * 20
    file.write_text("\ufeff" + json.dumps({"text": words + "\u2028" + words}, ensure_ascii=False) + "\n\n", encoding="utf-8")
    [whole] = Calibration(str(file), 1, 64, 0).sequences(shipped, 512)
    assert len(whole) == 64
    file.write_text('{"text": "a"}\n{"txt": "a"}\n', encoding="utf-8")
    with pytest.raises(BuildError, match="line 2: expected text, text is missing"):
        Calibration(str(file), 1, 64, 0).sequences(shipped, 512)


def test_items_of_a_task_file_of_ones_own_are_named_by_line(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"q": 1}\n{"q": }\n')
    (tmp_path / "mine.yaml").write_text("task: mine\ndataset_path: json\ndataset_kwargs:\n  data_files: items.jsonl\n")
    with pytest.raises(TaskError, match="items.jsonl, line 2, column 7: not JSON"):
        lm_eval_tasks.require_readable(f"lm-eval:{tmp_path / 'mine.yaml'}")


# What YAML 1.1, and so papermill, makes of a plain text that looks like something else: refused, with what to write.
SURPRISES = {
    "010": 8, "00": 0, "0x10": 16, "0b11": 3, "1_000": 1000, "1_0.5": 10.5, "1:30": 90, "1:30.5": 90.5, "190:20:30": 685230,
    "yes": True, "No": False, "on": True, "OFF": False, "2023-01-02": ..., ".inf": math.inf, "-.inf": -math.inf,
    "1.0e+400": math.inf, ".nan": ..., "inf": "inf", "nan": "nan", "1e3": "1e3", "1E5": "1E5", "1e-3": "1e-3", "1.e3": "1.e3",
    "0.1e1": "0.1e1", "0o10": "0o10", "-1e3": "-1e3",
}
AS_THEY_LOOK = {
    "10": 10, "-3": -3, "+7": 7, "0": 0, "1.5": 1.5, ".5": 0.5, "5.": 5.0, "1.0e+3": 1000.0, "2.5e-4": 2.5e-4, "true": True,
    "False": False, "12abc": "12abc", "7b": "7b", "1.2.3": "1.2.3", "pocket-3m": "pocket-3m", '"010"': "010", "'1:30'": "1:30",
    '"yes"': "yes", "y": "y", "a:b": "a:b", "!!float 5": 5.0, "9" * 30: int("9" * 30), "null": None, "2023": 2023, "3/4": "3/4",
}


@pytest.mark.parametrize("shape", ["a: {}\n", "a: [{}, 2]\n", "b: 1\na:\n- x\n- {}\n"])
def test_a_params_file_is_read_as_papermill_reads_it_or_not_at_all(tmp_path, shape):
    from papermill.iorw import read_yaml_file

    file = tmp_path / "p.yaml"
    for text, value in AS_THEY_LOOK.items():
        file.write_text(shape.format(text))
        read = params.read_yaml(file)
        assert read == read_yaml_file(str(file))
        found = read["a"] if not isinstance(read["a"], list) else next(one for one in read["a"] if one not in ("x", 2))
        assert found == value and type(found) is type(value), text
    for text, value in SURPRISES.items():
        file.write_text(shape.format(text))
        assert value is ... or value in yaml.safe_load(f"[{text}]"), "the table says what YAML makes of it"
        line = 4 if "x" in shape else 1
        with pytest.raises(params.ParamsError, match=rf"p.yaml, line {line}, a: ") as caught:
            params.read_yaml(file)
        assert "YAML reads" in str(caught.value) or "finite" in str(caught.value)


@pytest.mark.parametrize("content, complaint", [
    ("a: 1\nb: [\n", r"line 3, column 1: not YAML"), ("a: 1\na: 2\n", "line 2: 'a' is set twice"),
    ("a: {b: 1, b: 2}\n", "line 1: 'b' is set twice"), ("a: 1\n\tb: 2\n", "line 2"), ("- a\n", "expected flat"),
    ("a: !!python/object:os.system x\n", "line 1, column 4: not YAML"), ("a: *b\n", "line 1, column 4: not YAML")])
def test_what_is_wrong_with_a_yaml_file_is_named_by_line(tmp_path, content, complaint):
    (tmp_path / "p.yaml").write_text(content)
    with pytest.raises(params.ParamsError, match=complaint):
        params.read_yaml(tmp_path / "p.yaml")


def test_a_notebooks_literals_may_not_be_infinite_either():
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Config:
        timeout_s: float

    for value in (1e999, -1e999, math.nan, 10**400):
        with pytest.raises(params.ParamsError, match="timeout_s: expected a finite number"):
            params.validate(Config, dict(timeout_s=value), "here")
    assert params.validate(Config, dict(timeout_s=3), "here").timeout_s == 3.0


def test_json_objects_name_what_is_wrong(tmp_path):
    file = tmp_path / "config.json"
    for content, complaint in (("{\n broken", "line 2, column 2: not JSON"), ("[1]", "expected a JSON object of names"),
                               ('{"a": 1, "a": 2}', "'a' is set twice"), (" ", "is empty")):
        file.write_text(content)
        with pytest.raises(InvalidRequest, match=complaint):
            text_files.json_of(file, InvalidRequest)
    with pytest.raises(InvalidRequest, match="got a folder"):
        text_files.json_of(tmp_path, InvalidRequest)
    with pytest.raises(InvalidRequest, match="cannot read"):
        text_files.json_of(tmp_path / "none.json", InvalidRequest)


def test_every_yaml_file_of_the_kit_is_read_as_any_reader_reads_it():
    found = [*store.ROOT.glob("params/*/*.yaml"), *store.ROOT.glob("data/**/*.yaml")]
    assert len(found) > 60
    for file in found:
        assert text_files.yaml_of(file, InvalidRequest) == yaml.safe_load(file.read_text(encoding="utf-8"))
