"""The released numbers of EdgeReasoning: published coefficients come out again, and what the laws and powers are off by."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from edgekit import store
from edgekit.analyze import law_forms, laws, trace_audit, trace_fits
from edgekit.catalog import models, published, traces
from edgekit.catalog.traces import TracesError


def test_the_transcribed_blocks_hold_every_length_once():
    prefill, decode, scaling = traces.prefill(), traces.decode(), traces.scaling()
    assert len(prefill) == 3 * 33 and len(decode) == 3 * 20 and len(scaling) == 3 * 6
    for table, by in ((prefill, "prompt_tokens"), (decode, "output_tokens"), (scaling, "samples")):
        assert not table.duplicated(["model", by]).any() and (table.seconds > 0).all()
    # Energy is mean power over the run, which the file's own columns bear out.
    assert (prefill.energy_j / (prefill.power_w * prefill.seconds)).between(0.98, 1.02).all()


def test_published_coefficients_are_the_fits_of_the_points_that_stand_in_the_code():
    """To the digits that the points were printed with: five decimals of a second."""
    table = trace_fits.reproduced_table()
    prefill = table[table.law == "prefill time"]
    assert len(prefill) == 9 and (abs(prefill.fitted / prefill.published - 1) < 2e-3).all()
    power = table[table.law == "prefill power"]
    assert len(power) == 2 + 3 + 3 and (power.digits >= 8).all()
    decode = table[table.law == "decode time"]
    assert (decode[decode.coefficient == "m"].digits == 0).all(), "these were fitted to other runs"
    assert table[table.law == "decode power"].fitted.isna().all()


def test_leaving_out_the_point_that_they_left_out_is_what_reproduces():
    points = trace_audit.of_model(traces.prefill_points(), "14B")
    whole = laws.fit(law_forms.QUADRATIC, points, points.seconds, "equal").values
    assert not points.used.all() and abs(whole[0] / traces.coefficients("prefill", "14B")[0] - 1) > 0.01


def test_the_published_prefill_law_is_off_by_what_arithmetic_says():
    table = trace_audit.prefill_error_table().set_index(["model", "law", "lengths"]).error
    padded, plain = law_forms.QUADRATIC_PADDED.name, law_forms.QUADRATIC.name
    for model, whole, inside, unpadded in (("1.5B", 152.8, 9.7, 131.0), ("8B", 103.2, 16.5, 86.5),
                                           ("14B", 106.0, 15.1, 89.3)):
        assert table[model, padded, trace_audit.WHOLE] == pytest.approx(whole, abs=0.06)
        assert table[model, padded, trace_audit.INSIDE] == pytest.approx(inside, abs=0.06)
        assert table[model, plain, trace_audit.WHOLE] == pytest.approx(unpadded, abs=0.06)
    last = trace_audit.prefill_curve_table().groupby("model").tail(1).set_index("model")
    assert list((last.published_s / last.seconds).round(1)[list(traces.MODELS)]) == [4.4, 3.8, 3.7]


def test_one_released_time_is_an_outlier_and_no_other():
    points = {model: trace_audit.prefill_points(model) for model in traces.MODELS}
    assert {model: list(found.prompt_tokens[found.outlier]) for model, found in points.items()} == {
        "1.5B": [], "8B": [2561], "14B": []}


def test_most_of_the_error_at_short_outputs_is_one_step_too_many():
    table = trace_audit.decode_summary_table().set_index(["law", "model"])
    assert table.short[law_forms.STEPS_O.name, "14B"] > 10 * table.short[law_forms.STEPS_LESS.name, "14B"]
    assert (table.error["refitted, O − 1 steps"] < 0.6).all()


def test_the_published_powers_of_prefill_are_averages_with_idle_samples():
    """With idle and busy power as they were seen, and nothing fitted."""
    table = trace_audit.power_table()
    table = table[~table.outlier].dropna(subset=["averaged_w"])
    errors = (table.averaged_w / table.power_w - 1).abs().groupby(table.model).mean()
    assert set(errors.index) == {"8B", "14B"} and (errors < 0.04).all()
    laws_of_it = trace_audit.power_law_table(("prefill",)).set_index(["model", "law"]).error
    for model in ("8B", "14B"):
        averaging, published_law, logarithm = (laws_of_it[model, name] for name in (
            "averaging", "constant, then logarithm", "logarithm"))
        assert averaging < published_law / 3 and published_law < logarithm
    refused = trace_audit.power_law_table(("prefill",)).query("model == '1.5B' and law == 'averaging'")
    assert refused.error.isna().all() and "active_w" in refused.refused.iloc[0]


def test_power_of_decoding_stops_growing():
    assert [round(trace_audit.power_growth(model), 2) for model in traces.MODELS] == [0.37, 0.0, -0.12]


def test_samples_at_once_cost_more_than_their_bytes():
    table = trace_audit.scaling_table().set_index(["model", "samples"])
    for entry in published.numbers("ER.4").itertuples():
        assert table.time_ratio[entry.label, 32] == pytest.approx(entry.value, abs=0.006)
    assert (table.bytes_ratio.xs(32, level="samples") < 1.2).all()


def test_bytes_of_a_step_are_counted_by_hand():
    """The 8B: 16.06 GB less an embedding of 128,256 by 4,096 in 16 bits; 32 layers of 8 heads of 128 for keys and values."""
    found = trace_audit.bytes_table().set_index("model").loc["8B"]
    assert found.weight_bytes == 16.06e9 - 2 * 128256 * 4096 and found.kv_bytes == 2 * 2 * 32 * 8 * 128
    assert found.weight_share == pytest.approx(found.weight_bytes / 0.10038429572372025 / 204.8e9)


def test_implied_bandwidths_above_nominal_are_told_from_those_below():
    table = published.speeds()
    share = table.tok_per_s * table.step_bytes / table.nominal
    assert list(table.label[share > 1]) == ["i5-8250U", "Apple M4, 24 GB"] and (share > 0.1).all()
    assert set(table.kind) == {"measured", "stated"} and table.told.str.len().min() > 10
    known = set(models.architectures()) | {"qwen2-0.5b", "qwen2-1.5b", "llama-3.2-3b"}
    assert {name.removesuffix("-instruct").replace("-coder", "") for name in table.model} <= known


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Released files of one model with two runs, whose hashes are those that are asked for."""
    times = {"_metadata": {}, "DeepSeek-R1-Distill-Qwen-14B": [
        dict(input_tokens=512, output_tokens=outputs, decode_time=seconds, tot_gpu_energy=28 * seconds)
        for outputs, seconds in ((1, 0.0), (16, 2.8))]}
    powers = {"DeepSeek_R1_Distill_Qwen_14B": dict(input_tokens=[514, 514], output_tokens=[1, 16], avg_power_w=[6.0, 25.0])}
    files = {}
    for name, content in (("decode_parameters.json", times), ("decode.json", powers)):
        (tmp_path / name).write_text(json.dumps(content))
        files[name] = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    found = traces.load() | {"files": files}
    monkeypatch.setattr(traces, "load", lambda: found)
    return tmp_path


def test_released_files_are_read_by_their_hash(folder):
    table = traces.released(str(folder))
    assert list(table.model) == ["14B", "14B"] and list(table.seconds) == [0.0, 2.8] and list(table.power_w) == [6.0, 25.0]
    assert traces.questions(str(folder)) is None
    (folder / "decode.json").write_text("{}")
    with pytest.raises(TracesError, match="expected the released file of sha256 .* another version"):
        traces.released(str(folder))
    (folder / "decode.json").unlink()
    with pytest.raises(TracesError, match="name the folder that holds decode_parameters.json, decode.json"):
        traces.released(str(folder))


def test_files_are_fetched_once_and_by_their_hash(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    asked = []

    def open_address(address, timeout):
        asked.append(address.rsplit("/", 1)[-1])
        return (folder / asked[-1]).open("rb")

    monkeypatch.setattr(traces.urllib.request, "urlopen", open_address)
    first, again = traces.released(traces.FETCH), traces.released(traces.FETCH)
    assert first.equals(again) and sorted(asked) == ["decode.json", "decode_parameters.json"]


def test_without_a_network_it_says_what_to_do(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")

    def nobody(address, timeout):
        raise OSError("no route")

    monkeypatch.setattr(traces.urllib.request, "urlopen", nobody)
    with pytest.raises(TracesError, match="was not to be had .no route.; name a folder that holds decode_parameters.json"):
        traces.released(traces.FETCH)


def test_a_place_is_a_folder_or_a_word(tmp_path):
    for place in ("", "fetch", str(tmp_path)):
        traces.require_place(place)
    with pytest.raises(TracesError, match="got '/nowhere/at/all', which is no folder"):
        traces.require_place("/nowhere/at/all")


def test_unknown_laws_and_models_list_the_known_ones():
    with pytest.raises(TracesError, match="unknown law 'speed'; known: prefill, decode"):
        traces.coefficients("speed", "8B")
    with pytest.raises(TracesError, match="unknown model '7B'; known: 1.5B, 8B, 14B"):
        traces.coefficients("decode", "7B")


def test_questions_of_a_folder_give_the_papers_own_errors(tmp_path, monkeypatch):
    """Made-up questions that follow the published laws: their errors are the noise that was put in."""
    rng = np.random.default_rng(5)
    lines = ["model_name,input_tokens,output_tokens,ttft_ms,decode_time_ms,total_time_ms"]
    for model, name in (("1.5B", "Qwen-1.5B"), ("8B", "Llama-8B"), ("14B", "Qwen-14B")):
        a, b, c = traces.coefficients("prefill", model)
        m, n = traces.coefficients("decode", model)
        for _ in range(150):
            inside, outside = int(rng.integers(60, 600)), int(rng.integers(40, 900))
            pad = -(-inside // 128) * 128
            first = 1e3 * (a * pad**2 + b * pad + c) * 1.1
            rest = 1e3 * outside * (m * inside + n + m * (outside - 1) / 2)
            lines.append(f"DeepSeek-R1-Distill-{name},{inside},{outside},{first},{rest},{rest}")
    file = tmp_path / "recovered" / "tegra_mmlu_redux_traces.csv"
    file.parent.mkdir()
    file.write_text("\n".join(lines))
    monkeypatch.setattr(traces, "_require_hash", lambda content, sha256, where: None)
    table = trace_fits.question_table(str(tmp_path)).set_index(["phase", "model"])
    assert table.error["prefill"].to_numpy() == pytest.approx(100 * (1 - 1 / 1.1)) and (table.error["decode"] < 1e-6).all()
    assert (table.questions == 50).all()
