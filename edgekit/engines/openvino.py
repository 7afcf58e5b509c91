"""OpenVINO: streams through OpenVINO GenAI's pipeline, scores and sessions through the runtime below it, of the same graph.

The pipeline gives no logits, so the graph is compiled a second time when they are first asked for. Activations, keys and
values are float32 on a CPU, where OpenVINO would take fewer bits unasked; on its other devices they are as it chooses. Those
share the host's memory, so that an engine for each stands beside the one for the cores, all asked for on the device `cpu`.
"""

from __future__ import annotations

import importlib.metadata
import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import openvino as ov
import openvino_genai as genai

from edgekit.compress import openvino_file
from edgekit.compress.artifact import Artifact
from edgekit.compress.graph_file import Graph
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step, require_stored

FLOAT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
BACKEND = "SDPA"  # of the pipeline: one text at a time, its keys and values in one piece
END = object()


class OpenVino(Engine):
    """A folder that the step `openvino` wrote, on the cores."""

    name, asked, kv_bytes = "openvino", "CPU", 4

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        if device != "cpu":
            raise EngineError(f"{self.name}: unknown device {device!r}; known: cpu, beside which Intel's GPU and NPU are "
                              "reached by openvino-gpu and openvino-npu")
        graph = openvino_file.read(artifact.path)
        require_stored(self.name, artifact, graph.weights, dtype)
        architecture = artifact.spec.architecture
        self.core, self.folder = ov.Core(), artifact.path
        there = self.core.available_devices
        if not any(name.partition(".")[0] == self.asked for name in there):
            raise EngineError(f"{self.name}: {self.asked} is not there; OpenVINO finds {', '.join(there)} on this machine")
        self.options = self._options(threads)
        self.compiled: ov.CompiledModel | None = None
        ran = self._ran()
        try:
            self.pipeline = genai.LLMPipeline(self.folder, self.asked, **self._pipelines_own(context), **self.options)
        except RuntimeError as error:
            raise self._refused(error) from error
        version = f"{ov.__version__.partition('-')[0]} (genai {importlib.metadata.version('openvino-genai')})"
        self.info = EngineInfo(
            name=self.name, version=version, kernel=self._kernel(graph), device=self.asked.lower(), dtype=dtype,
            threads=threads, vocabulary=architecture.vocabulary, context=context,
            kv_bytes_per_token=self.kv_bytes * architecture.kv_elements_per_token(), provider_asked=self.asked, provider=ran)

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        self.require_room(tokens, 0)
        return logits_after(self._compiled().create_infer_request(), tokens, 0, len(tokens))

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        if self.writable is not None:  # the pipeline's own choice knows no ids that may not be written
            return self._chosen(prompt, max_new_tokens)
        return self._piped(prompt, max_new_tokens) if max_new_tokens else iter(())

    def session(self) -> Session:
        return OpenVinoSession(self)

    def close(self) -> None:
        self.pipeline = self.compiled = self.core = None

    def _options(self, threads: int) -> dict:
        return dict(INFERENCE_NUM_THREADS=threads, **FLOAT)

    def _pipelines_own(self, context: int) -> dict:
        return dict(ATTENTION_BACKEND=BACKEND)

    def _ran(self) -> str:
        """What runs the graph, in OpenVINO's names. The CPU's plugin has nobody to hand anything to."""
        return self.asked

    def _piped(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        """The pipeline calls back with each token, from a thread that this generator reads."""
        tokens: queue.SimpleQueue = queue.SimpleQueue()
        streamer = Streamer(tokens)

        def write() -> None:
            try:
                self.pipeline.generate(_given(prompt), greedy(max_new_tokens), streamer)
                tokens.put(END)
            except BaseException as error:  # told to the reader, in whose thread it belongs
                tokens.put(error)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            while (token := tokens.get()) is not END:
                if isinstance(token, BaseException):
                    raise token
                yield Step(token)
        finally:  # its reader may have had enough
            streamer.wanted = False
            writer.join()

    def _chosen(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        session, tokens = self.session(), list(prompt)
        for _ in range(max_new_tokens):
            tokens = [int(session.extend(tokens, last=1)[0, :self.writable].argmax())]
            yield Step(tokens[0])

    def _compiled(self) -> ov.CompiledModel:
        """The graph as the runtime itself compiles it."""
        if self.compiled is None:
            try:
                self.compiled = self.core.compile_model(self.folder / openvino_file.GRAPH, self.asked, self.options)
            except RuntimeError as error:
                raise self._refused(error) from error
        return self.compiled

    def _refused(self, error: RuntimeError) -> EngineError:
        said = " ".join(str(error).split())[:300]
        return EngineError(f"{self.name}: {self.folder} does not load on {self.asked}: {said}")

    def _kernel(self, graph: Graph) -> str:
        """The graph's operators and how they are multiplied, and the device in OpenVINO's words."""
        rounded = graph.weights not in openvino_file.FLOATS
        group = self.core.get_property(self.asked, "DYNAMIC_QUANTIZATION_GROUP_SIZE") if rounded and self.asked == "CPU" else 0
        return ", ".join([graph.words, f"weights {graph.weights}", *([f"activations in 8 bits by {group}"] if group else []),
                          "OpenVINO GenAI's pipeline", self.core.get_property(self.asked, "FULL_DEVICE_NAME")])


class OpenVinoGpu(OpenVino):
    """The same on Intel's GPU, in the float types that it chooses: float16 as a rule, keys and values included."""

    name, asked, kv_bytes = "openvino-gpu", "GPU", 2

    def _options(self, threads: int) -> dict:
        return {}

    def _ran(self) -> str:
        return ", ".join(self._compiled().get_property("EXECUTION_DEVICES"))


class OpenVinoNpu(OpenVino):
    """The same on Intel's NPU, for which the pipeline makes graphs of fixed lengths: it streams, and gives no logits."""

    name, asked, kv_bytes = "openvino-npu", "NPU", 2

    def session(self) -> Session:
        return Engine.session(self)

    def _options(self, threads: int) -> dict:
        return {}

    def _pipelines_own(self, context: int) -> dict:
        return dict(MAX_PROMPT_LEN=context, MIN_RESPONSE_LEN=context)

    def _ran(self) -> str:
        return "NPU, what it left to the cores untold"

    def _chosen(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        raise EngineError(f"{self.name}: it writes any id of the vocabulary, those that pad it too; take openvino")

    def _compiled(self) -> ov.CompiledModel:
        raise EngineError(f"{self.name}: no logits: outside of the pipeline, which gives none, the NPU takes no graph whose "
                          "lengths are open; take openvino")


class Streamer(genai.StreamerBase):
    """Hands tokens on as they come, until they are not `wanted` any more."""

    def __init__(self, tokens: queue.SimpleQueue):
        super().__init__()
        self.tokens, self.wanted = tokens, True

    def write(self, token: int | list[int]) -> genai.StreamingStatus:
        for one in [token] if isinstance(token, int) else token:
            self.tokens.put(one)
        return genai.StreamingStatus.RUNNING if self.wanted else genai.StreamingStatus.CANCEL

    def end(self) -> None:
        pass


def greedy(tokens: int) -> genai.GenerationConfig:
    """So many of the likeliest tokens, whatever they are."""
    asked = genai.GenerationConfig()
    asked.max_new_tokens, asked.ignore_eos, asked.do_sample = tokens, True, False
    return asked


def logits_after(request: ov.InferRequest, tokens: Sequence[int], held: int, last: int) -> np.ndarray:
    """Append tokens to the `held` ones of a request's states; logits after the `last` of them: float32, (last, vocabulary)."""
    end = held + len(tokens)
    found = request.infer(dict(input_ids=np.array([tokens], np.int64), attention_mask=np.ones((1, end), np.int64),
                               position_ids=np.arange(held, end)[None], beam_idx=np.zeros(1, np.int32)))
    return found["logits"][0, -last:].astype(np.float32, copy=False)


def _given(prompt: Sequence[int]) -> genai.TokenizedInputs:
    row = np.array([prompt], np.int64)
    return genai.TokenizedInputs(ov.Tensor(row), ov.Tensor(np.ones_like(row)))


class OpenVinoSession(Session):
    """Sessions of one engine do not disturb each other: each has a request of its own."""

    def __init__(self, engine: OpenVino):
        super().__init__(engine.info)
        self.request = engine._compiled().create_infer_request()

    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        return logits_after(self.request, tokens, self.length, last)

    def _cut(self, length: int) -> None:
        for state in self.request.query_state():
            state.state = ov.Tensor(np.ascontiguousarray(state.state.data[:, :, :length]))
