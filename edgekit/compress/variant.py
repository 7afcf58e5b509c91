"""A variant: a model and the chain of steps applied to it, written `model > step(name=value, …) > step(…)`.

`pocket-3m` is the model as it is; `shape:qwen2.5-0.5b > gguf(dtype=float16)` is that shape as an F16 GGUF file. Each
link is an artifact of its own, so chains that begin alike share their beginning. A name with a character that the notation
itself uses stands in quotes: `"my > model" > awq(calibration="a, b.jsonl")`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from edgekit import provenance
from edgekit.building import address, build_once, remove
from edgekit.catalog import models, weight_files
from edgekit.catalog.hf_config import packing_of
from edgekit.compress import (
    awq,
    checkpoint,
    convert,
    dequantize,
    distil,
    gguf_quantize,
    gptq,
    mlx,
    onnx,
    openvino,
    packed,
    prune,
    refit,
    rescale,
    rtn,
    shape,
    shorten,
    stored,
    unpack,
)
from edgekit.compress.artifact import Artifact
from edgekit.compress.calibration import NONE, Calibration
from edgekit.errors import InvalidRequest, unknown_name

# step name -> (function(source, folder, **arguments), size in bytes(source, **arguments), format of what it makes)
# A step that looks at calibration texts has the arguments calibration, samples, length and seed.
STEPS = {
    "gguf": (convert.to_gguf, convert.gguf_bytes, "gguf"),
    "stored": (stored.to_stored, stored.stored_bytes, "gguf"),
    "rescaled": (rescale.rescale, rescale.rescaled_bytes, "safetensors"),
    "rtn": (rtn.round_to_nearest, rtn.rtn_bytes, "safetensors"),
    "pruned": (prune.prune, prune.pruned_bytes, "safetensors"),
    "shortened": (shorten.shorten, shorten.shortened_bytes, "safetensors"),
    "refitted": (refit.refit, refit.refitted_bytes, "safetensors"),
    "distilled": (distil.distil, distil.distilled_bytes, "safetensors"),
    "awq": (awq.quantize, awq.size_bytes, "awq"),
    "gptq": (gptq.quantize, gptq.size_bytes, "gptq"),
    "packed_awq": (packed.to_awq, packed.awq_bytes, "awq"),
    "packed_gptq": (packed.to_gptq, packed.gptq_bytes, "gptq"),
    "dequantized": (dequantize.to_float, dequantize.dequantized_bytes, "safetensors"),
    "gguf_quantized": (gguf_quantize.to_quantized_gguf, gguf_quantize.quantized_bytes, "gguf"),
    "onnx": (onnx.to_onnx, onnx.onnx_bytes, "onnx"),
    "openvino": (openvino.to_openvino, openvino.openvino_bytes, "openvino"),
    "mlx_quantized": (mlx.to_mlx, mlx.mlx_bytes, "mlx"),
}
# The step that turns a quantized artifact into float32 weights, which every method shares an engine for.
DEQUANTIZED = " > dequantized()"
# Formats whose folders hold no config.json, or not one in the words of transformers: the model is what its source is.
RUNTIMES_OWN = ("gguf", "onnx", "openvino", "mlx")
# What an argument annotated so may be.
KINDS = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
# A change of what a step writes must change what it is addressed by,
BUILDER_VERSION = 1
# and so must another version of the library that computes it. Artifacts were made before with these, which go without saying.
LIBRARIES = {"awq": ("autoawq", "0.2.9"), "gptq": ("gptqmodel", "7.6.0"), "distilled": ("torch", "2.13.0+cpu"),
             "gguf": ("gguf", "0.19.0"), "gguf_quantized": ("llama-cpp-python", "0.3.36"),
             "onnx": ("onnxruntime-genai", "0.18.0"), "openvino": ("openvino", "2026.4.1"),
             "mlx_quantized": ("mlx", "0.32.4")}


class VariantError(InvalidRequest):
    """A chain cannot be read; the message shows how one is written."""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    arguments: tuple[tuple[str, str | int | float | bool], ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={_written(value)}' for name, value in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Variant:
    model: str  # as it is written in the chain, with the quotes that it needs there
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " > ".join([self.model, *map(str, self.steps)])


def parse(text: str) -> Variant:
    """Read a chain.

    Raises VariantError for one that is not written as above, names an unknown step, or gives a step arguments that it does not
    take, or lacks one that it needs.
    """
    model, *links = (part.strip() for part in split(text, ">"))
    if not model:
        raise VariantError(f"{text!r}: expected `model > step(name=value)`, got no model")
    return Variant(_written(_unquoted(model, text)), tuple(_parse_step(link, text) for link in links))


def split(text: str, at: str) -> list[str]:
    """Cut a chain, or a part or a pair of them, at a character that stands outside of quotes. A quote opens a text at the
    beginning of a name or value only, so an apostrophe inside of one is itself. Raises VariantError for one that is not closed.
    """
    found, begin, quote, fresh = [], 0, "", True
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and fresh:
            quote = letter
        elif letter == at:
            found.append(text[begin:i])
            begin = i + 1
        fresh = letter in "<>,(=" or (fresh and letter.isspace())
    if quote:
        raise VariantError(f"{text!r}: the quote {quote} is not closed")
    return [*found, text[begin:]]


def _unquoted(name: str, text: str) -> str:
    if name[:1] not in ("'", '"'):
        return name
    if len(name) < 3 or name[-1] != name[0] or name[0] in name[1:-1]:
        raise VariantError(f"{text!r}: expected one text in quotes, got {name}")
    return name[1:-1]


def _written(value: str | int | float | bool) -> str:
    """A name or value as it stands in a chain: in quotes where it would be read otherwise."""
    if not isinstance(value, str):
        return str(value)
    plain = (value == value.strip() and value != "" and value[0] not in "\"'" and not set(value) & set("<>,()=")
             and isinstance(_literal(value), str))
    if plain:
        return value
    if '"' in value and "'" in value:
        raise VariantError(f"{value!r}: a name with both kinds of quotes cannot be written in a chain; rename it")
    return f"'{value}'" if '"' in value else f'"{value}"'


def _parse_step(link: str, text: str) -> Step:
    match = re.fullmatch(r"(\w+)\((.*)\)", link, re.DOTALL)
    if not match:
        raise VariantError(f"{text!r}: expected a step written name(key=value, …), got {link!r}")
    name, inside = match.groups()
    if name not in STEPS:
        raise VariantError(f"{text!r}: " + unknown_name("step", name, STEPS))
    arguments = []
    for pair in filter(None, (part.strip() for part in split(inside, ","))):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key.isidentifier() and equals and value):
            raise VariantError(f"{text!r}: expected key=value in {name}(…), got {pair!r}")
        arguments.append((key, _unquoted(value, text) if value[0] in "\"'" else _literal(value)))
    _check(name, arguments, text)
    return Step(name, tuple(sorted(arguments)))


def _parameters(step: str) -> dict[str, inspect.Parameter]:
    """The arguments of a step: what its function takes beside the source and the folder."""
    return dict(list(inspect.signature(STEPS[step][0]).parameters.items())[2:])


def _check(step: str, arguments: list[tuple[str, str | int | float | bool]], text: str) -> None:
    known = _parameters(step)
    given = [name for name, _ in arguments]
    complaint = None
    for name, value in arguments:
        if name not in known:
            complaint = f"{step} has no argument {name!r}"
        elif given.count(name) > 1:
            complaint = f"{step} got {name} twice"
        elif type(value) not in KINDS[known[name].annotation]:  # isinstance would take True for an int
            complaint = f"{step}: expected {name} to be {known[name].annotation}, got {value!r}"
    missing = [name for name, parameter in known.items() if parameter.default is parameter.empty and name not in given]
    if missing and not complaint:
        complaint = f"{step} needs {', '.join(missing)}"
    if complaint:
        told = ", ".join(str(parameter).replace("'", "") for parameter in known.values()) or "none"
        raise VariantError(f"{text!r}: {complaint}; its arguments: {told}")


def _literal(value: str) -> str | int | float | bool:
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return literal if isinstance(literal, (int, float, bool)) else value


def format_of(text: str) -> str:
    """The format of what a chain makes; of a hub id, which is looked up when its turn comes, plain weights. Raises VariantError
    or ModelError."""
    variant = parse(text)
    if variant.steps:
        return STEPS[variant.steps[-1].name][2]
    return "safetensors" if models.is_hub_id(variant.model) else models.resolve(variant.model).format


def build(variant: Variant | str) -> Artifact:
    """The artifact of a variant, built if it is not there.

    Raises VariantError, ModelError (unknown model, no weights) or BuildError (no space, a step refuses).
    """
    variant = parse(variant) if isinstance(variant, str) else variant
    artifact = _base(variant.model)
    for step in variant.steps:
        function, size, made_format = STEPS[step.name]
        arguments = dict(step.arguments)
        made_of = _step_made_of(artifact.hash, step)
        source = artifact

        def fill(folder, source=source, function=function, arguments=arguments):
            function(source, folder, **arguments)

        path = build_once(made_of, source.variant, size(source, **arguments), fill)
        artifact = Artifact(f"{source.variant} > {step}", _spec_of(source, path, made_format), path, made_format,
                            address(made_of))
    return artifact


def _spec_of(source: Artifact, path: Path, made_format: str) -> models.ModelSpec:
    """The source's spec, with the architecture that the step left: pruning changes it, most steps do not."""
    if made_format in RUNTIMES_OWN:
        return dataclasses.replace(source.spec, file=None)
    config = checkpoint.read_config(path)
    architecture = models.Architecture.from_hf(config, source=source.spec.architecture.source)
    weight_files.require_whole(path, architecture, packing_of(config, str(path)))
    return dataclasses.replace(source.spec, architecture=architecture, file=None)


def to_round(model: str) -> str:
    """What a rounding of a model starts from: weights that came rounded are taken off their grid first (see rescale.py)."""
    return f"{model} > rescaled()" if models.resolve(model).file is not None else model


def is_made(text: str) -> bool:
    """Whether building a chain makes anything: it has steps, random weights, or weights to unpack. Raises VariantError or
    ModelError."""
    variant = parse(text)
    return bool(variant.steps) or _model_made_of(models.resolve(variant.model)) is not None


def build_path(text: str) -> str:
    """A worker's job: build a variant, and say where it lies."""
    return str(build(text).path)


def content_hash(text: str) -> str:
    """What the artifact of a variant is addressed by, without building it."""
    variant = parse(text)
    spec = models.resolve(variant.model)
    made_of = _model_made_of(spec)
    made = spec.identity[:16] if made_of is None else address(made_of)
    for step in variant.steps:
        made = address(_step_made_of(made, step))
    return made


def forget(variant: Variant | str) -> None:
    """Delete the last artifact of a chain, so that `build` makes it anew (and its time can be taken); what it is made of stays.

    Raises VariantError for a chain without steps: a model is not the kit's to delete.
    """
    variant = parse(variant) if isinstance(variant, str) else variant
    if not variant.steps:
        raise VariantError(f"{variant}: expected a chain with a step, `model > step(name=value)`; a model itself is not built")
    *before, last = variant.steps
    remove(_step_made_of(content_hash(str(Variant(variant.model, tuple(before)))), last))


def _step_made_of(source: str, step: Step) -> dict:
    made_of = dict(source=source, step=step.name, arguments=dict(step.arguments), version=BUILDER_VERSION)
    known = _parameters(step.name)
    if "calibration" in known:
        given = {name: parameter.default for name, parameter in known.items()} | dict(step.arguments)
        if given["calibration"] != NONE:
            # A changed file of the same name is another set.
            made_of["calibration"] = Calibration(given["calibration"], given["samples"], given["length"], given["seed"]).hash
    package, before = LIBRARIES.get(step.name, ("", ""))
    if package and (version := provenance.installed(package)) != before:
        made_of["library"] = f"{package} {version or 'absent'}"  # the step is then refused
    if step.name == "refitted":
        made_of["whole"] = models.resolve(dict(step.arguments)["whole"]).identity[:16]
    if step.name == "distilled":
        made_of |= distil.made_of(**dict(step.arguments))
    return made_of


def _model_made_of(spec: models.ModelSpec) -> dict | None:
    """What a model's folder is made of, None for one that the kit does not make."""
    if spec.kind == "shape":
        return dict(source=spec.identity, step="shape", arguments={"seed": 0}, version=BUILDER_VERSION)
    return spec.unpacked_from() if spec.file is not None and spec.format == "safetensors" else None


def _base(name: str) -> Artifact:
    spec = models.resolve(name)
    made_of = _model_made_of(spec)
    if made_of is None:
        return Artifact(name, spec, spec.folder or spec.file, spec.format, spec.identity[:16])
    if spec.kind == "shape":
        path = build_once(made_of, name, 2 * spec.architecture.parameters, lambda folder: shape.write(spec, folder, seed=0))
    else:
        path = build_once(made_of, name, unpack.unpacked_bytes(spec), lambda folder: unpack.write(spec, folder))
    return Artifact(name, spec, path, "safetensors", address(made_of))
