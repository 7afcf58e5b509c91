"""What a model's files say of its texts, and that every loop that writes one keeps to it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_tokenizers
import transformers
from tiny_tokenizers import BEGIN, END, TURN
from toy_session import Table

from edgekit import engines
from edgekit.building import BuildError
from edgekit.catalog import models, prompting
from edgekit.catalog.models import ModelError
from edgekit.compress import variant, written
from edgekit.compress.calibration import Calibration
from edgekit.compress.training_texts import Rows, Text
from edgekit.decode import builtin, speculative
from edgekit.decode.drafters import FixedLength, LookupDrafter, ModelDrafter
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import EngineError

pytestmark = pytest.mark.usefixtures("shared_artifacts")

SAYS = "the fox sees a hen"
# Acting in `generate` unless told otherwise: each of them alone changes a greedy text.
SETTINGS = dict(repetition_penalty=1.8, no_repeat_ngram_size=2, suppress_tokens=list(range(20, 200)), eos_token_id=1)


def changed(folder, name, **values):
    read = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
    (folder / name).write_text(json.dumps(read | values))


def test_truncation_and_padding_of_the_file_are_never_applied(tmp_path):
    tiny_tokenizers.write(tmp_path / "plain", begins=True)
    tiny_tokenizers.write(tmp_path / "cut", begins=True, truncated=True)
    plain, cut = (prompting.of(tmp_path / name) for name in ("plain", "cut"))
    assert len(plain.encode(SAYS)) > 4
    for say in (SAYS, "fox"):
        assert cut.encode(say) == plain.encode(say) and cut.encode_texts([say, SAYS]) == plain.encode_texts([say, SAYS])


@pytest.mark.parametrize("kind, file, end, stop", [
    ({}, {}, 1, {1}),
    (dict(generation=dict(eos_token_id=[2, 1])), {}, 1, {1, 2}),
    (dict(generation=dict(eos_token_id=2)), {}, 1, {1, 2}),
    (dict(own_end=False), {}, 2, {1, 2}),
    (dict(config=dict(eos_token_id=[1, 2]), generation={}), {}, 1, {1, 2}),
    (dict(config=dict(eos_token_id=None), generation=dict(eos_token_id=[2])), dict(eos_token=None), 2, {2}),
    (dict(config=dict(eos_token_id=None)), dict(eos_token=dict(content=TURN, special=True)), 2, {2})])
def test_ends_are_those_of_generate_and_of_the_tokenizer(kind, file, end, stop, tmp_path):
    tiny_tokenizers.write(tmp_path, **kind)
    changed(tmp_path, "tokenizer_config.json", **file)
    found = prompting.of(tmp_path)
    assert (found.end, found.stop, found.prefix) == (end, stop, 0)
    assert found.encode_texts([SAYS]) == [[*found.encode(SAYS), end]]


def test_a_beginning_stands_once_and_a_text_without_one_begins_behind_its_end(tmp_path):
    tiny_tokenizers.write(tmp_path, begins=True)
    found = prompting.of(tmp_path)
    own = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert found.encode(SAYS) == own.encode(SAYS) == [0, *found.encode(SAYS, special=False)]
    assert found.encode_prompt(BEGIN + SAYS) == found.encode_prompt(SAYS) == found.encode(SAYS)
    changed(tmp_path, "tokenizer_config.json", bos_token=None)
    assert prompting.of(tmp_path).prefix == 1 and prompting.of(tmp_path).bos is None


def test_special_tokens_that_only_the_configuration_names_are_special(tmp_path):
    tiny_tokenizers.write(tmp_path)
    read = json.loads((tmp_path / "tokenizer.json").read_text())
    read["added_tokens"] = read["added_tokens"][:2]
    (tmp_path / "tokenizer.json").write_text(json.dumps(read))
    told = {"2": dict(content=TURN, special=True, lstrip=False, rstrip=False, single_word=False, normalized=False)}
    for values in (dict(added_tokens_decoder=told), dict(added_tokens_decoder={}, sep_token=TURN)):
        changed(tmp_path, "tokenizer_config.json", **values)
        found, own = prompting.of(tmp_path), transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
        assert found.encode(f"a{TURN}b") == own.encode(f"a{TURN}b") and 2 in found.encode(f"a{TURN}b")
        assert found.decode([2]) == own.decode([2], skip_special_tokens=True) == "" and found.decode([2], special=True) == TURN
    changed(tmp_path, "tokenizer_config.json", added_tokens_decoder={"7": told["2"]})
    with pytest.raises(ModelError, match=r"gives '<\|turn\|>' the id 7, tokenizer.json 2: the two files belong to different"):
        prompting.of(tmp_path)


@pytest.mark.parametrize("settings, named", [
    (dict(eos_token_id=1, max_length=99, temperature=0.6, top_p=0.9, transformers_version="5"), None),
    (dict(do_sample=False, temperature=0.6, repetition_penalty=1.0, num_beams=1, suppress_tokens=[]), None),
    (dict(do_sample=True, temperature=0.6, top_k=20), "do_sample=true, temperature=0.6, top_k=20"),
    (dict(repetition_penalty=1.05), "repetition_penalty=1.05"), (dict(forced_bos_token_id=0), "forced_bos_token_id=0"),
    (dict(num_beams=4, length_penalty=2.0), "num_beams=4"), (dict(a_new_key=[1]), "a_new_key=[1]")])
def test_what_the_settings_ask_for_and_is_not_carried_is_named(settings, named, tmp_path):
    tiny_tokenizers.write(tmp_path, generation=settings)
    told = prompting.of(tmp_path).warnings
    if named is None:
        assert told == ()
    else:
        [told] = told
        assert told.startswith(f"{tmp_path.name}: its generation_config.json asks for {named}, which is not carried")


@pytest.mark.parametrize("file, text, complaint", [
    ("tokenizer.json", "{}", ": expected a tokenizer, got"), ("generation_config.json", "{", ", line 1, column 2: not JSON"),
    ("generation_config.json", "[]", ": expected a JSON object of names and values, got a list"),
    ("generation_config.json", '{"eos_token_id": ["a"]}', r": expected eos_token_id to be a token id or a list .* \['a'\]"),
    ("generation_config.json", '{"eos_token_id": true}', ": expected eos_token_id to be a token id or a list .* True")])
def test_files_that_cannot_be_read_are_named(file, text, complaint, tmp_path):
    tiny_tokenizers.write(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ModelError, match=f"{file}{complaint}"):
        prompting.of(tmp_path)


def test_a_folder_without_an_end_or_a_tokenizer_is_refused(tmp_path):
    tiny_tokenizers.write(tmp_path, config=dict(eos_token_id=None))
    changed(tmp_path, "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="expected a token that ends a text"):
        prompting.of(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer.json in"):
        prompting.of(tmp_path)


def test_calibration_and_training_texts_hold_no_padding_and_lose_nothing(tmp_path):
    texts = tmp_path / "mine.jsonl"
    texts.write_text("".join(json.dumps({"text": SAYS}) + "\n" for _ in range(20)))
    tiny_tokenizers.write(tmp_path / "model", begins=True, truncated=True)
    tokens = prompting.of(tmp_path / "model")
    one = tokens.encode_texts([SAYS])[0]
    stream = np.concatenate(Calibration(str(texts), 1, 20 * len(one), 0).sequences(tmp_path / "model", 300))
    assert stream.tolist() == one * 20
    ids, in_prompt = Rows([Text("the fox", " sees a hen")], tokens, length=2 * len(one), seed=0)(0, 8)
    for row, mask in zip(ids.tolist(), in_prompt.tolist(), strict=True):
        start = int(row[0] == tokens.end)
        assert row[start:start + len(one)] == one
        assert sum(mask[:start + len(one)]) == len(tokens.encode("the fox"))


@pytest.mark.parametrize("kind", [
    dict(generation=dict(eos_token_id=[1, 2])), dict(generation=SETTINGS), dict(vocabulary=640), dict(truncated=True)], ids=str)
def test_a_teacher_writes_from_its_own_distribution_until_any_of_its_ends(kind, tmp_path):
    """The same draws as a twin whose files ask for nothing: ends and padding apart, no setting may act."""
    texts = [Text(f"{SAYS} {word}", "") for word in ("fox", "hen", "cat", "nuts") * 4]
    teacher = tiny_tokenizers.write(tmp_path / "teacher", begins=True, **kind).spec
    made = written.write(teacher, texts, seed=1, device="cpu")
    assert made and not any(mark in text.completion for text in made for mark in (BEGIN, END, TURN))
    if "generation" in kind or "truncated" in kind:
        twin = tiny_tokenizers.write(tmp_path / "twin", begins=True, config=dict(eos_token_id=[
            1, 2] if kind.get("generation", {}).get("eos_token_id") == [1, 2] else 1)).spec
        assert made == written.write(twin, texts, seed=1, device="cpu")


def test_a_teacher_without_room_is_refused(tmp_path):
    teacher = tiny_tokenizers.write(tmp_path, max_position_embeddings=192).spec
    with pytest.raises(BuildError, match="expected a context of more than the 192 tokens of a continuation, got 192"):
        written.write(teacher, [Text("fox", "")], seed=0, device="cpu")


def loops(artifact, draft, prompt, most, tokens):
    """The greedy text of each loop that there is, up to and with its end: engines alone, ours with a draft, runtimes' own."""
    where = dict(dtype="float32", threads=1, device="cpu", context=128)
    found = {}
    for name in ("transformers", "llama_cpp"):
        both = [variant.build(engines.variant_for(name, str(one.path), "float32")) for one in (artifact, draft)]
        with engines.open_engine(name, both[0], **where) as engine, engines.open_engine(name, both[1], **where) as other:
            engine.writable = tokens.vocabulary
            found[name] = engine.generate([prompt], most, tokens.stop, keep_stop=True)[0]
            decoding = Decoding(most, tokens.stop, vocabulary=tokens.vocabulary)
            for drafter in (ModelDrafter(other.session(), FixedLength(3)), LookupDrafter(FixedLength(3))):
                made = speculative.speculate(engine.session(), drafter, prompt, decoding)
                found[name, type(drafter)] = [token for block in made for token in block.tokens]
        loop = "transformers-assisted" if name == "transformers" else "llama-cpp-python"
        for length in (0, 3):
            with builtin.open_builtin(loop, *both, length=length, vocabulary=tokens.vocabulary, **where) as runtime:
                found[loop, length] = runtime.generate(prompt, most, tokens.stop)[0]
    return found


def test_a_models_own_settings_act_in_no_loop(tmp_path):
    plain, asking = (tiny_tokenizers.write(tmp_path / name, generation=generation, begins=True) for name, generation in (
        ("plain", dict(eos_token_id=1)), ("asking", SETTINGS)))
    tokens = prompting.of(asking.path)
    assert "repetition_penalty=1.8" in tokens.warnings[0]
    prompt = tokens.encode_prompt(SAYS)
    with engines.open_engine("transformers", plain, dtype="float32", threads=1, device="cpu", context=128) as engine:
        expected = engine.generate([prompt], 24, tokens.stop, keep_stop=True)[0]
    model = transformers.AutoModelForCausalLM.from_pretrained(asking.path)
    import torch

    theirs = model.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)[0, len(prompt):].tolist()
    assert theirs != expected, "they do act where nothing is done against it"
    found = loops(asking, asking, prompt, 24, tokens)
    assert found == dict.fromkeys(found, expected) and len(found) == 10 and len(expected) > 7


def test_a_draft_may_pad_its_vocabulary_otherwise_than_its_target(tmp_path):
    """Ids behind the tokenizer's would win nearly always here; none is proposed, none is written, and every loop agrees."""
    target = tiny_tokenizers.write(tmp_path / "target", begins=True, vocabulary=640)
    draft = tiny_tokenizers.write(tmp_path / "draft", begins=True, vocabulary=512)
    tokens = prompting.shared([target.spec, draft.spec])
    assert tokens.vocabulary == prompting.of(draft.path).vocabulary < 512
    prompt = tokens.encode_prompt(SAYS)
    with engines.open_engine("transformers", target, dtype="float32", threads=1, device="cpu", context=128) as engine:
        expected: list[int] = []
        while len(expected) < 24 and not tokens.stop & {*expected[-1:]}:
            expected.append(int(engine.score([*prompt, *expected])[-1, :tokens.vocabulary].argmax()))
        assert max(engine.generate([prompt], 24, ())[0]) >= tokens.vocabulary
        engine.writable = tokens.vocabulary
        assert max(max(text, default=0) for text in engine.sample([prompt] * 20, 8, (), seed=0)) < tokens.vocabulary
        assert [step.token for step in engine.stream(prompt, len(expected))] == expected
    found = loops(target, draft, prompt, 24, tokens)
    assert found == dict.fromkeys(found, expected) and len(found) == 10 and len(expected) > 7
    with pytest.raises(EngineError, match="the draft has a vocabulary of 5, the target of 7, and how many ids they share"):
        speculative.speculate(Table(np.full((7, 7), 1 / 7)), ModelDrafter(Table(np.full((5, 5), 0.2)), FixedLength(2)), [0],
                              Decoding(3))
    with pytest.raises(EngineError, match="9 ids may be chosen, the model has 7"):
        speculative.speculate(Table(np.full((7, 7), 1 / 7)), None, [0], Decoding(3, vocabulary=9))


def test_the_first_model_decides_what_ends_a_text_and_all_what_may_be_written(tmp_path):
    first = tiny_tokenizers.write(tmp_path / "a", vocabulary=640, generation=dict(eos_token_id=[1, 2])).spec
    other = tiny_tokenizers.write(tmp_path / "b").spec
    assert prompting.shared([first, other]).stop == {1, 2} and prompting.shared([other, first]).stop == {1}
    small = SimpleNamespace(name="small", folder=other.folder, architecture=SimpleNamespace(vocabulary=100))
    assert prompting.shared([first, small]).vocabulary == 100
    spaces = tiny_tokenizers.write(tmp_path / "c", spaces=True).spec
    with pytest.raises(ModelError, match="have different tokenizers: a draft must speak its target's tokens"):
        prompting.shared([first, spaces])


@pytest.mark.parametrize("name", models.pocket_names())
def test_the_shipped_models_ask_for_nothing_around_a_text(name):
    found = prompting.of(models.resolve(name).folder)
    assert (found.end, found.stop, found.prefix, found.vocabulary, found.warnings) == (0, {0}, 0, 1024, ())
    assert found.encode(SAYS) == found.encode(SAYS, special=False) == found.encode_prompt(SAYS)
