"""Tables of what the documents printed beside what follows from it, for the figures and tables of 00_published_claims.

Each has a column `task`, its name, so that all of them fit into one frame; `source` says printed ("published") or computed
("modelled").
"""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import audit, stats
from edgekit.analyze.speculation import Costs, expected_speedup
from edgekit.catalog import models, platforms, published
from edgekit.studies.published_claims.printed import (
    Assumptions,
    Numbers,
    bandwidth_share,
    baseline_bytes,
    bits_allowed,
    ceilings,
    draft_cost_in_16_bits,
    efficiencies,
    ends,
    printed_numbers,
)

STAGES = ("baseline", "quantized", "optimized")
PRINTED = ("baseline", "optimized")  # those of which a rate was printed


def ceiling_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """A line a platform and stage: the printed tokens/s (none for `quantized`), the bandwidth ceiling, and the former over the
    latter (`share`, its ends over rounding and over what counts as read)."""
    lines = []
    for platform in printed.by("baseline_tok_per_s"):
        facts = platforms.get(platform)
        allowed = ceilings(printed, assumed, platform)
        for stage in STAGES:
            rate = printed.by(f"{stage}_tok_per_s")[platform].value if stage in PRINTED else None
            share = bandwidth_share(printed, assumed, platform, stage) if stage in PRINTED else None
            lines.append({
                "task": "ceilings", "platform": platform, "label": printed.name(platform), "stage": stage,
                "printed_tok_per_s": rate, "ceiling_tok_per_s": allowed[stage],
                **dict(zip(stats.with_ends("share"), ends(share) if share else [None] * 3, strict=True)),
                "bits_allowed": bits_allowed(printed, assumed, platform) if stage == "baseline" else None,
                "usable_share": assumed.usable_share, "memory_bandwidth_byte_per_s": facts.memory_bandwidth_byte_per_s,
                "bandwidth_source": facts.where("memory bandwidth")})
    return pd.DataFrame(lines)


def speedup_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """How many times as fast the optimized model is by each row of the results table, with the ends over rounding, and the
    printed tokens/s."""
    before, after = (printed.by(f"{stage}_tok_per_s") for stage in PRINTED)
    lines = []
    for platform in before:
        times = after[platform] / before[platform]
        lines.append({
            "task": "speedups", "platform": platform, "label": printed.name(platform), "source": "published",
            "baseline_tok_per_s": before[platform].value, "optimized_tok_per_s": after[platform].value,
            **stats.ends_of("speedup", stats.Estimate(times.value, times.low, times.high, 1)),
            "stated": printed.one("pipeline_speedup").value})
    return pd.DataFrame(lines)


def pruning_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """Share (%) that goes with the printed heads and MLP dimensions: an architecture a line, then what is said to go."""
    heads, mlp = (printed.one(name).value / 100 for name in ("heads_removed", "mlp_removed"))
    lines = [{
        "task": "pruning", "label": name, "source": "modelled",
        "attention_share": audit.attention_weights(a) / (audit.attention_weights(a) + audit.mlp_weights(a)),
        "multiplications_removed": 100 * audit.pruned_share(a, heads, mlp),
        "weights_removed": 100 * audit.pruned_share(a, heads, mlp, "weights")}
        for name, a in models.architectures().items()]
    return pd.DataFrame([*lines, {"task": "pruning", "label": "stated", "source": "published",
                                  "multiplications_removed": printed.one("compute_removed").value}]
                        ).assign(reference=assumed.model, heads_removed=100 * heads, mlp_removed=100 * mlp)


def speculation_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """Expected gain by drafted tokens, with the ends over rounding, for a draft in the target's bits and one in 16."""
    share = printed.one("acceptance")
    alpha = audit.Span(share.value / 100, share.low / 100, share.high / 100)
    same = printed.one("draft_billions") / printed.one("target_billions")
    costs = {"draft in the target's bits": same,
             "draft in 16 bits, target in 4 and pruned": audit.exact(draft_cost_in_16_bits(printed, assumed))}
    stated = printed.one("speculative_speedup").value
    return pd.DataFrame([{
        "task": "speculation", "label": label, "source": "modelled", "draft_tokens": drafted, "acceptance": alpha.value,
        "cost_ratio": cost.value, "stated": stated,
        "speedup": expected_speedup(alpha.value, drafted, Costs(cost.value)),
        "speedup_low": expected_speedup(alpha.low, drafted, Costs(cost.high)),
        "speedup_high": expected_speedup(alpha.high, drafted, Costs(cost.low))}
        for label, cost in costs.items() for drafted in range(1, assumed.longest_draft + 1)])


def efficiency_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """Printed tokens/s over printed watts, with the ends over rounding: a line a platform and stage."""
    audits = [entry["audit"] for entry in published.entries() if "audit" in entry]
    said_best = {audit["platform"] for audit in audits
                 if any(check["quantity"] == "efficiency_over_best_other" for check in audit["checks"])}
    return pd.DataFrame([{
        "task": "efficiency", "platform": platform, "label": printed.name(platform), "stage": stage, "source": "published",
        "power_w": printed.by("power_w")[platform].value, "tok_per_joule": span.value, "tok_per_joule_low": span.low,
        "tok_per_joule_high": span.high, "said_best": platform in said_best}
        for stage in ("baseline", "optimized")
        for platform, span in efficiencies(printed, f"{stage}_tok_per_s").items()])


def memory_table(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """Per cent of the 16-bit bytes that quantization saves, an architecture a line, from the smallest."""
    chosen = (assumed.quantized_bits, assumed.group_size, assumed.baseline_bits)
    return pd.DataFrame([{
        "task": "memory_saved", "label": name, "source": "modelled", "parameters": a.parameters,
        "embedding_share": a.embeddings * (1 if a.tied else 2) / a.parameters,
        "baseline_gb": baseline_bytes(a, assumed.baseline_bits).value / 1e9,
        "quantized_gb": audit.quantized_bytes(a, *chosen) / 1e9, "saved": 100 * audit.memory_saved(a, *chosen),
        "stated": printed.one("memory_saved").value}
        for name, a in models.architectures().items()]).sort_values("parameters", ignore_index=True)


def share_needed(printed: Numbers, assumed: Assumptions) -> pd.DataFrame:
    """Share of the nominal bandwidth that each printed baseline needs, with that bandwidth's source: a line a platform, and one
    for the larger module that shares the name of the smaller one."""
    a_step = baseline_bytes(assumed.architecture, assumed.baseline_bits).value
    rates = printed.by("baseline_tok_per_s")
    lines = []
    for name, row in [*((name, name) for name in rates), ("jetson-agx-orin-64gb", "jetson-orin-nx")]:
        board, rate = platforms.get(name), rates[row].value
        lines.append({"label": board.name, "bandwidth": board.memory_bandwidth_byte_per_s / 1e9,
                      "bandwidth_source": board.where("memory bandwidth"), "tok_per_s": rate,
                      "share": rate * a_step / board.memory_bandwidth_byte_per_s})
    return pd.DataFrame(lines)


TABLES = {"ceilings": ceiling_table, "speedups": speedup_table, "pruning": pruning_table, "speculation": speculation_table,
          "efficiency": efficiency_table, "memory_saved": memory_table}


def frame(assumed: Assumptions | None = None) -> pd.DataFrame:
    """All tables in one frame, told apart by `task`."""
    printed = printed_numbers()
    return pd.concat([table(printed, assumed or Assumptions()) for table in TABLES.values()], ignore_index=True)


def part(all_tables: pd.DataFrame, task: str) -> pd.DataFrame:
    """One of the tables of `frame`, with its own columns only."""
    lines = all_tables[all_tables.task == task].reset_index(drop=True)
    lines = lines.dropna(axis="columns", how="all").drop(columns="task")
    return lines.astype({"draft_tokens": int}) if "draft_tokens" in lines else lines
