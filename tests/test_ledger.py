"""The ledger: claims counted by what decides them, rows that may not be judged, and sentences of which none is lost."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
import yaml

from edgekit import cli, committed, provenance, publish, store
from edgekit.catalog import published
from edgekit.claims import comparable, file, judged, judgement, ledger, sentences, text
from edgekit.claims.file import ClaimsError

STUDY = "02_baseline"


def cell(name: str, verdict: str, mark: str = "", also: str = "", platform: str = "here") -> dict:
    return {"id": name, "name": "n", "verdict": verdict, "mark": mark, "also": also, "platform": platform,
            "ours_short": "2 (1 to 3)"}


CELLS = [cell("A", "does not hold on small real models", "small", "pocket: holds"), cell("B", "holds at scale model", "pocket"),
         cell("C", "does not hold at scale model", "pocket, shape"), cell("D", "inconsistent", "printed", platform=""),
         cell("E", "undecided", "pocket"), cell("F", "not yet run", platform=""), cell("G", "not comparable")]


def test_decided_claims_are_counted_by_what_decides_them_each_once():
    assert ledger.decided(CELLS) == ({"small": 1, "pocket": 2, "printed": 1}, {
        "undecided": 1, "not yet run": 1, "not comparable": 1})
    assert ledger.headline(CELLS) == ("Of 7 claims 4 are decided: 1 on small real models, 2 at scale model, 1 by arithmetic "
                                      "alone. 3 are open: 1 undecided, 1 not yet run, 1 not comparable.")
    assert ledger.headline(CELLS[:2]) == "Of 2 claims 2 are decided: 1 on small real models, 1 at scale model."
    open_words = {"undecided", *judgement.WITHOUT_ROWS}
    assert set(ledger.DECIDED) | open_words == set(judgement.VERDICTS) and not set(ledger.DECIDED) & open_words


def test_each_scale_has_its_verdict_and_the_strongest_is_the_headline():
    assert ledger.verdicts(CELLS[0]) == "small real: does not hold; pocket: holds"
    assert [ledger.verdicts(one) for one in CELLS[2:6]] == ["pocket: does not hold", "arithmetic: inconsistent",
                                                            "pocket: undecided", "not yet run"]
    lines = ledger.text(CELLS).splitlines()
    assert lines[0] == ledger.headline(CELLS) and len({line.index("2 (1 to 3)") for line in lines[3:10]}) == 1


def test_the_command_prints_every_claim_and_the_derivation_of_one(judged_rows, monkeypatch, capsys):
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    assert cli.main(["claims"]) == 0
    told = capsys.readouterr().out
    names = [line.split()[0] for line in told.splitlines()[3:-2]]
    assert names == [entry["id"] for entry in published.entries()] and told.startswith(f"Of {len(names)} claims ")
    assert cli.main(["claims", "S1.18"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("# S1.18") and "inconsistent" in told and "2.98" in told and "](figures/" in told


# --- rows that may not be judged


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of committed rows of two runs, which may be changed: its path and its manifests."""
    monkeypatch.setattr(store, "OUTPUT", tmp_path / "out")
    [rows] = [rows for rows in committed.files() if (rows.study, rows.profile) == (STUDY, committed.REFERENCE)]
    for one in (rows.path, provenance.manifest_path(rows.path)):
        shutil.copy(one, tmp_path)
    path = tmp_path / rows.path.name
    return path, provenance.read_manifests(path), rows.platform


def words(path, platform) -> dict[str, dict]:
    return {cell["id"]: cell for cell in judged.cells(path, STUDY, platform)}


def test_rows_of_another_version_are_not_judged_and_it_says_so(copied):
    path, manifests, platform = copied
    assert words(path, platform)["S3.9"]["verdict"] == "holds on a shape"
    run = min(manifests)
    manifests[run]["version"] = 1
    provenance.manifest_path(path).write_text(json.dumps(manifests))
    for found in words(path, platform).values():
        assert found["verdict"] == "not comparable" and found["ours"] == "none" and not found["parts"][0]["lines"]
        assert f"rows of run {run} are of version 1 of 02_baseline, and this kit judges version 2" in found["reason"]
    [line] = [line for line in ledger.text(list(words(path, platform).values())).splitlines() if line.startswith("S3.9 ")]
    assert "not comparable" in line


def test_rows_of_two_protocols_in_one_file_are_not_judged(copied):
    path, manifests, platform = copied
    first, second = manifests
    manifests[second]["params"]["new_rule"] = 7  # a parameter of which nobody knows that it decides nothing
    provenance.manifest_path(path).write_text(json.dumps(manifests))
    found = words(path, platform)["S3.1"]
    assert found["verdict"] == "not comparable" and "new_rule: not a parameter in A, 7 in B" in found["reason"]
    assert first in found["reason"] and second in found["reason"]


def perplexities(run: str) -> list[dict]:
    return [{"run": run, "source": "measured", "metric": "nll_nats", "value": 3.0, "model": "pocket-3m", "block": block,
             "task": "loss"} for block in range(3)]


@pytest.mark.parametrize("changes, told", [({"blocks": 8}, "blocks: 30 in A, 8 in B"), ({"repeats": 9}, ""),
                                           ({"stream": "prose"}, "stream: mixture in A, prose in B")])
def test_perplexities_of_two_protocols_do_not_stand_in_one_column(changes, told):
    params = {"blocks": 30, "stream": "mixture", "repeats": 3}
    runs = {run: {"params": of, "inputs": {}, "version": 1} for run, of in (("r1", params), ("r2", params | changes))}
    frame = pd.DataFrame(perplexities("r1") + perplexities("r2"))
    found = comparable.refusal(frame, runs, "03_quantization")
    assert (told in found and "rows of two protocols" in found) if told else found == ""
    other = pd.DataFrame([line | {"model": "pocket-10m"} for line in perplexities("r2")] + perplexities("r1"))
    assert bool(comparable.refusal(other, runs, "03_quantization")) == bool(told), "two models in one column are no excuse"
    speed = pd.DataFrame(perplexities("r1") + [{"run": "r2", "source": "measured", "metric": "ttft_s", "value": 1.0,
                                                "model": "pocket-3m", "task": "speed"}])
    assert comparable.refusal(speed, runs, "03_quantization") == "", "the other run has no rows that it decides"


def test_a_claim_that_nobody_ran_is_not_yet_run_where_it_can_be_and_says_what_runs_it():
    claims = {claim.id: claim for claim in file.load(STUDY)}
    for platform, word in (("some-laptop", "not testable here"), ("jetson-orin-nx", "not yet run")):
        found = {one.claim.id: one for one in judgement.judge(claims.values(), None, platform)}
        assert found["S1.3"].verdict == word and found["S3.9"].verdict == "not yet run" and not found["S3.9"].seen
        assert "edgekit run 02_baseline measures them" in text.reason(found["S3.9"])
    frame = pd.DataFrame([{"run": "r", "source": "modelled", "metric": "ttft_s", "value": 1.0, "model": "pocket-3m"}])
    [one] = judgement.judge([claims["S3.9"]], frame, "some-laptop")
    assert one.verdict == "not testable here" and one.missing, "there are rows, and none of them was measured"


# --- sentences


def test_every_sentence_leads_to_claims_or_to_a_reason_and_every_claim_is_led_to():
    found = sentences.load()
    assert all(bool(one.claims) != bool(one.excluded) for one in found) and len(found) > 100
    assert {claim for one in found for claim in one.claims} == {entry["id"] for entry in published.entries()}
    assert {one.document for one in found} == {"S1", "S2", "S3", "ER"}
    for document in ("S1", "S2", "S3", "ER"):
        places = [one.order for one in found if one.document == document]
        assert places == sorted(set(places))
    told = " ".join(one.says + one.excluded for one in found)
    for word in ("6 months", "3 enterprise clients", "satisfied", "federated learning", "architecture search",
                 "vision-language"):
        [sentence] = [one for one in found if word in one.says]
        assert sentence.excluded, word
    for name in ("GPTQ", "AWQ", "GGUF", "ONNX Runtime", "TensorRT", "llama.cpp", "vLLM", "TRT-LLM", "L1", "LLM-Pruner", "W4A16",
                 "NEON", "Metal", "CUDA", "Neural Engine", "Hexagon", "Meteor Lake", "Taylor", "AutoAWQ", "MMLU-Redux"):
        assert name in told, name


def forms(value: float) -> set[str]:
    """How documents print a number: as it is, seconds in milliseconds, millions with a letter."""
    return {f"{value:g}", f"{1e3 * value:g}", f"{value / 1e6:g}M"}


def test_every_number_that_a_document_prints_is_in_a_sentence_that_leads_to_its_claim():
    found = sentences.load()
    for entry in published.entries():
        if entry["document"] == "ER":
            continue
        says = " ".join(one.says for one in found if entry["id"] in one.claims)
        printed = set(re.findall(r"\d+(?:\.\d+)?M?", says.replace(",", "")))
        for number in entry["published"]:
            if "locator" in number:  # of another place than the claim's own
                continue
            for end in ("value", "low", "high"):
                assert end not in number or forms(number[end]) & printed, (entry["id"], number)


def wrong(change):
    content = yaml.safe_load((store.ROOT / "data/published/sentences.yaml").read_text())
    change(content["sentences"])
    return content


def moved(found):
    found[3], found[4] = found[4], found[3]


def without(claim):
    def change(found):
        for one in found:
            if claim in one.get("claims", []):
                one["claims"].remove(claim)
                if not one["claims"]:
                    one["excluded"] = one.pop("claims") or "gone"
    return change


@pytest.mark.parametrize("change, says", [
    (moved, "stands behind a later sentence"),
    (lambda found: found.append(dict(found[-1])), "or twice"),
    (without("S1.18"), "no sentence leads to claim S1.18"),
    (lambda found: found[0].update(claims=["S1.1"]), "either the claims that judge it or the reason"),
    (lambda found: found[0].pop("excluded"), "either the claims that judge it or the reason"),
    (lambda found: found[0].update(excluded=""), "either the claims that judge it or the reason"),
    (lambda found: found[1].update(claims=["S9.9"]), "unknown claim 'S9.9'"),
    (lambda found: found[1].update(at="S1 3.7 p1 s1"), "expected a document of S1, S2, S3, ER, one of its sections"),
    (lambda found: found[1].update(says=" "), "expected what it says"),
    (lambda found: found[1].update(note="x"), "expected `at`, `says` and one of")])
def test_a_list_of_sentences_that_loses_one_is_refused(tmp_path, change, says):
    path = tmp_path / "sentences.yaml"
    path.write_text(yaml.safe_dump(wrong(change), allow_unicode=True, sort_keys=False))
    with pytest.raises(ClaimsError, match=re.escape(says)):
        sentences.load(path)


def test_the_page_of_the_ledger_has_every_claim_and_every_sentence(judged_rows, monkeypatch):
    monkeypatch.setattr(store, "OUTPUT", judged_rows)
    page = ledger.page(publish.headlines(publish.committed_cells()), sentences.load(), "claims/{id}.md")
    for entry in published.entries():
        assert f"| [{entry['id']}](claims/{entry['id']}.md) | " in page
    rows = [line for line in page.splitlines() if re.match(r"\| [\d.]+ p\d+ s\d+[a-z]?, ", line)]
    assert len(rows) == len(sentences.load()) and all(line.count(" | ") == 2 for line in rows)
