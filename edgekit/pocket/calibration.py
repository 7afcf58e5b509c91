"""The shipped calibration sets: texts of the training split, drawn apart from those that the models were trained on."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from edgekit.pocket import language

SEED = 11
TEXTS = {"mixture": 1200, "prose": 1000}


def calibration_file(name: str, *, seed: int = SEED) -> str:
    """The JSON lines of a set, one text each: the training mixture, or prose alone."""
    rng = Random(f"calibration/{seed}/{name}")
    lines = []
    for _ in range(TEXTS[name]):
        text = language.draw_text(rng, split="train") if name == "mixture" else language.draw_prose(rng, split="train")[0]
        lines.append(json.dumps({"text": text.prompt + text.completion}) + "\n")
    return "".join(lines)


def write_calibration(folder: Path) -> list[Path]:
    """Write every set into `folder`; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TEXTS:
        (folder / f"{name}.jsonl").write_text(calibration_file(name), encoding="utf-8")
    return [folder / f"{name}.jsonl" for name in TEXTS]
