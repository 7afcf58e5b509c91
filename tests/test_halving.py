"""Successive halving: against measuring everything, within its budget whatever evaluations take, the same after a kill."""

from __future__ import annotations

import random

import pytest

from edgekit.analyze import halving
from edgekit.analyze.halving import Schedule, Seen

LOSSES = (1.0, 3.0, 5.0)
RUNGS = 3


def schedule(**changed) -> Schedule:
    return Schedule(**dict(most_s=(2.0, 4.0, 8.0), keep=0.5, losses=LOSSES, budget_s=1000.0) | changed)


def truth(names: int, seed: int) -> dict[str, tuple[float, float]]:
    """Speed and loss of a synthetic space: what is faster tends to lose more."""
    rng = random.Random(seed)
    found = {"whole": (1.0, 0.0)}
    for i in range(names):
        speed = rng.uniform(1.1, 10)
        found[f"v{i:02}"] = (speed, rng.uniform(0, 1.2 * speed))
    return found


def evaluator(space, took=lambda name, rung: 1.0, half=0.0):
    """Evaluations whose interval of the loss holds the true one, which lies anywhere in it; `half`: its half width on the first
    rung, a quarter of it on each next."""
    def evaluate(name, rung):
        speed, loss = space[name]
        wide = half / 4**rung
        middle = loss + wide * random.Random(f"{name} {rung}").uniform(-1, 1)
        return Seen(speed, middle, middle - wide, middle + wide, took(name, rung))
    return evaluate


def exhaustive(space, evaluate):
    """The fastest within each loss by brute force, all of them measured as well as on the last rung."""
    last = {name: evaluate(name, RUNGS - 1) for name in space if name != "whole"}
    return [max((name for name, one in last.items() if one.high < loss), key=lambda name: last[name].speed, default=None)
            for loss in LOSSES]


def choices(seen):
    last = {name: one for (name, rung), one in seen.items() if rung == RUNGS - 1 and name != "whole"}
    return [halving.chosen(last, loss) for loss in LOSSES]


@pytest.mark.parametrize("seed", range(8))
def test_with_losses_that_are_known_it_chooses_what_measuring_everything_would(seed):
    space = truth(24, seed)
    state, seen = halving.search(list(space), schedule(), evaluator(space))
    assert choices(seen) == exhaustive(space, evaluator(space))
    assert state.unreached == ((), (), ()) and len(seen) < RUNGS * len(space) * 0.7


def test_with_losses_that_are_not_it_mostly_does_and_never_takes_what_loses_more():
    same = 0
    for seed in range(20):
        space = truth(24, seed)
        evaluate = evaluator(space, half=1.0)
        found, best = choices(halving.search(list(space), schedule(), evaluate)[1]), exhaustive(space, evaluate)
        for name, other, loss in zip(found, best, LOSSES, strict=True):
            assert name is None or (space[name][1] < loss and space[name][0] <= space[other][0])
            same += name == other
    assert 54 <= same < 60  # of 60


def test_what_is_known_to_lose_more_than_all_that_may_be_lost_does_not_go_on():
    lossy = Seen(100.0, 7.05, 5.1, 9.0, 1.0)
    slow = Seen(1.0, 4.5, 0.0, 9.0, 1.0)
    assert halving.promoted({"lossy": lossy, "slow": slow}, 0.5, LOSSES) == ("slow",)
    assert halving.promoted({"lossy": lossy}, 0.5, LOSSES) == ()
    assert halving.promoted({"failed": None, "slow": slow}, 0.5, LOSSES) == ("slow",)


def test_each_loss_keeps_its_fastest():
    seen = {"a": Seen(9.0, 5, 4.0, 6.0, 1.0), "b": Seen(8.0, 3, 2.0, 4.0, 1.0), "c": Seen(2.0, 0.25, 0.0, 0.5, 1.0),
            "d": Seen(8.5, 4.25, 4.0, 4.5, 1.0), "e": Seen(7.0, 4.25, 4.0, 4.5, 1.0), "f": Seen(1.0, 0.1, 0.0, 0.2, 1.0)}
    assert halving.promoted(seen, 0.5, LOSSES) == ("c", "b", "a")  # and not the three fastest
    assert [halving.chosen(seen, loss) for loss in (0.1, 1.0, 3.0, 5.0)] == [None, "c", "c", "d"]


def test_a_bound_that_is_reached_is_not_kept_to():
    assert halving.chosen({"a": Seen(2.0, 1.5, 0.0, 3.0, 1.0)}, 3.0) is None
    assert halving.chosen({"a": Seen(2.0, 1.4995, 0.0, 2.999, 1.0)}, 3.0) == "a"


def test_equals_go_by_loss_and_then_by_name_whatever_their_order():
    one = {"b": Seen(2.0, 0.5, 0.0, 1.0, 1.0), "a": Seen(2.0, 0.5, 0.0, 1.0, 1.0), "c": Seen(2.0, 0.25, 0.0, 0.5, 1.0)}
    other = dict(reversed(one.items()))
    assert halving.promoted(one, 0.9, LOSSES) == halving.promoted(other, 0.9, LOSSES) == ("c", "a", "b")
    assert halving.chosen(one, 3.0) == halving.chosen(other, 3.0) == "c"


@pytest.mark.parametrize("budget", [14.0, 20.0, 33.0, 47.0, 80.0, 200.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_budget_holds_whatever_evaluations_take(budget, seed):
    space, rng, limits = truth(20, seed), random.Random(seed), schedule().most_s
    spent = []

    def took(name, rung):
        spent.append(rng.choice([0.1, 0.5, 1.0]) * limits[rung])
        return spent[-1]

    state, seen = halving.search(list(space), schedule(budget_s=budget), evaluator(space, took))
    assert 0 < sum(spent) <= budget
    assert state.spent_s == pytest.approx(sum(spent))
    evaluated = {name for name, rung in seen if rung == 0}
    assert evaluated | set(state.unreached[0]) == set(space) and not evaluated & set(state.unreached[0])


def test_a_failed_evaluation_is_taken_to_cost_all_of_its_time_and_goes_no_further():
    space = truth(6, 1)
    state, seen = halving.search(list(space), schedule(), lambda name, rung: None if name == "v01" else
                                 evaluator(space)(name, rung))
    assert seen["v01", 0] is None and ("v01", 1) not in seen
    assert state.spent_s == pytest.approx(2.0 + sum(1.0 for one in seen.values() if one is not None))


def test_without_the_whole_model_nothing_goes_on():
    space = truth(6, 1)
    state, seen = halving.search(list(space), schedule(), lambda name, rung: None if name == "whole" else
                                 evaluator(space)(name, rung))
    assert state.rung == 0 and {rung for _, rung in seen} == {0}


@pytest.mark.parametrize("seed", range(5))
def test_a_search_that_is_killed_anywhere_ends_as_one_that_is_not(seed):
    """Killed within a batch, which was run in another order, with some evaluations done and others not."""
    space, tight, rng = truth(16, seed), schedule(budget_s=60.0), random.Random(seed)
    evaluate = evaluator(space, lambda name, rung: 0.3 + (hash_of(name) % 7) / 10)
    whole, expected = halving.search(list(space), tight, evaluate)
    seen = {}
    while (now := halving.state(list(space), tight, seen)).ahead:
        batch = rng.sample(now.ahead, rng.randint(1, len(now.ahead)))
        seen |= {(name, now.rung): evaluate(name, now.rung) for name in batch}
    assert (seen, now) == (expected, whole)


def hash_of(name: str) -> int:
    return sum(map(ord, name))


def test_the_same_rows_give_the_same_decisions():
    space = truth(16, 3)
    state, seen = halving.search(list(space), schedule(), evaluator(space))
    assert halving.state(list(space), schedule(), dict(reversed(seen.items()))) == state


@pytest.mark.parametrize("wrong", [dict(budget_s=13.9), dict(keep=1.0), dict(keep=0.0), dict(losses=()), dict(most_s=()),
                                   dict(most_s=(0.0,))])
def test_a_schedule_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        schedule(**wrong)


@pytest.mark.parametrize("space", [[], ["a", "a"]])
def test_a_space_names_each_candidate_once(space):
    with pytest.raises(ValueError, match="each once"):
        halving.state(space, schedule(), {})
