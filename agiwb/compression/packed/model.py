"""Keras models in the packed container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.compression.packed.byte_reader import damaged
from agiwb.compression.packed.container import pack_arrays, read_architecture, unpack
from agiwb.errors import InputError
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras


def pack(model: keras.Model, *, keep_zero_signs: bool = False) -> bytes:
    """Return the packed file of ``model``: its architecture and weights, without an optimiser.

    The weights come back bit for bit, except that each -0.0 becomes 0.0, which no layer tells
    apart. Multiplying negative weights by a mask makes -0.0; telling these from 0.0 takes one bit
    a pruned weight, more than all else together. With ``keep_zero_signs`` they are kept as well.

    Raises:
        InputError: A weight has a dtype that cannot be packed.
    """
    from agiwb.compression.keras_model import rebuild

    plain = rebuild(model)
    arrays = {
        name: weight.numpy() for name, weight in zip(_names(plain), plain.weights, strict=True)
    }
    return pack_arrays(arrays, plain.to_json(), keep_zero_signs=keep_zero_signs)


def unpack_model(content: bytes) -> keras.Model:
    """Return the Keras model of a packed file, uncompiled.

    Raises:
        InputError: ``content`` is no packed model, a damaged one, or one whose layers are unknown.
    """
    arrays = list(unpack(content).values())
    architecture = read_architecture(content)
    if not architecture:
        raise InputError(
            "The packed file holds arrays but no architecture.", "Read it with `unpack`."
        )
    import_tensorflow()
    import keras

    try:
        model = keras.models.model_from_json(architecture)
    except Exception as error:
        # Keras fails in any way on a class it does not know or a field that is wrong.
        raise InputError(
            f"Keras cannot rebuild the packed model: {' '.join(str(error).split())[:300]}",
            "Import the package that defines its layers first.",
        ) from error
    if [tuple(weight.shape) for weight in model.weights] != [array.shape for array in arrays]:
        raise damaged("its weights do not fit its architecture")
    model.set_weights(arrays)
    return model


def _names(model: keras.Model) -> list[str]:
    """Return the weights' paths, made unique where layers share a name."""
    names: dict[str, None] = {}
    for number, weight in enumerate(model.weights):
        path = weight.path
        names[f"{path}:{number}" if path in names else path] = None
    return list(names)
