"""Dense layers between the preprocessing and the answer, and the penalty on every kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.specification import Size

if TYPE_CHECKING:
    import keras

MOMENTUM = 0.9
"""Of batch normalisation: Keras' 0.99 needs thousands of batches; small data sets have hundreds."""


def penalty(size: Size) -> keras.Regularizer | None:
    """Return the L1 and L2 penalty on a kernel, or None where both are zero."""
    import keras

    if not (size.l1 or size.l2):
        return None
    return keras.regularizers.L1L2(size.l1, size.l2)


def hidden_layers(size: Size, x: keras.KerasTensor, default_layers: int = 1) -> keras.KerasTensor:
    """Return ``x``, ``(batch, width)``, after dense → [batch norm] → ReLU → dropout, repeated.

    Args:
        size: ``units``, ``layers``, ``dropout``, ``l1``, ``l2`` and ``batch_norm`` count.
        x: What goes in.
        default_layers: Number of layers where ``size`` leaves it open.
    """
    from keras import layers

    for number in range(1, (size.layers or default_layers) + 1):
        x = layers.Dense(
            size.units,
            activation=None if size.batch_norm else "relu",
            use_bias=not size.batch_norm,  # the normalisation has its own
            kernel_regularizer=penalty(size),
            name=f"hidden_{number}",
        )(x)
        if size.batch_norm:
            x = layers.BatchNormalization(momentum=MOMENTUM, name=f"batch_norm_{number}")(x)
            x = layers.ReLU(name=f"relu_{number}")(x)
        x = layers.Dropout(size.dropout, name=f"dropout_{number}")(x)
    return x
