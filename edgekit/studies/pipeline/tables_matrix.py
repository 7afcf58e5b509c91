"""The matrix of variants: which of latency, accuracy, memory and power is on record for which variant on which platform.

The document names its fifteen variants nowhere, so these are the kit's own: three scale models and small real ones on any
machine, models of the hub on the document's boards, each at several precisions. Cells come from the committed rows of all
studies. Values of one model and quantity stand side by side only if they were measured by one protocol (lengths, or task and
number of items): the one that most of its variants were measured by; a cell that was measured by another is empty and says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from edgekit import committed, store
from edgekit.analyze import stats
from edgekit.analyze.rows import rows_of
from edgekit.catalog import published
from edgekit.schema import NONE
from edgekit.store import Skip

FIELDS = LATENCY, ACCURACY, MEMORY, POWER = ("latency", "accuracy", "memory", "power")
UNITS = {LATENCY: "ms a token", ACCURACY: "%", MEMORY: "MB", POWER: "W"}
RUNTIME = "llama_cpp"
ENGINE_OF = {"awq": "transformers", "gptq": "transformers"}  # what loads weights that the runtime does not
LAPTOP = {
    **dict.fromkeys(("pocket-3m", "pocket-10m"), ("float16", "Q8_0", "Q4_0")),
    **dict.fromkeys(("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"),
                    ("float16", "stored", "Q4_0")),
}
BOARD = dict.fromkeys(("Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct",
                       "meta-llama/Llama-2-7b-chat-hf"), ("float16", "awq", "gptq", "Q4_0"))
BOARDS = ("apple-m2-pro", "snapdragon-8-gen3", "intel-core-ultra", "jetson-orin-nx")  # the document's
STUDIES = ("02_baseline", "03_quantization", "07_pipeline", "08_latency_law", "09_frontier")  # that time or ask whole variants
# Why a cell is empty, beside what studies say of what they skipped.
NO_ROWS, OTHER, NOT_HERE, NOT_ASKED = ("no rows of this platform", "another protocol", "not run on this platform",
                                       "in no study's profile")
LENGTHS = ["prompt_tokens", "output_tokens"]
KINDS = tuple(f'"metric":"{name}"'.encode() for name in (
    "tpot_s", "peak_memory_bytes", "base_memory_bytes", "correct", "energy_j", "window_s"))
SEEN = ["model", "weights", "field", "value", "protocol", "extent", "study", "profile"]


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one committed file and its skips."""

    platform: str
    study: str
    profile: str
    frame: pd.DataFrame
    skips: Sequence[Skip]


@functools.cache
def committed_matrix() -> pd.DataFrame:
    """`matrix` of all committed rows. Kept for a process, whose files do not change."""
    return matrix(Source(rows.platform, rows.study, rows.profile, *store.skim(rows.path, _is_asked))
                  for rows in committed.files() if rows.study in STUDIES)


def _is_asked(line: bytes) -> bool:
    """Whether a row may be of a variant of the matrix, by its line in a file."""
    runs = f'"engine":"{RUNTIME}"'.encode() in line or (
        any(f'"{kind}"'.encode() in line for kind in ENGINE_OF) and b'"dtype":"float32"' not in line)
    return runs and any(word in line for word in KINDS)


def matrix(sources: Iterable[Source]) -> pd.DataFrame:
    """A line a platform, model, weights and field: its value (see UNITS), or why there is none (`why`); the protocol, and the
    study and profile that it comes from. The platforms are the document's and those of the rows."""
    by_platform: dict[str, list[Source]] = {name: [] for name in BOARDS}
    for source in sources:
        by_platform.setdefault(source.platform, []).append(source)
    columns = ["platform", "model", "weights", "field", "value", "protocol", "study", "profile", "why"]
    table = pd.DataFrame([line for platform, here in by_platform.items() for line in _of_platform(platform, here)],
                         columns=columns)
    seen = table.value.notna() | table.why.str.startswith(OTHER).fillna(False)
    elsewhere = seen.groupby([table.model, table.weights, table.field]).transform("any")
    return table.assign(why=table.why.mask((table.why == NOT_ASKED) & elsewhere, NOT_HERE)).astype({"value": float})


def _of_platform(platform: str, sources: list[Source]) -> Iterator[dict]:
    """The lines of one platform, those that nobody asked for as NOT_ASKED."""
    found = pd.concat([seen for source in sources for seen in _seen(source)] or [pd.DataFrame(columns=SEEN)], ignore_index=True)
    for model, kinds in (BOARD if platform in BOARDS else LAPTOP).items():
        here = found[(found.model == model) & found.weights.isin(kinds)]
        for field in FIELDS:
            of = here[here.field == field]
            protocol = _common(of)
            for weights in kinds:
                own = of[of.weights == weights]
                same = own[own.protocol == protocol] if len(own) else own
                line = dict(platform=platform, model=model, weights=weights, field=field)
                if len(same):
                    yield line | same.iloc[0][["value", "protocol", "study", "profile"]].to_dict()
                else:
                    yield line | dict(why=_why(sources, own, model, weights, field))


def _common(seen: pd.DataFrame) -> str | None:
    """The protocol that most variants of a model were measured by, of equals the one of most tokens or items."""
    if seen.empty:
        return None
    found = seen.groupby("protocol", as_index=False).agg(count=("weights", "nunique"), extent=("extent", "max"))
    return found.sort_values(["count", "extent", "protocol"], ascending=[False, False, True]).protocol.iloc[0]


def _why(sources: list[Source], other: pd.DataFrame, model: str, weights: str, field: str) -> str:
    """Why a cell is empty."""
    if not sources:
        return NO_ROWS
    if len(other):
        return f"{OTHER}: {other.protocol.iloc[0]} ({other.study.iloc[0]})"
    task = {LATENCY: "speed", MEMORY: "speed", POWER: "energy", ACCURACY: "accuracy"}[field]
    for source in sources:
        for skip in source.skips:
            told = skip.condition
            if told.get("task") == task and told.get("model", model) == model and told.get("weights", weights) == weights:
                return skip.reason
    return NOT_ASKED


def _seen(source: Source) -> Iterator[pd.DataFrame]:
    """What a file saw of every variant, by field and protocol; values are medians over processes."""
    frame = _whole(source.frame)
    speed, origin = rows_of(frame, "speed"), dict(study=source.study, profile=source.profile)
    times = speed[speed.metric == "tpot_s"]
    if len(times):
        table = times.groupby(["model", "kind", *LENGTHS], as_index=False)["value"].median()
        yield _as_seen(table, LATENCY, 1e3 * table["value"], table[LENGTHS].sum(axis=1), _lengths(table), origin)
        wide = speed.pivot_table(index=["model", "kind"], columns="metric", values="value", aggfunc="median").reset_index()
        if {"peak_memory_bytes", "base_memory_bytes"} <= set(wide):
            longest = times[LENGTHS].sum(axis=1).groupby([times.model, times.kind]).max()
            most = pd.Series([longest[at] for at in zip(wide.model, wide.kind, strict=True)], index=wide.index)
            yield _as_seen(wide, MEMORY, (wide.peak_memory_bytes - wide.base_memory_bytes) / 1e6, most,
                           [f"up to {int(tokens)} tokens" for tokens in most], origin)
    answers = rows_of(frame, "accuracy", metrics=("correct",))
    if len(answers):
        table = answers.groupby(["model", "kind", "task_name"], as_index=False)["value"].agg(["mean", "size"])
        yield _as_seen(table, ACCURACY, 100 * table["mean"], table["size"],
                       [f"{line.size} of {line.task_name}" for line in table.itertuples()], origin)
    energy = rows_of(frame, "energy", metrics=("energy_j", "window_s"))
    if len(energy := energy[energy.phase == "decode"]):
        by = ["model", "kind", "scope", *LENGTHS]
        wide = energy.pivot_table(index=by, columns="metric", values="value", aggfunc="median").reset_index()
        yield _as_seen(wide, POWER, wide.energy_j / wide.window_s, wide[LENGTHS].sum(axis=1),
                       [f"{scope}, {lengths}" for scope, lengths in zip(wide.scope, _lengths(wide), strict=True)], origin)


def _lengths(table: pd.DataFrame) -> list[str]:
    return [f"{int(prompt)}+{int(output)} tokens" for prompt, output in table[LENGTHS].itertuples(index=False)]


def _as_seen(table: pd.DataFrame, field: str, values: pd.Series, extent: pd.Series, protocols: list[str],
             origin: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(dict(model=table.model, weights=table.kind, field=field, value=values, protocol=protocols,
                             extent=extent, **origin))[SEEN]


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The measured rows of whole models by the runtime that is asked for, with `kind`, how their weights are stored: not those
    of pruned ones, of drafts, or of weights that the reference engine has as floats again."""
    rows = frame[frame.source == "measured"] if len(frame) else frame
    named = ["task", "model", "engine", "weights", "dtype", "method", "pruning", "draft"]
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *named])))
    rows[["weights", "method", "dtype"]] = rows[["weights", "method", "dtype"]].astype(object)  # where no row has one: numbers
    kind = rows.weights.fillna(rows.method.where(rows.method.isin(ENGINE_OF))).fillna(rows["dtype"])
    engine = kind.map(ENGINE_OF).fillna(RUNTIME)
    plain = (rows.pruning.isna() | (rows.pruning == NONE)) & (rows.draft.isna() | (rows.draft == NONE))
    as_floats = kind.isin(ENGINE_OF) & (rows["dtype"] == "float32")  # dequantized, for the reference engine
    return rows.assign(kind=kind)[(rows.engine == engine) & plain & ~as_floats]


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """The matrix for reading: a line a platform and variant with rows, a column a field: its value and protocol, or why not."""
    known = table[table.value.notna()].platform.unique()
    lines = []
    for (platform, model, weights), cells in table[table.platform.isin(known)].groupby(
            ["platform", "model", "weights"], sort=False):
        texts = {line.field: line.why.partition(" (")[0] if pd.isna(line.value) else
                 f"{stats.number(line.value)} {UNITS[line.field]} ({line.protocol}; {line.study}{_profile(line)})"
                 for line in cells.itertuples()}
        lines.append(dict(platform=platform, model=model, weights=weights, **texts))
    return pd.DataFrame(lines, columns=["platform", "model", "weights", *FIELDS])


def _profile(line) -> str:
    return "" if line.profile == committed.REFERENCE else f", {line.profile}"


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """A line a platform: variants that are asked for, those with each field, and with all four of them."""
    filled = table.assign(has=table.value.notna()).pivot_table(index=["platform", "model", "weights"], columns="field",
                                                               values="has", aggfunc="max", sort=False).reindex(columns=FIELDS)
    lines = [dict(platform=platform, variants=len(here), **{name: int(here[name].sum()) for name in FIELDS},
                  all_four=int(here.all(axis=1).sum())) for platform, here in filled.groupby(level="platform", sort=False)]
    return pd.DataFrame(lines, columns=["platform", "variants", *FIELDS, "all_four"])


def label(platform: str) -> str:
    """A platform's name in the document, or its slug."""
    return next((number["label"] for number in published.printed()
                 if number["quantity"] == "baseline_tok_per_s" and number.get("platform") == platform), platform)
