"""ONNX Runtime through onnxruntime-genai: a graph with its cache inside, and the runtime's own choice of the likeliest token.

The graph is handed to an execution provider. One that cannot take a node leaves it to the CPU's, and says so nowhere: where
another than the CPU's is asked, one pass is profiled, and the share of each provider goes into what the engine tells of itself.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import onnxruntime_genai as genai

from edgekit.compress import onnx_file
from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step, require_stored
from edgekit.errors import unknown_name

CPU = "CPUExecutionProvider"
# device -> the execution provider that is asked for, and the generator's name of it ("": its own, which needs no asking)
PROVIDERS = {"cpu": (CPU, ""), "cuda": ("CUDAExecutionProvider", "cuda")}


class OnnxRuntime(Engine):
    """A folder that onnxruntime-genai's model builder wrote. Each text has a cache of its own, as long as the context."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        if device not in PROVIDERS:
            raise EngineError("onnxruntime: " + unknown_name("device", device, PROVIDERS))
        graph = onnx_file.read(artifact.path)
        require_stored("onnxruntime", artifact, graph.weights, dtype)
        architecture = artifact.spec.architecture
        asked, name = PROVIDERS[device]
        self.vocabulary = architecture.vocabulary
        provider = asked if asked == CPU else placement(self._profiled(artifact.path, name, threads))
        self.model = self._load(artifact.path, name, threads)
        self.info = EngineInfo(
            name="onnxruntime", version=f"{onnxruntime.__version__} (genai {genai.__version__})", kernel=graph.words,
            device=device, dtype=dtype, threads=threads, vocabulary=self.vocabulary, context=context,
            kv_bytes_per_token=4 * architecture.kv_elements_per_token(), provider_asked=asked, provider=provider)

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        self.require_room(tokens, 0)
        return logits_after(self.generator(len(tokens)), tokens, len(tokens))

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        generator = self.generator(len(prompt) + max_new_tokens)
        if self.writable is not None:  # the runtime's own choice knows no ids that may not be written
            yield from self._chosen(generator, prompt, max_new_tokens)
            return
        generator.append_tokens(row(prompt))
        token = None
        for _ in range(max_new_tokens):
            if generator.is_done():  # at a token that ends texts, which it has then told and not read
                generator.append_tokens(row([token]))
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            yield Step(token)

    def _chosen(self, generator: genai.Generator, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        tokens = list(prompt)
        for _ in range(max_new_tokens):
            generator.append_tokens(row(tokens))
            tokens = [int(generator.get_logits()[0, -1, :self.writable].argmax())]
            yield Step(tokens[0])

    def session(self) -> Session:
        return OnnxRuntimeSession(self)

    def close(self) -> None:
        self.model = None

    def generator(self, longest: int) -> genai.Generator:
        """An empty text with room for `longest` tokens."""
        params = genai.GeneratorParams(self.model)
        params.set_search_options(max_length=longest, do_sample=False)
        return genai.Generator(self.model, params)

    def _load(self, folder: Path, provider: str, threads: int, profile: Path | None = None) -> genai.Model:
        """The model. Raises EngineError with what the runtime says, a provider that its build does not hold say."""
        session = dict(intra_op_num_threads=threads) | (dict(enable_profiling=str(profile)) if profile else {})
        config = genai.Config(str(folder))
        config.overlay(json.dumps(dict(model=dict(decoder=dict(session_options=session)))))
        try:
            if provider:
                config.clear_providers()
                config.append_provider(provider)
            return genai.Model(config)
        except RuntimeError as error:
            said = " ".join(str(error).split())[:300]
            raise EngineError(f"onnxruntime: {folder} does not load on {provider or 'the CPU'}: {said}") from error

    def _profiled(self, folder: Path, provider: str, threads: int) -> Mapping[str, int]:
        with tempfile.TemporaryDirectory(prefix="edgekit-profile-") as where:
            self.model = self._load(folder, provider, threads, Path(where) / "profile")
            self.generator(1).append_tokens(row([0]))
            self.model = None  # writes the profile
            file, = Path(where).glob("profile*")
            return nodes_by_provider(json.loads(file.read_text(encoding="utf-8")))


def row(tokens: Sequence[int]) -> np.ndarray:
    """One text as the runtime takes it."""
    return np.array([tokens], np.int32)


def logits_after(generator: genai.Generator, tokens: Sequence[int], last: int) -> np.ndarray:
    """Append tokens; logits after the `last` of them: float32, (last, vocabulary)."""
    generator.append_tokens(row(tokens))
    return generator.get_output("logits")[0, -last:].astype(np.float32, copy=False)


def nodes_by_provider(events: Sequence[Mapping]) -> dict[str, int]:
    """How many nodes of a graph each provider ran, from ONNX Runtime's own profile."""
    ran = {event["args"]["node_index"] + event["name"]: event["args"]["provider"] for event in events
           if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")}
    return dict(Counter(ran.values()))


def placement(nodes: Mapping[str, int]) -> str:
    """The providers that ran nodes, the most first, each with its share where there are several."""
    if len(nodes) == 1:
        return next(iter(nodes))
    total = sum(nodes.values())
    return ", ".join(f"{name} {count} of {total} nodes" for name, count in Counter(nodes).most_common())


class OnnxRuntimeSession(Session):
    """Sessions of one engine do not disturb each other: each has a generator of its own."""

    def __init__(self, engine: OnnxRuntime):
        super().__init__(engine.info)
        self.generator = engine.generator(engine.info.context)

    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        return logits_after(self.generator, tokens, last)

    def _cut(self, length: int) -> None:
        self.generator.rewind_to(length)
