"""Warming a model up before its first client: with the author's recorded requests, or with zeros.

The recorded requests are TensorFlow Serving's: ``assets.extra/tf_serving_warmup_requests``, a
TFRecord of ``PredictionLog`` messages, at most 1,000. Any that fails makes the load fail.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature
from agiwb.errors import AgiwbError, InputError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.servables.servable import Servable
from agiwb.serving.servables.tf_record import read_records, write_records

WARM_UP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
"""Where TensorFlow Serving looks for it, below a version's folder."""
MOST_RECORDS = 1000
ZERO_BATCHES = (1, 2, 8, 32)
"""Sizes that engines prepare buffers for, when there are no recorded requests."""

MOST_VALUES = 1 << 20
"""Numbers of zeros in one input; large images are not worth a long load."""


@dataclass(frozen=True)
class _Recorded:
    """One request of the file: a signature, its inputs, and the outputs wanted (none: all)."""

    signature_name: str
    inputs: Tensors
    outputs: tuple[str, ...] = ()


def warm_up(servable: Servable, folder: Path, *, iterations: int = 1) -> int:
    """Run the requests recorded in ``folder``, or batches of zeros; return how many ran.

    Zeros may be refused, as by convolutions larger than an image of one pixel; that is logged.

    Args:
        servable: The model, loaded.
        folder: The version's folder.
        iterations: How often each recorded request runs.

    Raises:
        InputError: The file is damaged or too long, or one of its requests fails; it is named.
    """
    path = folder / WARM_UP_FILE
    if path.is_file():
        return _run_recorded(servable, path, iterations)
    named = servable.signatures.get(SIGNATURE_NAME)
    return 0 if named is None else _run_zeros(servable, named.signature, folder)


def write_warm_up(
    folder: Path,
    batches: Iterable[Mapping[str, NDArray[Any]]],
    model: str = "",
    signature_name: str = "",
) -> Path:
    """Write predict requests to be run whenever the model in ``folder`` is loaded.

    Args:
        folder: The version's folder.
        batches: The inputs of each request, by name.
        model: The name in the requests; servers do not look at it.
        signature_name: "" for the default.

    Returns:
        The file, which TensorFlow Serving reads as well.

    Raises:
        InputError: There are more than 1,000.
    """
    from agiwb.serving.protobuf.messages import message_class
    from agiwb.serving.protobuf.tensor_proto import write_tensor

    records = []
    for batch in batches:
        log = message_class("PredictionLog")()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = model, signature_name
        for name, array in batch.items():
            write_tensor(np.asarray(array), request.inputs[name], as_content=True)
        records.append(log.SerializeToString(deterministic=True))
    if len(records) > MOST_RECORDS:
        raise _too_many(folder)
    path = folder / WARM_UP_FILE
    write_records(path, records)
    return path


def zero_batch(signature: Signature, rows: int = 1) -> Tensors:
    """Return zeros that fit the inputs: ``rows`` of them, with sizes of 1 where else free."""
    batch = {}
    for spec in signature.inputs:
        shape = [1 if size is None else size for size in spec.shape]
        if spec.shape and spec.shape[0] is None:
            shape[0] = rows
        batch[spec.name] = np.full(shape, "" if spec.dtype == "object" else 0, spec.dtype)
    return batch


def _run_zeros(servable: Servable, signature: Signature, folder: Path) -> int:
    ran = 0
    for rows in ZERO_BATCHES:
        batch = zero_batch(signature, rows)
        if rows > 1 and max((array.size for array in batch.values()), default=0) > MOST_VALUES:
            break
        try:
            servable.run(batch)
        except InputError as error:
            logging.getLogger("agiwb").warning("%s is not warmed: %s", folder, error)
            break
        ran += 1
    return ran


def _run_recorded(servable: Servable, path: Path, iterations: int) -> int:
    ran = 0
    for number, record in enumerate(read_records(path), 1):
        if number > MOST_RECORDS:
            raise _too_many(path)
        try:
            for request in _requests(record, servable):
                for _ in range(iterations):
                    servable.run(request.inputs, request.signature_name, request.outputs)
                    ran += 1
        except AgiwbError as error:
            raise InputError(
                f"The warm-up request {number} of {path} failed: {error.problem}",
                error.fix or "Write the requests again, for this version of the model.",
            ) from error
    return ran


def _requests(record: bytes, servable: Servable) -> Iterator[_Recorded]:
    """Yield what one PredictionLog asks for."""
    from agiwb.serving.protobuf.messages import parse_message

    log = parse_message("tensorflow.serving.PredictionLog", record)
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        yield _predict(log.predict_log.request)
    elif kind == "predict_streamed_log":
        yield from map(_predict, log.predict_streamed_log.request)
    elif kind in {"classify_log", "regress_log"}:
        request = getattr(log, kind).request
        yield _on_examples(request.model_spec.signature_name, request.input, servable)
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in request.tasks:
            yield _on_examples(task.model_spec.signature_name, request.input, servable)
    else:
        raise InputError(
            f"Unsupported log_type for warmup: {kind or 'none'}.",
            "Record predict, classify, regress or multi-inference requests.",
        )


def _predict(request: Any) -> _Recorded:
    from agiwb.serving.protobuf.tensor_proto import read_tensor

    return _Recorded(
        request.model_spec.signature_name or SIGNATURE_NAME,
        {name: read_tensor(proto, name) for name, proto in request.inputs.items()},
        tuple(request.output_filter),
    )


def _on_examples(signature_name: str, request_input: Any, servable: Servable) -> _Recorded:
    from agiwb.serving.protobuf.examples import serialized_examples

    name = signature_name or SIGNATURE_NAME
    named = servable.signatures.get(name)
    inputs: Sequence[Any] = named.signature.inputs if named else ()
    if len(inputs) != 1:
        raise InputError(
            f"The signature `{name}` does not take examples: it has {len(inputs)} inputs.",
            "Record requests for the signatures of this model.",
        )
    return _Recorded(name, {inputs[0].name: serialized_examples(request_input)})


def _too_many(path: Path) -> InputError:
    return InputError(
        f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path}.",
        "Keep those that differ in shape.",
    )
