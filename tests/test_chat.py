"""The prompt form: a model's own chat template as transformers renders it, and tasks in it as lm-eval asks them with its own
model."""

from __future__ import annotations

import importlib
import inspect
import json
import logging

import pytest
import tiny_tokenizers
import transformers
from tiny_tokenizers import BEGIN, CHAT, CHAT_BARE, CHAT_STRICT, CONTEXT

from edgekit import engines, params, store
from edgekit.catalog import chat_template, models, prompting, prompts
from edgekit.catalog.models import ModelError
from edgekit.compress import variant
from edgekit.engines import open_engine
from edgekit.measure import foreign_tasks, losses
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.samples import samples_of
from edgekit.params import ParamsError
from edgekit.studies.baseline import plan as baseline
from edgekit.studies.quantization import plan as quantization
from edgekit.studies.speculative import jobs
from edgekit.studies.speculative import plan as speculative

SAYS = "the fox sees a hen"
TALK = [dict(role="system", content="a cat has ten nuts"), dict(role="user", content=f" {SAYS} "),
        dict(role="assistant", content="nine"), dict(role="user", content="how many ?")]
ITEMS = 5
TASK = """
task: TYPE
dataset_path: json
dataset_kwargs: {data_files: {train: items.jsonl, test: items.jsonl}}
test_split: test
fewshot_split: train
num_fewshot: 1
description: "a cat has ten nuts . "
doc_to_text: "{{q}}"
"""
GENERATE = TASK.replace("TYPE", "chatty") + """
output_type: generate_until
doc_to_target: "{{ends[right]}}"
generation_kwargs: {until: ["e", "zz"], max_gen_toks: 40, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOOSE = TASK.replace("TYPE", "picky") + """
output_type: multiple_choice
doc_to_choice: "{{ends}}"
doc_to_target: right
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
# Of a model and its tokenizer: a template that begins as the tokenizer does, one on a tokenizer that puts nothing there, one
# without the beginning that its tokenizer puts, one that takes no system message, two ends, and no tokens to begin or to pad.
KINDS = {
    "begins": dict(begins=True, template=CHAT), "plain": dict(template=CHAT), "bare": dict(begins=True, template=CHAT_BARE),
    "strict": dict(begins=True, template=CHAT_STRICT),
    "two ends": dict(begins=True, template=CHAT, generation=dict(eos_token_id=[1, 2])),
    "no beginning": dict(bos=False, pad=False, template=CHAT_BARE), "padded": dict(begins=True, vocabulary=640, template=CHAT)}


def theirs_of(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_transformers(kind, tmp_path):
    tiny_tokenizers.write(tmp_path, **KINDS[kind])
    ours, theirs = prompting.of(tmp_path), theirs_of(tmp_path)
    for say in (SAYS, f"  {SAYS}\n", f"a{BEGIN}b", "ein Fuß, 狐"):
        asked = [dict(role="user", content=say)]
        expected = theirs.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
        assert ours.encode_asked(say, "chat") == expected and len(expected) > 5
        assert ours.encode_asked(say, "plain") == ours.encode_prompt(say) != expected
    talk = TALK[1:] if kind == "strict" else TALK
    assert ours.render(talk) == theirs.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    left_open = [*talk, dict(role="assistant", content="nine and")]
    assert ours.render(left_open, opens=False).endswith("nine and")
    assert ours.render(left_open, opens=False) == theirs.apply_chat_template(left_open, continue_final_message=True,
                                                                            tokenize=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_beginning_stands_once_where_the_template_has_it(kind, tmp_path):
    tiny_tokenizers.write(tmp_path, **KINDS[kind])
    ours = prompting.of(tmp_path)
    count = 0 if kind in ("bare", "no beginning") else 1
    assert ours.encode_asked(SAYS, "chat").count(0) == count
    assert ours.encode_prompt(ours.render([dict(role="user", content=SAYS)])).count(0) == max(count, kind == "bare")


def test_a_template_lies_in_its_own_file_or_in_the_configuration_alone_or_by_name(tmp_path):
    tiny_tokenizers.write(tmp_path, template=[dict(name="tool_use", template="x"), dict(name="default", template=CHAT)])
    assert prompting.of(tmp_path).render(TALK) == theirs_of(tmp_path).apply_chat_template(TALK, add_generation_prompt=True,
                                                                                          tokenize=False) != "x"
    (tmp_path / "chat_template.jinja").write_text("own {{ messages[0]['content'] }}")
    assert prompting.of(tmp_path).render(TALK) == "own a cat has ten nuts" == theirs_of(tmp_path).apply_chat_template(
        TALK, add_generation_prompt=True, tokenize=False)
    tiny_tokenizers.write(tmp_path / "two", template=[dict(name="a", template="x"), dict(name="b", template="y")])
    assert prompting.of(tmp_path / "two").encode_asked(SAYS, "plain")
    with pytest.raises(ModelError, match="expected one chat template, or one named default, got a, b"):
        prompting.of(tmp_path / "two").render(TALK)


def test_a_template_that_refuses_says_which_messages_and_why(tmp_path):
    tiny_tokenizers.write(tmp_path, template=CHAT_STRICT)
    with pytest.raises(ModelError, match="its chat template refuses messages of system, user, assistant, user: no system here"):
        prompting.of(tmp_path).render(TALK)


def test_a_template_is_part_of_what_a_model_is_and_goes_with_what_is_made_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    made = tiny_tokenizers.write(tmp_path / "model", template=CHAT)
    before = models.resolve(str(made.path)).identity
    (made.path / "chat_template.jinja").write_text(CHAT_BARE)
    assert models.resolve(str(made.path)).identity != before
    built = variant.build(f"{made.path} > rtn(bits=8, group=32)")
    assert (built.path / "chat_template.jinja").read_text() == CHAT_BARE


def test_a_model_without_a_template_is_refused_by_name_before_anything_runs(tmp_path):
    plain = tiny_tokenizers.write(tmp_path).spec
    with pytest.raises(ModelError, match=f"{tmp_path.name} has no chat template .*ask it with prompt_form: plain"):
        prompting.of(tmp_path).render(TALK)
    with pytest.raises(ModelError, match="unknown prompt form 'poem'; known: plain, chat"):
        chat_template.require_form("poem", plain.folder, plain.name)
    for study, notebook in ((baseline, "02_baseline"), (quantization, "03_quantization"), (speculative, "06_speculative")):
        values = params.read_yaml(params.path_of("ci", notebook))
        assert values["prompt_form"] == "plain"
        with pytest.raises(ParamsError, match="pocket-[29]00k has no chat template"):
            params.validate(study.Config, values | dict(prompt_form="chat"), "here")
        with pytest.raises(ParamsError, match="prompt_form: expected one of 'plain', 'chat', got 'poem'"):
            params.validate(study.Config, values | dict(prompt_form="poem"), "here")


def asked_units(tmp_path, form: str, **changed):
    """Units of the quantization study of a tiny model with a template; the ones that ask tasks."""
    folder = tmp_path / "model"
    if not folder.is_dir():
        tiny_tokenizers.write(folder, begins=True, template=CHAT)
    values = params.read_yaml(params.path_of("ci", "03_quantization"))
    values |= dict(models=[str(folder)], runtime_models=[], methods=["rtn"], prompt_form=form,
                   stream="python-docs", calibration="python-docs", tasks=["english_direct"]) | changed
    return [unit for unit in quantization.plan(params.validate(quantization.Config, values, "here"))
            if unit.condition["task"] == "loss"]


def test_the_form_stands_in_conditions_where_it_is_not_the_plain_one(tmp_path):
    plain, chat = (asked_units(tmp_path, form) for form in ("plain", "chat"))
    assert plain and all("prompt_form" not in unit.condition and "prompt_form" not in unit.arguments for unit in plain)
    assert all(unit.condition["prompt_form"] == unit.arguments["prompt_form"] == "chat" for unit in chat)
    for unit in (*plain, *chat):
        inspect.signature(losses.measure_loss).bind(**unit.arguments)
    assert not {unit.task for unit in plain} & {unit.task for unit in chat}
    silent = asked_units(tmp_path, "chat", tasks=[])
    assert silent and all("prompt_form" not in unit.condition for unit in silent), "nothing is asked in any form"


def test_prompts_of_speculation_stand_in_the_targets_template(tmp_path):
    """In every kind of unit that has prompts; and each job takes the form."""
    pair = [tiny_tokenizers.write(tmp_path / name, begins=True, template=CHAT, max_position_embeddings=2048).path
            for name in ("draft", "target")]
    asked = jobs.ids_of(prompting.shared([models.resolve(str(path)) for path in pair]), "prices", 3, "chat")
    talks = [[dict(role="user", content=text)] for text in (one.text for one in prompts.load("prices", 3))]
    assert [ids for _, ids in asked] == [theirs_of(pair[0]).apply_chat_template(
        talk, add_generation_prompt=True, return_dict=False) for talk in talks]
    named = " < ".join(f"'{path}'" for path in reversed(pair))
    values = params.read_yaml(params.path_of("ci", "06_speculative")) | dict(
        models=[str(path) for path in pair], more_pairs=[], timed_models=[str(pair[1])], timed_drafts=[str(pair[0])],
        recorded_pair=named, replayed_pairs=[named], prompt_form="chat",
        **dict.fromkeys(("domains", "timed_domains", "recorded_domains", "batch_domains"), ["english"]))
    units = list(speculative.plan(params.validate(speculative.Config, values, "here")))
    assert {unit.condition["task"] for unit in units} == {"acceptance", "overlap", "blocks", "speed", "batch", "replay"}
    for unit in units:
        assert unit.condition["prompt_form"] == unit.arguments["prompt_form"] == "chat"
        module, function = unit.function.split(":")
        inspect.signature(getattr(importlib.import_module(module), function)).bind(**unit.arguments)


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    """(kind, folder, ours, theirs): an engine asked in chat form, and lm-eval's own model of the same tiny model."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel("ERROR")
    folder = tmp_path_factory.mktemp("chat")
    made = tiny_tokenizers.write(folder / "model", max_position_embeddings=2 * CONTEXT, **KINDS[request.param])
    lines = [dict(q=f"{word} sees a hen", ends=[f" {word}", " nine nuts"], right=i % 2)
             for i, word in enumerate(("fox", "hen", "cat", "nuts", "ten"))]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "chatty.yaml").write_text(GENERATE)
    (folder / "picky.yaml").write_text(CHOOSE)
    with open_engine("transformers", made, dtype="float32", threads=1, device="cpu", context=2 * CONTEXT) as engine:
        yield (request.param, folder, EngineLM(engine, prompting.of(made.path), "chat"),
               HFLM(pretrained=str(made.path), dtype="float32", device="cpu", batch_size=1))


@pytest.mark.parametrize("file", ["chatty", "picky"])
def test_tasks_are_asked_as_lm_eval_asks_them_with_its_own_model(file, both, monkeypatch):
    """Examples are turns, a description is the system's message, and a choice follows the opening of the answer."""
    import lm_eval

    kind, folder, ours, theirs = both
    task = foreign_tasks.load(f"lm-eval:{folder}/{file}.yaml")
    came = samples_of(ours, task, limit=ITEMS, prompt_form="chat")
    monkeypatch.chdir(folder)
    expected = lm_eval.simple_evaluate(theirs, tasks=[f"{file}.yaml"], apply_chat_template=True, bootstrap_iters=0,
                                       task_manager=lm_eval.tasks.TaskManager(include_defaults=False))["samples"][file]
    expected.sort(key=lambda sample: sample["doc_id"])
    assert [sample["arguments"] for sample in came] == [sample["arguments"] for sample in expected]
    assert len(came) == ITEMS and all("assistant" in sample["arguments"][0][0] for sample in came)
    assert ("a cat has ten" in came[0]["arguments"][0][0]) is (kind != "strict")
    if file == "chatty":
        assert [sample["resps"] for sample in came] == [sample["resps"] for sample in expected]
        assert len({str(sample["resps"]) for sample in came}) > 1
    else:
        for ours_, theirs_ in zip(came, expected, strict=True):
            for (value, greedy), (right, same) in zip(ours_["filtered_resps"], theirs_["filtered_resps"], strict=True):
                assert value == pytest.approx(right, abs=2e-3) and greedy == same and value < -1
    assert [sample["exact_match" if file == "chatty" else "acc"] for sample in came] == [
        sample["exact_match" if file == "chatty" else "acc"] for sample in expected]


def test_what_a_template_does_besides_is_told_where_something_was_written(both):
    kind, _, ours, _ = both
    ours.generated = True
    told = " ".join(ours.warnings)
    assert ("does not begin with <s>" in told) is (kind == "bare")
    assert ("takes no system message" in told) is (kind == "strict") and told.count("takes no system message") <= 1


def test_a_template_that_writes_the_day_is_told(tmp_path):
    tiny_tokenizers.write(tmp_path, template="{{ strftime_now('%d %b %Y') }}" + CHAT)
    found = prompting.of(tmp_path)
    assert found.told("plain") == [] and ["can write the day into a prompt" in one for one in found.told("chat")] == [True]


def test_settings_that_are_not_carried_are_told_once_in_either_form(tmp_path):
    made = tiny_tokenizers.write(tmp_path, template=CHAT, generation=dict(
        do_sample=True, repetition_penalty=1.1, temperature=0.7, top_p=0.8, top_k=20, eos_token_id=[1, 2]))
    for form in ("plain", "chat"):
        with engines.open_engine("transformers", made, dtype="float32", threads=1, device="cpu", context=CONTEXT) as engine:
            model = EngineLM(engine, prompting.of(made.path, "mine"), form)
            assert model.warnings == []
            for _ in range(2):
                model.continued([SAYS], foreign_tasks.generation_of(dict(max_gen_toks=2)))
        [told] = model.warnings
        assert told.startswith("mine: its generation_config.json asks for do_sample=true, repetition_penalty=1.1, "
                               "temperature=0.7, top_k=20, top_p=0.8, which is not carried")
