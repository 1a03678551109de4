"""How long requests wait for a server that answers all that wait, together, whenever it is free.

A worker of our server is one queue with one server. Requests arrive by a Poisson process. When the
worker is free it takes what waits, up to ``most``, and answers it after ``per_run_s + n *
per_request_s`` seconds on average: a queue with bulk service whose time is affine in the batch, the
model of dynamic batching in Y. Inoue, "Queueing analysis of GPU-based inference servers with
dynamic batching: a closed-form characterization", Performance Evaluation 147 (2021). Its mean has
bounds in closed form, its percentiles have not: they are found by running the queue, as D. V.
Lindley's recursion (1952) does for a batch of one. No two runs take the same time on a real
machine, and whoever waits behind a slow one is slow, too: each takes a multiple of the mean that is
drawn from those that were seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEED = 20


@dataclass(frozen=True)
class Service:
    """How long a worker takes: ``per_run_s + n * per_request_s`` seconds for n <= ``most``.

    Attributes:
        per_run_s: Seconds of a run, whatever is in it.
        per_request_s: Seconds of each request besides.
        most: Requests that share a run.
        variation: What runs take, as multiples of that; equally likely, of mean 1.
    """

    per_run_s: float
    per_request_s: float
    most: int = 1
    variation: tuple[float, ...] = (1.0,)

    @property
    def lone_s(self) -> float:
        """Seconds for one request alone."""
        return self.per_run_s + self.per_request_s

    @property
    def capacity(self) -> float:
        """Requests per second beyond which the queue of one worker grows for ever."""
        return self.most / (self.per_run_s + self.most * self.per_request_s)

    def busy(self, rate: float) -> float:
        """Return the share of a worker's time that ``rate`` requests per second surely take.

        Merging keeps a worker busier than that at a low rate, when it has the time.
        """
        return rate / self.capacity


@dataclass(frozen=True)
class Queue:
    """What became of the requests of one worker.

    Attributes:
        seconds: Of each, from its arrival to its answer; shape ``(requests,)``.
        busy: Share of the time that the worker was busy.
        requests_a_run: Mean of the requests that were answered together.
    """

    seconds: NDArray[np.float64]
    busy: float
    requests_a_run: float


def run_queue(service: Service, rate: float, requests: int = 40_000) -> Queue:
    """Return what becomes of Poisson arrivals at ``rate`` per second; always of the same ones.

    The first tenth is left out: the queue is empty when it begins.
    """
    random = np.random.default_rng(_SEED)
    arrivals = np.cumsum(random.exponential(1 / rate, requests))
    due = arrivals.tolist()
    multiples = random.choice(service.variation, requests).tolist()
    done = np.empty(requests)
    free = worked = 0.0
    first = runs = 0
    while first < requests:
        begins = max(free, due[first])
        last = first + 1
        most = min(requests, first + service.most)
        while last < most and due[last] <= begins:
            last += 1
        takes = multiples[runs] * (service.per_run_s + (last - first) * service.per_request_s)
        free = begins + takes
        done[first:last] = free
        worked += takes
        runs += 1
        first = last
    kept = requests // 10
    return Queue((done - arrivals)[kept:], worked / free, requests / runs)


def mean_wait(service_s: float, rate: float, variation: float = 0.0) -> float:
    """Return the mean seconds a request waits where each is served alone; infinity if overloaded.

    The formula of F. Pollaczek and A. Khinchine for Poisson arrivals at one server (L. Kleinrock,
    "Queueing Systems", vol. 1, 1975, section 5.7).

    Args:
        service_s: Mean seconds of one request.
        rate: Requests per second.
        variation: Squared coefficient of variation of the service times; 0 if all are equal.
    """
    load = rate * service_s
    if load >= 1:
        return math.inf
    return load * service_s * (1 + variation) / (2 * (1 - load))
