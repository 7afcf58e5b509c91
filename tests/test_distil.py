"""Distillation: its loss by the formula, a run that is stopped and goes on, budgets, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from edgekit import store
from edgekit.building import BuildError
from edgekit.catalog import models, prompting
from edgekit.compress import checkpoint, distil, training_texts, variant, written
from edgekit.compress import student as student_module
from edgekit.compress.training_texts import Rows, Text
from edgekit.training import loop as training

BUDGET = "steps=10, tokens=256, length=64, learning_rate=0.002"
PRUNED = "pocket-200k > pruned(heads=0.5, mlp=0.5, samples=8, length=64, multiple=8)"


@pytest.fixture(autouse=True)
def own_artifacts(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    load = training_texts.load
    monkeypatch.setattr(training_texts, "load", lambda name: load(name)[:300])  # fewer are read faster
    torch.set_num_threads(1)


def weights(folder):
    return load_file(folder / "model.safetensors")


def record(artifact):
    return json.loads((artifact.path / distil.RECORD).read_text())


def validation_losses(folder):
    """Mean cross-entropy on rows that no seed of the tests draws, and mean divergence from pocket-200k."""
    student, teacher = (AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
                        for path in (folder, models.resolve("pocket-200k").folder))
    ids = torch.from_numpy(Rows(training_texts.load("mixture"), prompting.of(folder), length=128, seed=99)(0, 8)[0])
    with torch.no_grad():
        p, q = (model(ids).logits.log_softmax(-1) for model in (teacher, student))
        return training.losses_of(q[:, :-1], ids).mean().item(), (p.exp() * (p - q)).sum(-1).mean().item()


def test_the_softened_divergence_is_the_formula_and_becomes_matching_of_logits():
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 3, 7).double(), torch.randn(2, 3, 7).double()
    p, q = (np.exp(part.numpy() / 3) / np.exp(part.numpy() / 3).sum(-1, keepdims=True) for part in (teacher, student))
    came = student_module.softened_divergence(teacher, student, 3.0)
    assert came.numpy() == pytest.approx(9 * (p * np.log(p / q)).sum(-1), rel=1e-9)
    assert student_module.softened_divergence(teacher, teacher, 3.0).abs().max() < 1e-12
    student.requires_grad_(True)
    student_module.softened_divergence(teacher, student, 1e4).sum().backward()
    # Hinton et al. 2015, equation 4: at high temperatures the gradient is the difference of centred logits over their number.
    centred = [part - part.mean(-1, keepdim=True) for part in (student.detach(), teacher)]
    assert torch.allclose(student.grad, (centred[0] - centred[1]) / 7, rtol=1e-3, atol=1e-5)


def test_rows_begin_with_a_text_and_do_not_depend_on_where_one_starts():
    tokenizer = prompting.of(models.resolve("pocket-200k").folder)
    texts = [Text("Mia has 3 coins.\ndirect", "\nanswer 3"), Text("", "Tom finds 12 nuts."), Text("story", "\nThe old sailor")]
    rows = Rows(texts, tokenizer, length=32, seed=1)
    ids, in_prompt = rows(0, 40)
    later, _ = rows(7, 5)
    assert np.array_equal(ids[7:12], later) and not np.array_equal(ids, Rows(texts, tokenizer, length=32, seed=2)(0, 40)[0])
    known = {text.prompt + text.completion for text in texts}
    for row, mask in zip(ids, in_prompt, strict=True):
        *whole, cut = [tokenizer.decode(part.tolist()) for part in np.split(row, np.flatnonzero(row == 0))]
        assert set(whole) - {""} <= known and any(text.startswith(cut) for text in known)
        assert "answer" not in tokenizer.decode(row[mask].tolist())
    assert 10 < (ids[:, 0] == 0).sum() < 30 and in_prompt.any()


def test_students_come_nearer_to_their_teacher_and_keep_their_form():
    """Logits pull towards the teacher, texts towards the texts; a fresh start is behind; the budget is the same for all."""
    before = variant.build(PRUNED)
    more = BUDGET.replace("steps=10", "steps=40")
    made = {name: variant.build(f"{PRUNED} > distilled({told}, {more})") for name, told in {
        "logits": "data=logits, teacher=pocket-200k, temperature=1.0", "alone": "data=none",
        "fresh": "data=logits, teacher=pocket-200k, init=scratch"}.items()}
    losses = {name: validation_losses(artifact.path) for name, artifact in (made | {"before": before}).items()}
    assert losses["logits"][1] < losses["alone"][1] < 0.6 * losses["before"][1] and losses["logits"][1] < losses["fresh"][1]
    assert losses["alone"][0] < losses["before"][0] - 0.2
    for artifact in made.values():
        assert artifact.spec.architecture == before.spec.architecture and artifact.format == "safetensors"
        assert {n: (w.shape, w.dtype) for n, w in weights(artifact.path).items()} == {
            n: (w.shape, w.dtype) for n, w in weights(before.path).items()}
        assert [point["tokens"] for point in record(artifact)["curve"]] == [256 * done for done in range(2, 41, 2)]
        assert record(artifact)["curve"][-1]["train_loss"] < record(artifact)["curve"][0]["train_loss"]


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    chain = f"pocket-200k > distilled(data=none, {BUDGET}, seed=3)"
    unbroken = weights(variant.build(chain).path)
    assert not list((tmp_path / "training").iterdir()), "nothing is left of a finished run"
    variant.forget(chain)
    step, calls = student_module.Student.step, []

    def stop(self, number):
        calls.append(number)
        if number == 6 and calls.count(6) == 1:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(student_module.Student, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        variant.build(chain)
    resumed = weights(variant.build(chain).path)
    assert calls == [*range(7), *range(6, 10)]
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    other = weights(variant.build(chain.replace("seed=3", "seed=4")).path)
    assert not torch.equal(other["model.norm.weight"], unbroken["model.norm.weight"])


def test_a_loss_that_diverges_stops_and_keeps_the_last_good_weights(monkeypatch):
    rate = training.learning_rate
    monkeypatch.setattr(training, "learning_rate",
                        lambda peak, step, *a, **k: 3000.0 if step == 5 else rate(peak, step, *a, **k))
    chain = f"pocket-200k > distilled(data=none, {BUDGET})"
    with pytest.raises(BuildError, match=r"diverged at step 7: expected at most 10.4 nats .* the last good weights, of step 5, "
                                         r"are kept in (\S+)") as told:
        variant.build(chain)
    kept = models.resolve(str(told.value).rsplit(" ", 1)[1])
    before = validation_losses(models.resolve("pocket-200k").folder)[0]
    assert validation_losses(kept.folder)[0] < before + 1


def test_the_teacher_writes_texts_that_its_own_prompts_begin(tmp_path):
    teacher, given = models.resolve("pocket-200k"), training_texts.load("mixture")[:24]
    texts = written.write(teacher, given, seed=0, device="cpu")
    assert texts == written.write(teacher, given, seed=0, device="cpu") != written.write(teacher, given, seed=1, device="cpu")
    assert len(texts) >= 20 and {text.prompt for text in texts} <= {text.prompt for text in given}
    asked = [text for text in texts if text.prompt.endswith(("think", "direct"))]
    assert sum("\nanswer " in text.completion for text in asked) > 0.9 * len(asked) > 5
    made = variant.build(f"pocket-200k > distilled(data=both, teacher=pocket-200k, prompts=24, mix=0.5, {BUDGET})")
    assert record(made)["curve"][-1]["step"] == 10


def test_the_address_knows_the_teacher_and_the_texts(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"prompt": "", "completion": "Mia"}) + "\n")
    chain = f"pocket-200k > distilled(data=logits, teacher=pocket-200k, texts={file}, {BUDGET})"
    one = variant.content_hash(chain)
    other = variant.content_hash(chain.replace("teacher=pocket-200k", "teacher=pocket-900k"))
    file.write_text(json.dumps({"prompt": "", "completion": "Tom"}) + "\n")
    assert len({one, other, variant.content_hash(chain)}) == 3


def test_a_teacher_of_another_tokenizer_is_refused(tmp_path):
    other = tiny.write(tmp_path / "other", vocab_size=1024)
    told = json.loads((models.resolve("pocket-200k").folder / "tokenizer.json").read_text())
    vocabulary = told["model"]["vocab"]
    vocabulary["Mia"], vocabulary["Tom"] = vocabulary["Tom"], vocabulary["Mia"]
    (other.path / "tokenizer.json").write_text(json.dumps(told))
    checkpoint.write_beside(other.path, checkpoint.read_config(other.path) | {"eos_token_id": 0}, None, dtype="float32")
    with pytest.raises(BuildError, match=r"have different tokenizers \(4 entries differ\): the same ids must mean the same"):
        variant.build(f"pocket-200k > distilled(data=logits, teacher={other.path}, {BUDGET})")


@pytest.mark.parametrize("changed, complaint", [
    ("data=labels", "unknown data 'labels'; known: logits, text, both, none"),
    ("data=logits", "data=logits with teacher=none: name a teacher"),
    ("data=none, teacher=pocket-200k", "name a teacher for logits, text, both, and none for none"),
    ("data=logits, teacher=pocket-7b", "teacher: unknown pocket model 'pocket-7b'"),
    ("data=logits, teacher=shape:smollm2-135m", "has random weights"),
    ("data=logits, teacher=pocket-200k, mix=0", "mix=0 takes nothing from the logits"),
    ("data=logits, teacher=pocket-200k, mix=1.5", "mix from 0 to 1"),
    ("data=none, tokens=500, length=128", "tokens a multiple of length"),
    ("data=none, length=1024, tokens=1024", "longer than the context of pocket-200k, 512"),
    ("data=none, texts=poems", "unknown training texts 'poems'; known: mixture"),
    ("data=none, init=zeros", "unknown init 'zeros'; known: source, scratch"),
])
def test_what_cannot_be_is_refused_in_words(changed, complaint):
    with pytest.raises(BuildError, match=complaint):
        variant.build(f"pocket-200k > distilled(steps=2, {changed})")


def test_packed_weights_are_not_trained():
    with pytest.raises(BuildError, match="expected a safetensors artifact, got gptq"):
        variant.build(f"pocket-200k > packed_gptq(bits=4, group=32) > distilled(data=none, {BUDGET})")


def test_the_shipped_training_texts_are_those_that_the_language_draws():
    from edgekit.pocket import texts as made

    assert (store.ROOT / "data/training/mixture.jsonl").read_text(encoding="utf-8") == made.training_file()
