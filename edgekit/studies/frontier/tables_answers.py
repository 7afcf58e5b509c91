"""The answers of 09_frontier apart from their frontier: budgets beside full reasoning, accuracy by depth, and real requests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.studies.frontier.tables import CELL, CONFIG, amount_of, answers, float_ends, kind_of, laws, ordered, parameters_of


@once
def budgets_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a configuration with a budget (hard, soft, trained) or none (direct), beside the same model reasoning in full on
    the same questions: the share of its `tokens`, what it `gained` in accuracy (below 0: lost), and, of budgets in the prompt,
    the share of answers that `kept` to it; with the share that was cut in full reasoning, `cut_in_full`, where it is short."""
    columns = [*CONFIG, "parameters", *stats.with_ends("token_ratio", "gained", "kept"), "accuracy", "cut", "unread",
               "cut_in_full", "n"]
    table = answers(frame)
    sizes = parameters_of(frame).set_index(CELL).parameters.to_dict()
    full = {key: part.set_index("item") for key, part in table[table["mode"] == "think"].groupby(CONFIG[:-1])}
    lines = []
    for key, part in table[table["mode"] != "think"].groupby(CONFIG):
        whole = full.get(key[:-1])
        items = [] if whole is None else [item for item in part["item"] if item in whole.index]
        if len(items) < 2:
            continue
        part, whole, mode = part.set_index("item").loc[items], whole.loc[items], key[-1]
        line = dict(zip(CONFIG, key, strict=True)) | dict(
            parameters=sizes.get(key[1:-1], np.nan), accuracy=part.correct.mean(), cut=part.cut.mean(),
            unread=part.unread.mean(), cut_in_full=whole.cut.mean(), n=len(items))
        line |= stats.ends_of("token_ratio", stats.ratio_of_sums(part.written, whole.written))
        line |= stats.ends_of("gained", stats.paired_difference(part.correct, whole.correct))
        if kind_of(mode) in ("soft", "budget"):
            line |= stats.ends_of("kept", stats.wilson(int((part.spent <= amount_of(mode)).sum()), len(part)))
        lines.append(line)
    return ordered(pd.DataFrame(lines, columns=columns))


@once
def depth_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a configuration and depth: accuracy with Wilson's interval, mean tokens and the share that was cut."""
    columns = [*CONFIG, "depth", "parameters", *stats.with_ends("accuracy"), "tokens", "cut", "n"]
    sizes = parameters_of(frame).set_index(CELL).parameters.to_dict()
    lines = [dict(zip([*CONFIG, "depth"], key, strict=True)) | dict(
        parameters=sizes.get(key[1:6], np.nan), tokens=part.written.mean(), cut=part.cut.mean(), n=len(part))
        | stats.ends_of("accuracy", stats.wilson(int(part.correct.sum()), len(part)))
        for key, part in answers(frame).groupby([*CONFIG, "depth"])]
    return ordered(pd.DataFrame(lines, columns=columns))


@once
def requests_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell and way to reason: the time of real requests over what the lines through the timed streams foretell for
    their tokens, with its interval over requests."""
    columns = [*CONFIG, *stats.with_ends("measured_over_foretold", "request_s"), "written", "n"]
    times = laws(frame)
    lines = []
    for key, part in rows_of(frame, "requests", metrics=("request_s",)).groupby(CONFIG):
        if not (of_cell := times.get(key[1:-1])):
            continue
        foretold = np.exp(np.mean([np.log(law.seconds(part.prompt_tokens, part.written)) for law in of_cell], axis=0))
        lines.append(dict(zip(CONFIG, key, strict=True)) | dict(written=part.written.mean(), n=len(part))
                     | stats.ends_of("measured_over_foretold", stats.ratio_interval(part.value, foretold))
                     | stats.ends_of("request_s", stats.rate_interval(part.value)))
    return float_ends(pd.DataFrame(lines, columns=columns))
