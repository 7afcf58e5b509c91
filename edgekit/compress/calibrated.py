"""What AWQ and GPTQ share: checks, calibration, a quiet console, errors in words, and the files beside the weights."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog.hf_config import GEMMA
from edgekit.catalog.models import SETTINGS
from edgekit.compress.artifact import Artifact
from edgekit.compress.calibration import Calibration
from edgekit.compress.checkpoint import rounded
from edgekit.compress.packed import require_whole_words
from edgekit.compress.rtn import require

INSTALL = "python3 edgekit/environment/install.py --extra quantize"


def check(step: str, source: Artifact, bits: int, known: tuple[int, ...], group: int, words: int) -> None:
    """Raise BuildError where `step` cannot make `source` one of the `known` bits in groups of `group` inputs, or where sizes
    are no multiples of `words`."""
    if isinstance(bits, bool) or bits not in known:
        raise BuildError(f"{step}: its layout holds {', '.join(map(str, known))} bits, got {bits!r}")
    require(step, source, bits, group)
    require_whole_words(step, source, words)


def refuse_gemma(step: str, source: Artifact, why: str) -> None:
    """Raise BuildError, with `why`, for a Gemma 3."""
    if source.spec.architecture.family == GEMMA:
        raise BuildError(f"{step}: {why} ({source.spec.name}); take rtn, packed_awq, packed_gptq or gguf_quantized, which "
                         "round any family")


def packed_bytes(source: Artifact) -> int:
    """About what a packed checkpoint takes on disk at most: 16 bits a weight."""
    return 2 * source.spec.architecture.parameters + (1 << 20)


def sequences(source: Artifact, name: str, samples: int, length: int, seed: int) -> list[list[int]]:
    """Token ids (samples, length) for the model of `source`. Raises BuildError where a set is unknown or too small, or
    sequences are longer than the model's context."""
    if length > source.spec.architecture.context:
        raise BuildError(f"calibration: sequences of {length} tokens are longer than the context of {source.spec.name}, "
                         f"{source.spec.architecture.context}; ask for shorter ones")
    calibration = Calibration(name, samples, length, seed)
    return calibration.sequences(source.spec.folder or source.path, source.spec.architecture.vocabulary)


@contextlib.contextmanager
def library(step: str, name: str) -> Iterator[None]:
    """Run a quantization library without its banners, bars and warnings; what it raises becomes a BuildError.

    OSErrors pass: `build_once` says what they mean for a folder. Environment variables are as before afterwards: gptqmodel
    brings a package that moves the hub's cache to /tmp, for child processes too.
    """
    from safetensors import SafetensorError

    unheard = io.StringIO()
    environment = dict(os.environ)
    try:
        with contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (BuildError, OSError, SafetensorError):
        raise
    except ImportError as error:
        raise BuildError(f"{step}: {name} cannot be imported ({error}); it is installed by `{INSTALL}`") from error
    except Exception as error:
        raise BuildError(f"{step}: {name} failed with {type(error).__name__}: {error or 'no word why'}") from error
    finally:
        os.environ.clear()
        os.environ.update(environment)


def to_half(step: str, source: Artifact, model) -> None:
    """What is not packed in float16, which the kernels take. Raises BuildError for values that float16 cannot hold."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point():
            rounded(weight.detach(), "float16", f"{step}: {name} of {source.variant}")
    model.half()


def copy_beside(source: Artifact, folder: Path) -> None:
    """Copy the source's tokenizer and generation settings over what a library wrote.

    Both libraries set `do_sample` in generation_config.json, so a source without that file leaves none.
    """
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in SETTINGS:
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)
