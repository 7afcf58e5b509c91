"""Recorded answers of an endpoint: what 11_routing knows of a cloud that is not one of this machine's models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit import building
from edgekit.catalog import tasks as catalog
from edgekit.measure.recording import FILE, VERSION, Answer, read


@dataclass(frozen=True, slots=True)
class Asked:
    """An endpoint (`endpoint`: the fields of an Endpoint) and a task. key: the variable that holds its key."""

    endpoint: dict
    key: str
    task: str
    items_per_depth: int

    def made_of(self) -> dict:
        """What addresses the recorded file: where it was asked, and not how patiently. A model that changed behind its name is
        asked anew when the file is gone."""
        where = {name: self.endpoint[name] for name in ("url", "model", "form")}
        return dict(step="endpoint answers", version=VERSION, **where, task=self.task, items=self.items_per_depth,
                    hash=catalog.content_hash(self.task))


def measure_endpoint_answers(**asked) -> dict:
    """A worker's job: an endpoint's recorded answers to a task (fields of Asked) as observations, by item: correct, and the
    tokens of prompt and answer as it counts them. Raises CloudError, CloudFailed, and EngineError for a task that is not
    answered in words or an endpoint that counts no tokens."""
    seen = []
    for one in recorded(Asked(**asked)):
        values = dict(correct=one.score, asked_tokens=one.prompt_tokens, answered_tokens=one.completion_tokens)
        seen += [dict(metric=name, value=value, **one.at) for name, value in values.items()]
    return dict(observations=seen)


def recorded(asked: Asked) -> list[Answer]:
    """The answers of an endpoint to all items of a task; asked, and paid for, where nobody has yet."""
    folder = building.build_once(asked.made_of(), f"{asked.endpoint['model']} at {asked.endpoint['url']}", 0,
                                 lambda folder: _ask(asked, folder))
    return read(folder / FILE)


def of_tasks(asked: dict, tasks: Iterable[str]) -> list[Answer]:
    """The answers of an endpoint (fields of Asked but the task) to several tasks."""
    return [one for task in tasks for one in recorded(Asked(task=task, **asked))]


def _ask(asked: Asked, folder: Path) -> None:
    """Only where somebody has to: what asks takes seconds to import."""
    from edgekit.studies.routing import jobs_endpoint_asked

    jobs_endpoint_asked.ask(asked, folder)
