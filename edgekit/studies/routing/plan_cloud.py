"""The cloud of the routing study: what a query meets on its way there, and whether each one is answered once all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit import engines
from edgekit.catalog import tasks
from edgekit.compress import variant as variants
from edgekit.errors import EdgekitError, unknown_name
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.params import require
from edgekit.route import endpoint
from edgekit.schema import ENDPOINT, NONE
from edgekit.studies.cells import UNPACKED, Cell
from edgekit.studies.config import PROMPT_FORM, MeasuringConfig, asking, cell_with, known_model, parameter, require_form
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import absent_unit, by_depth, resolved

JOBS = "edgekit.studies.routing.jobs"  # and the modules whose names go on behind it
LOOPBACK = "loopback"
SERVED_BY = "llama_cpp"  # on loopback
NETWORKS = ("clear", "faulty", "down")  # never an outage; outages and faults as the parameters say; an outage that lasts


def _known_url(url: str) -> None:
    if url != LOOPBACK:
        endpoint.require_url(url)


def _asked_in_words(name: str) -> None:
    """Raise TaskError for a task that is no query of the soak: an endpoint gives words, and no likelihoods of choices."""
    known = [one for one in tasks.names() if tasks.load(one).config["output_type"] == "generate_until"]
    if name not in known:
        raise tasks.TaskError(unknown_name("task that is answered in words", name, known))


@dataclass(frozen=True, slots=True)
class CloudConfig(MeasuringConfig):
    """What a study has that sends queries to a cloud."""

    edge_model: str = parameter("the model on the device", each=known_model)
    cloud_model: str = parameter("the model in the cloud; of an endpoint, its name there")
    cell: str = parameter("engine/weights of the model on the device, and of that in the cloud where it is measured here",
                          each=cell_with(UNPACKED))
    prompt_form: Literal["plain", "chat"] = parameter(PROMPT_FORM)
    cloud_url: str = parameter(f"{LOOPBACK}, a server of cloud_model that is started here, or an endpoint: https://HOST/v1",
                               each=_known_url)
    cloud_key: str = parameter("the environment variable that holds an endpoint's key, which is never kept; a server here "
                               "draws its own", each=endpoint.require_variable)
    cloud_timeout_s: float = parameter("longest silence of the cloud, in seconds", above=0)
    cloud_deadline_s: float = parameter("longest time of a query in the cloud, all attempts together, in seconds", above=0)
    cloud_attempts: int = parameter("most attempts of a query in the cloud", least=1)
    cloud_backoff_s: float = parameter("pause before the second attempt, doubled each time, in seconds", above=0)
    breaker_failures: int = parameter("failures in a row after which nothing is sent", least=1)
    breaker_reset_s: float = parameter("then the time until the cloud is tried again, in seconds", above=0)
    round_trip_s: tuple[float, ...] = parameter("shortest and longest round trip to the cloud, in seconds", least=0, needed=1)
    jitter_s: float = parameter("mean time that comes on top, in seconds", least=0)
    packet_loss: float = parameter("chance that a request is lost and sent again", least=0, below=1)
    up_s: float = parameter("mean time between outages, in seconds", above=0)
    down_s: float = parameter("mean time of an outage, in seconds", above=0)
    fault_share: float = parameter("share of requests that the endpoint fails: 500, 429, garbage, half an answer", least=0,
                                   most=1)
    network_draws: int = parameter("round trips, and outages, that are drawn for the modelled traffic", least=1)
    soak_networks: tuple[str, ...] = parameter("networks of the soak: clear, faulty (as above), down", known=NETWORKS)
    soak_tasks: tuple[str, ...] = parameter("queries of the soak: shipped tasks that are answered in words",
                                            each=_asked_in_words)
    soak_depths: tuple[int, ...] = parameter("steps of a word problem of the soak")
    soak_items_per_depth: int = parameter("queries of the soak of each depth", least=1)
    soak_cloud_share: float = parameter("share of the soak's queries that are sent to the cloud", least=0, most=1)
    soak_private_share: float = parameter("share of the soak's queries that must not leave the device", least=0, most=1)
    soak_every_s: float = parameter("mean time between queries of the soak, in modelled seconds", above=0)

    def check(self) -> None:
        require(len(self.round_trip_s) == 2 and self.round_trip_s[0] <= self.round_trip_s[1],
                f"round_trip_s: expected the shortest and the longest, got {list(self.round_trip_s)}")
        require(not self.soak_networks or bool(self.soak_tasks), "soak_tasks: expected a task at least, got none")
        if self.cloud_url == LOOPBACK:
            known_model(self.cloud_model)
        require_form(self.prompt_form, [self.edge_model, *[self.cloud_model] * (self.cloud_url == LOOPBACK)])

    def network(self, kind: str) -> dict:
        """The fields of a route.network.Network of one of NETWORKS."""
        low, high = self.round_trip_s
        up_s, down_s, faults = {"clear": (self.up_s, 0.0, 0.0), "faulty": (self.up_s, self.down_s, self.fault_share),
                                "down": (0.0, self.down_s, 0.0)}[kind]
        return dict(low_s=low, high_s=high, jitter_s=self.jitter_s, loss=self.packet_loss, up_s=up_s, down_s=down_s,
                    faults=faults)

    @property
    def patience(self) -> dict:
        """The fields of a route.cloud.Endpoint beside where it is."""
        return dict(timeout_s=self.cloud_timeout_s, deadline_s=self.cloud_deadline_s, attempts=self.cloud_attempts,
                    backoff_s=self.cloud_backoff_s, failures=self.breaker_failures, reset_s=self.breaker_reset_s)


def cloud_chain(config: CloudConfig) -> str | None:
    """What the loopback server loads; None where the cloud is an endpoint."""
    if config.cloud_url != LOOPBACK:
        return None
    cell = Cell.parse(config.cell)
    return cell.chain(config.cloud_model) if cell.format == "gguf" else engines.variant_for(SERVED_BY, config.cloud_model,
                                                                                            "float16")


def cloud_units(config: CloudConfig) -> Iterator[Unit]:
    """The draws of the modelled network, and the soak."""
    config = config.with_threads()
    yield _network_unit(config)
    if config.soak_networks:
        _, absent = resolved([config.edge_model, *[config.cloud_model] * (config.cloud_url == LOOPBACK)])
        if absent:
            yield from (absent_unit(config, "soak", name, reason) for name, reason in absent.items())
        else:
            yield _soak_unit(config)


def endpoint_asked(config: CloudConfig, items_per_depth: int) -> dict:
    """The fields of jobs_endpoint.Asked but the task."""
    where = dict(url=config.cloud_url, model=config.cloud_model, form=config.prompt_form, **config.patience)
    return dict(endpoint=where, key=config.cloud_key, items_per_depth=items_per_depth)


def endpoint_unit(config: CloudConfig, task: str, items_per_depth: int) -> Unit:
    """What an endpoint answers to a task, where the cloud is one: asked once, and kept."""
    asked = dict(task=task, **endpoint_asked(config, items_per_depth))
    return Unit(dict(task="answers", model=config.cloud_model, task_name=task, engine=ENDPOINT, dtype=NONE,
                     **asking(config.prompt_form), **config.where), 0,
                f"{JOBS}_endpoint:measure_endpoint_answers", asked, "",
                task_hash(dict(asked, hash=tasks.content_hash(task))), _no_key(config.cloud_key), planned=False, shared=True,
                first=True)


def _network_unit(config: CloudConfig) -> Unit:
    work = dict(network=config.network("faulty"), patience=config.patience, draws=config.network_draws, seed=config.seed)
    return Unit(dict(task="network", **config.where), 0, f"{JOBS}_network:measure_network", work, "", task_hash(work),
                shared=True, source="modelled")


def _soak_unit(config: CloudConfig) -> Unit:
    """Every network in one unit, since they are compared by item, and share the two models."""
    of, served = Cell.parse(config.cell), cloud_chain(config)
    edge, asked = of.chain(config.edge_model), asking(config.prompt_form)
    work = dict(networks={name: config.network(name) for name in config.soak_networks}, patience=config.patience,
                tasks=by_depth(config.soak_tasks, config.soak_depths), items_per_depth=config.soak_items_per_depth,
                cloud_share=config.soak_cloud_share, private_share=config.soak_private_share, every_s=config.soak_every_s,
                seed=config.seed, **asked)
    cloud = dict(served=served) if served else dict(url=config.cloud_url, model=config.cloud_model, key=config.cloud_key)
    refusal = of.refusal(edge) or (engines.absence(SERVED_BY, "gguf") if served else _no_key(config.cloud_key))
    chains = (edge, served) if served else (edge,)
    artifact = "" if refusal else " ".join([*map(variants.content_hash, chains), str(engines.runtime(of.engine))])
    held = [Held(edge, of.engine, of.weights, MOST_CONTEXT), *[Held(one, SERVED_BY, of.weights, MOST_CONTEXT)
                                                               for one in chains[1:]]]
    where = dict(engine=of.engine, dtype=of.weights, **config.where)
    return Unit(dict(task="soak", model=config.edge_model, cloud=config.cloud_model, **asked, **where), 0,
                f"{JOBS}_cloud:measure_soak", dict(variant=edge, cloud=cloud, **where, **work), artifact,
                task_hash({**work, "hashes": {name: tasks.content_hash(name) for name in config.soak_tasks},
                           **({} if served else cloud)}),
                refusal, variants=chains, source="modelled", holds=() if refusal else (tuple(held),))


def _no_key(variable: str) -> str | None:
    """Why an endpoint cannot be asked; None where its key is there, or may be on a machine that is not this one."""
    if engines.are_assumed():
        return None
    try:
        endpoint.read_key(variable)
    except EdgekitError as error:
        return str(error)
    return None
