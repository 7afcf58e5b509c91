"""Failures that are told in one sentence: every error class of the kit has an exit status, and both edges go by the class."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import edgekit
from edgekit import errors
from edgekit.analyze.observed import NotMeasured
from edgekit.measure import worker
from edgekit.studies.published_claims.printed import NotPrinted

OPTIONAL = {"mlx", "mlx_lm", "openvino", "openvino_genai", "tensorrt_llm"}  # no part of the default set-up
SIGNALS = (NotMeasured, NotPrinted)  # inside the kit, always caught there


def classes():
    """All but those of the set-up, which runs before the kit can be imported, and of runtimes that are not installed."""
    for found in pkgutil.walk_packages(edgekit.__path__, "edgekit."):
        if not found.name.startswith("edgekit.environment"):
            try:
                module = importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name.partition(".")[0] not in OPTIONAL:
                    raise
                continue
            yield from (one for _, one in inspect.getmembers(module, inspect.isclass)
                        if issubclass(one, Exception) and one.__module__ == found.name)


def test_every_error_of_the_kit_has_an_exit_status():
    found = {one.__name__: one for one in classes() if not issubclass(one, SIGNALS)}
    assert {"ModelError", "TrainingError", "Diverged", "JobFailed"} <= set(found)
    strangers = [name for name, one in found.items() if not issubclass(one, errors.EdgekitError)]
    assert not strangers and {one.exit_code for one in found.values()} == {1, 2}


def test_a_job_that_the_kit_refuses_is_told_in_its_own_words_and_a_fault_with_its_class():
    def answer(chain):
        return worker._answer(dict(function="edgekit.compress.variant:build_path", arguments=chain))

    said = answer(dict(text="pocket-9t"))
    assert said["kind"] == "refused" and said["error"].startswith("unknown pocket model 'pocket-9t'")
    said = answer(dict(texts="pocket-9t"))
    assert said["kind"] == "crash" and said["error"].startswith("TypeError: build_path() got an unexpected")
