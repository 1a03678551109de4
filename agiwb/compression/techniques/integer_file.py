"""From a model with trained ranges to an 8-bit LiteRT file, and to a plain Keras model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import WorkError
from agiwb.native_chatter import held_back

if TYPE_CHECKING:
    import keras


def has_trained_ranges(model: keras.Model) -> bool:
    """Return whether ``model`` came out of quantization-aware training."""
    from agiwb.compression.techniques.kernels import layers_within

    return any(type(layer).__name__ == "QuantizedLayer" for layer in layers_within(model))


def convert_trained(model: keras.Model) -> bytes:
    """Return ``model`` as a ``.tflite`` file's content with exactly the ranges it was trained with.

    Inputs and outputs stay float32; all between computes in 8 bits, weights by output channel.
    Nothing is calibrated. A kernel that was trained with one step for all its channels, because it
    has a codebook, gets a step by channel in the file: never a coarser one.

    Raises:
        WorkError: The model has no trained ranges, or a layer that stays in floats.
    """
    import tensorflow as tf

    from agiwb.compression.quantization import export_saved_model

    if not has_trained_ranges(model):
        raise WorkError(
            f"The model {model.name} has no trained ranges.", "Apply the stage `qat` to it first."
        )
    _require_integers(model.name, _float_layers(model))
    with tempfile.TemporaryDirectory() as folder:
        export_saved_model(_baked(model), Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE_NAME]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        with held_back():  # the 8-bit quantiser prints its settings
            content: bytes = converter.convert()
    _require_integers(model.name, _float_tensors(content))
    return content


def plain_model(model: keras.Model) -> keras.Model:
    """Return the model without wrappers: the same layers, with the kernels as they were rounded.

    Activations are floats again, so it is a little more precise than the 8-bit file. It can be
    saved, pruned or trained as any other model, and quantizing its kernels changes them no more.
    """
    import keras

    pairs: list[tuple[Any, Any]] = []

    def unwrap(layer: Any) -> Any:
        inner = layer.layer if type(layer).__name__ == "QuantizedLayer" else layer
        copy = type(inner).from_config(inner.get_config())
        pairs.append((layer, copy))
        return copy

    sequential = isinstance(model, keras.Sequential)  # which passes no masks as arguments
    plain = keras.models.clone_model(
        model,
        clone_function=unwrap,
        call_function=None if sequential else _without_mask,
        recursive=True,
    )
    for layer, copy in pairs:
        if type(layer).__name__ == "QuantizedLayer":
            _copy_rounded(layer, copy)
        else:
            copy.set_weights(layer.get_weights())
    from agiwb.compression.keras_model import rebuild

    return rebuild(plain)


def _without_mask(layer: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
    """Call ``layer`` without the ``mask`` that wrappers take and most layers do not.

    A mask that an embedding made travels with the tensor and needs no argument.
    """
    return layer(*args, **kwargs)


def _copy_rounded(layer: Any, copy: Any) -> None:
    """Write the weights of the wrapper ``layer`` into the plain layer ``copy``, kernels rounded."""
    from agiwb.compression.techniques.kernels import kernels_of

    copy.set_weights(layer.layer.get_weights())
    if layer.baked:
        return
    for kernel, (_, rounded) in zip(kernels_of(copy), layer.kernels(), strict=True):
        kernel.variable.assign(rounded)


def _baked(model: keras.Model) -> keras.Model:
    """Return a copy of ``model`` whose kernels are constants on their grids.

    The converter finds the same grid in them again, also after it has folded a normalisation into
    them. Operators that round weights would stop that folding, and for Dense fail to convert.
    """
    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.techniques.kernels import layers_within

    baked = rebuild(model)
    for layer in layers_within(baked):
        if type(layer).__name__ == "QuantizedLayer" and not layer.baked:
            for variable, rounded in layer.kernels():
                variable.assign(rounded)
            layer.baked = True
    return baked


def _require_integers(name: str, floats: list[str]) -> None:
    if floats:
        raise WorkError(
            f"The file of the model {name} would compute in floats in {', '.join(floats[:3])}.",
            "Quantize such a model's weights only (`dynamic`), or leave out those layers.",
        )


def _float_layers(model: keras.Model) -> list[str]:
    """Return the names of the layers that have no trained ranges inside."""
    from agiwb.compression.techniques.kernels import layers_within
    from agiwb.compression.techniques.quantization_points import LEFT

    return [
        layer.name
        for layer in layers_within(model)
        if type(layer).__name__ in LEFT or hasattr(layer, "cell")
    ]


def _float_tensors(content: bytes) -> list[str]:
    """Return the names of the float tensors inside the file; its inputs and outputs may be."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    outside = {tensor["index"] for tensor in ends}
    return [
        tensor["name"]
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] in (np.float32, np.float16) and tensor["index"] not in outside
    ]
