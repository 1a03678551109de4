"""One loaded version of a model: its signatures, and how to run one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature
from agiwb.runtimes.runtime import Tensors

PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"


@dataclass(frozen=True)
class ServedSignature:
    """A signature and the TensorFlow Serving method it is for."""

    signature: Signature
    method: str = PREDICT_METHOD


class Servable(Protocol):
    """A model in memory.

    Thread safety: ``run`` may be called from any thread. Ownership: the arrays returned are the
    caller's. After ``close`` nothing may be asked, and its memory is the system's again.

    Attributes:
        signatures: By name; ``serving_default`` is what a client means that names none.
        seconds_per_row: Of a short batch once warm; infinite if it is not known.
        inline: Whether a short run may happen on the event loop (the engine holds no lock and
            asks no other process).
    """

    signatures: Mapping[str, ServedSignature]
    seconds_per_row: float
    inline: bool

    def run(
        self,
        inputs: Tensors,
        signature_name: str = SIGNATURE_NAME,
        outputs: Sequence[str] = (),
    ) -> Tensors:
        """Return the outputs by name, in the signature's order; ``outputs`` names those wanted.

        Raises:
            InputError: A name, dtype or shape does not fit the signature.
            ServingError: The engine is gone, such as a child process that was killed.
        """
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...
