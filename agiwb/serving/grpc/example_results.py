"""Classify's and Regress's side of a signature: does it fit, and what do its outputs say.

The rules and the words are those of TensorFlow Serving's ``classifier.cc`` and ``regressor.cc``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, REGRESS_METHOD, ServedSignature
from agiwb.serving.rest_json.strings import as_bytes
from agiwb.serving.status import Code, Refusal

INPUTS = "inputs"
"""What both methods call their one input: serialized ``tf.Example`` messages."""
_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"


def check_classification(served: ServedSignature, *, method: bool = True) -> None:
    """Raise Refusal unless Classify may run the signature; ``method`` checks its method too."""
    if method and served.method != CLASSIFY_METHOD:
        raise _refusal(
            "Expected classification signature method_name to be "
            f"{CLASSIFY_METHOD}. Was: {served.method}"
        )
    inputs, outputs = _names(served)
    if len(inputs) != 1:
        raise _refusal("Expected one input Tensor.")
    if len(outputs) not in {1, 2}:
        raise _refusal(f"Expected one or two output Tensors, found {len(outputs)}")
    if inputs != [INPUTS]:
        raise _refusal(f"No classification inputs found in SignatureDef: {served.signature}")
    if _CLASSES not in outputs and _SCORES not in outputs:
        raise _refusal(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {served.signature}'
        )


def check_regression(served: ServedSignature, *, method: bool = True) -> None:
    """Raise Refusal unless Regress may run the signature; ``method`` checks its method too."""
    if method and served.method != REGRESS_METHOD:
        raise _refusal(
            f"Expected regression signature method_name to be {REGRESS_METHOD}. "
            f"Was: {served.method}"
        )
    inputs, outputs = _names(served)
    if len(inputs) != 1:
        raise _refusal("Expected one input Tensor.")
    if len(outputs) != 1:
        raise _refusal("Expected one output Tensor.")
    if inputs != [INPUTS]:
        raise _refusal(f"No regression inputs found in SignatureDef: {served.signature}")
    if outputs != [_OUTPUTS]:
        raise _refusal(f"No regression outputs found in SignatureDef: {served.signature}")


def write_classifications(outputs: Tensors, examples: int, result: Any) -> None:
    """Write ``classes`` and ``scores``, each of shape (examples, classes), to the result.

    Raises:
        Refusal: A shape or a type is another.
    """
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    if classes is not None:
        _check_matrix(classes, _CLASSES, "OSU", "DT_STRING", examples)
    if scores is not None:
        _check_matrix(scores, _SCORES, "f", "DT_FLOAT", examples)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise _refusal(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    labels = None if classes is None else classes.tolist()
    numbers = None if scores is None else scores.tolist()
    columns = next(array.shape[1] for array in (classes, scores) if array is not None)
    for row in range(examples):
        listed = result.classifications.add().classes
        for column in range(columns):
            entry = listed.add()
            if labels is not None:
                entry.label = as_bytes(labels[row][column]).decode(errors="replace")
            if numbers is not None:
                entry.score = numbers[row][column]


def write_regressions(outputs: Tensors, examples: int, result: Any) -> None:
    """Write ``outputs``, of shape (examples,) or (examples, 1), to the result.

    Raises:
        Refusal: The shape or the type is another.
    """
    values = outputs[_OUTPUTS]
    if values.ndim not in {1, 2} or (values.ndim == 2 and values.shape[1] != 1):
        raise _refusal(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {_shape(values)}"
        )
    if len(values) != examples:
        raise _refusal(
            f"Input batch size did not match output batch size: {examples} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise _refusal(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype.name}")
    for value in values.ravel().tolist():
        result.regressions.add().value = value


def _check_matrix(array: NDArray[Any], name: str, kinds: str, expected: str, examples: int) -> None:
    if array.ndim != 2:
        raise _refusal(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if array.dtype.kind not in kinds:
        raise _refusal(f"Expected {name} Tensor of {expected}. Got: {array.dtype.name}")
    if len(array) != examples:
        raise _refusal(f"Expected {name} output batch size of {examples}. Got: {len(array)}")


def _names(served: ServedSignature) -> tuple[list[str], list[str]]:
    signature = served.signature
    return [spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs]


def _shape(array: NDArray[Any]) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _refusal(problem: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, problem)
