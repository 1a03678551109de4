"""How long requests wait for a server that answers all that wait, together, whenever it is free.

A worker of our server is one queue with one server. Requests arrive by a Poisson process. When the
worker is free it takes what waits, up to ``most``, and answers it after ``per_run_s + n *
per_request_s`` seconds of work: a queue with bulk service whose time is affine in the batch, the
model of dynamic batching in Y. Inoue, "Queueing analysis of GPU-based inference servers with
dynamic batching: a closed-form characterization", Performance Evaluation 147 (2021). Its mean has
bounds in closed form, its percentiles have not: they are found by running the queue, as D. V.
Lindley's recursion (1952) does for a batch of one.

A real machine does not work evenly: now it stands still for some milliseconds, now it is slower for
a second, and whoever comes then waits, and those behind too. The queue is run on the clock of the
work that gets done, and that clock is the one of a machine that was watched.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SEED = 20
_NEVER_AT_ONCE = 1e-9
"""Between two moments of a pace, so that each moment has its work."""


@dataclass(frozen=True)
class Pace:
    """How evenly a machine works, seen for a while; it is taken to go on like that.

    Attributes:
        seconds: How long it was seen.
        done: Shares of the work that was done, from 0 to 1.
        reached: When each of them was, as shares of those seconds, from 0 to 1.
    """

    seconds: float = 1.0
    done: tuple[float, ...] = (0.0, 1.0)
    reached: tuple[float, ...] = (0.0, 1.0)

    def work_by(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of work that are done by ``times``, at an even pace the same."""
        return self._translate(times, self._moments(), np.array(self.done))

    def time_of(self, work: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when so many seconds of work are done; the inverse of ``work_by``."""
        return self._translate(work, np.array(self.done), self._moments())

    def _translate(
        self, given: NDArray[np.float64], known: NDArray[np.float64], other: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        whole, part = np.divmod(given / self.seconds, 1.0)
        return self.seconds * (whole + np.interp(part, known, other))

    def _moments(self) -> NDArray[np.float64]:
        apart = _NEVER_AT_ONCE * np.arange(len(self.reached))
        moments: NDArray[np.float64] = np.array(self.reached) + apart
        moments /= moments[-1]
        return moments


@dataclass(frozen=True)
class Service:
    """How much work requests are: ``per_run_s + n * per_request_s`` seconds for n <= ``most``.

    Attributes:
        per_run_s: Seconds of a run, whatever is in it.
        per_request_s: Seconds of each request besides.
        most: Requests that share a run.
        pause_s: Seconds that a run takes longer after the worker had nothing to do.
        pace: How evenly the machine works.
    """

    per_run_s: float
    per_request_s: float
    most: int = 1
    pause_s: float = 0.0
    pace: Pace = field(default_factory=Pace)

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
    due = service.pace.work_by(arrivals).tolist()
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
        if begins > free:
            takes += service.pause_s
        free = begins + takes
        done[first:last] = free
        worked += takes
        runs += 1
        first = last
    kept = requests // 10
    seconds = service.pace.time_of(done) - arrivals
    return Queue(seconds[kept:], worked / free, requests / runs)
