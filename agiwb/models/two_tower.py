"""The two-tower model for ranking: users and items as vectors in one space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.categories import embedded, most_frequent
from agiwb.models.families import default_family
from agiwb.models.head import score
from agiwb.models.hidden import penalty
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_SIDES = ("user", "item")


def build_two_tower(spec: ModelSpec) -> keras.Model:
    """Return the dot product of a user's and an item's vector, as a score.

    Each tower is embedding → dense layers → a vector of ``units``. The last layer's bias lets a
    tower state how high its user or item scores with all others, as the biases of a matrix
    factorisation do. Names that the sample does not have share one untrained vector.

    Inputs ``user`` and ``item``: strings ``(batch,)``. Output ``score``: ``(batch, 1)``, see
    ``agiwb.models.head.score``. Of the size, ``units``, ``layers`` (1 by default), ``dropout``,
    ``l1``, ``l2`` and ``vocabulary`` count.

    Raises:
        ConfigError: The examples are not pairs to be ranked.
    """
    import keras
    from keras import layers

    spec.require(
        "two_tower",
        spec.kind == "pairs" and spec.task == "ranking",
        "pairs of user and item to be ranked",
        default_family(spec.kind, spec.task),
    )
    inputs = {side: keras.Input((), dtype="string", name=side) for side in _SIDES}
    towers = [_tower(spec, side, names) for side, names in inputs.items()]
    match = layers.Dot(axes=1, dtype="float32", name="dot")(towers)
    return keras.Model(list(inputs.values()), score(spec, match), name="two_tower")


def _tower(spec: ModelSpec, side: str, names: keras.KerasTensor) -> keras.KerasTensor:
    """Return the vectors of the users or items ``names``: ``(batch, units)``."""
    from keras import layers

    size = spec.size
    vocabulary = most_frequent(spec.sample.features[side], size.vocabulary)
    x = embedded(names, vocabulary, size.units, side)
    for number in range(1, size.layers or 1):
        x = layers.Dense(
            size.units,
            activation="relu",
            kernel_regularizer=penalty(size),
            name=f"{side}_hidden_{number}",
        )(x)
    x = layers.Dropout(size.dropout, name=f"{side}_dropout")(x)
    return layers.Dense(size.units, kernel_regularizer=penalty(size), name=f"{side}_vector")(x)
