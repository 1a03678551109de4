"""Running OpenVINO's intermediate representation on the processor."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.native_chatter import held_back
from agiwb.runtimes.checking import check_inputs, first_sentence, unreadable
from agiwb.runtimes.runtime import Tensors


class OpenVinoRuntime:
    """A loaded ``model.xml`` with its ``model.bin``; see Runtime for the contract.

    ``run`` holds a lock, as a request serves one caller at a time.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the model.

        Raises:
            InputError: The package openvino is not installed, or cannot read the file.
        """
        if importlib.util.find_spec("openvino") is None:
            raise InputError(
                f"The file {path} needs the package openvino, which is not installed.",
                "Install the extra: `pip install 'agiwb[openvino]'`.",
            )
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            # The processor's plugin would else compute in 16 bits where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            with held_back():  # each of its readers says that the file is not its own
                compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            # The message begins with the places in the source that it came through.
            said = [line for line in str(error).splitlines() if line.strip()][-1:]
            raise unreadable(path, "an OpenVINO", RuntimeError(*said)) from error
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self._signature = Signature(
            inputs=_specs(compiled.inputs), outputs=_specs(compiled.outputs)
        )

    @property
    def signature(self) -> Signature:
        """Names, dtypes and shapes of inputs and outputs."""
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Return every output by name for one batch.

        Raises:
            InputError: A name, dtype or shape does not fit the signature, or the model itself
                refuses the batch.
        """
        checked = check_inputs(self._signature, inputs)
        with self._lock:
            try:
                answers = self._request.infer(checked)
            except RuntimeError as error:
                raise InputError(
                    f"The model refuses this batch: {first_sentence(error)}",
                    "Give values like those it was trained on.",
                ) from error
            # The arrays are views of the request's own buffers.
            values = [np.array(answers[port]) for port in range(len(self._signature.outputs))]
        names = (spec.name for spec in self._signature.outputs)
        return dict(zip(names, values, strict=True))


def _specs(ports: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=port.get_any_name(),
            dtype=np.dtype(port.get_element_type().to_dtype()).name,
            shape=tuple(
                int(size.get_length()) if size.is_static else None
                for size in port.get_partial_shape()
            ),
        )
        for port in ports
    )
