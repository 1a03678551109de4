"""Signatures over ``tf.Example``, for clients of TensorFlow Serving's Classify and Regress."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.errors import InputError
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras

_INPUT = "inputs"
"""What TensorFlow Serving's classify and regress methods call their input."""

METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}


def example_endpoints(model: keras.Model, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return a function for ``classify`` or ``regress``, over serialised ``tf.Example``.

    ``classify`` gives ``classes`` and ``scores``, both ``(batch, classes)``; ``regress`` gives
    ``outputs``, ``(batch,)``. A feature of the example has the name of the model's input.

    Args:
        model: Between dicts, with one output: a probability a class, or one number.
        classes: In order; none for a number.

    Raises:
        InputError: The model has several outputs, or an input with a free size besides the batch.
    """
    tf = import_tensorflow()
    if len(model.outputs) != 1:
        raise InputError(
            f"Signatures over tf.Example give one output, and the model has {len(model.outputs)}.",
            "Leave out `example_signatures`.",
        )
    described = {}
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise InputError(
                f"The input {tensor.name} has a free size, which a tf.Example cannot hold.",
                "Leave out `example_signatures`.",
            )
        stored = _stored_type(tf, tensor.dtype)
        described[tensor.name] = tf.io.FixedLenFeature(tensor.shape[1:], stored)
    types = {tensor.name: tensor.dtype for tensor in model.inputs}
    batch = [tf.TensorSpec((None,), tf.string, name=_INPUT)]

    def answer(examples: Any) -> Any:
        parsed = tf.io.parse_example(examples, described)
        inputs = {
            name: tf.cast(x, types[name]) if _is_number(types[name]) else x
            for name, x in parsed.items()
        }
        return next(iter(model(inputs, training=False).values()))

    def classify(examples: Any) -> dict[str, Any]:
        scores = answer(examples)
        names = tf.tile(tf.constant([list(classes)]), [tf.shape(scores)[0], 1])
        return {"classes": names, "scores": scores}

    def regress(examples: Any) -> dict[str, Any]:
        return {"outputs": tf.reshape(answer(examples), [-1])}

    name, function = ("classify", classify) if classes else ("regress", regress)
    return {name: tf.function(function, input_signature=batch, autograph=False)}


def add_methods(folder: Path, names: Iterable[str]) -> None:
    """Write into a SavedModel which method of TensorFlow Serving each signature is for.

    ``tf.saved_model.save`` calls them all predict.
    """
    wanted = list(names)
    if not wanted:
        return
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / "saved_model.pb"
    message = SavedModel.FromString(path.read_bytes())
    for name in wanted:
        signature = message.meta_graphs[0].signature_def[name]
        signature.method_name = METHODS[name]
        if _INPUT not in signature.inputs:
            (key,) = signature.inputs
            signature.inputs[_INPUT].CopyFrom(signature.inputs[key])
            del signature.inputs[key]
    path.write_bytes(message.SerializeToString())


def _stored_type(tf: Any, dtype: str) -> Any:
    """Return the type that a tf.Example stores values of ``dtype`` in: it has three."""
    if not _is_number(dtype):
        return tf.string
    return tf.float32 if dtype.startswith(("float", "bfloat")) else tf.int64


def _is_number(dtype: str) -> bool:
    return dtype != "string"
