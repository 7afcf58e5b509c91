"""Our lm-eval model against lm-eval's own for transformers, on the same weights and tasks."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit import engines, store
from edgekit.catalog import models, prompting, tasks
from edgekit.catalog.tasks import TaskError
from edgekit.compress import variant
from edgekit.engines.base import EngineError
from edgekit.measure import quality

pytestmark = pytest.mark.usefixtures("shared_artifacts")

NAME = models.pocket_names()[0]
ITEMS = 4


@pytest.fixture(scope="module")
def theirs():
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(store.ROOT / "data/models" / NAME), dtype="float32", device="cpu", batch_size=16,
                prefix_token_id=0, add_bos_token=False)


def ours(name):
    made = variant.build(engines.variant_for(name, NAME, "float32"))
    engine = engines.open_engine(name, made, dtype="float32", threads=1, device="cpu", context=512)
    return quality.EngineLM(engine, prompting.of(made.spec.folder))


def config(name="pocket_chain_think"):
    return tasks.load(name).config | {"process_docs": quality.FirstOfEachDepth(ITEMS)}


@pytest.mark.parametrize("name", ["transformers", "llama_cpp"])
def test_answers_are_those_of_lm_evals_own_model(name, theirs):
    expected = quality.run_task(theirs, config(), limit=None)
    came = quality.run_task(ours(name), config(), limit=None)
    assert len(came) == len(expected) == 8 * ITEMS
    assert [sample["doc"]["id"] for sample in came] == [sample["doc"]["id"] for sample in expected]
    same = [a["resps"][0][0].strip() == b["resps"][0][0].strip() for a, b in zip(came, expected, strict=True)]
    assert np.mean(same) > 0.95, "greedy text differs where two kernels round a tie apart, and nowhere else"
    assert sum(sample["exact_match"] for sample in came) > ITEMS


@pytest.mark.parametrize("name", ["transformers", "llama_cpp"])
def test_loglikelihoods_are_those_of_lm_evals_own_model(name, theirs):
    from lm_eval.api.instance import Instance

    task = tasks.load("pocket_chain_think")
    prompt = task.prompt(task.items()[3])
    pairs = [(prompt, " 12"), (prompt + " ", "x"), ("", prompt), (prompt[:20], prompt[20:])]
    requests = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    model = ours(name)
    pairs_of = zip(model.loglikelihood(requests), theirs.loglikelihood(requests, True), strict=True)
    for (value, greedy), (expected, same) in pairs_of:
        assert value == pytest.approx(expected, abs=2e-2) and greedy == same
    rolling = [Instance("loglikelihood_rolling", {}, (prompt,), 0)]
    assert model.loglikelihood_rolling(rolling)[0] == pytest.approx(theirs.loglikelihood_rolling(rolling, True)[0], abs=2e-2)


def test_a_text_longer_than_the_context_is_scored_in_windows_each_token_once():
    """With a model that gives every token the same probability the answer is n log V, however it is cut."""
    from types import SimpleNamespace

    from lm_eval.api.instance import Instance

    class Uniform:
        info = SimpleNamespace(context=8)

        def score(self, tokens):
            assert len(tokens) <= 8
            return np.zeros((len(tokens), 600), np.float32)

    model = quality.EngineLM(Uniform(), prompting.of(store.ROOT / "data/models" / NAME))
    text = "Tom has 23 pears. " * 5
    [value] = model.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (text,), 0)])
    tokens = np.array(model.tok_encode(text))
    assert len(tokens) > 30
    assert value == pytest.approx(-len(tokens) * np.log(600))


def test_a_job_keeps_every_item_and_tells_no_answer_from_a_wrong_one():
    answer = quality.measure_accuracy(variant=NAME, engine="transformers", dtype="float32", threads=1, device="cpu",
                                      tasks=["pocket_chain_think", "pocket_prices"], items_per_depth=ITEMS)
    seen = answer["observations"]
    correct = {(o["domain"], o["mode"], o["depth"], o["item"]): o["value"] for o in seen if o["metric"] == "correct"}
    unanswered = {(o["domain"], o["mode"], o["depth"]): o["value"] for o in seen if o["metric"] == "unanswered"}
    assert len(correct) == (8 + 4) * ITEMS and len(unanswered) == 8 + 4 and len(seen) == len(correct) + len(unanswered)
    assert set(correct.values()) <= {0, 1}
    for cell, missed in unanswered.items():
        right = [value for key, value in correct.items() if key[:3] == cell]
        assert len(right) == ITEMS and 0 <= missed <= ITEMS - sum(right)
    assert {(o["domain"], o["mode"]) for o in seen} == {("chain", "think"), ("prices", "direct")}
    assert sum(value for (domain, *_), value in correct.items() if domain == "chain") > 0


class Silent:
    """An lm-eval model that answers `answer 1` to every other prompt and nothing to the rest."""

    def __init__(self):
        from lm_eval.api.model import LM

        class Model(LM):
            prompt_form = "plain"

            def generate_until(self, requests, disable_tqdm=False):
                return ["\nanswer 1" if i % 2 else "\nhm" for i in range(len(requests))]

            def loglikelihood(self, requests, disable_tqdm=False):
                raise NotImplementedError

            loglikelihood_rolling = loglikelihood

        self.model = Model()


def test_answers_that_cannot_be_read_are_counted_by_cell_and_are_not_correct():
    seen = quality.answer_tasks(Silent().model, {"pocket_prices": [1, 3]}, ITEMS)
    assert {o["depth"]: o["value"] for o in seen if o["metric"] == "unanswered"} == {1: ITEMS / 2, 3: ITEMS / 2}
    answers = {item["id"]: item["answer"] for item in tasks.load("pocket_prices").items()}
    right = {o["item"]: o["value"] for o in seen if o["metric"] == "correct"}
    assert len(right) == 2 * ITEMS
    assert all(value == 0 or answers[item] == "1" for item, value in right.items())


def test_depths_that_a_task_does_not_have_are_refused():
    with pytest.raises(EngineError, match=r"depths: \[9\] asked, the task has none of these"):
        quality.answer_tasks(Silent().model, {"pocket_prices": [1, 9]}, ITEMS)


def test_shapes_unknown_tasks_and_too_few_items_are_refused():
    from edgekit.catalog.models import ModelError

    job = dict(engine="transformers", dtype="float32", threads=1, device="cpu", tasks=["pocket_chain_think"])
    with pytest.raises(TaskError, match="unknown task 'gsm9k'; known: english_agreement, .*pocket_chain_budget_1"):
        tasks.load("gsm9k")
    with pytest.raises(EngineError, match="10000 asked, depth 1 has"):
        quality.measure_accuracy(variant=NAME, items_per_depth=10_000, **job)
    with pytest.raises(ModelError, match="random weights, so accuracy cannot be measured"):
        models.resolve("shape:smollm2-135m").require_weights("accuracy")
