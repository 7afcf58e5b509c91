"""The search over chains: its space, its plan from rows, what it is refused, and its tables against the planted truth."""

from __future__ import annotations

import random

import pytest
import rows_07_search as made

from edgekit import params, store
from edgekit.compress import variant as variants
from edgekit.schema import NONE, PRUNE_FIRST, QUANTIZE_FIRST
from edgekit.store import Row, Skip, Store
from edgekit.studies.pipeline import plan as study
from edgekit.studies.pipeline import plan_search, tables_search
from edgekit.studies.runner import keys_of

VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    model="pocket-900k",
    search_weights=["float16", "Q8_0", "Q4_0"], search_prunings=["0.2/0.15"], search_orders=[PRUNE_FIRST, QUANTIZE_FIRST],
    search_drafts=["lookup", "pocket-200k"], search_lengths=[2, 4], search_items=[20, 100, 400], search_prompts=[1, 2, 4],
    search_limits_s=[20.0, 40.0, 80.0], search_budget_s=1200.0, threads=1)


@pytest.fixture(autouse=True)
def own_output(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path)


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(of, study_plan=plan_search.search_units):
    return list(study_plan(of, study.STUDY, study.VERSION))


def named(unit) -> str:
    at = unit.condition
    return tables_search.named(at["weights"], at["pruning"], at["order"], at["draft"], at["length"])


def truth(of, seed: int = 1) -> dict[str, tuple[float, float]]:
    """A planted speed-up and loss of every candidate, by name."""
    rng = random.Random(seed)
    whole, *others = plan_search.space(of)
    return {whole.name: (1.0, 0.0)} | {one.name: (round(rng.uniform(0.5, 6), 3), rng.choice([0, 0, 1, 2, 4, 8]))
                                       for one in others}


def evaluate(of, units, planted, cost_s=1.0, failing=()):
    """Write the rows that the units' jobs would, into the profile's file, where they have none."""
    with Store(store.runs_folder(of.profile) / f"{study.STUDY}.jsonl") as file:
        for key, unit in keys_of(study.STUDY, study.VERSION, units).items():
            if key in file.done or unit.refusal:
                continue
            if named(unit) in failing:
                file.skip(Skip("run-1", study.STUDY, unit.condition, "the process was killed", False, key, True))
                continue
            rung = unit.condition["rung"]
            seen = made.evaluation(*planted[named(unit)], rung, of.search_items[rung], cost_s)
            file.append(key, [Row("run-1", study.STUDY, unit.condition | {
                name: value for name, value in one.items() if name not in ("metric", "value")}, one["metric"], one["value"])
                for one in seen], cost_s)


def searched(of, planted, **how) -> list:
    """Units of a search that was run to its end, a plan after the other."""
    units = planned(of)
    while True:
        evaluate(of, units, planted, **how)
        more = planned(of)
        if {named_at(unit) for unit in more} == {named_at(unit) for unit in units}:
            return more
        units = more


def named_at(unit) -> tuple:
    return tuple(sorted((name, str(value)) for name, value in unit.condition.items()))


def measured(units) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for unit in units:
        if not unit.refusal:
            found.setdefault(unit.condition["rung"], set()).add(named(unit))
    return found


def test_the_space_holds_every_chain_once_the_whole_model_first():
    found = plan_search.space(config())
    # 3 kinds of weights plain, and pruned in both orders where they are rounded; each alone and with two drafts of two lengths
    assert len(found) == len({one.name for one in found}) == (3 + 1 + 2 * 2) * (1 + 2 * 2)
    assert found[0] == plan_search.Candidate("float16")
    assert plan_search.space(config(seed=1)) != found and set(plan_search.space(config(seed=1))) == set(found)
    assert plan_search.space(config()) == found


def test_the_order_of_a_chain_is_that_of_its_steps():
    of = config()
    first, last = (plan_search.Candidate("Q4_0", "0.2/0.15", order).chain(of) for order in (PRUNE_FIRST, QUANTIZE_FIRST))
    steps = [[step.name for step in variants.parse(chain).steps] for chain in (first, last)]
    assert steps == [["pruned", "refitted", "gguf_quantized"],
                     ["gguf_quantized", "dequantized", "pruned", "refitted", "gguf_quantized"]]
    rounded = first.replace("pocket-900k", "pocket-900k > gguf_quantized(type=Q4_0) > dequantized()", 1)
    assert str(variants.parse(rounded)) == str(variants.parse(last))


def test_no_search_is_planned_where_none_is_asked_for():
    assert planned(config(search_weights=[])) == []
    assert config(search_weights=[], search_items=[], search_prompts=[], search_limits_s=[])


def test_the_first_plan_begins_no_more_than_its_part_of_the_budget_holds():
    units = planned(config())
    assert {unit.condition["rung"] for unit in units} == {0}
    assert len(units) == 20  # of 40: a third of 1,200 s, 20 s each
    assert all(unit.most_s == 20.0 and unit.makes and not unit.shared for unit in units)
    assert units[0].condition["techniques"] == "runtime" and units[0].condition["draft"] == NONE
