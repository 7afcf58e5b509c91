"""Real texts by name: how they are cut, that the parts of a source share nothing, and what is in their hashes."""

from __future__ import annotations

import re
import sys

import pytest

from edgekit import store
from edgekit.catalog import folder_data, real_texts, texts
from edgekit.catalog.folder_data import DataError
from edgekit.catalog.real_texts import CALIBRATION, EVALUATION
from edgekit.catalog.tasks import TaskError
from edgekit.compress.artifact import BuildError
from edgekit.compress.calibration import Calibration, names

POCKET = store.ROOT / "data/models/pocket-200k"
BLANK = " \n"


def paragraph(word: str, times: int = 40) -> str:
    return f"{' '.join([word] * times)} ."


def wiki(*articles: tuple[str, list[str]]) -> str:
    """Text in WikiText's form: a title and sections on lines of their own, paragraphs a line each."""
    return "".join(f"{BLANK} = {title} = \n{BLANK}" + "".join(f" {one} \n" for one in body) + f"{BLANK} = = More = = \n{BLANK}"
                   for title, body in articles)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "wikitext2").mkdir()
    foxes = [paragraph("fox"), paragraph("cub"), "= 1 x =", paragraph("den", 400)]
    hens = [paragraph("hen"), paragraph("egg", 500)]
    (tmp_path / "wikitext2/test.txt").write_text(wiki(("Foxes", foxes), ("Hens", hens)))
    (tmp_path / "wikitext2/valid.txt").write_text(wiki(("Owls", [paragraph(f"owl {n}", 30) for n in range(20)])))
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", ["", "a", "a b. c\nd\n\ne" * 50, "x" * 5000,
                                  "\n\n".join(paragraph("w", n) for n in range(5, 90)), "no end at all " * 300])
def test_pieces_behind_each_other_are_the_text_and_none_is_too_long(text):
    pieces = real_texts.cut(text, 400)
    assert "".join(pieces) == text and all(len(piece) <= 400 for piece in pieces)


def test_a_text_is_cut_at_the_coarsest_end_that_will_do():
    for end in ("\n\n", "\n", ". ", " "):
        parts = [letter * 300 for letter in "abc"]
        assert real_texts.cut(end.join(parts), 400) == [parts[0] + end, parts[1] + end, parts[2]], repr(end)
    assert real_texts.cut("a" * 250 + "\n\n" + "b" * 100 + "\n" + "c" * 100, 400)[0] == "a" * 250 + "\n\n"


def test_a_paragraph_counts_for_the_largest_topic_that_has_it():
    shared, long, own = paragraph("shared"), paragraph("long"), paragraph("own", 80)
    kept = real_texts.without_copies({"small": f"Title\n\n{shared}\n\n{own}",
                                      "large": f"Title\n\n{shared}\n\n{long}\n\n{long}x",
                                      "copy": f"Other\n\n{shared}"})
    assert kept == {"large": f"Title\n\n{shared}\n\n{long}\n\n{long}x", "small": f"Title\n\n{own}"}


def test_topics_are_dealt_evenly_and_each_to_one_half():
    topics = {f"t{n:02d}": "x" * (1000 - 37 * n) for n in range(20)}
    one, other = real_texts.halves(topics)
    assert not one.keys() & other.keys() and one | other == topics and list(one) == sorted(one)
    assert abs(sum(map(len, one.values())) - sum(map(len, other.values()))) < 300


def test_the_interpreters_documentation_is_halved_without_a_shared_topic_or_paragraph():
    from pydoc_data.topics import topics

    parts = [real_texts.load("python-docs", part) for part in (EVALUATION, CALIBRATION)]
    found = []
    for part in parts:
        assert len(part) > 60 and all(real_texts.LEAST <= len(one.text) <= real_texts.MOST for one in part)
        assert len({one.id for one in part}) == len(part)
        of = {re.fullmatch(r"python-docs-(.+)-\d{3}", one.id)[1] for one in part}
        assert of <= topics.keys() and len(of) > 8
        assert [one.id[-3:] for one in part[:len(of)]] == ["000"] * len(of), "the first text of each topic comes first"
        long = {" ".join(piece.split()) for one in part for piece in one.text.split("\n\n") if len(piece) >= real_texts.LONG}
        found.append((of, long))
        everything = " ".join(" ".join(text.split()) for text in topics.values())
        assert all(" ".join(one.text.split("\n\n")[0].split()) in everything for one in part)
    assert not found[0][0] & found[1][0] and not found[0][1] & found[1][1]


def test_wikitext_comes_from_the_users_folder_in_articles_in_turn(folder):
    came = texts.load("wikitext2", 4)
    assert [one.id for one in came] == ["wikitext2-00-000", "wikitext2-01-000", "wikitext2-00-001", "wikitext2-01-001"]
    assert came[0].text.startswith(" = Foxes = \n") and "fox" in came[0].text and came[1].text.startswith(" = Hens = \n")
    assert {one.domain for one in came} == {"prose"} and all(len(one.text) <= real_texts.MOST for one in came)
    whole = (folder / "wikitext2/test.txt").read_text()
    assert all(one.text in whole for one in came) and "= 1 x =" in " ".join(one.text for one in came), "a formula is no title"
    assert [one.text[:9] for one in real_texts.load("wikitext2", CALIBRATION)][0] == " = Owls ="
    with pytest.raises(TaskError, match=r"texts: expected 1 to \d+ \(what wikitext2 holds\), got 99"):
        texts.load("wikitext2", 99)


def test_what_is_wrong_with_the_users_folder_is_told(folder, monkeypatch):
    (folder / "wikitext2/test.txt").unlink()
    with pytest.raises(DataError, match="wikitext2/test.txt: it is not in EDGEKIT_DATA .*has no test.txt.*put it there"):
        texts.stream_hash("wikitext2")
    (folder / "wikitext2/test.txt").write_text("words\n")
    with pytest.raises(DataError, match="expected articles, each begun by a line"):
        texts.load("wikitext2", 1)
    monkeypatch.delenv("EDGEKIT_DATA")
    with pytest.raises(DataError, match="a.txt: expected EDGEKIT_DATA in the environment to name.*export EDGEKIT_DATA="):
        folder_data.path("a.txt")


def test_without_a_folder_wikitext_comes_from_the_hub(monkeypatch, folder):
    expected = real_texts.load("wikitext2", EVALUATION)
    lines = (folder / "wikitext2/test.txt").read_text().split("\n")[:-1]
    asked = []

    class Datasets:
        @staticmethod
        def load_dataset(*named, split):
            asked.append((*named, split))
            return {"text": [line + "\n" if line.strip() else "" for line in lines]}

    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    monkeypatch.delenv("EDGEKIT_DATA")
    real_texts._wikitext_of_hub.cache_clear()
    came = real_texts.load("wikitext2", EVALUATION)
    assert asked == [("Salesforce/wikitext", "wikitext-2-raw-v1", "test")]
    assert [" ".join(one.text.split()) for one in came] == [" ".join(one.text.split()) for one in expected]

    def offline(*named, split):
        raise ConnectionError("no route\nto host")

    Datasets.load_dataset = offline
    real_texts._wikitext_of_hub.cache_clear()
    with pytest.raises(DataError, match="wikitext2: not in the folder of EDGEKIT_DATA .*ConnectionError: no route to host"):
        real_texts.load("wikitext2", EVALUATION)
    texts.require_known("wikitext2", 4)
    real_texts._wikitext_of_hub.cache_clear()


def test_a_text_of_ones_own_is_cut_at_its_paragraphs(tmp_path):
    file = tmp_path / "mine.txt"
    body = [paragraph(f"w{n}", 60) for n in range(30)]
    file.write_text("\n\n".join(body))
    came = texts.load(str(file), 2)
    assert came[0].id == "mine-000" and came[0].domain == "prose" and came[0].text.startswith(body[0])
    assert "\n\n".join(one.text for one in real_texts.load(str(file), EVALUATION)) == "\n\n".join(body)
    before = texts.stream_hash(str(file))
    file.write_text("\n\n".join([*body, paragraph("more", 80)]))
    assert texts.stream_hash(str(file)) != before
    file.write_text("too short")
    with pytest.raises(DataError, match="mine.txt: expected a text of at least 200 characters"):
        texts.load(str(file), 1)
    with pytest.raises(TaskError, match="unknown evaluation stream .*gone.txt'; known: mixture, python-docs, wikitext2, or"):
        texts.load(str(tmp_path / "gone.txt"), 1)


def test_parts_and_texts_are_in_the_hash(folder, monkeypatch):
    hashes = {(name, part): real_texts.content_hash(name, part) for name in real_texts.NAMES
              for part in (EVALUATION, CALIBRATION)}
    assert len(set(hashes.values())) == 4 and texts.stream_hash("wikitext2") == hashes["wikitext2", EVALUATION]
    import pydoc_data.topics as docs

    monkeypatch.setattr(docs, "topics", {name: text + "\n\n" + paragraph(name, 99) for name, text in docs.topics.items()})
    real_texts._python_docs.cache_clear()
    assert texts.stream_hash("python-docs") != hashes["python-docs", EVALUATION], "another Python, other rows"
    assert Calibration("python-docs", 2, 16, 0).hash != Calibration("wikitext2", 2, 16, 0).hash
    real_texts._python_docs.cache_clear()


def test_calibration_takes_the_other_part(folder):
    """A pocket tokenizer reads any text, if badly: its tokens are enough to see which text they are of."""
    from edgekit.catalog import prompting

    tokens = prompting.of(POCKET)
    for name in ("python-docs", "wikitext2"):
        stream = [id for one in tokens.encode_texts([text.text for text in real_texts.load(name, CALIBRATION)]) for id in one]
        pieces = [stream[at:at + 32] for at in range(0, len(stream) - 31, 32)]
        drawn = Calibration(name, 3, 32, 7).sequences(POCKET, 1024)
        assert len(drawn) == 3 and all(one in pieces for one in drawn)
        same, other = (Calibration(name, 3, 32, seed).sequences(POCKET, 1024) for seed in (7, 8))
        assert drawn == same != other


def test_named_sets_and_files_of_ones_own_are_calibration_sets(tmp_path):
    assert names() == ["mixture", "prose", "python-docs", "wikitext2", "random"]
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(paragraph(f"fox {n}", 30) for n in range(60)))
    before = Calibration(str(file), 2, 16, 0).hash
    assert len(Calibration(str(file), 2, 16, 0).sequences(POCKET, 1024)) == 2
    file.write_text(file.read_text() + "\n\n" + paragraph("hen", 90))
    assert Calibration(str(file), 2, 16, 0).hash != before
    with pytest.raises(BuildError, match="unknown calibration set 'poems'; known: mixture, prose, python-docs, wikitext2"):
        Calibration("poems", 2, 16, 0)


@pytest.mark.parametrize("name", ["mixture", "prose", "random"])
def test_sets_that_were_there_before_keep_their_hashes(name):
    content = "" if name == "random" else store.hash_files([store.ROOT / f"data/calibration/{name}.jsonl"])
    asked = {"name": name, "samples": 32, "length": 256}
    expected = store.condition_key("calibration", 1, asked, repeat=5, artifact=content, task="", platform="")
    assert Calibration(name, 32, 256, 5).hash == expected
    assert texts.stream_hash("mixture") == store.hash_files([store.ROOT / "data/evaluation/mixture.jsonl"])
