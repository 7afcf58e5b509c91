"""How a runtime was compiled and what of this processor it uses: the arithmetic behind its numbers, so part of rows' keys.

A build is told in the runtime's own words. A hash of its binary would tell builds apart that compute the same: it is compiled
anew on each machine.
"""

from __future__ import annotations

from edgekit.catalog import platforms
from edgekit.catalog.engines import Runtime
from edgekit.engines import probe

# The builds behind rows that were taken before builds were part of keys, by platform, as their manifests name them (llama.cpp's
# own words; torch's version with the processor's flags). On these platforms, and there alone, those builds go without saying,
# so the rows keep their keys; any other build has its words in the key.
BEFORE = {
    "amd-epyc-zen4-2c": (
        "torch 2.13.0+cpu AVX512",
        "CPU : SSE3 SSSE3 AVX AVX2 F16C FMA BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 LLAMAFILE OPENMP REPACK"),
    "intel-xeon-emerald-rapids-2c": (
        "torch 2.13.0+cpu AVX512",
        "CPU : SSE3 SSSE3 AVX AVX2 F16C FMA BMI2 AVX512 AVX512_VBMI AVX512_VNNI LLAMAFILE OPENMP REPACK"),
}


def words(runtime: Runtime) -> str:
    """What a key says of a runtime's build; "" for the one that goes without saying on this platform."""
    told = probe.ask(runtime.build) if runtime.build else ""
    return "" if told in BEFORE.get(platforms.current().slug, ()) else told


def torch() -> str:
    """torch's version with its local tag, the vector instructions that its kernels take here, and CUDA's version where it has
    one. In a process of its own (see probe.ask)."""
    import torch

    cuda = f" CUDA {torch.version.cuda}" if torch.cuda.is_available() else ""
    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}{cuda}"


def llama_cpp() -> str:
    """llama.cpp's own words: its backends and the instructions that it was compiled for. In a process of its own."""
    import llama_cpp

    from edgekit.engines.llama_cpp import kernel_words

    llama_cpp.llama_backend_init()
    return kernel_words()


def onnxruntime() -> str:
    """Versions and commits of ONNX Runtime and of its generator, and the providers compiled in. In a process of its own."""
    import onnxruntime
    import onnxruntime_genai

    built = dict(part.strip().split("=", 1) for part in
                 onnxruntime.get_build_info().removeprefix("ORT Build Info: ").split(",") if "=" in part)
    return (f"onnxruntime {onnxruntime.__version__} {built['git-commit-id']}, genai {onnxruntime_genai.__commit__[:10]}, "
            f"{' '.join(onnxruntime.get_available_providers())}")


def openvino() -> str:
    """Versions and commits of OpenVINO and of its generator. In a process of its own."""
    import openvino
    import openvino_genai

    return f"openvino {openvino.__version__}, genai {openvino_genai.__version__}"


def tensorrt_llm() -> str:
    """TensorRT-LLM's version, and the build of the torch that it computes with. In a process of its own."""
    import tensorrt_llm

    return f"tensorrt-llm {tensorrt_llm.__version__}, {torch()}"


def mlx() -> str:
    """MLX's version and the device that it computes on unless told otherwise. In a process of its own."""
    import mlx.core

    return f"mlx {mlx.core.__version__} {mlx.core.default_device()}"
