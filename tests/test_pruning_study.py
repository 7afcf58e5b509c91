"""What the pruning study plans, which parameters it refuses, and what its jobs see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tiny

from edgekit import engines, params, studies
from edgekit.building import BuildError
from edgekit.catalog import models
from edgekit.catalog.engines import Runtime
from edgekit.compress import pruning_spec as cuts
from edgekit.compress import variant
from edgekit.engines.base import EngineError
from edgekit.measure import batches
from edgekit.params import ParamsError
from edgekit.studies.pruning import jobs as pruned
from edgekit.studies.pruning import plan as study
from edgekit.studies.pruning import plan_grid, tables

GRID = dict(models=["pocket-3m"], multiple=32, scores=["taylor", "magnitude", "random"], samples=8, calibration_seeds=[0, 1],
            random_seeds=[0, 1, 2], ablated_models=[], ablated_scores=["taylor"], ablated_rounds=[2], sweep_models=[],
            sweep_heads=[0.0, 0.2], sweep_mlp=[0.0, 0.15], ranking_models=[], counted_models=[], speed_models=[],
            speed_cells=["transformers/bfloat16", "llama_cpp/float16"], batch_cells=[], batches=[])
VALUES = params.read_yaml(params.path_of("ci", study.STUDY)) | GRID

OWN = dict(stream="data/evaluation/mixture.jsonl", calibration="random", tasks=[])  # a name that does not say its language


def config(**changed):
    return params.validate(study.Config, VALUES | changed, where="test")


def planned(task=None, **changed):
    return [unit for unit in study.plan(config(**changed)) if task in (None, unit.condition["task"])]


def test_every_score_meets_each_of_its_seeds_once_beside_the_whole_model():
    units = planned("loss")
    assert [unit.condition["score"] for unit in units] == ["none"] + ["taylor"] * 2 + ["magnitude"] + ["random"] * 3
    assert len({(unit.artifact, str(unit.condition)) for unit in units}) == len(units)
    assert len({unit.task for unit in units}) == 1
    assert units[0].arguments["chain"] == "pocket-3m" and units[0].artifact != units[1].artifact
    for unit in units[1:]:
        [step] = variant.parse(unit.arguments["chain"]).steps
        given = dict(step.arguments)
        assert (given["heads"], given["mlp"], given["multiple"]) == (0.2, 0.15, 32)
        assert ("calibration" in given) == (given["score"] == "taylor"), "only scores of running models look at texts"


def test_ablations_change_one_thing_and_the_sweep_repeats_nothing():
    plain = {str(unit.condition) for unit in planned("loss")}
    more = [unit for unit in planned("loss", ablated_models=["pocket-3m"]) if str(unit.condition) not in plain]
    main = plan_grid.point(config(), "taylor", 0).condition()
    assert len(more) == 2 * 2
    for unit in more:
        differs = [name for name, value in main.items() if unit.condition[name] != value]
        assert [name for name in differs if name != "calibration_seed"] in (["rounds"], ["allocation"])
        together = unit.condition["allocation"] == "global"
        assert ("form=masked" in unit.arguments["chain"]) == together, "only a masked model can lose unlike numbers by layer"
    swept = [unit for unit in planned("loss", sweep_models=["pocket-3m"]) if str(unit.condition) not in plain]
    assert {(unit.condition["heads"], unit.condition["mlp"]) for unit in swept} == {(0.0, 0.15), (0.2, 0.0)}


def test_shares_that_no_checkpoint_carries_are_skips_that_say_which_do():
    units = planned("loss", models=["pocket-200k"], multiple=64, scores=["random"], random_seeds=[0])
    [refused] = [unit for unit in units if unit.refusal]
    assert refused.planned and refused.refusal.startswith("pocket-200k: pruned: heads=0.2 of 4")


def test_whole_and_pruned_are_timed_in_every_cell_and_repeat_in_processes_of_their_own():
    units = planned("speed", speed_models=["shape:smollm2-135m"], repeats=2)
    assert len(units) == 2 * 2 * 2 and not any(unit.shared for unit in units)
    cells = {(unit.repeat, unit.condition["engine"], unit.condition["heads"]): unit for unit in units}
    whole, cut = cells[1, "llama_cpp", 0], cells[1, "llama_cpp", 0.2]
    assert whole.arguments["variant"] == "shape:smollm2-135m > gguf(dtype=float16)" and whole.task == cut.task
    assert "score=random" in cut.arguments["variant"] and cut.arguments["variant"].endswith(" > gguf(dtype=float16)")
    together = planned("batches", speed_models=["shape:smollm2-135m"], batch_cells=["transformers/bfloat16"], batches=[4])
    assert len(together) == 2 and together[0].arguments["batches"] == [4]
    assert len(planned("shape", speed_models=["shape:smollm2-135m"], counted_models=["shape:llama-2-7b"])) == 2 * 3


def test_a_runtime_that_is_not_installed_is_a_skip_and_a_model_that_cannot_be_had_a_failure(monkeypatch):
    absent = dataclasses.replace(engines.ENGINES["llama_cpp"], runtime=Runtime(("no-such-package",)))
    monkeypatch.setitem(engines.ENGINES, "llama_cpp", absent)
    units = planned("speed", speed_models=["shape:smollm2-135m"])
    assert {unit.condition["engine"] for unit in units if unit.refusal} == {"llama_cpp"}

    def absent(name, resolve=models.resolve):
        if models.is_hub_id(name):
            raise models.ModelError(f"{name}: not here")
        return resolve(name)

    monkeypatch.setattr(models, "resolve", absent)
    units = planned(models=["pocket-3m", "owner/name"], **OWN)
    assert [(unit.refusal, unit.planned) for unit in units if unit.refusal] == [("owner/name: not here", False)]


def test_the_tables_know_the_scores_of_the_study():
    assert set(tables.SCORES) == set(study.saliency.METHODS) and study.STUDY in studies.STUDIES
    assert set(cuts.PruningSpec("taylor", 0.1, 0.1).condition()) <= set(tables.WAY)


@pytest.mark.parametrize("changed, complaint", [
    ({"scores": ["wanda"]}, "scores: unknown 'wanda'; known: taylor, gate, activation, magnitude, random"),
    ({"ablated_scores": ["random"]}, "ablated_scores: unknown 'random'; known: taylor"),
    ({"ranking_models": ["pocket-10m"]}, "ranking_models: unknown 'pocket-10m'; known: pocket-3m"),
    ({"heads": 1.0}, "expected heads to be a share in .0, 1., got 1.0"),
    ({"sweep_mlp": [0.0, -0.1]}, "expected mlp to be a share"),
    ({"heads": 0.0, "mlp": 0.0}, "heads, mlp: expected at least one above 0"),
    ({"random_seeds": []}, "random_seeds: expected at least one"),
    ({"ablated_rounds": [1]}, "ablated_rounds: expected more than 1"),
    ({"batches": [1], "batch_cells": ["transformers/bfloat16"]}, "batches: expected more than 1"),
    ({"batches": [4]}, "batch_cells, batches: expected both"),
    ({"batches": [4], "batch_cells": ["vllm/bfloat16"]}, "batch_cells: unknown 'vllm/bfloat16'; known: transformers/bfloat16"),
    ({"speed_cells": ["llama_cpp/Q4_0"]}, "cell 'llama_cpp/Q4_0': .*weights one of float32, bfloat16, float16$"),
    ({"calibration": "poems"}, "unknown calibration set 'poems'"),
    ({"models": ["shape:smollm2-135m"]}, "random weights"),
    ({"blocks": 1}, "blocks: expected 2 to texts"),
])
def test_parameters_that_cannot_be_are_refused_in_words(changed, complaint):
    with pytest.raises(ParamsError, match=complaint):
        config(**changed)


def test_rank_correlations_are_one_for_the_same_order_and_minus_one_for_its_reverse():
    ranks = np.array([[1.0, 2.0, 3.0, 9.0], [4.0, 3.0, 2.0, 1.0]])
    assert pruned.rank_correlations(ranks, ranks**3) == pytest.approx([1, 1])
    assert pruned.rank_correlations(ranks, -ranks) == pytest.approx([-1, -1])
    swapped = pruned.rank_correlations([[1.0, 2.0, 3.0, 4.0]], [[2.0, 1.0, 3.0, 4.0]])
    assert swapped == pytest.approx([1 - 6 * 2 / (4 * 15)]), "Spearman's formula without ties"
    with pytest.raises(BuildError, match="layer 1: all 4 units have the same score"):
        pruned.rank_correlations(ranks, [[1.0, 2.0, 3.0, 4.0], [0.0] * 4])


def test_a_ranking_is_compared_with_one_by_other_sequences():
    seen = pruned.measure_ranking(model="pocket-200k", scores=["gate"], samples=[1, 8], most=8, calibration="mixture",
                                  length=32, seed=0, threads=1, device="cpu")["observations"]
    assert len(seen) == 2 * 2 * 3 and {one["unit"] for one in seen} == {"heads", "neurons"}
    neurons = {n: np.mean([one["value"] for one in seen if one["unit"] == "neurons" and one["samples"] == n]) for n in (1, 8)}
    assert 0 < neurons[1] < neurons[8] < 0.999, "eight others of the same kind agree better than one, and not wholly"


def test_sizes_are_those_of_the_pruned_architecture():
    seen = {one["part"]: one["value"] for one in pruned.measure_shape(
        model="shape:qwen2.5-0.5b", heads=0.2, mlp=0.15, multiple=32)["observations"]}
    assert (seen["heads"], seen["kv_heads"], seen["mlp_width"], seen["layers"], seen["tied"]) == (12, 2, 4128, 24, 1)


def test_several_prompts_at_once_are_timed_to_the_last_token_or_refused(tmp_path):
    artifact = tiny.write(tmp_path / "tiny")
    seen = batches.measure_batches(variant=str(artifact.path), engine="transformers", dtype="float32", threads=1, device="cpu",
                                   batches=[2, 3], prompt_tokens=[8], output_tokens=4, seed=0)["observations"]
    assert [(one["metric"], one["batch"]) for one in seen] == [("ttft_s", 2), ("tpot_s", 2), ("ttft_s", 3), ("tpot_s", 3)]
    assert all(one["value"] > 0 for one in seen if one["metric"] == "ttft_s")

    class Short:
        info = type("Info", (), {"name": "short"})

        def generate(self, prompts, tokens, stop):
            return [[1] * (tokens - 1) for _ in prompts]

        def sync(self):
            pass

    with pytest.raises(EngineError, match="short: expected 4 tokens for each prompt, got 3"):
        batches.generate_s(Short(), [[1, 2]], 4)
    with pytest.raises(EngineError, match="llama_cpp answers one prompt after another"):
        batches.measure_batches(variant=f"{artifact.path} > gguf(dtype=float16)", engine="llama_cpp", dtype="float16",
                                threads=1, device="cpu", batches=[2], prompt_tokens=[8], output_tokens=4, seed=0)
