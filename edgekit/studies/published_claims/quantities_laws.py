"""What the released numbers of EdgeReasoning say about the laws that were published of them: see analyze/trace_audit.py.

A reading is that of the model that the law fits worst; its ends are the readings that favour and that burden the claim most.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.analyze import law_forms, trace_audit
from edgekit.analyze.observed import Observation
from edgekit.analyze.stats import number
from edgekit.catalog import traces
from edgekit.studies.published_claims.printed import Assumptions, Numbers
from edgekit.studies.published_claims.printed_reading import Reading

WHERE = "the released traces"


def _seen(readings: Iterable[float], what: str, unit: str, note: str) -> Observation:
    """The first reading, with the least and the most of all as ends."""
    readings = list(readings)
    return Observation(Reading(readings[0], min(readings), max(readings), len(readings), unit, what), WHERE, (), "", "", note)


def _by_model(errors: dict[str, float]) -> str:
    return ", ".join(f"{model} {number(error)}" for model, error in errors.items())


def _prefill(lengths: str) -> tuple[dict[str, float], dict[str, float]]:
    """Errors by model of the published prefill law as it is applied, padded, and as it was fitted, without padding."""
    table = trace_audit.prefill_error_table()
    here = table[table.lengths == lengths]
    return tuple(here[here.law == law.name].set_index("model").error.to_dict()
                 for law in (law_forms.QUADRATIC_PADDED, law_forms.QUADRATIC))


def prefill_law_error_inside(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Error of the published prefill law at the lengths that it was fitted to, of the model that it fits worst."""
    padded, plain = _prefill(trace_audit.INSIDE)
    return _seen([max(padded.values()), max(plain.values())], "error at the lengths that were fitted, worst model", "%",
                 f"padded to 128: {_by_model(padded)} %; not padded, as it was fitted: {_by_model(plain)} %")


def prefill_law_error_outside(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Error of the published prefill law at longer prompts of the same release, outliers left out, of the worst model."""
    padded, plain = _prefill(trace_audit.OUTSIDE)
    return _seen([max(padded.values()), max(plain.values()), min(padded.values()), min(plain.values())],
                 "error at longer prompts, worst model", "%",
                 f"padded: {_by_model(padded)} %; not padded: {_by_model(plain)} %; up to 4,097 tokens")


def decode_law_error(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Error of the published decode law on the released decode times, of the model that it fits worst, by the reading of O or
    O - 1 steps that favours it."""
    table = trace_audit.decode_summary_table()
    errors = {law.name: table[table.law == law.name].set_index("model").error.to_dict()
              for law in (law_forms.STEPS_O, law_forms.STEPS_LESS)}
    return _seen([max(found.values()) for found in errors.values()], "error of the published coefficients, worst model", "%",
                 "; ".join(f"{law}: {_by_model(found)} %" for law, found in errors.items()))


def decode_law_refitted_error(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Error of the same law with O - 1 steps when it is fitted to the released decode times themselves."""
    table = trace_audit.decode_summary_table()
    errors = table[table.law.str.startswith("refitted")].set_index("model").error.to_dict()
    return _seen([max(errors.values())], "error when it is fitted to them, worst model", "%", f"{_by_model(errors)} %")


def decode_power_growth(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """By how much mean decode power grows from 512 to 2,048 tokens, over what the published logarithm foretells, of the model
    in which it grows most."""
    growth = {model: trace_audit.power_growth(model) for model in traces.MODELS}
    return _seen([max(growth.values()), *growth.values()], "growth of power from 512 to 2,048 tokens over the law's", "times",
                 f"{_by_model(growth)}; power rises for the first seconds of a run and is then the same")


def prefill_power_log_over_averaging(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Held-out error of the published law of prefill power over that of an instrument that averages two idle samples with a run
    of one power, for the models whose runs last a second and more."""
    table = trace_audit.power_law_table(("prefill",)).dropna(subset=["error"]).set_index(["model", "law"]).error
    published = {model: law.name for model, law in trace_audit.POWER_LAWS.items()}
    ratios = {model: table[model, published[model]] / table[model, "averaging"] for model in traces.MODELS
              if (model, "averaging") in table}
    return _seen([min(ratios.values()), *ratios.values()], "held-out error of the law over that of the averaging", "times",
                 f"{_by_model(ratios)}; the published law has a coefficient more, and changes its form at 800 tokens")


def scaling_time_ratio(numbers: Numbers, assumed: Assumptions, platform: str) -> Observation:
    """Time of 32 samples at once over that of one, from the released table."""
    table = trace_audit.scaling_table()
    most = table[table.samples == table.samples.max()].set_index("model")
    ratios = most.time_ratio.to_dict()
    questions = traces.load()["scaling_questions"]
    return _seen([sum(ratios.values()) / len(ratios), *ratios.values()], "time of 32 samples over that of one", "times",
                 f"{_by_model(ratios)}; reading alone would make it {number(most.bytes_ratio.min())} to "
                 f"{number(most.bytes_ratio.max())}; {questions} question, three seeds a cell")


AUDITS = {function.__name__: function for function in (
    prefill_law_error_inside, prefill_law_error_outside, decode_law_error, decode_law_refitted_error, decode_power_growth,
    prefill_power_log_over_averaging, scaling_time_ratio)}
GROWTHS = ("decode_power_growth",)  # which may be negative
DOMAINS = {name: (float("-inf") if name in GROWTHS else 0.0, float("inf")) for name in AUDITS}
