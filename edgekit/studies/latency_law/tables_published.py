"""What others published, in the form of this study's figures: speeds by bandwidth, powers and energies by length."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats, trace_audit
from edgekit.analyze.observed import kind
from edgekit.analyze.once import once
from edgekit.analyze.roofline import UNIT, energy_table, utilisation_table
from edgekit.catalog import published, traces


@once
def speeds_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of the bandwidth that decode speeds need, a line each: of the nominal one for published speeds (`flagged` above
    1, which no program can reach), of the one measured beside them for ours (the fastest cell of each model, at its longest
    output).
    """
    columns = ["label", "model", "format", "kind", "tok_per_s", *stats.with_ends("share"), "flagged", "source", "told"]
    theirs = published.speeds()
    need = theirs.step_bytes / theirs.nominal
    theirs = theirs.assign(share=theirs.tok_per_s * need, share_low=theirs.low * need, share_high=theirs.high * need)
    theirs = theirs.assign(flagged=theirs.share > 1)
    ours = utilisation_table(frame)
    ours = ours[(ours.model.map(kind) != "pocket") & ours.bandwidth_utilisation.notna()]
    ours = ours.sort_values(["output_tokens", "prompt_tokens"], kind="stable").groupby(UNIT, sort=False).tail(1)
    ours = ours.sort_values("decode_tok_per_s", kind="stable").groupby(["model", "dtype"], sort=False).tail(1)
    ours = ours.rename(columns={"decode_tok_per_s": "tok_per_s", "dtype": "format"} | {
        f"bandwidth_utilisation{end}": f"share{end}" for end in ("", "_low", "_high")})
    ours = ours.assign(label=ours.engine + ", here", kind="measured", flagged=False, told="")
    parts = [part[columns] for part in (theirs, ours) if len(part)]
    return pd.concat(parts, ignore_index=True)


@once
def energy_lengths_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean power and energy a token against the tokens of a phase: ours where a sensor was read (gross, by unit and sensor),
    and the released ones of EdgeReasoning, whose log begins with idle samples."""
    columns = ["phase", "model", "engine", "dtype", "tokens", *stats.with_ends("joule_per_token"), "power_w", "scope", "origin",
               "source"]
    ours = energy_table(frame)
    tokens = ours.prompt_tokens.where(ours.phase == "prefill", ours.output_tokens) if len(ours) else []
    prefill, decode = traces.prefill(), traces.decode()
    theirs = [prefill.assign(phase="prefill", tokens=prefill.prompt_tokens,
                             joule_per_token=prefill.energy_j / prefill.prompt_tokens),
              decode.assign(phase="decode", tokens=decode.output_tokens, joule_per_token=decode.energy_j / decode.output_tokens,
                            power_w=decode.energy_j / (decode.seconds + trace_audit.SAMPLE_S))]
    theirs = [part.assign(engine="vLLM", dtype="float16", scope="GPU rail", origin="1 Hz log", source="published")
              for part in theirs]
    parts = [*theirs, *([ours.assign(tokens=tokens)] if len(ours) else [])]
    return pd.concat([part.reindex(columns=columns) for part in parts], ignore_index=True)
