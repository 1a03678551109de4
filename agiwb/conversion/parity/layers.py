"""Which layer of the model is the first whose answers an artifact does not give.

The artifact is run once more with all that lies between its operators as outputs, and each layer
of the model is compared with the tensor that bears its name.
"""

from __future__ import annotations

import itertools
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import Format
from agiwb.conversion.parity.check import NEED_TENSORFLOW
from agiwb.conversion.parity.report import LayerDivergence
from agiwb.conversion.parity.tensor_file import read_cases, write_cases
from agiwb.conversion.parity.tolerance import TOLERANCES
from agiwb.conversion.parity.traced import OUTPUT, TRACEABLE
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process
from agiwb.runtimes.runtime import Tensors

if TYPE_CHECKING:
    import keras

_EXAMPLES = 8
_MOST_DIMENSIONS = 5


@dataclass(frozen=True)
class _Compared:
    """A layer, how far the artifact's tensor is from its answer, and its place in the model."""

    name: str
    kind: str
    error: float
    place: int


def first_divergence(
    model: keras.Model,
    folder: Path,
    wanted: Format,
    asked: Tensors,
    given: Tensors | None = None,
    limits: Limits | None = None,
) -> LayerDivergence | None:
    """Return the first layer after the last one that agrees; None if no layer differs.

    That is what it would take to be sure of: a converter may have folded a layer into the next
    one, whose answers then stand under the former's name, but what is wrong stays wrong. Not so
    NaN, of which a ReLU may make zeros: a layer that gives it is the first at once. A layer of
    which the artifact has no tensor (it was fused, or removed) is passed over.

    Args:
        model: The Keras model, built from layers that are connected.
        folder: Of the artifact.
        wanted: Its format; None is returned for one that cannot be looked into.
        asked: Examples by the names of ``model``'s inputs; the first 8 are used.
        given: The same as the artifact takes them, if it begins after the model's first layers.
        limits: Of the fresh process.

    Raises:
        InputError, WorkError: The artifact cannot be run; see ``call_in_fresh_process``.
    """
    if wanted not in TRACEABLE:
        return None
    few = {name: array[:_EXAMPLES] for name, array in asked.items()}
    taken = {name: array[:_EXAMPLES] for name, array in (given or asked).items()}
    traced = _trace(folder, wanted, taken, limits)
    answers = _layer_answers(model, few)
    compared = _compare(answers, _with_layers(traced, model))
    index = _first(compared, TOLERANCES[wanted].layer_error)
    if index is None:
        return None
    first, before = compared[index], compared[index - 1] if index else None
    since = before.place + 1 if before else 0
    return LayerDivergence(
        layer=first.name,
        layer_class=first.kind,
        error=first.error,
        error_before=before.error if before else None,
        fused=tuple(layer.name for layer, _ in answers[since : first.place]),
    )


def _first(compared: Sequence[_Compared], limit: float) -> int | None:
    """Return the index of the layer where it begins, None if the last one agrees."""
    for index, layer in enumerate(compared):
        if math.isinf(layer.error):
            return index
    agreeing = [index for index, layer in enumerate(compared) if layer.error <= limit]
    index = agreeing[-1] + 1 if agreeing else 0
    return index if index < len(compared) else None


def _trace(folder: Path, wanted: Format, taken: Tensors, limits: Limits | None) -> Tensors:
    """Return the artifact's tensors in the order of computation."""
    with tempfile.TemporaryDirectory(prefix="agiwb-layers-") as scratch:
        questions, answers = Path(scratch) / "questions.npz", Path(scratch) / "answers.npz"
        write_cases(questions, {"examples": taken})
        call_in_fresh_process(
            "agiwb.conversion.parity.traced:trace_file",
            {"folder": folder, "questions": questions, "answers": answers},
            tensorflow=wanted in NEED_TENSORFLOW,
            limits=limits,
        )
        return read_cases(answers)["examples"]


def _with_layers(traced: Tensors, model: keras.Model) -> Tensors:
    """Return the tensors with the artifact's outputs under the names of the layers they are of."""
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    layers = [tensor._keras_history.operation.name for tensor in model.outputs]  # noqa: SLF001
    known = dict(zip(names, layers, strict=True))
    if len(layers) == 1:  # it may have been renamed
        known = {name.removeprefix(OUTPUT): layers[0] for name in traced if name.startswith(OUTPUT)}
    outputs = {f"{OUTPUT}{name}": layer for name, layer in known.items()}
    return {f"{name}/{outputs[name]}" if name in outputs else name: values
            for name, values in traced.items()}  # fmt: skip


def _layer_answers(
    model: keras.Model, inputs: Tensors
) -> list[tuple[keras.layers.Layer, NDArray[Any]]]:
    """Return each layer of the model with its answer, if that is one array of real numbers."""
    import keras

    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and len(outputs := keras.tree.flatten(layer.output)) == 1
        and str(outputs[0].dtype).startswith("float")
    ]
    inner = keras.Model(model.inputs, [layer.output for layer in layers])
    given = [keras.ops.convert_to_tensor(inputs[tensor.name]) for tensor in model.inputs]
    answers = inner(given, training=False)
    return [(layer, np.asarray(answer)) for layer, answer in zip(layers, answers, strict=True)]


def _compare(
    layers: list[tuple[keras.layers.Layer, NDArray[Any]]], traced: Tensors
) -> list[_Compared]:
    """Return the layers that have a tensor, each with the error of the one that is nearest."""
    order = {layer.name: place for place, (layer, _) in enumerate(layers)}
    owners = layers_by_word({word for tensor in traced for word in _words(tensor)}, list(order))
    owned: dict[str, list[NDArray[Any]]] = {name: [] for name in order}
    for tensor, values in traced.items():
        named = {owners[word] for word in _words(tensor) if word in owners}
        # A fused tensor holds what the last of its layers gives.
        if owner := max(named, key=order.__getitem__, default=None):
            owned[owner].append(values)
    compared = []
    for place, (layer, answer) in enumerate(layers):
        fitting = [values for values in owned[layer.name] if values.size == answer.size]
        if fitting and answer.size:
            error = min(_error(values, answer) for values in fitting)
            if np.isnan(fitting[-1]).any() and not np.isnan(answer).any():
                error = math.inf  # whatever the tensors before its last one are
            compared.append(_Compared(layer.name, type(layer).__name__, error, place))
    return compared


def layers_by_word(words: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """Return which layer a word in a tensor's name stands for, if it is one's.

    Keras puts a number behind a layer's name when it calls the layer again: ``dense_1`` may be the
    layer of that name, or ``dense`` called anew. A word that fits one layer alone takes it from
    the others, until no more follows.
    """
    fitting = {
        word: found
        for word in words
        if (found := {name for name in names if re.fullmatch(rf"{re.escape(name)}(_\d+)?", word)})
    }
    owners: dict[str, str] = {}
    while certain := {word: next(iter(fits)) for word, fits in fitting.items() if len(fits) == 1}:
        owners.update(certain)
        taken = set(certain.values())
        fitting = {
            word: left
            for word, fits in fitting.items()
            if word not in certain and (left := fits - taken)
        }
    return {**owners, **{word: word for word, fits in fitting.items() if word in fits}}


def _words(tensor: str) -> list[str]:
    return re.split(r"[/;:]", tensor)


def _error(values: NDArray[Any], answer: NDArray[Any]) -> float:
    """Return the largest error relative to the largest value, however the axes are ordered."""
    largest = float(np.abs(answer).max()) or 1.0
    arranged = [values.reshape(answer.shape)]
    if values.ndim == answer.ndim and values.ndim in range(3, _MOST_DIMENSIONS + 1):
        arranged += [
            values.transpose(0, *order)
            for order in itertools.permutations(range(1, values.ndim))
            if values.transpose(0, *order).shape == answer.shape
        ]
    # What is not a number agrees with nothing.
    errors = [np.nan_to_num(np.abs(each - answer), nan=np.inf).max() for each in arranged]
    return float(min(errors)) / largest
