"""Whether an engine does what every engine promises (see engines/base.py), against transformers in float32 on the same ids.

Each check ends in one of four ways. `passed`. `declared`: its entry in the catalog says that the engine lacks what the check
asks for, and asked for it the engine refuses in a sentence. `untold`: the model is too small to tell. `failed`: anything else,
with what was seen.

The text is the reference's own greedy continuation of random ids, so that what is compared is what models write. Two greedy
texts are the same up to ties where they part at two tokens whose logits in the reference lie no farther apart than twice the
most by which any logit of the engine differed from the reference's on that text: each of the two may have moved by so much.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit import engines, progress
from edgekit.catalog.engines import ENGINES
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError
from edgekit.errors import EdgekitError
from edgekit.measure import memory
from edgekit.measure.divergence import compare
from edgekit.measure.latency import prompt_ids
from edgekit.measure.scoring import log_softmax
from edgekit.schema import DECLARED, DTYPE, ENGINE, FAILED, PASSED, UNTOLD

PROMPT, WRITTEN = 16, 32  # tokens of the text: given, and written by the reference
# Most divergence from the reference, in nats a token: what 24, 11 and 8 bits of mantissa cost models of these sizes, with room.
NATS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 5e-2}
ROUNDED = 0.5  # and of weights of fewer bits, which tells a rounding from another model
UNSCORED_TIE = 0.02  # of an engine without scores: most of a gap that is a tie, over the standard deviation of the logits
STREAMED = 0.25  # least share of a stream's time that passes behind its first token
WEIGHED = 1 << 25  # bytes of weights from which on freed memory is told from an allocator's own
KEPT = 0.5  # most of the weights' bytes by which a second opening may leave the process larger

Verdict = tuple[str, str]  # how a check ended, and what was seen


@dataclass(frozen=True, slots=True)
class Expected:
    """The reference's text, `prompt` and `written`, and its logits after each token but the last: (tokens - 1, vocabulary)."""

    prompt: list[int]
    written: list[int]
    logits: np.ndarray

    @property
    def text(self) -> list[int]:
        return self.prompt + self.written

    def after(self, written: int) -> np.ndarray:
        """Logits behind so many written tokens."""
        return self.logits[len(self.prompt) - 1 + written]


class Subject:
    """An opened engine under test, and what its checks share. scores: its logits as Expected.logits, None without them."""

    def __init__(self, engine: Engine, name: str, dtype: str, expected: Expected):
        self.engine, self.entry, self.dtype, self.expected = engine, ENGINES[name], dtype, expected
        self.scores = engine.score(expected.text[:-1]).copy() if self.entry.scores else None

    @property
    def noise(self) -> float | None:
        """The most by which a logit differs from the reference's, up to what the softmax does not see; None without scores."""
        if self.scores is None:
            return None
        moved = self.scores - self.expected.logits
        return float(np.abs(moved - np.median(moved, axis=-1, keepdims=True)).max())

    def written(self, count: int = WRITTEN) -> list[int]:
        return [step.token for step in self.engine.stream(self.expected.prompt, count)]

    def parts(self, tokens: Sequence[int], whole: Sequence[int]) -> str:
        """Where two greedy texts of the prompt part other than at a tie, in words; "" where they do not."""
        if len(tokens) != len(whole):
            return f"{len(tokens)} tokens, {len(whole)} expected"
        at = next((i for i, pair in enumerate(zip(tokens, whole, strict=True)) if pair[0] != pair[1]), None)
        if at is None or list(whole[:at]) != self.expected.written[:at]:
            return ""  # behind a tie the reference has no logits to judge by
        logits = self.expected.after(at).astype(np.float64)
        gap = abs(logits[whole[at]] - logits[tokens[at]])
        tie = UNSCORED_TIE * logits.std() if self.noise is None else 2 * self.noise
        return "" if gap <= tie else (f"token {at} is {tokens[at]} and not {whole[at]}, whose logits lie {gap:.2g} apart; "
                                      f"ties end at {tie:.2g}")


def scores(subject: Subject) -> Verdict:
    """Log-probabilities are those of the reference, as nearly as the weights' type allows."""
    expected = subject.expected
    if subject.scores is None:
        return _declared(lambda: subject.engine.score(expected.text))
    if subject.scores.shape != expected.logits.shape or subject.scores.dtype != np.float32:
        return FAILED, (f"expected float32 logits {expected.logits.shape}, got {subject.scores.dtype} {subject.scores.shape}")
    found = divergence(subject)
    most = NATS.get(subject.dtype, ROUNDED)
    kl, agreed = (found[name] / len(expected.logits) for name in ("kl_nats", "agreed"))
    return PASSED if kl <= most else FAILED, f"{kl:.2g} nats a token (at most {most:g}), likeliest token agrees in {agreed:.1%}"


def divergence(subject: Subject) -> dict[str, float]:
    """The sums of `compare` over the text."""
    return compare(log_softmax(subject.expected.logits), log_softmax(subject.scores), subject.expected.text)


def greedy(subject: Subject) -> Verdict:
    """The continuation is the reference's up to ties, goes on behind tokens that end texts, and is as long as was asked."""
    tokens = subject.written()
    if said := subject.parts(tokens, subject.expected.written):
        return FAILED, said
    same = next((i for i, pair in enumerate(zip(tokens, subject.expected.written, strict=True)) if pair[0] != pair[1]), WRITTEN)
    return PASSED, f"{same} of {WRITTEN} tokens" + ", then a tie" * (same < WRITTEN)


def afresh(subject: Subject) -> Verdict:
    """A stream that its reader left, and one that was read to its end, leave nothing for the next."""
    whole = subject.written()
    for _ in itertools.islice(subject.engine.stream(subject.expected.prompt[::-1], WRITTEN), 2):
        pass
    again = subject.written()
    said = subject.parts(again, whole)
    return (FAILED, said) if said else (PASSED, "the same text again")


def stops(subject: Subject) -> Verdict:
    """`generate` ends before the first token that stops a text, or behind it."""
    whole = subject.written()
    stop = whole[len(whole) // 2]
    end = whole.index(stop)
    for keep in (False, True):
        [tokens] = subject.engine.generate([subject.expected.prompt], WRITTEN, {stop}, keep_stop=keep)
        if tokens != whole[:end + keep]:
            return FAILED, f"expected {end + keep} tokens with keep_stop={keep}, got {len(tokens)}"
    return PASSED, f"ended at token {end}"


def padding(subject: Subject) -> Verdict:
    """Ids from `writable` on are never written."""
    subject.engine.writable = most = max(1, *subject.expected.written[:4])
    try:
        if not subject.entry.withholds:
            return _declared(lambda: subject.written(4))
        held = subject.written(4)
    finally:
        subject.engine.writable = None
    return (FAILED, f"{max(held)} written, ids below {most} asked") if max(held) >= most else (PASSED, f"ids below {most} alone")


def context(subject: Subject) -> Verdict:
    """What does not fit, or is no token, is refused before anything is written."""
    engine = subject.engine
    asked = {"too long": ([1] * engine.info.context, 1), "empty": ([], 1), "no token": ([engine.info.vocabulary], 1)}
    for what, (prompt, count) in asked.items():
        try:
            tokens = list(engine.stream(prompt, count))
        except EdgekitError:
            continue
        return FAILED, f"a prompt that is {what} was answered with {len(tokens)} tokens"
    return PASSED, f"refused {', '.join(asked)}"


def rollback(subject: Subject) -> Verdict:
    """A session that took tokens back goes on as if they had never been."""
    if not subject.entry.takes_back:
        return _declared(subject.engine.session)
    text, middle = subject.expected.text[:-1], PROMPT // 2
    session = subject.engine.session()
    session.extend([*text[:middle], *reversed(text[middle:])])
    session.rollback(middle)
    found = session.extend(text[middle:])
    away = float(np.abs(found - subject.scores[middle:]).max() / subject.scores.std())
    most = 0.05 if subject.dtype in NATS else 0.25  # blocks of other lengths are rounded otherwise
    return PASSED if away <= most else FAILED, f"logits within {away:.2g} standard deviations (at most {most:g})"


def batch(subject: Subject) -> Verdict:
    """Texts written together are those written alone, up to ties."""
    first = subject.written(8)
    prompts = [subject.expected.prompt, subject.expected.prompt[:5]]
    together = subject.engine.generate(prompts, 8, set())
    alone = [subject.engine.generate([prompt], 8, set())[0] for prompt in prompts]
    if said := subject.parts(together[0] + subject.expected.written[8:], first + subject.expected.written[8:]):
        return FAILED, said
    same = sum(one == other for one, other in zip(together, alone, strict=True))
    return PASSED, f"{same} of {len(prompts)} texts the same, the others up to ties"


def streaming(subject: Subject) -> Verdict:
    """The first token comes before the last is made."""
    stamps = [time.perf_counter()]
    for _ in subject.engine.stream(subject.expected.prompt, WRITTEN):
        stamps.append(time.perf_counter())
    behind = (stamps[-1] - stamps[1]) / (stamps[-1] - stamps[0])
    return PASSED if behind >= STREAMED else FAILED, f"{behind:.0%} of the time behind the first token (at least {STREAMED:.0%})"


CHECKS: tuple[Callable[[Subject], Verdict], ...] = (scores, greedy, afresh, stops, padding, context, rollback, batch, streaming)


def freed(reopen: Callable[[], Engine], size: int, text: Sequence[int]) -> Verdict:
    """Closing gives the weights' memory back: a second opening leaves the process no larger than the first did."""
    if size < WEIGHED:
        return UNTOLD, f"weights of {size / 1e6:.1f} MB are less than what an allocator keeps for itself"
    before = _resident()
    with reopen() as engine:
        for _ in engine.stream(text, 2):
            pass
        held = _resident() - before
    kept = _resident() - before
    return PASSED if kept <= KEPT * size else FAILED, (f"{held / 1e6:.0f} MB while open, {kept / 1e6:.0f} MB after it was closed, "
                                                       f"weights of {size / 1e6:.0f} MB")


def refusal(opened: Callable[[Artifact], Engine], artifact: Artifact) -> Verdict:
    """Another format, and a folder without files, are refused in a sentence of the kit's."""
    with tempfile.TemporaryDirectory(prefix="edgekit-empty-") as empty:
        for what, wrong in (("another format", dataclasses.replace(artifact, format="another")),
                            ("an empty folder", dataclasses.replace(artifact, path=Path(empty)))):
            try:
                opened(wrong).close()
            except EdgekitError:
                continue
            return FAILED, f"{what} was loaded"
    return PASSED, "another format and an empty folder"


def measure_conformance(*, variant: str, engine: str, dtype: str, threads: int, device: str, base: str, seed: int) -> dict:
    """A worker's job: every check of one variant in one engine against `base`, the model that it comes from.

    Returns {"observations": [...], "engine": {...}}: of each check whether it `conforms`, with `check`, `outcome` and `seen`; and
    the sums of `divergence.compare` over the text where the engine has scores.
    """
    expected = _expected(base, threads, seed)
    artifact = variants.build(variant)

    def opened(of: Artifact = artifact) -> Engine:
        return engines.open_engine(engine, of, dtype=dtype, threads=threads, device=device, context=PROMPT + WRITTEN)

    seen = []
    with opened() as one:
        info = dataclasses.asdict(one.info)
        subject = Subject(one, engine, dtype, expected)
        for check in CHECKS:
            seen.append(_observed(check.__name__, check, subject))
            progress.step()
        if subject.scores is not None:
            seen += [dict(metric=metric, value=value, tokens=len(expected.logits))
                     for metric, value in divergence(subject).items()]
        del subject
    seen.append(_observed("freed", freed, opened, artifact.size_bytes(), expected.prompt))
    seen.append(_observed("refusal", refusal, opened, artifact))
    return dict(observations=seen, engine=info)


def _expected(base: str, threads: int, seed: int) -> Expected:
    with engines.open_engine(ENGINE, variants.build(base), dtype=DTYPE, threads=threads, device="cpu",
                             context=PROMPT + WRITTEN) as reference:
        prompt = prompt_ids(reference.info.vocabulary, PROMPT, seed)
        written = [step.token for step in reference.stream(prompt, WRITTEN)]
        return Expected(prompt, written, reference.score([*prompt, *written][:-1]).copy())


def _observed(name: str, check: Callable[..., Verdict], *given) -> dict:
    try:
        outcome, seen = check(*given)
    except Exception as error:  # whatever an engine does in place of an answer is what was seen of it
        outcome, seen = FAILED, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    return dict(metric="conforms", value=float(outcome != FAILED), check=name, outcome=outcome, seen=seen)


def _declared(ask: Callable[[], object]) -> Verdict:
    """What an engine says that it has not, it refuses."""
    try:
        ask()
    except EngineError as error:
        return DECLARED, str(error)
    return FAILED, "declared not to have it, and answered"


def _resident() -> int:
    """Resident memory of this process, without what its allocator holds for later."""
    gc.collect()
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)  # musl has none
    return memory.resident_bytes()
