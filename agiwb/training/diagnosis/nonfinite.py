"""Where the first NaN or infinity came from: the layer, the batch and the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.diagnosis.graph import Call, Graph
from agiwb.training.diagnosis.rewind import Batch, Culprit, Rewind

if TYPE_CHECKING:
    import keras

_HUGE = 1e6


@dataclass(frozen=True)
class Origin:
    """Where it came from, and what to do about it."""

    what: str
    advice: str


def find_origin(
    model: keras.Model, rewind: Rewind, epoch: int, batch: int, learning_rate: float
) -> Origin | None:
    """Return where the NaN or infinity in the loss of a batch came from; None if it cannot be told.

    The training is taken back to just before the batch that went wrong first, and that one is
    followed through the layers. The model is not fit for anything else afterwards.

    Args:
        model: As it is after the batch.
        rewind: Kept along the training.
        epoch: The first is 0.
        batch: The first is 0.
        learning_rate: The one that was used.
    """
    culprit = rewind.find_culprit(epoch, batch)
    if culprit is None:
        return None
    if culprit.broken:
        return _backward(model, culprit, learning_rate)
    return _forward(model, culprit.batch, learning_rate)


def _forward(model: keras.Model, batch: Batch, learning_rate: float) -> Origin | None:
    graph = Graph.of(model)
    if graph is None or len(graph.outputs) != 1:
        return _in_data(batch, _values(batch.inputs))
    values = _evaluate(graph, graph.feed(batch.inputs))
    output = graph.outputs[0]
    if _finite(values[output]):
        return _after_the_output(model, batch, values[output], learning_rate)
    return _follow(graph, values, output, batch, learning_rate, "")


def _follow(
    graph: Graph, values: list[Any], place: int, batch: Batch, rate: float, within: str
) -> Origin | None:
    """Follow what is not finite back to the operation whose inputs are all finite."""
    makers = {made: call for call in graph.calls for made in call.outputs}
    call = makers.get(place)
    if call is None:
        return _in_data(batch, dict(enumerate(values[: len(graph.model.inputs)])))
    for given in call.inputs:
        if not _finite(values[given]):
            return _follow(graph, values, given, batch, rate, within)
    inside = Graph.of(call.operation) if hasattr(call.operation, "layers") else None
    if inside is not None and len(inside.outputs) == 1:
        inner = _evaluate(inside, [values[given] for given in call.inputs])
        if not _finite(inner[inside.outputs[0]]):
            name = f"{within}{call.operation.name}/"
            return _follow(inside, inner, inside.outputs[0], batch, rate, name)
    return _in_layer(
        call, [values[given] for given in call.inputs], values[place], batch, rate, within
    )


def _in_layer(
    call: Call, given: list[Any], made: Any, batch: Batch, rate: float, within: str
) -> Origin:
    index = int(np.argwhere(_broken_examples(made))[0][0])
    ranges = [value for value in given if _is_numeric(value)]
    low = min((float(np.min(value[index])) for value in ranges), default=0.0)
    high = max((float(np.max(value[index])) for value in ranges), default=0.0)
    largest = max((float(np.abs(w).max()) for w in _weights(call.operation) if w.size), default=0.0)
    kind = "NaN" if np.isnan(made).any() else "infinite"
    what = (
        f"It began in the layer {within}{call.words}: what goes in is finite, and what comes out "
        f"is {kind}, first for {_row(batch, index)}, whose values there lie between {low:.4g} and "
        f"{high:.4g}."
    )
    if max(largest, abs(low), abs(high)) > _HUGE:
        what += f" Its largest weight is {largest:.3g}: the training has run away."
        return Origin(what, _calmer(rate))
    return Origin(
        what,
        f"Keep the input of {call.operation.name} where it is defined, for example by adding a "
        "small number to it; otherwise try a smaller `learning_rate`.",
    )


def _in_data(batch: Batch, inputs: dict[Any, Any]) -> Origin | None:
    for name, values in inputs.items():
        if _finite(values):
            continue
        broken = _broken_examples(values)
        index = int(np.argwhere(broken)[0][0])
        where = _column(name, values[index])
        return Origin(
            f"The data hold it: {_row(batch, index)} has NaN or infinity in {where} "
            f"({int(broken.sum())} such rows in this batch).",
            "Mend or drop such rows in the data set.",
        )
    return None


def _after_the_output(
    model: keras.Model, batch: Batch, output: NDArray[Any], rate: float
) -> Origin | None:
    """Return where a loss comes from that is not finite though the model's output is."""
    targets = np.asarray(batch.targets)
    if not _finite(targets):
        index = int(np.argwhere(_broken_examples(targets))[0][0])
        return Origin(
            f"The data hold it: the label of {_row(batch, index)} is NaN or infinite.",
            "Mend or drop such rows in the data set.",
        )
    penalties = {layer.name: float(sum(map(float, layer.losses))) for layer in model.layers}
    worst = max(penalties, key=lambda name: np.nan_to_num(penalties[name], nan=np.inf))
    if not penalties[worst] < _HUGE:
        return Origin(
            f"It began in the penalty on the weights of {worst}, which has grown to "
            f"{penalties[worst]:.3g}: the training has run away.",
            f"{_calmer(rate)} Or smaller `l1` and `l2`.",
        )
    index = int(np.abs(output).reshape(len(output), -1).max(axis=1).argmax())
    return Origin(
        f"It began in the loss: the model's output is finite, up to {np.abs(output).max():.3g} for "
        f"{_row(batch, index)}.",
        _calmer(rate),
    )


def _backward(model: keras.Model, culprit: Culprit, rate: float) -> Origin:
    """Return why the step on a batch made weights NaN or infinite."""
    batch = culprit.batch
    what = (
        f"The step on batch {batch.number + 1} of epoch {batch.epoch + 1} made the weights of "
        f"{', '.join(culprit.broken)} NaN or infinite"
    )
    graph = Graph.of(model)
    if graph is None or len(graph.outputs) != 1:
        return Origin(f"{what}.", _calmer(rate))
    flow = _Flow.through(graph, batch)
    for call in reversed(graph.calls):
        if call.operation.name not in culprit.broken:
            continue
        for place in call.inputs:
            if not _finite(flow.values[place]):  # which a ReLU behind it may have hidden
                values = _evaluate(graph, graph.feed(batch.inputs))
                if source := _follow(graph, values, place, batch, rate, ""):
                    return Origin(f"{what}. {source.what}", source.advice)
    for call in reversed(graph.calls):
        after = [flow.gradients.get(place) for place in call.outputs]
        lost = [
            gradient
            for place in call.inputs
            if not _finite_gradient(gradient := flow.gradients.get(place))
        ]
        if lost and all(map(_finite_gradient, after)):
            index = int(np.argwhere(_broken_examples(np.asarray(lost[0])))[0][0])
            return Origin(
                f"{what}: its gradient was lost in the layer {call.words}, where it is finite "
                f"after the layer and NaN or infinite before it, first for {_row(batch, index)}.",
                f"Keep the input of {call.operation.name} away from where it has no finite slope, "
                "for example by adding a small number to it; otherwise try a smaller "
                "`learning_rate`.",
            )
    return Origin(f"{what}: the gradients had grown too large.", _calmer(rate))


@dataclass(frozen=True)
class _Flow:
    """Values of a graph's tensors for a batch and the loss' gradients by them, by place."""

    values: dict[int, Any]
    gradients: dict[int, Any]

    @classmethod
    def through(cls, graph: Graph, batch: Batch) -> _Flow:
        tf = import_tensorflow()
        places = [at for at, tensor in enumerate(graph.tensors) if "float" in str(tensor.dtype)]
        feed = [tf.convert_to_tensor(value) for value in graph.feed(batch.inputs)]
        with tf.GradientTape() as tape:
            for value in feed:
                if value.dtype.is_floating:
                    tape.watch(value)
            values = dict(zip(places, graph.probe(places)(feed, training=True), strict=True))
            loss = graph.model.compute_loss(
                x=batch.inputs, y=batch.targets, y_pred=values[graph.outputs[0]], training=True
            )
        return cls(values, tape.gradient(loss, values))


def _evaluate(graph: Graph, inputs: list[Any]) -> list[Any]:
    """Return the values of all tensors of the graph."""
    import keras

    made = graph.probe(list(range(len(graph.tensors))))(inputs, training=True)
    return [keras.ops.convert_to_numpy(value) if _is_float(value) else value for value in made]


def _values(inputs: Any) -> dict[Any, Any]:
    columns = inputs if isinstance(inputs, dict) else {0: inputs}
    return {name: np.asarray(value) for name, value in columns.items()}


def _is_float(value: Any) -> bool:
    return "float" in str(getattr(value, "dtype", ""))


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.size > 0


def _finite(value: Any) -> bool:
    return not _is_float(value) or bool(np.isfinite(np.asarray(value, np.float64)).all())


def _finite_gradient(gradient: Any) -> bool:
    return gradient is None or _finite(getattr(gradient, "values", gradient))


def _broken_examples(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which examples hold NaN or infinity: ``(examples,)``."""
    finite: NDArray[np.bool_] = np.isfinite(values.astype(np.float64))
    return np.logical_not(finite.reshape(len(values), -1).all(axis=1))


def _weights(operation: Any) -> list[NDArray[Any]]:
    return [np.asarray(weight) for weight in getattr(operation, "weights", ())]


def _row(batch: Batch, index: int) -> str:
    if batch.rows is None:
        return f"example {index} of the batch"
    return f"row {batch.rows[index]} of the training data"


def _column(name: Any, values: Any) -> str:
    """Return where in an example the value is."""
    place = np.argwhere(~np.isfinite(np.asarray(values, np.float64)))
    inside = f" at {[int(number) for number in place[0]]}" if place.size else ""
    return f"the column {name!r}" if isinstance(name, str) else f"its features{inside}"


def _calmer(rate: float) -> str:
    return (
        f"Try a smaller `learning_rate` than {rate:g}, for example {rate / 10:g}, or "
        "`clip_norm: 1`."
    )
