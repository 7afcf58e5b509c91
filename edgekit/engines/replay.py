"""Recorded steps played back at their recorded pace: an engine whose true times are known.

It checks the clock (what is measured must be what was recorded) and studies schedules without the hardware. Rows that come
from it carry `source="replayed"`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.engines.base import Engine, EngineError, EngineInfo, Step


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded stream: the tokens, and the seconds that each step took (the first one is prefill)."""

    tokens: tuple[int, ...]
    step_s: tuple[float, ...]

    def __post_init__(self):
        if len(self.tokens) != len(self.step_s) or not self.tokens:
            raise EngineError(f"replay: expected as many tokens as steps and at least one, got {len(self.tokens)} tokens and "
                              f"{len(self.step_s)} steps")


class Replay(Engine):
    """Plays a recording back, whatever the prompt is."""

    def __init__(self, recording: Recording, vocabulary: int):
        self.recording = recording
        self.info = EngineInfo(name="replay", version="1", kernel="recorded", device="recorded", dtype="recorded", threads=0,
                               vocabulary=vocabulary, context=1 << 30, kv_bytes_per_token=0)

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        raise EngineError("replay: a recording holds tokens and times, no logits; score with a real engine")

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        if max_new_tokens > len(self.recording.tokens):
            raise EngineError(f"replay: {max_new_tokens} tokens asked, {len(self.recording.tokens)} recorded")
        due = time.perf_counter()
        for token, pause in zip(self.recording.tokens[:max_new_tokens], self.recording.step_s, strict=False):
            # Against the schedule, not the previous wake-up: sleeping late once must not delay all later steps.
            due += pause
            time.sleep(max(0.0, due - time.perf_counter()))
            yield Step(token)
