"""Times of 11_routing: of recorded answers that were written again, of the estimator's decisions, and what stays within a
limit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats as distributions

from edgekit.analyze import roofline, stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.analyze.stats import Estimate
from edgekit.studies.routing.tables import ITEM, framed, item_table

LIMIT_S = 0.1  # the document's 100 ms
CELL = ["model", "engine", "dtype", "threads"]


def quantile(samples: np.ndarray, share: float, unit: str = "", what: str = "") -> Estimate:
    """A quantile of independent samples, with the order statistics that hold it with 95 % as ends (Conover 1999, section 3.2);
    without ends where there are too few samples for them."""
    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    low, high = (int(distributions.binom.ppf(end, n, share)) for end in (0.025, 0.975))
    value = float(np.quantile(ordered, share))
    if distributions.binom.cdf(n - 1, n, share) < 0.975 or low < 1:
        return Estimate(value, None, None, n, unit, what)
    return Estimate(value, float(ordered[low - 1]), float(ordered[min(high, n - 1)]), n, unit, what)


@once
def decision_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line for the estimator: weights, bytes, median and 95th percentile of a decision in seconds, memory that it takes
    beside the process, joules where a sensor was read, and its median over the device's median answer."""
    columns = ["model", "parameters", "bytes", *stats.with_ends("median_s", "p95_s"), "memory_bytes", "joules",
               "over_answer", "n"]
    rows, replies = rows_of(frame, "decision"), rows_of(frame, "reply", metrics=("reply_s",))
    lines = []
    for model, here in rows.groupby("model"):
        facts = here.groupby("metric").value.median()
        times = here.loc[here.metric == "decide_s", "value"]
        line = dict(model=model, parameters=facts.estimator_parameters, bytes=facts.estimator_bytes, n=len(times),
                    memory_bytes=facts.peak_memory_bytes - facts.base_memory_bytes, joules=facts.get("decide_j", math.nan))
        line |= stats.ends_of("median_s", quantile(times, 0.5)) | stats.ends_of("p95_s", quantile(times, 0.95))
        answers = replies.loc[replies.model == model, "value"]
        lines.append(line | dict(over_answer=times.median() / answers.median() if len(answers) else math.nan))
    return framed(lines, columns)


@once
def reply_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model: whole answers that it wrote again, p50 and p95 in seconds, and the mean of their tokens."""
    columns = [*CELL, *stats.with_ends("median_s", "p95_s"), "tokens", "n"]
    lines = []
    for key, here in rows_of(frame, "reply", metrics=("reply_s",)).groupby(CELL):
        line = dict(zip(CELL, key, strict=True), tokens=here.output_tokens.mean(), n=len(here))
        for name, share in (("median_s", 0.5), ("p95_s", 0.95)):
            line |= stats.ends_of(name, quantile(here.value, share))
        lines.append(line)
    return framed(lines, columns)


def law(frame: pd.DataFrame, model: str) -> np.ndarray | None:
    """(seconds, seconds a token of the prompt, seconds a token of the answer) of a model's timed answers, none below 0, by
    least squares on relative errors; None where fewer than three were timed."""
    from scipy.optimize import nnls

    here = rows_of(frame, "reply", metrics=("reply_s",))
    here = here[here.model == model]
    if len(here) < 3:
        return None
    design = np.column_stack([np.ones(len(here)), here.prompt_tokens, here.output_tokens]).astype(float)
    times = here.value.to_numpy(float)
    return nnls(design / times[:, None], np.ones(len(here)))[0]


@once
def service_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a recorded item: edge_s and cloud_s, how long each model alone takes for its own answer, by the law of the answers
    that were timed (modelled), and decide_s, the median decision."""
    items = item_table(frame)
    items = items[items.source == "measured"] if len(items) else items
    decisions = decision_table(frame)
    parts = []
    for (model, cloud), here in items.groupby(["model", "cloud_model"]) if len(items) else ():
        laws = {"edge": law(frame, model), "cloud": law(frame, cloud)}
        if any(one is None for one in laws.values()):
            continue
        part = here[[*ITEM, "model", "cloud_model", "domain", "edge", "cloud", "edge_asked", "edge_answered", "cloud_asked",
                     "cloud_answered"]].copy()
        for side, (start, asked, answered) in laws.items():
            part[f"{side}_s"] = start + asked * part[f"{side}_asked"] + answered * part[f"{side}_answered"]
        own = decisions.loc[decisions.model == model, "median_s"]
        parts.append(part.assign(decide_s=own.iloc[0] if len(own) else 0.0))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


@once
def within_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model: time to first token and a token after it, and the longest answer whose last token comes within LIMIT_S, a
    decision of the estimator before it counted; at the upper ends of both times (`sure`), 0 where not even the first token
    does."""
    columns = [*CELL, "parameters", "prompt_tokens", *stats.with_ends("ttft_s", "tpot_s"), "tokens", "sure", "n"]
    table, decisions = roofline.speed_table(frame), decision_table(frame)
    decide = decisions.p95_s.max() if len(decisions) else 0.0
    lines = []
    for key, here in table.groupby([*CELL, "prompt_tokens"]) if len(table) else ():
        first, later = here[here.ttft_s.notna()], here[here.tpot_s.notna()]
        if first.empty or later.empty:
            continue
        first, later = first.iloc[0], later.loc[later.output_tokens.idxmax()]
        line = dict(zip([*CELL, "prompt_tokens"], key, strict=True), parameters=first.parameters, n=first.n)
        for name, one in (("ttft_s", first), ("tpot_s", later)):
            line |= {f"{name}{end}": one[f"{name}{end}"] for end in ("", "_low", "_high")}
        line |= dict(tokens=longest(decide + line["ttft_s"], line["tpot_s"]),
                     sure=math.nan if pd.isna(line["ttft_s_high"]) else
                     longest(decide + line["ttft_s_high"], line["tpot_s_high"]))
        lines.append(line)
    return framed(lines, columns).sort_values("parameters", kind="stable").reset_index(drop=True)


def longest(first_s: float, token_s: float, limit_s: float = LIMIT_S) -> int:
    """Tokens of the longest answer whose last one comes within the limit: the first after `first_s`, each other after `token_s`
    more."""
    return 0 if first_s > limit_s else 1 + math.floor((limit_s - first_s) / token_s + 1e-9)
