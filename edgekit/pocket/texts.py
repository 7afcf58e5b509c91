"""The shipped text sets: for calibration from the training split, apart from what the models were trained on; for evaluation
from the test split; for training compressed models anew from the training split."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from edgekit.pocket import language

SEED = 11
CALIBRATION = {"mixture": 1200, "prose": 1000}
EVALUATION = 480  # texts
TRAINING = 8000  # texts


def calibration_file(name: str, *, seed: int = SEED) -> str:
    """The JSON lines of a calibration set, one text each: the training mixture, or prose alone."""
    rng = Random(f"calibration/{seed}/{name}")
    lines = []
    for _ in range(CALIBRATION[name]):
        text = language.draw_text(rng, split="train") if name == "mixture" else language.draw_prose(rng, split="train")[0]
        lines.append(json.dumps({"text": text.prompt + text.completion}) + "\n")
    return "".join(lines)


def evaluation_file(*, seed: int = SEED) -> str:
    """The JSON lines of the evaluation stream: id, domain and text of the training mixture, from the test split.

    Problems come with their reasoning written out. The first k do not depend on how many there are.
    """
    rng = Random(f"evaluation/{seed}")
    texts = (language.draw_text(rng, split="test") for _ in range(EVALUATION))
    return "".join(json.dumps({"id": f"text-{number:03d}", "domain": text.domain, "text": text.prompt + text.completion}) + "\n"
                   for number, text in enumerate(texts))


def training_file(*, seed: int = SEED) -> str:
    """The JSON lines of the training set: prompt and completion of the last mixture that the larger models were trained on."""
    rng = Random(f"training/{seed}")
    texts = (language.draw_text(rng, split="train", mixture=language.AGAIN) for _ in range(TRAINING))
    return "".join(json.dumps({"prompt": text.prompt, "completion": text.completion}) + "\n" for text in texts)


def write_texts(data: Path) -> list[Path]:
    """Write every set into the folders `calibration`, `evaluation` and `training` of `data`; the paths written."""
    made = {data / "calibration" / f"{name}.jsonl": calibration_file(name) for name in CALIBRATION}
    made[data / "evaluation" / "mixture.jsonl"] = evaluation_file()
    made[data / "training" / "mixture.jsonl"] = training_file()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(made)
