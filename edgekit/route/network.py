"""A model of the network between a device and the cloud: round trips, jitter, loss, outages, and an endpoint that misbehaves.

A round trip is drawn evenly from the range that is given, since its source prints no more than the ends; jitter only adds (an
exponential time), and a lost packet costs the sender's retransmission time-out, doubled each time (RFC 6298, sections 2 and 5).
Outages come and go by themselves: times up and times down are exponential. Everything is drawn from one seed, and passes on a
clock of its own, so that a day of traffic takes as long as the answers alone and comes out the same each time. All of it is
modelled, and rows of it say so.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

from edgekit.errors import InvalidRequest

RETRANSMIT_S = 1.0  # RFC 6298, 2.1: the first time-out; later round trips of a short request do not shorten it
MOST_LOSSES = 6  # after so many doublings the time is past every time limit
OUTAGES = ("refused", "silent")  # a host that says at once that it is not there, and one that says nothing
FAULTS = ("500", "429", "garbage", "cut")
AFTER_S = 2  # what a 429 asks to wait


class NetworkError(InvalidRequest):
    """A network cannot be as it is described."""


@dataclass(frozen=True, slots=True)
class Network:
    """low_s, high_s: ends of a round trip. jitter_s: mean of what comes on top. loss: chance that a packet is lost.
    up_s, down_s: mean time between outages, and of one; up_s 0: it is always down, down_s 0: never. faults: share of requests
    that the endpoint itself fails, by each of FAULTS alike."""

    low_s: float
    high_s: float
    jitter_s: float
    loss: float
    up_s: float
    down_s: float
    faults: float

    def __post_init__(self):
        if not (0 <= self.low_s <= self.high_s and self.jitter_s >= 0 and 0 <= self.loss < 1 and self.up_s >= 0
                and self.down_s >= 0 and 0 <= self.faults <= 1):
            raise NetworkError("network: expected 0 <= low_s <= high_s, jitter_s, up_s and down_s of at least 0, loss from 0 "
                               f"to below 1 and faults from 0 to 1, got {self}")
        if not self.up_s and not self.down_s:
            raise NetworkError("network: expected a time up or a time down, got 0 for both")


class ModelledClock:
    """Time that passes only where somebody waits."""

    def __init__(self):
        self._now, self._lock = 0.0, threading.Lock()

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


class Weather:
    """What a network does in time, drawn as time goes on."""

    def __init__(self, network: Network, seed: int):
        self.network = network
        self._times, self._requests = random.Random(f"{seed} outages"), random.Random(f"{seed} requests")
        self._until, self._outage = 0.0, OUTAGES[0]  # of a spell that ends at 0, where the first time up begins

    def spells(self) -> Iterator[tuple[float, float]]:
        """(seconds up, seconds down), one outage after the other."""
        while True:
            yield self._drawn(self.network.up_s), self._drawn(self.network.down_s)

    def outage(self, now: float) -> str | None:
        """How a request fails that is made at `now` (never earlier than the one before); None while the network is up."""
        up_s, down_s = self.network.up_s, self.network.down_s
        while now >= self._until:
            down = bool(down_s) and (self._outage is None or not up_s)
            self._outage = self._times.choice(OUTAGES) if down else None
            self._until += self._drawn(down_s if down else up_s) if down_s else float("inf")
        return self._outage

    def round_trip_s(self) -> float:
        """From a request to the beginning of its answer, without what the endpoint takes for it."""
        drawn, network = self._requests, self.network
        seconds = drawn.uniform(network.low_s, network.high_s)
        seconds += drawn.expovariate(1 / network.jitter_s) if network.jitter_s else 0.0
        for again in range(MOST_LOSSES):
            if drawn.random() >= network.loss:
                break
            seconds += RETRANSMIT_S * 2**again
        return seconds

    def fault(self) -> str | None:
        """How the endpoint fails a request; None where it does not."""
        return self._requests.choice(FAULTS) if self._requests.random() < self.network.faults else None

    def _drawn(self, mean: float) -> float:
        return self._times.expovariate(1 / mean) if mean else 0.0


class Modelled(httpx2.BaseTransport):
    """What the client's requests go through: the network as `weather` has it on `clock`, and behind it the real one."""

    def __init__(self, weather: Weather, clock: ModelledClock, inner: httpx2.BaseTransport | None = None):
        self.weather, self.clock, self.inner = weather, clock, inner or httpx2.HTTPTransport()
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        limit = request.extensions.get("timeout", {}).get("read") or float("inf")
        with self._lock:
            outage, seconds = self.weather.outage(self.clock.now()), self.weather.round_trip_s()
            fault = self.weather.fault()
        if outage == "refused":
            raise httpx2.ConnectError("no route to the host (modelled)", request=request)
        if outage == "silent" or seconds > limit:
            self.clock.sleep(limit)
            raise (httpx2.ConnectTimeout if outage else httpx2.ReadTimeout)("no answer (modelled)", request=request)
        self.clock.sleep(seconds)
        if fault == "500":
            return httpx2.Response(500, json={"error": {"message": "modelled"}})
        if fault == "429":
            return httpx2.Response(429, headers={"Retry-After": str(AFTER_S)}, json={"error": {"message": "modelled"}})
        if fault == "garbage":
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"data: {\x00\xff]\n\n")
        answer = self.inner.handle_request(request)
        if fault != "cut":
            return answer
        whole = answer.read()
        answer.close()
        return httpx2.Response(answer.status_code, headers={"content-type": answer.headers.get("content-type", "")},
                               content=whole[:len(whole) // 2])

    def close(self) -> None:
        self.inner.close()
