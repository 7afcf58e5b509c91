"""An engine as an lm-eval model: the same ids, windows, stops and cuts as lm-eval's own model for transformers (HFLM).

Two things are other than there, and said: what a task or a model's generation_config.json asks for beyond greedy decoding is
refused or named, and never half done. A text is not written further than the string that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from edgekit import progress
from edgekit.catalog import chat_template
from edgekit.catalog.hf_config import ModelError
from edgekit.catalog.prompting import Prompting
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.scoring import log_softmax

# What lm-eval's own models generate at most where a task does not say.
LM_EVAL_TOKENS = 256
CARRIED = ("until", "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "max_length", "do_sample",
           "temperature")
# Without a draw these say nothing; the others say nothing at these values.
OF_SAMPLING = ("top_p", "top_k", "min_p", "typical_p")
NEUTRAL = {"num_beams": 1, "repetition_penalty": 1, "num_return_sequences": 1, "no_repeat_ngram_size": 0, "length_penalty": 1,
           "use_cache": True}
LOOKBACK = 2  # tokens more than a stop string has of its own, in which it is looked for


@dataclass(frozen=True, slots=True)
class Generation:
    """What a task asks of a continuation. until: the strings that end it. most: new tokens; in_all: those of the prompt too,
    None for no such limit."""

    until: tuple[str, ...]
    most: int
    in_all: int | None


def generation_of(asked: Mapping) -> Generation:
    """A task's generation arguments. Raises EngineError for a draw, an empty stop string, or what is not carried, by name."""
    for name, value in asked.items():
        if name not in (*CARRIED, *OF_SAMPLING) and value != NEUTRAL.get(name):
            raise EngineError(f"generation argument {name}={value!r} is not carried; known: {', '.join(CARRIED)}: leave it out "
                              "in a copy of the task's file")
    until = asked.get("until") or []
    until = [until] if isinstance(until, str) else until
    if not isinstance(until, list) or not all(isinstance(end, str) and end for end in until):
        raise EngineError(f"generation argument until: expected texts of at least one character, got {asked['until']!r}")
    named = normalize_gen_kwargs(dict(asked) | dict(until=until), LM_EVAL_TOKENS)
    if named["do_sample"]:
        raise EngineError(f"the task asks for texts that are drawn (do_sample={asked.get('do_sample')}, temperature="
                          f"{asked.get('temperature')}), and accuracy is measured on greedy ones: write do_sample: false in a "
                          "copy of the task's file")
    for name in ("max_gen_toks", "max_length"):
        if named.get(name, 1) < 1:
            raise EngineError(f"generation argument {name}: expected at least 1 token, got {named[name]}")
    return Generation(tuple(until), named["max_gen_toks"], named.get("max_length"))


class EngineLM(TemplateLM):
    """An engine as an lm-eval model. Prompts are tokenised here, once, and alike for every engine."""

    backend = "causal"

    def __init__(self, engine: Engine, prompting: Prompting, prompt_form: str = chat_template.PLAIN):
        """`prompt_form`: as tasks are asked. Raises ModelError for one that the model cannot be asked in."""
        super().__init__()
        chat_template.require_form(prompt_form, prompting.folder, prompting.name)
        self.engine, self.prompting, self.prompt_form = engine, prompting, prompt_form
        self.cut: list[int] = []  # tokens that each prompt lost at its left
        self.without_system = False
        self.generated = False

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        return self.prompting.end

    @property
    def prefix_token_id(self) -> int:
        """The id before a text without context."""
        return self.prompting.prefix

    @property
    def warnings(self) -> list[str]:
        """What was other than the task or the model asks: prompts that were cut, settings that are not carried."""
        told = self.prompting.told(self.prompt_form) if self.generated else []
        if self.without_system:
            told.append(f"{self.prompting.name}: its chat template takes no system message, so tasks that have one were asked "
                        "without it, as lm-eval does")
        if self.cut:
            told.append(f"{len(self.cut)} prompts were longer than the context of {self.engine.info.context} tokens and lost "
                        f"up to {max(self.cut)} tokens at their left, as lm-eval cuts them")
        return told

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval keeps requests in chat form under."""
        return self.prompting.name.replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Messages in the model's chat template; without those of the system where it refuses them."""
        try:
            return self.prompting.render(chat_history, add_generation_prompt)
        except ModelError:
            others = [message for message in chat_history if message["role"] != "system"]
            if len(others) == len(chat_history):
                raise
            self.without_system = True
            return self.prompting.render(others, add_generation_prompt)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs) -> list[int]:
        """Ids of a text; special tokens where the tokenizer puts them, unless said otherwise or there already."""
        if add_special_tokens is None:
            add_special_tokens = not string.startswith(self.prompting.decode([self.prefix_token_id], special=True))
        return self.prompting.encode(string, add_special_tokens)

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations, cut before the first of the task's `until` strings."""
        alike: dict[Generation, list[int]] = {}
        for i, request in enumerate(requests):
            alike.setdefault(generation_of(request.args[1]), []).append(i)
        outputs: list[str] = [""] * len(requests)
        for asked, chosen in alike.items():
            for i, text in zip(chosen, self.continued([requests[i].args[0] for i in chosen], asked), strict=True):
                outputs[i] = text
        return outputs

    def continued(self, texts: Sequence[str], asked: Generation) -> list[str]:
        """The greedy continuation of each text. Raises EngineError where there is no room for one."""
        self.generated = True
        context = self.engine.info.context
        if asked.most >= context:
            raise EngineError(f"the task asks for up to {asked.most} new tokens, and the context is {context}: nothing is left "
                              "for a prompt; ask for fewer (max_gen_toks) in a copy of the task's file")
        prompts = [self._cut(self.prompting.encode_prompt(text), context - asked.most) for text in texts]
        by_most: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            most = asked.most if asked.in_all is None else min(asked.in_all, context) - len(prompt)
            if most < 1:
                raise EngineError(f"the task asks for max_length={asked.in_all} tokens in all, and a prompt alone has "
                                  f"{len(prompt)}: give max_gen_toks in a copy of the task's file")
            by_most.setdefault(most, []).append(i)
        until = handle_stop_sequences(list(asked.until), eos=self.prompting.decode([self.eot_token_id], special=True))
        ids = [self.prompting.encode(end, special=False) for end in until]
        stop = self.prompting.stop | {one[0] for one in ids if len(one) == 1 and one[0] in self.prompting.special}
        ended = self.ended([end for end, one in zip(until, ids, strict=True) if not stop.issuperset(one)])
        outputs = [""] * len(texts)
        for most, chosen in by_most.items():
            written = self.engine.generate([prompts[i] for i in chosen], most, stop, ended=ended)
            for i, made in zip(chosen, written, strict=True):
                kept = self._stopped(made, until, list(map(len, ids)))
                self._wrote(texts[i], prompts[i], kept)
                outputs[i] = postprocess_generated_text(self.prompting.decode(kept), until, think_end_token=None)
        return outputs

    def _wrote(self, text: str, prompt: Sequence[int], made: Sequence[int]) -> None:
        """Told of each continuation; whoever records more of one than its text overrides this."""

    def ended(self, ends: Sequence[str]) -> Callable[[Sequence[int]], bool] | None:
        """Whether one of these strings stands at the end of what was written; None without any. A token is a byte at least."""
        longest = max((len(end.encode()) for end in ends), default=0)

        def ended(made: Sequence[int]) -> bool:
            tail = self.prompting.decode(made[-longest - LOOKBACK:])
            return any(end in tail for end in ends)

        return ended if ends else None

    def _stopped(self, made: list[int], until: Sequence[str], lengths: Sequence[int]) -> list[int]:
        """What was written until a stop string stood at its end with special tokens as text, which is how HFLM sees it; where
        none was written, the text itself shows the same."""
        if self.prompting.special.isdisjoint(made):
            return made
        for n in range(1, len(made) + 1):
            if any(end in self.prompting.decode(made[max(0, n - length - LOOKBACK):n], special=True)
                   for end, length in zip(until, lengths, strict=True)):
                return made[:n]
        return made

    def loglikelihood_rolling(self, requests, disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text in nats, in windows of the engine's context, each token predicted once."""
        windows = [[make_disjoint_window(window) for window in get_rolling_token_windows(
            self.tok_encode(request.args[0]), self.prefix_token_id, self.engine.info.context, 1)] for request in requests]
        return [sum(self._continuation(*window)[0] for window in text) for text in windows]

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, **kwargs) -> list[tuple[float, bool]]:
        return [self._continuation(before, after) for _, before, after in requests]

    def _continuation(self, before: Sequence[int], after: Sequence[int]) -> tuple[float, bool]:
        """(sum of log-probabilities in nats, whether greedy decoding gives it) of `after` behind `before`, which is cut at its
        left to fit. Raises EngineError where one of them has no token, or the answer alone is longer than the context."""
        context = self.engine.info.context
        if not before or not 1 <= len(after) <= context:
            raise EngineError(f"log-likelihood: expected at least one token before an answer of 1 to {context} tokens (the "
                              f"context), got {len(before)} and {len(after)}")
        tokens = self._cut([*before, *after], context + 1)
        log_p = log_softmax(self.engine.score(tokens[:-1])[-len(after):])
        progress.step()
        picked = log_p[np.arange(len(after)), list(after)]
        return float(picked.sum()), bool((log_p.argmax(-1) == np.asarray(after)).all())

    def _cut(self, tokens: Sequence[int], most: int) -> list[int]:
        if len(tokens) > most:
            self.cut.append(len(tokens) - most)
        return list(tokens[-most:])
