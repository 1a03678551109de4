"""The model to convert, as every converter takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.input_names import fitting_name
from agiwb.artifacts.manifest import Format, Preprocessing
from agiwb.artifacts.resolve import ArtifactSource, ModelSource
from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME
from agiwb.conversion.options import ConversionOptions
from agiwb.conversion.parity.questions import by_input
from agiwb.conversion.without_preprocessing import cut_preprocessing, output_names
from agiwb.datasets.dataset import CLASSIFYING, Dataset
from agiwb.errors import InputError
from agiwb.models.loading import load_keras_model
from agiwb.models.release import release_weights
from agiwb.runtimes.keras import model_signature

if TYPE_CHECKING:
    import keras

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ConversionSource:
    """A model that is to be converted.

    Attributes:
        model: The Keras model as it was saved, without optimiser and without the layers that it
            leaves to its callers; None if the source is no Keras file.
        named: The same layers and weights between dicts of named tensors, from which all formats
            but Keras' own take the names of their signature.
        classes: What the outputs stand for, in order.
        sha256: Digest of the file the model was read from.
        options: How to write.
        samples: Training examples by the names of ``named``'s inputs, from which integer formats
            learn the activations' ranges.
        format: What the source is.
        folder: Where the source's model file lies, if it is an artifact.
        saved_model: ``named`` as a SavedModel, if it has been written already.
        preprocessing: What ``named`` leaves to its callers, if anything.
        first_layers: The layers that ``named`` leaves out, from the model's inputs to its own.
        renamed: What ``named`` calls the model's inputs, where their own names do not fit: a
            SavedModel's consist of letters, digits and ``_``.
    """

    model: keras.Model | None
    named: keras.Model | None
    classes: tuple[str, ...]
    sha256: str
    options: ConversionOptions = field(default_factory=ConversionOptions)
    samples: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    format: Format = "keras"
    folder: Path | None = None
    saved_model: Path | None = None
    preprocessing: Preprocessing | None = None
    first_layers: keras.Model | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def keras_model(self) -> keras.Model:
        """The model as it was saved; raises InputError if the source is no Keras file."""
        return self._of_keras(self.model)

    @property
    def named_model(self) -> keras.Model:
        """The named model; raises InputError if the source is no Keras file."""
        return self._of_keras(self.named)

    def prepared(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Return the model's inputs as the converted formats take them, after the first layers."""
        if self.first_layers is None:
            return {self.renamed.get(name, name): value for name, value in inputs.items()}
        import tensorflow as tf

        answers = self.first_layers({name: tf.constant(value) for name, value in inputs.items()})
        return {
            self.renamed.get(name, name): np.asarray(answer) for name, answer in answers.items()
        }

    def let_go(self) -> None:
        """Give the memory of the weights back; the models can be looked at, and not asked."""
        if self.model is not None:
            release_weights(self.model)

    def _of_keras(self, model: keras.Model | None) -> keras.Model:
        if model is None:
            raise InputError(
                f"The source is a {self.format} model, which has no layers for Keras to write.",
                "Convert the Keras model that it was made from.",
            )
        return model


def source_for(
    model: keras.Model,
    found: ModelSource,
    data: Dataset,
    options: ConversionOptions | None = None,
    *,
    samples: int = 0,
    preprocessing: bool = True,
    judged: bool = True,
) -> ConversionSource:
    """Return what the converters take for a model that was loaded for its data.

    Args:
        model: What ``load_model_for`` returned for ``found``.
        found: The model's file.
        data: What it was trained on.
        options: How to write.
        samples: Training examples to learn the ranges of activations from.
        preprocessing: Whether the converted formats take the raw inputs; otherwise they begin
            after the layers that read strings.
        judged: Whether the model does the data's task; otherwise its answers are no classes.

    Raises:
        InputError: ``preprocessing`` is False, and the model has none that could be left out.
    """
    classifies_arrays = judged and data.task in CLASSIFYING and data.features_are_numbers
    drawn = {}
    if samples:
        drawn = by_input(
            data.train.sample(samples).features, model_signature(model, found.path), data.name
        )
    return source_of(
        model,
        data.classes if judged else (),
        found.fingerprint,
        options,
        drawn,
        contract=classifies_arrays and len(model.inputs) == len(model.outputs) == 1,
        preprocessing=preprocessing,
    )


def source_of(
    model: keras.Model,
    classes: tuple[str, ...],
    sha256: str,
    options: ConversionOptions | None = None,
    samples: Mapping[str, NDArray[Any]] | None = None,
    *,
    contract: bool = True,
    preprocessing: bool = True,
) -> ConversionSource:
    """Return what the converters take for a Keras model that is loaded already.

    Args:
        model: Built, with any number of inputs and outputs.
        classes: What the outputs stand for, in order.
        sha256: Digest of its file.
        options: How to write.
        samples: Training examples by the names of the model's own inputs.
        contract: Whether it maps ``features`` to ``probabilities``, whatever its own names are.
        preprocessing: See ``source_for``.
    """
    first_layers, about, rest = None, None, model
    if not preprocessing:
        first_layers, rest, about = cut_preprocessing(model)
    fitting = {tensor.name: fitting_name(tensor.name) for tensor in rest.inputs}
    if contract:
        fitting = dict.fromkeys(fitting, INPUT_NAME)
    source = ConversionSource(
        rest,
        _named(rest, fitting, OUTPUT_NAME if contract else ""),
        classes,
        sha256,
        options or ConversionOptions(),
        preprocessing=about,
        first_layers=first_layers,
        renamed={name: fit for name, fit in fitting.items() if fit != name},
    )
    return replace(source, samples=source.prepared(samples)) if samples else source


def artifact_source(
    found: ArtifactSource, options: ConversionOptions, samples: Mapping[str, NDArray[Any]]
) -> ConversionSource:
    """Return an artifact as the source of a further conversion; see ``reachable``."""
    kind, folder = found.artifact.format, found.folder
    about = (found.artifact.classes, found.fingerprint, options, samples, kind, folder)
    if kind in {"keras", "h5"}:
        model = load_keras_model(folder / found.artifact.files[0].path)
        names = {tensor.name: tensor.name for tensor in model.inputs}
        return ConversionSource(model, _named(model, names), *about)
    return ConversionSource(None, None, *about, folder if kind == "saved_model" else None)


def _named(model: keras.Model, taken: Mapping[str, str], given: str = "") -> keras.Model:
    """Return the model between dicts of tensors; ``taken`` has the inputs' new names."""
    import keras

    names = output_names(model)
    inputs = {
        taken[tensor.name]: keras.Input(
            tensor.shape[1:], dtype=tensor.dtype, name=taken[tensor.name]
        )
        for tensor in model.inputs
    }
    inner = model
    if model.name in inputs:  # one name for two operations is an error
        inner = keras.Model(model.input, model.output, name=f"{model.name}_layers")
    answers = keras.tree.flatten(inner(_packed(model, list(inputs.values()))))
    outputs = {given or name: answer for name, answer in zip(names, answers, strict=True)}
    return keras.Model(inputs, outputs, name=model.name)


def _packed(model: keras.Model, tensors: list[Any]) -> Any:
    """Return tensors in the structure that the model was built with: one, a list or a dict."""
    import keras

    structure = getattr(model, "input", None)
    if not isinstance(structure, (list, tuple, dict)):
        return tensors[0]
    return keras.tree.pack_sequence_as(structure, tensors)
