"""The figures of 02_baseline, gathered from the modules that draw them."""

from edgekit.plots.accuracy import accuracy_by_depth
from edgekit.plots.ceilings import baseline_7b, utilisation
from edgekit.plots.latency import shares, tpot_vs_context, ttft_vs_prompt
from edgekit.plots.resources import energy, memory

__all__ = ["accuracy_by_depth", "baseline_7b", "energy", "memory", "shares", "tpot_vs_context", "ttft_vs_prompt",
           "utilisation"]
