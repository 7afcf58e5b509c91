"""The estimator: about 2 million weights that say, from the text of a query, whether the device's answer will be right.

Hashed n-grams are summed in an embedding and go through one hidden layer. Beside it stand three numbers that the document
names: input length, domain coverage, and an estimate of the reasoning depth, which is a head of its own, trained where depths
are known. Two heads say whether the device and the cloud will be right. With the confidence of the device's own answer, its
numbers are two inputs more. Probabilities are calibrated on queries that the weights were not trained on (Platt 1999), by a
slope that is never negative, so that calibration does not change an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import optimize, special
from torch import nn

from edgekit.errors import InvalidRequest
from edgekit.route.features import BUCKETS, Known, Query, read

WIDTH, HIDDEN = 60, 128
NUMBERS = 4  # logarithms of characters, words and numerals, and coverage; the depth comes from its head
STEPS, BATCH, RATE, DECAY, DROPOUT = 150, 64, 1e-2, 1e-2, 0.5
# Embeddings follow the plain gradient: steps of equal size, as Adam takes them, learn rare n-grams by heart. For the same end
# half of a query's n-grams are left out in each step.
RATE_OF_GRAMS, KEPT_GRAMS = 1.0, 0.5
OF_DEPTH = 0.3  # weight of the depth head's loss
FURTHEST = 3.0  # standard deviations to which number inputs count: a query of another kind is not infinitely strange


class EstimatorError(InvalidRequest):
    """Nothing can be learnt from what was recorded; the message says why."""


@dataclass(frozen=True)
class Examples:
    """Recorded queries to learn from, n of each: texts; whether device and cloud had them right (0 or 1); depth in steps, NaN
    where none is known; confidence (n, k), k = 0 for the text alone."""

    texts: Sequence[str]
    edge: np.ndarray
    cloud: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray

    def some(self, places: np.ndarray) -> Examples:
        return Examples([self.texts[i] for i in places], self.edge[places], self.cloud[places], self.depth[places],
                        self.confidence[places])


@dataclass(frozen=True)
class Judgement:
    """What the estimator says of a query: probabilities that the device and the cloud have it right, its coverage by training
    queries (0 to 1), and its depth in steps."""

    edge: float
    cloud: float
    coverage: float
    depth: float


class _Net(nn.Module):
    def __init__(self, inputs: int):
        super().__init__()
        self.bag = nn.EmbeddingBag(BUCKETS, WIDTH, mode="sum", sparse=True)
        nn.init.normal_(self.bag.weight, std=0.1)
        self.hidden = nn.Linear(WIDTH, HIDDEN)
        self.depth = nn.Linear(HIDDEN + NUMBERS, 1)
        self.right = nn.Linear(HIDDEN + NUMBERS + 1 + inputs, 2)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, grams, offsets, shares, numbers):
        """(logits of right answers (n, 2), log2 of depths (n,)). shares: of each n-gram in its query's sum. numbers: (n,
        NUMBERS + inputs), those of _numbers."""
        h = self.drop(torch.relu(self.hidden(self.bag(grams, offsets, shares))))
        depth = self.depth(torch.cat([h, numbers[:, :NUMBERS]], dim=1))[:, 0]
        return self.right(torch.cat([h, numbers, depth.detach()[:, None]], dim=1)), depth


@dataclass(frozen=True)
class Estimator:
    """A trained estimator. scale: mean and standard deviation of its number inputs. platt: slope and offset of the logit of
    each head."""

    net: nn.Module
    known: Known
    scale: tuple[np.ndarray, np.ndarray]
    platt: np.ndarray

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(one.numel() for one in self.net.parameters())

    def judge(self, text: str, confidence: Sequence[float] = ()) -> Judgement:
        """One query. Raises QueryError for one that has no text."""
        return self.judge_all([text], np.asarray([confidence], dtype=float))[0]

    def judge_all(self, texts: Sequence[str], confidence: np.ndarray) -> list[Judgement]:
        """Each of n queries; confidence: (n, k) as in training. Raises QueryError."""
        queries = [read(text) for text in texts]
        coverage = np.array([self.known.coverage(query) for query in queries])
        logits, depth = self._logits(queries, coverage, confidence)
        right = special.expit(logits * self.platt[:, 0] + self.platt[:, 1])
        return [Judgement(float(edge), float(cloud), float(share), float(2.0**steps)) for (edge, cloud), share, steps in
                zip(right, coverage, depth, strict=True)]

    def _logits(self, queries: Sequence[Query], coverage: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        numbers = _scaled(_numbers(queries, coverage, confidence), self.scale)
        with torch.inference_mode():
            logits, depth = self.net(*_tensors([query.grams for query in queries], numbers))
        return logits.double().numpy(), depth.double().numpy()


def train(examples: Examples, held_out: Examples, seed: int, steps: int = STEPS) -> Estimator:
    """An estimator of `steps` batches of `examples`, calibrated on `held_out`. Raises EstimatorError where the device's answers
    in either are all right or all wrong, QueryError."""
    require_two_classes(examples.edge)
    require_two_classes(held_out.edge)
    queries = [read(text) for text in examples.texts]
    known = Known.of(queries)
    numbers = _numbers(queries, np.array([known.coverage(query, own=True) for query in queries]), examples.confidence)
    scale = numbers.mean(axis=0), numbers.std(axis=0) + 1e-6
    numbers = _scaled(numbers, scale)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _Net(numbers.shape[1] - NUMBERS)
        others = [one for name, one in net.named_parameters() if not name.startswith("bag")]
        optimizers = {RATE: torch.optim.AdamW(others, weight_decay=DECAY), RATE_OF_GRAMS: torch.optim.SGD(net.bag.parameters())}
        right = torch.from_numpy(np.stack([examples.edge, examples.cloud], axis=1).astype(np.float32))
        depths = torch.from_numpy(np.log2(examples.depth).astype(np.float32))
        for step in range(steps):
            at = rng.integers(len(queries), size=BATCH)
            logits, depth = net(*_tensors([_thinned(queries[i].grams, rng) for i in at], numbers[at]))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, right[at])
            told = ~torch.isnan(depths[at])
            if told.any():
                loss = loss + OF_DEPTH * nn.functional.mse_loss(depth[told], depths[at][told])
            net.zero_grad()
            loss.backward()
            for rate, optimizer in optimizers.items():
                optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
                optimizer.step()
    net.eval()
    raw = Estimator(net, known, scale, np.array([[1.0, 0.0], [1.0, 0.0]]))
    asked = [read(text) for text in held_out.texts]
    logits, _ = raw._logits(asked, np.array([known.coverage(query) for query in asked]), held_out.confidence)
    return replace(raw, platt=np.array([platt(logits[:, i], one) for i, one in enumerate((held_out.edge, held_out.cloud))]))


def require_two_classes(labels: np.ndarray) -> None:
    """Raise EstimatorError for labels of one class: nothing can be learnt from them, and nothing told apart."""
    found = np.unique(labels)
    if len(found) < 2:
        raise EstimatorError(f"labels: expected right and wrong answers of the device, got {len(labels)} of one kind "
                             f"({', '.join(f'{one:g}' for one in found) or 'none'}); ask harder, easier or more items")


def platt(logits: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope (at least 0) and offset that make logits the likeliest log-odds of outcomes, with Platt's targets, which are never
    0 or 1 (Platt 1999, section 2.2)."""
    hits, n = right.sum(), len(right)
    target = np.where(right == 1, (hits + 1) / (hits + 2), 1 / (n - hits + 2))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        z = values[0] * logits + values[1]
        off = special.expit(z) - target
        return float((np.logaddexp(0, z) - target * z).mean()), np.array([(off * logits).mean(), off.mean()])

    found = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def untrained(seed: int) -> Estimator:
    """An estimator of the text alone that has learnt nothing: it takes as long as any."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _Net(0).eval()
    return Estimator(net, Known.of([]), (np.zeros(NUMBERS), np.ones(NUMBERS)), np.array([[1.0, 0.0], [1.0, 0.0]]))


def _numbers(queries: Sequence[Query], coverage: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(n, NUMBERS + k): the length in characters, words and numerals, as logarithms, coverage, and what the confidence has."""
    return np.column_stack([np.log1p([(query.characters, query.length, query.numerals) for query in queries]), coverage,
                            confidence])


def _scaled(numbers: np.ndarray, scale: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.clip((numbers - scale[0]) / scale[1], -FURTHEST, FURTHEST)


def _thinned(grams: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kept = grams[rng.random(len(grams)) < KEPT_GRAMS]
    return kept if len(kept) else grams


def _tensors(grams: Sequence[np.ndarray], numbers: np.ndarray) -> tuple[torch.Tensor, ...]:
    """The inputs of the net: n-grams of all queries in a row, where each query begins, their shares, and the numbers. A sum of
    n n-grams is divided by the root of n, so that its size does not depend on n."""
    sizes = np.array([len(one) for one in grams])
    return (torch.from_numpy(np.concatenate(grams)), torch.from_numpy(np.cumsum(sizes) - sizes),
            torch.from_numpy(np.repeat(1 / np.sqrt(sizes), sizes).astype(np.float32)),
            torch.from_numpy(np.asarray(numbers, dtype=np.float32)))
