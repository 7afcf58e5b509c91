"""Whether two rows of one condition were measured by one protocol; where not, by what the protocols differ, in words.

A row's condition holds what a study varies. The rest of its protocol is in the manifest of its run: the study's version, the
parameters, and the hashes of the models. A parameter of which this file does not know that it may differ refuses every row of
the study: an unknown difference is no small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgekit.analyze.observed import base

# Parameters that say which rows there are, how many samples each has, or how a run goes on; not what one row's number means.
NEUTRAL = frozenset((
    "profile", "rows", "seed", "device", "threads", "timeout_s", "memory_share", "repeats", "warmups", "rounds",
    # which conditions
    "heads", "mlp", "model", "edge_model", "cloud_model", "main_group", "sweep_score", "prompt_tokens", "output_tokens",
    "prompt_form", "workload_prompt_tokens", "workload_output_tokens", "cell", "recorded_pair", "lookup", "adaptive",
    # how many samples
    "items_per_depth", "prompts", "stories", "rounded_items", "rounded_stories", "pools", "timed_items", "timed_prompts",
    "batch_prompts", "replayed_items", "network_draws", "decisions", "ranking_most", "soak_items_per_depth",
    # where a cloud is
    "cloud_url", "cloud_key"))
# Parameters that decide some rows only -> the coordinate by which those are known.
OF_ROWS = {
    "stream": "block", "texts": "block", "blocks": "block",  # the protocol of a perplexity
    "calibration": "calibration_seed", "samples": "calibration_seed", "length": "calibration_seed", "multiple": "heads",
    **dict.fromkeys(("learning_rate", "fresh_learning_rate", "steps", "tokens", "mix", "training_texts", "teacher",
                     "chain_learning"), "learning")}
MODELS = ("model", "draft", "cloud", "teacher")  # coordinates that name one


def differences(condition: Mapping, a: Mapping, b: Mapping) -> Iterator[str]:
    """In words, each thing of the protocol by which a row of this condition from a run with the manifest `a` differs from one
    of the run `b`; nothing where there is none."""
    versions = [run.get("version") for run in (a, b)]
    if None not in versions and versions[0] != versions[1]:
        yield f"version of the study: {versions[0]} in A, {versions[1]} in B"
    for name in dict.fromkeys((*a["params"], *b["params"])):
        ours, theirs = (run["params"].get(name, "not a parameter") for run in (a, b))
        if ours != theirs and _decides(name, (ours, theirs), condition):
            yield f"{name}: {ours} in A, {theirs} in B"
    for name in dict.fromkeys(base(str(condition[one])) for one in MODELS if one in condition):
        hashes = [run["inputs"].get(name) for run in (a, b)]
        if None not in hashes and hashes[0] != hashes[1]:
            yield f"content of {name}: {hashes[0]} in A, {hashes[1]} in B"


def _decides(name: str, values: tuple, condition: Mapping) -> bool:
    if name in OF_ROWS and OF_ROWS[name] in condition:
        return name not in condition  # where a row says it, rows that join have the same
    if name in OF_ROWS or name in NEUTRAL or name in condition:
        return False
    return not any(isinstance(value, (list, tuple)) for value in values)  # a list says which conditions there are
