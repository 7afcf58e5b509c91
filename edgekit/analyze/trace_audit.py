"""The released numbers of EdgeReasoning held against the laws that were published of them: which coefficients reproduce, how
far off they are inside of the lengths that they were fitted to and outside, and what the powers are means of.

Every table has a line a model (1.5B, 8B, 14B) and whatever it varies; errors are relative, in per cent.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from edgekit.analyze import law_forms, laws
from edgekit.analyze.laws import Law, LawError
from edgekit.catalog import models, platforms, traces

BOARD = "jetson-agx-orin-64gb"
IDLE_SAMPLES, SAMPLE_S = 2, 1.0  # of the log of prefill power before each run; seconds between samples
WHOLE, INSIDE, OUTSIDE = "all lengths", "fitted lengths", "longer"
NO_OUTLIER = "all but outliers"
LENGTH = {"prefill": "prompt_tokens", "decode": "output_tokens"}
POWER_LAWS = {"1.5B": law_forms.POWER_LINE, "8B": law_forms.POWER_THEN_LOG, "14B": law_forms.POWER_THEN_LOG}


def of_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    return table[table.model == model].reset_index(drop=True)


def prefill_points(model: str) -> pd.DataFrame:
    """The released prefill times of a model with `outlier`, by the law of the longer lengths, and `fitted`, whether the length
    lies within those of the published fit."""
    points = of_model(traces.prefill(), model)
    most = of_model(traces.prefill_points(), model).prompt_tokens.max() + law_forms.PADDING / 10  # 641 beside 632
    return points.assign(outlier=laws.outliers(law_forms.QUADRATIC_PADDED, points, points.seconds),
                         fitted=points.prompt_tokens <= most)


def prefill_error_table() -> pd.DataFrame:
    """How far the published prefill law is off (`error`), with and without padding, by the lengths that are looked at
    (`lengths`), beside the same law fitted to the released times (`refitted`, held-out error where all lengths are looked
    at)."""
    lines = []
    for model in traces.MODELS:
        points, published = prefill_points(model), traces.coefficients("prefill", model)
        for law in (law_forms.QUADRATIC_PADDED, law_forms.QUADRATIC):
            errors = laws.relative(law.predict(published, points), points.seconds)
            kept = points[~points.outlier]
            again = laws.held_out(law, kept, kept.seconds, ["prompt_tokens"])
            for lengths, chosen in ((WHOLE, points.fitted | True), (NO_OUTLIER, ~points.outlier), (INSIDE, points.fitted),
                                    (OUTSIDE, ~points.fitted & ~points.outlier)):
                lines.append(dict(model=model, law=law.name, lengths=lengths, points=int(chosen.sum()),
                                  error=laws.mape(errors[chosen]), source="published",
                                  refitted=laws.mape(again) if lengths == NO_OUTLIER else np.nan))
    return pd.DataFrame(lines)


def prefill_error_wide_table() -> pd.DataFrame:
    """`prefill_error_table` with a column for each choice of lengths."""
    table = prefill_error_table()
    wide = table.pivot_table(index=["model", "law"], columns="lengths", values="error", sort=False)
    return wide.assign(refitted=table.groupby(["model", "law"], sort=False).refitted.max()).reset_index()


def prefill_curve_table() -> pd.DataFrame:
    """Released times to first token with what the published law says (`published_s`) and what the same law says when it is
    fitted to all of them but outliers (`refitted_s`)."""
    parts = []
    for model in traces.MODELS:
        points = prefill_points(model)
        kept = points[~points.outlier]
        again = laws.fit(law_forms.QUADRATIC_PADDED, kept, kept.seconds)
        parts.append(points.assign(
            published_s=law_forms.QUADRATIC_PADDED.predict(traces.coefficients("prefill", model), points),
            refitted_s=again.predict(points), source="published"))
    return pd.concat(parts, ignore_index=True)


def decode_error_table(points: pd.DataFrame | None = None) -> pd.DataFrame:
    """How far the published decode law is off at each released pair of lengths, counting O steps and O − 1, and the law
    fitted to the same times (`error`, signed). points: as traces.decode, which they are unless given."""
    points = traces.decode() if points is None else points[points.seconds > 0]
    parts = []
    for model in traces.MODELS:
        here = of_model(points, model)
        published = traces.coefficients("decode", model)
        again = laws.fit(law_forms.STEPS_LESS, here, here.seconds)
        for name, predicted in ((law_forms.STEPS_O.name, law_forms.STEPS_O.predict(published, here)),
                                (law_forms.STEPS_LESS.name, law_forms.STEPS_LESS.predict(published, here)),
                                ("refitted, O − 1 steps", again.predict(here))):
            parts.append(here[["model", "prompt_tokens", "output_tokens", "seconds"]].assign(
                law=name, error=100 * laws.relative(predicted, here.seconds), source="published"))
    return pd.concat(parts, ignore_index=True)


def decode_summary_table(points: pd.DataFrame | None = None) -> pd.DataFrame:
    """Mean absolute error of each law by model, over all lengths and over outputs shorter than 128 tokens, and the mean error
    at the longest output with its sign."""
    lines = []
    for (law, model), part in decode_error_table(points).groupby(["law", "model"], sort=False):
        short = part[part.output_tokens < 128]
        longest = part[part.output_tokens == part.output_tokens.max()]
        lines.append(dict(law=law, model=model, points=len(part), error=part.error.abs().mean(),
                          short=short.error.abs().mean(), at_longest=longest.error.mean()))
    return pd.DataFrame(lines)


def released_decode_table(place: str) -> pd.DataFrame:
    """`decode_summary_table` of every released decode run where `place` holds the files; without lines where it is empty."""
    if place == traces.TRANSCRIBED:
        return decode_summary_table().iloc[:0]
    return decode_summary_table(traces.released(place))


def power_table() -> pd.DataFrame:
    """Released mean powers of prefill against the time of the run, with the published law (`published_w`) and the mean of
    IDLE_SAMPLES samples of idle power and as many of busy power as the run has seconds (`averaged_w`): both powers as measured
    where they were, or fitted (the 1.5B was never seen busy)."""
    parts = []
    for model in traces.MODELS:
        points = prefill_points(model)
        published = POWER_LAWS[model].predict(traces.coefficients("prefill_power", model), points)
        # Runs that end before any sample fell on them show what the samples before them show.
        idle = float(points.power_w[points.seconds + law_forms.START_S < SAMPLE_S].median())
        active = traces.load()["active_power_w"].get(model)
        averaged = np.nan if active is None else averaged_power(points.seconds, idle, active)
        parts.append(points[["model", "prompt_tokens", "seconds", "power_w", "outlier"]].assign(
            published_w=published, averaged_w=averaged, idle_w=idle, active_w=np.nan if active is None else active,
            source="published"))
    return pd.concat(parts, ignore_index=True)


def averaged_power(seconds: np.ndarray, idle_w: float, active_w: float) -> np.ndarray:
    """Mean power that the log shows of runs of one power, by how long they take."""
    return law_forms.averaged(IDLE_SAMPLES).predict([idle_w, active_w], pd.DataFrame(dict(seconds=seconds)))


def power_law_table(phases: tuple[str, ...] = ("prefill", "decode")) -> pd.DataFrame:
    """Held-out error (%) of laws of the released mean powers, a line a model, phase and law; prefill without the outlier's run.
    The power of decoding is the energy of the run over its duration and one second more, the log's own rule."""
    lines = []
    for model in traces.MODELS:
        prefill = prefill_points(model)
        points = {"prefill": prefill[~prefill.outlier], "decode": decode_power_points(model)}
        known = {"prefill": (law_forms.logarithmic("prompt_tokens"), POWER_LAWS[model], law_forms.averaged(IDLE_SAMPLES),
                             law_forms.POWER_CONSTANT),
                 "decode": (law_forms.logarithmic("output_tokens"), law_forms.SATURATING, law_forms.POWER_CONSTANT)}
        lines += [dict(model=model, phase=phase, law=law.name, formula=law.formula, coefficients=len(law.coefficients),
                       source="published") | _power_error(law, points[phase], LENGTH[phase])
                  for phase in phases for law in known[phase]]
    return pd.DataFrame(lines)


def _power_error(law: Law, points: pd.DataFrame, by: str) -> dict:
    try:
        return dict(error=laws.mape(laws.held_out(law, points, points.power_w, [by])), refused="")
    except LawError as error:  # no run of the 1.5B lasts a second, so nothing is known of its busy power
        return dict(error=np.nan, refused=str(error))


def decode_power_points(model: str) -> pd.DataFrame:
    """Mean power of each released decode run of a model after 512 tokens, as the log's rule gives it."""
    points = of_model(traces.decode(), model)
    return points.assign(power_w=points.energy_j / (points.seconds + SAMPLE_S))


def decode_power_table() -> pd.DataFrame:
    """Mean powers of decoding with the published logarithm (`published_w`) and the saturating law fitted to them
    (`fitted_w`)."""
    parts = []
    for model in traces.MODELS:
        points = decode_power_points(model)
        fitted = laws.fit(law_forms.SATURATING, points, points.power_w)
        parts.append(points.assign(
            published_w=law_forms.logarithmic("output_tokens").predict(traces.coefficients("decode_power", model), points),
            fitted_w=fitted.predict(points), source="published"))
    return pd.concat(parts, ignore_index=True)


def power_growth(model: str, shorter: int = 512, longer: int = 2048) -> float:
    """By how much mean power grew from one output length to another, over what the published logarithm foretells."""
    points = decode_power_points(model).set_index("output_tokens").power_w
    slope, _ = traces.coefficients("decode_power", model)
    return float((points[longer] - points[shorter]) / (slope * math.log(longer / shorter)))


def scaling_table() -> pd.DataFrame:
    """Time and energy of several samples at once over those of one, and what reading alone would cost: the weights once a step
    and each sample's keys and values (`bytes_ratio`, at 512 + 64 tokens of context, in 16 bits)."""
    parts = []
    for model in traces.MODELS:
        table = of_model(traces.scaling(), model)
        one = table[table.samples == 1].iloc[0]
        facts = traces.load()["models"][model]
        a = models.architectures()[facts["architecture"]]
        weights = facts["weight_bytes"] - 2 * a.embeddings
        read = weights + table.samples * 2 * a.kv_elements(576)
        parts.append(table.assign(time_ratio=table.seconds / one.seconds, sample_ratio=table.sample_j / one.sample_j,
                                  bytes_ratio=read / read.iloc[0], source="published"))
    return pd.concat(parts, ignore_index=True)


def bytes_table() -> pd.DataFrame:
    """The published decode coefficients as rates: bytes of a step's weights over n, and of a token's keys and values over m,
    both as shares of the board's nominal bandwidth."""
    lines = []
    for model in traces.MODELS:
        facts, (m, n) = traces.load()["models"][model], traces.coefficients("decode", model)
        a = models.architectures()[facts["architecture"]]
        nominal = platforms.get(BOARD).memory_bandwidth_byte_per_s
        weights, kv = facts["weight_bytes"] - 2 * a.embeddings, 2 * a.kv_elements_per_token()
        lines.append(dict(model=model, weight_bytes=weights, kv_bytes=kv, n=n, m=m, weight_share=weights / n / nominal,
                          kv_share=kv / m / nominal, source="published"))
    return pd.DataFrame(lines)
