"""The workers of a Dask cluster as a crew: this machine's side. See ``dask_worker`` for theirs."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agiwb.crews.crew import Asked, Died, Ending, Told, Work
from agiwb.crews.dask_worker import Heard, Order, carry_out
from agiwb.crews.luggage import Luggage
from agiwb.errors import AgiwbError, ConfigError, WorkError

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 20
_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_PAUSE_SHARE = 0.05
"""How long the work is not listened to, of the time for which it has said nothing."""
_LOOK_S = 0.5
_CLOSE_S = 3
_DESERTED_S = 60.0
_AGAIN = "run the same command again, a matrix with `--resume`: what had ended is kept."


class DaskCluster:
    """Carries out work on the workers of a Dask cluster.

    Each worker needs this version of agiwb. Work whose worker is lost is begun again by Dask on
    another one. Work that nobody waits for any more, as its crew was closed or has died, is ended
    by its worker within a second and the grace that it has.
    """

    def __init__(
        self,
        address: str,
        at_once: int | None,
        ready: Callable[[], None],
        pack: Callable[[Any], Luggage] = Luggage,
        timeout_s: float | None = None,
        grace_s: float = 0.0,
        kind: str | None = None,
    ) -> None:
        """Connect to the scheduler at ``address``.

        Args:
            address: The scheduler's.
            at_once: Pieces of work at once; None for as many as there are workers.
            ready: See ``Nursery``; so are ``timeout_s`` and ``grace_s``.
            pack: Makes an argument ready to travel.
            timeout_s: Seconds after which a piece of work is killed.
            grace_s: Seconds that work has to end by itself when the crew is closed.
            kind: Name of a resource of Dask's: only workers that have it are given work.

        Raises:
            ConfigError: No scheduler answers there, or it has no workers, or none of this kind.
        """
        from distributed import Queue

        self._address = address
        self._client = connect(address)
        self._at_once, self._kind = at_once, kind
        self._ready, self._pack = ready, pack
        self._timeout_s, self._grace_s = timeout_s, grace_s
        self._channel = f"agiwb-{uuid.uuid4().hex}"
        self._heard = Queue(self._channel, client=self._client)
        self._keys = itertools.count()
        self._heard_at = self._listen_at = time.monotonic()
        self._running: dict[int, tuple[Future[Any], Order]] = {}
        self._answers: dict[str, Queue] = {}
        self._places: dict[int, str] = {}
        self._known: list[str] = []
        self._known_until = 0.0
        self._deserted_since: float | None = None
        if not self._workers():
            self._client.close()
            raise ConfigError(
                f"The Dask cluster at {address} has no worker with the resource {kind!r}.",
                f'Start one with `dask worker {address} --resources "{kind}=1"`.',
            )

    def size(self) -> int:
        return self._at_once if self._at_once is not None else max(1, len(self._workers()))

    def start(self, number: int, work: Work, argument: Any) -> None:
        luggage = self._pack(argument)
        self._submit(Order(number, work, luggage, self._ready, self._timeout_s, self._grace_s))

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Ending]:
        tick()
        ended = [number for number, (future, _) in self._running.items() if future.done()]
        said = self._listen() if ended or time.monotonic() >= self._listen_at else []
        for each in said:
            heard: Heard = pickle.loads(each)  # noqa: S301  ours
            answer = told(heard.report.number, heard.report.what)
            if isinstance(heard.report, Asked):
                with self._reaching():
                    self._answer(heard.attempt, answer)
        if not said and not ended:
            self._require_workers()
            time.sleep(_PAUSE_S)
        return [ending for number in ended if (ending := self._ending(number))]

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever a lost scheduler raises
            for future, _ in self._running.values():
                future.cancel()
            for queue in (self._heard, *self._answers.values()):
                queue.close()
        self._client.close(timeout=_CLOSE_S)

    def _listen(self) -> list[bytes]:
        """Return what the work has said; who says nothing for long is asked less often."""
        with self._reaching():
            # All there is: a get that waits and times out is an error in the scheduler's log.
            said: list[bytes] = self._heard.get(batch=True)
        now = time.monotonic()
        if said:
            self._heard_at = now
        pause = _PAUSE_SHARE * (now - self._heard_at)
        self._listen_at = now + min(_LONGEST_PAUSE_S, max(_PAUSE_S, pause))
        return said

    def _submit(self, order: Order) -> None:
        self._heard_at = self._listen_at = time.monotonic()
        with self._reaching():
            future = self._client.submit(
                carry_out,
                order,
                self._channel,
                key=f"{self._channel}-{next(self._keys)}",
                pure=False,
                resources={self._kind: 1} if self._kind else None,
                **self._place(order.number),
            )
        self._running[order.number] = (future, order)

    def _workers(self) -> list[str]:
        """Return the addresses of all workers that may be given work."""
        if time.monotonic() >= self._known_until:
            with self._reaching():
                known = self._client.scheduler_info(n_workers=-1)["workers"]
            self._known = [
                address
                for address, about in known.items()
                if self._kind is None or self._kind in about["resources"]
            ]
            self._known_until = time.monotonic() + _LOOK_S
        return self._known

    def _place(self, number: int) -> dict[str, Any]:
        """Return how to ask for a worker that has nothing to do, if there is one."""
        taken = [place for at, place in self._places.items() if at in self._running]
        free = next((each for each in self._workers() if each not in taken), None)
        if free is None:
            return {}
        self._places[number] = free
        return {"workers": [free], "allow_other_workers": True}

    def _require_workers(self) -> None:
        if self._workers():
            self._deserted_since = None
            return
        self._deserted_since = self._deserted_since or time.monotonic()
        if time.monotonic() - self._deserted_since > _DESERTED_S:
            raise WorkError(
                f"The Dask cluster at {self._address} has had no workers for {_DESERTED_S:g} s.",
                f"Start some with `dask worker {self._address}`, then {_AGAIN}",
            )

    def _answer(self, attempt: str, answer: Any) -> None:
        from distributed import Queue

        if attempt not in self._answers:
            self._answers[attempt] = Queue(attempt, client=self._client)
        self._answers[attempt].put(pickle.dumps(answer))

    def _ending(self, number: int) -> Ending | None:
        """Return how the work of a future that is done has ended; a lost worker is one way.

        None if its worker gave it up as it was closed: then it is begun again.
        """
        from distributed.scheduler import KilledWorker

        future, order = self._running.pop(number)
        try:
            with self._reaching():
                result = future.result()
        except KilledWorker:
            return Died(number, "Each Dask worker that tried it died, perhaps for lack of memory.")
        except AgiwbError:
            raise
        except Exception as error:
            raise WorkError(
                f"The Dask cluster could not carry out its work: {type(error).__name__}: "
                f"{str(error).partition(chr(10))[0]}",
                "Install the same agiwb on all workers.",
            ) from error
        if result is None:
            self._submit(order)
            return None
        return order.luggage.unpack(*result)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Call the scheduler; one that is lost is a WorkError.

        With the connection all that Dask knows of the work is lost, even if it comes back.
        """
        lost = WorkError(
            f"The Dask scheduler at {self._address} does not answer any more.",
            f"Start it and its workers again, then {_AGAIN}",
        )
        if self._client.status != "running":
            raise lost
        try:
            yield
        except AgiwbError:
            raise
        except Exception as error:
            if self._client.status != "running" or isinstance(error, OSError):
                raise lost from error
            raise


def connect(address: str) -> Client:
    """Return a client of the scheduler at ``address``, whose cluster has a worker at least.

    Raises:
        ConfigError: No scheduler answers there, it has no workers, or Dask has no certificates.
    """
    from distributed import Client
    from distributed.security import Security

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what is lost, we say
    # A client that is made all the same ends with a traceback, most of a minute later.
    if address.startswith("tls://") and not Security().get_connection_args("client")["ssl_context"]:
        raise ConfigError(
            f"The Dask scheduler {address} wants TLS, and Dask has no certificates for it here.",
            "Name them in Dask's own settings: distributed.comm.tls.ca-file, client.cert and "
            "client.key.",
        )
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No Dask scheduler answers at {address}: {str(error).partition(chr(10))[0]}",
            "Start one with `dask scheduler`, and workers with `dask worker ADDRESS`.",
        ) from None
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        client.close()
        raise ConfigError(
            f"The Dask cluster at {address} has no workers.",
            f"Start some with `dask worker {address}`.",
        ) from None
    return client
