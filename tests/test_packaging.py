"""What goes along with the code: licence, citation, changelog, versions, licences of others, and files for every platform."""

from __future__ import annotations

import hashlib
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging import tags
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

import edgekit

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / "edgekit" / "environment"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
BY_PIP = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"][-1]["pip"]


@pytest.fixture(scope="module")
def modules():
    """The modules of the set-up, which are run by path."""
    sys.path.insert(0, str(ENVIRONMENT))
    try:
        yield {name: importlib.import_module(name) for name in ("locks", "preflight", "resolve")}
    finally:
        sys.path.remove(str(ENVIRONMENT))


# Version and licence


def test_one_version_stands_everywhere():
    newest = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)
    assert newest[0] == "Unreleased"
    assert {PROJECT["project"]["version"], newest[1], str(CITATION["version"])} == {edgekit.__version__}


def test_the_licence_is_apache_2_word_for_word():
    assert PROJECT["project"]["license"] == CITATION["license"] == "Apache-2.0"
    path, = (REPOSITORY / name for name in PROJECT["project"]["license-files"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_citation_has_what_a_citation_needs():
    assert {"cff-version", "message", "title", "abstract", "authors", "version", "license"} <= CITATION.keys()
    assert CITATION["authors"] == [{"name": "The edgekit authors"}] and CITATION["title"].startswith("edgekit")


# Licences of others


def stated() -> dict[str, str]:
    """Package -> licence, as docs/third-party.md has them."""
    text = (REPOSITORY / "docs" / "third-party.md").read_text().split("## Models")[0]
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| (?:the kit|extra [\w-]+)", text, re.M)
    assert len(rows) == len(dict(rows))
    return dict(rows)


def asked() -> set[str]:
    """What pyproject.toml asks for, with all extras."""
    lines = [*PROJECT["project"]["dependencies"], *sum(PROJECT["project"]["optional-dependencies"].values(), [])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_every_direct_dependency_has_its_licence_and_nothing_else_has():
    assert stated().keys() == asked()


def test_licences_are_those_that_the_installed_packages_state():
    words = {"MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-",
             "Python Software Foundation License": "PSF"}
    checked = []
    for name, licence in stated().items():
        try:
            facts = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here
        classes = {line.rsplit(" :: ", 1)[1] for line in facts.get_all("Classifier") or [] if line.startswith("License :: ")}
        if facts["License-Expression"]:
            assert licence == facts["License-Expression"], name
        elif classes & words.keys():
            assert all(words[one] in licence for one in classes & words.keys()), name
        else:  # one line of free text, or the licence itself
            stated_text = facts["License"] or metadata.distribution(name).read_text("licenses/LICENSE")
            assert re.split(r"\W", licence)[0] in stated_text, name
        checked.append(name)
    assert len(checked) > 30


# Python versions and platforms


def test_all_agree_on_the_python_versions(modules):
    preflight = modules["preflight"]
    (_, oldest), (_, newest) = preflight.OLDEST, preflight.NEWEST
    bounds = f">=3.{oldest},<3.{newest + 1}"
    project = PROJECT["project"]
    assert project["requires-python"] == bounds
    assert yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"][0] == f"python {bounds}"
    assert f"Python 3.{oldest} to 3.{newest}" in (REPOSITORY / "README.md").read_text()
    assert tuple(f"3.{minor}" for minor in range(oldest, newest + 1)) == modules["resolve"].PYTHONS
    assert SpecifierSet(bounds).contains(f"{sys.version_info[0]}.{sys.version_info[1]}")


def lacking(files: dict, python: str, platforms: tuple[str, ...]) -> set:
    """Pins without a wheel for a Python on these platforms."""
    version = tuple(map(int, python.split(".")))
    nickname = f"cp{version[0]}{version[1]}"
    # On macOS a tag stands for all older ones, and for files that hold Intel's code too.
    newest = re.fullmatch(r"macosx_(\d+)_0_arm64", platforms[-1])
    platforms = list(tags.mac_platforms((int(newest[1]), 0), "arm64")) if newest else platforms
    usable = {*tags.cpython_tags(version, abis=[nickname], platforms=platforms),
              *tags.compatible_tags(version, nickname, platforms)}
    return {pin for pin, names in files.items()
            if not any(usable & parse_wheel_filename(name)[3] for name in names if name.endswith(".whl"))}


def targets(resolve) -> list[tuple[str, str]]:
    return [(python, platform) for python in resolve.PYTHONS for platform in resolve.PLATFORMS]


MARKERS = {"linux-x86_64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
           "linux-aarch64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
           "macos-arm64": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}}


def test_every_pin_has_hashed_files_and_every_file_a_pin(modules):
    locks, resolve = modules["locks"], modules["resolve"]
    files = locks.files()
    assert files.keys() == {locks.pin_of(line) for lock in resolve.LOCKS for line in locks.pins(lock).values()}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for names in files.values() for digest in names.values())


def test_whatever_environment_yml_asks_for_has_a_wheel_or_a_source_on_every_python_and_platform(modules):
    """From the names of the files that pip resolved: nothing is fetched."""
    locks, resolve = modules["locks"], modules["resolve"]
    files = locks.files()
    sources = {pin for pin, names in files.items() if not any(name.endswith(".whl") for name in names)}
    for python, platform in targets(resolve):
        where = MARKERS[platform] | {"python_version": python, "python_full_version": f"{python}.0"}
        wanted = {locks.pin_of(line) for line in BY_PIP[:-1]
                  if (marker := Requirement(line).marker) is None or marker.evaluate(where)}
        assert len(wanted) > 190
        assert not (wanted & lacking(files, python, resolve.PLATFORMS[platform])) - sources, (python, platform)


def test_what_pip_found_no_wheel_for_is_what_the_file_names_say(modules):
    """The file's head is what pip answered, which also minds the Python versions that a package asks for."""
    locks, resolve = modules["locks"], modules["resolve"]
    text, files = locks.FILES.read_text(), locks.files()
    for python, platform in targets(resolve):
        told, = re.findall(rf"^# {re.escape(python)} {platform}: (.*)$", text, re.M)
        assert {locks.pin_of(pin) for pin in told.split()} == lacking(files, python, resolve.PLATFORMS[platform])


def test_the_documents_name_the_source_packages_and_what_was_only_resolved(modules):
    text = (REPOSITORY / "docs" / "environment.md").read_text()
    files = modules["locks"].files()
    sources = {name for (name, _), names in files.items() if not any(file.endswith(".whl") for file in names)}
    told = re.search(r"^Built from source.*?:(.*?)\.$", text, re.M | re.S)[1]
    assert {canonicalize_name(name) for name in re.findall(r"`([\w-]+)`", told)} == sources
    for python, platform in targets(modules["resolve"]):
        row, = re.findall(rf"^\| {re.escape(python)} \| {platform} \| (.*?) \|", text, re.M)
        assert row == ("run" if (python, platform) == ("3.11", "linux-x86_64") else "only resolved")


LEFT_OUT = {"maturin", "playwright", "torchao", "torchaudio", "torchcodec", "torchvision"}  # see the heads of the lock files


def test_no_package_needs_another_one_that_is_not_pinned_on_any_python_or_platform(modules):
    """What the installed packages declare, read for each Python and platform; one that is not installed is passed over."""
    for python, platform in targets(modules["resolve"]):
        where = MARKERS[platform] | {"python_version": python, "python_full_version": f"{python}.0"}
        pinned = {canonicalize_name(one.name) for one in map(Requirement, BY_PIP[:-1])
                  if one.marker is None or one.marker.evaluate(where)} | {"llama-cpp-python"}
        waiting, seen = [(name, "") for name in pinned], set()
        while waiting:
            name, extra = one = waiting.pop()
            if one in seen or name in LEFT_OUT:
                continue
            seen.add(one)
            assert name in pinned, f"{name} is not pinned for Python {python} on {platform}"
            try:
                declared = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            for requirement in map(Requirement, declared):
                if requirement.marker is None or requirement.marker.evaluate(where | {"extra": extra}):
                    waiting += [(canonicalize_name(requirement.name), wish) for wish in ("", *requirement.extras)]
        assert len(seen) > 190


# Hashes


def test_a_requirement_with_a_marker_keeps_it_before_its_hashes(modules):
    line, = modules["locks"].hashed(['triton==3.9.0; sys_platform == "linux"']).splitlines()
    assert re.fullmatch(r'triton==3\.9\.0; sys_platform == "linux"( --hash=sha256:[0-9a-f]{64})+', line)


@pytest.mark.parametrize("changed", [False, True])
def test_pip_takes_the_file_that_was_hashed_and_refuses_another_in_one_sentence(modules, tmp_path, monkeypatch, changed):
    """The real pip, on a wheel in a folder."""
    locks, preflight = modules["locks"], modules["preflight"]
    wheel = tmp_path / "a_toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a_toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-toy\nVersion: 1.0\n")
        archive.writestr("a_toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("a_toy-1.0.dist-info/RECORD", "")
    digest = "0" * 64 if changed else hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "files.sha256").write_text(f"{digest}  {wheel.name}\n")
    monkeypatch.setattr(locks, "FILES", tmp_path / "files.sha256")
    (tmp_path / "pins.txt").write_text(locks.hashed(["a-toy==1.0"]))
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--find-links", tmp_path,
               "--require-hashes", "-r", tmp_path / "pins.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not changed:
        assert done.returncode == 0 and "Would install a-toy-1.0" in done.stdout
        return
    said = preflight.explain(done.returncode, done.stdout + done.stderr)
    assert said.startswith("the index gave a file of a-toy==1.0 with another SHA-256") and "\n" not in said
