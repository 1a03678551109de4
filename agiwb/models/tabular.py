"""The network for tables of numbers and categories, with gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agiwb.errors import ConfigError
from agiwb.models.categories import embedded, most_frequent
from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import hidden_layers
from agiwb.models.preprocessing import moments
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def build_tabular(spec: ModelSpec) -> keras.Model:
    """Return standardised numbers and embedded categories → dense layers → answer.

    A number is standardised with mean and standard deviation of its column. A missing one (NaN)
    stands for the column's mean, and where the sample has gaps in a column, one more feature says
    whether this row has one. A category that the sample does not have shares the vector of all
    unknown ones; an empty text is a category of its own.

    Inputs: one a column under its name, ``(batch,)``, float32 or string. Output: see ``head``. Of
    the size, ``units``, ``layers`` (2 by default), ``dropout``, ``l1``, ``l2``, ``batch_norm`` and
    ``vocabulary`` (categories of one column) count.

    Raises:
        ConfigError: The examples are not rows of a table, or Keras cannot take a column's name.
    """
    import keras
    from keras import layers

    spec.require("tabular", spec.kind == "table", "tables", default_family(spec.kind, spec.task))
    inputs = {name: _column(spec, name) for name in spec.sample.features.dtype.names or ()}
    numbers = {name: x for name, x in inputs.items() if x.dtype == "float32"}
    parts = _numeric(spec, numbers) if numbers else []
    parts += [
        _category(spec, name, x, f"category_{position}")
        for position, (name, x) in enumerate(inputs.items(), start=1)
        if name not in numbers
    ]
    x = layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
    answer = head(spec, hidden_layers(spec.size, x, default_layers=2))
    try:
        return keras.Model(list(inputs.values()), answer, name="tabular")
    except ValueError as error:
        raise ConfigError(
            f"`architecture` tabular has a layer with the name of a column: {error}",
            "Rename the column.",
        ) from error


def _column(spec: ModelSpec, name: str) -> keras.KerasTensor:
    import keras

    if "/" in name:
        raise ConfigError(
            f"`architecture` tabular cannot take the column {name!r}: Keras allows no / in names.",
            "Rename the column.",
        )
    is_number = spec.sample.features.dtype[name].kind == "f"
    return keras.Input((), dtype="float32" if is_number else "string", name=name)


def _numeric(spec: ModelSpec, inputs: dict[str, keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Return the standardised columns, ``(batch, columns)``, and which are missing, if any can."""
    from keras import layers, ops

    values = np.stack([spec.sample.features[name] for name in inputs], axis=1)
    mean, variance = moments(values, axes=(1,))
    x = layers.Normalization(mean=mean, variance=variance, dtype="float32", name="standardize")(
        ops.stack(list(inputs.values()), axis=1)
    )
    parts = [ops.where(ops.isnan(x), 0.0, x)]  # the mean, once standardised
    with_gaps = [x for name, x in inputs.items() if np.isnan(spec.sample.features[name]).any()]
    if with_gaps:
        parts.append(ops.cast(ops.isnan(ops.stack(with_gaps, axis=1)), "float32"))
    return parts


def _category(
    spec: ModelSpec, name: str, column: keras.KerasTensor, layer: str
) -> keras.KerasTensor:
    """Return vectors of the column ``name``; ``layer`` because Keras refuses blanks in names."""
    vocabulary = most_frequent(spec.sample.features[name], spec.size.vocabulary)
    # A rule of thumb that fastai found to work: many categories, slowly growing vectors.
    width = min(spec.size.units, round(1.6 * (len(vocabulary) + 1) ** 0.56))
    return embedded(column, vocabulary, width, layer)
