"""The search over chains: its space, its plan from rows, what it is refused, and its tables against the planted truth."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
import rows_07_search as made

from edgekit import params, store
from edgekit.analyze import halving
from edgekit.analyze.retention import retained
from edgekit.compress import variant as variants
from edgekit.measure.device import allowed_threads
from edgekit.params import ParamsError
from edgekit.schema import LOOKUP, NONE, PRUNE_FIRST, QUANTIZE_FIRST
from edgekit.store import Row, Skip, Store
from edgekit.studies.pipeline import jobs_search, plan_search, tables_search
from edgekit.studies.pipeline import plan as study
from edgekit.studies.runner import keys_of

pytestmark = pytest.mark.usefixtures("own_artifacts")

VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    model="pocket-900k", search_weights=["float16", "Q8_0", "Q4_0"], search_prunings=["0.2/0.15"],
    search_orders=[PRUNE_FIRST, QUANTIZE_FIRST],
    search_drafts=["lookup", "pocket-200k"], search_lengths=[2, 4], search_items=[20, 50, 200], search_prompts=[1, 2, 4],
    search_limits_s=[20.0, 40.0, 80.0], search_budget_s=1200.0, threads=1)


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(of):
    return list(plan_search.search_units(of, study.STUDY, study.VERSION))


def named(unit) -> str:
    at = unit.condition
    return tables_search.named(at["weights"], at["pruning"], at["order"], at["draft"], at["length"])


def truth(of, seed: int = 4) -> dict[str, tuple[float, float]]:
    """A planted speed-up and loss of every candidate, by name."""
    rng = random.Random(seed)
    whole, *others = plan_search.space(of)
    speeds = {one.name: round(rng.uniform(0.5, 6), 3) for one in others}  # what is faster tends to lose more
    return {whole.name: (1.0, 0.0)} | {name: (speed, int(speed * rng.uniform(0, 1.5))) for name, speed in speeds.items()}


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
    first, last = (str(variants.parse(chain)) for chain in (first, last))
    assert first.replace("pocket-900k", "pocket-900k > gguf_quantized(type=Q4_0) > dequantized()", 1) == last


def test_no_search_is_planned_where_none_is_asked_for():
    assert planned(config(search_weights=[])) == []
    assert config(search_weights=[], search_items=[], search_prompts=[], search_limits_s=[])


def test_the_first_plan_begins_no_more_than_its_part_of_the_budget_holds():
    units = planned(config())
    assert {unit.condition["rung"] for unit in units} == {0}
    assert len(units) == 20  # of 40: a third of 1,200 s, 20 s each
    assert all(unit.most_s == 20.0 and unit.makes and not unit.shared for unit in units)
    assert units[0].condition["techniques"] == "runtime" and units[0].condition["draft"] == NONE


def test_a_search_finds_what_measuring_all_would_and_measures_half_on_each_rung():
    of = config()
    planted = truth(of)
    found = measured(searched(of, planted))
    assert [len(found[rung]) for rung in range(3)] == [40, 1 + 20, 1 + 10]
    table = tables_search.evaluation_table(store.to_frame(rows_of(of)))
    best = tables_search.best_within(table)
    for loss in tables_search.LOSSES:
        # every answer that is lost is lost of 200, so the upper bound of a planted loss is known too
        able = {name: speed for name, (speed, lost) in planted.items()
                if name != "float16" and upper(lost, of.search_items[-1]) < loss}
        assert best[loss] == max(able, key=able.get)
    assert len(set(best.values())) == 3


def rows_of(of):
    path = store.runs_folder(of.profile) / f"{study.STUDY}.jsonl"
    return store.rows_of(path, store.finished(path)[0].keys())


def upper(lost: float, items: int) -> float:
    right = [1] * (items - round(items * lost / 100)) + [0] * round(items * lost / 100)
    return 100 * (1 - retained(right, [1] * items).low)


def test_a_search_that_is_killed_anywhere_measures_the_same(tmp_path, monkeypatch):
    of = config(search_budget_s=300.0, search_drafts=["lookup"], search_lengths=[2])
    planted, rng = truth(of), random.Random(3)
    expected = measured(searched(of, planted, cost_s=7.0))
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "killed")
    while left := [unit for key, unit in keys_of(study.STUDY, study.VERSION, planned(of)).items()
                   if key not in finished(of) and not unit.refusal]:
        evaluate(of, rng.sample(left, -(-len(left) // 3)), planted, cost_s=7.0)
    assert measured(planned(of)) == expected and expected[2]


def finished(of) -> set:
    return set(store.finished(store.runs_folder(of.profile) / f"{study.STUDY}.jsonl")[0])


def test_for_whom_no_time_was_left_is_told_once_a_rung_and_costs_hold_the_budget():
    of = config(search_budget_s=300.0)
    units = searched(of, truth(of), cost_s=15.0)
    told = [unit for unit in units if unit.refusal]
    assert told and all(unit.planned and "left no time for" in unit.refusal for unit in told)
    first = measured(units)[0]
    assert f"{40 - len(first)} of 40 variants" in told[0].refusal
    assert 15.0 * sum(map(len, measured(units).values())) <= 300.0
    assert not any(name in told[0].refusal.split("variants: ")[1].split("; ") for name in first)


def test_what_fails_goes_no_further_and_stays_in_the_plan():
    of = config()
    planted = truth(of)
    fastest = max(planted, key=lambda name: planted[name][0])
    found = measured(searched(of, planted | {fastest: (9.0, 0)}, failing={fastest}))
    assert fastest in found[0] and fastest not in found[1]


@pytest.mark.parametrize(("changed", "told"), [
    (dict(search_items=[10, 20]), "a value a rung each"),
    (dict(search_items=[20, 10, 200]), "search_items: expected more on each rung"),
    (dict(search_weights=["float32", "Q4_0"]), "search_weights: expected GGUF types or float16"),
    (dict(search_lengths=[]), "search_drafts, search_lengths"),
    (dict(search_budget_s=100.0), "search_budget_s: expected at least the sum"),
    (dict(search_prunings=["0.2"]), "expected heads/mlp"),
    (dict(search_drafts=["pocket-unknown"]), "pocket-unknown"),
    (dict(tasks=[]), "tasks: a search needs problems"),
])
def test_a_search_that_cannot_be_is_refused_by_name(changed, told):
    with pytest.raises(ParamsError, match=told):
        config(**changed)


FRAME = store.to_frame(made.rows())


def test_speed_and_loss_are_the_planted_ones_paired_with_the_whole_model():
    table = tables_search.evaluation_table(FRAME).set_index(["name", "rung"])
    assert len(table) == 6 + 4
    for what, (speed_up, loss) in made.TRUTH.items():
        line = table.loc[tables_search.named(*what), 0]
        assert line.speed_up == pytest.approx(speed_up) and line.prompts == 4 and line.n == made.ITEMS[0]
        assert line.tok_per_s == pytest.approx(4 * made.WRITTEN * speed_up / (made.PROMPT_S * (1 + 2 + 3 + 4)))
        assert line.loss == pytest.approx(round(made.ITEMS[0] * loss / 100) / made.ITEMS[0] * 100)
    last = table.loc["pruned 0.2/0.15 > Q4_0", 1]
    assert last.loss == pytest.approx(2.5) and last.loss_high == pytest.approx(upper(2.5, 400))
    assert list(table.reference[table.reference].index) == [("float16", 0), ("float16", 1)]


def test_the_fastest_within_each_loss_is_known_to_lose_less():
    table = tables_search.choice_table(FRAME).set_index("within")
    assert {loss: table["name"][loss] for loss in (1.0, 3.0, 5.0)} == {
        1.0: "Q8_0", 3.0: "Q4_0", 5.0: "pruned 0.2/0.15 > Q4_0"}
    assert (table.loss_high < table.index).all() and table.speed_up[5.0] == pytest.approx(2.4)


def test_why_a_variant_did_not_go_on_is_said():
    table = tables_search.search_table(FRAME).set_index("name")
    assert table.dropped["Q4_0 > pruned 0.2/0.15, lookup drafts 2"] == tables_search.TOO_LOSSY
    assert table.dropped["float16, lookup drafts 4"] == tables_search.TOO_SLOW
    assert set(table.dropped[table.rung == 1]) == {""} and table.chosen["Q4_0"] == "3"
    failed = [row for row in made.rows() if not (row.condition["weights"] == "Q8_0" and row.condition["rung"])]
    table = tables_search.search_table(store.to_frame(failed)).set_index("name")
    assert table.dropped["Q8_0"] == tables_search.NOT_REACHED


def test_without_a_right_answer_of_the_whole_model_no_loss_is_known_and_nothing_is_chosen():
    rows = [dataclasses.replace(row, value=0) if row.metric == "correct" else row for row in made.rows()]
    table = tables_search.evaluation_table(store.to_frame(rows))
    assert table.loss.isna().all()
    assert all(math.isinf(one.high) and math.isinf(one.low) for one in tables_search.seen(table).values())
    assert set(tables_search.best_within(table).values()) == {None}
    assert set(tables_search.choice_table(store.to_frame(rows))["name"]) == {NONE}


def test_a_rung_says_which_bounds_it_cannot_meet():
    table = tables_search.rung_table(FRAME)
    assert list(table.variants) == [6, 4] and list(table.n) == list(made.ITEMS)
    assert list(table.minutes) == [6 * made.COST_S[0] / 60, 4 * made.COST_S[1] / 60]
    assert table.least[0] == pytest.approx(upper(0, 20)) and table.least[1] == pytest.approx(upper(0, 400)) and \
        table.least[1] < 1 < table.least[0]


def test_tables_of_a_run_without_a_search_are_empty():
    other = store.to_frame([Row("r", made.STUDY, dict(task="stages", model="m"), "request_s", 1.0)])
    for table in (tables_search.evaluation_table, tables_search.search_table, tables_search.choice_table,
                  tables_search.rung_table):
        assert table(other).empty and len(table(other).columns)


def test_the_job_writes_all_its_tokens_and_asks_every_problem():
    of = dict(variant="pocket-200k > gguf(dtype=float16)", engine="llama_cpp", dtype="float16", threads=allowed_threads(),
              device="cpu", domains=["chain think"], prompts=2, output_tokens=6, tasks={"pocket_chain_think": [1]},
              items_per_depth=3)
    plain = jobs_search.measure_candidate(draft=NONE, draft_variant=NONE, length=0, **of)["observations"]
    drafted = jobs_search.measure_candidate(draft=LOOKUP, draft_variant=LOOKUP, length=2, **of)["observations"]
    for seen in (plain, drafted):
        values = {name: [one["value"] for one in seen if one["metric"] == name] for name in {one["metric"] for one in seen}}
        assert set(values) == {"request_s", "correct", "artifact_bytes", "evaluate_s"}
        assert len(values["request_s"]) == 2 and min(values["request_s"]) > 0 and len(values["correct"]) == 3
        assert values["evaluate_s"][0] > sum(values["request_s"]) and values["artifact_bytes"][0] > 2e5
        assert {one["written"] for one in seen if one["metric"] == "request_s"} == {6}


def test_what_the_plan_decides_on_is_what_is_shown():
    """The same function reads the rows for the plan and for the figure, so the choices are halving's own."""
    table = tables_search.evaluation_table(FRAME)
    last = {name: one for (name, rung), one in tables_search.seen(table).items() if rung == 1 and name != "float16"}
    assert [halving.chosen(last, loss) for loss in tables_search.LOSSES] == list(tables_search.best_within(table).values())
