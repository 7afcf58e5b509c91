"""What a teacher writes: its own continuation of each prompt, from which a student learns as from any text.

Sequence-level distillation (Kim & Rush 2016, arXiv:1606.07947) takes one text a prompt in place of the teacher's distribution
over all of them. They take the likeliest; here it is drawn at temperature 1, since a prompt that many texts share (the start of
a story) has many good continuations and only one likeliest.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgekit.building import BuildError, build_once
from edgekit.catalog import prompting
from edgekit.catalog.models import ModelSpec
from edgekit.compress import training_texts
from edgekit.compress.student import prompting_of
from edgekit.compress.training_texts import Text

BATCH = 64
MOST_TOKENS = 192  # of a continuation
VERSION = 1


def by_teacher(teacher: ModelSpec, texts: str, texts_hash: str, count: int, seed: int, device: str) -> list[Text]:
    """The first `count` prompts of the set `texts` as `teacher` goes on from them, written once and kept on disk.

    Texts that do not come to an end within MOST_TOKENS are left out. Raises BuildError as the set does.
    """
    made_of = dict(step="written", source=teacher.identity[:16], texts=texts_hash, count=count, seed=seed, version=VERSION)

    def fill(folder: Path) -> None:
        lines = write(teacher, training_texts.load(texts)[:count], seed=seed, device=device)
        (folder / "texts.jsonl").write_text("".join(json.dumps(dict(prompt=t.prompt, completion=t.completion)) + "\n"
                                                    for t in lines), encoding="utf-8")

    return training_texts.load(str(build_once(made_of, teacher.name, 1 << 24, fill) / "texts.jsonl"))


def write(teacher: ModelSpec, texts: list[Text], *, seed: int, device: str) -> list[Text]:
    """The teacher's own continuations of the texts' prompts, drawn at temperature 1; those of like length share a batch,
    with padding on the left. A prompt that leaves no room for one in the context is cut at its left.

    Raises BuildError for a teacher without tokenizer or without room for a continuation.
    """
    import torch
    import transformers
    from tqdm import tqdm

    tokens = prompting_of(teacher.folder, teacher.name)
    room = teacher.architecture.context - MOST_TOKENS
    if room < 1:
        raise BuildError(f"teacher {teacher.name}: expected a context of more than the {MOST_TOKENS} tokens of a continuation, "
                         f"got {teacher.architecture.context}; choose another teacher")
    model = transformers.AutoModelForCausalLM.from_pretrained(teacher.folder, dtype=torch.float32, local_files_only=True)
    model = model.eval().to(device)
    model.generation_config = prompting.plain_generation(model.generation_config)
    end, stop = tokens.end, sorted(tokens.stop)
    padding = dict(suppress_tokens=list(range(tokens.vocabulary, model.config.vocab_size))) if (
        model.config.vocab_size > tokens.vocabulary) else {}
    prompts = [tokens.encode_prompt(text.prompt)[-room:] for text in texts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = [order[i:i + BATCH] for i in range(0, len(order), BATCH)]
    made: dict[int, Text] = {}
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        for batch in tqdm(batches, desc=f"{teacher.name} writes", unit="batch"):
            most = max(len(prompts[i]) for i in batch)
            ids = torch.tensor([[end] * (most - len(prompts[i])) + prompts[i] for i in batch], device=device)
            mask = torch.tensor([[0] * (most - len(prompts[i])) + [1] * len(prompts[i]) for i in batch], device=device)
            out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=MOST_TOKENS, do_sample=True,
                                 temperature=1.0, top_k=0, top_p=1.0, eos_token_id=stop, pad_token_id=end,
                                 **padding)
            for i, ids in zip(batch, out[:, most:].tolist(), strict=True):
                if (ended := next((n for n, id in enumerate(ids) if id in tokens.stop), None)) is not None:
                    made[i] = Text(texts[i].prompt, tokens.decode(ids[:ended]))
    return [made[i] for i in sorted(made)]
