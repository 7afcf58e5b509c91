"""The jobs of the pipeline: a stage's requests timed, plainly and with drafts; their energy; and its answers.

All texts of all stages have the same number of tokens: what ends a text ends none, and how much was written behind a text's own
end is counted. Plain decoding is the engine's own stream, drafting the kit's loop on the engine's sessions.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from edgekit import engines, progress
from edgekit.catalog import chat_template, prompting
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.decode.drafted import Drafted
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Engine, EngineError
from edgekit.measure import energy, memory
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.latency import prompt_ids, time_stream
from edgekit.measure.losses import marked, size_of
from edgekit.measure.pairs import PLAIN, Pair, ids_of
from edgekit.measure.quality import answer_tasks
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import LOOKUP, NONE

ALONE = (NONE, PLAIN)  # draft and length of plain decoding


@dataclass
class Opened:
    """A stage in memory. prompts: (domain, id, tokens); drafts: open engines of the models that draft, by name; written: tokens
    of a text; peaks: largest resident memory, bytes, with the target alone and with all drafts too."""

    engine: Engine
    artifact: Artifact
    prompts: list[tuple[str, str, list[int]]]
    drafts: dict[str, Engine | None]
    tokens: prompting.Prompting
    written: int
    peaks: dict[str, int]

    def plain(self, prompt: Sequence[int]) -> list[int]:
        """The text of plain decoding, untimed."""
        return [step.token for step in self.engine.stream(prompt, self.written)]

    def timed(self, draft: str, length: int, prompt: Sequence[int], written: int) -> Timed:
        """A text of `written` tokens behind a prompt, plain or drafted."""
        if draft == NONE:
            stamps = time_stream(self.engine, prompt, written)
            return Timed(stamps[0], stamps[-1], 1, [])
        drafting = self.drafts[draft]
        decoding = Decoding(written, vocabulary=self.tokens.vocabulary)
        pair = Pair(self.engine.session(), drafting and drafting.session(), decoding, seed=0)
        self.engine.sync()
        blocks = pair.blocks(0, prompt, length)
        start = time.perf_counter()
        text = list(next(blocks).tokens)
        first_s, first = time.perf_counter() - start, len(text)
        for block in blocks:
            text += block.tokens
        return Timed(first_s, time.perf_counter() - start, first, text)


@dataclass(frozen=True, slots=True)
class Timed:
    """One request: seconds to its first tokens, of which there are `first`, and to its last one. text: of a drafted one."""

    first_s: float
    whole_s: float
    first: int
    text: list[int]


@contextmanager
def opened(variant: str, engine: str, dtype: str, threads: int, device: str, drafts: Sequence[Sequence[str]],
           domains: Sequence[str], prompts: int, output_tokens: int, first_token_prompt: int, prompt_form: str,
           ) -> Iterator[Opened]:
    """A stage: its variant in its engine, then the drafts, each (name, variant), or "lookup" for both.

    Raises ModelError for different tokenizers; EngineError where prompt and output do not fit, or the engine cannot roll back.
    """
    target = variants.build(variant)
    models = {name: variants.build(chain) for name, chain in drafts if chain != LOOKUP}
    for artifact in (target, *models.values()):
        artifact.spec.require_weights("acceptance")
    tokens = prompting.shared([artifact.spec for artifact in (target, *models.values())])
    asked = [(domain, item, ids) for domain in domains for item, ids in ids_of(tokens, domain, prompts, prompt_form)]
    longest = max(first_token_prompt, *(len(ids) for _, _, ids in asked)) + output_tokens
    held = min(artifact.spec.architecture.context for artifact in (target, *models.values()))
    if longest > held:
        raise EngineError(f"prompt and output of {longest} tokens exceed the context of {held}; ask for fewer output_tokens")
    where = dict(dtype=dtype, threads=threads, device=device, context=longest)
    with ExitStack() as stack:
        one = stack.enter_context(engines.open_engine(engine, target, **where))
        one.writable = tokens.vocabulary
        found = Opened(one, target, asked, {}, tokens, output_tokens, {})
        found.plain(max((ids for _, _, ids in asked), key=len))
        found.peaks[NONE] = _peak(one, device)
        for name, chain in drafts:
            found.drafts[name] = None if chain == LOOKUP else stack.enter_context(
                engines.open_engine(engine, models[name], **where))
        yield found


def _peak(engine: Engine, device: str) -> int | None:
    return memory.peak_bytes() if device == "cpu" else engine.device_memory_bytes()


def measure_stage(*, variant: str, engine: str, dtype: str, threads: int, device: str, drafts: list, lengths: list[int],
                  domains: list[str], prompts: int, output_tokens: int, first_token_prompt: int, seed: int,
                  prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: times of a stage's requests, a text of each prompt in each way (plain, each draft at each length), the
    ways in shuffled order, after one text of every prompt plainly and one of the first in each way, untimed.

    Observations by draft and length: ttft_s, tpot_s (behind the first block, where there is more) and request_s of each prompt;
    ttft_s behind `first_token_prompt` random tokens; `differs`, whether a drafted text is another than the plain one; peak
    memory. Of plain texts `past_end_tokens`. Raises as `opened`.
    """
    with opened(variant, engine, dtype, threads, device, drafts, domains, prompts, output_tokens, first_token_prompt,
                prompt_form) as at:
        texts = [at.plain(ids) for _, _, ids in at.prompts]
        ways = [ALONE, *((name, length) for name, _ in drafts for length in lengths)]
        random = prompt_ids(at.tokens.vocabulary, first_token_prompt, seed)
        for way in ways:
            for ids in (at.prompts[0][2], random):
                at.timed(*way, ids, output_tokens)
        if drafts:
            at.peaks[drafts[-1][0]] = _peak(at.engine, device)
        seen = []
        for i in np.random.default_rng(seed).permutation(len(ways)):
            draft, length = ways[i]
            here = dict(draft=draft, length=length)
            for (domain, item, ids), text in zip(at.prompts, texts, strict=True):
                found = at.timed(draft, length, ids, output_tokens)
                seen += _request(found, output_tokens, dict(domain=domain, item=item, prompt_tokens=len(ids), **here))
                if draft != NONE:
                    seen.append(dict(metric="differs", value=int(found.text != text), domain=domain, item=item, **here))
                progress.step()
            first = at.timed(draft, length, random, output_tokens).first_s
            seen.append(dict(metric="ttft_s", value=first, prompt_tokens=first_token_prompt, **here))
        seen += [dict(metric="past_end_tokens", value=_behind_end(text, at.tokens.stop), domain=domain, item=item, draft=NONE,
                      length=PLAIN, output_tokens=output_tokens) for (domain, item, _), text in zip(at.prompts, texts,
                                                                                                  strict=True)]
        seen += [dict(metric="peak_memory_bytes", value=value, draft=name) for name, value in at.peaks.items()
                 if value is not None]
        return dict(observations=[*seen, *marked("size", size_of(at.artifact))], engine=dataclasses.asdict(at.engine.info),
                    warnings=list(at.tokens.told(prompt_form)))


def _request(found: Timed, written: int, here: dict) -> list[dict]:
    seen = [dict(metric="ttft_s", value=found.first_s, **here),
            dict(metric="request_s", value=found.whole_s, output_tokens=written, **here)]
    if written > found.first:
        seen.append(dict(metric="tpot_s", value=(found.whole_s - found.first_s) / (written - found.first),
                         output_tokens=written, **here))
    return seen


def _behind_end(text: Sequence[int], stop: frozenset[int]) -> int:
    """Tokens behind the first that ends a text."""
    return next((len(text) - 1 - i for i, token in enumerate(text) if token in stop), 0)


def measure_stage_energy(*, variant: str, engine: str, dtype: str, threads: int, device: str, drafts: list, lengths: list[int],
                         domains: list[str], prompts: int, output_tokens: int, first_token_prompt: int, seed: int,
                         prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: energy of the same requests, a window over whole passes of all prompts for each way, at least five
    seconds long, idle power first. Observations are a request's. Refuses where there is no sensor."""
    meter = energy.open_meter(device)
    if isinstance(meter, energy.Unavailable):
        raise EngineError(meter.reason)
    seen = []
    with opened(variant, engine, dtype, threads, device, drafts, domains, prompts, output_tokens, first_token_prompt,
                prompt_form) as at:
        idle = meter.window(lambda: time.sleep(energy.IDLE_S))
        for draft, length in (ALONE, *((name, length) for name, _ in drafts for length in lengths)):
            def once(draft=draft, length=length) -> None:
                for _, _, ids in at.prompts:
                    at.timed(draft, length, ids, output_tokens)

            seen += [one | dict(draft=draft, length=length, output_tokens=output_tokens)
                     for one in _windows(meter, idle, once, len(at.prompts))]
        return dict(observations=seen, engine=dataclasses.asdict(at.engine.info))


def _windows(meter: energy.Meter, idle: energy.Reading, once, requests: int) -> list[dict]:
    """Energy of one request of a pass `once` of so many."""
    start = time.perf_counter()
    once()
    passes = max(1, round(energy.WINDOW_S / (time.perf_counter() - start) + 0.5))
    reading = meter.window(lambda: [once() for _ in range(passes)])
    seconds = reading.seconds / passes / requests
    seen = []
    for scope, joules in reading.joules.items():
        watts, each = idle.joules[scope] / idle.seconds, joules / passes / requests
        at = dict(phase="request", scope=scope, origin=meter.origins[scope])
        seen += [dict(metric="energy_j", value=each, **at), dict(metric="energy_net_j", value=each - watts * seconds, **at),
                 dict(metric="idle_power_w", value=watts, **at), dict(metric="window_s", value=seconds, **at)]
    return seen


def measure_answers(*, variant: str, engine: str, dtype: str, threads: int, device: str, tasks: dict[str, list[int] | None],
                    items_per_depth: int, draft: str, length: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: the outcome of each item of tasks, as `quality.answer_tasks` gives it, of a stage that writes plainly
    (draft "none") or with a draft (a variant, or "lookup") of `length` tokens a block. Raises as `opened`."""
    target = variants.build(variant)
    target.spec.require_weights("accuracy")
    models = [target] if draft in (NONE, LOOKUP) else [target, variants.build(draft)]
    tokens = prompting.shared([artifact.spec for artifact in models])
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in models))
    where = dict(dtype=dtype, threads=threads, device=device, context=context)
    with ExitStack() as stack:
        asked = stack.enter_context(engines.open_engine(engine, target, **where))
        info = asked.info
        if draft != NONE:
            drafting = [stack.enter_context(engines.open_engine(engine, one, **where)) for one in models[1:]]
            pair = Pair(None, drafting[0].session() if drafting else None, Decoding(1), seed=0)
            asked = Drafted(asked, pair.drafter(length), tokens.vocabulary)
        else:
            asked.writable = tokens.vocabulary
        model = EngineLM(asked, prompting.of(target.spec.folder, target.spec.name), prompt_form)
        return dict(observations=answer_tasks(model, tasks, items_per_depth), engine=dataclasses.asdict(info),
                    warnings=model.warnings)
