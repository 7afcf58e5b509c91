"""OpenVINO: streams through OpenVINO GenAI's pipeline, scores and sessions through the runtime below it, of the same graph.

The pipeline gives no logits, so the graph is compiled a second time when they are first asked for. Activations, keys and
values are float32 on a CPU, where OpenVINO would take fewer bits unasked; on its other devices they are as it chooses.
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
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step
from edgekit.errors import unknown_name

DEVICES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}  # as the kit names them, and OpenVINO
FLOAT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
BACKEND = "SDPA"  # of the pipeline: one text at a time, its keys and values in one piece
END = object()


class OpenVino(Engine):
    """A folder that the step `openvino` wrote."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        if device not in DEVICES:
            raise EngineError("openvino: " + unknown_name("device", device, DEVICES))
        graph = openvino_file.read(artifact.path)
        if graph.weights != dtype:
            raise EngineError(f"openvino: {artifact.variant} in {dtype} asked, its graph holds {graph.weights} matrices; name "
                              f"what it holds, or build it with openvino(precision={dtype})")
        architecture = artifact.spec.architecture
        if context > architecture.context:
            raise EngineError(f"openvino: a context of {context} tokens asked, {artifact.variant} was made for "
                              f"{architecture.context}")
        self.core, self.folder, self.asked = ov.Core(), artifact.path, DEVICES[device]
        there = self.core.available_devices
        if not any(name.partition(".")[0] == self.asked for name in there):
            raise EngineError(f"openvino: device {device!r} is not there; OpenVINO finds {', '.join(there)} on this machine")
        self.options = dict(INFERENCE_NUM_THREADS=threads, **FLOAT) if device == "cpu" else {}
        self.compiled: ov.CompiledModel | None = None
        # The CPU's plugin has nobody to hand anything to; of the others one compilation says on what it will run.
        ran = self.asked if device == "cpu" else ", ".join(self._compiled().get_property("EXECUTION_DEVICES"))
        try:
            self.pipeline = genai.LLMPipeline(self.folder, self.asked, ATTENTION_BACKEND=BACKEND, **self.options)
        except RuntimeError as error:
            raise self._refused(error) from error
        self.info = EngineInfo(
            name="openvino", version=f"{ov.__version__.partition('-')[0]} (genai {importlib.metadata.version('openvino-genai')})",
            kernel=self._kernel(graph), device=device, dtype=dtype, threads=threads, vocabulary=architecture.vocabulary,
            context=context, kv_bytes_per_token=(4 if device == "cpu" else 2) * architecture.kv_elements_per_token(),
            provider_asked=self.asked, provider=ran)

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
        return EngineError(f"openvino: {self.folder} does not load on {self.asked}: {said}")

    def _kernel(self, graph: openvino_file.OpenvinoGraph) -> str:
        """The graph's operators and how they are multiplied, and the device in OpenVINO's words."""
        rounded = graph.weights not in openvino_file.FLOATS
        group = self.core.get_property(self.asked, "DYNAMIC_QUANTIZATION_GROUP_SIZE") if rounded and self.asked == "CPU" else 0
        return ", ".join([graph.words, f"weights {graph.weights}", *([f"activations in 8 bits by {group}"] if group else []),
                          f"pipeline {BACKEND}", self.core.get_property(self.asked, "FULL_DEVICE_NAME")])


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
