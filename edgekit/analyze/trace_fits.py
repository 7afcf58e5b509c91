"""Which published coefficients of EdgeReasoning come out again from the points they were fitted to; the paper's own check."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from edgekit.analyze import law_forms, laws, trace_audit
from edgekit.analyze.laws import Law
from edgekit.catalog import traces

FITTED_QUESTIONS, HELD_QUESTIONS = 100, 50  # of MMLU-Redux, by the repository's script of validation
SAME_DIGITS = 12  # of a double, where two ways of summing part


def reproduced_table(place: str = traces.TRANSCRIBED) -> pd.DataFrame:
    """Published coefficients beside the same fit made here of the same points: `digits` that agree. Those whose points are in
    the released files only are fitted where `place` names these; elsewhere `points` says what is missing."""
    lines = []
    whole, asked = (traces.released(place), traces.questions(place)) if place else (None, None)
    for model in traces.MODELS:
        used = trace_audit.of_model(traces.prefill_points(), model)
        used = used[used.used]
        lines += _beside("prefill time", model, law_forms.QUADRATIC, "prefill", used, used.seconds, f"{len(used)} times")
        points = trace_audit.of_model(traces.prefill(), model)
        lines += _beside("prefill power", model, trace_audit.POWER_LAWS[model], "prefill_power", points, points.power_w,
                         f"{len(points)} powers")
        law = law_forms.logarithmic("output_tokens")
        runs = None if whole is None else trace_audit.of_model(whole, model).dropna(subset=["power_w"])
        if runs is None or runs.empty:
            lines += [_line("decode power", model, name, value, None, "in the released files only" if whole is None else
                            "not released") for name, value in zip(law.coefficients, traces.coefficients("decode_power", model),
                                                                   strict=True)]
        else:
            lines += _beside("decode power", model, law, "decode_power", runs, runs.power_w, f"{len(runs)} powers")
        decode = trace_audit.of_model(traces.decode() if whole is None else whole, model)
        decode = decode[decode.seconds > 0]
        lines += _beside("decode time", model, law_forms.STEPS_O, "decode", decode, decode.seconds, f"{len(decode)} times")
        if asked is not None:
            first = trace_audit.of_model(asked, model)[:FITTED_QUESTIONS]
            lines += _beside("decode time", model, law_forms.STEPS_O, "decode", first, first.total_s,
                             f"{len(first)} questions, whole times")
    return pd.DataFrame(lines)


def question_table(place: str) -> pd.DataFrame:
    """Error (%) of the published laws on the questions after those that decoding was fitted to, where `place` holds the times
    of questions; else without lines."""
    asked = traces.questions(place)
    lines = []
    for model in traces.MODELS if asked is not None else ():
        later = trace_audit.of_model(asked, model)[FITTED_QUESTIONS:FITTED_QUESTIONS + HELD_QUESTIONS].reset_index(drop=True)
        for phase, law, seen in (("prefill", law_forms.QUADRATIC_PADDED, later.ttft_s),
                                 ("decode", law_forms.STEPS_O, later.seconds)):
            errors = laws.relative(law.predict(traces.coefficients(phase, model), later), seen)
            lines.append(dict(phase=phase, model=model, error=laws.mape(errors), questions=len(later)))
    return pd.DataFrame(lines, columns=["phase", "model", "error", "questions"])


def _beside(what: str, model: str, law: Law, published: str, points: pd.DataFrame, seen: pd.Series, told: str) -> list[dict]:
    found = laws.fit(law, points, seen, "equal").values
    return [_line(what, model, name, value, float(ours), told) for name, value, ours in
            zip(law.coefficients, traces.coefficients(published, model), found, strict=True)]


def _line(what: str, model: str, coefficient: str, published: float, ours: float | None, points: str) -> dict:
    digits = np.nan if ours is None else _digits(ours / published - 1)
    return dict(law=what, model=model, coefficient=coefficient, published=published,
                fitted=np.nan if ours is None else ours, digits=digits, points=points)


def _digits(difference: float) -> int:
    """Significant digits in which two numbers agree, none where they differ by more than a tenth."""
    return SAME_DIGITS if difference == 0 else max(0, min(SAME_DIGITS, math.floor(-math.log10(abs(difference)))))
