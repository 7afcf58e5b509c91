"""Any OpenAI-compatible server as an engine: whatever serves the model, in a process or on a machine of its own.

It takes and gives text, and counts the tokens of both: there are no token ids, no logits, and its memory is another process's.
Where it is and its key come from the environment; the key stands nowhere, and of the URL rows hold a hash.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step
from edgekit.route.cloud import Cloud
from edgekit.route.endpoint import CloudError, Endpoint, read_key, require_url

if TYPE_CHECKING:
    import numpy as np

    from edgekit.compress.artifact import Artifact

URL, KEY = "EDGEKIT_OPENAI_URL", "EDGEKIT_OPENAI_KEY"
TIMEOUT_S, DEADLINE_S = 120.0, 1800.0  # until the next part comes, and of a whole answer: a slow board's long prompt
TEXT_ONLY = ("openai: a server takes and gives text: token ids, logits, other numbers of threads and its memory cannot be had; "
             "its times alone are measured")


def url() -> str:
    """Where the server is. Raises CloudError."""
    found = os.environ.get(URL, "")
    if not found:
        raise CloudError(f"the environment variable {URL} is not set; set it to a server's address, as http://HOST:8000/v1")
    require_url(found)
    return found


def missing() -> dict[str, str]:
    """A probe: format -> why no server can be asked."""
    try:
        url()
        read_key(KEY)
    except CloudError as error:
        return {"safetensors": str(error)}
    return {}


def build() -> str:
    """What tells one server's rows from another's: a hash of its address, "" without one."""
    return "server " + hashlib.blake2b(url().encode(), digest_size=4).hexdigest() if os.environ.get(URL) else ""


@dataclass(slots=True)
class Counts:
    """Tokens of a prompt and of its answer, as the server counted them."""

    prompt: int
    output: int


class Server(Engine):
    """The server of the environment, asked for the model by the name that the kit knows it by."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        try:
            endpoint = Endpoint(url(), artifact.spec.name, "plain", TIMEOUT_S, DEADLINE_S, attempts=1, backoff_s=0.0,
                                failures=1, reset_s=0.0)
            self.cloud = Cloud(endpoint, read_key(KEY))
        except CloudError as error:
            raise EngineError(f"openai: {error}") from error
        self.info = EngineInfo(
            name="openai", version=importlib.metadata.version("openai"), kernel="a server's own, which it does not tell",
            device=device, dtype=dtype, threads=threads, vocabulary=artifact.spec.architecture.vocabulary, context=context,
            kv_bytes_per_token=0)

    def parts(self, text: str, tokens: int) -> Iterator[str]:
        """Parts of a greedy answer of at most so many tokens, as they come; returns its Counts, for which a server that does
        not count in streams is asked again. Raises CloudFailed, and EngineError where it never counts."""
        prompt, output = yield from self.cloud.stream(text, tokens)
        return self.counts(text, tokens) if prompt is None or output is None else Counts(prompt, output)

    def counts(self, text: str, tokens: int) -> Counts:
        """What the server counts of an answer that is not streamed. Raises as `parts`."""
        prompt, output = self.cloud.counts(text, tokens)
        if prompt is None or output is None:
            raise EngineError("openai: expected the server to count tokens (`usage`), got no counts: its times would be of "
                              "nobody knows how many tokens")
        return Counts(prompt, output)

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        raise EngineError(TEXT_ONLY)

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        raise EngineError(TEXT_ONLY)

    def session(self) -> Session:
        raise EngineError(TEXT_ONLY)

    def close(self) -> None:
        self.cloud.close()
