"""The recurrent network for sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import penalty
from agiwb.models.preprocessing import comparable, raw_features
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def build_rnn(spec: ModelSpec) -> keras.Model:
    """Return one or more LSTM or GRU layers → answer from the last step's state.

    Input ``features``: float32 ``(batch, steps, channels)`` in the data's own units; a grey image
    is read row by row. Output: see ``head``. Of the size, ``units``, ``layers`` (1 by default),
    ``cell``, ``dropout`` (after each layer), ``l1``, ``l2`` (of the input kernels) and
    ``batch_norm`` count. ``batch_norm`` means layer normalisation here, as is usual for recurrent
    networks: the statistics of a batch differ from step to step.

    Raises:
        ConfigError: The examples are neither sequences nor grey images.
    """
    import keras
    from keras import layers

    grey = len(spec.feature_shape) == 3 and spec.feature_shape[2] == 1
    spec.require(
        "rnn",
        spec.kind in {"sequence", "image", "array"} and (len(spec.feature_shape) == 2 or grey),
        "sequences of shape (steps, channels), or grey images",
        default_family(spec.kind, spec.task),
    )
    features = raw_features(spec)
    x = comparable(spec, features)
    if grey:
        x = layers.Reshape(spec.feature_shape[:2], name="rows")(x)
    cell = layers.LSTM if spec.size.cell == "lstm" else layers.GRU
    depth = spec.size.layers or 1
    for number in range(1, depth + 1):
        x = cell(
            spec.size.units,
            return_sequences=number < depth,
            kernel_regularizer=penalty(spec.size),
            name=f"{spec.size.cell}_{number}",
        )(x)
        if spec.size.batch_norm:
            x = layers.LayerNormalization(name=f"layer_norm_{number}")(x)
        x = layers.Dropout(spec.size.dropout, name=f"dropout_{number}")(x)
    return keras.Model(features, head(spec, x), name="rnn")
