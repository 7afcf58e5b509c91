"""What 11_routing measures beside recorded answers: an estimator by cross-validation, and the replay of published answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit import progress
from edgekit.catalog import recorded_answers
from edgekit.measure import answers
from edgekit.route import estimator
from edgekit.route.estimator import EstimatorError, Examples
from edgekit.schema import FOLDS, TEXT, UNKNOWN
from edgekit.studies.routing import jobs_endpoint


def measure_estimator(*, edge: dict, cloud: dict, tasks: list[str], features: str, folds: int, steps: int, seed: int,
                      threads: int, device: str, left_out: bool) -> dict:
    """A worker's job: an estimator learnt from the recorded answers of two models (fields of Recording) to tasks, by
    cross-validation.

    Observations of each item, never by weights that saw it: edge_p, cloud_p (calibrated), coverage, depth_steps and
    query_characters, with its fold; and where `left_out`, the same of each task's items by an estimator that saw none of that
    task (protocol: unknown). Raises EstimatorError for a device that is always right or always wrong in a part of the items.
    """
    one, other = answers.of_tasks(edge, tasks), (jobs_endpoint if "endpoint" in cloud else answers).of_tasks(cloud, tasks)
    by_item = {(answer.task_name, answer.item): answer for answer in other}
    pairs = [(answer, by_item[answer.task_name, answer.item]) for answer in one]
    sure = np.array([[answer.mean_log_p, answer.worst_log_p] if features != TEXT else [] for answer, _ in pairs], dtype=float)
    examples = Examples([answer.query for answer, _ in pairs], np.array([answer.score for answer, _ in pairs]),
                        np.array([answer.score for _, answer in pairs]),
                        np.array([np.nan if answer.depth is None else answer.depth for answer, _ in pairs]),
                        sure.reshape(len(pairs), -1))
    at = [answer.at for answer, _ in pairs]
    seen, warnings = list(_by_folds(examples, at, [answer.item for answer, _ in pairs], folds, steps, seed, threads)), []
    if left_out:
        more, warnings = _by_tasks(examples, at, [answer.task_name for answer, _ in pairs], steps, seed, threads)
        seen += more
    return dict(observations=seen, warnings=warnings)


def measure_replayed(*, name: str, items: int, folds: int, steps: int, seed: int, threads: int, device: str) -> dict:
    """A worker's job: an estimator learnt from published answers of a weak and a strong model, by cross-validation.

    Observations as those of measure_estimator, from the text alone, and `correct` of either model (`model`). items: a draw of
    them, 0 for all. Raises DataError and EstimatorError.
    """
    queries = recorded_answers.load(name)
    if items:
        chosen = np.random.default_rng(seed).permutation(len(queries))[:items]
        queries = [queries[i] for i in sorted(chosen)]
    examples = Examples([one.query for one in queries], np.array([one.weak for one in queries]),
                        np.array([one.strong for one in queries]), np.full(len(queries), np.nan), np.zeros((len(queries), 0)))
    at = [dict(task_name=name, domain=one.domain, item=one.item) for one in queries]
    seen = [dict(metric="correct", value=value, of=of, **where) for one, where in zip(queries, at, strict=True)
            for of, value in (("edge", one.weak), ("cloud", one.strong))]
    return dict(observations=[*seen, *_by_folds(examples, at, [one.item for one in queries], folds, steps, seed, threads)])


def _by_folds(examples: Examples, at: Sequence[dict], groups: Sequence[str], folds: int, steps: int, seed: int,
              threads: int) -> Iterator[dict]:
    """Every item judged by an estimator of the other folds, one of which calibrates it; items of one group share a fold."""
    fold = folds_of(groups, folds, seed)
    for number in range(folds):
        held_out = fold == (number + 1) % folds
        yield from _judged(examples, at, (fold != number) & ~held_out, held_out, fold == number, steps, seed + number, threads,
                           dict(protocol=FOLDS, fold=number))


def _by_tasks(examples: Examples, at: Sequence[dict], tasks: Sequence[str], steps: int, seed: int,
              threads: int) -> tuple[list[dict], list[str]]:
    """Every task's items judged by an estimator of the other tasks, of whose items a fifth calibrates it; and which tasks leave
    nothing to learn from when they are left out."""
    tasks, calibrates = np.array(tasks), folds_of(range(len(tasks)), 5, seed) == 0
    seen, told = [], []
    for task in dict.fromkeys(tasks.tolist()):
        others = tasks != task
        try:
            seen += _judged(examples, at, others & ~calibrates, others & calibrates, ~others, steps, seed, threads,
                            dict(protocol=UNKNOWN))
        except EstimatorError as error:
            told.append(f"without {task} nothing could be learnt: {error}")
    return seen, told


def folds_of(groups: Sequence, folds: int, seed: int) -> np.ndarray:
    """A fold, 0 to folds - 1, for each item: drawn, as even as can be over the groups, and the same within a group."""
    names = list(dict.fromkeys(groups))
    drawn = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % folds, strict=True))
    return np.array([drawn[group] for group in groups])


def _judged(examples: Examples, at: Sequence[dict], learns: np.ndarray, calibrates: np.ndarray, asked: np.ndarray, steps: int,
            seed: int, threads: int, told: dict) -> Iterator[dict]:
    import torch

    torch.set_num_threads(threads)
    learnt, held_out, rest = (examples.some(np.flatnonzero(part)) for part in (learns, calibrates, asked))
    model = estimator.train(learnt, held_out, seed, steps)
    progress.step()
    for place, text, found in zip(np.flatnonzero(asked), rest.texts, model.judge_all(rest.texts, rest.confidence), strict=True):
        values = dict(edge_p=found.edge, cloud_p=found.cloud, coverage=found.coverage, depth_steps=found.depth,
                      query_characters=len(text))
        for metric, value in values.items():
            yield dict(metric=metric, value=value, **at[place], **told)
