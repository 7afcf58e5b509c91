"""What a parameter may be is said once, at its field, and holds for every study."""

from __future__ import annotations

import dataclasses

import pytest

from edgekit import params, studies
from edgekit.errors import InvalidRequest
from edgekit.params import ParamsError
from edgekit.studies.cells import Cell
from edgekit.studies.config import Parameter, StudyConfig, cell_with, parameter, parameters

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


@pytest.mark.parametrize("text, format, chain", [
    ("llama_cpp/float16", "gguf", "m > gguf(dtype=float16)"), ("llama_cpp/Q4_0", "gguf", "m > gguf_quantized(type=Q4_0)"),
    ("transformers/bfloat16", "safetensors", "m"), ("vllm/awq", "awq", "m > packed_awq(bits=4, group=64)"),
    ("transformers/gptq", "gptq", "m > packed_gptq(bits=4, group=64, symmetric=True)"),
])
def test_a_cell_knows_the_format_and_the_variant_of_its_weights(text, format, chain):
    cell = Cell.parse(text)
    assert cell.format == format and cell.chain("m", 64) == chain


@pytest.mark.parametrize("text", ["llama_cpp/awq", "transformers/Q4_0", "transformers-compiled/awq", "vllm/Q8_0", "mlx/gptq"])
def test_a_cell_asks_the_registry_what_its_engine_loads(text):
    with pytest.raises(ParamsError, match=f"cell '{text}': "):
        cell_with()(text)
