"""Queries that arrive in time, and one device that answers them one after the other: who waits, and how long. All modelled.

Arrivals are Poisson, or a renewal process whose gaps have the mean, spread and skewness of a published trace: hyperexponential,
which is what fits bursts and long silences with three numbers (Whitt 1982, doi:10.1287/opre.30.1.125, section 3). Waits in the
queue are Lindley's recursion (1952), in closed form over arrays.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from edgekit.errors import InvalidRequest, unknown_name

POISSON = "Poisson"
LEAST = 1e-12


class TrafficError(InvalidRequest):
    """Traffic cannot be as it is described."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Gaps between the arrivals of a published trace: their number, mean (s), and standard deviation over mean (`cv`), and
    their skewness."""

    gaps: int
    mean_s: float
    cv: float
    skewness: float


# Requests to two services on one day of November 2023: the timestamps of AzureLLMInferenceTrace_conv.csv and _code.csv of
# AzurePublicDataset (CC-BY; Patel et al. 2024, Splitwise, ISCA), of which these are the moments, computed by us. The code
# service fell silent for up to 217 s, so its gaps spread thirteen times as wide as those of Poisson arrivals.
TRACES = {"conversation": Trace(19365, 0.180827, 1.094198, 3.085049), "code": Trace(8818, 0.389652, 13.152037, 26.909023)}
ARRIVALS = (POISSON, *TRACES)


def hyperexponential(cv: float, skewness: float) -> tuple[float, float, float]:
    """(chance of the first, its mean, the mean of the other) of two exponential times that, mixed, have mean 1 and these.

    Raises TrafficError where no such mixture has them.
    """
    m2 = 1 + cv**2
    m3 = skewness * cv**3 + 3 * m2 - 2
    x, y = m3 - 1.5 * m2**2, m2 - 2
    if x <= LEAST or y <= LEAST:
        least = (1.5 * m2**2 - 3 * m2 + 2) / cv**3
        raise TrafficError(f"arrivals: expected gaps with cv above 1 and, at cv {cv:g}, a skewness above {least:.3g}, got "
                           f"{skewness:g}; Poisson arrivals have 1 and 2")
    centre, root = x + 1.5 * y**2 + 3 * y, math.sqrt((x + 1.5 * y**2 - 3 * y) ** 2 + 18 * y**3)
    one, other = (centre + root) / (6 * y), (centre - root) / (6 * y)
    return (1 - other) / (one - other), one, other


def arrivals(kind: str, count: int, rate: float, random: np.random.Generator) -> np.ndarray:
    """Times of `count` arrivals in seconds, `rate` of them a second in the mean. kind: POISSON, or the trace whose spread and
    skewness the gaps have. Raises TrafficError."""
    if kind not in ARRIVALS:
        raise TrafficError(unknown_name("arrivals", kind, ARRIVALS))
    if not rate > 0 or count < 1:
        raise TrafficError(f"arrivals: expected a rate above 0 and at least one arrival, got {rate:g} and {count}")
    gaps = random.exponential(size=count)
    if kind != POISSON:
        chance, one, other = hyperexponential(TRACES[kind].cv, TRACES[kind].skewness)
        gaps *= np.where(random.random(count) < chance, one, other)
    return np.cumsum(gaps) / rate


def waits(ready: np.ndarray, service: np.ndarray) -> np.ndarray:
    """Seconds that each one waits for a server that takes them one at a time, first come, first served. ready: when each comes,
    in any order; service: how long it then takes.

    Lindley 1952: W' = max(0, W + S - A). With U the sums of S - A so far, W = U - min(0, least U so far).
    """
    order = np.argsort(ready, kind="stable")
    ahead = np.concatenate([[0.0], np.cumsum(service[order][:-1] - np.diff(ready[order]))])
    found = np.empty(len(ready))
    found[order] = ahead - np.minimum.accumulate(ahead)
    return found


@dataclass(frozen=True, slots=True)
class Outages:
    """begins, ends: of each outage in seconds, in order. give_up_s: what a query spends on the cloud in each, before it turns
    to the device."""

    begins: np.ndarray
    ends: np.ndarray
    give_up_s: np.ndarray

    @classmethod
    def drawn(cls, up_s: np.ndarray, down_s: np.ndarray, give_up_s: np.ndarray, until: float,
              random: np.random.Generator) -> Outages:
        """Outages up to a time, made of recorded times up, down and given up, drawn with replacement."""
        many = 1 + int(2 * until / (up_s.mean() + down_s.mean())) + 16
        spells = np.empty((2, many))
        spells[0], spells[1] = random.choice(up_s, many), random.choice(down_s, many)
        edges = np.cumsum(spells.T.ravel()).reshape(many, 2)
        return cls(edges[:, 0], edges[:, 1], random.choice(give_up_s, many))


@dataclass(frozen=True, slots=True)
class Queries:
    """What each query costs, by whoever answers it, in seconds: decide_s on the device before it is known where it goes; edge_s
    the device's answer; cloud_s that of the cloud alone; round_trip_s the way. sent: to the cloud. tried: whether the device
    answered before it was sent, as a cascade does."""

    decide_s: np.ndarray
    edge_s: np.ndarray
    cloud_s: np.ndarray
    round_trip_s: np.ndarray
    sent: np.ndarray
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """latency_s of each query, from its arrival to its answer; waited_s: of that in the device's queue; by_cloud: whether the
    cloud answered it."""

    latency_s: np.ndarray
    waited_s: np.ndarray
    by_cloud: np.ndarray


def serve(times: np.ndarray, queries: Queries, outages: Outages | None = None) -> Served:
    """What each query meets that arrives at these times, in order. The device takes one after the other; the cloud takes all at
    once.

    The first query that meets an outage finds it out, which takes it `give_up_s`; the breaker then opens. It and those that
    were sent meanwhile turn to the device at that moment, at the end of its queue (after a cascade, its answer is there
    already). Later ones are not sent, and answered when their turn is. That an outage is over is found out without queries, and
    at once.
    """
    if outages is not None and queries.sent.any():
        return _through(times, queries, outages)
    service = queries.decide_s + np.where(~queries.sent | queries.tried, queries.edge_s, 0.0)
    waited = waits(times, service)
    after = np.where(queries.sent, queries.round_trip_s + queries.cloud_s, 0.0)
    return Served(waited + service + after, waited, queries.sent.copy())


def _through(times: np.ndarray, queries: Queries, outages: Outages) -> Served:
    """Event by event, in the order in which the device takes visits: of queries that arrive, and of those that come back."""
    decide_s, edge_s, sent, tried = queries.decide_s.tolist(), queries.edge_s.tolist(), queries.sent.tolist(), queries.tried
    away_s = (queries.round_trip_s + queries.cloud_s).tolist()
    begins, ends = ([*of.tolist(), math.inf] for of in (outages.begins, outages.ends))
    give_up_s = outages.give_up_s.tolist()
    ready_at, n = times.tolist(), len(times)
    done, waited, by_cloud = [0.0] * n, [0.0] * n, [False] * n
    back: list[tuple[float, int]] = []  # a heap of (when let go, which query)
    free, ahead, outage, opens = 0.0, 0, 0, math.inf  # opens: when the breaker does, in this outage
    while ahead < n or back:
        again = bool(back) and (ahead == n or back[0][0] < ready_at[ahead])
        ready, i = heapq.heappop(back) if again else (ready_at[ahead], ahead)
        ahead += not again
        start = max(free, ready)
        waited[i] += start - ready
        if again or not sent[i]:
            free = done[i] = start + edge_s[i] + (0.0 if again else decide_s[i])
            continue
        free = start + decide_s[i] + (edge_s[i] if tried else 0.0)
        while ends[outage] <= free:
            outage, opens = outage + 1, math.inf
        if free < begins[outage]:
            by_cloud[i], done[i] = True, free + away_s[i]
            continue
        if opens == math.inf:
            opens = free + give_up_s[outage]
        if tried:
            done[i] = max(free, opens)
        elif free < opens:
            heapq.heappush(back, (opens, i))
        else:
            free = done[i] = free + edge_s[i]
    return Served(np.array(done) - times, np.array(waited), np.array(by_cloud))
