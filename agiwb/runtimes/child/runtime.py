"""A model that runs in a child process, which is started again if it is killed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.signature import SIGNATURE_NAME, Signature
from agiwb.errors import AgiwbError, InputError
from agiwb.runtimes.checking import check_inputs, wanted
from agiwb.runtimes.child.connection import ChildConnection
from agiwb.runtimes.child.frames import Header
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import ServedSignature

START_TIMEOUT_S = 300.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LIVED_WELL_S = 60.0
"""A child that lasted this long did not die of its model: the next one is started without delay."""


class ChildRuntime:
    """A SavedModel or a ``.keras`` file in a process of its own.

    Thread safety: ``run`` may be called from any thread; requests of several threads run side by
    side. Ownership: the arrays returned are the caller's. Texts come back as ``bytes``.

    If the process is killed, the requests it had get a ServingError, and so do others until a new
    process has loaded the model: 0.5 s after the first death, then twice as long each time, up to
    30 s. ``close`` ends the process, which gives all its memory back.

    Attributes:
        signatures: All of the model, by name, with their TensorFlow Serving methods.
    """

    def __init__(
        self,
        path: Path,
        kind: Format,
        threads: int = 1,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Start the process and wait until it has loaded the model.

        Args:
            path: The model's file, ``saved_model.pb`` or ``model.keras``.
            kind: ``saved_model`` or ``keras``.
            threads: Threads within an operation, and operations side by side, for TensorFlow.
            start_timeout_s: Seconds that loading may take; TensorFlow itself takes several.

        Raises:
            InputError: The model cannot be loaded.
            ServingError: The process ended, or took too long.
        """
        self._path, self._kind, self._threads = path, kind, threads
        self._start_timeout_s = start_timeout_s
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._wait_s = _FIRST_WAIT_S
        self._loading: ChildConnection | None = None
        self._child = self._new_child()
        introduction = self._child.introduce(start_timeout_s)
        self._checks_shapes: bool = introduction["checks_shapes"]
        self.signatures: Mapping[str, ServedSignature] = _signatures(introduction)

    @property
    def pid(self) -> int:
        """The process that runs the model, or is to run it next."""
        return self._child.pid

    @property
    def signature(self) -> Signature:
        """That of ``serving_default``, or of the only one.

        Raises:
            InputError: There are several, and none of them is the default.
        """
        return self._signature(SIGNATURE_NAME).signature

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]],
        signature_name: str = SIGNATURE_NAME,
        outputs: Sequence[str] = (),
    ) -> Tensors:
        """Return the outputs by name for one batch; ``outputs`` names those wanted, if not all.

        Raises:
            InputError: There is no such signature or output, or the batch does not fit.
            WorkError: The model failed.
            ServingError: The process is gone.
        """
        signature = self._signature(signature_name).signature
        names = wanted([spec.name for spec in signature.outputs], outputs)
        tensors = check_inputs(signature, inputs, shapes=self._checks_shapes)
        header: Header = {"signature": signature_name, "outputs": names}
        return self._child.ask(header, tensors)

    def close(self) -> None:
        """End the process; requests that it has not answered get a ServingError."""
        self._closing.set()
        with self._changing:
            children = [self._child, self._loading]
        for child in children:
            if child is not None:
                child.close(at_once=True)

    def _signature(self, name: str) -> ServedSignature:
        found = self.signatures.get(name)
        if found is None:
            raise InputError(
                f"The model {self._path} has no signature `{name}`.",
                f"It has: {', '.join(self.signatures)}.",
            )
        return found

    def _new_child(self) -> ChildConnection:
        return ChildConnection(self._path, self._kind, self._threads, self._start_again)

    def _start_again(self) -> None:
        """Put a new child into the place of the one that ended."""
        if self._child.age_s > _LIVED_WELL_S:
            self._wait_s = _FIRST_WAIT_S
        while not self._closing.wait(self._wait_s):
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
            with self._changing:
                if self._closing.is_set():
                    return
                fresh = self._loading = self._new_child()
            try:
                fresh.introduce(self._start_timeout_s)
            except AgiwbError as error:
                logging.getLogger("agiwb").error("%s", error)  # noqa: TRY400  its text is for users
                continue
            with self._changing:
                self._child, self._loading = fresh, None
            if self._closing.is_set():
                fresh.close(at_once=True)
            return


def _signatures(introduction: Header) -> dict[str, ServedSignature]:
    return {
        name: ServedSignature(Signature.model_validate(entry["signature"]), entry["method"])
        for name, entry in introduction["signatures"].items()
    }
