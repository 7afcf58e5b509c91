"""Samples in parallel: what a vote adds, what it costs in time and memory, and how much of the machine it uses."""

from __future__ import annotations

import pandas as pd

from edgekit import store, text_files
from edgekit.analyze import roofline, stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.errors import RunFailed, unknown_name
from edgekit.studies.frontier import tables
from edgekit.studies.frontier.tables import CELL

PUBLISHED = "data/published/reasoning.yaml"


class PublishedReasoningError(RunFailed):
    """The file of others' measurements does not hold what was asked for; the message names it."""


def published(part: str) -> pd.DataFrame:
    """Others' numbers of one part (parallel, budgets, votes), `source` = "published". Raises PublishedReasoningError."""
    content = text_files.yaml_of(store.ROOT / PUBLISHED, PublishedReasoningError)
    if part not in content:
        raise PublishedReasoningError(f"{PUBLISHED}: {unknown_name('part', part, content)}")
    return pd.DataFrame(content[part]["numbers"]).assign(source="published")


@once
def votes_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a family, cell and size of vote: accuracy, what it gained over one sample (paired by question), the share of draws
    whose top is shared (`tied`) or that have no answer at all (`nothing`), the chance that any sample is right, the tokens of
    the longest sample and of all, and the time over that of one sample (`time_ratio`, by processes)."""
    by = ["domain", *CELL, "samples"]
    columns = [*by, "parameters", *stats.with_ends("accuracy", "gained", "time_ratio"), "tied", "nothing", "any", "cut",
               "unread", "longest", "tokens", "pool", "n", "source"]
    table = tables.voted(frame)
    sizes = tables.parameters_of(frame).set_index(CELL).parameters.to_dict()
    ones = {key: part.set_index("item") for key, part in table[table.samples == 1].groupby(["domain", *CELL])}
    seconds, lines = tables.vote_seconds(frame), []
    for key, part in table.groupby(by):
        part, one, cell, samples = part.set_index("item"), ones[key[:-1]], key[1:-1], key[-1]
        line = dict(zip(by, key, strict=True)) | dict(
            parameters=sizes.get(cell, float("nan")), longest=part.longest.mean(), tokens=part.written.mean(),
            pool=int(part.pool.min()), n=len(part), source="measured",
            **{name: part[name].mean() for name in ("tied", "nothing", "any", "cut", "unread")})
        line |= stats.ends_of("accuracy", stats.bounded_interval(part.correct))
        line |= stats.ends_of("gained", stats.mean_interval(part.correct - one.loc[part.index].correct))
        alone, together = (seconds.get((*cell, n), []) for n in (1, samples))
        if alone and together:
            prompts = part.prompt_tokens.to_numpy(dtype=float)
            sums = [(several(prompts, part.longest.to_numpy()).sum(), single(prompts, one.longest.to_numpy()).sum())
                    for several, single in zip(together, alone, strict=False)]
            line |= stats.ends_of("time_ratio", stats.ratio_interval(*zip(*sums, strict=True)))
        lines.append(line)
    found = tables.float_ends(pd.DataFrame(lines, columns=columns))
    return found.sort_values(["domain", "parameters", *CELL, "samples"], kind="stable").reset_index(drop=True)


@once
def parallel_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell and number of samples at a time: tokens/s of all together and over those of one (`speed_up`), time of a
    step over that of one (`step_ratio`), shares of the read bandwidth and of the matrix rate, the larger of the two (`of_roof`:
    how much of what the nearer roof allows), and peak memory. See roofline.utilisation_table for the shares."""
    by = [*CELL, "batch"]
    columns = [*by, "parameters", *stats.with_ends("tok_per_s", "speed_up", "step_ratio", "bandwidth_utilisation",
                                                   "compute_utilisation", "of_roof", "peak_memory_bytes"), "flop_dtype",
               "cached", "void", "n", "source"]
    rows = rows_of(frame, "parallel")
    as_speed = pd.concat([_as_speed(rows), rows_of(frame, "device")]) if len(rows) else frame[:0]
    shares = {tuple(line[name] for name in by): line for _, line in roofline.utilisation_table(as_speed).iterrows()}
    lines = []
    for key, part in rows.groupby(CELL):
        steps = part[part.metric == "tpot_s"].pivot_table(index="repeat", columns="batch", values="value")
        peaks = part[part.metric == "peak_memory_bytes"].pivot_table(index="repeat", columns="batch", values="value")
        for batch in steps.columns:
            line = dict(zip(by, (*key, batch), strict=True)) | dict(n=int(steps[batch].count()), source="measured")
            line |= stats.ends_of("tok_per_s", stats.rate_interval(batch / steps[batch].dropna()))
            if 1 in steps and len(both := steps[[1, batch]].dropna() if batch != 1 else steps[[1]].dropna()):
                line |= stats.ends_of("speed_up", stats.ratio_interval(batch * both[1], both[batch]))
                line |= stats.ends_of("step_ratio", stats.ratio_interval(both[batch], both[1]))
            if batch in peaks:
                line |= stats.ends_of("peak_memory_bytes", stats.mean_interval(peaks[batch].dropna()))
            if (found := shares.get((*key, batch))) is not None:
                names = stats.with_ends("bandwidth_utilisation", "compute_utilisation")
                line |= {name: found[name] for name in ("parameters", "flop_dtype", "cached", "void", *names)}
                nearer = max(("bandwidth_utilisation", "compute_utilisation"),
                             key=lambda name: -1.0 if pd.isna(found[name]) else found[name])
                line |= {f"of_roof{end}": found[f"{nearer}{end}"] for end in ("", "_low", "_high")}
            lines.append(line)
    found = tables.float_ends(pd.DataFrame(lines, columns=columns))
    return found.sort_values(["parameters", *by], kind="stable").reset_index(drop=True)


def _as_speed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of samples in parallel as those of batches of as many prompts, which the roofline's table takes.

    There the time to the first token is that of all prompts of a batch, and of integer weights its rate is the roof. Samples
    have one prompt, which may be read once or each time; what one takes alone, as many times, is the same rate.
    """
    ones = rows[(rows.metric == "ttft_s") & (rows.batch == 1)]
    prefills = [ones.assign(batch=batch, value=batch * ones.value) for batch in rows.batch.unique()]
    return pd.concat([rows[rows.metric != "ttft_s"], *prefills], ignore_index=True).assign(task="speed")
