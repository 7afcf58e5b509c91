"""How far a model's loss on prose lies above the truth: story by story, against the grammar that wrote the stories.

The shipped stories carry their own log-probability, so the excess of a story is computed without noise from the stories'
entropy; its mean is a Kullback–Leibler divergence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit import progress
from edgekit.catalog.prompting import Prompting
from edgekit.catalog.tasks import Story
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.scoring import log_softmax


def encode_story(prompting: Prompting, story: Story) -> tuple[list[int], int]:
    """(token ids of prompt and text, number of prompt tokens). Raises EngineError if the prompt's tokens are no prefix."""
    given = prompting.encode(story.prompt)
    whole = prompting.encode(story.prompt + story.text)
    if whole[:len(given)] != given:
        raise EngineError(f"{story.id}: this tokenizer joins prompt and text in one token; stories need the pocket models' own")
    return whole, len(given)


def excess_of_stories(engine: Engine, prompting: Prompting, stories: Sequence[Story]) -> list[dict]:
    """`excess_nats` for each story, with its id as `item` and the number of its scored tokens as `tokens`.

    Scored are all tokens of the text, its end included, each given the prompt and those before it. Raises EngineError for a
    story that is longer than the engine's context.
    """
    seen = []
    for story in stories:
        ids, given = encode_story(prompting, story)
        log_p = log_softmax(engine.score(ids[:-1])[given - 1:])
        progress.step()
        scored = np.asarray(ids[given:])
        value = -float(log_p[np.arange(len(scored)), scored].sum()) + story.log_p
        seen.append(dict(metric="excess_nats", value=value, item=story.id, tokens=len(scored)))
    return seen
