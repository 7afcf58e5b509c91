"""The quantities by which claims about the whole pipeline are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import number
from edgekit.studies.pipeline import quantities_matrix, tables, tables_first, tables_shares

FULL = tables.STEPS[frozenset(tables.TECHNIQUES)]


def pipeline_gain(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Speed of the whole pipeline over that of the baseline in its fastest float type, from end to end."""
    return [Observation(estimate_of(line, "speed_up", "times", "speed of the whole pipeline over the fastest baseline"),
                        _where(line), (line.model,), "repeats", _artifact(line.model), _beside(frame, line))
            for _, line in _full(frame, setting).sort_values("speed_up", ascending=False, kind="stable").iterrows()]


def _beside(frame: pd.DataFrame, full: pd.Series) -> str:
    """What else a reader of the gain has to know: the gain over the baseline in 16 bits, and whose it is."""
    table = tables.stage_table(frame)
    stated = table[(table.model == full.model) & (table.stage == tables.STATED)]
    told = [f"{number(full.tok_per_s / line.tok_per_s)} over the baseline in {line.weights}" for line in stated.itertuples()]
    shares = tables_shares.share_table(frame)
    shares = shares[(shares.model == full.model) & (shares.of == tables_shares.SPEED)]
    told += [f"{line.technique} {number(line.times)}" for line in shares.itertuples() if line.technique != tables_shares.ALL]
    return "; ".join(told)


def pipeline_loss(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Right answers that the whole pipeline lost, in % of the baseline's, item by item."""
    table = _full(frame, setting).dropna(subset=["loss"])
    if table.empty:
        raise NotMeasured("answers of the baseline and of the whole pipeline")
    return [Observation(estimate_of(line.drop("n").rename({"items": "n"}), "loss", "%", "accuracy lost by the whole pipeline"),
                        _where(line), (line.model,), "problems", _artifact(line.model))
            for _, line in table.sort_values("loss", kind="stable").iterrows()]


def joint_over_product(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Gain of quantization, pruning and drafting together over the product of what each gains alone, in the fast runtime."""
    table = tables_shares.product_table(frame)
    table = table[table.model.map(kind).isin(setting.models) & (table.runtime == tables_shares.FAST)]
    if table.empty:
        raise NotMeasured("each technique alone and all together in one runtime")
    return [Observation(estimate_of(line, "ratio", "times", "gain of all over the product of single gains"),
                        f"{line.model}, {line.runtime}", (line.model,), "repeats", _artifact(line.model),
                        f"together {number(line.joint)}; quantization {number(line.bits)}, pruning {number(line.pruning)}, "
                        f"drafting {number(line.draft)}") for _, line in table.iterrows()]


def least_stage_gain(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """The least that a stage of quantization, pruning or drafting is faster than the one before it, in the fast runtime."""
    table = tables_shares.step_table(frame)
    table = table[table.model.map(kind).isin(setting.models) & table.stage.isin(tables_shares.PAPERS_STEPS)]
    found = [steps for _, steps in table.groupby("model", sort=False) if len(steps) == len(tables_shares.PAPERS_STEPS)]
    if not found:
        raise NotMeasured("every stage of the pipeline")
    seen = []
    for steps in found:
        line = steps.loc[steps.gain.idxmin()]
        others = "; ".join(f"{one.stage} {number(one.gain)}" for one in steps.drop(line.name).itertuples())
        seen.append(Observation(estimate_of(line, "gain", "times", "gain of the stage that gains least"),
                                f"{line.model}, {line.stage}", (line.model,), "repeats", _artifact(line.model), others))
    return sorted(seen, key=lambda one: -one.estimate.value)


def pipeline_first_token_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Time to the first token of the slowest model, in the quantized stage or with all steps, behind a prompt of the setting's
    length or the measured one that is nearest to it."""
    table = _inside(tables_first.first_token_table(frame), setting)
    if table.empty:
        raise NotMeasured("times to first token")
    if setting.prompt_tokens:
        distance = (table.prompt_tokens - setting.prompt_tokens).abs()
        table = table[distance == distance.min()]
    line = table.loc[table.ttft_s.idxmax()]
    others = "; ".join(f"{one.model} {number(one.ttft_s)} s" for one in table.drop(line.name).itertuples())
    return [Observation(estimate_of(line, "ttft_s", "s", "time to first token"), f"{line.model}, {line.stage}, "
                        f"{int(line.prompt_tokens)} tokens in", (line.model,), "repeats", _artifact(line.model), others)]


def pipeline_baseline_tok_per_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Tokens/s of the baseline in 16 bits, from end to end, the largest model first."""
    return _speeds(frame, setting, tables.STATED, "speed of the baseline in 16 bits")


def pipeline_tok_per_s(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Tokens/s of the whole pipeline, from end to end, the largest model first."""
    return _speeds(frame, setting, FULL, "speed of the whole pipeline")


def pipeline_retained(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Right answers that the whole pipeline keeps, in % of the baseline's."""
    seen = []
    for one in pipeline_loss(frame, setting, accepted):
        loss = one.estimate
        kept = stats.Estimate(100 - loss.value, *(None if end is None else 100 - end for end in (loss.high, loss.low)), loss.n,
                              "%", "accuracy kept by the whole pipeline")
        seen.append(Observation(kept, one.where, one.models, one.samples, one.artifact, one.note))
    return seen


def _speeds(frame: pd.DataFrame, setting: Setting, stage: str, what: str) -> list[Observation]:
    table = _inside(tables.stage_table(frame), setting)
    table = table[table.stage == stage].sort_values("parameters", ascending=False, kind="stable")
    if table.empty:
        raise NotMeasured(what)
    return [Observation(estimate_of(line, "tok_per_s", "tokens/s", what), _where(line), (line.model,), "repeats",
                        _artifact(line.model)) for _, line in table.iterrows()]


def _full(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The whole pipeline of each model inside the setting. Raises NotMeasured."""
    table = _inside(tables.stage_table(frame), setting)
    table = table[(table.stage == FULL) & table.speed_up.notna()]
    if table.empty:
        raise NotMeasured("the baseline and the whole pipeline")
    return table


def _inside(table: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    table = table[table.model.map(kind).isin(setting.models)]
    return table[table.parameters.between(*setting.parameters)] if setting.parameters else table


def _where(line: pd.Series) -> str:
    drafted = f", {line.draft} drafts {int(line.length)} tokens" if line.draft != tables.NONE else ""
    return f"{line.model}, {line.stage}: {line.engine} {line.weights}{drafted}"


def _artifact(model: str) -> str:
    return f"the pipeline of {model}"


QUANTITIES = {
    "pipeline_gain": Quantity(pipeline_gain, "time"),
    "pipeline_loss": Quantity(pipeline_loss, "quality", -float("inf"), 100.0),
    "joint_over_product": Quantity(joint_over_product, "time"),
    "least_stage_gain": Quantity(least_stage_gain, "time"),
    "pipeline_first_token_s": Quantity(pipeline_first_token_s, "time"),
    "pipeline_baseline_tok_per_s": Quantity(pipeline_baseline_tok_per_s, "time"),
    "pipeline_tok_per_s": Quantity(pipeline_tok_per_s, "time"),
    "pipeline_retained": Quantity(pipeline_retained, "quality"),
    **quantities_matrix.QUANTITIES,
}
