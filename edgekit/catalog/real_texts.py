"""Real texts by name: the interpreter's own documentation, WikiText-2, a .txt file of one's own; cut alike for scoring and for
calibration.

`python-docs` is `pydoc_data.topics`, prose and code: another version of Python may have other texts. Its topics repeat each
other, so a paragraph counts for the largest topic that has it, and the halves for calibration and evaluation share neither
topics nor paragraphs. `wikitext2` (Merity et al. 2016, arXiv:1609.07843; the test texts for scoring, the validation texts for
calibration) is read from the folder that EDGEKIT_DATA names, where that has it, else from the hub. Files with rare words as
<unk> are other texts than the hub's, which are raw, and have another hash.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import folder_data
from edgekit.catalog.folder_data import DataError

_AWAY: ContextVar[set[str] | None] = ContextVar("away", default=None)  # see without_downloads
EVALUATION, CALIBRATION = "evaluation", "calibration"  # the parts of a source, which share no text
PYTHON_DOCS, WIKITEXT = "python-docs", "wikitext2"
NAMES = (PYTHON_DOCS, WIKITEXT)
MOST = 1500  # characters of a text
LEAST = 200  # a shorter rest (a heading, the end of a list) says little, and is left out
LONG = 60  # characters from which two paragraphs that are the same were copied
ENDS = ("\n\n", "\n", ". ", " ")  # of a paragraph, a line, a sentence, a word: where a text is cut, the first that will do
WIKITEXT_FILES = {EVALUATION: "test.txt", CALIBRATION: "valid.txt"}
WIKITEXT_HUB = ("Salesforce/wikitext", "wikitext-2-raw-v1", {EVALUATION: "test", CALIBRATION: "validation"})
# A line of its own with one sign at each end begins an article; those of sections have more, and formulas stand in paragraphs.
ARTICLE = re.compile(r"^ *\n ?= [^=\n]+ = ?\n(?= *$)", re.MULTILINE)
OUTER = re.compile(r"\A(?:[ \t]*\n)+|\s+\Z")  # blank lines before a text, and what is blank behind it


@dataclass(frozen=True, slots=True)
class RealText:
    """A text of at most MOST characters. `id`: its source, topic or article, and place in it."""

    id: str
    text: str


def is_named(name: str) -> bool:
    """Whether a name is one of these sources, or the path of a .txt file."""
    return name in NAMES or name.endswith(".txt")


def load(name: str, part: str) -> tuple[RealText, ...]:
    """The texts of a part (EVALUATION or CALIBRATION) of a source, the first of each topic or article before the second of any;
    of a .txt file all of it in both parts, in its order.

    Raises DataError where the source cannot be had, or holds no text.
    """
    if name == PYTHON_DOCS:
        return _python_docs(part)
    if name == WIKITEXT:
        return _wikitext(part)
    file = text_files.path_of(name)
    return _own(file, file.stat().st_mtime_ns) if file.is_file() else _own(file, 0)


def content_hash(name: str, part: str) -> str:
    """Content address of the texts of a part, as they are cut. Raises as `load` does."""
    if name == WIKITEXT and _AWAY.get() is not None and not _is_here():
        _AWAY.get().add(name)
        return f"not here: {name}"
    return _hash(load(name, part))


@contextlib.contextmanager
def without_downloads() -> Iterator[set[str]]:
    """Meanwhile nothing is fetched: texts that are not here have a content address that no rows have. Yields their names."""
    away: set[str] = set()
    token = _AWAY.set(away)
    try:
        yield away
    finally:
        _AWAY.reset(token)


def _is_here() -> bool:
    """Whether WikiText-2 is in the user's folder, or among the data sets that were fetched."""
    if folder_data.has(WIKITEXT):
        return True
    from datasets import config

    repository, name, _ = WIKITEXT_HUB
    return (Path(config.HF_DATASETS_CACHE) / repository.replace("/", "___") / name).is_dir()


def cut(text: str, most: int = MOST) -> list[str]:
    """A text in pieces of at most `most` characters, each as long as the ends of its paragraphs allow; a paragraph that is
    longer alone is cut at the ends of its lines, sentences or words. The pieces behind each other are the text."""
    pieces: list[str] = []
    for part in _parts(text, most, ENDS):
        if pieces and len(pieces[-1]) + len(part) <= most:
            pieces[-1] += part
        else:
            pieces.append(part)
    return pieces


def _parts(text: str, most: int, ends: Sequence[str]) -> Iterator[str]:
    """A text in parts that are not longer, each up to the first of `ends` that makes it so."""
    if len(text) <= most:
        yield text
    elif not ends:
        yield from (text[at:at + most] for at in range(0, len(text), most))
    else:
        *whole, rest = text.split(ends[0])
        for part in [*(one + ends[0] for one in whole), rest]:
            yield from _parts(part, most, ends[1:])


def in_turn(sources: dict[str, str]) -> tuple[RealText, ...]:
    """The texts that sources (topics, articles) are cut into, the first of each source, then the second of each, and so on, so
    that the first few are about many things."""
    each = []
    for source, text in sources.items():
        pieces = [OUTER.sub("", piece) for piece in cut(text) if len(piece.strip()) >= LEAST]
        each.append([RealText(f"{source}-{number:03d}", piece) for number, piece in enumerate(pieces)])
    return tuple(one for row in itertools.zip_longest(*each) for one in row if one is not None)


def without_copies(topics: dict[str, str]) -> dict[str, str]:
    """Topics without the paragraphs that a larger one has too, and without those of which less than half would be left: bare
    headings and examples."""
    seen: set[str] = set()
    kept = {}
    for name, text in sorted(topics.items(), key=lambda one: (-len(one[1]), one[0])):
        paragraphs = text.split("\n\n")
        own = [one for one in paragraphs if len(one) < LONG or " ".join(one.split()) not in seen]
        if 2 * _length(own) >= _length(paragraphs) > 0:
            seen |= {" ".join(one.split()) for one in paragraphs}
            kept[name] = "\n\n".join(own)
    return kept


def _length(paragraphs: Iterable[str]) -> int:
    """Characters of those that are long enough to tell where they were copied from."""
    return sum(len(one) for one in paragraphs if len(one) >= LONG)


def halves(topics: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Topics dealt into two parts of nearly the same length, the largest first to the part with less; each sorted by topic."""
    parts: tuple[dict[str, str], dict[str, str]] = {}, {}
    for name in sorted(topics, key=lambda one: (-len(topics[one]), one)):
        min(parts, key=lambda part: sum(map(len, part.values())))[name] = topics[name]
    return tuple({name: part[name] for name in sorted(part)} for part in parts)


@functools.lru_cache(maxsize=8)
def _own(file: Path, changed: int) -> tuple[RealText, ...]:
    """Read once for each process and time of change: a plan names a stream hundreds of times."""
    texts = in_turn({file.stem: text_files.text_of(file, DataError)})
    if not texts:
        raise DataError(f"{file}: expected a text of at least {LEAST} characters, got less")
    return texts


@functools.lru_cache(maxsize=16)
def _hash(texts: tuple[RealText, ...]) -> str:
    return hashlib.sha256(store.canonical([[one.id, one.text] for one in texts]).encode()).hexdigest()


@functools.cache
def _python_docs(part: str) -> tuple[RealText, ...]:
    from pydoc_data.topics import topics

    calibration, evaluation = halves(without_copies(topics))
    chosen = evaluation if part == EVALUATION else calibration
    return in_turn({f"{PYTHON_DOCS}-{name}": text for name, text in chosen.items()})


def _wikitext(part: str) -> tuple[RealText, ...]:
    if not folder_data.has(WIKITEXT):
        return _wikitext_of_hub(part)
    file = folder_data.path(f"{WIKITEXT}/{WIKITEXT_FILES[part]}")
    return _articles(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _articles(file: Path, changed: int) -> tuple[RealText, ...]:
    texts = articles(text_files.text_of(file, DataError))
    if not texts:
        raise DataError(f"{file}: expected articles, each begun by a line ` = Title = `, got none; put the text of "
                        "WikiText-2 there")
    return texts


@functools.cache
def _wikitext_of_hub(part: str) -> tuple[RealText, ...]:
    repository, config, splits = WIKITEXT_HUB
    try:
        from datasets import load_dataset

        lines = load_dataset(repository, config, split=splits[part])["text"]
    except Exception as error:  # the library and what it fetches with raise classes of many kinds
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(f"{WIKITEXT}: not in the folder of {folder_data.VARIABLE} (expected {WIKITEXT}/"
                        f"{WIKITEXT_FILES[part]} there), and not to be had from the hub, {repository} ({words}); put it into "
                        "that folder, or connect once") from error
    return articles("\n".join(line.rstrip("\n") for line in lines))


def articles(text: str) -> tuple[RealText, ...]:
    """The texts of WikiText's articles, in turn."""
    text = "\n" + text
    starts = [one.start() for one in ARTICLE.finditer(text)]
    return in_turn({f"{WIKITEXT}-{number:02d}": text[start:end]
                    for number, (start, end) in enumerate(itertools.pairwise([*starts, len(text)]))})
