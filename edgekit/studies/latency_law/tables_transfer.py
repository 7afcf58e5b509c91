"""What the physical law of decoding says of a model, or a weight format, that it was not fitted to; and its coefficients as
rates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from edgekit.analyze import laws, stats
from edgekit.analyze.law_forms import ARITHMETIC, BYTES, BYTES_AND_STEPS, STEPS_LESS
from edgekit.analyze.laws import LawError
from edgekit.analyze.observed import kind
from edgekit.analyze.once import once
from edgekit.analyze.roofline import UNIT
from edgekit.analyze.rows import rows_of
from edgekit.studies.latency_law.tables import BY, coefficient_table, points_of, units

ANOTHER_MODEL, ANOTHER_FORMAT, OTHER_MODELS = "another model", "another format", "all other models"
PHYSICAL = {"decode": {ANOTHER_MODEL: BYTES, ANOTHER_FORMAT: BYTES, OTHER_MODELS: BYTES_AND_STEPS},
            "prefill": {ANOTHER_MODEL: ARITHMETIC, ANOTHER_FORMAT: ARITHMETIC}}  # the law that foretells, by phase and way
SAME = ["engine", "threads", "batch", "device", "source"]


@once
def transfer_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a phase and unit that is foretold and what it is foretold `by`: `error`, the median absolute error (%) over its
    lengths, and `bias`, the median error with its sign, each over processes with its t-interval.

    Each length (of decode, each pair) is foretold from runs that had none of it. way: from another model in the same engine and
    format, from another format of the same model, by the rate that was fitted there (of decode the bandwidth; of prefill the
    rate of operations, with its constant); or, of decode, from all other models in the same engine and format together, by a
    bandwidth and a time for each step. A pocket model may stay in the processor's cache, so it foretells pocket models only.
    """
    columns = ["phase", "way", "law", *UNIT, "parameters", "by", *stats.with_ends("error", "bias"), "n"]
    lines = []
    for phase in PHYSICAL:
        for there, sources, way in _pairs(list(units(points_of(frame, phase)))):
            if (law := PHYSICAL[phase].get(way)) is None:
                continue
            try:
                errors = [_errors(law, [processes[nth] for _, processes in sources], part, BY[phase])
                          for nth, part in enumerate(there[1]) if all(nth < len(processes) for _, processes in sources)]
            except LawError:
                continue
            by = " and ".join(unit["dtype"] if way == ANOTHER_FORMAT else unit["model"] for unit, _ in sources)
            lines.append(there[0] | dict(phase=phase, way=way, law=law.name, by=by, n=len(errors))
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


def _errors(law: laws.Law, sources: list[pd.DataFrame], part: pd.DataFrame, by: list[str]) -> np.ndarray:
    """Errors (%) at the points of a process, each foretold from points of the sources with none of its lengths."""
    pooled = pd.concat(sources, ignore_index=True)
    lengths, errors = pooled[by].to_numpy(), []
    for nth, one in enumerate(part[by].to_numpy()):
        apart = (lengths != one).all(axis=1)
        found = laws.fit(law, pooled[apart], pooled.seconds[apart])
        errors.append(found.predict(part.iloc[[nth]])[0] / part.seconds.iloc[nth] - 1)
    return 100 * np.array(errors)


def transfer_summary_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each way to foretell a unit: the median of the errors of all cases, the least and the most, and how many of the
    `cases` lie within 10 and 15 %; pocket models apart, as they are read from a cache."""
    table = transfer_table(frame)
    lines = []
    for (phase, way, law, pocket), part in table.groupby(
            ["phase", "way", "law", table.model.map(kind) == "pocket"], sort=False):
        lines.append(dict(phase=phase, way=f"{way}, pocket models" if pocket else way, law=law, error=part.error.median(),
                          least=part.error.min(), most=part.error.max(), cases=len(part),
                          within_10=int((part.error <= 10).sum()), within_15=int((part.error <= 15).sum())))
    return pd.DataFrame(lines, columns=["phase", "way", "law", "error", "least", "most", "within_10", "within_15",
                                        "cases"])


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
    if low is None or not low > 0:  # one process has no interval
        return {name: np.nan}
    return {name: nbytes / value, f"{name}_low": nbytes / high, f"{name}_high": nbytes / low}
