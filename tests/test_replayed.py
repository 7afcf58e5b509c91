"""A replay makes the passes of the real loop, keeps what was recorded, and says that it is modelled."""

from __future__ import annotations

import numpy as np
import pytest
import rows_06_speculative as made
from drawing import drawable
from toy_session import Table

from edgekit import engines, params, store
from edgekit.analyze.speculation import expected_tokens_of
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import EngineError
from edgekit.params import ParamsError
from edgekit.plots import named, style
from edgekit.studies.speculative import jobs_pair as speculation
from edgekit.studies.speculative import jobs_replayed as replayed
from edgekit.studies.speculative import plan as study
from edgekit.studies.speculative import tables as speculative_tables
from edgekit.studies.speculative import tables_speed as speculative_speed
from edgekit.studies.speculative.figures import FIGURES

pytestmark = pytest.mark.usefixtures("shared_artifacts")

CHAIN = np.roll(np.eye(9), 1, axis=1) * 0.8 + 0.2 / 9
BACKWARDS = np.roll(np.eye(9), -1, axis=1) * 0.8 + 0.2 / 9


@pytest.mark.parametrize("length", [0, 1, 3, 8])
@pytest.mark.parametrize("draft, acceptance", [(CHAIN, 1.0), (BACKWARDS, 0.0)])
def test_the_passes_are_those_of_the_real_loop(draft, acceptance, length):
    """A draft that is always right, and one that is never right, need no chance: both loops must do the same work."""
    passes = []
    for replay in (False, True):
        sessions, at = [Table(CHAIN), Table(draft)], (Decoding(30), 0)
        pair = replayed.ReplayedPair(*sessions, *at, [acceptance] * 8) if replay else speculation.Pair(*sessions, *at)
        blocks = list(pair.blocks(0, [0, 1, 2], length))
        assert sum(len(block.tokens) for block in blocks) == 30
        passes.append([[session.passes for session in sessions], [(block.drafted, block.accepted) for block in blocks]])
    assert passes[0] == passes[1]


def test_the_tokens_of_a_block_are_those_that_the_acceptances_lead_to_expect():
    acceptances = [0.9, 0.5, 0.8]
    pair = replayed.ReplayedPair(Table(CHAIN, context=20000), Table(CHAIN, context=20000), Decoding(15000), 3, acceptances)
    for length in (1, 2, 3):
        blocks = [block for block in pair.blocks(0, [0], length) if block.drafted == length]
        mean, expected = (sum(len(block.tokens) for block in blocks) / len(blocks), expected_tokens_of(acceptances[:length]))
        assert mean == pytest.approx(expected, rel=0.03)
    again = [[block.accepted for block in pair.blocks(i, [0], 3)] for i in (0, 0, 1)]
    assert again[0] == again[1] != again[2], "seeded, and by prompt"


def test_two_vocabularies_need_nothing_in_common_but_ids():
    wide = np.full((40, 40), 1 / 40) + 0.5 * np.eye(40)[::-1]
    for target, draft in ((CHAIN, wide), (wide, CHAIN)):
        pair = replayed.ReplayedPair(Table(target), Table(draft), Decoding(20), 0, [0.5] * 4)
        tokens = [token for block in pair.blocks(0, [1, 2], 4) for token in block.tokens]
        assert len(tokens) == 20 and max(tokens) < len(target)


def test_acceptance_is_read_place_by_place_from_counts():
    def seen(*counts):
        return [dict(metric="accepted", position=place, value=kept, judged=judged)
                for place, (kept, judged) in enumerate(counts, 1)] * 2

    assert replayed.recorded_acceptances(seen((9, 10), (3, 9), (0, 3), (0, 0)), 4) == pytest.approx([0.9, 1 / 3, 0.0, 0.0])
    with pytest.raises(EngineError, match="judged at place 2 of a block; record more"):
        replayed.recorded_acceptances(seen((9, 10), (0, 0)), 2)


def test_the_job_counts_the_recorded_pair_and_clocks_the_other():
    chains = {name: engines.variant_for("llama_cpp", f"pocket-{size}", "float16")
              for role in ("", "recorded_") for name, size in ((f"{role}target", "900k"), (f"{role}draft", "200k"))}
    asked = dict(engine="llama_cpp", dtype="float16", threads=1, device="cpu", domain="prose", prompts=2, max_new_tokens=16,
                 prompt_tokens=4, tokens=12, lengths=[1, 2], rounds=2, seed=0)
    answer = replayed.measure_replay(**chains, **asked)
    by = {name: [one for one in answer["observations"] if one["metric"] == name] for name in
          ("accepted", "rest_s", "draft_s", "verify_s", "target_parameters", "draft_parameters")}
    assert {(one["position"], one["length"]) for one in by["accepted"]} == {(1, 2), (2, 2)}
    assert sorted(one["length"] for one in by["rest_s"]) == [0, 0, 1, 1, 2, 2] and len(by["draft_s"]) == 4
    assert all(one["value"] > 0 for one in by["rest_s"]) and {one["tokens"] for one in by["rest_s"]} == {12}
    assert by["target_parameters"][0]["value"] > by["draft_parameters"][0]["value"]
    with pytest.raises(EngineError, match="at least 1 drafted token"):
        replayed.measure_replay(**chains, **(asked | dict(lengths=[0])))


VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | dict(
    replayed_pairs=["shape:qwen2.5-0.5b < shape:smollm2-135m"], recorded_pair="pocket-900k < pocket-200k", repeats=2,
    replay_cells=["llama_cpp/float16", "transformers/float32"], recorded_domains=["prose", "prices"], seed=5)


def test_shapes_are_replayed_with_new_draws_in_each_repeat_and_built_before():
    config = params.validate(study.Config, VALUES, where="test")
    units = [unit for unit in study.plan(config) if unit.condition["task"] == "replay"]
    assert len(units) == 2 * 2 * 2 and not any(unit.shared for unit in units)
    assert {unit.source for unit in units} == {"modelled"}
    assert {(unit.repeat, unit.arguments["seed"]) for unit in units} == {(0, 5), (1, 6)}
    for unit in units:
        assert set(unit.variants) == {unit.arguments[name] for name in ("target", "draft", "recorded_target", "recorded_draft")}
        assert unit.condition["recorded"] == "pocket-900k < pocket-200k"
        assert ("gguf" in unit.arguments["target"]) == (unit.condition["engine"] == "llama_cpp")
    others = [unit for unit in study.plan(config) if unit.condition["task"] != "replay"]
    assert {unit.source for unit in others} == {"measured"}


@pytest.mark.parametrize("changed, complaint", [
    ({"replayed_pairs": ["shape:qwen2.5-0.5b"]}, "replayed_pairs: expected \"target < draft\""),
    ({"replayed_pairs": ["shape:nothing < shape:smollm2-135m"]}, "unknown shape 'shape:nothing'"),
    ({"recorded_pair": "shape:qwen2.5-0.5b < shape:smollm2-135m"}, "random weights"),
    ({"recorded_pair": "pocket-900k < lookup"}, "recorded_pair: expected two models"),
    ({"recorded_pair": "pocket-900k < pocket-900k > gguf_quantized(type=Q4_0)"}, "transformers/float32 does not load"),
    ({"recorded_domains": ["poems"]}, "recorded_domains: unknown prompts 'poems'"),
    ({"replay_lengths": [0]}, "replay_lengths: expected at least 1 each"),
    ({"replay_lengths": [7]}, "texts longer than the longest block")])
def test_replays_that_cannot_be_are_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        params.validate(study.Config, VALUES | changed, where="test")


def test_the_table_gives_back_the_gains_and_calls_them_modelled():
    frame = made.frame()
    assert speculative_speed.replay_table(frame).empty
    table = speculative_speed.replay_table(store.to_frame(made.replayed_rows()))
    assert set(table.source) == {"modelled"} and len(table) == len(made.LENGTHS)
    for line in table.itertuples():
        truth = made.gain("pocket-900k", "prose", "llama_cpp", int(line.length))
        assert line.decode == pytest.approx(truth, rel=0.03) and line.expected == pytest.approx(truth, rel=0.06)
        assert line.model == made.REPLAYED[0] and line.recorded == "pocket-10m < pocket-900k" and line.n == 3
    both = store.to_frame([*made.rows(), *made.replayed_rows()])
    for one in (speculative_speed.speed_table, speculative_tables.acceptance_table, speculative_speed.best_table):
        assert set(one(both).model) == {made.TARGET}, "no modelled line stands among the measured ones"


def test_a_replay_is_drawn_with_open_marks_beside_the_published_gain():
    frame = store.to_frame(made.replayed_rows())
    assert drawable(FIGURES, frame) == ["speculative_replay"]
    fig, table = named(FIGURES, "speculative_replay").drawn(frame)
    [ax] = fig.axes
    colour, marker = style.engine_style("llama_cpp", "float16")
    [marks] = [line for line in ax.lines if line.get_marker() == marker]
    assert marks.get_fillstyle() == "none" and list(marks.get_xdata()) == list(made.LENGTHS)
    assert list(marks.get_ydata()) == pytest.approx([made.gain("pocket-900k", "prose", "llama_cpp", length)
                                                     for length in made.LENGTHS], rel=0.03)
    [stated] = [line for line in ax.lines if line.get_gid() == "published"]
    assert list(stated.get_ydata()) == [2.1] and stated.get_transform() == ax.get_yaxis_transform(), "at no length"
    assert "smollm2-135m" in ax.get_title() and len(table) == len(made.LENGTHS)
