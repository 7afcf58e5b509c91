"""What a parameter may be is said once, at its field, and holds for every study."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from edgekit import cli, params, store, studies
from edgekit.catalog import languages
from edgekit.compress import variant as variants
from edgekit.errors import InvalidRequest
from edgekit.params import ParamsError
from edgekit.studies.cells import Cell
from edgekit.studies.config import Parameter, StudyConfig, cell_with, parameter, parameters, require_language

MEASURED = [name for name in studies.STUDIES if studies.measures(name)]


def three(item):
    if item != 3:
        raise InvalidRequest(f"{item} is not three")


@dataclasses.dataclass(frozen=True, slots=True)
class Config(StudyConfig):
    share: float = parameter("a share", above=0, most=1)
    counts: tuple[int, ...] = parameter("counts", least=2, needed=1)
    names: tuple[str, ...] = parameter("names", known={"a": 1, "b": 2})
    some: tuple[str, ...] = parameter("some names", some_of="names others")
    others: tuple[str, ...] = parameter("other names")
    third: int = parameter("three", each=three)

    def check(self):
        if "c" in self.others:
            raise InvalidRequest("others: c is none")


GOOD = dict(profile="x", share=0.5, counts=(2, 3), names=("a",), some=("a", "z"), others=("z",), third=3)


@pytest.mark.parametrize("changed, says", [
    (dict(profile="a/b"), "^profile: expected a plain folder name"),
    (dict(share=0.0), "^share: expected more than 0 and at most 1, got 0.0$"),
    (dict(share=1.5), "^share: expected more than 0"),
    (dict(counts=(3, 1)), r"^counts: expected at least 2 each, got \[3, 1\]$"),
    (dict(counts=()), r"^counts: expected a list of at least 1, got \[\]$"),
    (dict(counts=(3, 3)), r"^counts: expected each item once, got \[3, 3\]$"),
    (dict(names=("c",)), "^names: unknown 'c'; known: a, b$"),
    (dict(some=("b",)), "^some: unknown 'b'; known: a, z$"),
    (dict(third=4), "^third: 4 is not three$"),
    (dict(others=("z", "c")), "^others: c is none$"),
])
def test_each_limit_is_kept_and_told_with_the_parameters_name(changed, says):
    assert Config(**GOOD).counts == (2, 3)
    with pytest.raises(ParamsError, match=says):
        Config(**GOOD | changed)


@pytest.mark.parametrize("limits, inside, outside, words", [
    (dict(least=1), [1, 9], [0], "at least 1"), (dict(most=1), [1, 0], [2], "at most 1"),
    (dict(least=2, most=8), [2, 8], [1, 9], "2 to 8"), (dict(above=0, below=1), [0.5], [0, 1], "more than 0 and less than 1"),
    (dict(), [0, -9], [], ""),
])
def test_ends_are_reached_or_not_as_they_say(limits, inside, outside, words):
    one = Parameter("it", **limits)
    assert one.range() == words and all(map(one.holds, inside)) and not any(map(one.holds, outside))


@pytest.mark.parametrize("notebook", studies.STUDIES)
def test_every_parameter_of_a_study_says_what_it_is(notebook):
    told = parameters(studies.module(notebook).Config)
    assert all(one.text and "\n" not in one.text for one in told.values())


@pytest.mark.parametrize("notebook", MEASURED)
def test_every_list_refuses_an_item_twice_and_every_study_its_limits(notebook):
    config_class = studies.module(notebook).Config
    values = params.read_yaml(params.path_of("reference", notebook))
    for name, value in values.items():
        if isinstance(value, list) and value:
            with pytest.raises(ParamsError, match=f"{name}: expected each item once"):
                params.validate(config_class, values | {name: [*value, value[0]]}, where="here")
    for name, value in (("threads", -1), ("timeout_s", 0.0), ("memory_share", 0.0), ("memory_share", 1.5)):
        with pytest.raises(ParamsError, match=f"here: {name}: expected"):
            params.validate(config_class, values | {name: value}, where="here")


# Parameters of the profile ci, or of real (whose models are named in its own params), that do not fit the models there.
POCKET, REAL, SENTENCE = "ci", "real", "speaks {}, and {} is in {}, of which it knows nothing; for this model name some of "
ENGLISH, GENERATED = "English", "the pocket language"
UNFIT = [
    ("01_scale_models", POCKET, dict(tasks=["english_think"], rounded_tasks=["english_think"]), "english_think"),
    ("01_scale_models", POCKET, dict(domains=["english"]), "english"),
    ("01_scale_models", POCKET, dict(models=["owner/a", "owner/b"], rounded_models=[]), "prose"),
    ("02_baseline", POCKET, dict(tasks=["pocket_prices", "english_direct"]), "english_direct"),
    ("02_baseline", REAL, dict(tasks=["pocket_prices"]), "pocket_prices"),
    ("03_quantization", POCKET, dict(stream="python-docs"), "python-docs"),
    ("03_quantization", POCKET, dict(calibration="wikitext2"), "wikitext2"),
    ("03_quantization", REAL, dict(stream="mixture"), "mixture"),
    ("03_quantization", REAL, dict(ablated_models=["smollm2-135m-instruct"], ablated_calibrations=["prose"]), "prose"),
    ("04_pruning", POCKET, dict(tasks=["english_think"]), "english_think"),
    ("04_pruning", REAL, dict(calibration="mixture"), "mixture"),
    ("05_distillation", POCKET, dict(training_texts="python-docs"), "python-docs"),
    ("05_distillation", REAL, dict(training_texts="mixture"), "mixture"),
    ("05_distillation", POCKET, dict(teacher="owner/name"), "mixture"),
    ("06_speculative", POCKET, dict(domains=["english"]), "english"),
    ("06_speculative", POCKET, dict(timed_domains=["code"]), "code"),
    ("06_speculative", POCKET, dict(recorded_domains=["code"]), "code"),
    ("06_speculative", POCKET, dict(more_pairs=["pocket-900k < owner/name > rtn(bits=4, group=64)"]), "chain think"),
    ("06_speculative", REAL, dict(domains=["english", "prices"]), "prices"),
    ("06_speculative", REAL, dict(recorded_pair="pocket-900k < pocket-200k", prompt_form="plain"), "code"),
]


@pytest.mark.parametrize("notebook, profile, changed, name", UNFIT)
def test_every_study_refuses_to_judge_a_model_in_a_language_that_it_does_not_speak(notebook, profile, changed, name):
    """The sentence names what is not spoken; an own file, whose name says nothing, and random tokens are left to the user."""
    config_class = studies.module(notebook).Config
    values = params.read_yaml(params.path_of(profile, notebook))
    speaks, other = (GENERATED, ENGLISH) if languages.of(name) == ENGLISH else (ENGLISH, GENERATED)
    with pytest.raises(ParamsError, match=SENTENCE.format(speaks, name, other)):
        params.validate(config_class, values | changed, where="here")
    params.validate(config_class, values, where="here")


def test_calibrations_that_no_model_is_ablated_with_are_not_judged_and_a_folder_speaks_as_its_tokenizer():
    quantization = studies.module("03_quantization").Config
    values = params.read_yaml(params.path_of("real", "03_quantization"))
    params.validate(quantization, values | dict(ablated_calibrations=["prose"]), where="here")
    require_language(["data/models/pocket-200k > pruned(heads=0.2, mlp=0.15)", "shape:qwen2.5-0.5b"], ["mixture"])
    with pytest.raises(languages.LanguageError, match="^data/models/pocket-200k speaks the pocket language"):
        require_language(["data/models/pocket-200k > pruned(heads=0.2, mlp=0.15)"], ["english"])


def test_the_command_ends_with_2_and_one_sentence_where_a_real_model_is_judged_on_pocket_texts(tmp_path, monkeypatch, capsys):
    shutil.copytree(store.ROOT / "params/ci", tmp_path / "params/ci")
    for folder in ("data", "notebooks"):
        (tmp_path / folder).symlink_to(store.ROOT / folder)
    file = tmp_path / "params/ci/03_quantization.yaml"
    file.write_text(file.read_text().replace("models: [pocket-200k]", "models: [owner/name]"))
    monkeypatch.setattr(store, "ROOT", tmp_path)
    assert cli.main(["plan", "03_quantization", "--profile", "ci"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "03_quantization.yaml: owner/name speaks English, and mixture is in the pocket" in told


@pytest.mark.parametrize("text, format, chain", [
    ("llama_cpp/float16", "gguf", "{} > gguf(dtype=float16)"), ("llama_cpp/Q4_0", "gguf", "{} > gguf_quantized(type=Q4_0)"),
    ("transformers/bfloat16", "safetensors", "{}"), ("vllm/awq", "awq", "{} > packed_awq(bits=4, group=64)"),
    ("transformers/gptq", "gptq", "{} > packed_gptq(bits=4, group=64, symmetric=True)"),
])
def test_a_cell_knows_the_format_and_the_variant_of_its_weights(text, format, chain, monkeypatch):
    cell = Cell.parse(text)
    assert cell.format == format and cell.chain("pocket-200k", 64) == chain.format("pocket-200k")
    pruned = "pocket-200k > pruned(heads=0.5, mlp=0.5)"
    assert cell.chain("owner/name", 64) == chain.format("owner/name") and cell.chain(pruned, 64) == chain.format(pruned)
    monkeypatch.setattr(variants, "to_round", lambda model: f"{model} > rescaled()")  # as of a model that came rounded
    rounds = cell.weights not in ("float16", "bfloat16")
    assert cell.chain("came-rounded", 64) == chain.format("came-rounded" + " > rescaled()" * rounds)


@pytest.mark.parametrize("text", ["llama_cpp/awq", "transformers/Q4_0", "transformers-compiled/awq", "vllm/Q8_0", "mlx/gptq"])
def test_a_cell_asks_the_registry_what_its_engine_loads(text):
    with pytest.raises(ParamsError, match=f"cell '{text}': "):
        cell_with()(text)
