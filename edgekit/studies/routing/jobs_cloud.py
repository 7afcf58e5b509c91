"""The soak of 11_routing: every query goes through the gateway to a real server, behind a modelled network."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Iterator, Mapping

from lm_eval.api.model import LM
from lm_eval.models.utils import postprocess_generated_text

from edgekit import engines, progress
from edgekit.catalog import chat_template, prompting
from edgekit.compress import variant as variants
from edgekit.engines.base import EngineError
from edgekit.measure.engine_lm import EngineLM, Generation, generation_of
from edgekit.measure.quality import answer_tasks
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.route.cloud import Answer, Cloud
from edgekit.route.endpoint import Endpoint, read_key
from edgekit.route.gateway import CLOUD, EDGE, Gateway, Query
from edgekit.route.network import Modelled, ModelledClock, Network, Weather
from edgekit.route.server import OWN, serve
from edgekit.schema import NONE

MOST_CHARACTERS = 100_000
AGAIN = 7  # every so many queries comes a second time under its id


def measure_soak(*, variant: str, cloud: dict, engine: str, dtype: str, threads: int, device: str, networks: dict,
                 patience: dict, tasks: dict, items_per_depth: int, cloud_share: float, private_share: float, every_s: float,
                 seed: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: all queries of the tasks on the device alone, and then through the gateway over each network.

    cloud: `served`, the chain that a server here loads, or the url, model and key (the variable that holds it) of an endpoint.
    Observations by network and item: correct, with who answered and why; answers, counted where they are given; wait_s on the
    network's own clock. Raises EngineError, ServerError and CloudError.
    """
    artifact = variants.build(variant)
    context = min(artifact.spec.architecture.context, MOST_CONTEXT)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=context) as opened:
        edge = EngineLM(opened, prompting.of(artifact.spec.folder, artifact.spec.name), prompt_form)
        with _asked(cloud, threads, device) as (where, key):
            endpoint = Endpoint(**where, form=prompt_form, **patience)
            policy = Policy(cloud_share, private_share, every_s, seed)
            seen = Soak(edge, None, policy).rows(NONE, tasks, items_per_depth)
            for name, network in networks.items():
                clock = ModelledClock()
                through = Modelled(Weather(Network(**network), seed), clock)
                with contextlib.closing(Cloud(endpoint, key, clock=clock, transport=through, seed=seed)) as one:
                    seen += Soak(edge, one, policy).rows(name, tasks, items_per_depth)
        return dict(observations=seen, engine=dataclasses.asdict(opened.info), warnings=edge.warnings)


@contextlib.contextmanager
def _asked(cloud: Mapping, threads: int, device: str) -> Iterator[tuple[dict, str]]:
    """The fields of an Endpoint that say where the cloud is and how it is asked there; and its key."""
    if "served" not in cloud:
        yield dict(url=cloud["url"], model=cloud["model"]), read_key(cloud["key"])
        return
    artifact = variants.build(cloud["served"])
    with serve(artifact.file, context=min(artifact.spec.architecture.context, MOST_CONTEXT), threads=threads,
               gpu=device != "cpu") as served:
        yield dict(url=served.url, model=served.model, own=OWN), served.key


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Who gets a query of the soak, which is private, and when it comes: drawn by its id, so that networks can be compared."""

    cloud_share: float
    private_share: float
    every_s: float
    seed: int

    def of(self, name: str) -> tuple[str, bool, float]:
        drawn = random.Random(f"{self.seed} {name}")
        return (CLOUD if drawn.random() < self.cloud_share else EDGE, drawn.random() < self.private_share,
                drawn.expovariate(1 / self.every_s))


class Soak(LM):
    """What asks tasks: each request is a query, which the gateway answers."""

    def __init__(self, edge: EngineLM, cloud: Cloud | None, policy: Policy):
        super().__init__()
        self.edge, self.cloud, self.policy, self.prompt_form = edge, cloud, policy, edge.prompt_form
        self.given: Counter[str] = Counter()  # answers by query, where they are written
        self.gateway = Gateway(self._on_the_device, self._counted(cloud), lambda query: policy.of(query.id)[0],
                               most_characters=MOST_CHARACTERS, probing=lambda probe: probe())
        self.rendered: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.until: Generation | None = None  # of the query that is asked

    def rows(self, network: str, tasks: Mapping, items_per_depth: int) -> list[dict]:
        """Observations of all queries over one network."""
        found = []
        for seen in answer_tasks(self, tasks, items_per_depth):
            if seen["metric"] != "correct":
                continue
            record = self.gateway.records[_name(seen["task_name"], seen["item"])]
            what = {name: value for name, value in seen.items() if name not in ("metric", "value")}
            by = dict(network=network, sent_to=record.sent_to, answered_by=record.answered_by,
                      reason=", ".join(record.why) or NONE, private=self.policy.of(record.id)[1], attempts=record.attempts)
            found += [dict(metric="correct", value=seen["value"], **what, **by),
                      dict(metric="answers", value=self.given[record.id], **what, **by),
                      dict(metric="wait_s", value=record.cloud_s, **what, **by)]
        return found

    @property
    def tokenizer_name(self) -> str:
        return self.edge.tokenizer_name

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The device's own rendering. Raises EngineError for more than one message, which a query is not."""
        if len(chat_history) != 1:
            raise EngineError(f"the soak asks one message of the user, got {len(chat_history)}; leave examples and system "
                              "messages out")
        text = self.edge.apply_chat_template(chat_history, add_generation_prompt)
        self.rendered[chat_history[0]["content"]] = text
        self.asked[text] = chat_history[0]["content"]
        return text

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        outputs = []
        for i, request in enumerate(requests):
            text, self.until = request.args[0], generation_of(request.args[1])
            name = _name(request.task_name, request.doc["id"])
            query = Query(name, self.asked.get(text, text), self.until.most, private=self.policy.of(name)[1])
            record = self.gateway.ask(query)
            if not i % AGAIN:
                record = self.gateway.ask(query)
            answer = "" if record.answer is None else record.answer.text
            outputs.append(postprocess_generated_text(answer, list(self.until.until), think_end_token=None))
            if self.cloud is not None:
                self.cloud.clock.sleep(self.policy.of(name)[2])
            progress.step()
        return outputs

    def loglikelihood(self, requests, disable_tqdm: bool = False):
        raise EngineError("the soak asks for texts, and an endpoint gives no log-likelihoods: name tasks that are answered in "
                          "words")

    loglikelihood_rolling = loglikelihood

    def _on_the_device(self, query: Query) -> Answer:
        text, = self.edge.continued([self.rendered.get(query.text, query.text)], self.until)
        self.given[query.id] += 1
        return Answer(text)

    def _counted(self, cloud: Cloud | None) -> Cloud | None:
        if cloud is None:
            return None
        answer = cloud.answer

        def counted(name: str, text: str, most_tokens: int) -> Answer:
            found = answer(name, text, most_tokens)
            self.given[name] += 1
            return found

        cloud.answer = counted
        return cloud


def _name(task: str, item: str) -> str:
    return f"{task}/{item}"
