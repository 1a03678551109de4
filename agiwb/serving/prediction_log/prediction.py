"""One entry of the prediction log."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from agiwb.runtimes.runtime import Tensors

Variant = Literal["champion", "challenger", "load_test"]

LOAD_TEST: Final = "load_test"
"""What a load test asked is in the log, and no client wanted to know it: readers leave it out."""


class Prediction(NamedTuple):
    """What was asked of a model in one request, and what it answered.

    Attributes:
        request_id: The client's, or the server's; the key to join labels by.
        time: When the request came, Unix time in seconds.
        model: The name it was served under.
        version: The version that answered.
        variant: ``champion``, ``challenger`` for a canary's share, or ``load_test``.
        signature_name: The signature that was run; "" is the default.
        inputs: The arrays asked, by name.
        outputs: The arrays answered, by name.
        latency_ms: From the request's body to its answer, in milliseconds.
    """

    request_id: str
    time: float
    model: str
    version: int
    inputs: Tensors
    outputs: Tensors
    latency_ms: float
    variant: str = "champion"
    signature_name: str = ""
