"""The laws that were published of prefill, decode and power, and the physical ones: see laws.Law.

Sources: EdgeReasoning (arXiv 2511.01866) and its repository (latency_model.py, power_model.py, energy_model.py). The physical
laws follow from what a step reads and a prefill computes: a decode step reads the weights once (but an input embedding beside
an output head of its own) and the keys and values of each earlier token, so its time is those bytes over the memory's rate; a
prefill takes its operations over the rate of the matrix products.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.analyze.laws import Law

PADDING = 128  # tokens: what the published prefill law rounds a prompt up to
START_S = 0.1  # of work before the clock of the first token begins, which the power log sees
CONSTANT_UP_TO = 800  # tokens: where the published power of prefill begins to grow


def padded(tokens: np.ndarray, quantum: int = PADDING) -> np.ndarray:
    """A length rounded up to a multiple of `quantum`."""
    return np.ceil(tokens / quantum) * quantum


def context_sum(prompt_tokens: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Sum of prompt_tokens + i over i = 0 … steps - 1: what m multiplies in the published decode law."""
    return steps * prompt_tokens + steps * (steps - 1) / 2


def _quadratic(length) -> list:
    return [length**2, length, 1.0]


LENGTH, LENGTHS = ("prompt_tokens",), ("prompt_tokens", "output_tokens")
QUADRATIC_PADDED = Law("quadratic, padded", "a·I² + b·I + c, I padded to a multiple of 128", ("a", "b", "c"), LENGTH,
                       lambda at: _quadratic(padded(at.prompt_tokens)))
QUADRATIC = Law("quadratic", "a·I² + b·I + c", ("a", "b", "c"), LENGTH, lambda at: _quadratic(at.prompt_tokens))
LINE = Law("line", "b·I + c", ("b", "c"), LENGTH, lambda at: [at.prompt_tokens, 1.0])
ARITHMETIC = Law("arithmetic", "operations over a rate, and a constant", ("seconds_a_flop", "constant"), ("flop",),
                 lambda at: [at.flop, 1.0])
PREFILL = (QUADRATIC_PADDED, QUADRATIC, LINE, ARITHMETIC)

STEPS_O = Law("published, O steps", "O·(m·I + n + m·(O − 1)/2)", ("m", "n"), LENGTHS,
              lambda at: [context_sum(at.prompt_tokens, at.output_tokens), at.output_tokens])
STEPS_LESS = Law("published, O − 1 steps", "(O − 1)·(m·I + n + m·(O − 2)/2)", ("m", "n"), LENGTHS,
                 lambda at: [context_sum(at.prompt_tokens, at.output_tokens - 1), at.output_tokens - 1])
SAME_STEP = Law("same for each step", "n·(O − 1)", ("n",), LENGTHS, lambda at: [at.output_tokens - 1])
BYTES = Law("bytes over bandwidth", "bytes of all steps over a rate", ("seconds_a_byte",), ("step_bytes",),
            lambda at: [at.step_bytes])
BYTES_AND_STEPS = Law("bytes and steps", "bytes of all steps over a rate, and a time for each step",
                      ("seconds_a_byte", "seconds_a_step"), ("step_bytes", "steps"), lambda at: [at.step_bytes, at.steps])
BYTES_AND_LAYERS = Law("bytes and layers", "bytes of all steps over a rate, and a time for each layer of each step",
                       ("seconds_a_byte", "seconds_a_layer"), ("step_bytes", "layers"), lambda at: [at.step_bytes, at.layers])
# Of one model BYTES_AND_STEPS says the same as the published law with O − 1 steps, n being a step's own time and its weights'
# bytes over the rate, and m a token's keys and values over it; of several models it says more.
DECODE = (STEPS_O, STEPS_LESS, SAME_STEP, BYTES)

POWER_CONSTANT = Law("constant", "P", ("p",), (), lambda at: [np.ones(len(at))])
POWER_LINE = Law("line", "b·I + c", ("b", "c"), LENGTH, lambda at: [at.prompt_tokens, 1.0])
POWER_THEN_LOG = Law("constant, then logarithm", "P up to 800 tokens, then a·ln(I) + b", ("p", "a", "b"), LENGTH, lambda at: [
    at.prompt_tokens <= CONSTANT_UP_TO, (at.prompt_tokens > CONSTANT_UP_TO) * np.log(at.prompt_tokens),
    at.prompt_tokens > CONSTANT_UP_TO])


def logarithmic(column: str) -> Law:
    """a·ln(x) + b of a column of lengths."""
    return Law("logarithm", "a·ln(length) + b", ("a", "b"), (column,), lambda at: [np.log(at[column]), 1.0])


def _approach(values: np.ndarray, at: np.recarray) -> np.ndarray:
    most, deficit, tau = values
    run = at.seconds / abs(tau)
    return most - deficit * -np.expm1(-run) / run


SATURATING = Law("saturating", "mean over the run of P∞ − ΔP·exp(−t/τ)", ("p_inf", "delta_p", "tau"), ("seconds",),
                 curve=_approach, start=lambda at, seen: np.array([
                     np.max(seen), max(np.max(seen) - np.min(seen), 1e-3), math.sqrt(at.seconds.min() * at.seconds.max()) / 4]))


def averaged(idle_samples: int = 2) -> Law:
    """The mean of a log of one sample a second that begins `idle_samples` before the run: what an instrument that averages so
    shows of a power that is the same all through the run. A run has as many samples as it has whole seconds, counted from
    START_S before it."""
    def terms(at: np.recarray) -> list:
        busy = np.floor(at.seconds + START_S)
        return [idle_samples / (busy + idle_samples), busy / (busy + idle_samples)]

    return Law("averaging", f"mean of {idle_samples} samples of idle power and of one a second of the run",
               ("idle_w", "active_w"), ("seconds",), terms)
