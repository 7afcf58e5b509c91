"""Draws of the modelled network between the device and the cloud, which 11_routing's traffic is made of."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

from edgekit.catalog import chat_template
from edgekit.route.cloud import PROBE, Cloud, CloudFailed
from edgekit.route.endpoint import Endpoint
from edgekit.route.network import OUTAGES, Modelled, ModelledClock, Network, Weather

NOWHERE = Endpoint("http://127.0.0.1:9/v1", "none", chat_template.PLAIN, 1.0, 1.0, 1, 1.0, 1, 1.0)


def measure_network(*, network: dict, patience: dict, draws: int, seed: int) -> dict:
    """A worker's job: `draws` round trips, and as many times between outages and of outages; and what a query waits that meets
    an outage of each kind, by the client's own rules."""
    weather = Weather(Network(**network), seed)
    seen = [dict(metric="round_trip_s", value=weather.round_trip_s(), item=f"draw-{i}") for i in range(draws)]
    for i, (up_s, down_s) in enumerate(itertools.islice(weather.spells(), draws)):
        seen += [dict(metric="up_s", value=up_s, item=f"draw-{i}"), dict(metric="down_s", value=down_s, item=f"draw-{i}")]
    return dict(observations=[*seen, *(dict(metric="give_up_s", value=_give_up_s(outage, patience, seed), outage=outage)
                                       for outage in OUTAGES)])


def _give_up_s(outage: str, patience: dict, seed: int) -> float:
    clock, weather = ModelledClock(), Weather(Network(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0), seed)
    weather.outage = lambda now: outage
    with contextlib.closing(Cloud(dataclasses.replace(NOWHERE, **patience), "none", clock=clock, seed=seed,
                                  transport=Modelled(weather, clock))) as cloud, contextlib.suppress(CloudFailed):
        cloud.answer("q", PROBE, 1)
    return clock.now()
