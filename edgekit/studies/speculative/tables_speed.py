"""The times of the speculative study as tidy tables: what drafting gains, what was to be expected, and which length is best.

Columns as in tables.py. Speed-ups are paired by repeat: plain decoding and drafting took turns in one process.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.speculation import Costs, acceptance_for, best_length, expected_speedup, expected_tokens_of
from edgekit.catalog.engines import BUILTIN_SPECULATIVE
from edgekit.schema import ADAPTIVE, LOOKUP
from edgekit.studies.speculative.tables import PAIR, acceptance_table, finished, longest, select

PLAIN = "0"  # the draft length of rows without a draft
COUNTED = ["model", "draft", "engine", "dtype", "domain"]  # what times and counts of a pair share: counts take any threads
GAIN = [*PAIR, "length"]  # what has one mean over the domains


@once
def speed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, engine, domain and draft length: speed-ups over plain decoding in the same process, from end to end
    (`speed_up`) and after each text's first pass (`decode`), with what costs and counted acceptance lead to expect of that.

    draft, verify, overhead: costs over a plain step (see `speculation.Costs`), means over repeats. expected: from the
    acceptance at each position, counted at the longest fixed length, and for the lookup also from how often it found a token to
    draft there; empty for adaptive lengths, for positions that were not counted, and for runtimes that tell no costs.
    """
    rows = select(frame, "speed")[[*PAIR, "domain", "length", "repeat", "metric", "value", "tokens", "rest_tokens"]]
    positions = acceptance_table(frame, by_position=True)
    positions = longest(positions[positions.temperature == 0]) if len(positions) else positions
    counts = select(frame, "acceptance")
    blocks = counts[(counts.metric == "blocks") & (counts.temperature == 0)].groupby([*COUNTED, "length"]).value.sum()
    positions = dict(list(positions.groupby(COUNTED)))
    lines = []
    for key, here in rows.groupby([*PAIR, "domain"]):
        pair = dict(zip([*PAIR, "domain"], key, strict=True))
        seconds = _per_token(here, "pass_s", "tokens")
        steps = _per_token(here, "rest_s", "rest_tokens")
        costs = here[here.metric.isin(["draft_s", "verify_s", "overhead_s"])].pivot_table(
            index="length", columns="metric", values="value")
        counted = positions.get(tuple(pair[name] for name in COUNTED))
        accepted = [] if counted is None else _accepted(counted, blocks, pair)
        for length in sorted(set(seconds) - {PLAIN}):
            gain = stats.ratio_interval(*seconds[[PLAIN, length]].dropna().to_numpy().T)
            line = pair | {"length": length, "n": gain.n} | stats.ends_of("speed_up", gain)
            if length in steps:
                line |= stats.ends_of("decode", stats.ratio_interval(*steps[[PLAIN, length]].dropna().to_numpy().T))
                plain = steps[PLAIN].mean()
                cost = Costs(0.0 if pd.isna(costs.get("draft_s", pd.Series(dtype=float)).get(length)) else
                             costs.draft_s[length] / plain, costs.verify_s[length] / plain,
                             max(0.0, costs.overhead_s[length] / plain))
                line |= dict(draft_cost=cost.draft, verify_cost=cost.verify, overhead_cost=cost.overhead)
                # After a place where nothing was accepted none was judged, and none adds a token.
                if length != ADAPTIVE and (len(accepted) >= int(length) or 0.0 in accepted):
                    line["expected"] = expected_tokens_of(accepted[:int(length)]) / cost.block(int(length))
            lines.append(line)
    columns = [*PAIR, "domain", "length", *stats.with_ends("speed_up", "decode"), "expected", "draft_cost", "verify_cost",
               "overhead_cost", "n"]
    return finished(pd.DataFrame(lines, columns=columns), frame)


def _per_token(here: pd.DataFrame, metric: str, tokens: str) -> pd.DataFrame:
    """Seconds a token, a line a repeat (the rounds of a process are summed), a column a draft length."""
    sums = here[here.metric == metric].groupby(["repeat", "length"])[["value", tokens]].sum()
    sums = sums[sums[tokens] > 0]
    return (sums.value / sums[tokens].astype(float)).unstack() if len(sums) else pd.DataFrame()


def mean_gains(frame: pd.DataFrame, speeds: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, engine and length of `speeds` (lines of `speed_table`) that was timed in all of its domains: the geometric
    mean of the speed-ups from end to end over the domains. Its best is what S1.10 is judged by."""
    seconds = dict(list(_seconds(frame).groupby(PAIR)))
    lines = []
    for key, _ in speeds.groupby(GAIN):
        where = dict(zip(GAIN, key, strict=True))
        here = _gains(seconds[key[:-1]], where["length"])
        if here.shape[1] == speeds.domain.nunique() and len(here):
            found = stats.rate_interval(np.exp(np.log(here).mean(axis=1)).to_list())
            lines.append(where | stats.ends_of("speed_up", found) | {"n": found.n})
    return finished(pd.DataFrame(lines, columns=[*GAIN, *stats.with_ends("speed_up"), "n"]), frame)


def _gains(here: pd.DataFrame, length: str) -> pd.DataFrame:
    """Speed-ups from end to end of one pair (its lines of `_seconds`) at a length, a line a repeat, a column a domain; only
    repeats that have all of its domains."""
    if length not in here:
        return pd.DataFrame()
    here = here.assign(gain=here[PLAIN] / here[length])
    return here.pivot(index="repeat", columns="domain", values="gain").dropna(axis=1, how="all").dropna()


@once
def _seconds(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds a token from end to end, a line a pair, domain and repeat, a column a draft length."""
    rows = select(frame, "speed")
    sums = rows[rows.metric == "pass_s"].groupby([*PAIR, "domain", "repeat", "length"])[["value", "tokens"]].sum()
    sums = sums[sums.tokens > 0]
    return (sums.value / sums.tokens.astype(float)).unstack("length").reset_index()


def replay_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`speed_table` of the pairs that were timed with the acceptance of a `recorded` pair. All of it is modelled: the times are
    this machine's, how often a draft is right is another pair's."""
    rows = select(frame, "replay")
    rows = rows.assign(task=rows.metric.map(lambda metric: "acceptance" if metric == "accepted" else "speed"))
    lines = [speed_table(here).assign(recorded=recorded) for recorded, here in rows.groupby("recorded")]
    empty = speed_table(rows[:0]).assign(recorded=None)
    return pd.concat(lines or [empty], ignore_index=True).assign(source="modelled")


def replayed_and_timed(frame: pd.DataFrame) -> pd.DataFrame:
    """`replay_table`, and the lines of `speed_table` of the same pairs, cells and domains, where one was timed as it is."""
    replayed = replay_table(frame)
    if replayed.empty:
        return replayed
    pairs = frame.set_index(["model", "draft"]).index.isin(replayed.set_index(["model", "draft"]).index)
    timed = speed_table(frame[pairs]).merge(replayed[[*PAIR, "domain", "length"]].drop_duplicates(),
                                            on=[*PAIR, "domain", "length"])
    return pd.concat([replayed, timed], ignore_index=True) if len(timed) else replayed


def batch_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, engine, domain, number of texts at a time (`batch`) and draft length: speed-up over plain decoding of as
    many texts at a time, from end to end and after the first passes (`decode`), paired by repeat; tokens/s of all texts
    together (`rate`, and `plain_rate` without a draft); texts, how many of both ways differ from the same text decoded alone,
    and the widest distance of logits where they part."""
    rows = select(frame, "batch")
    where = [*PAIR, "domain", "batch"]
    lines = []
    for key, here in rows[rows.batch.notna()].groupby(where):
        whole, rest = _per_token(here, "pass_s", "tokens"), _per_token(here, "rest_s", "rest_tokens")
        for length in sorted(set(whole) - {PLAIN}):
            texts = here[(here.metric == "differs") & here.length.isin([PLAIN, length])]
            gaps = here[(here.metric == "tie_gap") & here.length.isin([PLAIN, length])].value
            gain = stats.ratio_interval(*whole[[PLAIN, length]].dropna().to_numpy().T)
            lines.append(dict(zip(where, key, strict=True)) | {"length": length, "n": gain.n} | stats.ends_of("speed_up", gain)
                         | stats.ends_of("decode", stats.ratio_interval(*rest[[PLAIN, length]].dropna().to_numpy().T))
                         | dict(rate=1 / stats.rate_interval(whole[length].dropna()).value,
                                plain_rate=1 / stats.rate_interval(whole[PLAIN].dropna()).value, texts=len(texts),
                                differ=int(texts.value.sum()), gap_widest=gaps.max()))
    columns = [*where, "length", *stats.with_ends("speed_up", "decode"), "rate", "plain_rate", "texts", "differ",
               "gap_widest", "n"]
    return finished(pd.DataFrame(lines, columns=columns), frame).astype({"batch": int})


def _accepted(positions: pd.DataFrame, blocks: pd.Series, pair: dict) -> list[float]:
    """The chance that a block goes on at the places 1, 2, ... if it came so far, as far as they were counted without a gap.

    That is the acceptance for a model, which always drafts; the lookup must also have found a token there.
    """
    chances: list[float] = []
    came = None
    for place, line in enumerate(positions.sort_values("position").itertuples(), 1):
        if line.position != place:
            return []
        chance = float(line.acceptance)
        if pair["draft"] == LOOKUP:
            came = blocks[(*(pair[name] for name in COUNTED), line.length)] if came is None else came
            chance *= line.judged / came
            came *= chance
        chances.append(chance)
        if not chance:
            break
    return chances


@once
def best_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a timed pair, engine and domain: the best fixed draft length that acceptance and costs predict, and the one found.

    Predicted with one acceptance for all places, as a user would who knows only that. A length of 0 is plain decoding: nothing
    gains. found_gain: the decode speed-up there, taken_gain: that at the predicted length. break_even: the least acceptance
    that pays at the found length, or at 1 where none was found.
    """
    speeds = speed_table(frame)
    speeds = speeds[(speeds.length != ADAPTIVE) & speeds.verify_cost.notna()]
    counted = acceptance_table(frame)
    counted = longest(counted[counted.temperature == 0]) if len(counted) else counted
    lines = []
    for key, here in speeds.groupby([*PAIR, "domain"]):
        pair = dict(zip([*PAIR, "domain"], key, strict=True))
        known = counted
        for name in COUNTED:
            known = known[known[name] == pair[name]]
        if known.empty:
            continue
        costs = {int(line.length): Costs(line.draft_cost, line.verify_cost, line.overhead_cost) for line in here.itertuples()}
        acceptance = float(known.acceptance.iloc[0])
        predicted, gain = best_length(acceptance, costs)
        gains = {int(line.length): line.decode for line in here.itertuples()} | {0: 1.0}
        found = max(gains, key=lambda length: (gains[length], -length))
        at = found or min(costs)
        lines.append(pair | dict(acceptance=acceptance, predicted=predicted, predicted_gain=gain, found=found,
                                 found_gain=gains[found], taken_gain=gains[predicted],
                                 break_even=acceptance_for(1.0, at, costs[at]),
                                 at_found=expected_speedup(acceptance, at, costs[at])))
    columns = [*PAIR, "domain", "acceptance", "predicted", "predicted_gain", "found", "found_gain", "taken_gain", "break_even",
               "at_found"]
    return finished(pd.DataFrame(lines, columns=columns), frame)


def builtin_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, runtime's own loop, domain and draft length: `ours_over_builtin`, speed from end to end of ours over that
    of the loop, paired by repeat; its own speed-up over its own plain decoding is in `speed_table`."""
    rows = select(frame, "speed")
    where = ["model", "draft", "dtype", "threads", "domain"]
    lines = []
    for key, here in rows[rows.metric == "pass_s"].groupby(where):
        for loop, entry in BUILTIN_SPECULATIVE.items():
            theirs, own = (_per_token(here[here.engine == engine], "pass_s", "tokens") for engine in (loop, entry.engine))
            for length in sorted((set(theirs) & set(own)) - {PLAIN}):
                both = pd.concat([theirs[length], own[length]], axis=1).dropna()
                if len(both):
                    ratio = stats.ratio_interval(both.iloc[:, 0], both.iloc[:, 1])
                    lines.append(dict(zip(where, key, strict=True)) | dict(engine=loop, length=length, n=ratio.n)
                                 | stats.ends_of("ours_over_builtin", ratio))
    return finished(pd.DataFrame(lines, columns=[*PAIR, "domain", "length", *stats.with_ends("ours_over_builtin"), "n"]), frame)
