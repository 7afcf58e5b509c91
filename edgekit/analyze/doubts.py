"""In what measured numbers are to be doubted, as their rows say: a board that was not as it should be, a device that held
itself back."""

from __future__ import annotations

import pandas as pd


def accepted(frame: pd.DataFrame) -> tuple[str, ...]:
    """How boards were not as they should be while the rows were measured, each once."""
    return tuple(dict.fromkeys(frame.caveat.dropna())) if "caveat" in frame else ()


def throttled(frame: pd.DataFrame) -> tuple[str, ...]:
    """What held the device back in some repeats, each with how many of them; these are kept, and stand in no table, figure or
    verdict."""
    if "throttled" not in frame:
        return ()
    marked = frame.dropna(subset=["throttled"])
    names = [name for name in ("task", "model", "variant", "engine", "dtype", "threads", "repeat") if name in marked]
    repeats = marked.drop_duplicates([*names, "run", "throttled"])
    return tuple(f"{reason} ({count} {'repeat' if count == 1 else 'repeats'})"
                 for reason, count in repeats.throttled.value_counts().items())


def told(frame: pd.DataFrame) -> str:
    """Both in sentences; "" where there is no doubt."""
    sentences = []
    if found := accepted(frame):
        sentences.append(f"Measured on a board that was not as it should be, which was accepted: {'; '.join(found)}.")
    if found := throttled(frame):
        sentences.append(f"Left out, because the device held itself back meanwhile: {'; '.join(found)}.")
    return " ".join(sentences)
