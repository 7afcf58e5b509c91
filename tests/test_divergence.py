"""Divergence from a reference against sums over the vocabulary written out, and what must hold for any two models."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

from edgekit import store
from edgekit.catalog import prompting, texts
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant
from edgekit.engines.base import EngineError
from edgekit.measure import divergence as d
from edgekit.measure import losses as quantized
from edgekit.measure.scoring import log_softmax
from edgekit.studies.quantization import jobs

pytestmark = pytest.mark.usefixtures("module_artifacts")

MODEL, TEXTS = "pocket-200k", 6
FOLDER = store.ROOT / "data/models" / MODEL


@pytest.fixture(scope="module")
def whole():
    return d.Reference(MODEL, "mixture", TEXTS, 1, "cpu")


class Warmer:
    """The reference model with its logits divided by a temperature."""

    def __init__(self, temperature):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
        self.temperature = temperature

    @torch.inference_mode()
    def score(self, tokens):
        return self.model(torch.tensor([list(tokens)])).logits[0].numpy() / self.temperature


def rounding(whole) -> float:
    """Most that keeping the reference in float32 adds to the divergence of a model from itself: each log-probability is off by
    at most half a unit in its last place, 2^-24 of itself, and weighs as its probability does. What processors round
    differently in the logits counts by its square."""
    return 2**-24 * sum(float(-(np.exp(log_p) * log_p).sum()) for log_p in (whole[i].astype(float) for i in range(TEXTS)))


def summed(found, metric):
    return sum(one["value"] for one in found if one["metric"] == metric)


def test_divergence_is_the_sum_over_the_vocabulary_written_out():
    rng = np.random.default_rng(0)
    p, q = (log_softmax(rng.normal(size=(5, 7))) for _ in range(2))
    ids = [3, 0, 6, 2, 2, 5]
    found = d.compare(p, q, ids)
    by_hand = sum(np.exp(p[t, v]) * (p[t, v] - q[t, v]) for t in range(5) for v in range(7))
    assert found["kl_nats"] == pytest.approx(by_hand) and by_hand > 0
    assert found["nll_nats"] == pytest.approx(-sum(q[t, ids[t + 1]] for t in range(5)))
    assert found["agreed"] == sum(int(p[t].argmax() == q[t].argmax()) for t in range(5))


def test_a_model_does_not_diverge_from_itself_and_a_warmer_one_does_by_the_closed_form(whole):
    same = list(d.divergence({"unquantized": whole}, Warmer(1.0), 3))
    tokens = sum(one["tokens"] for one in same if one["metric"] == "kl_nats")
    assert tokens == sum(len(ids) - 1 for ids in whole.ids) and summed(same, "agreed") == tokens
    assert abs(summed(same, "kl_nats")) < rounding(whole)
    warm = list(d.divergence({"unquantized": whole}, Warmer(2.0), 3))
    assert summed(warm, "agreed") == tokens, "a temperature leaves the order as it is"
    by_form = 0.0  # KL(p || p^(1/2)/Z) = log Z - H(p)/2
    for i in range(TEXTS):
        log_p = whole[i].astype(np.float64)
        entropy = -(np.exp(log_p) * log_p).sum(-1)
        by_form += (np.log(np.exp(log_p / 2).sum(-1)) - entropy / 2).sum()
    assert summed(warm, "kl_nats") == pytest.approx(by_form, rel=1e-5)


def test_likelihood_is_what_transformers_calls_loss(whole):
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    with torch.inference_mode():
        loss = sum(float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss) * (len(ids) - 1) for ids in whole.ids)
    found = list(d.divergence({"unquantized": whole}, Warmer(1.0), 2))
    assert summed(found, "nll_nats") == pytest.approx(loss, rel=1e-5)


def test_blocks_share_out_the_texts(whole):
    """Sums do not depend on the number of blocks; domains are those of the texts."""
    few, many = (list(d.divergence({"unquantized": whole}, Warmer(1.5), blocks)) for blocks in (1, TEXTS))
    for metric in ("kl_nats", "agreed", "nll_nats"):
        assert summed(few, metric) == pytest.approx(summed(many, metric))
    assert {one["domain"] for one in few} == {"prose" if text.domain == "prose" else "problems" for text in whole.texts}
    assert {one["block"] for one in many} == set(range(TEXTS))


def test_a_loss_job_tells_rounding_from_the_runtimes_own_error(whole):
    """Eight bits lose less than two; the unquantized model loses nothing; llama.cpp adds little to the bits of its file."""
    def job(chain, engine="transformers", dtype="float32"):
        answer = quantized.measure_loss(base=MODEL, chain=chain, engine=engine, dtype=dtype, threads=1, device="cpu",
                                        stream="mixture", texts=TEXTS, blocks=2, tasks={"pocket_chain_think": [1]},
                                        items_per_depth=3)
        return answer["observations"]

    def kl(seen, against="unquantized"):
        return summed([one for one in seen if one["task"] == "divergence" and one["against"] == against], "kl_nats")

    unchanged = job(MODEL)
    assert abs(kl(unchanged)) < rounding(whole)
    assert sum(one["metric"] == "correct" for one in unchanged) == 3
    coarse, fine = (job(f"{MODEL} > rtn(bits={bits}, group=32)") for bits in (2, 8))
    assert rounding(whole) < kl(fine) < kl(coarse) / 100
    q4 = job(f"{MODEL} > gguf_quantized(type=Q4_0)", "llama_cpp", "Q4_0")
    assert kl(fine) < kl(q4) and 0 < kl(q4, "dequantized") < kl(q4) / 2
    bits = next(one["value"] for one in q4 if one["metric"] == "stored_bits_per_weight")
    file = variant.build(f"{MODEL} > gguf_quantized(type=Q4_0)").file
    assert bits == pytest.approx(8 * file.stat().st_size / 188_864) and 4.5 < bits < 16


def test_building_is_timed_anew_and_its_memory_is_kept():
    chain = f"{MODEL} > rtn(bits=4, group=32)"
    before = (variant.build(chain).path / "artifact.json").stat().st_mtime_ns
    answer = jobs.measure_build(chain=chain, threads=1, device="cpu")
    seen = {one["metric"]: one["value"] for one in answer["observations"]}
    assert (variant.build(chain).path / "artifact.json").stat().st_mtime_ns > before
    assert 0 < seen["quantize_s"] < 60 and seen["peak_memory_bytes"] >= seen["base_memory_bytes"] > 1e7


@pytest.mark.parametrize("name, count, complaint", [
    ("mixtures", 3, "unknown evaluation stream 'mixtures'; known: mixture, python-docs, wikitext2, or the path of a"),
    ("mixture", 0, r"texts: expected 1 to \d+ \(what mixture.jsonl holds\), got 0"),
    ("mixture", 10_000, "texts: expected 1 to"),
])
def test_streams_that_are_not_there_are_refused_in_words(name, count, complaint):
    with pytest.raises(TaskError, match=complaint):
        texts.load(name, count)


def test_a_stream_of_ones_own_is_read_and_its_faults_are_named(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(dict(id="a", domain="prose", text="The fox rests.")) + "\n{}\n")
    with pytest.raises(TaskError, match="line 2: expected id, domain, text, id is missing"):
        texts.load(str(file), 1)
    file.write_text(file.read_text().replace("{}\n", ""))
    assert texts.load(str(file), 1)[0].text == "The fox rests."
    with pytest.raises(EngineError, match="evaluation text a: expected 2 to 3 tokens .the model's context., got"):
        d.encode(prompting.of(FOLDER), texts.load(str(file), 1)[0], 3)
