"""Two folders of rows: planted changes are found, chance is not, and rows of two protocols are refused by name."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats as distributions

from edgekit import cli, committed, provenance, store, studies
from edgekit.analyze import protocol
from edgekit.compare import comparison, effects, environment, join, text

STUDY = "02_baseline"
SPEED = {"task": "speed", "model": "shape:qwen2.5-0.5b", "engine": "llama_cpp", "dtype": "float16", "device": "cpu", "batch": 1}
NOISE = 0.01  # standard deviation of a time, of its mean: what a quiet machine has


def samples(values, condition=SPEED):
    return join.Samples(condition, {(repeat, ((), ())): value for repeat, value in enumerate(values)})


def times(rng, n: int, factor: float = 1.0):
    return factor * np.exp(rng.normal(0, NOISE, n))


def planted(rng, factor: float, n: int = 10):
    return effects.effect(("ttft_s", ()), samples(times(rng, n)), samples(times(rng, n, factor)))


def test_a_planted_change_of_5_percent_is_found_and_none_is_not():
    """Over 400 pairs of 10 repeats each with a spread of 1 %: the change is found in all but a few (its power is above 0.999),
    its interval holds the truth in 95 %, and what did not change is told in 5 %, up to the noise of 400 draws."""
    rng = np.random.default_rng(1)
    slower = [planted(rng, 1.05) for _ in range(400)]
    same = [planted(rng, 1.0) for _ in range(400)]
    assert sum(one.p < 0.05 for one in slower) >= 398
    assert np.mean([one.estimate.value for one in slower]) == pytest.approx(1.05, abs=0.001)
    for pairs, truth in ((slower, 1.05), (same, 1.0)):
        held = sum(one.estimate.low <= truth <= one.estimate.high for one in pairs)
        assert 366 <= held <= 394  # binomial(400, 0.95), four standard deviations to either side
    told = sum(one.p < 0.05 for one in same)
    assert 3 <= told <= 38


def test_over_many_cells_chance_is_told_in_a_twentieth_of_the_comparisons_and_of_what_is_told():
    """100 comparisons of 60 cells: without any change one in twenty tells some (each cell alone would be told in 95 of 100);
    with ten changed cells at most a twentieth of what is told is none, and the ten are found."""
    rng = np.random.default_rng(2)
    false_alarms, uncorrected, wrong, right = 0, 0, [], 0
    for _ in range(100):
        nothing = [planted(rng, 1.0, 5) for _ in range(60)]
        false_alarms += any(effects.changed(nothing))
        uncorrected += any(one.p < 0.05 for one in nothing)
        some = [planted(rng, 1.05, 5) for _ in range(10)] + nothing[10:]
        told = effects.changed(some)
        right += sum(told[:10])
        wrong.append(sum(told[10:]) / max(sum(told), 1))
    assert uncorrected > 85 and false_alarms <= 14  # binomial(100, 0.05), four standard deviations above
    assert np.mean(wrong) <= 0.05 and right >= 950


@pytest.mark.parametrize("positive", [True, False], ids=["ratio", "difference"])
def test_intervals_and_probabilities_are_those_of_welchs_test(positive):
    rng = np.random.default_rng(3)
    a, b = (rng.normal(2 if positive else 0, spread, n) for spread, n in ((0.1, 6), (0.3, 9)))
    found = effects.effect(("ttft_s", ()), samples(a), samples(b))
    scale, back = (np.log, math.exp) if positive else (np.asarray, float)
    oracle = distributions.ttest_ind(scale(b), scale(a), equal_var=False)
    ends = oracle.confidence_interval()
    assert found.kind == ("ratio" if positive else "difference") and found.p == pytest.approx(oracle.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((back(ends.low), back(ends.high)))


def test_items_are_paired_and_answers_are_judged_by_mcnemars_exact_test():
    def answers(values):
        return join.Samples({"item": "x"}, {(0, (("item",), (str(item),))): value for item, value in enumerate(values)})

    before, after = [1] * 20 + [0] * 20, [1] * 20 + [1] * 9 + [0] * 11
    found = effects.effect(("correct", ()), answers(before), answers(after))
    assert found.p == pytest.approx(2 * 0.5**9) and found.estimate.value == pytest.approx(9 / 40) and found.kind == "difference"
    assert effects.effect(("correct", ()), answers(before), answers(before)).p == 1
    losses = [2.0, 3.0, 5.0, 4.0]
    shifted = effects.effect(("nll_nats", ()), answers(losses), answers([1.01 * one for one in losses]))
    assert shifted.estimate.value == pytest.approx(1.01) and shifted.p < 1e-9, "the texts are paired: only the change is left"
    assert effects.effect(("nll_nats", ()), answers(losses), answers(losses)).p == 1
    half = effects.effect(("correct", ()), answers(before), answers(after[:30]))
    assert half.lone == 10 and half.estimate.n == 30


def test_one_sample_a_side_decides_nothing():
    one = effects.effect(("artifact_bytes", ()), samples([100.0]), samples([105.0]))
    assert one.p is None and one.estimate.low is None and effects.changed([one]) == [False]
    assert effects.effect(("ttft_s", ()), samples([2.0, 2.0]), samples([2.0, 2.0])).p == 1
    assert effects.effect(("ttft_s", ()), samples([2.0, 2.0]), samples([2.1, 2.1])).p == 0


def manifest(run: str, **changes) -> dict:
    facts = dict(run=run, study=STUDY, params={"profile": "pocket", "threads": 0, "repeats": 3}, seed=0, git_commit="a" * 40,
                 git_dirty=False, packages={"edgekit": "0.1.0", "torch": "2.13.0"},
                 machine={"name": "a board", "cpu": {"allowed_threads": 2}, "governor": {"unavailable": "a virtual machine"}},
                 platform="board-a", memory_bandwidth_byte_per_s=[3e10, 3.1e10], inputs={"pocket-3m": "0123456789abcdef"},
                 started="2026-01-02T03:04:05+00:00", version=2)
    return dataclasses.asdict(provenance.Manifest(**(facts | changes)))


def write(folder, factor: float = 1.0, threads: int = 2, extra=(), **changes):
    """A rows file with times at two prompt lengths, six repeats each; extra: (condition, metric, value) rows in a unit."""
    path = folder / f"{STUDY}.jsonl"
    rng = np.random.default_rng(len(str(folder)))
    with store.Store(path) as file:
        for repeat in range(6):
            rows = [store.Row("r", STUDY, SPEED | {"threads": threads, "prompt_tokens": length, "output_tokens": 1}, "ttft_s",
                              float(factor * length * np.exp(rng.normal(0, NOISE))), repeat) for length in (32, 128)]
            rows += [store.Row("r", STUDY, condition, metric, value, repeat) for condition, metric, value in extra]
            file.append(f"{repeat}", rows)
    provenance.manifest_path(path).write_text(json.dumps({"r": manifest("r", **changes)}))
    return folder


def compared(a, b) -> comparison.Study:
    [one] = comparison.compare(a, b).studies
    return one


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def test_every_core_of_two_boards_is_the_same_question_and_a_number_of_threads_is_its_own(folders):
    a, b = folders
    write(a)
    write(b, factor=1.05, threads=8, machine={"cpu": {"allowed_threads": 8}}, platform="board-b")
    one = compared(a, b)
    assert len(one.effects) == 2 and all(one.changed) and not (one.only_a or one.only_b or one.refused)
    assert all(effect.estimate.value == pytest.approx(1.05, abs=0.02) for effect in one.effects)
    fixed = manifest("r", params={"profile": "pocket", "threads": 8, "repeats": 3}, machine={"cpu": {"allowed_threads": 8}})
    provenance.manifest_path(b / f"{STUDY}.jsonl").write_text(json.dumps({"r": fixed}))
    one = compared(a, b)
    assert not one.effects and (one.only_a, one.only_b) == (2, 2)


BLOCK = ({"task": "loss", "model": "pocket-3m", "block": 0, "tokens": 617, "threads": 2}, "nll_nats", 3.0)


@pytest.mark.parametrize("changes, told, metrics", [
    (dict(params={"blocks": 8}), "blocks: 30 in A, 8 in B", ["nll_nats"]),
    (dict(params={"stream": "wikitext2"}), "stream: mixture in A, wikitext2 in B", ["nll_nats"]),
    (dict(params={"new_rule": 7}), "new_rule: 3 in A, 7 in B", ["nll_nats", "ttft_s"]),
    (dict(version=1), "version of the study: 2 in A, 1 in B", ["nll_nats", "ttft_s"]),
    (dict(inputs={"pocket-3m": "f" * 16}), "content of pocket-3m: 0123456789abcdef in A, ffffffffffffffff in B", ["nll_nats"]),
    (dict(params={"repeats": 9, "timeout_s": 1.0, "models": ["x"]}), None, []),
    (dict(packages={"edgekit": "0.1.0", "torch": "9.9"}), None, [])])
def test_rows_of_two_protocols_are_refused_one_by_one_and_by_name(folders, changes, told, metrics):
    """The others are compared; versions of libraries are told as differences of the environments, and refuse nothing."""
    a, b = folders
    base = {"profile": "pocket", "threads": 0, "repeats": 3, "blocks": 30, "stream": "mixture", "new_rule": 3}
    write(a, extra=[BLOCK], params=base)
    write(b, extra=[BLOCK], **(changes | {"params": base | changes.get("params", {})}))
    one = compared(a, b)
    assert list(one.refused) == ([told] if told else []) and sorted({effect.cell[0] for effect in one.effects}) == sorted(
        {"nll_nats", "ttft_s"} - set(metrics))
    if told:
        assert one.refused_metrics[told] == metrics and told in text.refusals(one)[0]
    different = {line.what for line in one.checklist if line.same is False}
    assert ("torch" in different) == ("packages" in changes)


def test_every_parameter_that_may_differ_is_one_of_a_study_and_decides_no_row():
    known = {field.name for name in studies.STUDIES for field in dataclasses.fields(studies.module(name).Config)}
    assert known >= protocol.NEUTRAL and set(protocol.OF_ROWS) <= known and not protocol.NEUTRAL & set(protocol.OF_ROWS)


def test_the_checklist_says_what_is_pinned_and_what_differs():
    a, b = manifest("r"), manifest("q", git_dirty=True, packages={"edgekit": "0.1.0", "torch": "2.14.0"}, platform="board-b",
                                   memory_bandwidth_byte_per_s=[6e10],
                                   machine={"name": "another", "cpu": {"allowed_threads": 8}})
    lines = {line.what: line for line in environment.checklist([a], [b])}
    differs = {what for what, line in lines.items() if line.same is False}
    assert differs == {"uncommitted changes", "torch", "platform", "processor or board", "threads that may run",
                       "measured read bandwidth (GB/s)"}
    assert lines["torch"].held and not lines["platform"].held and lines["governor"].same is None
    assert all(line.same is not False for line in environment.checklist([a], [a]))


def test_a_rows_file_against_itself_changes_nothing(folders, monkeypatch):
    [rows] = [rows for rows in committed.files() if (rows.study, rows.profile) == (STUDY, "real")]
    one = comparison.study(rows.study, rows.path, rows.path)
    assert len(one.effects) > 100 and not any(one.changed) and all(effect.a == effect.b for effect in one.effects)
    assert not (one.only_a or one.only_b or one.refused or one.unpaired or one.moved) and one.verdicts


def test_both_print_what_changed_and_all_of_it_and_end_well(folders, capsys):
    a, b = folders
    write(a)
    write(b, factor=1.05, git_dirty=True)
    assert cli.main(["compare", str(a), str(b)]) == 0
    told = capsys.readouterr().out
    assert "2 of 2 tested ones changed" in told and "uncommitted changes" in told and "1.0" in told
    assert cli.main(["compare", str(a), str(b), "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)["studies"]
    assert [line["changed"] for line in one["effects"]] == [True, True] and one["effects"][0]["low"] > 1
    assert cli.main(["compare", str(a), "nowhere"]) == 2 and "no rows at nowhere" in capsys.readouterr().err


def test_rows_without_a_manifest_are_not_compared(folders):
    a, b = folders
    write(a)
    provenance.manifest_path(write(b) / f"{STUDY}.jsonl").write_text("{}")
    with pytest.raises(store.StoreError, match="no manifest of run r"):
        comparison.compare(a, b)


def test_committed_manifests_say_the_version_of_their_study():
    for rows in committed.files():
        versions = {facts["version"] for facts in provenance.read_manifests(rows.path).values()}
        assert versions == {studies.module(rows.study).VERSION}, rows.path
