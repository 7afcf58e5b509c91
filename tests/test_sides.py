"""Verdicts at their scale: what was measured on names the word, and models of several kinds are judged apart."""

from __future__ import annotations

import pandas as pd
import pytest
import rows_02_baseline as speeds
import rows_03_quantization as quantized
import rows_04_pruning as pruned

from edgekit.analyze import observed, stats
from edgekit.analyze.origin import BITS, Origin, origin
from edgekit.analyze.origin import told as origins_told
from edgekit.catalog import weights
from edgekit.claims import judgement as claims
from edgekit.claims import pages, quantities
from edgekit.claims import text as verdict_text
from edgekit.claims.sides import sides

SMALL, REAL, SHAPE, POCKET = "smollm2-135m-instruct", "owner/llama-7b", "shape:qwen2.5-0.5b", "pocket-3m"
OTHER = "qwen2.5-coder-0.5b-instruct"
FEW = dict(models=("pocket-10m",), ablated=False, swept_models=())
FAILS, HOLDS = pruned.frame(lost=3.0, **FEW), pruned.frame(lost=0.0, items=400, **FEW)


def of_model(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of pocket-10m as if they were another model's."""
    return frame[frame.model == "pocket-10m"].assign(model=name)


def judge(name: str, *frames: pd.DataFrame, platform: str = "here") -> claims.Verdict:
    [claim] = [claim for claim in claims.load() if claim.id == name]
    [verdict] = claims.judge([claim], pd.concat(frames, ignore_index=True), platform)
    return verdict


def timed(*models: str) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(speeds.MODELS, SMALL, (1.35e8, 23040.0))
        patch.setitem(speeds.MODELS, REAL, (6.74e9, 524288.0))
        return speeds.frame(models=models, accuracy=False)


@pytest.mark.parametrize("model, scale", [
    ("pocket-3m", "pocket"), ("pocket-10m > prune(heads=0.20, mlp=0.15) > rtn(bits=4, group=32)", "pocket"),
    ("shape:qwen2.5-0.5b", "shape"), ("shape:qwen2.5-0.5b > gguf(dtype=float16)", "shape"), (SMALL, "small"),
    ("qwen2.5-coder-0.5b-instruct > awq(bits=4, group=32)", "small"),
    ("qwen2.5-coder-1.5b-instruct < qwen2.5-coder-0.5b-instruct", "small"), ("pocket-10m < pocket-900k", "pocket"),
    ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "real"), (f"{SMALL}-of-mine", "real"),
    ("meta-llama/Llama-2-7b-hf > rtn(bits=4)", "real")])
def test_a_chain_or_pair_is_of_the_kind_of_the_model_that_it_begins_with(model, scale):
    assert observed.kind(model) == scale


def test_the_small_models_are_those_that_the_kit_knows_by_name():
    assert weights.listed() and {observed.kind(name) for name in weights.listed()} == {"small"}


@pytest.mark.parametrize("models, holds, fails", [
    ((REAL,), "reproduced", "not reproduced"),
    ((REAL, SMALL), "holds on small real models", "does not hold on small real models"),
    ((SMALL, SHAPE, REAL), "holds on a shape", "does not hold on a shape"),
    ((SHAPE, REAL, POCKET, SMALL), "holds at scale model", "does not hold at scale model")])
@pytest.mark.parametrize("apart", [True, False], ids=["in several outcomes", "in one"])
def test_the_weakest_evidence_names_the_verdict(monkeypatch, models, holds, fails, apart):
    """Whether the models stand in one observation or in several tests' observations."""
    [claim] = [claim for claim in claims.load() if claim.id == "S3.7"]  # three tests, several artifacts
    groups = [models[place::3] or models[:1] for place in range(3)] if apart else [models] * 3
    for value, word in ((1.9, holds), (-90.0, fails)):
        monkeypatch.setattr(claims, "QUANTITIES", {
            test.quantity: observed.Quantity(lambda frame, setting, accepted, value=value, group=group: [observed.Observation(
                stats.Estimate(value, value, value, 3), "there", group, "texts", "it")], "quality", -100.0)
            for test, group in zip(claim.tests, groups, strict=True)})
        [verdict] = claims.judge([claim], pd.DataFrame(), "here")
        assert verdict.verdict == word and verdict.models and word in claims.VERDICTS


def test_each_kind_of_trained_weights_is_a_side_and_shapes_come_second_on_it():
    frame = pd.DataFrame(dict(model=[POCKET, f"{SMALL} > rtn(bits=4)", SHAPE, REAL, None], value=range(5)))
    found = {side.kinds: [list(rows.value) for rows in side.frames] for side in sides(frame)}
    assert found == {("real",): [[3, 4], [2, 3, 4]], ("small",): [[1, 4], [1, 2, 4]], ("pocket", "shape"): [[0, 2, 4]]}
    assert list(found) == [("real",), ("small",), ("pocket", "shape")], "the strongest first"
    [one] = sides(frame.iloc[[0, 2, 4]])
    assert one.kinds == ("pocket", "shape") and list(one.frames[0].value) == [0, 2, 4]
    assert sides(pd.DataFrame()) == sides(frame[frame.model.isna()]) == []


@pytest.mark.parametrize("small, pocket, words", [
    (FAILS, HOLDS, ("does not hold on small real models", "holds at scale model")),
    (HOLDS, FAILS, ("holds on small real models", "does not hold at scale model"))])
def test_a_small_real_model_has_the_headline_and_the_pocket_model_stands_beside_it(small, pocket, words):
    verdict = judge("S1.7", of_model(small, SMALL), pocket)
    [other] = verdict.others
    assert (verdict.verdict, other.verdict) == words
    assert (verdict.models, other.models) == ((SMALL,), ("pocket-10m",)) and verdict.beside is None
    alone = [judge("S1.7", rows).outcomes for rows in (of_model(small, SMALL), pocket)]
    assert [verdict.outcomes, other.outcomes] == alone, "each kind as if it were alone"
    [cell] = verdict_text.cells([verdict])
    assert cell["verdict"] == words[0] and cell["also"] == "pocket: " + words[1].removesuffix(" at scale model")
    assert [part["verdict"] for part in cell["parts"]] == list(words) and words[1].capitalize() in cell["reason"]
    assert [line["scale"] for part in cell["parts"] for line in part["lines"]] == ["small", "pocket"]
    page = pages.derivation([cell], lambda part, claim: [])
    assert f"## Measured on here: {words[0]}\n" in page
    assert f"## Measured on here: {words[1]}\n" in page[page.index(words[0]):]
    assert f"| **{words[0]}**; {cell['also']} |" in pages.findings([cell], "{id}.md")
    assert f"| **{words[0]}**; {cell['also']} |" in verdict_text.markdown_table([cell])


def test_one_kind_of_models_stands_alone():
    verdict = judge("S1.7", of_model(HOLDS, SMALL))
    [cell] = verdict_text.cells([verdict])
    assert (verdict.verdict, verdict.others, cell["also"]) == ("holds on small real models", (), "")
    assert "## Measured on here: holds on small real models" in pages.derivation([cell], lambda part, claim: [])
    assert judge("S1.7", HOLDS).others == ()


def test_what_only_the_pocket_rows_can_decide_falls_back_to_them():
    small = of_model(FAILS, SMALL)
    verdict = judge("S1.7", small[small.task != "accuracy"], HOLDS)
    assert (verdict.verdict, verdict.others) == ("holds at scale model", ()), "nothing was seen on the small one"


def test_what_was_seen_on_a_small_model_that_decides_nothing_stands_beside():
    """Of S2.2 the bytes are there and lie inside, the answers are not."""
    small = of_model(quantized.frame(), SMALL)
    small = small[small.task != "accuracy"]
    small = small.assign(value=small.value.mask((small.metric == "stored_bits_per_weight") & (small.method == "awq"), 4.2))
    verdict = judge("S2.2", small, quantized.frame())
    assert verdict.verdict == "does not hold at scale model" and verdict.beside.verdict == "inconsistent"
    [other] = verdict.others
    assert (other.verdict, len(other.outcomes), other.models) == ("not testable here", 1, (SMALL,)) and other.missing
    [cell] = verdict_text.cells([verdict])
    assert cell["also"] == "small: not testable here"
    assert "## Measured on here, small real models: not testable here" in pages.derivation([cell], lambda part, claim: [])
    assert [part["verdict"] for part in cell["parts"]] == [verdict.verdict, "not testable here", "inconsistent"]


def test_of_all_kinds_the_real_ones_lead_then_the_small_ones_and_shapes_stand_for_themselves():
    names = {POCKET: "at scale model", SHAPE: "on a shape", SMALL: "on small real models"}
    assert [judge("S3.9", timed(name)).verdict for name in (REAL, SMALL, SHAPE)] == [
        "reproduced", "holds on small real models", "holds on a shape"]
    many = judge("S3.9", timed(POCKET, SHAPE, SMALL, REAL))
    assert (many.verdict, [other.verdict for other in many.others]) == (
        "reproduced", [f"holds {names[name]}" for name in (SMALL, SHAPE)])
    assert "## Measured on here, real models: reproduced" in pages.derivation(verdict_text.cells([many]), lambda *_: [])
    assert verdict_text.cells([many])[0]["also"] == "small: holds; shape: holds"
    assert [one.models for one in (many, *many.others)] == [(REAL,), (SMALL,), (SHAPE,)]
    without = judge("S3.9", timed(POCKET, SMALL))
    assert (without.verdict, [other.scale for other in without.others]) == ("holds on small real models", ["pocket"])


def test_shapes_help_a_trained_model_that_decides_nothing_alone_and_name_the_verdict_then():
    """S3.7 asks for times on two sizes, which only the shapes have here, and for a trained model's answers."""
    frame = quantized.frame(items=150)
    whole = frame[(frame.metric == "correct") & (frame.method == "none")].set_index(["model", "item"]).value
    frame = frame.assign(value=[whole.get((line.model, line.item), line.value) if line.metric == "correct" else line.value
                                for line in frame[["model", "item", "metric", "value"]].itertuples()])
    verdict = judge("S3.7", of_model(frame, SMALL), frame[frame.task.isin(["speed", "device"])])
    assert verdict.verdict == "holds on a shape" and set(verdict.caveats) == {"shape", "small", "several artifacts"}
    [cell] = verdict_text.cells([verdict])
    assert cell["mark"] == "shape, small" and "**holds on a shape** (shape, small real)" in pages.findings([cell], "{id}.md")


def test_elsewhere_nothing_is_decided_and_nothing_stands_beside():
    verdict = judge("S1.3", timed(REAL, "shape:llama-2-7b"))
    assert (verdict.verdict, verdict.elsewhere, verdict.others, verdict.models) == ("not testable here", True, (), (REAL,))


def test_a_small_models_caveat_tells_the_bits_that_rows_say_and_none_that_they_do_not():
    frame = of_model(FAILS, SMALL)
    assert "weights came rounded." in verdict_text.reason(judge("S1.7", frame))
    at = dict(task="size", metric=BITS, source="measured", stored_as="Q4_1 0.98, F32 0.02")
    told = pd.DataFrame([dict(at, model=name, value=value) for name, value in (
        (f"{SMALL} > rtn(bits=4)", 4.954), (SMALL, 4.954), ("qwen2.5-coder-0.5b-instruct", 6.17))])
    assert origin(told, SMALL) == Origin(SMALL, (4.954,), ("Q4_1 0.98, F32 0.02",))
    assert origin(told.assign(task="other"), SMALL) == origin(pd.DataFrame(), SMALL) == Origin(SMALL)
    verdict = judge("S1.7", frame, told)
    assert verdict.origins == (origin(told, SMALL),) and verdict.caveats == ("small",)
    assert f"rounded ({SMALL}: 4.95 bits a weight, Q4_1 0.98, F32 0.02)." in verdict_text.reason(verdict)
    other = judge("S1.7", frame, told.assign(value=[4.5, 5.0, 6.0]))
    assert "4.5 or 5 bits a weight" in verdict_text.reason(other), "rows that differ are all told"


def test_every_quantity_names_the_models_that_it_rests_on():
    """Of pairs and of comparisons of two sizes both: the weaker of the two names the verdict."""
    import rows_06_speculative as drafted

    setting = observed.Setting(observed.SCALES)
    seen = {name: quantities.QUANTITIES[name](frame, setting, (0.0, 9.0)) for frame, names in (
        (quantized.frame(), ("awq_lead_smaller_over_larger", "w4a16_speed_up_larger_over_smaller")),
        (drafted.frame(), ("draft_acceptance", "speculative_speed_up"))) for name in names}
    assert {name: sorted(one.models) for name, one in seen.items()} == {
        "awq_lead_smaller_over_larger": ["pocket-10m", "pocket-900k"],
        "w4a16_speed_up_larger_over_smaller": ["shape:a-135m", "shape:b-0.5b"],
        "draft_acceptance": ["pocket-10m", "pocket-900k"], "speculative_speed_up": ["pocket-10m", "pocket-900k"]}


def test_a_caption_tells_of_the_models_that_it_shows_that_their_weights_came_rounded():
    at = dict(task="speed", metric=BITS, source="measured", stored_as="Q4_1")
    frame = pd.DataFrame([dict(at, model=name, value=value) for name, value in ((SMALL, 4.954), (OTHER, 6.17))])
    assert f"{SMALL}, 4.95 bits a weight; {OTHER}, 6.17 bits a weight." in origins_told(frame)
    one = origins_told(frame, [f"{OTHER} > rtn(bits=4)", "llama_cpp", POCKET])
    assert OTHER in one and SMALL not in one
    assert origins_told(frame, [POCKET]) == origins_told(pd.DataFrame()) == origins_told(pruned.frame(lost=0.0, **FEW)) == ""
