"""Whether a model that agiwb did not build takes the data's examples and answers its task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.artifacts.signature import TensorSpec
from agiwb.errors import ConfigError, NotFoundError
from agiwb.models.loading import admits, load_keras_model
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_TRIED_EXAMPLES = 8
_ROUNDING = 0.01  # of a sum of probabilities in 16 bits
_SHOWN = 8  # tensors of a side, in a message


def saved_file(path: Path) -> Path:
    """Return ``path``; raise NotFoundError unless it is a file."""
    if not path.is_file():
        raise NotFoundError(f"`architecture`: there is no file {path}.", "Check the path.")
    return path


def starting_model(path: Path, spec: ModelSpec) -> keras.Model:
    """Return the saved model at ``path`` with its weights, sure to fit the data of ``spec``.

    Raises:
        NotFoundError: The file is not there or cannot be loaded.
        ConfigError: The model takes other examples or answers another task.
    """
    model = load_keras_model(saved_file(path))
    require_fit(model, spec, f"The model {path}")
    return model


def require_fit(model: keras.Model, spec: ModelSpec, whose: str) -> None:
    """Raise ConfigError unless ``model`` takes raw examples of ``spec`` and answers its task.

    It is asked about a few examples, so that a model which gives logits where probabilities are
    wanted is found before it is trained.

    Args:
        model: A Keras model, trained or not.
        spec: The data's side.
        whose: The model, as the subject of a sentence.
    """
    takes, gives = _tensors(model, "inputs"), _tensors(model, "outputs")
    wanted = _wanted_inputs(spec)
    answer = TensorSpec(name="one output", dtype="float32", shape=(None, spec.outputs))
    fits = len(gives) == 1 and admits(gives[0].shape, answer.shape)
    if not fits or not _inputs_fit(spec, takes, wanted):
        raise ConfigError(
            f"{whose} takes {_listed(takes)} and gives {_listed(gives)}. The data set wants a "
            f"model for {spec.task} that takes {_listed(wanted)} and gives {answer}.",
            "Give an `architecture` that fits the `dataset`.",
        )
    _require_sound_answers(model, spec, whose)


def _wanted_inputs(spec: ModelSpec) -> list[TensorSpec]:
    columns = spec.sample.features.dtype
    if columns.names:
        types = {
            name: "float32" if columns[name].kind == "f" else "string" for name in columns.names
        }
        return [TensorSpec(name=name, dtype=types[name], shape=(None,)) for name in types]
    name, dtype = ("text", "string") if spec.kind == "text" else ("features", "float32")
    return [TensorSpec(name=name, dtype=dtype, shape=(None, *spec.feature_shape))]


def _inputs_fit(spec: ModelSpec, takes: list[TensorSpec], wanted: list[TensorSpec]) -> bool:
    """Return whether all wanted inputs are taken. Columns go by name, a single array does not."""
    if len(takes) != len(wanted):
        return False
    if not spec.sample.features.dtype.names:
        return _takes(takes[0], wanted[0])
    by_name = {taken.name: taken for taken in takes}
    return all(one.name in by_name and _takes(by_name[one.name], one) for one in wanted)


def _takes(taken: TensorSpec, wanted: TensorSpec) -> bool:
    same_type = (taken.dtype == "string") == (wanted.dtype == "string")
    # Keras itself makes a column of single values.
    shapes = [wanted.shape] if len(wanted.shape) > 1 else [wanted.shape, (*wanted.shape, 1)]
    return same_type and any(admits(taken.shape, shape) for shape in shapes)


def _require_sound_answers(model: keras.Model, spec: ModelSpec, whose: str) -> None:
    """Raise ConfigError unless the model answers a few examples, with probabilities if wanted."""
    from keras import ops

    try:
        answers = ops.convert_to_numpy(model(_examples(spec), training=False)).astype(np.float32)
    except Exception as error:  # whatever a layer raises
        raise ConfigError(
            f"{whose} fails on the first examples: {_one_line(error)}",
            "Let it take the data's raw input.",
        ) from error
    if spec.task in {"regression", "ranking"}:
        return
    sums = answers.sum(axis=1)
    within = bool(((answers >= 0) & (answers <= 1 + _ROUNDING)).all())
    if within and (spec.task == "multilabel" or np.allclose(sums, 1, atol=_ROUNDING)):
        return
    wanted = "a sigmoid a label" if spec.task == "multilabel" else "a softmax over the classes"
    raise ConfigError(
        f"{whose} gives no probabilities: its answer to the first example is "
        f"{np.array2string(answers[0], precision=3, threshold=5)}.",
        f"End it with {wanted}.",
    )


def _examples(spec: ModelSpec) -> Any:
    """Return a few examples as a model takes them: one tensor, or one a column by name."""
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    features = spec.sample.sample(_TRIED_EXAMPLES).features
    if names := features.dtype.names:
        return {name: tf.convert_to_tensor(features[name].copy()) for name in names}
    return tf.convert_to_tensor(features)


def _tensors(model: keras.Model, side: str) -> list[TensorSpec]:
    """Return what goes into or comes out of ``model``; nothing if it does not say."""
    return [
        TensorSpec(name=tensor.name, dtype=tensor.dtype, shape=tuple(tensor.shape))
        for tensor in getattr(model, side, None) or []
    ]


def _listed(tensors: list[TensorSpec]) -> str:
    shown = "; ".join(str(tensor) for tensor in tensors[:_SHOWN])
    more = f" and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
    return f"{shown}{more}" if tensors else "nothing that it tells"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
