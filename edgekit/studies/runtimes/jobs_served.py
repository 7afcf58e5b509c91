"""Times of a server that takes text: prompts of as many tokens as were asked, and answers too, by the server's own count."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edgekit import engines, progress
from edgekit.compress import variant as variants
from edgekit.engines.base import EngineError
from edgekit.measure.latency import WARMUP_TOKENS
from edgekit.route.engine import Counts, Server

WORDS = ("time", "year", "way", "day", "thing", "life", "world", "school", "state", "group", "part", "place", "case", "week",
         "work", "number", "night", "point", "home", "water", "room", "money", "story", "book", "side", "house", "line")
CHARACTERS = 4  # of a token, as a first guess
SEARCHES = 24  # requests at most until a text has the length that was asked
TRIES = 8  # prompts at most until one and its answer are as long as was asked


def measure_served(*, variant: str, engine: str, dtype: str, threads: int, device: str, grid: list, seed: int,
                   warmups: int) -> dict:
    """A worker's job: TTFT, TPOT and decode time over `grid`, (prompt length, output lengths) pairs, of a server.

    TTFT is the time until the first part; TPOT the time from the first to the last over the tokens behind the first. A request
    counts if the server counted as many tokens as were asked, in and out. Raises EngineError where none does.
    """
    artifact, seen = variants.build(variant), []
    context = max(length + max(outputs) for length, outputs in grid)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as server:
        for length, outputs in grid:
            random = np.random.default_rng([seed, length])
            body = text_of(server, length, random)
            for _ in range(warmups):
                timed(server, _begun(body, random), WARMUP_TOKENS)
            for tokens in sorted(outputs):
                stamps = _as_asked(server, body, random, Counts(length, tokens))
                at = dict(prompt_tokens=length, output_tokens=tokens)
                seen.append(dict(metric="tpot_s", value=(stamps[-1] - stamps[0]) / (tokens - 1), **at))
                seen.append(dict(metric="decode_s", value=stamps[-1] - stamps[0], **at))
            seen.append(dict(metric="ttft_s", value=stamps[0], prompt_tokens=length, output_tokens=1))
        seen.append(dict(metric="size", value=artifact.spec.architecture.layers, part="layers"))
        return dict(observations=seen, engine=dataclasses.asdict(server.info))


def timed(server: Server, text: str, tokens: int) -> tuple[list[float], Counts]:
    """Seconds from a request to each part of its answer, and the server's counts."""
    stamps, counts = [], []

    def kept():
        counts.append((yield from server.parts(text, tokens)))

    start = time.perf_counter()
    for _ in kept():
        stamps.append(time.perf_counter() - start)
        progress.step()
    return stamps, counts[0]


def text_of(server: Server, tokens: int, random: np.random.Generator) -> str:
    """Words of which, with a beginning (see `_begun`), the server counts `tokens`: as many characters as that takes."""
    words = " ".join(random.choice(WORDS, tokens * 8))
    short, long = 0, len(words)
    length = min(tokens * CHARACTERS, long)
    for _ in range(SEARCHES):
        counted = server.counts(_begun(words[:length], random), 1).prompt
        if counted == tokens:
            return words[:length]
        short, long = (length, long) if counted < tokens else (short, length)
        guess = round(length * tokens / counted)
        length = guess if short < guess < long else (short + long) // 2
        if not short < length < long:
            break
    raise EngineError(f"openai: no text was found that the server counts as {tokens} tokens; the last one had {counted}; ask "
                      "for another prompt length")


def _begun(body: str, random: np.random.Generator) -> str:
    """A text that no server has seen: from its first word on it is another, so no cache of prompts holds any of it."""
    return f"{random.integers(1000, 10000)} {body}"


def _as_asked(server: Server, body: str, random: np.random.Generator, asked: Counts) -> list[float]:
    for _ in range(TRIES):
        stamps, counts = timed(server, _begun(body, random), asked.output)
        if counts == asked and len(stamps) > 1:
            return stamps
    raise EngineError(f"openai: in {TRIES} requests of {asked.prompt} tokens and for {asked.output} the server counted "
                      f"others, the last time {counts.prompt} and {counts.output}: its times would not be comparable")
