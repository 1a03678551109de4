"""How long requests wait for a server that answers all that wait, together, whenever it is free.

A worker of our server is one queue with one server. Requests arrive by a Poisson process. When the
worker is free it takes what waits, up to ``most``, and answers it after ``per_run_s + n *
per_request_s`` seconds: a queue with bulk service whose time is affine in the batch, the model of
dynamic batching in Y. Inoue, "Queueing analysis of GPU-based inference servers with dynamic
batching: a closed-form characterization", Performance Evaluation 147 (2021). Its mean has bounds in
closed form, its percentiles have not: they are found by running the queue, as D. V. Lindley's
recursion (1952) does for a batch of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEED = 20


@dataclass(frozen=True)
class Service:
    """How long a worker takes: ``per_run_s + n * per_request_s`` seconds for n <= ``most``."""

    per_run_s: float
    per_request_s: float
    most: int = 1

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
    arrivals = np.cumsum(np.random.default_rng(_SEED).exponential(1 / rate, requests))
    due = arrivals.tolist()
    done = np.empty(requests)
    free = worked = 0.0
    first = runs = 0
    while first < requests:
        begins = max(free, due[first])
        last = first + 1
        most = min(requests, first + service.most)
        while last < most and due[last] <= begins:
            last += 1
        takes = service.per_run_s + (last - first) * service.per_request_s
        free = begins + takes
        done[first:last] = free
        worked += takes
        runs += 1
        first = last
    kept = requests // 10
    return Queue((done - arrivals)[kept:], worked / free, requests / runs)


def mean_wait(service_s: float, rate: float, servers: int = 1, variation: float = 0.0) -> float:
    """Return the mean seconds a request waits where each is served alone; infinity if overloaded.

    The approximation of A. O. Allen and J. Cunneen for G/G/c (A. O. Allen, "Probability, Statistics
    and Queueing Theory", 2nd ed., 1990, section 5.3) with Poisson arrivals: Erlang's C formula for
    the probability to wait, times half of one plus the squared coefficient of variation. For one
    server it is the formula of Pollaczek and Khinchine, which is exact.

    Args:
        service_s: Mean seconds of one request.
        rate: Requests per second.
        servers: That share one queue.
        variation: Squared coefficient of variation of the service times; 0 if all are equal.
    """
    offered = rate * service_s
    if offered >= servers:
        return math.inf
    below = sum(offered**count / math.factorial(count) for count in range(servers))
    all_busy = offered**servers / math.factorial(servers) * servers / (servers - offered)
    waits = all_busy / (below + all_busy)
    return waits * service_s / (servers - offered) * (1 + variation) / 2
