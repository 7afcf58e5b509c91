"""The job that measures a pair: its counts against texts written by hand, its parts against its whole."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from toy_session import Table

from edgekit import engines
from edgekit.catalog import models, prompting
from edgekit.catalog.models import ModelError
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import EngineError
from edgekit.studies.speculative import jobs as speculation_jobs
from edgekit.studies.speculative import jobs_blocks as speculation_blocks
from edgekit.studies.speculative import jobs_pair as speculation

pytestmark = pytest.mark.usefixtures("shared_artifacts")

CHAIN = np.roll(np.eye(9), 1, axis=1) * 0.8 + 0.2 / 9


class Slow(Table):
    """A table whose passes take a known time, on a clock that nothing else moves."""

    now = 0.0

    def __init__(self, after, seconds):
        super().__init__(after)
        self.pause = seconds

    def _append(self, tokens, last):
        Slow.now += self.pause
        return super()._append(tokens, last)


def test_counts_are_those_of_a_text_by_hand():
    """The draft knows 1, 2, 3 and then goes wrong at every other token; texts of 8 after 0 are 1 to 8."""
    wrong = CHAIN.copy()
    wrong[3] = CHAIN[7]
    pair = speculation.Pair(Table(CHAIN), Table(wrong), Decoding(8, frozenset({8})), seed=0)
    seen = speculation.count(pair, [("a", [0])], [3], [[1, 2, 3, 4, 5, 6, 7]])
    # 1 2 3 + 4; 5 6 7 + 8, the stop.
    assert seen == [dict(metric="blocks", value=2, written=8, length=3, item="a"),
                    *(dict(metric="accepted", value=2, position=i, drafted=2, judged=2, length=3, item="a") for i in (1, 2, 3)),
                    dict(metric="gap_noise", value=0.0, length=3, item="a"),
                    dict(metric="differs", value=0, length=3, item="a")]
    seen = speculation.count(pair, [("a", [2])], [2], [[3, 4, 5, 6, 8]])
    # 3 + refused, own 4; 5 6 + 7; 8.
    assert [(one["value"], one["drafted"], one["judged"]) for one in seen if one["metric"] == "accepted"] == [
        (3, 3, 3), (1, 2, 2)]
    assert [one["value"] for one in seen if one["metric"] == "differs"] == [1]
    gap, = (one["value"] for one in seen if one["metric"] == "tie_gap")
    logits = np.log(CHAIN[6])
    assert gap == pytest.approx((logits[7] - logits[8]) / logits.std(), rel=1e-5)


class Blurred(Table):
    """A table whose passes of more than one token add half a nat to the second likeliest token."""

    def _append(self, tokens, last):
        logits = super()._append(tokens, last).copy()
        if len(tokens) > 1:
            for row in logits:
                row[np.argsort(row)[-2]] += 0.5
        return logits


def test_noise_is_what_the_size_of_a_pass_moves_the_two_likeliest_apart():
    text = [1, 2, 3, 4, 5]
    plain = speculation.two_likeliest(Blurred(CHAIN), [0], text, 1)
    assert [a for a, _, _ in plain] == text
    logits = np.log(CHAIN[0])
    first, second = np.sort(logits)[:-3:-1]
    assert plain[0][2] == pytest.approx((first - second) / logits.std(), rel=1e-5)
    noise = speculation.gap_noise(Blurred(CHAIN), [0], text, 3, plain)
    assert 0.4 / logits.std() < noise < 0.6 / logits.std()
    assert speculation.gap_noise(Table(CHAIN), [0], text, 3, speculation.two_likeliest(Table(CHAIN), [0], text, 1)) == 0


def test_logits_of_a_text_are_the_same_however_it_is_passed_unless_the_passes_differ():
    text = [1, 2, 3, 4, 5]
    single = speculation_blocks.logits_in_blocks(Blurred(CHAIN), [0], text, 1)
    assert np.allclose(single, np.log(CHAIN[text]), atol=1e-6)
    for block in (2, 3, 9):
        assert speculation_blocks.noise(single, speculation_blocks.logits_in_blocks(Table(CHAIN), [0], text, block)) == 0
    # In blocks of two the last token is alone: eight of the nine logits of four of five places are as they were.
    moved = speculation_blocks.noise(single, speculation_blocks.logits_in_blocks(Blurred(CHAIN), [0], text, 2))
    assert moved == pytest.approx(0.5 * (4 / 5 / 9) ** 0.5 / np.log(CHAIN[text]).std(), rel=1e-4)


def test_the_job_passes_plain_texts_in_blocks():
    asked = {name: value for name, value in ASKED.items() if name not in ("lengths", "temperature", "top_p")}
    target = engines.variant_for("llama_cpp", "pocket-200k", "float32")
    answer = speculation_blocks.measure_blocks(target=target, draft="lookup", prompts=2, blocks=[2, 5], **asked)
    seen = metrics(answer)["block_noise"]
    assert [one["pass_tokens"] for one in seen] == [2, 5] * 2 and all(0 <= one["value"] < 1e-4 for one in seen)


def test_parts_are_the_times_of_the_passes(monkeypatch):
    monkeypatch.setattr(speculation.time, "perf_counter", lambda: Slow.now)
    pair = speculation.Pair(Slow(CHAIN, 4e-3), Slow(CHAIN, 1e-3), Decoding(24), seed=0)
    parts = speculation.take_apart(pair, [("a", [0, 1])], 3)
    assert parts == pytest.approx(dict(verify_s=4e-3, draft_s=1e-3, overhead_s=0.0), abs=1e-12)
    plain = speculation.take_apart(pair, [("a", [0, 1])], speculation.PLAIN)
    assert plain == pytest.approx(dict(verify_s=4e-3, overhead_s=0.0), abs=1e-12)
    found = speculation.clock(pair, [("a", [0, 1])], 3)
    assert found["tokens"] == 24 and found["rest_tokens"] == 20 and found["rest_blocks"] == 5
    assert found["rest_s"] == pytest.approx(5 * 4e-3 + 15 * 1e-3) and found["pass_s"] > found["rest_s"]


ASKED = dict(engine="llama_cpp", dtype="float32", threads=1, device="cpu", domain="prices", lengths=[2, "adaptive"],
             max_new_tokens=24, temperature=0.0, top_p=1.0, seed=0)


def metrics(answer):
    by = {}
    for one in answer["observations"]:
        by.setdefault(one["metric"], []).append(one)
    return by


def test_the_jobs_count_time_and_warn():
    target, draft = (engines.variant_for("llama_cpp", model, "float32") for model in ("pocket-200k", "pocket-900k"))
    answer = speculation_jobs.measure_counts(target=target, draft=draft, prompts=4, **ASKED)
    assert answer["warnings"] and "is larger than its target pocket-200k" in answer["warnings"][0]
    by = metrics(answer)
    assert len(by["blocks"]) == len(by["differs"]) == 4 * 2 and sum(one["value"] for one in by["differs"]) == 0
    assert by["target_parameters"][0]["value"] < by["draft_parameters"][0]["value"]
    judged = sum(one["judged"] for one in by["accepted"])
    assert 0.2 * judged < sum(one["value"] for one in by["accepted"]) <= judged
    by = metrics(speculation_jobs.measure_times(target=target, draft=draft, prompts=2, rounds=2, **ASKED))
    assert len(by["pass_s"]) == len(by["verify_s"]) == 2 * 3 and len(by["draft_s"]) == 2 * 2
    assert {one["length"] for one in by["pass_s"]} == {0, 2, "adaptive"} and all(one["value"] > 0 for one in by["rest_s"])
    lookup = speculation_jobs.measure_counts(target=target, draft="lookup", prompts=4, **(ASKED | dict(temperature=1.0)))
    assert lookup["warnings"] == [] and set(metrics(lookup)) == {"blocks", "accepted", "target_parameters"}
    for length in (0, -1):
        for job, more in ((speculation_jobs.measure_counts, {}), (speculation_jobs.measure_times, dict(rounds=1))):
            with pytest.raises(EngineError, match="at least 1 drafted token"):
                job(target=target, draft="lookup", prompts=1, **more, **(ASKED | dict(lengths=[length])))


def swapped(vocabulary):
    """The same tokens, two of them with each other's id: of equal size, and still another language."""
    a, b = list(vocabulary)[-2:]
    return vocabulary | {a: vocabulary[b], b: vocabulary[a]}


@pytest.mark.parametrize("file, change", [
    ("tokenizer.json", lambda read: read["model"].update(vocab=swapped(read["model"]["vocab"]))),
    ("config.json", lambda read: read.update(eos_token_id=1, vocab_size=1088))])
def test_token_strings_decide_whether_a_draft_speaks_its_targets_tokens(file, change, tmp_path):
    """Neither how far its vocabulary is padded nor what ends its own texts matters: the texts are the target's."""
    folder = models.resolve("pocket-200k").folder
    for name in ("tokenizer.json", "config.json"):
        read = json.loads((folder / name).read_text(encoding="utf-8"))
        if name == file:
            change(read)
        (tmp_path / name).write_text(json.dumps(read), encoding="utf-8")
    ours, other = (SimpleNamespace(name=name, folder=at, architecture=SimpleNamespace(
        vocabulary=json.loads((at / "config.json").read_text())["vocab_size"])) for name, at in (("ours", folder),
                                                                                             ("other", tmp_path)))
    if file == "config.json":
        tokens = prompting.shared([ours, other])
        assert (tokens.vocabulary, tokens.stop) == (1024, {0}) and prompting.shared([other, ours]).stop == {1}
    else:
        with pytest.raises(ModelError, match="other and ours have different tokenizers"):
            prompting.shared([ours, other])
