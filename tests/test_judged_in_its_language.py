"""A params file that judges a real model on the generated language, or a pocket model on English, is refused in every study."""

from __future__ import annotations

import pytest

from edgekit import params, studies
from edgekit.params import ParamsError

REAL = "owner/name-Instruct"  # of the hub: looked up when its turn comes


@pytest.mark.parametrize("notebook, changed, complaint", [
    ("02_baseline", dict(models=[REAL], task_models=[REAL]), f"{REAL} speaks English, and pocket_chain_.* is in the pocket"),
    ("02_baseline", dict(tasks=["english_think"]), "pocket-.* speaks the pocket language, and english_think is in English"),
    ("03_quantization", dict(models=[REAL], runtime_models=[]), f"{REAL} speaks English, and mixture is in the pocket lang"),
    ("03_quantization", dict(stream="python-docs"), "pocket-.* speaks the pocket language, and python-docs is in English"),
    ("04_pruning", dict(calibration="python-docs"), "pocket-.* speaks the pocket language, and python-docs is in English"),
    ("05_distillation", dict(training_texts="python-docs"), "pocket-.* speaks the pocket language, and python-docs is in Eng"),
    ("06_speculative", dict(domains=["code"]), "pocket-.* speaks the pocket language, and code is in English"),
    ("06_speculative", dict(more_pairs=[f"pocket-200k < {REAL}"]), f"{REAL} speaks English, and chain think is in the pocket"),
])
def test_what_a_model_does_not_speak_is_refused(notebook, changed, complaint):
    values = params.read_yaml(params.path_of("ci", notebook))
    config_class = studies.module(notebook).Config
    params.validate(config_class, values, "here")
    with pytest.raises(ParamsError, match=complaint):
        params.validate(config_class, values | changed, "here")
