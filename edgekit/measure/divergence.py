"""How far a model is from the one that it was made of, token by token, on one stream of texts.

Protocol: each text is scored alone, from its second token to its end token, each token given all of the text before it; no
token is put before the text but what the model's tokenizer puts there itself. The unquantized model, in float32 in one
reference engine, gives the reference distributions. Sums are kept for blocks of texts, which are the samples of every interval:
tokens of one text are alike.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit import engines, progress
from edgekit.catalog import prompting
from edgekit.catalog import texts as catalog
from edgekit.catalog.prompting import Prompting
from edgekit.catalog.texts import EvaluationText
from edgekit.compress import variant as variants
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.scoring import MOST_CONTEXT, log_softmax
from edgekit.schema import DTYPE, ENGINE

PROSE = "prose"


def encode(tokens: Prompting, text: EvaluationText, context: int) -> list[int]:
    """The ids of a text and its end token. Raises EngineError where they are more than `context`, or fewer than two."""
    [ids] = tokens.encode_texts([text.text])
    if not 2 <= len(ids) <= context:
        raise EngineError(f"evaluation text {text.id}: expected 2 to {context} tokens (the model's context), got {len(ids)}; "
                          "split or leave out such texts")
    return ids


def log_probabilities(engine: Engine, ids: Sequence[int]) -> np.ndarray:
    """Log-probabilities in nats of every token after the first: (len(ids) - 1, vocabulary)."""
    return log_softmax(engine.score(ids[:-1]))


def compare(reference: np.ndarray, other: np.ndarray, ids: Sequence[int]) -> dict[str, float]:
    """Sums over the positions of a text, from log-probabilities (positions, vocabulary) of the same vocabulary.

    kl_nats: divergence of `other` from `reference`, KL(reference || other), over the whole vocabulary. agreed: positions with
    the same likeliest token. nll_nats: negative log-likelihood of the text under `other`.
    """
    p = np.exp(reference.astype(np.float64))
    return {
        "kl_nats": float((p * (reference - other)).sum()),
        "agreed": float((reference.argmax(-1) == other.argmax(-1)).sum()),
        "nll_nats": -float(other[np.arange(len(other)), list(ids[1:])].sum()),
    }


class Reference:
    """What a variant makes of the first `count` texts of a stream in the reference engine, kept on disk (float32).

    Raises EngineError where there is no room for it.
    """

    def __init__(self, chain: str, stream: str, count: int, threads: int, device: str):
        artifact = variants.build(chain)
        artifact.spec.require_weights("divergence")
        self.prompting = prompting.of(artifact.spec.folder, artifact.spec.name)
        context = min(artifact.spec.architecture.context, MOST_CONTEXT)
        self.texts = catalog.load(stream, count)
        self.ids = [encode(self.prompting, text, context) for text in self.texts]
        self.context = context
        self.starts = np.cumsum([0, *(len(ids) - 1 for ids in self.ids)])
        shape = int(self.starts[-1]), artifact.spec.architecture.vocabulary
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-reference-")
        needs, free = 4 * shape[0] * shape[1], shutil.disk_usage(self._folder.name).free
        if needs > free / 2:
            raise EngineError(f"reference distributions of {count} texts need {needs / 1e9:.1f} GB; {free / 1e9:.1f} GB are "
                              f"free in {tempfile.gettempdir()}; ask for fewer texts")
        self._kept = np.memmap(Path(self._folder.name) / "log_p", np.float32, "w+", shape=shape)
        with engines.open_engine(ENGINE, artifact, dtype=DTYPE, threads=threads, device=device, context=context) as engine:
            for i, ids in enumerate(self.ids):
                self._kept[self.starts[i]:self.starts[i + 1]] = log_probabilities(engine, ids)
                progress.step()

    def __getitem__(self, i: int) -> np.ndarray:
        """Log-probabilities of text i: (tokens - 1, vocabulary)."""
        return self._kept[self.starts[i]:self.starts[i + 1]]


@functools.lru_cache(maxsize=8)
def reference(chain: str, stream: str, count: int, threads: int, device: str) -> Reference:
    """`Reference` of an unquantized model, made once for jobs that share a process."""
    return Reference(chain, stream, count, threads, device)


def divergence(references: Mapping[str, Reference], engine: Engine, blocks: int) -> Iterator[dict]:
    """Observations of an engine against each of the named references (of the same texts): by name (`against`), domain (problems
    or prose) and block, the sums of `compare` with the number of scored `tokens`. Block b holds the texts b, b + blocks, ...
    """
    first = next(iter(references.values()))
    sums: dict[tuple[str, str, int], dict[str, float]] = {}
    for i, (text, ids) in enumerate(zip(first.texts, first.ids, strict=True)):
        scored = log_probabilities(engine, ids)
        progress.step()
        for name, whole in references.items():
            found = compare(whole[i], scored, ids) | {"tokens": len(ids) - 1}
            kept = sums.setdefault((name, PROSE if text.domain == PROSE else "problems", i % blocks), dict.fromkeys(found, 0.0))
            for metric, value in found.items():
                kept[metric] += value
    for (name, domain, block), kept in sorted(sums.items()):
        tokens = int(kept.pop("tokens"))
        for metric, value in kept.items():
            yield dict(metric=metric, value=value, against=name, domain=domain, block=block, tokens=tokens)
