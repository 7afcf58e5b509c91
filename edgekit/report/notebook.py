"""The cells that are the same in every notebook, one call each: check, run or open, figure, skips, verdicts, provenance."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from numbers import Number
from typing import TYPE_CHECKING

from edgekit import params, provenance, store, studies
from edgekit.console import fields
from edgekit.studies.config import MEASURE, parameters

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from pandas.io.formats.style import Styler

    from edgekit.plots.figure import Missing
    from edgekit.plots.style import Picture


class Experiment:
    """One notebook's study with the values of its parameters cell.

    config: the checked parameters. frame: after `run`, the rows as a table (see store.to_frame), or the tables of a study that
    measures nothing.
    """

    def __init__(self, notebook: str, names: Mapping):
        """`names` are the notebook's own, `globals()`, which hold each parameter. Raises ParamsError."""
        self.notebook, self.study = notebook, studies.module(notebook)
        missing = [name for name in parameters(self.study.Config) if name not in names]
        params.require(not missing, f"{notebook}, parameters cell: missing {', '.join(missing)}")
        values = {name: names[name] for name in parameters(self.study.Config)}
        self.config = params.validate(self.study.Config, values, where=f"{notebook}, parameters cell")
        self.folder = store.runs_folder(self.config.profile) / "figures" / notebook

    def run(self) -> Markdown:
        """Measure what is missing, or open the rows that the parameter `rows` names, and say how many there are.

        Raises what the study's `run` does, and StoreError for rows that are not there.
        """
        from edgekit.analyze import doubts, origin

        if not studies.measures(self.notebook):
            self.frame, self.skipped, self.path, self.platform = self.study.tables(self.config), [], None, ""
            return _markdown(f"{len(self.frame)} lines of {self.frame.task.nunique()} tables, computed from printed numbers.")
        if self.config.rows == MEASURE:
            result = self.study.run(self.config)
            self.path, self.platform, self.skipped = result.path, result.platform, result.skips
            frame = store.to_frame(result.rows)
            told = f"{result.measured} units measured now, {result.reused} taken from earlier runs"
        else:
            self.path = store.find(self.config.rows, self.notebook)
            self.platform = provenance.platform_of(self.path)
            frame, self.skipped = store.read_frame(self.path)
            told = f"Nothing was measured here: opened from `{self.config.rows}`"
        self.frame = provenance.with_machine(frame, self.path)
        lines = [f"{told}, {len(self.skipped)} skipped; {len(frame):,} rows on platform `{self.platform}`.", origin.told(frame),
                 doubts.told(frame)]
        return _markdown("\n\n".join(filter(None, lines)))

    def figure(self, name: str) -> Picture | Missing:
        """One of the study's figures, stored beside the rows as SVG and CSV. Raises PlotError for an unknown name."""
        from edgekit.plots.figure import named

        return named(studies.module(self.notebook, "figures").FIGURES, name).show(self.frame, self.folder, self._claims)

    def skips(self) -> Markdown:
        """What has no rows, and why, and what the jobs warned of."""
        lines = [f"- {fields(skip.condition)}: {skip.reason}{'' if skip.expected else ' **(failed)**'}"
                 for skip in self.skipped]
        warned = dict.fromkeys(f"- warning: {told}" for facts in self._manifests() for told in facts.get("warnings", []))
        return _markdown("\n".join([*lines, *warned]) or "Nothing was skipped.")

    def verdicts(self) -> Markdown:
        """The study's claims judged on these rows; of a study that measures nothing, every audit under its assumptions."""
        from edgekit.claims import text

        return _markdown(text.markdown_table(self._claims))

    @functools.cached_property
    def _claims(self) -> list[dict]:
        from edgekit.claims import comparable, judgement, text

        if studies.measures(self.notebook):
            refused = comparable.refusal(self.frame, provenance.read_manifests(self.path), self.notebook)
            return text.cells(judgement.judge(judgement.load(self.notebook), self.frame, self.platform, refused))
        return text.cells(judgement.audited(judgement.load(), self.config.assumed))

    def provenance(self) -> Markdown:
        """Where the numbers come from: the runs that wrote the rows, or the files that were computed from."""
        if self.path is None:
            files = [store.ROOT / "data/published" / f"{name}.yaml" for name in ("claims", "platforms", "architectures")]
            commit, dirty = provenance.git_state()
            return _markdown("\n".join([f"- commit `{commit[:12]}`{' with local changes' if dirty else ''}, edgekit "
                                        f"{provenance.installed('edgekit')}",
                                        *(f"- `data/published/{path.name}`, SHA-256 `{store.hash_files([path])[:12]}`"
                                          for path in files)]))
        return _markdown("\n".join(map(_told, self._manifests())))

    def _manifests(self) -> list[dict]:
        return [] if self.path is None else list(provenance.read_manifests(self.path).values())


def shown(table: pd.DataFrame, columns: Mapping[str, str], empty: str = "No rows for this table in this run.",
          factors: Mapping[str, float] | None = None, missing: str = "") -> Styler | Markdown:
    """Some columns of a table under other headings, for a notebook; `empty` where it has no lines.

    columns: {column: heading}, in order. A column `x` whose 95 % interval stands in `x_low` and `x_high` shows both in one
    cell, in as many digits as the interval has to say, or says that it is too noisy (see stats.told); other fractions have
    four significant digits. factors: {column: what it is multiplied by}, as 1e3 for seconds in milliseconds.
    """
    from pandas.api.types import is_numeric_dtype

    if not len(table):
        return _markdown(empty)
    texts = type(table)({heading: _cells(table, column, (factors or {}).get(column, 1.0), missing)
                         for column, heading in columns.items()})
    numbers = [heading for column, heading in columns.items() if is_numeric_dtype(table[column])]
    classes = type(table)("number", index=texts.index, columns=numbers)
    return texts.style.format(escape="html").hide(axis="index").set_td_classes(classes)


def _cells(table: pd.DataFrame, column: str, factor: float, missing: str) -> list[str]:
    """The texts of a column, each with its interval where the table has one."""
    import math

    from edgekit.analyze import stats

    def text(value, low, high, n) -> str:
        if not isinstance(value, Number) or isinstance(value, bool):
            return missing if value is None else str(value)
        if math.isnan(value):
            return missing
        noisy = "too noisy" if n <= stats.FEW and stats.is_noisy(low, high) else ""
        ends = () if low is None else (factor * low, factor * high)  # one process has no interval
        return stats.told(factor * value, *ends, too_noisy=noisy, digits=4)

    nothing = [math.nan] * len(table)
    lows, highs = (table.get(f"{column}_{end}", nothing) for end in ("low", "high"))
    return [text(*line) for line in zip(table[column], lows, highs, table.get("n", nothing), strict=True)]


def _told(run: Mapping) -> str:
    """The manifest of a run in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in run["packages"].items() if version != "not installed")
    return (f"- run `{run['run']}`: commit `{run['git_commit'][:12]}`{' with local changes' if run['git_dirty'] else ''}, "
            f"{run['started']}, {run['duration_s']:.0f} s, {run['completed']} units, {len(run['inputs'])} artifacts, "
            f"seed {run['seed']}, {versions}")


def _markdown(text: str) -> Markdown:
    from IPython.display import Markdown

    from edgekit.report.plain import without_tags

    return Markdown(without_tags(text))
