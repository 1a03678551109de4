"""A running server, held from Python: ask it, load it, try another version on it, stop it."""

from __future__ import annotations

import os
import shlex
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agiwb.errors import InputError
from agiwb.serving.access.pinning import trust_only
from agiwb.serving.address import Ready
from agiwb.serving.client import Client
from agiwb.serving.decider import ByWhoeverAsks, Decider
from agiwb.serving.launch import ServerProcess, stop_server
from agiwb.serving.remote_versions import RemoteVersions
from agiwb.serving.rest_json.example_body import example_body
from agiwb.serving.rest_json.json_text import dump_json, load_json
from agiwb.serving.rest_json.row_answers import as_columns
from agiwb.serving.settings import MAX_BODY_BYTES
from agiwb.serving.versions import Version

if TYPE_CHECKING:
    from agiwb.serving.load_test import LoadTest


class Endpoint:
    """A server process and the model it answers for.

    It lives until ``stop``, the end of a ``with`` block, or the end of this process, even by
    kill -9; one that was started to outlive its starter, until ``stop``. Thread safety: every
    method may be called from any thread.

    Attributes:
        address: ``http://<host>:<port>``.
        grpc_address: ``<host>:<port>``; "" if gRPC is not answered.
        model_name: Name in the URL.
        version: Version that was served at the start.
        signature: Names, dtypes and shapes of the model's inputs and outputs.
        log_file: What the server has to complain about.
        curl_options: What others need besides to ask it.
        decider: Has the last word on ``promote`` and ``roll_back``.
    """

    def __init__(
        self,
        process: ServerProcess,
        ready: Ready,
        log_file: Path,
        *,
        operator_key: str = "",
        certificate_file: Path | None = None,
        curl_options: Sequence[str] = (),
        find_version: Callable[[str, str | None], Version] | None = None,
        outlives: bool = False,
        drain_s: float = 0.0,
    ) -> None:
        """Hold a server that is ready.

        Args:
            process: The server.
            ready: What it said of itself.
            log_file: Its stderr.
            operator_key: Opens all its routes.
            certificate_file: The server's own certificate, if it has one.
            curl_options: What others need besides to ask it.
            find_version: Returns the version of a model by its reference and format, published if
                need be.
            outlives: Whether the server goes on when this object and this process are gone.
            drain_s: Seconds that it goes on answering once it is asked to stop.
        """
        self.address = ready.address
        self.grpc_address = ready.grpc_address
        self.model_name = ready.model_name
        self.version = ready.version
        self.signature = ready.signature
        self.log_file = log_file
        self._process = process
        self._headers = {"X-API-Key": operator_key} if operator_key else {}
        self._certificate_file = certificate_file
        self.curl_options = tuple(curl_options)
        self.decider: Decider = ByWhoeverAsks()
        self._find_version = find_version
        self._client = Client(
            ready.address,
            headers=self._headers,
            tls=trust_only(certificate_file.read_text()) if certificate_file else None,
            is_running=lambda: process.poll() is None,
            advice=f"See {log_file}.",
        )
        self._versions = RemoteVersions(self._client, self.model_name, log_file)
        self._admin = self._versions.admin_path
        self._outlives = outlives
        self._drain_s = drain_s
        self._stop = weakref.finalize(self, _end, process, os.getpid(), self._client, drain_s)
        if outlives:
            self._stop.detach()

    @property
    def url(self) -> str:
        """Where predictions are asked for, by POST."""
        return f"{self.address}{self._versions.path}:predict"

    @property
    def process_id(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process.poll() is None

    def predict(self, features: ArrayLike, version: int | None = None) -> NDArray[Any]:
        """Return the model's output for a batch; the first dimension of both is the batch.

        Args:
            features: The batch.
            version: The version to ask; by default the one that the rollout chooses.

        Raises:
            InputError: The features do not fit the model, are too many for one request, the
                version is not there, or the model has several inputs or outputs.
            ServingError: The server is gone, or failed.
        """
        if len(self.signature.inputs) != 1 or len(self.signature.outputs) != 1:
            raise InputError(
                f"`predict` takes one input and gives one output; this model has "
                f"{len(self.signature.inputs)} and {len(self.signature.outputs)}.",
                f"Post named tensors to {self.url}.",
            )
        body = dump_json({"instances": np.ascontiguousarray(features)})
        if len(body) > MAX_BODY_BYTES:
            raise InputError(
                f"The request would be {len(body)} bytes; the server takes {MAX_BODY_BYTES}.",
                "Ask for fewer examples at a time.",
            )
        path, which = self._versions.path, "" if version is None else f"/versions/{version}"
        answer = load_json(self._client.exchange("POST", f"{path}{which}:predict", body))
        return np.asarray(answer["predictions"], self.signature.outputs[0].dtype)

    def answer(self, rows: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Return the outputs of rows by name, whatever inputs and outputs the model has.

        Args:
            rows: Each a value of the only input, or a mapping of the inputs' names to values.

        Raises:
            InputError: The rows do not fit the model.
            ServingError: The server is gone, or failed.
        """
        body = dump_json({"instances": list(rows)})
        found = load_json(self._client.exchange("POST", f"{self._versions.path}:predict", body))
        return as_columns(found["predictions"], [spec.name for spec in self.signature.outputs])

    def curl(self, features: ArrayLike | None = None) -> str:
        """Return a shell command that asks for ``features``, by default one example of zeros.

        In place of ``KEY``, ``TOKEN`` or ``CLIENT``, if they are in it, put your own.
        """
        body = dump_json(self._body(features)).decode()
        return shlex.join(["curl", *self.curl_options, "-d", body, self.url])

    def load_test(
        self,
        features: ArrayLike | None = None,
        *,
        seconds: float = 5.0,
        concurrency: int = 8,
        rate: float | None = None,
    ) -> LoadTest:
        """Return how the server bears one request asked again and again; it prints as a sentence.

        The prediction log has these requests as ``load_test``, which no monitoring looks at.

        Args:
            features: The batch of the request; by default one example of zeros.
            seconds: How long.
            concurrency: Requests under way at once.
            rate: Requests a second, whether or not the server keeps up; by default as many as it
                answers.

        Raises:
            ServingError: The server does not answer.
        """
        from agiwb.serving.load_test import load_test

        return load_test(
            self.url,
            dump_json(self._body(features)),
            concurrency=concurrency,
            seconds=seconds,
            rate=rate,
            headers={**self._headers, "X-Agiwb-Load-Test": "1"},
            certificate_file=str(self._certificate_file or ""),
        )

    def shadow(self, model: str | int, share: float = 1.0, *, format: str | None = None) -> int:  # noqa: A002  the field's word
        """Have another version answer a share of the requests too, unseen, and be compared.

        Args:
            model: A version's number, or a reference as ``serve`` takes it, which is published as
                the next version.
            share: Of the requests; 0 ends the shadow.
            format: Of the model's artifact; by default that of the endpoint's.

        Returns:
            The shadow's version. ``rollout()`` tells how it compares.

        Raises:
            InputError: There is no such model, or it cannot be loaded.
            ServingError: The server is gone.
        """
        number = self.load(model, format=format)
        self.administer("PUT", "shadow", {"version": number, "share": share})
        return number

    def canary(
        self,
        model: str | int,
        share: float = 0.1,
        guards: Mapping[str, float] | None = None,
        *,
        format: str | None = None,  # noqa: A002  the field's word
    ) -> int:
        """Have another version answer a share of the clients.

        A client, told apart by its ``X-Sticky-Key``, its key or its address, stays on its version.
        When a guard is broken, the version is rolled back at once.

        Args:
            model: See ``shadow``.
            share: Of the clients; 0 ends the canary.
            guards: ``max_error_rate``, ``max_latency_ratio``, ``max_disagreement``,
                ``min_requests``; by default the server's.
            format: See ``shadow``.

        Returns:
            The challenger's version.

        Raises:
            InputError: There is no such model or guard, or the model cannot be loaded.
            ServingError: The server is gone.
        """
        number = self.load(model, format=format)
        body = {"version": number, "share": share, "guards": dict(guards or {})}
        self.administer("PUT", "canary", body)
        return number

    def promote(self, version: int | None = None, *, why: str = "", ungated: bool = False) -> int:
        """Have a version, by default the canary's, answer everybody; return its number.

        Where the model has a champion in its promotion ledger, it is decided there, as by
        ``agiwb promote``, and the server follows.

        Args:
            version: As the server numbers them.
            why: Reason, for the ledger.
            ungated: Do without the gate's consent, which a promotion in the ledger needs; a reason
                is then required.

        Raises:
            InputError: There is no canary, or no such version, or the gate has not let it pass.
            ServingError: The server is gone.
            WorkError: Somebody else decided meanwhile.
        """
        return self.decider.promote(self, version, why, ungated=ungated)

    def roll_back(self, why: str = "") -> None:
        """End the canary; without one, undo the last promotion, in the ledger too if there is one.

        Args:
            why: Reason, for the ledger.

        Raises:
            InputError: There is neither.
            ServingError: The server is gone.
            WorkError: Somebody else decided meanwhile.
        """
        self.decider.roll_back(self, why)

    def rollout(self) -> dict[str, Any]:
        """Return who answers, what is on trial, how it compares, and the ledger of changes.

        Raises:
            ServingError: The server is gone.
        """
        described: dict[str, Any] = self.administer("GET", "rollout")
        return described

    def administer(self, method: str, action: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return what an admin route of the model answers; see ``agiwb.serving.rest.admin``.

        Raises:
            InputError: The server refuses it, and says why.
            ServingError: The server is gone.
        """
        return self._client.ask(method, f"{self._admin}/{action}", body)

    def versions(self) -> dict[int, str]:
        """Return the state of each version that the server knows: ``{2: "AVAILABLE"}``."""
        return self._versions.states()

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return self._client.exchange("GET", "/metrics").decode()

    def disconnect(self) -> None:
        """Close the connections; the server goes on, and a later request opens a new one."""
        self._client.close()

    def stop(self) -> None:
        """Stop the server; requests it has taken are still answered. Stopping twice is fine."""
        self._stop()
        if self._outlives:
            _end(self._process, os.getpid(), self._client, self._drain_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Endpoint {self.url} version {self.version}, {state}>"

    def _body(self, features: ArrayLike | None) -> dict[str, Any]:
        if features is None:
            return example_body(self.signature)
        return {"instances": np.ascontiguousarray(features)}

    def load(self, model: str | int, *, format: str | None = None) -> int:  # noqa: A002  as above
        """Return the number of a version that is available, loaded if need be; who answers stays.

        Args:
            model: See ``shadow``.
            format: See ``shadow``.

        Raises:
            InputError: There is no such model, or it cannot be loaded.
            ServingError: The server is gone.
        """
        if isinstance(model, int):
            number = model
        elif self._find_version is not None:
            number = self._find_version(model, format).number
        else:
            raise InputError("This endpoint cannot publish models.", "Give a version's number.")
        self._versions.load(number)
        return number


def _end(process: ServerProcess, owner: int, client: Client, drain_s: float) -> None:
    """Close the connections and end the server, unless this is a process forked from its owner."""
    if os.getpid() != owner:
        return
    client.close()
    stop_server(process, drain_s)
