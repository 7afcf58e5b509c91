"""What AWQ and GPTQ share: switches, calibration, a quiet console, errors in words, and the files beside the weights."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from edgekit.compress.artifact import Artifact, BuildError
from edgekit.compress.calibration import Calibration
from edgekit.compress.rtn import COPIED

INSTALL = "python3 edgekit/environment/install.py --extra quantize"


def switches(step: str, **given: bool) -> None:
    """Raise BuildError for a switch that is neither True nor False."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise BuildError(f"{step}: expected {name} to be True or False, got {value!r}")


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

    OSErrors pass: `build_once` says what they mean for a folder.
    """
    from safetensors import SafetensorError

    unheard = io.StringIO()
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


def copy_beside(source: Artifact, folder: Path) -> None:
    """Copy the source's tokenizer and generation settings over what a library wrote.

    Both libraries set `do_sample` in generation_config.json, so a source without that file leaves none.
    """
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in COPIED:
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)
