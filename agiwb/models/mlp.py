"""The multilayer perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import hidden_layers
from agiwb.models.preprocessing import comparable, raw_features
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def build_mlp(spec: ModelSpec) -> keras.Model:
    """Return flatten → one or more dense layers → answer, for numbers of any shape.

    Input ``features``: float32 ``(batch, *feature_shape)`` in the data's own units. Output: see
    ``head``. Of the size, ``units``, ``layers`` (1 by default), ``dropout``, ``l1``, ``l2`` and
    ``batch_norm`` count.

    Raises:
        ConfigError: The examples are not arrays of numbers.
    """
    import keras
    from keras import layers

    require_numbers("mlp", spec)
    features = raw_features(spec)
    x = layers.Flatten(name="flatten")(comparable(spec, features))
    x = hidden_layers(spec.size, x)
    return keras.Model(features, head(spec, x), name="mlp")


def require_numbers(family: str, spec: ModelSpec) -> None:
    """Raise ConfigError unless an example is one array of numbers."""
    spec.require(
        family,
        spec.kind in {"array", "image", "sequence"},
        "arrays of numbers",
        default_family(spec.kind, spec.task),
    )
