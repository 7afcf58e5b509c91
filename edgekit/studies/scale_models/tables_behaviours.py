"""Where the scale models behave like real ones: published behaviours beside our counterparts, computed from rows.

`data/published/behaviours.yaml` holds what was published; each entry names the quantity of this file that stands beside it.
`alike`: the same direction, by intervals and not by point values; `unlike`: the other way, or not at all; `undecided`: the
intervals allow both, more items would tell; `not present`: the phenomenon does not occur; `not measured`: these rows cannot
say. Levels are never compared: those belong to the models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from edgekit import store, text_files
from edgekit.analyze import stats
from edgekit.errors import RunFailed, unknown_name
from edgekit.studies.scale_models import tables as scale

ALIKE, UNLIKE, ABSENT, OPEN, UNKNOWN = "alike", "unlike", "not present", "undecided", "not measured"
DEPTHS = (2, 6)  # word problems whose accuracy is compared: both seen in training
LEAST_FALL = 0.2  # where so large a fall of accuracy is excluded there is none worth the name
KEYS = {"id", "title", "statement", "numbers", "unit", "source", "locator", "beside"}


class BehavioursError(RunFailed):
    """The file of behaviours says something that cannot be used; the message names the entry."""


@dataclass(frozen=True)
class Seen:
    """Our counterpart: whether it is alike, our numbers in a sentence, and what follows for a study of the scale models."""

    word: str
    ours: str
    means: str


@dataclass(frozen=True)
class Behaviour:
    """One published behaviour, as transcribed."""

    id: str
    title: str
    statement: str
    numbers: tuple[dict, ...]
    unit: str
    source: str
    locator: str
    beside: str

    @property
    def printed(self) -> str:
        """The transcribed numbers in one line."""
        return "; ".join(f"{number['label']}: {number['value']:,g}" for number in self.numbers) or "no number given"


def load() -> list[Behaviour]:
    """All published behaviours. Raises BehavioursError for missing or unknown keys, or an unknown quantity."""
    path = store.ROOT / "data/published/behaviours.yaml"
    found = []
    for position, entry in enumerate(text_files.yaml_of(path, BehavioursError)["behaviours"], 1):
        if set(entry) != KEYS:
            raise BehavioursError(f"{path}, entry {position}: expected the keys {', '.join(sorted(KEYS))}, got "
                                  f"{', '.join(sorted(entry))}")
        if entry["beside"] not in QUANTITIES:
            raise BehavioursError(f"{path}, {entry['id']}: " + unknown_name("quantity", entry["beside"], QUANTITIES))
        texts = {name: " ".join(str(entry[name]).split()) for name in KEYS - {"numbers"}}
        found.append(Behaviour(**texts, numbers=tuple(entry["numbers"])))
    return found


def judge(behaviours: Iterable[Behaviour], frame: pd.DataFrame) -> list[tuple[Behaviour, Seen]]:
    """Each behaviour with its counterpart in these rows."""
    return [(behaviour, QUANTITIES[behaviour.beside](frame)) for behaviour in behaviours]


def markdown_list(judged: Iterable[tuple[Behaviour, Seen]]) -> str:
    """Published beside ours, and what it means, as a Markdown list."""
    return "\n".join(
        f"- **{behaviour.title}: {seen.word}.** {behaviour.statement}\n"
        f"  - published: {behaviour.printed} ({behaviour.unit}; {behaviour.source}, {behaviour.locator})\n"
        f"  - ours, with 95 % intervals: {seen.ours}\n"
        f"  - for a scale-model study it means: {seen.means}" for behaviour, seen in judged) + "\n"


def by_word(judged: Iterable[tuple[Behaviour, Seen]]) -> str:
    """The behaviours by verdict, as a Markdown list."""
    judged = list(judged)
    titles: dict[str, list[str]] = {}
    for behaviour, seen in judged:
        titles.setdefault(seen.word, []).append(behaviour.title)
    return "\n".join(f"- **{word}** ({len(named)} of {len(judged)}): {'; '.join(named)}" for word, named in titles.items())


def exponents(name: str) -> dict[str, float]:
    """The published numbers of a behaviour by label, for figures."""
    found = {behaviour.id: behaviour for behaviour in load()}
    return {number["label"]: number["value"] for number in found[name].numbers}


def _word(alike: bool, unlike: bool) -> str:
    return ALIKE if alike else UNLIKE if unlike else OPEN


def _not_measured(what: str) -> Seen:
    return Seen(UNKNOWN, f"no rows of {what} in this run", "nothing can be said")


def _estimate(value: float, low: float, high: float) -> str:
    return stats.told(value, low, high)


def acceptance_by_draft_size(frame: pd.DataFrame) -> Seen:
    """The largest model as target, word problems with reasoning: does acceptance rise with the draft?"""
    table = scale.acceptance_table(frame)
    order = scale.models_of(frame)
    table = table[(table.domain == "chain think") & (table.target == (order or [None])[-1])]
    if table.draft.nunique() < 2:
        return _not_measured("acceptance of two drafts of one target")
    rises, falls, parts = [], [], []
    for temperature, name in ((0, "greedy"), (1, "temperature 1")):
        rates = table[table.temperature == temperature].set_index("draft").reindex([m for m in order if m in set(table.draft)])
        parts.append(f"{name}: " + ", ".join(f"{draft} {_estimate(line.rate, line.rate_low, line.rate_high)}"
                                             for draft, line in rates.iterrows()))
        rises.append(rates.rate_high.iloc[0] < rates.rate_low.iloc[-1])
        falls.append(rates.rate_low.iloc[0] > rates.rate_high.iloc[-1])
    return Seen(_word(all(rises), any(falls)), f"target {order[-1]}; " + "; ".join(parts),
                "the choice of a draft has the trade-off of real families; the levels depend on the text, which is more "
                "regular here than natural language")


def loss_by_bits(frame: pd.DataFrame) -> Seen:
    """Excess loss added by rounding, in nats a token, the largest model at its largest group."""
    table = scale.rounded_prose(frame)
    table = table[table.bits < 32]
    if not {3, 4} <= set(table.bits):
        return _not_measured("round-to-nearest at 4 and 3 bits")
    table = table[table.parameters == table.parameters.max()]
    table = table[table.group == table.group.max()].sort_values("bits", ascending=False)
    at = table.set_index("bits")
    parts = [f"{bits} bits: {line.added:+.4f} ({line.added_low:+.4f} to {line.added_high:+.4f})"
             for bits, line in at.iterrows()]
    word = _word(at.added_low[3] > max(at.added_high[4], 0), at.added_high[3] < max(at.added_low[4], 0))
    published = {number["label"]: number["value"] for b in load() if b.id == "rounding" for number in b.numbers}
    theirs = [math.log(published[f"{bits} bits"] / published["16 bits"]) for bits in (4, 3)]
    return Seen(word,
                f"loss added to {at.model.iloc[0]} in groups of {at.group.iloc[0]}, nats a token: {', '.join(parts)}; theirs "
                f"is {theirs[0]:+.2f} at 4 bits and {theirs[1]:+.2f} at 3 bits",
                "methods can be compared where bits are few; at which number of bits the loss sets in, and how much is lost, "
                "is another matter: theirs has one grid a row, ours one a group")


def gain_by_size(frame: pd.DataFrame) -> Seen:
    """Gain of full reasoning over answering directly, by size, over the deepest of the problems."""
    table = scale.reasoning_gain(frame)
    table = table[(table["mode"] == "think") & (table.depth <= DEPTHS[1])]
    if table.empty:
        return _not_measured("thinking and direct answers")
    table = table[table.depth == table.depth.max()]
    parts = [f"{line.model} {line.gain:+.2f} ({line.gain_low:+.2f} to {line.gain_high:+.2f})" for line in table.itertuples()]
    smallest, largest = table.iloc[0], table.iloc[-1]
    alike = smallest.gain_low <= 0 and smallest.gain_high < largest.gain_low
    word = _word(alike, smallest.gain_low > 0 or largest.gain_high <= 0)
    return Seen(word, f"problems of {table.depth.iloc[0]} steps: " + ", ".join(parts),
                "the smallest model gains nothing yet, as in theirs, though it was trained and not prompted to reason"
                if alike else "our models are trained to reason, theirs were prompted: a scale model says what reasoning "
                "tokens buy, not from which size on prompting works")


def outlier_features(frame: pd.DataFrame) -> Seen:
    """Features that meet the published criterion, and the largest activation over its root mean square."""
    table = scale.activation_table(frame)
    if table.empty:
        return _not_measured("activations")
    counts = table.drop_duplicates("model")
    inputs = table[table.site.isin(("attention", "mlp"))].groupby("model", sort=False).peak_over_rms.max()
    down = table[table.site == "mlp_down"].groupby("model", sort=False).peak_over_rms.max()
    parts = [f"{line.model} {line.outlier_features} features, peaks {inputs[line.model]:.1f} times the RMS "
             f"({down[line.model]:.0f} before the second MLP matrix, which the criterion leaves out)"
             for line in counts.itertuples()]
    none = (counts.outlier_features == 0).all()
    return Seen(ABSENT if none else ALIKE, "; ".join(parts),
                "what outliers break (activation quantization, one scale a tensor) looks better here than on real models, and "
                "methods made against them (LLM.int8, SmoothQuant, AWQ's scaling) look more needless" if none else
                "methods against outliers have something to work on")


def fall_with_depth(frame: pd.DataFrame) -> Seen:
    """Direct answers of the largest model: from few steps to many."""
    return _fall(frame, "chain", "direct", DEPTHS, "word problems by steps, answered directly",
                 "hard and easy questions exist by construction, as routing and budget studies need them")


def fall_with_rarity(frame: pd.DataFrame) -> Seen:
    """Prices of the largest model: from the commonest band to the rarest."""
    return _fall(frame, "prices", "direct", (1, 4), "prices by band of rarity",
                 "knowledge that compression may lose first exists, with a known frequency in training")


def _fall(frame: pd.DataFrame, domain: str, mode: str, ends: tuple[int, int], what: str, means: str) -> Seen:
    table = scale.accuracy_ladder(frame)
    table = table[(table.domain == domain) & (table["mode"] == mode)]
    if not set(ends) <= set(table.depth):
        return _not_measured(f"{domain} at {ends[0]} and {ends[1]}")
    table = table[table.parameters == table.parameters.max()].set_index("depth")
    first, last = (table.loc[depth] for depth in ends)
    parts = [f"{depth}: {_estimate(line.accuracy, line.accuracy_low, line.accuracy_high)}" for depth, line in
             table.loc[list(ends)].iterrows()]
    word = _word(last.accuracy_high < first.accuracy_low, first.accuracy_high - last.accuracy_low < LEAST_FALL)
    return Seen(word, f"{first.model}, {what}: {', '.join(parts)}", means)


def exponent_in_parameters(frame: pd.DataFrame) -> Seen:
    """The exponent of the excess loss in the number of parameters, over the family."""
    table = scale.prose_table(frame)
    if len(table) < 3 or (table.excess <= 0).any():
        return _not_measured("excess loss of three models")
    return _exponent(stats.power_law(table.parameters, table.excess), f"over {len(table)} models", "size_exponent",
                     "a ratio of sizes here is not the same ratio of sizes there")


def exponent_in_tokens(frame: pd.DataFrame) -> Seen:
    """The exponent of the excess loss in the tokens seen: the largest model's run, from a tenth of it on."""
    models = scale.models_of(frame)
    table = scale.training_table(models[-1:])
    table = table[(table.tokens >= table.tokens.max() / 10) & (table.excess > 0)]
    if len(table) < 3:
        return _not_measured("a training run")
    return _exponent(stats.power_law(table.tokens, table.excess), f"along the run of {models[-1]}, points of one run, so the "
                     "interval is too narrow", "tokens_exponent",
                     "points of a run whose learning rate falls are no runs of their own; theirs were each trained to the end")


def _exponent(found: stats.Estimate, where: str, published: str, means: str) -> Seen:
    theirs = next(iter(exponents(published).values()))
    inside = found.low is not None and found.low <= theirs <= found.high
    how = "spans" if inside else "is steeper than" if found.value > theirs else "is flatter than"
    ours = _estimate(found.value, found.low, found.high)
    word = _word(inside and found.low > 0, not inside and found.low is not None)
    return Seen(word, f"excess loss on prose {where}: {ours}, which {how} {theirs:g}", means)


QUANTITIES: dict[str, Callable[[pd.DataFrame], Seen]] = {
    function.__name__: function for function in (
        acceptance_by_draft_size, loss_by_bits, gain_by_size, outlier_features, fall_with_depth, fall_with_rarity,
        exponent_in_parameters, exponent_in_tokens)}
