"""Chains as texts: whatever a file is called can be written, what was written before still means the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import store
from edgekit.catalog import models
from edgekit.catalog.models import ModelError
from edgekit.compress import variant
from edgekit.compress.calibration import Calibration
from edgekit.compress.variant import Step, Variant, VariantError

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda name: not ('"' in name and "'" in name))


@given(NAMES, NAMES)
def test_any_name_can_be_written_in_a_chain(model, calibration):
    quoted = variant.parse(f"'{model}'" if '"' in model else f'"{model}"').model
    assert models.plain_name(quoted) == model or quoted == model
    chain = Variant(quoted, (Step("awq", (("bits", 4), ("calibration", calibration))), Step("dequantized", ())))
    again = variant.parse(str(chain))
    assert again == chain and str(again) == str(chain)
    assert dict(again.steps[0].arguments)["calibration"] == calibration


@pytest.mark.parametrize("text", [
    "pocket-3m", "shape:qwen2.5-0.5b > gguf(dtype=float16)", "owner/name > awq(calibration=mixture, group=128)",
    "./mine's > rtn(bits=3, group=32)",
    "pocket-3m > pruned(heads=0.2, mlp=0.15, score=taylor) > gptq(bits=4, calibration=prose, symmetric=False)",
    "/a b/c > distilled(data=mixture, steps=10)"])
def test_what_needs_no_quotes_is_written_as_before(text):
    assert str(variant.parse(text)) == text


def test_quotes_around_what_needs_none_change_nothing():
    assert variant.parse("\"pocket-3m\" > awq(calibration='mixture')") == variant.parse("pocket-3m > awq(calibration=mixture)")
    quoted, plain = (variant.content_hash(f"{name} > rtn(bits=4, group=32)") for name in ("'pocket-3m'", "pocket-3m"))
    assert quoted == plain


def test_a_text_that_looks_like_a_number_stays_a_text():
    step = Step("awq", (("calibration", "4"),))
    assert str(step) == 'awq(calibration="4")' and variant.parse(f"m > {step}").steps == (step,)
    with pytest.raises(VariantError, match="expected calibration to be str, got 4"):
        variant.parse("m > awq(calibration=4)")


@pytest.mark.parametrize("text, complaint", [
    ('"my > model > rtn(bits=4)', 'the quote " is not closed'), ('"a"b > rtn(bits=4)', "expected one text in quotes"),
    ("m > awq(calibration='a)", "the quote ' is not closed"), ('"" > rtn(bits=4)', "expected one text in quotes"),
    (" > rtn(bits=4)", "got no model"), ('m > awq(calibration="a" b)', "expected one text in quotes")])
def test_what_cannot_be_read_is_refused(text, complaint):
    with pytest.raises(VariantError, match=complaint):
        variant.parse(text)


@pytest.fixture
def awkward(tmp_path):
    """A model folder and a calibration file with every character that the notation uses."""
    import shutil

    folder = tmp_path / "my > model, (v=1)"
    shutil.copytree(store.ROOT / "data/models/pocket-200k", folder)
    (folder / "card.json").unlink()
    file = tmp_path / "a, b = (c) > d.jsonl"
    shutil.copy(store.ROOT / "data/calibration/mixture.jsonl", file)
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    return folder, file, str(plain)


def test_an_awkward_folder_and_file_make_what_plain_ones_make(awkward):
    folder, file, _ = awkward
    given_, plain = (variant.content_hash(f"{model} > awq(bits=4, group=32, calibration={name}, samples=2, length=32)")
                     for model, name in ((f'"{folder}"', f'"{file}"'), ("pocket-200k", "mixture")))
    spec = models.resolve(f'"{folder}"')
    assert spec.kind == "folder" and spec.identity == models.resolve(awkward[2]).identity
    assert Calibration(str(file), 2, 32, 0).sequences(folder, 512) == Calibration("mixture", 2, 32, 0).sequences(folder, 512)
    assert given_ != plain, "a set is addressed by its name too"
    assert len(variant.build(f'"{folder}" > rtn(bits=4, group=32)').variant) > len(str(folder))
    with pytest.raises(ModelError, match="stands in quotes"):
        models.resolve(str(folder))


def test_pairs_of_names_are_cut_outside_of_quotes():
    from edgekit.params import ParamsError
    from edgekit.studies.speculative.plan_pairs import split_pair

    assert split_pair("more_pairs", "pocket-3m < pocket-900k > rtn(bits=4)") == ("pocket-3m", "pocket-900k > rtn(bits=4)")
    assert split_pair("more_pairs", '"/a < b" < "c < d"') == ('"/a < b"', '"c < d"')
    for pair in ("a", "a < b < c", "a < "):
        with pytest.raises(ParamsError, match="expected"):
            split_pair("more_pairs", pair)


def test_a_relative_folder_is_taken_from_the_kits_folder_and_goes_before_a_hub_id(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(store.ROOT / "data/models/pocket-200k", tmp_path / "models/mine")
    shutil.copytree(store.ROOT / "data/published", tmp_path / "data/published")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("models/mine", "./models/mine", "elsewhere/../models/mine", str(tmp_path / "models/mine")):
        spec = models.resolve(name)
        assert (spec.kind, spec.name) == ("folder", name) and not models.is_hub_id(name)
        assert spec.folder.resolve() == (tmp_path / "models/mine").resolve() and spec.folder.is_absolute()
    assert models.is_hub_id("models/other") and models.is_hub_id("meta-llama/Llama-2-7b-hf")
    with pytest.raises(ModelError, match=f"no config.json in {tmp_path}"):
        models.resolve("./models/other")
