"""The job of all studies of compressed models: what a variant lost, against the model that it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from edgekit import engines
from edgekit.catalog import chat_template, gguf_file, models
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.measure import divergence
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.quality import answer_tasks
from edgekit.schema import DEQUANTIZED, UNQUANTIZED


def measure_loss(*, base: str, chain: str, engine: str, dtype: str, threads: int, device: str, stream: str, texts: int,
                 blocks: int, tasks: dict[str, list[int] | None], items_per_depth: int,
                 prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: one variant in the reference engine or in a runtime, against the unquantized `base`.

    Observations have a `task`: divergence (sums by domain and block, `against` the unquantized model), accuracy (by item) and
    size (with the `kernel` that ran). A quantized format in its own runtime is also compared `against` its weights dequantized
    in the reference engine: what the runtime's kernel alone adds.
    """
    artifact = variants.build(chain)
    whole = divergence.reference(base, stream, texts, threads, device)
    references = {UNQUANTIZED: whole}
    if artifact.format != "safetensors":
        plain = f"{artifact.variant}{variants.DEQUANTIZED}"
        references[DEQUANTIZED] = divergence.Reference(plain, stream, texts, threads, device)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=whole.context) as opened:
        seen = marked("divergence", divergence.divergence(references, opened, blocks))
        model = EngineLM(opened, whole.prompting, prompt_form)
        if tasks:
            seen += marked("accuracy", answer_tasks(model, tasks, items_per_depth))
        stored = variants.build(chain.removesuffix(variants.DEQUANTIZED))
        sizes = [one | dict(kernel=opened.info.kernel) for one in size_of(stored)]
        return dict(observations=[*seen, *sizes], engine=dataclasses.asdict(opened.info), warnings=model.warnings)


def size_of(artifact: Artifact) -> list[dict]:
    """Observations of how large a stored variant is, scales, zero points and unquantized tensors counted; of a GGUF file also
    which formats its weights are in (`stored_as`), since llama.cpp takes another one where a width does not fit a format; and
    what the model's own weights came as, where they came rounded."""
    formats = dict(stored_as=gguf_file.read(artifact.file).stored_as) if artifact.format == "gguf" else {}
    return marked("size", [dict(metric="artifact_bytes", value=artifact.size_bytes()),
                            dict(metric="stored_bits_per_weight", value=artifact.bits_per_weight(), **formats),
                            dict(metric="parameters", value=artifact.spec.architecture.parameters), *source_of(artifact)])


def source_of(artifact: Artifact) -> list[dict]:
    """The formats and bits of the GGUF file that a variant's model came as; nothing for a model that is none."""
    file = models.resolve(variants.parse(artifact.variant).model).file
    if file is None:
        return []
    came = gguf_file.read(file)
    return [dict(metric="source_bits_per_weight", value=came.bits_per_weight, stored_as=came.stored_as)]


def marked(task: str, observations: Iterable[dict]) -> list[dict]:
    """Observations with the `task` that they belong to."""
    return [one | {"task": task} for one in observations]
