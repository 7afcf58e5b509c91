"""What the physical law of decoding says of a model, or a weight format, that it was not fitted to; and its coefficients as
rates."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from edgekit.analyze import laws, stats
from edgekit.analyze.law_forms import BYTES, BYTES_AND_STEPS, STEPS_LESS
from edgekit.analyze.laws import LawError
from edgekit.analyze.observed import kind
from edgekit.analyze.once import once
from edgekit.analyze.roofline import LENGTHS, UNIT
from edgekit.analyze.rows import rows_of
from edgekit.studies.latency_law.tables import coefficient_table, decode_points, units

ANOTHER_MODEL, ANOTHER_FORMAT, OTHER_MODELS = "another model", "another format", "all other models"
SAME = ["engine", "threads", "batch", "device", "source"]


@once
def transfer_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit that is foretold and what it is foretold `by`: `error`, the median absolute error (%) over its pairs of
    lengths, and `bias`, the median error with its sign, each over processes with its t-interval.

    Each pair of lengths is foretold from runs that had neither. way: from another model in the same engine and format, from
    another format of the same model, by the bandwidth that was fitted there; or from all other models in the same engine and
    format together, by a bandwidth and a time for each step. A pocket model may stay in the processor's cache, so it foretells
    pocket models only.
    """
    columns = ["way", "law", *UNIT, "parameters", "by", *stats.with_ends("error", "bias"), "n"]
    lines = []
    for there, sources, way in _pairs(list(units(decode_points(frame)))):
        law = BYTES_AND_STEPS if way == OTHER_MODELS else BYTES
        try:
            errors = [_errors(law, [processes[nth] for _, processes in sources], part)
                      for nth, part in enumerate(there[1]) if all(nth < len(processes) for _, processes in sources)]
        except LawError:
            continue
        by = " and ".join(unit["dtype"] if way == ANOTHER_FORMAT else unit["model"] for unit, _ in sources)
        lines.append(there[0] | dict(way=way, law=law.name, by=by, n=len(errors))
                     | stats.ends_of("error", stats.rate_interval([np.median(np.abs(one)) for one in errors]))
                     | stats.ends_of("bias", stats.mean_interval([np.median(one) for one in errors])))
    return pd.DataFrame(lines, columns=columns)


def _pairs(known: list[tuple[dict, list[pd.DataFrame]]]) -> Iterator[tuple]:
    """(unit that is foretold, units that it is foretold by, way) of units with their processes."""
    for there in known:
        alike = [one for one in known if one is not there and all(one[0][name] == there[0][name] for name in SAME)
                 and (kind(one[0]["model"]) == "pocket") == (kind(there[0]["model"]) == "pocket")]
        others = [one for one in alike if one[0]["dtype"] == there[0]["dtype"]]
        yield from ((there, [one], ANOTHER_MODEL) for one in others)
        yield from ((there, [one], ANOTHER_FORMAT) for one in alike if one[0]["model"] == there[0]["model"])
        if len(others) > 1:
            yield there, others, OTHER_MODELS


def _errors(law: laws.Law, sources: list[pd.DataFrame], part: pd.DataFrame) -> np.ndarray:
    """Errors (%) at the points of a process, each foretold from points of the sources with neither of its lengths."""
    pooled = pd.concat(sources, ignore_index=True)

    @functools.cache
    def without(prompt: int, output: int) -> np.ndarray:
        kept = pooled[(pooled.prompt_tokens != prompt) & (pooled.output_tokens != output)]
        return laws.fit(law, kept, kept.seconds).values

    foretold = [float(law.predict(without(*lengths), part.iloc[[nth]])[0])
                for nth, lengths in enumerate(zip(*(part[name] for name in LENGTHS), strict=True))]
    return 100 * laws.relative(np.array(foretold), part.seconds.to_numpy())


def transfer_summary_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each way to foretell a unit: the median of the errors of all cases, the least and the most, and how many of the
    `cases` lie within 10 and 15 %; pocket models apart, as they are read from a cache."""
    table = transfer_table(frame)
    lines = []
    for (way, law, pocket), part in table.groupby(["way", "law", table.model.map(kind) == "pocket"], sort=False):
        lines.append(dict(way=f"{way}, pocket models" if pocket else way, law=law, error=part.error.median(),
                          least=part.error.min(), most=part.error.max(), cases=len(part),
                          within_10=int((part.error <= 10).sum()), within_15=int((part.error <= 15).sum())))
    return pd.DataFrame(lines, columns=["way", "law", "error", "least", "most", "within_10", "within_15", "cases"])


@once
def rate_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The coefficients of the decode law as rates, a line a unit: bytes of a step's weights over n (`weight_rate`) and of a
    token's keys and values over m (`kv_rate`), in bytes a second, beside the bandwidth that the processes measured.

    A coefficient whose interval reaches zero, or that has none, tells no rate.
    """
    columns = [*UNIT, "parameters", *stats.with_ends("weight_rate", "kv_rate"), "bandwidth", "n"]
    table = coefficient_table(frame)
    table = table[table.law == STEPS_LESS.name]
    rows = rows_of(frame, "speed")
    facts = rows.groupby([*UNIT, "metric"], dropna=False)["value"].median()
    lines = []
    for key, part in table.groupby(UNIT, sort=False, dropna=False):
        found = part.set_index("coefficient")
        line = dict(zip(UNIT, key, strict=True)) | dict(parameters=part.parameters.iloc[0], n=int(part.n.iloc[0]),
                                                        bandwidth=facts.get((*key, "memory_bandwidth_byte_per_s"), np.nan))
        for name, coefficient, counted in (("weight_rate", "n", "weight_bytes"), ("kv_rate", "m", "kv_bytes_per_token")):
            line |= _rate(name, facts[(*key, counted)], found.loc[coefficient])
        lines.append(line)
    return pd.DataFrame(lines, columns=columns)


def _rate(name: str, nbytes: float, line: pd.Series) -> dict:
    value, low, high = (line[end] for end in stats.with_ends("value"))
    if not low > 0:
        return {name: np.nan}
    return {name: nbytes / value, f"{name}_low": nbytes / high, f"{name}_high": nbytes / low}


@once
def format_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Bytes that a step reads by the format that a GGUF file stores them in: a line a unit and format, with its `share`."""
    rows = rows_of(frame, "speed", metrics=("type_bytes",))
    found = rows.groupby([*UNIT, "type"], dropna=False)["value"].median().reset_index(name="nbytes")
    whole = found.groupby(UNIT, dropna=False).nbytes.transform("sum")
    return found.assign(share=found.nbytes / whole).sort_values([*UNIT, "share"], ascending=[True] * len(UNIT) + [False])
