"""What every protocol hands to the engine for one prediction, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.merging import count_rows

if TYPE_CHECKING:
    from agiwb.serving.servables.catalogue import LoadedVersion

Protocol = Literal["tfs_rest", "tfs_grpc", "oip_rest", "oip_grpc", "invocations"]
Api = Literal["Predict", "Classify", "Regress", "MultiInference"]
"""TensorFlow Serving's names of its methods; whatever else asks is told as Predict."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model is asked, as in TensorFlow Serving's ``ModelSpec``.

    Without ``version`` and ``label`` the rollout decides, by default for the highest version that
    is available. ``signature_name`` is "" for the default.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""

    def __str__(self) -> str:
        if self.version is None:
            return f"Latest({self.name})"
        return f"Specific({self.name}, {self.version})"


class Caller(NamedTuple):
    """Who asks, and how; a tuple, because every request makes one.

    Attributes:
        request_id: The client's ``X-Request-Id``, or a new one.
        protocol: The protocol of the request.
        sticky_key: What keeps a client on one version during a canary; "" if it gave none.
        deadline: ``time.monotonic()`` after which nobody waits for the answer; None for never.
        peer: The client's address; "" if it has none.
        size_bytes: Of the request's body.
        traceparent: The W3C trace context of the client's span; "" if there is none.
        who: The name that the gate gave the client, for the audit.
        is_load_test: Whether it asks only to see how the server bears it.
    """

    request_id: str
    protocol: Protocol
    sticky_key: str = ""
    deadline: float | None = None
    peer: str = ""
    size_bytes: int = 0
    traceparent: str = ""
    who: str = ""
    is_load_test: bool = False


class Answer(NamedTuple):
    """A prediction that was made, and logged if predictions are logged.

    ``variant`` is that of the log's entry.
    """

    outputs: Tensors
    model: str
    version: int
    signature_name: str
    variant: str = "champion"


@dataclass(slots=True)
class Exchange:
    """One request of one version, and what is learnt of it on the way."""

    version: LoadedVersion
    signature_name: str = ""
    rows: int = 0
    api: Api = "Predict"

    def asks(self, signature_name: str, inputs: Tensors) -> None:
        """Note what is asked, for the metrics."""
        self.signature_name = signature_name
        self.rows = count_rows(inputs)
